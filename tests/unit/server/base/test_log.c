/* log.c, log_ring.c, siphash.c: what a log does that is not read. */
#include "server/base/log.h"
#include "server/base/log_ring.h"
#include "server/session/siphash.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

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

/* Read until a text comes, for 20 s at most; free() it. */
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

/* Assert that whole lines came in their order; returns how many. */
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

enum { LINES = 8000 };

static void unread_lines_are_dropped_and_counted(void **state)
{
    (void)state;
    uint64_t before = log_ring_dropped();
    redirect();
    log_setup("text", "info");
    log_start();
    fill(LINES); /* more than ring and pipe take: it would hang here */
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

static void the_end_waits_a_second_at_most(void **state)
{
    (void)state;
    redirect();
    log_start();
    fill(LINES);
    double began = seconds();
    log_stop();
    double took = seconds() - began;
    free(read_until("were dropped")); /* lets the writer's thread end */
    restore();
    assert_true(took >= 0.9 && took < 5);
}

static void what_was_logged_is_written_at_the_end(void **state)
{
    (void)state;
    redirect();
    log_start();
    fill(100);
    log_stop();
    fill(1); /* without a writer: at once */
    close(2);
    char *all = read_until("no such text");
    size_t n = 0;
    for (const char *at = all; (at = strstr(at, "info line ")); at++)
        n++;
    free(all);
    restore();
    assert_int_equal(n, 101);
}

/* The first and the fifteenth vector of the paper's appendix and its reference implementation. */
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
        cmocka_unit_test(siphash_gives_the_known_vectors), cmocka_unit_test(unread_lines_are_dropped_and_counted),
        cmocka_unit_test(what_was_logged_is_written_at_the_end),
        cmocka_unit_test(the_end_waits_a_second_at_most)}; /* the last: its writer ends a little later */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
