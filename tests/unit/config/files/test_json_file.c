/* json_file.c: limits on the size of configurations. */
#include "config/files/json_file.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static struct problems problems;

static void refused(const char *text, size_t n, const char *line)
{
    struct place place = {"f.json", NULL};
    assert_null(json_file_parse(text, n, "its configuration, ", place, &problems));
    if (strcmp(problems.errors[0], line))
        fail_msg("expected \"%s\", found \"%s\"", line, problems.errors[0]);
    problems_close(&problems);
}

static void texts_are_bounded_before_they_are_parsed(void **state)
{
    (void)state;
    static char text[JSON_FILE_MAX_BYTES + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "{}", 2);
    json_t *json = json_file_parse(text, JSON_FILE_MAX_BYTES, "", (struct place){"f.json", NULL}, &problems);
    assert_non_null(json);
    json_decref(json);
    refused(text, JSON_FILE_MAX_BYTES + 1, "f.json: its configuration, expected JSON of at most 16 MiB");
    memset(text, '[', JSON_FILE_MAX_VALUES);
    refused(text, JSON_FILE_MAX_VALUES, "f.json: its configuration, expected JSON of at most 262144 values");
    for (size_t i = 0; i < JSON_FILE_MAX_BYTES; i++)
        text[i] = "1,"[i % 2];
    *text = '[';
    refused(text, JSON_FILE_MAX_BYTES, "f.json: its configuration, expected JSON of at most 262144 values");
}

/* Brackets within a text do not count as values, also after an escaped quote. */
static void texts_are_one_value(void **state)
{
    (void)state;
    size_t n = 4 * JSON_FILE_MAX_VALUES, at = 0;
    char *text = malloc(n + 16);
    memcpy(text, "[\"", 2);
    for (at = 2; at < n; at += 4)
        memcpy(text + at, "[,\\\"", 4);
    at += (size_t)sprintf(text + at, "\"]");
    const char *path = unit_file(".json", text, at);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    json_t *json = json_file_read(fd, (struct place){path, NULL}, &problems);
    if (!json)
        fail_msg("%s", problems.errors[0]);
    assert_int_equal(json_string_length(json_array_get(json, 0)), (at - 4) / 4 * 3);
    json_decref(json);
    close(fd);
    unlink(path);
    free(text);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    (void)state;
    int fd = open("/tmp", O_RDONLY | O_CLOEXEC);
    assert_null(json_file_read(fd, (struct place){"/tmp", NULL}, &problems));
    assert_string_equal(problems.errors[0], "/tmp: Is a directory");
    close(fd);
    problems_close(&problems);
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_null(json_file_read(fd, (struct place){"/dev/zero", NULL}, &problems));
    assert_string_equal(problems.errors[0], "/dev/zero: expected JSON of at most 16 MiB");
    close(fd);
    problems_close(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_are_bounded_before_they_are_parsed),
                                       cmocka_unit_test(texts_are_one_value),
                                       cmocka_unit_test(files_that_cannot_be_read_say_why)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
