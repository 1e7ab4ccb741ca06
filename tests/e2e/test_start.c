/* Start, and exit during the start: signals while models load, inherited state of the process, and the end of the load
   helper. */
#include "e2e.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* Processor time from a signal to the end; the loading that it interrupts takes far more. */
enum { END_MS = SANITIZED ? 5000 : 1000 };

static struct daemon server;
static char folder[] = "/tmp/cellserve-start-XXXXXX";

/* A model whose initializers take many seconds. */
static const char large[] = "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2200}}";
static const char small[] = "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}";

static void write_model(const char *text)
{
    char path[64], draft[64];
    snprintf(path, sizeof path, "%s/m.json", folder);
    snprintf(draft, sizeof draft, "%s/draft", folder);
    FILE *file = fopen(draft, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(rename(draft, path), 0);
}

/* Wait until the server has used this much CPU time. */
static void wait_cpu(long ms)
{
    double end = now_ms() + 120000;
    while (daemon_cpu_ms(&server) < ms && now_ms() < end)
        sleep_ms(5);
    assert_true(daemon_cpu_ms(&server) >= ms);
}

static void assert_ends(int signal)
{
    long before = daemon_cpu_ms(&server);
    assert_int_equal(daemon_stop(&server, signal), 0);
    long took = server.ended_cpu_ms - before;
    if (took > END_MS)
        fail_msg("it computed for %ld ms", took);
}

static void signals_end_a_start(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGINT};
    char config[256];
    write_model(large);
    snprintf(config, sizeof config, "{\"models\": [{\"name\": \"m\", \"path\": \"%s/m.json\", \"input_size\": 3}]}",
             folder);
    for (size_t i = 0; i < 2; i++) {
        daemon_spawn(&server, config, NULL, NULL);
        wait_cpu(300);
        assert_ends(signals[i]);
    }
}

static void signals_end_a_reload(void **state)
{
    (void)state;
    char config[256];
    write_model(small);
    snprintf(config, sizeof config, "{\"models\": [{\"name\": \"m\", \"path\": \"%s/m.json\", \"input_size\": 3}]}",
             folder);
    daemon_start(&server, config, NULL);
    write_model(large);
    long before = daemon_cpu_ms(&server);
    kill(server.pid, SIGHUP);
    wait_cpu(before + 300);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1, 2, 3]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_ends(SIGINT);
}

/* ---- the helper ---- */

/* Whether a process is stopped and has dropped its rights, as a helper does before it reads the file. */
static bool is_stopped_at_work(pid_t pid)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return strstr(text, "State:\tT") && strstr(text, "NoNewPrivs:\t1");
}

/* Stop a helper while it reads, while the server loads its model repeatedly; returns its pid. */
static pid_t catch_helper(void)
{
    char path[80];
    for (double end = now_ms() + 120000, next = 0; now_ms() < end;) {
        if (now_ms() > next) {
            kill(server.pid, SIGHUP);
            next = now_ms() + 20;
        }
        snprintf(path, sizeof path, "/proc/%d/task", (int)server.pid);
        DIR *tasks = opendir(path);
        const struct dirent *task;
        int pid = 0;
        while (tasks && !pid && (task = readdir(tasks))) {
            snprintf(path, sizeof path, "/proc/%d/task/%.10s/children", (int)server.pid, task->d_name);
            FILE *file = isdigit((unsigned char)task->d_name[0]) ? fopen(path, "r") : NULL;
            if (file && fscanf(file, "%d", &pid) != 1)
                pid = 0;
            if (file)
                fclose(file);
        }
        if (tasks)
            closedir(tasks);
        if (pid && !kill(pid, SIGSTOP) && is_stopped_at_work(pid))
            return pid;
        if (pid)
            kill(pid, SIGCONT);
    }
    fail_msg("no helper was seen");
    return 0;
}

/* Whether a process has ended, or is a zombie. */
static bool has_ended(pid_t pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*d %*s %c", &state) != 1)
        state = 'Z';
    if (file)
        fclose(file);
    return state == 'Z' || state == 'X';
}

static void start_archive(void (*prepare)(void))
{
    char config[512];
    snprintf(config, sizeof config,
             "{\"models\": [{\"name\": \"m\", \"path\": "
             "\"%s/tests/fixtures/file_keras3_keras_rnn_stacked/model.keras\"}]}",
             SOURCE_DIR);
    daemon_spawn(&server, config, NULL, prepare);
    daemon_await(&server);
}

static void a_helper_ends_with_the_server(void **state)
{
    (void)state;
    start_archive(NULL);
    pid_t helper = catch_helper();
    assert_ends(SIGINT);
    for (double end = now_ms() + 60000; !has_ended(helper) && now_ms() < end;)
        sleep_ms(5);
    assert_true(has_ended(helper));
}

/* The error message tells whether the signal that ended a helper is due to the machine or to the file. */
static void the_signal_that_ended_a_helper_is_explained(void **state)
{
    (void)state;
    static const struct {
        int signal;
        const char *line;
    } rows[] = {
        {
            SIGKILL,
            "the process that read it was killed, as happens where memory is short; nothing is known of the file "
            "(signal 9)",
        },
        {SIGTERM, "the process that read it was ended from outside; nothing is known of the file (signal 15)"},
        {SIGSEGV, "the process that read it crashed: the file may be damaged (signal 11)"},
    };
    start_archive(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows - SANITIZED; i++) { /* sanitizers handle SIGSEGV themselves */
        pid_t helper = catch_helper();
        kill(helper, rows[i].signal);
        kill(helper, SIGCONT);
        free(daemon_log_with(&server, rows[i].line));
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- inherited state ---- */

static void ignore_children(void)
{
    signal(SIGCHLD, SIG_IGN);
}

static void ignored_children_are_seen(void **state)
{
    (void)state;
    start_archive(ignore_children);
    struct reply reply = http_get(&server, "/readyz");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void close_all(void)
{
    close(0);
    close(1);
    close(2);
}

static void closed_descriptors_are_not_taken_for_sockets(void **state)
{
    (void)state;
    bool listens = false;
    char link[64], target[64];
    daemon_spawn(&server, small_config(2, 2, ""), NULL, close_all);
    for (double end = now_ms() + 60000; !listens && now_ms() < end; sleep_ms(5))
        for (int fd = 0; fd < 32 && !listens; fd++) {
            snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)server.pid, fd);
            ssize_t n = readlink(link, target, sizeof target - 1);
            listens = n > 7 && !memcmp(target, "socket:", 7);
        }
    assert_true(listens);
    for (int fd = 0; fd < 3; fd++) {
        snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)server.pid, fd);
        ssize_t n = readlink(link, target, sizeof target - 1);
        assert_true(n > 0);
        target[n] = 0;
        assert_string_equal(target, "/dev/null");
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_end_a_start),           cmocka_unit_test(signals_end_a_reload),
        cmocka_unit_test(a_helper_ends_with_the_server), cmocka_unit_test(the_signal_that_ended_a_helper_is_explained),
        cmocka_unit_test(ignored_children_are_seen),     cmocka_unit_test(closed_descriptors_are_not_taken_for_sockets),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
