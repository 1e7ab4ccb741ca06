/* Failures of allocation: the n-th allocation of our own code fails, or a posix_spawn_file_actions_* call for the
   helper does. Linked with --wrap, which replaces calls from our objects. tests/faults covers the other calls. */
#include "config/files/archive.h"
#include "config/json_memory.h"
#include "server/codec/json_reader.h"
#include "server/run/prediction_session.h"
#include "server/run/server.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

static size_t countdown; /* number of calls until one fails; 0: none fails */

static bool fails(void)
{
    return countdown && !--countdown;
}

#define WRAP(type, name, failed, parameters, arguments)                                                                \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        return fails() ? (failed) : __real_##name arguments;                                                           \
    }
WRAP(void *, malloc, NULL, (size_t size), (size))
WRAP(void *, calloc, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, NULL, (void *block, size_t size), (block, size))
WRAP(int, posix_spawn_file_actions_adddup2, ENOMEM, (posix_spawn_file_actions_t * files, int from, int to),
     (files, from, to))
WRAP(int, posix_spawn_file_actions_addopen, ENOMEM,
     (posix_spawn_file_actions_t * files, int fd, const char *path, int flags, mode_t mode),
     (files, fd, path, flags, mode))
WRAP(int, posix_spawn_file_actions_addclosefrom_np, ENOMEM, (posix_spawn_file_actions_t * files, int from),
     (files, from))

static struct settings settings = {
    .max_response_bytes = 1 << 20, .max_inflight_bytes = 1 << 20, .request_timeout_ms = 1000};

static void answered(struct request *request)
{
    (void)request;
}

static void a_request_that_cannot_begin_leaves_no_turn(void **state)
{
    (void)state;
    static struct server server;
    static struct worker worker = {.held = 1}; /* the worker has taken the request */
    struct request request;
    server_init(&server, &settings, NULL, 1);
    assert_true(request_init(&request, &server.services, "/predict"));
    request.done = answered;
    turns_arrive(&server.turns, &request.turn, "a");
    assert_int_equal(request.turn.stage, TURN_ARRIVED);
    countdown = 1;
    assert_null(prediction_begin(&request, &worker));
    assert_int_equal(countdown, 0);
    assert_int_equal(worker.held, 0);
    assert_int_equal(request.turn.stage, TURN_NONE);
    assert_int_equal(request.answer.status, 503);
    assert_non_null(strstr(request.answer.error, "\"overloaded\""));
    request_close(&request);
    server_close(&server);
}

/* The store has answered, but the request expires before a worker uses the record. */
static void an_unused_record_is_released(void **state)
{
    (void)state;
    static struct server server;
    const struct session_head head = {.rows = 1, .state_floats = 4};
    struct session_record *record = session_record_new(&head);
    struct request request = {.services = &server.services};
    static struct prediction p;
    server_init(&server, &settings, NULL, 1);
    p.request = &request;
    p.session = prediction_session(&p);
    p.session.op.found = session_record_use(record);
    assert_int_equal(record->uses, 2);
    session_close(&p.session);
    assert_int_equal(record->uses, 1);
    session_close(&p.session); /* a second close does nothing */
    assert_int_equal(record->uses, 1);
    session_record_release(record);
    server_close(&server);
}

static void json_without_memory_is_not_called_invalid(void **state)
{
    (void)state;
    static char text[2000] = "{\"any\": ";
    struct memory memory = {.limit = 1 << 20};
    struct memory_share share = {.memory = &memory};
    struct json_tensor x = {.present = false};
    const struct body_key keys[] = {{"any", BODY_ANY, NULL}, {"x", BODY_NUMBERS, &x}, {NULL, BODY_TEXT, NULL}};
    size_t used = strlen(text);
    memset(text + used, '[', 900);
    memset(text + used + 900, ']', 900);
    strcpy(text + used + 1800, ", \"x\": 7}");
    for (size_t n = 1; n < 4; n++) {
        struct failure failure = {.status = 0};
        struct json_body body = {.text = text, .bytes = strlen(text), .share = &share};
        countdown = n;
        bool good = json_body_read(&body, keys, &failure);
        assert_false(good);
        if (countdown) { /* there are fewer allocations than n, so the error is that of the body */
            assert_string_equal(failure.code, "wrong_type");
            assert_true(n > 1);
        } else {
            assert_int_equal(failure.status, 503);
            assert_string_equal(failure.code, "overloaded");
        }
        countdown = 0;
    }
}

static void a_smaller_piece_may_fit_after_a_larger_one_failed(void **state)
{
    (void)state;
    struct memory memory = {.limit = 4096};
    struct memory_share share = {.memory = &memory};
    struct buffer buffer = {.limit = 1 << 20, .share = &share};
    buffer_text(&buffer, "[");
    assert_false(buffer_try_room(&buffer, 5000));
    buffer_text(&buffer, "1]");
    assert_false(buffer.exhausted || buffer.too_large);
    assert_int_equal(buffer.used, 3);
    assert_memory_equal(buffer.text, "[1]", 3);
    assert_false(buffer_room(&buffer, 5000));
    assert_true(buffer.exhausted);
    assert_false(buffer_try_room(&buffer, 1));
    buffer_close(&buffer);
    assert_int_equal(memory.used, 0);
}

/* Tokens of lengths at which jansson's buffer grows, escapes, and many members. */
static char *long_tokens(void)
{
    char *text = malloc(1 << 16), *at = text;
    at += sprintf(at, "{\"\\\"a\\u0041\": [");
    for (int n = 8; n < 5000; n = n * 3 / 2) {
        *at++ = '"';
        memset(at, 'x', (size_t)n);
        at += n;
        at += sprintf(at, "\\\\\", 1.%0*d1e-5, 12%0*d, ", n, 0, n < 15 ? n : 15, 0);
    }
    at += sprintf(at, "null]");
    for (int i = 0; i < 200; i++)
        at += sprintf(at, ", \"k%d\": {\"%d\": true}", i, i);
    sprintf(at, "}");
    return text;
}

static void json_out_of_memory_is_an_error(void **state)
{
    (void)state;
    char *text = long_tokens();
    json_t *whole = NULL;
    size_t n = 1;
    for (; !whole; n++) {
        json_error_t error;
        countdown = n;
        whole = json_memory_load(text, strlen(text), 0, &error);
        assert_true(json_memory_failed() == !whole);
        assert_false(json_memory_failed());
        if (!whole)
            assert_string_equal(error.text, "out of memory");
    }
    countdown = 0;
    assert_true(n > 500); /* the parse has more than 500 allocations */
    assert_int_equal(json_object_size(whole), 201);
    json_decref(whole);
    free(text);
}

/* jansson's functions leak memory if they fail; json_memory_end releases it. */
static void memory_of_json_that_failed_is_released(void **state)
{
    (void)state;
    bool whole = false;
    size_t n = 1;
    for (; !whole; n++) {
        json_memory_begin();
        countdown = n;
        json_t *list = json_pack("[s, {s:i}, s]", "a", "b", 1, "c");
        json_t *all = json_pack("{s:o, s:{s:s, s:[s, s, s]}, s:o}", "first", list, "second", "x", "y", "z", "1", "2",
                                "3", "third", json_pack("{s:s}", "k", "v"));
        char *text = all ? json_dumps(all, 0) : NULL;
        countdown = 0;
        if (text && json_object_size(all) == 3)
            whole = true;
        json_memory_free(text);
        json_decref(all);
        assert_true(json_memory_end() == whole);
    }
    assert_true(n > 30);
}

static void a_helper_is_not_started_with_descriptors_of_the_server(void **state)
{
    (void)state;
    int fd = open(SOURCE_DIR "/tests/fixtures/file_keras3_keras_rnn_stacked/model.keras", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool good = false;
    size_t n = 1;
    for (; !good; n++) {
        struct problems problems = {.n_errors = 0};
        struct tensor_set set;
        countdown = n;
        good = archive_open(&set, fd, "f", &problems);
        bool reached = !countdown;
        countdown = 0;
        assert_int_equal(problems.n_errors, !good);
        if (n <= 5) { /* descriptors of the helper */
            assert_true(reached);
            assert_string_equal(problems.errors[0],
                                "f: the process that reads it cannot be started: Cannot allocate memory");
        }
        if (good)
            tensor_set_close(&set);
        problems_close(&problems);
    }
    assert_true(n > 7);
    close(fd);
}

int main(void)
{
    archive_set_program(BINARY);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_cannot_begin_leaves_no_turn),
        cmocka_unit_test(an_unused_record_is_released),
        cmocka_unit_test(json_without_memory_is_not_called_invalid),
        cmocka_unit_test(a_smaller_piece_may_fit_after_a_larger_one_failed),
        cmocka_unit_test(json_out_of_memory_is_an_error),
        cmocka_unit_test(memory_of_json_that_failed_is_released),
        cmocka_unit_test(a_helper_is_not_started_with_descriptors_of_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
