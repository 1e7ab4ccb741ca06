#include "server/base/clock.h"
#include "server/http/client.h"
#include "server/http/connections.h"
#include "server/http/descriptors.h"
#include "server/http/linger.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct connections all;
static int ends[2]; /* of the server, of the client */

static void begin(int64_t read_timeout_ms, size_t most, size_t spare)
{
    assert_true(connections_init(&all, 2, &(struct connection_limits){read_timeout_ms, 65000, most, spare}));
}

/* Open a TCP connection; the client's receive buffer has a few kilobytes. */
static void connect_ends(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), room = 4096;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(ends[1], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    assert_int_equal(connect(ends[1], (struct sockaddr *)&address, sizeof address), 0);
    ends[0] = accept(listener, NULL, NULL);
    assert_true(ends[0] >= 0);
    close(listener);
}

static struct connection *fresh(void)
{
    connect_ends();
    return connection_open(&all, all.count % 2, ends[0], 1);
}

/* Whether data arrives at this end within 2 s. */
static bool comes(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, 2000) > 0;
}

static void text_of(int fd, char *text, size_t size)
{
    ssize_t n = comes(fd) ? recv(fd, text, size - 1, MSG_DONTWAIT) : 0;
    text[n > 0 ? n : 0] = 0;
}

/* Whether the connection is cut if its stage has lasted `ms` milliseconds. */
static bool cut_after(const struct connection *connection, int ms)
{
    return connections_reap(&all, connection->began_ns + ms * (int64_t)NS_PER_MS) > 0;
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
        uint64_t bytes;       /* bytes of an answer */
        int alive_ms, cut_ms; /* 0: never */
        const char *told;
    } rows[] = {
        {STAGE_NEW, 0, 999, 1010, "HTTP/1.1 408 "},  {STAGE_HEAD, 0, 999, 1010, "HTTP/1.1 408 "},
        {STAGE_BODY, 0, 999, 1010, "HTTP/1.1 408 "}, {STAGE_ANSWER, 16384, 1999, 2010, ""}, /* 16 KiB earn a second */
        {STAGE_ANSWER, 1 << 20, 999, 1010, ""},      {STAGE_ANSWER, UINT64_MAX, 999, 1010, ""},
        {STAGE_IDLE, 0, 64999, 65001, ""},           {STAGE_WAIT, 0, 100000000, 0, ""},
    };
    begin(1000, 10, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[512];
        struct connection *connection = fresh();
        connection_stage(&all, connection, rows[i].stage, rows[i].bytes);
        assert_false(cut_after(connection, rows[i].alive_ms));
        if (rows[i].cut_ms) {
            assert_true(cut_after(connection, rows[i].cut_ms));
            text_of(ends[1], text, sizeof text);
            assert_int_equal(strncmp(text, rows[i].told, strlen(rows[i].told)), 0);
            assert_true(*rows[i].told || !*text);
            assert_false(cut_after(connection, rows[i].cut_ms + 1)); /* it is cut once only */
            connection_stage(&all, connection, STAGE_HEAD, 0);       /* the owner may change the stage before it notices
                                                                        the cut */
            assert_int_equal(connection->stage, STAGE_CUT);
        }
        done(connection);
    }
    connections_close(&all);
}

/* A burst of bytes extends the deadline to at most one time-out from now. 16 KiB earn a second. */
static void fast_bodies_save_no_time(void **state)
{
    (void)state;
    begin(1000, 10, 2);
    struct connection *connection = fresh();
    connection_stage(&all, connection, STAGE_BODY, 0);
    for (int i = 0; i < 1000; i++)
        connection_progress(&all, connection, 1 << 20);
    int64_t now = clock_ns();
    assert_true(connection->until_ns <= now + 1000 * (int64_t)NS_PER_MS);
    assert_true(connection->until_ns > now);
    connection->until_ns = now + 100 * (int64_t)NS_PER_MS; /* 900 ms were spent */
    connection_progress(&all, connection, 4096);
    assert_int_equal(connection->until_ns, now + 350 * (int64_t)NS_PER_MS);
    assert_int_equal(connections_reap(&all, now + 349 * (int64_t)NS_PER_MS), 0);
    assert_int_equal(connections_reap(&all, now + 351 * (int64_t)NS_PER_MS), 1);
    done(connection);
    connections_close(&all);
}

/* Fill the socket buffers with an answer; returns the number of bytes sent. */
static size_t fill(void)
{
    static const char block[65536];
    size_t sent = 0;
    for (ssize_t n; (n = send(ends[0], block, sizeof block, MSG_DONTWAIT)) > 0;)
        sent += (size_t)n;
    return sent;
}

/* Bytes that the client acknowledges extend an answer's deadline, also after the server has written all of it. Bytes in
   the server's kernel do not. */
static void readers_are_judged_by_what_they_take(void **state)
{
    (void)state;
    enum { TAKEN = 100000 };
    static char block[TAKEN];
    for (int idle = 0; idle < 2; idle++) {
        begin(1000, 10, 2);
        struct connection *connection = fresh();
        connection_stage(&all, connection, STAGE_ANSWER, 1 << 20);
        int64_t began = connection->began_ns;
        assert_true(fill() > TAKEN);
        if (idle)
            connection_stage(&all, connection, STAGE_IDLE, 0);
        for (size_t taken = 0; taken < TAKEN;) {
            ssize_t n = comes(ends[1]) ? recv(ends[1], block, TAKEN - taken, 0) : 0;
            assert_true(n > 0);
            taken += (size_t)n;
        }
        assert_int_equal(connections_reap(&all, began + 1010 * (int64_t)NS_PER_MS), 0);
        int64_t earned =
            connection->until_ns - began - 1000 * (int64_t)NS_PER_MS; /* 6.1 s for the bytes read, and more for those in
                                                                         the client's kernel */
        assert_in_range(earned / NS_PER_MS, 6000, 15000);
        assert_int_equal(connections_reap(&all, connection->until_ns), 0);
        assert_int_equal(connections_reap(&all, connection->until_ns + 1), 1); /* the client acknowledged no more */
        done(connection);
        connections_close(&all);
    }
}

/* The client has read the whole answer, so the connection is idle and has the idle time-out. */
static void a_connection_is_idle_after_its_answer_was_read(void **state)
{
    (void)state;
    char text[512];
    begin(1000, 10, 2);
    struct connection *connection = fresh();
    connection_stage(&all, connection, STAGE_ANSWER, 6);
    assert_int_equal(send(ends[0], "answer", 6, 0), 6);
    connection_stage(&all, connection, STAGE_IDLE, 0);
    text_of(ends[1], text, sizeof text);
    assert_string_equal(text, "answer");
    assert_false(cut_after(connection, 64999));
    assert_true(cut_after(connection, 65001));
    done(connection);
    connections_close(&all);
}

static void the_408_is_well_formed(void **state)
{
    (void)state;
    char text[512];
    begin(10, 10, 2);
    struct connection *connection = fresh();
    assert_true(cut_after(connection, 11));
    text_of(ends[1], text, sizeof text);
    const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
    assert_non_null(body);
    assert_int_equal(atoi(length + 16), strlen(body + 4));
    assert_non_null(strstr(body, "\"code\": \"request_timeout\""));
    done(connection);
    connections_close(&all);
}

static void a_drain_cuts_the_idle(void **state)
{
    (void)state;
    begin(10000, 10, 2);
    struct connection *connection = fresh();
    connection_stage(&all, connection, STAGE_IDLE, 0);
    assert_false(cut_after(connection, 5000));
    connections_drain(&all);
    assert_false(cut_after(connection, 999));
    assert_true(cut_after(connection, 1001));
    assert_int_equal(connections_count(&all), 1);
    done(connection);
    assert_int_equal(connections_count(&all), 0);
    connections_close(&all);
}

/* A request has arrived, and the I/O thread has not read it yet. */
static void a_drain_spares_a_request_that_has_come(void **state)
{
    (void)state;
    static const enum connection_stage stages[] = {STAGE_NEW, STAGE_IDLE};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        char byte;
        begin(10000, 10, 2);
        struct connection *connection = fresh();
        connection_stage(&all, connection, stages[i], 0);
        connections_drain(&all);
        assert_int_equal(send(ends[1], "G", 1, 0), 1);
        assert_true(comes(ends[0]));
        assert_false(cut_after(connection, 1001));
        assert_false(cut_after(connection, 5000));
        assert_int_equal(recv(ends[0], &byte, 1, 0), 1);
        assert_true(cut_after(connection, 5001)); /* nothing more is unread */
        done(connection);
        connections_close(&all);
    }
}

/* The limit of four connections is reached, with connections in these stages; a fifth arrives. */
static void room_is_made_in_order(void **state)
{
    (void)state;
    enum { MOST = 4 };
    static const struct {
        enum connection_stage stages[MOST];
        bool old;       /* the stages have lasted two seconds */
        int input, cut; /* index of the connection with unread input; index of the connection that is cut, -1: none */
    } rows[] = {
        {{STAGE_BODY, STAGE_IDLE, STAGE_IDLE, STAGE_NEW}, false, -1, 1},
        {{STAGE_BODY, STAGE_IDLE, STAGE_IDLE, STAGE_NEW}, false, 1, 2},
        {{STAGE_BODY, STAGE_WAIT, STAGE_ANSWER, STAGE_IDLE}, false, -1, 3},
        {{STAGE_BODY, STAGE_WAIT, STAGE_HEAD, STAGE_NEW}, false, -1, -1},
        {{STAGE_BODY, STAGE_WAIT, STAGE_HEAD, STAGE_NEW}, true, -1, 2},
        {{STAGE_BODY, STAGE_WAIT, STAGE_HEAD, STAGE_NEW}, true, 2, 3},
        {{STAGE_BODY, STAGE_WAIT, STAGE_ANSWER, STAGE_BODY}, true, -1, -1},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        struct connection *them[MOST + 1];
        int servers[MOST + 1], clients[MOST + 1];
        begin(60000, MOST, 8);
        for (int i = 0; i < MOST; i++) {
            them[i] = fresh();
            connection_stage(&all, them[i], rows[r].stages[i], 0);
            them[i]->began_ns -= rows[r].old ? 2000 * (int64_t)NS_PER_MS : 0;
            servers[i] = ends[0];
            clients[i] = ends[1];
        }
        if (rows[r].input >= 0) {
            assert_int_equal(send(clients[rows[r].input], "GET", 3, 0), 3);
            assert_true(comes(servers[rows[r].input]));
        }
        them[MOST] = fresh();
        servers[MOST] = ends[0];
        clients[MOST] = ends[1];
        for (int i = 0; i < MOST; i++)
            assert_int_equal(them[i]->stage == STAGE_CUT, i == rows[r].cut);
        assert_int_equal(connection_is_spare(&all, them[MOST]), rows[r].cut < 0);
        assert_int_equal(connections_count(&all), MOST + 1);
        connection_close(&all, them[0]);
        assert_false(connection_is_spare(&all, them[MOST])); /* a place is free now */
        connections_close(&all);
        for (int i = 0; i <= MOST; i++) {
            close(servers[i]);
            close(clients[i]);
        }
    }
}

/* All bodies of an address may hold half of the memory limit. A small body may always grow, and so may the only body of
   an address. */
static void bodies_share_the_account(void **state)
{
    (void)state;
    struct memory memory = {.limit = 16000};
    struct connection *them[4];
    static const uint64_t addresses[] = {1, 1, 2, 1};
    begin(1000, 10, 2);
    for (int i = 0; i < 4; i++) {
        them[i] = connection_open(&all, (size_t)i % 2, -1, addresses[i]);
        connection_stage(&all, them[i], STAGE_BODY, 0);
    }
    assert_int_equal(connection_small_body(&all, &memory), 400);
    assert_true(connection_may_hold(&all, them[0], 15000, &memory));
    connection_holds(&all, them[0], 6000);
    memory.used = 6000;
    assert_true(connection_may_hold(&all, them[1], 2000, &memory));
    assert_false(connection_may_hold(&all, them[1], 2001, &memory));
    assert_true(connection_may_hold(&all, them[2], 10000, &memory)); /* of another address */
    connection_holds(&all, them[1], 2000);
    memory.used = 8000;
    assert_false(connection_may_hold(&all, them[3], 401, &memory));
    assert_true(connection_may_hold(&all, them[3], 400, &memory));
    connection_stage(&all, them[0], STAGE_WAIT, 0); /* its body is complete */
    assert_true(connection_may_hold(&all, them[3], 6000, &memory));
    assert_false(connection_may_hold(&all, them[3], 6001, &memory));
    connections_close(&all);
}

static void addresses_are_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {{"10.0.0.1", "10.0.0.1", true},
                {"10.0.0.1", "10.0.0.2", false},
                {"10.0.0.1", "::ffff:10.0.0.1", true},
                {"2001:db8::1", "2001:db8::ffff:2", true},
                {"2001:db8::1", "2001:db8:0:1::1", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t keys[2];
        for (int k = 0; k < 2; k++) {
            const char *text = k ? rows[i].b : rows[i].a;
            struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = (uint16_t)k};
            struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = (uint16_t)k};
            if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
                keys[k] = connection_address(&v4);
            else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
                keys[k] = connection_address(&v6);
        }
        assert_int_equal(keys[0] == keys[1], rows[i].same);
    }
    assert_int_equal(connection_address(NULL), 0);
}

static void half_closed_is_not_gone(void **state)
{
    (void)state;
    char text[64];
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    connect_ends();
    assert_int_equal(client_state(ends[0]), CLIENT_THERE);
    send(ends[1], "GET", 3, 0);
    shutdown(ends[1], SHUT_WR);
    assert_true(comes(ends[0]));
    for (int tries = 0; tries < 2000 && client_state(ends[0]) == CLIENT_THERE; tries++)
        poll(NULL, 0, 1);
    assert_int_equal(client_state(ends[0]), CLIENT_HALF_CLOSED);
    client_ask(&(struct connection){.fd = ends[0]});
    text_of(ends[1], text, sizeof text);
    assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(client_state(ends[0]), CLIENT_HALF_CLOSED);
    close(ends[1]); /* a closed socket answers with a reset */
    client_ask(&(struct connection){.fd = ends[0]});
    for (int tries = 0; tries < 2000 && client_state(ends[0]) != CLIENT_GONE; tries++)
        poll(NULL, 0, 1);
    assert_int_equal(client_state(ends[0]), CLIENT_GONE);
    close(ends[0]);
    connect_ends();
    setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(ends[1]);
    for (int tries = 0; tries < 2000 && client_state(ends[0]) != CLIENT_GONE; tries++)
        poll(NULL, 0, 1);
    assert_int_equal(client_state(ends[0]), CLIENT_GONE);
    close(ends[0]);
}

static void files_are_shared_out(void **state)
{
    (void)state;
    static const struct {
        size_t limit, wanted;
        bool good;
        size_t connections, spare, lingering;
    } rows[] = {
        {1000000, 1024, true, 1024, 64, 1024},
        {2176, 1024, true, 1024, 64, 1024},
        {2000, 1024, true, 1024, 64, 848},
        {1024, 1024, true, 776, 64, 120},
        {128, 1024, true, 40, 16, 8},
        {128, 4, true, 4, 16, 44},
        {80, 1024, true, 10, 4, 2},
        {79, 1024, false, 0, 0, 0},
        {10, 1024, false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct descriptors share;
        assert_int_equal(descriptors_share(rows[i].limit, rows[i].wanted, &share), rows[i].good);
        if (!rows[i].good)
            continue;
        assert_int_equal(share.connections, rows[i].connections);
        assert_int_equal(share.spare, rows[i].spare);
        assert_int_equal(share.lingering, rows[i].lingering);
        assert_true(share.connections + share.spare + share.lingering + DESCRIPTORS_RESERVE <= rows[i].limit);
    }
}

/* Connections are cut in the order of their deadlines, in whatever order deadlines are set, moved and removed. */
static void deadlines_come_in_order(void **state)
{
    (void)state;
    enum { N = 200 };
    struct connection *them[N];
    unsigned seed = 7;
    begin(1000, N, 2);
    int64_t began = clock_ns(), last = 0;
    for (int i = 0; i < N; i++)
        them[i] = connection_open(&all, 0, -1, 1);
    for (int i = 0; i < N; i++) {
        seed = seed * 1103515245 + 12345;
        them[i]->until_ns = began + (int64_t)(seed >> 16) % 900 * NS_PER_MS;
        connection_progress(&all, them[i], 0);
    }
    for (int i = 0; i < N; i += 3)
        connection_close(&all, them[i]);
    for (int i = 1; i < N; i += 3) /* moves the deadline behind all others; the heap is corrected at the next reap */
        connection_stage(&all, them[i], STAGE_BODY, 0);
    for (int ms = 0; ms <= 900; ms++) {
        connections_reap(&all, began + ms * (int64_t)NS_PER_MS);
        for (int i = 2; i < N; i += 3)
            assert_int_equal(them[i]->stage == STAGE_CUT, them[i]->until_ns < began + ms * (int64_t)NS_PER_MS);
        for (int i = 1; i < N; i += 3) {
            assert_int_equal(them[i]->stage, STAGE_BODY);
            last = them[i]->until_ns > last ? them[i]->until_ns : last;
        }
    }
    connections_reap(&all, last + 1);
    for (int i = 1; i < N; i += 3)
        assert_int_equal(them[i]->stage, STAGE_CUT);
    assert_int_equal(all.open, 0);
    connections_close(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_have_deadlines),
        cmocka_unit_test(fast_bodies_save_no_time),
        cmocka_unit_test(readers_are_judged_by_what_they_take),
        cmocka_unit_test(a_connection_is_idle_after_its_answer_was_read),
        cmocka_unit_test(the_408_is_well_formed),
        cmocka_unit_test(a_drain_cuts_the_idle),
        cmocka_unit_test(a_drain_spares_a_request_that_has_come),
        cmocka_unit_test(room_is_made_in_order),
        cmocka_unit_test(bodies_share_the_account),
        cmocka_unit_test(addresses_are_hosts),
        cmocka_unit_test(half_closed_is_not_gone),
        cmocka_unit_test(files_are_shared_out),
        cmocka_unit_test(deadlines_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
