/* Connections: a full table makes room, slow but active clients are served, bodies cannot take all memory, and
   half-closed clients get their answers. */
#include "e2e.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#define ONE "{\"instances\": [[[1, 2]]]}"
#define PROBE "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"

static void start(struct daemon *server, const char *limits)
{
    char more[512];
    snprintf(more, sizeof more, ", \"limits\": {%s}", limits);
    daemon_start(server, small_config(2, 4, more), NULL);
}

/* Read one answer by its Content-Length, or to the end, and keep the connection. Returns the status; 0: no answer. */
static int read_answer(int fd, char *text, size_t size, int timeout_ms)
{
    size_t used = 0;
    double end = now_ms() + timeout_ms;
    for (text[0] = 0; used + 1 < size && now_ms() < end;) {
        const char *body = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (body && length && strlen(body + 4) >= (size_t)atoi(length + 16))
            break;
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        ssize_t n = poll(&poller, 1, 100) > 0 ? recv(fd, text + used, size - 1 - used, 0) : -1;
        if (n == 0 || (n < 0 && errno != EAGAIN && poller.revents))
            break;
        used += n > 0 ? (size_t)n : 0;
        text[used] = 0;
    }
    return strncmp(text, "HTTP/1.1 ", 9) ? 0 : atoi(text + 9);
}

static int ask(const struct daemon *server, int *fd, const char *request)
{
    char text[4096];
    *fd = raw_connect(server);
    raw_send(*fd, request, strlen(request));
    return read_answer(*fd, text, sizeof text, 60000);
}

/* Whether the other side closes within a minute. */
static bool ends(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&poller, 1, 60000) > 0 && recv(fd, &byte, 1, 0) <= 0;
}

static bool is_open(int fd)
{
    return !is_readable(fd);
}

static void assert_predicts(const struct daemon *server)
{
    struct reply reply = http_post(server, "/predict", ONE);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

/* ---- a full table ---- */

static void the_oldest_idle_connection_makes_room(void **state)
{
    (void)state;
    enum { MOST = 8, CLIENTS = 200 };
    struct daemon server;
    static int fds[CLIENTS];
    start(&server, "\"max_connections\": 8");
    for (int i = 0; i < CLIENTS; i++) /* more than the 64 spare places */
        assert_int_equal(ask(&server, &fds[i], PROBE), 200);
    assert_predicts(&server);
    for (int i = 0; i < CLIENTS - MOST; i++)
        assert_true(ends(fds[i]));
    for (int i = CLIENTS - MOST + 1; i < CLIENTS; i++) /* one of them made room for the prediction */
        assert_true(is_open(fds[i]));
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void probes_get_in_where_all_are_busy(void **state)
{
    (void)state;
    enum { MOST = 4 };
    struct daemon server;
    char text[4096];
    int busy[MOST], probe;
    start(&server, "\"max_connections\": 4, \"read_timeout_ms\": 600000");
    for (int i = 0; i < MOST; i++)
        busy[i] = open_upload(&server);
    struct reply reply = http_post(&server, "/predict", ONE);
    assert_error(&reply, 503, "too_many_connections", NULL);
    reply_free(&reply);
    for (int i = 0; i < 100; i++) {
        probe = raw_connect(&server);
        raw_send(probe, PROBE PROBE, 2 * (sizeof PROBE - 1));
        assert_int_equal(read_answer(probe, text, sizeof text, 60000), 200);
        assert_non_null(strstr(text, "Connection: close\r\n"));
        assert_true(ends(probe)); /* the server answers one request on each */
        close(probe);
    }
    for (int i = 0; i < MOST; i++) {
        raw_send(busy[i], &ONE[1], sizeof ONE - 2);
        assert_int_equal(read_answer(busy[i], text, sizeof text, 60000), 200);
        close(busy[i]);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Connections that never send a byte. */
static void silent_connections_make_room(void **state)
{
    (void)state;
    enum { MOST = 8 };
    struct daemon server;
    int fds[MOST];
    long status = 0;
    start(&server, "\"max_connections\": 8, \"read_timeout_ms\": 60000");
    for (int i = 0; i < MOST; i++)
        fds[i] = raw_connect(&server);
    for (double end = now_ms() + 60000; status != 200 && now_ms() < end; sleep_ms(50)) {
        struct reply reply = http_post(&server, "/predict", ONE);
        status = reply.status; /* 503 while the connections are new and may still send */
        reply_free(&reply);
    }
    assert_int_equal(status, 200);
    for (int i = 0; i < MOST; i++)
        close(fds[i]);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void descriptors_are_shared_when_few(void **state)
{
    (void)state;
    enum { CLIENTS = 200 };
    struct daemon server;
    static int fds[CLIENTS];
    const char *wrapper = getenv("CELLSERVE_WRAPPER");
    if (wrapper && *wrapper)
        skip();
    setenv("CELLSERVE_WRAPPER", "prlimit --nofile=128:128", 1);
    daemon_start(&server, small_config(2, 4, ", \"io_threads\": 1, \"limits\": {\"max_connections\": 1024}"), NULL);
    unsetenv("CELLSERVE_WRAPPER");
    char *log = daemon_log(&server);
    assert_non_null(strstr(log,
                           "limits.max_connections is lowered from 1024 to 40: the limit of open files (ulimit -n) "
                           "is 128"));
    free(log);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(ask(&server, &fds[i], PROBE), 200);
    kill(server.pid, SIGHUP); /* a reload has files of its own */
    await_metric(&server, "cellserve_model_reloads_total{model=\"m\"}", 1, 1e9);
    assert_predicts(&server);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- slow clients ---- */

enum { ROWS = 60000 };

/* Read an answer, 100 KB a second of it for some seconds and then the rest. False: it was cut. */
static bool read_slowly(const struct daemon *server, const char *body)
{
    enum { RATE = 100000, SECONDS = 3 };
    size_t room = 64 << 20, used = 0;
    char *text = malloc(room);
    int fd = raw_post(server, "", body);
    bool cut = false;
    double began = now_ms();
    for (double elapsed = 0; elapsed < SECONDS * 1e3 && !cut; elapsed = now_ms() - began) {
        size_t due = (size_t)(elapsed * RATE / 1e3);
        ssize_t n = due > used ? recv(fd, text + used, due - used, MSG_DONTWAIT) : 0;
        cut = n < 0 && errno != EAGAIN;
        used += n > 0 ? (size_t)n : 0;
        sleep_ms(20);
    }
    used += raw_read(fd, text + used, room - used, 60000);
    const char *length = strstr(text, "Content-Length: "), *content = strstr(text, "\r\n\r\n");
    assert_true(cut || length);
    cut = cut || used - (size_t)(content + 4 - text) != (size_t)atol(length + 16);
    assert_true(cut || atol(length + 16) > 4000000);
    close(fd);
    free(text);
    return !cut;
}

/* The kernels between take a large answer in bursts with pauses beyond the time-out. A test that stands still itself is no
   honest reader, so it is tried again. */
static void honest_slow_readers_get_everything(void **state)
{
    (void)state;
    struct daemon server;
    bool whole = false;
    start(&server, "\"read_timeout_ms\": 500, \"max_rows\": 100000, \"request_timeout_ms\": 600000");
    char *body = malloc(ROWS * 9 + 64), *at = body + sprintf(body, "{\"instances\": [");
    for (int i = 0; i < ROWS; i++)
        at += sprintf(at, "%s[[1,2]]", i ? "," : "");
    strcpy(at, "]}");
    for (int i = 0; i < 5 && !whole; i++)
        whole = read_slowly(&server, body);
    assert_true(whole);
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static const char upload[] = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n";

/* Begin an upload of 3 MB with `bytes` bytes; returns the socket. */
static int begin_upload(const struct daemon *server, const char *from, size_t bytes)
{
    char *blanks = malloc(bytes);
    int fd = raw_connect_from(server, from);
    memset(blanks, ' ', bytes);
    raw_send(fd, upload, sizeof upload - 1);
    raw_send(fd, blanks, bytes);
    free(blanks);
    return fd;
}

/* Of two uploads of 3 MB, one stands still after 2 MB, and one goes on with 40 KB a second for longer than the time-out.
   Whether the steady one was served. */
static bool serves_the_steady_one(const struct daemon *server)
{
    char text[4096];
    double began = now_ms();
    int stalled = begin_upload(server, "127.0.0.1", 2000000), steady = begin_upload(server, "127.0.0.1", 2900000);
    for (int i = 0; i < 12; i++) {
        memset(text, ' ', 4096);
        raw_send(steady, text, 4096);
        sleep_ms(100);
    }
    assert_int_equal(read_answer(stalled, text, sizeof text, 100000), 408);
    double cut = now_ms() - began; /* it is seen then; as its bytes would have it at 16 KiB/s, it is after 122 s */
    if (cut < 900 || cut > 100000)
        fail_msg("cut after %.0f ms", cut);
    size_t left = 3000000 - 2900000 - 12 * 4096 - (sizeof ONE - 1);
    char *rest = malloc(left + sizeof ONE);
    memset(rest, ' ', left);
    memcpy(rest + left, ONE, sizeof ONE);
    raw_send(steady, rest, left + sizeof ONE - 1);
    int status = read_answer(steady, text, sizeof text, 60000);
    free(rest);
    close(stalled);
    close(steady);
    return status == 200;
}

/* A machine that stands still for a second stalls both, so it is tried again. */
static void fast_uploads_earn_no_extra_time(void **state)
{
    (void)state;
    struct daemon server;
    bool served = false;
    start(&server, "\"read_timeout_ms\": 1000");
    for (int i = 0; i < 5 && !served; i++)
        served = serves_the_steady_one(&server);
    assert_true(served);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void uploads_of_one_address_get_half_of_the_memory(void **state)
{
    (void)state;
    enum { UPLOADS = 8 };
    struct daemon server;
    char text[4096];
    int fds[UPLOADS];
    start(&server, "\"read_timeout_ms\": 60000, \"max_inflight_bytes\": 8388608");
    fds[0] = begin_upload(&server, "127.0.0.1", 2990000);
    await_metric(&server, "cellserve_inflight_bytes", 2.9e6, 1e9);
    for (int i = 1; i < UPLOADS; i++) {
        fds[i] = begin_upload(&server, "127.0.0.1", 1000);
        assert_int_equal(read_answer(fds[i], text, sizeof text, 60000), 503);
        assert_non_null(strstr(text, "half of limits.max_inflight_bytes"));
    }
    int other = begin_upload(&server, "127.0.0.2", 2990000);
    await_metric(&server, "cellserve_inflight_bytes", 5.9e6, 1e9);
    for (int i = 0; i < 20; i++)
        assert_predicts(&server);
    for (int i = 0; i < UPLOADS; i++)
        close(fds[i]);
    close(other);
    await_metric(&server, "cellserve_inflight_bytes", 0, 100000);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- half-closed and vanished clients ---- */

static void half_closed_clients_get_their_answers(void **state)
{
    (void)state;
    static const char post[] = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\n\r\n" ONE;
    struct daemon server;
    char text[16384], three[1024], stream[512];
    int idle[3];
    daemon_start(&server, small_config(2, 4, ""), NULL);
    for (int i = 0; i < 3; i++) /* libmicrohttpd checks connections in turn, from the oldest */
        assert_int_equal(ask(&server, &idle[i], PROBE), 200);
    snprintf(three, sizeof three, "%s%s%s", post, post, post);
    snprintf(stream, sizeof stream,
             "POST /predict HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nContent-Length: 25\r\n\r\n" ONE);
    const char *const requests[] = {post,       PROBE, three, stream, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
                                    PROBE PROBE};
    static const int answers[] = {1, 1, 3, 1, 1, 2};
    for (int i = 0; i < 60; i++) {
        const char *request = requests[i % 6], *at = text;
        int fd = raw_connect(&server), n = 0;
        raw_send(fd, request, strlen(request));
        shutdown(fd, SHUT_WR);
        double began = now_ms();
        raw_read(fd, text, sizeof text, 60000);
        if (now_ms() - began > 59000)
            fail_msg("request %d: the connection is kept", i % 6);
        for (; (at = strstr(at, "HTTP/1.1 ")); at += 9)
            n += i % 6 == 4 ? atoi(at + 9) == 404 : atoi(at + 9) == 200;
        if (n != answers[i % 6] || (i % 6 == 3 && !strstr(text, "event: done")))
            fail_msg("request %d: %s", i % 6, text);
        close(fd);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(is_open(idle[i]));
        close(idle[i]);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* One row with many timesteps of a large LSTM: minutes of work. If a client resets its connection, the worker stops at
   once. If a client closes it, the worker stops when the server probes the connection. A half-closed client gets the
   probe, "100 Continue", and its request keeps running. */
static void vanished_clients_are_distinguished_from_half_closed_ones(void **state)
{
    (void)state;
    enum { TIMESTEPS = 60000 };
    struct daemon server;
    char text[4096], *body = malloc(TIMESTEPS * 4 + 64), *at = body + sprintf(body, "{\"instances\": [[");
    for (int t = 0; t < TIMESTEPS; t++)
        at += sprintf(at, "%s[1]", t ? "," : "");
    strcpy(at, "]]}");
    daemon_start(
        &server,
        "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", \"config\": {"
        "\"units\": 1024, \"recurrent_initializer\": \"glorot_uniform\"}}}], \"limits\": "
        "{\"request_timeout_ms\": 600000}}",
        NULL);
    for (int reset = 0; reset < 2; reset++) {
        int fd = raw_post(&server, "", body);
        await_metric(&server, "cellserve_running_requests", 1, 1);
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        if (reset)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(fd);
        await_metric(&server, "cellserve_running_requests", 0, 0);
    }
    int fd = raw_post(&server, "", body);
    shutdown(fd, SHUT_WR);
    await_readable(fd);
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal((int)metric(&server, "cellserve_running_requests"), 1);
    close(fd);
    free(body);
    await_metric(&server, "cellserve_running_requests", 0, 0);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_idle_connection_makes_room),
        cmocka_unit_test(probes_get_in_where_all_are_busy),
        cmocka_unit_test(silent_connections_make_room),
        cmocka_unit_test(descriptors_are_shared_when_few),
        cmocka_unit_test(honest_slow_readers_get_everything),
        cmocka_unit_test(fast_uploads_earn_no_extra_time),
        cmocka_unit_test(uploads_of_one_address_get_half_of_the_memory),
        cmocka_unit_test(half_closed_clients_get_their_answers),
        cmocka_unit_test(vanished_clients_are_distinguished_from_half_closed_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
