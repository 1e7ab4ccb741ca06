/* log.c, log_ring.c, siphash.c: the form of lines, and a log that is not read. */
#include "server/base/log.h"
#include "server/base/log_ring.h"
#include "server/session/siphash.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Standard error is a pipe while a test runs. */
static int reader, saved;

static void redirect(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    reader = ends[0];
    saved = dup(2);
    dup2(ends[1], 2);
    close(ends[1]);
}

static void restore(void)
{
    dup2(saved, 2);
    close(saved);
    close(reader);
}

/* Read until `text` arrives, for at most 20 s; the caller frees the result. */
static char *read_until(const char *text)
{
    size_t used = 0, room = 1 << 22;
    char *all = malloc(room);
    struct pollfd poller = {.fd = reader, .events = POLLIN};
    *all = 0;
    while (!strstr(all + (used > 8192 ? used - 8192 : 0), text)) {
        ssize_t n = poll(&poller, 1, 20000) > 0 ? read(reader, all + used, room - used - 1) : 0;
        if (n <= 0)
            break;
        used += (size_t)n;
        all[used] = 0;
    }
    return all;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fill(size_t lines)
{
    for (size_t i = 0; i < lines; i++)
        log_line(LOG_INFO, "line %zu %250s.", i, "x");
}

/* Assert that lines arrived whole and in order; returns their number. */
static size_t count_lines(char *all)
{
    size_t n = 0, number, last = 0;
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        const char *at = strstr(line, "info line ");
        if (!at)
            continue;
        assert_int_equal(sscanf(at, "info line %zu", &number), 1);
        assert_true(!n || number > last);
        assert_int_equal(line[strlen(line) - 1], '.');
        last = number;
        n++;
    }
    return n;
}

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %ld", &pages), 1);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A megabyte of lines, which are read at once. This test must be the first, because others fill the ring. */
static void lines_that_are_read_need_little_of_the_ring(void **state)
{
    (void)state;
    long before = 0;
    if (SANITIZED)
        skip(); /* sanitizers do not release freed memory */
    redirect();
    log_setup("text", "info");
    log_start();
    for (int round = 0; round < 120; round++) {
        char end[32];
        snprintf(end, sizeof end, "end of %d.\n", round);
        fill(40); /* 11 KB */
        log_line(LOG_INFO, "end of %d.", round);
        char *all = read_until(end);
        bool there = strstr(all, end);
        free(all);
        assert_true(there);
        if (round == 10)
            before = resident_kib();
    }
    long after = resident_kib();
    log_stop();
    restore();
    if (after - before > 400)
        fail_msg("%ld KiB are resident after 110 KB of lines, %ld KiB after 1.3 MB", before, after);
}

enum { LINES = 8000 };

static void unread_lines_are_dropped_and_counted(void **state)
{
    (void)state;
    uint64_t before = log_ring_dropped();
    redirect();
    log_setup("text", "info");
    log_start();
    fill(LINES); /* more than ring and pipe hold; a log that blocks would hang here */
    size_t dropped = (size_t)(log_ring_dropped() - before);
    char *all = read_until("log lines were dropped");
    char *notice = strstr(all, "log lines were dropped");
    size_t said = 0;
    while (notice && notice > all && notice[-1] != '\n')
        notice--;
    if (notice)
        sscanf(notice, "%*s warn %zu", &said);
    size_t came = count_lines(all);
    free(all);
    log_line(LOG_INFO, "the log works again");
    all = read_until("works again\n");
    bool works = strstr(all, "works again\n");
    free(all);
    log_stop();
    restore();
    assert_true(dropped > 1000);
    assert_int_equal(said, dropped);
    assert_int_equal(came + dropped, LINES);
    assert_true(works);
}

static void log_stop_waits_a_second_at_most(void **state)
{
    (void)state;
    redirect();
    log_start();
    fill(LINES);
    double began = seconds();
    log_stop();
    double took = seconds() - began;
    free(read_until("were dropped")); /* so that the writer's thread ends */
    restore();
    assert_true(took >= 0.9 && took < 5);
}

static void log_stop_writes_pending_lines(void **state)
{
    (void)state;
    redirect();
    log_start();
    fill(100);
    log_stop();
    fill(1); /* written directly, because the writer has stopped */
    close(2);
    char *all = read_until("no such text");
    size_t n = 0;
    for (const char *at = all; (at = strstr(at, "info line ")); at++)
        n++;
    free(all);
    restore();
    assert_int_equal(n, 101);
}

/* Returns the log up to the line "the end", which this function writes, and restores standard error. */
static char *written(void)
{
    log_line(LOG_READY, "the end");
    char *all = read_until("the end"); /* without a line feed, because a JSON line ends differently */
    restore();
    return all;
}

static json_t *parse_line(char **at)
{
    char *line = *at, *end = strchr(line, '\n');
    assert_non_null(end);
    *end = 0;
    *at = end + 1;
    json_t *json = json_loads(line, 0, NULL);
    if (!json)
        fail_msg("no JSON: %s", line);
    return json;
}

static const char *string_of(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static void lines_are_json_whatever_is_in_them(void **state)
{
    (void)state;
    char control[32];
    struct log_entry entry;
    for (size_t i = 0; i < 31; i++)
        control[i] = (char)(i + 1);
    control[31] = 0;
    redirect();
    log_setup("json", "info");
    log_line(LOG_WARN, "a \"quote\", a \\ and %s.", control);
    log_begin(&entry, LOG_ERROR, "event \"x\"");
    log_add_text(&entry, "empty", "");
    log_add_text(&entry, "text", "a=b c\nd\x7f");
    log_add_number(&entry, "number", -12);
    log_write(&entry);
    char *all = written(), *at = all, want[80];
    json_t *json = parse_line(&at);
    snprintf(want, sizeof want, "a \"quote\", a \\ and %s.", control);
    assert_string_equal(string_of(json, "message"), want);
    assert_string_equal(string_of(json, "level"), "warn");
    int year, month, day, hour, minute, second, ms, n = 0;
    const char *stamp = string_of(json, "time");
    assert_int_equal(
        sscanf(stamp, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute, &second, &ms, &n), 7);
    assert_int_equal(n, 24);
    assert_true(strlen(stamp) == 24 && year > 2000 && month >= 1 && month <= 12);
    json_decref(json);
    json = parse_line(&at);
    assert_string_equal(string_of(json, "message"), "event \"x\"");
    assert_string_equal(string_of(json, "level"), "error");
    assert_string_equal(string_of(json, "empty"), "");
    assert_string_equal(string_of(json, "text"), "a=b c\nd\x7f");
    assert_int_equal(json_integer_value(json_object_get(json, "number")), -12);
    json_decref(json);
    free(all);
}

/* In the text format, a value is quoted if its parts could be mistaken for other fields. */
static void text_values_are_quoted_where_needed(void **state)
{
    (void)state;
    struct log_entry entry;
    redirect();
    log_setup("text", "info");
    log_begin(&entry, LOG_INFO, "request");
    static const char *const values[] = {"plain", "two words", "a=b", "a\"b", "a\\b", "", "line\nbreak"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        log_add_text(&entry, "v", values[i]);
    log_add_number(&entry, "n", 7);
    log_write(&entry);
    log_line(LOG_INFO, "a name with\na break");
    char *all = written();
    assert_non_null(strstr(all,
                           "Z info event=request v=plain v=\"two words\" v=\"a=b\" v=\"a\\\"b\" v=\"a\\\\b\" v=\"\" "
                           "v=line\\u000abreak n=7\n"));
    assert_non_null(strstr(all, "Z info a name with?a break\n"));
    free(all);
}

static void levels_hide_what_is_below_them(void **state)
{
    (void)state;
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t level = 0; level < 4; level++) {
        redirect();
        log_setup("text", names[level]);
        log_line(LOG_DEBUG, "line 0");
        log_line(LOG_INFO, "line 1");
        log_line(LOG_WARN, "line 2");
        log_line(LOG_ERROR, "line 3");
        char *all = written();
        for (size_t i = 0; i < 4; i++) {
            char want[32];
            snprintf(want, sizeof want, "Z %s line %zu\n", names[i], i);
            assert_int_equal(strstr(all, want) != NULL, i >= level);
            assert_int_equal(log_shows((enum log_level)i), i >= level);
        }
        assert_non_null(strstr(all, "Z info the end\n")); /* LOG_READY */
        free(all);
    }
}

/* An entry longer than a line is cut at any position and stays valid JSON; fields after a long text are kept. */
static void long_entries_are_cut_and_stay_json(void **state)
{
    (void)state;
    static const char *const pieces[] = {"x", "\\", "\"", "\n", "ab\x7f"};
    for (size_t length = 1; length < 3000; length += length < 1300 ? 97 : 1) {
        char text[3000];
        struct log_entry entry;
        const char *piece = pieces[length % 5];
        for (size_t i = 0; i < length; i++)
            text[i] = piece[i % strlen(piece)];
        text[length] = 0;
        redirect();
        log_setup("json", "info");
        log_begin(&entry, LOG_INFO, "request");
        log_add_text(&entry, "path", text);
        log_add_number(&entry, "n", 1234567);
        log_write(&entry);
        log_begin(&entry, LOG_INFO, "texts alone");
        for (size_t i = 0; i < 40; i++)
            log_add_text(&entry, "text", text), log_add_number(&entry, "n", (long long)i);
        log_write(&entry);
        log_line(LOG_INFO, "%s", text);
        char *all = written(), *at = all;
        for (size_t i = 0; i < 3; i++) {
            assert_true(strcspn(at, "\n") < LOG_LINE_BYTES);
            json_t *json = parse_line(&at);
            const char *value = string_of(json, i == 2 ? "message" : "path");
            if (i == 0)
                assert_int_equal(json_integer_value(json_object_get(json, "n")), 1234567);
            if (i != 1 && length < 250)
                assert_string_equal(value, text);
            if (i != 1 && length > 2048)
                assert_string_equal(value + strlen(value) - 3, "...");
            if (i != 1)
                assert_memory_equal(value, text, strlen(value) < 3 ? strlen(value) : strlen(value) - 3);
            json_decref(json);
        }
        free(all);
    }
}

static void long_entries_are_cut_at_the_size_of_a_line(void **state)
{
    (void)state;
    char text[3000];
    struct log_entry entry;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    redirect();
    log_setup("text", "info");
    log_begin(&entry, LOG_INFO, "request");
    for (size_t i = 0; i < 8; i++)
        log_add_text(&entry, "path", text);
    log_write(&entry);
    log_begin(&entry, LOG_INFO, "request");
    log_add_text(&entry, "path", text);
    log_add_number(&entry, "n", 1234567);
    log_write(&entry);
    char *all = written();
    size_t n = (size_t)(strchr(all, '\n') - all) + 1;
    assert_true(n <= LOG_LINE_BYTES && n > LOG_LINE_BYTES - 40);
    assert_non_null(strstr(all + n, "xxx... n=1234567\n"));
    assert_non_null(strstr(all + n, "the end"));
    free(all);
}

static void problems_have_a_line_each(void **state)
{
    (void)state;
    struct problems problems = {.n_errors = 0};
    problem_error(&problems, (struct place){"model.json", "/units"}, "is \"x\"");
    problem_warning(&problems, (struct place){"model.json", ""}, "old\tname");
    redirect();
    log_setup("text", "info");
    log_problems(&problems);
    log_setup("text", "error");
    log_problems(&problems);
    char *all = written();
    const char *want = "warning: model.json: old?name\n"
                       "model.json: /units: is \"x\"\n"
                       "model.json: /units: is \"x\"\n";
    assert_memory_equal(all, want, strlen(want));
    free(all);
    redirect();
    log_setup("json", "info");
    log_problems(&problems);
    all = written();
    char *at = all;
    json_t *json = parse_line(&at);
    assert_string_equal(string_of(json, "level"), "warn");
    assert_string_equal(string_of(json, "message"), "model.json: old\tname");
    json_decref(json);
    json = parse_line(&at);
    assert_string_equal(string_of(json, "level"), "error");
    assert_string_equal(string_of(json, "message"), "model.json: /units: is \"x\"");
    json_decref(json);
    free(all);
    problems_close(&problems);
}

/* The hashes of 0 and of 15 bytes, from the reference implementation and the appendix of the paper. */
static void siphash_gives_the_known_vectors(void **state)
{
    (void)state;
    const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    unsigned char text[15];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)i;
    assert_true(siphash(key, text, 0) == 0x726fdb47dd0e0e31u);
    assert_true(siphash(key, text, 15) == 0xa129ca6149be45e5u);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_are_read_need_little_of_the_ring),
        cmocka_unit_test(siphash_gives_the_known_vectors),
        cmocka_unit_test(lines_are_json_whatever_is_in_them),
        cmocka_unit_test(text_values_are_quoted_where_needed),
        cmocka_unit_test(levels_hide_what_is_below_them),
        cmocka_unit_test(long_entries_are_cut_and_stay_json),
        cmocka_unit_test(long_entries_are_cut_at_the_size_of_a_line),
        cmocka_unit_test(problems_have_a_line_each),
        cmocka_unit_test(unread_lines_are_dropped_and_counted),
        cmocka_unit_test(log_stop_writes_pending_lines),
        cmocka_unit_test(log_stop_waits_a_second_at_most)}; /* the last, because its writer thread ends later than the
                                                              test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
