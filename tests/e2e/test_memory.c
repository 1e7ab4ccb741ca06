/* Memory: the server respects limits of a container or of the shell, refuses requests above them, and keeps running.
   MEMORY_ROUNDS=1000 is the long form. */
#include "e2e.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a cgroup for the test ---- */

struct cgroup {
    char folder[128];
    bool v2;
};

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

static char *read_text(const char *folder, const char *name)
{
    static char text[4096];
    char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = 0;
    if (file)
        fclose(file);
    return text;
}

/* False if no cgroup can be made, without the rights or within a container. */
static bool cgroup_make(struct cgroup *cgroup, const char *bytes)
{
    static const char *const parents[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    for (int i = 0; i < 2; i++) {
        cgroup->v2 = i;
        snprintf(cgroup->folder, sizeof cgroup->folder, "%s/cellserve-test-%d", parents[i], (int)getpid());
        if (mkdir(cgroup->folder, 0755))
            continue;
        if (write_text(cgroup->folder, cgroup->v2 ? "memory.max" : "memory.limit_in_bytes", bytes))
            return true;
        rmdir(cgroup->folder);
    }
    return false;
}

static void enter(const char *folder)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_true(write_text(folder, "cgroup.procs", pid));
}

/* The folder of the test's cgroup. */
static void own_cgroup(const struct cgroup *cgroup, char out[512])
{
    char *line = strstr(read_text("/proc/self", "cgroup"), cgroup->v2 ? "0::" : ":memory:");
    assert_non_null(line);
    line = strchr(line, '/');
    line[strcspn(line, "\n")] = 0;
    snprintf(out, 512, "%s%s", cgroup->v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", line);
}

static void daemon_start_in(const struct cgroup *cgroup, struct daemon *server, const char *config)
{
    char before[512];
    own_cgroup(cgroup, before);
    enter(cgroup->folder);
    daemon_start(server, config, NULL);
    enter(before);
}

static long killed(const struct cgroup *cgroup)
{
    char *text = read_text(cgroup->folder, cgroup->v2 ? "memory.events" : "memory.oom_control");
    char *at = strstr(text, "oom_kill ");
    return at ? atol(at + 9) : 0;
}

static void cgroup_remove(const struct cgroup *cgroup)
{
    for (double end = now_ms() + 5000; rmdir(cgroup->folder) && now_ms() < end;)
        sleep_ms(5);
}

/* ---- requests that need too much memory ---- */

static char body[48 << 20];

/* A body of about this many bytes with one long sequence. */
static const char *numbers(size_t bytes)
{
    size_t n = (bytes - 32) / 6;
    char *at = body + sprintf(body, "{\"instances\": [[");
    for (size_t i = 0; i < n; i++, at += 6)
        memcpy(at, "[1,2],", 6);
    strcpy(at, "[1,2]]]}");
    return body;
}

static const char *rows(size_t n, const char *more)
{
    char *at = body + sprintf(body, "{\"return_sequences\": true, %s\"instances\": [", more);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, "%s[[1,2]]", i ? "," : "");
    strcpy(at, "]}");
    return body;
}

enum { HELD = 24 };

/* Open connections that send most of a body, or that request a large answer and do not read it. */
static void hold(const struct daemon *server, int fds[HELD], size_t bytes)
{
    char head[128];
    for (int i = 0; i < HELD; i++) {
        const char *text = i % 2 ? rows(4000, "") : numbers(bytes);
        size_t n = strlen(text);
        fds[i] = raw_connect(server);
        raw_send(fds[i], head,
                 (size_t)sprintf(head, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n));
        raw_send(fds[i], text, i % 2 ? n : n - 10);
    }
}

static void expect(const struct daemon *server, const char *text, const long *statuses)
{
    struct reply reply = http_post(server, "/predict", text);
    const long *good = statuses;
    while (*good && *good != reply.status)
        good++;
    if (!*good)
        fail_msg("a body of %zu bytes: %ld %.200s", strlen(text), reply.status, reply.body ? reply.body : "");
    reply_free(&reply);
}

/* Send a part of a body that is far too large, and expect a refusal. */
static void expect_refusal(const struct daemon *server)
{
    char head[128], answer[1024];
    int fd = raw_connect(server);
    raw_send(fd, head,
             (size_t)sprintf(head, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 46 << 20));
    raw_send(fd, numbers(1 << 20), 1 << 19);
    raw_read(fd, answer, sizeof answer, 10000);
    close(fd);
    if (strncmp(answer, "HTTP/1.1 413 ", 13) && strncmp(answer, "HTTP/1.1 503 ", 13))
        fail_msg("a body of 46 MiB: %.200s", answer);
}

static int rounds(void)
{
    const char *text = getenv("MEMORY_ROUNDS");
    return text ? atoi(text) : 10;
}

/* Each round has a request far above the limit, some sessions, and a body of the largest size; every fifth round also
   fills the memory. At the end, a normal request works. */
static void overdo(const struct daemon *server, size_t most_body)
{
    static const long large[] = {413, 503, 0}, some[] = {200, 429, 503, 0}, read[] = {413, 503, 0};
    for (int round = 0; round < rounds(); round++) {
        int fds[HELD];
        bool holds = round % 5 == 0;
        if (round)
            expect_refusal(server);
        else
            expect(server, numbers(46 << 20), large);
        if (holds)
            hold(server, fds, most_body);
        for (int i = 0; i < 10; i++) {
            char more[64];
            snprintf(more, sizeof more, "\"session\": \"s%d\", ", round * 10 + i);
            expect(server, rows(256, more), some);
        }
        expect(server, numbers(most_body), read); /* too many timesteps, which the server finds after it has read all of
                                                     them */
        struct reply reply = http_get(server, "/livez");
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
        for (int i = 0; holds && i < HELD; i++)
            close(fds[i]);
    }
    /* the memory is released soon; a part of the rest is the answer of /metrics */
    for (double end = now_ms() + 10000; metric(server, "cellserve_inflight_bytes") > 65536; sleep_ms(10))
        assert_true(now_ms() < end);
    struct reply reply = http_post(server, "/predict", "{\"instances\": [[[1, 2]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

static void a_small_container_is_seen(void **state)
{
    (void)state;
    struct cgroup cgroup;
    struct daemon server;
    if (SANITIZED || !cgroup_make(&cgroup, "67108864"))
        skip();
    daemon_start_in(&cgroup, &server, small_config(2, 64, ""));
    char *log = daemon_log(&server);
    assert_non_null(strstr(log, cgroup.v2 ? "64 MiB of memory (cgroup v2 memory.max)"
                                          : "64 MiB of memory (cgroup v1 memory.limit_in_bytes)"));
    free(log);
    assert_true(metric(&server, "cellserve_inflight_limit_bytes") == 16 << 20);
    overdo(&server, 4 << 20);
    assert_true(metric(&server, "cellserve_session_bytes") <= 16 << 20);
    assert_int_equal(killed(&cgroup), 0);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    cgroup_remove(&cgroup);
}

/* Settings that are given are not lowered, so only the memory account protects against the limit. */
static void an_address_space_limit_is_seen(void **state)
{
    (void)state;
    struct daemon server;
    struct rlimit before, limit;
    if (SANITIZED)
        skip();
    getrlimit(RLIMIT_AS, &before);
    limit = (struct rlimit){320 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    daemon_start(&server, small_config(2, 64, ", \"workers\": 2, \"limits\": {\"max_body_bytes\": 45000000}"), NULL);
    setrlimit(RLIMIT_AS, &before);
    char *log = daemon_log(&server);
    assert_non_null(strstr(log, "MiB of memory (what RLIMIT_AS leaves)"));
    assert_non_null(strstr(log, "one body 42"));
    free(log);
    double most = metric(&server, "cellserve_inflight_limit_bytes");
    assert_true(most >= 16 << 20 && most <= 80 << 20);
    overdo(&server, 4 << 20);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void freed_memory_goes_back(void **state)
{
    (void)state;
    struct daemon server;
    if (SANITIZED)
        skip();
    daemon_start(&server, small_config(2, 64, ""), NULL);
    expect(&server, rows(200, ""), (const long[]){200, 0});
    long before = daemon_rss_kib(&server), most = 0, after = 0;
    for (int i = 0; i < 500; i++) {
        char more[64];
        snprintf(more, sizeof more, "\"session\": \"s%d\", \"return_state\": false, ", i);
        expect(&server, rows(200, more), (const long[]){200, 0}); /* 100 KiB */
        long now = i % 20 ? 0 : daemon_rss_kib(&server);
        most = now > most ? now : most;
    }
    assert_true(most - before > 20000);
    for (int i = 0; i < 500; i++) {
        char path[32];
        snprintf(path, sizeof path, "/sessions/s%d", i);
        json_decref(ok(http_request(&server, "DELETE", path, NULL, NULL)));
    }
    for (double end = now_ms() + 60000; (after = daemon_rss_kib(&server)) > before + 8000; sleep_ms(20))
        if (now_ms() > end)
            fail_msg("%ld KiB before 500 sessions, %ld with them, %ld when they are deleted", before, most, after);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void write_lstm(const char *path, int units)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "{\"class_name\": \"LSTM\", \"config\": {\"units\": %d, \"recurrent_initializer\": \"zeros\", "
            "\"kernel_initializer\": \"zeros\"}}",
            units);
    assert_int_equal(fclose(file), 0);
}

/* Load a model with these units, and wait until it serves and memory is shared again. Returns the memory that requests
   may hold. */
static double limit_beside(const struct daemon *server, const char *path, int units, double before)
{
    double weights = 4.0 * units * (2 + units + 1) * sizeof(float), end = now_ms() + 30000, limit = before;
    write_lstm(path, units);
    kill(server->pid, SIGHUP);
    while (
        (metric(server, "cellserve_model_weight_bytes{model=\"m\",version=\"1\"}") < weights / 2 || limit == before) &&
        now_ms() < end) {
        sleep_ms(10);
        limit = metric(server, "cellserve_inflight_limit_bytes");
    }
    return limit;
}

/* A model of 23 MB replaces a small one, then a small one replaces it. */
static void memory_is_shared_anew_when_models_change(void **state)
{
    (void)state;
    struct daemon server;
    struct rlimit before, limit;
    char path[] = "/tmp/cellserve-test-model-XXXXXX", config[256];
    if (SANITIZED)
        skip();
    assert_true(mkstemp(path) >= 0);
    write_lstm(path, 8);
    snprintf(
        config, sizeof config,
        "{\"workers\": 1, \"sessions\": {\"max_bytes\": 100000000}, \"models\": [{\"name\": \"m\", \"path\": \"%s\", "
        "\"input_size\": 2}]}",
        path);
    getrlimit(RLIMIT_AS, &before);
    limit = (struct rlimit){320 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    daemon_start(&server, config, NULL);
    setrlimit(RLIMIT_AS, &before);
    double most = metric(&server, "cellserve_inflight_limit_bytes"), less = limit_beside(&server, path, 1200, most);
    if (less > most - 4e6 || less < 1 << 20)
        fail_msg("requests may hold %.0f bytes beside a small model, %.0f beside a large one", most, less);
    assert_true(limit_beside(&server, path, 8, less) == most);
    char *log = daemon_log_with(&server, "was not set of these is lowered");
    free(log);
    unlink(path);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_container_is_seen), cmocka_unit_test(an_address_space_limit_is_seen),
        cmocka_unit_test(memory_is_shared_anew_when_models_change), cmocka_unit_test(freed_memory_goes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
