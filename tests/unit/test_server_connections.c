#include "server/clock.h"
#include "server/connections.h"
#include "unit.h"

#include <sys/socket.h>
#include <unistd.h>

static struct connections all;
static int ends[2];

/* A connection whose stage has gone on for so many milliseconds; was it cut? The text that its client got. */
static bool cut_after(struct connection *connection, int ms, char *text)
{
    size_t cut = connections_reap(&all, connection->began_ns + ms * (int64_t)NS_PER_MS);
    ssize_t n = cut ? recv(ends[1], text, 511, MSG_DONTWAIT) : 0;
    text[n > 0 ? n : 0] = 0;
    return cut > 0;
}

static struct connection *fresh(void)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    return connection_open(&all, ends[0]);
}

static void done(struct connection *connection)
{
    connection_close(&all, connection);
    close(ends[0]);
    close(ends[1]);
}

static void stages_have_deadlines(void **state)
{
    (void)state;
    static const struct {
        enum connection_stage stage;
        uint64_t bytes;
        int alive_ms, cut_ms; /* 0: never */
        bool told;
    } rows[] = {
        {STAGE_NEW, 0, 999, 1001, true},          {STAGE_HEAD, 0, 999, 1001, true},
        {STAGE_BODY, 0, 999, 1001, true},         {STAGE_BODY, 32768, 2999, 3001, true},
        {STAGE_ANSWER, 16384, 1999, 2001, false}, {STAGE_IDLE, 0, 64999, 65001, false},
        {STAGE_WAIT, 0, 100000000, 0, false},
    };
    connections_init(&all, 1000, 65000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        struct connection *connection = fresh();
        connection_stage(&all, connection, rows[i].stage, 0);
        connection_progress(&all, connection, rows[i].bytes);
        assert_false(cut_after(connection, rows[i].alive_ms, text));
        if (rows[i].cut_ms) {
            assert_true(cut_after(connection, rows[i].cut_ms, text));
            assert_int_equal(!strncmp(text, "HTTP/1.1 408 ", 13), rows[i].told);
            char byte;
            assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), 0);    /* it is shut down */
            assert_false(cut_after(connection, rows[i].cut_ms + 1, text)); /* once */
        }
        done(connection);
    }
    connections_close(&all);
}

/* The server has written its answer and is done with it, but the client takes nothing. */
static void an_answer_that_lies_in_the_kernel_is_not_idle(void **state)
{
    (void)state;
    char text[512];
    connections_init(&all, 1000, 65000);
    for (int takes = 0; takes < 2; takes++) {
        struct connection *connection = fresh();
        connection_stage(&all, connection, STAGE_IDLE, 0);
        assert_int_equal(send(ends[0], "answer", 6, 0), 6);
        if (takes)
            assert_int_equal(recv(ends[1], text, sizeof text, 0), 6);
        assert_false(cut_after(connection, 999, text));
        assert_int_equal(cut_after(connection, 1001, text), !takes);
        done(connection);
    }
    connections_close(&all);
}

static void the_408_is_well_formed(void **state)
{
    (void)state;
    char text[512];
    connections_init(&all, 10, 65000);
    struct connection *connection = fresh();
    assert_true(cut_after(connection, 11, text));
    const char *body = strstr(text, "\r\n\r\n") + 4, *length = strstr(text, "Content-Length: ");
    assert_int_equal(atoi(length + 16), strlen(body));
    assert_non_null(strstr(body, "\"code\": \"request_timeout\""));
    done(connection);
    connections_close(&all);
}

static void a_drain_cuts_the_idle(void **state)
{
    (void)state;
    char text[512];
    connections_init(&all, 10000, 65000);
    struct connection *connection = fresh();
    connection_stage(&all, connection, STAGE_IDLE, 0);
    assert_false(cut_after(connection, 5000, text));
    connections_drain(&all);
    assert_false(cut_after(connection, 999, text));
    assert_true(cut_after(connection, 1001, text));
    assert_int_equal(connections_count(&all), 1);
    done(connection);
    assert_int_equal(connections_count(&all), 0);
    connections_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_have_deadlines), cmocka_unit_test(an_answer_that_lies_in_the_kernel_is_not_idle),
        cmocka_unit_test(the_408_is_well_formed), cmocka_unit_test(a_drain_cuts_the_idle)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
