/* I/O threads: connections are shared evenly, limits apply to all threads together, a drain loses no request, and many
   requests at once are all answered. */
#include "e2e.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char config[] =
    "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"SimpleRNN\", \"config\": "
    "{\"units\": "
    "1}}}], \"workers\": 2, \"limits\": {\"drain_delay_ms\": 0, \"max_connections\": %d}}";

static void start(struct daemon *server, int io_threads, int connections)
{
    char text[1024], threads[8];
    const char *const arguments[] = {"--io-threads", threads, NULL};
    snprintf(text, sizeof text, config, connections);
    snprintf(threads, sizeof threads, "%d", io_threads);
    daemon_start(server, text, arguments);
}

#define BODY "{\"instances\": [[[1]]]}"
static const char kept[] = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 22\r\n\r\n" BODY;
_Static_assert(sizeof BODY == 23, "Content-Length of the requests");

/* Read one answer; returns its status, or 0 if the connection ended before the answer was complete. more: the
   connection is kept. */
static int read_answer(int fd, bool *more)
{
    char text[4096];
    size_t have = 0;
    for (;;) {
        ssize_t n = recv(fd, text + have, sizeof text - 1 - have, 0);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        text[have] = 0;
        const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length: ");
        if (body && length && have >= (size_t)(body + 4 - text) + (size_t)atoi(length + 18)) {
            *more = !strcasestr(text, "\r\nConnection: close");
            return atoi(text + 9);
        }
    }
}

static double of_thread(const struct daemon *server, const char *name, int thread)
{
    char line[96];
    snprintf(line, sizeof line, "cellserve_io_%s{thread=\"%d\"}", name, thread);
    return metric(server, line);
}

/* 64 connections, each with the same number of requests. A choice of the thread by address would be uneven by
   chance. */
static void connections_are_shared_evenly(void **state)
{
    (void)state;
    enum { CONNECTIONS = 64, REQUESTS = 20, THREADS = 4 };
    for (int threads = 2; threads <= THREADS; threads += 2) {
        struct daemon server;
        int fds[CONNECTIONS];
        bool more;
        start(&server, threads, 1024);
        for (int i = 0; i < CONNECTIONS; i++)
            fds[i] = raw_connect(&server);
        for (int r = 0; r < REQUESTS; r++) {
            for (int i = 0; i < CONNECTIONS; i++)
                raw_send(fds[i], kept, sizeof kept - 1);
            for (int i = 0; i < CONNECTIONS; i++)
                assert_int_equal(read_answer(fds[i], &more), 200);
        }
        double least = 1e9, most = 0, all = 0;
        for (int i = 0; i < threads; i++) {
            double n = of_thread(&server, "requests_total", i);
            least = n < least ? n : least;
            most = n > most ? n : most;
            all += of_thread(&server, "connections", i);
        }
        assert_true(least >= 0.8 * most);
        assert_in_range(least + most, 2 * CONNECTIONS * REQUESTS / threads - 80,
                        2 * CONNECTIONS * REQUESTS / threads + 80);
        /* plus the connection of the request for metrics, and earlier ones that are not closed yet */
        assert_in_range(all, CONNECTIONS, CONNECTIONS + 2 * threads);
        assert_in_range(metric(&server, "cellserve_connections"), CONNECTIONS + 1, CONNECTIONS + 2 * threads + 2);
        for (int i = 0; i < CONNECTIONS; i++)
            close(fds[i]);
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
    }
}

/* The limit applies to the process: the oldest idle connection of any thread is closed. */
static void limits_hold_over_all_threads(void **state)
{
    (void)state;
    enum { MOST = 8 };
    struct daemon server;
    int fds[MOST + 1];
    bool more;
    start(&server, 4, MOST);
    for (int i = 0; i <= MOST; i++) {
        fds[i] = raw_connect(&server);
        raw_send(fds[i], kept, sizeof kept - 1);
        assert_int_equal(read_answer(fds[i], &more), 200);
    }
    /* The first one is cut, of whichever thread it was. */
    char byte;
    await_readable(fds[0]);
    assert_true(recv(fds[0], &byte, 1, MSG_DONTWAIT) <= 0);
    for (int i = 1; i <= MOST; i++) {
        raw_send(fds[i], kept, sizeof kept - 1);
        assert_int_equal(read_answer(fds[i], &more), 200);
    }
    for (int i = 0; i <= MOST; i++)
        close(fds[i]);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- a drain under load ---- */

static struct load {
    const struct daemon *server;
    atomic_bool over; /* the server has refused a connection */
    atomic_long answered, lost;
} load;

static int try_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* HTTP allows the server to drop requests of a delayed client: the server waits 100 ms for the last packet of a
   handshake, and closes a kept connection after one idle second. */
enum { HANDSHAKE_MS = 50, IDLE_MS = 500 };

/* Send requests on new connections, and some on a kept connection. Accepted requests must be answered. */
static void *send_requests(void *argument)
{
    int per_connection = *(const int *)argument, fd;
    double began = now_ms();
    while (!load.over && (fd = try_connect(load.server->port)) >= 0) {
        bool more = true, still = now_ms() - began > HANDSHAKE_MS;
        for (int i = 0; more && i < per_connection; i++) {
            bool sent = send(fd, kept, sizeof kept - 1, MSG_NOSIGNAL) == sizeof kept - 1;
            still |= i && now_ms() - began > IDLE_MS;
            if (sent && read_answer(fd, &more) == 200) {
                load.answered++;
                began = now_ms();
                still = false;
            } else {
                load.lost += !still;
                more = false;
            }
        }
        close(fd);
        began = now_ms();
    }
    load.over = true;
    return NULL;
}

/* Stop and continue all threads of the server several times. */
static void stop_and_go(const struct daemon *server)
{
    for (int i = 0; i < 3; i++) {
        sleep_ms(20 + 30 * i);
        kill(server->pid, SIGSTOP);
        sleep_ms(120);
        kill(server->pid, SIGCONT);
    }
}

static void drain_once(int io_threads, bool stands_still)
{
    enum { CLIENTS = 8, REQUESTS = 200 };
    static const int per_connection[] = {1, 1, 1, 100};
    struct daemon server;
    pthread_t threads[CLIENTS];
    start(&server, io_threads, 1024);
    load.server = &server;
    load.over = false;
    load.answered = load.lost = 0;
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_requests, (void *)(uintptr_t)&per_connection[i % 4]),
                         0);
    for (double end = now_ms() + 120000; load.answered < REQUESTS && now_ms() < end;)
        sleep_ms(1);
    assert_true(load.answered >= REQUESTS);
    kill(server.pid, SIGTERM);
    if (stands_still)
        stop_and_go(&server);
    assert_int_equal(daemon_wait(&server, 60), 0);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(load.lost, 0);
}

/* CELLSERVE_TEST_DRAINS sets the number of drains. */
static void a_drain_under_load_loses_nothing(void **state)
{
    (void)state;
    plain_alone("its clients speak plain HTTP");
    const char *times = getenv("CELLSERVE_TEST_DRAINS");
    for (int i = 0; i < (times ? atoi(times) : 4); i++)
        drain_once(i % 3 ? 4 : 1, i % 2);
}

/* ---- stopped I/O threads ---- */

enum { MOST_THREADS = 4, TCP_LISTENS = 10 };

/* Whether the server's port has listening sockets, or sockets in another state. */
static bool has_sockets(const struct daemon *server, bool listening)
{
    char line[512];
    bool found = false;
    FILE *file = fopen("/proc/net/tcp", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned port, state;
        if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &port, &state) == 2 && (int)port == server->port)
            found |= listening == (state == TCP_LISTENS);
    }
    fclose(file);
    return found;
}

static void await_sockets(const struct daemon *server, bool listening)
{
    double end = now_ms() + 30000;
    while (has_sockets(server, listening) && now_ms() < end)
        sleep_ms(2);
    assert_false(has_sockets(server, listening));
}

/* Read name and state of a thread; false if the thread has ended. */
static bool read_thread(const struct daemon *server, int thread, char name[32], char *state)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)server->pid, thread);
    FILE *file = fopen(path, "r");
    bool good = file && fscanf(file, "%*d (%31[^)]) %c", name, state) == 2;
    if (file)
        fclose(file);
    return good;
}

/* Find the I/O threads by name. A thread gets its name with its first connection. */
static int find_io_threads(const struct daemon *server, int threads[MOST_THREADS])
{
    char path[64], name[32], state;
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)server->pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (read_thread(server, atoi(entry->d_name), name, &state) && !strncmp(name, "io-", 3) && n < MOST_THREADS)
            threads[n++] = atoi(entry->d_name);
    closedir(dir);
    return n;
}

/* Stop a thread while it waits for events, so that it holds no lock. False if ptrace is not permitted. */
static bool stop_thread(const struct daemon *server, int thread)
{
    char name[32], state = 0;
    for (double end = now_ms() + 30000; read_thread(server, thread, name, &state) && state != 'S' && now_ms() < end;)
        sleep_ms(1);
    assert_int_equal(state, 'S');
    if (ptrace(PTRACE_SEIZE, thread, NULL, NULL))
        return false;
    assert_int_equal(ptrace(PTRACE_INTERRUPT, thread, NULL, NULL), 0);
    assert_int_equal(waitpid(thread, NULL, __WALL), thread);
    return true;
}

/* Make every I/O thread answer one request; waits until the connections are closed. */
static void wake_io_threads(const struct daemon *server, int n)
{
    int fds[MOST_THREADS];
    bool more;
    for (int i = 0; i < n; i++) {
        fds[i] = raw_connect(server);
        raw_send(fds[i], kept, sizeof kept - 1);
        assert_int_equal(read_answer(fds[i], &more), 200);
    }
    for (int i = 0; i < n; i++)
        close(fds[i]);
    await_sockets(server, false);
}

/* The kernel has accepted connections, but no I/O thread reads from them until shortly before the end of the drain. */
static void a_drain_waits_for_its_threads(void **state)
{
    (void)state;
    enum { CLIENTS = 8 };
    plain_alone("its clients speak plain HTTP");
    for (int n = 1; n <= MOST_THREADS; n += MOST_THREADS - 1) {
        struct daemon server;
        int threads[MOST_THREADS], fds[CLIENTS];
        bool more, may = true;
        start(&server, n, 1024);
        wake_io_threads(&server, n);
        assert_int_equal(find_io_threads(&server, threads), n);
        for (int i = 0; i < n && may; i++)
            may = stop_thread(&server, threads[i]);
        for (int i = 0; i < CLIENTS; i++) {
            fds[i] = raw_connect(&server);
            raw_send(fds[i], kept, sizeof kept - 1);
        }
        kill(server.pid, SIGTERM);
        await_sockets(&server, true);
        sleep_ms(100); /* a server that loses the connections would exit now */
        for (int i = 0; i < n && may; i++)
            assert_int_equal(ptrace(PTRACE_DETACH, threads[i], NULL, NULL), 0);
        for (int i = 0; i < CLIENTS; i++) {
            assert_int_equal(read_answer(fds[i], &more), 200);
            assert_false(more);
            close(fds[i]);
        }
        assert_int_equal(daemon_wait(&server, 30), 0);
    }
}

/* ---- a UNIX socket ---- */

static int unix_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static pid_t serve_unix(const char *path, const char *io_threads)
{
    char host[128];
    const char *binary = getenv("CELLSERVE_BINARY");
    snprintf(host, sizeof host, "unix:%s", path);
    pid_t pid = fork();
    if (!pid) {
        end_with_the_test();
        execl(binary ? binary : BINARY, "cellserve", "serve", SOURCE_DIR "/tests/fixtures/depth_1", "--host", host,
              "--io-threads", io_threads, "--log-level", "error", "--limits-drain-delay-ms", "0", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void a_unix_socket_is_served(void **state)
{
    (void)state;
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    char path[64];
    bool more;
    snprintf(path, sizeof path, "/tmp/cellserve-test-%d.sock", (int)getpid());
    for (int threads = 1; threads <= 2; threads++) {
        pid_t pid = serve_unix(path, threads == 1 ? "1" : "2");
        int fd = -1, status;
        for (double end = now_ms() + 60000; fd < 0 && now_ms() < end; sleep_ms(5))
            fd = unix_connect(path);
        assert_true(fd >= 0);
        for (int i = 0; i < 3; i++) {
            raw_send(fd, request, sizeof request - 1);
            assert_int_equal(read_answer(fd, &more), 200);
        }
        close(fd);
        if (threads == 1) { /* the socket file remains, and the next server replaces it */
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            assert_int_equal(access(path, F_OK), 0);
        } else {
            kill(pid, SIGTERM);
            waitpid(pid, &status, 0);
            assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
            assert_int_not_equal(access(path, F_OK), 0);
        }
    }
}

/* ---- many requests at once ---- */

/* The requests of 256 kept connections, all there when the I/O thread looks: exactly twice the number of events for which
   libmicrohttpd asks. */
static void requests_that_come_at_once_are_answered(void **state)
{
    (void)state;
    enum { CLIENTS = 256 };
    struct daemon server;
    int fds[CLIENTS], status;
    bool more;
    start(&server, 1, CLIENTS + 16);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = raw_connect(&server);
        raw_send(fds[i], kept, sizeof kept - 1);
        assert_int_equal(read_answer(fds[i], &more), 200);
    }
    for (int round = 0; round < 3; round++) {
        kill(server.pid, SIGSTOP);
        assert_int_equal(waitpid(server.pid, &status, WUNTRACED), server.pid);
        assert_true(WIFSTOPPED(status));
        for (int i = 0; i < CLIENTS; i++)
            raw_send(fds[i], kept, sizeof kept - 1);
        kill(server.pid, SIGCONT);
        for (int i = 0; i < CLIENTS; i++) {
            await_readable(fds[i]);
            assert_int_equal(read_answer(fds[i], &more), 200);
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    assert_int_equal(daemon_stop(&server, SIGTERM), 0);
}

/* ---- want of files ---- */

/* A client that comes while there is no file for its connection is served as soon as there is one, although no other
   connection ends. */
static void accepting_goes_on_after_a_want_of_files(void **state)
{
    (void)state;
    for (int io_threads = 1; io_threads <= 2; io_threads++) {
        struct daemon server;
        struct rlimit before, low = {.rlim_cur = 3}; /* standard input, output and error alone */
        bool more;
        start(&server, io_threads, 64);
        int first = raw_connect(&server), second;
        raw_send(first, kept, sizeof kept - 1);
        assert_int_equal(read_answer(first, &more), 200);
        assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, NULL, &before), 0);
        low.rlim_max = before.rlim_max;
        assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, &low, NULL), 0);
        second = raw_connect(&server);
        raw_send(second, kept, sizeof kept - 1);
        free(daemon_log_with(&server, "no connection can be accepted: Too many open files"));
        raw_send(first, kept, sizeof kept - 1);
        assert_int_equal(read_answer(first, &more), 200);
        assert_false(is_readable(second));
        assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, &before, NULL), 0);
        await_readable(second);
        assert_int_equal(read_answer(second, &more), 200);
        close(first);
        close(second);
        assert_int_equal(daemon_stop(&server, SIGTERM), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_shared_evenly),
        cmocka_unit_test(limits_hold_over_all_threads),
        cmocka_unit_test(a_drain_under_load_loses_nothing),
        cmocka_unit_test(a_drain_waits_for_its_threads),
        cmocka_unit_test(a_unix_socket_is_served),
        cmocka_unit_test(requests_that_come_at_once_are_answered),
        cmocka_unit_test(accepting_goes_on_after_a_want_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
