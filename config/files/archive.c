/* Starts the load helper, waits for it, and takes its result. */
#include "archive.h"

#include "hdf5_file.h"
#include "helper.h"
#include "torch_file.h"
#include "zip_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WAIT_MS = 30000, SENTENCE_BYTES = 512 };

static const char *program = "/proc/self/exe";

void archive_set_program(const char *path)
{
    program = path;
}

bool archive_is(const unsigned char *bytes, size_t n)
{
    return hdf5_is(bytes, n) || zip_is(bytes, n) || torch_stream_is(bytes, n);
}

/* The input of the helper. */
struct input {
    const int *files; /* the first becomes standard input, the others 3, 4, … */
    size_t n;
    const char *form; /* for several files: their form; NULL for one file, whose format is in its bytes */
};

/* The helper gets only the files, the memory file, and /dev/null for the output of libraries. Every step may need
   memory: if one step failed, the helper would have descriptors of the server. All descriptors are first moved to high
   numbers, because they may have the low numbers themselves. */
static int arrange_files(posix_spawn_file_actions_t *actions, const struct input *input, int out)
{
    int free_from = STDERR_FILENO + 1, error = 0, more = (int)input->n - 1;
    for (size_t i = 0; i < input->n; i++)
        free_from = input->files[i] >= free_from ? input->files[i] + 1 : free_from;
    free_from = out >= free_from ? out + 1 : free_from;
    free_from = free_from <= STDERR_FILENO + more ? STDERR_FILENO + more + 1 : free_from;
    for (int i = 0; !error && i <= more; i++)
        error = posix_spawn_file_actions_adddup2(actions, input->files[i], free_from + i);
    error = error ? error : posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
    for (int i = 0; !error && i <= more; i++)
        error = posix_spawn_file_actions_adddup2(actions, free_from + i, i ? STDERR_FILENO + i : STDIN_FILENO);
    error = error ? error : posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    return error ? error : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1 + more);
}

/* No signals blocked or ignored. */
static int arrange_signals(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attributes, &none);
    error = error ? error : posix_spawnattr_setsigdefault(attributes, &all);
    return error ? error : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

/* Start the helper, with an empty environment. Returns -1 with the reason in *error. */
static pid_t start_helper(const struct input *input, int out, int *error)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    pid_t pid = -1;
    char *const arguments[] = {"cellserve", HELPER_ARGUMENT, (char *)(uintptr_t)input->form, NULL};
    char *const environment[] = {"HDF5_PLUGIN_PRELOAD=::", "OPENBLAS_NUM_THREADS=1", "ASAN_OPTIONS=detect_leaks=0",
                                 NULL};
    if ((*error = posix_spawn_file_actions_init(&files)))
        return -1;
    if (!(*error = posix_spawnattr_init(&attributes))) {
        *error = arrange_files(&files, input, out);
        *error = *error ? *error : arrange_signals(&attributes);
        *error = *error ? *error : posix_spawn(&pid, program, &files, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return *error ? -1 : pid;
}

/* Explain why the helper did not start. Without /proc there is no path to this program's file. */
static void explain_start(int error, struct place place, struct problems *problems)
{
    if (error == ENOENT && access(program, F_OK))
        problem_error(problems, place,
                      "the process that reads it cannot be started: %s is not there; mount /proc (mount -t proc proc "
                      "/proc), or give the weights as safetensors, which need no such process",
                      program);
    else
        problem_error(problems, place, "the process that reads it cannot be started: %s", strerror(error));
}

/* How the helper ended. */
enum end { ENDED, TOOK_TOO_LONG, UNSEEN };

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait for the end of the helper. UNSEEN: another part of the process has taken its status, so its pid may now belong
   to another process and must not be killed. */
static enum end wait_for(pid_t pid, int *status)
{
    struct timespec pause = {0, 500000};
    for (int64_t until = milliseconds() + MAX_WAIT_MS; milliseconds() < until;) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid)
            return ENDED;
        if (ended < 0 && errno != EINTR)
            return UNSEEN;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 5000000)
            pause.tv_nsec += pause.tv_nsec / 4;
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return TOOK_TOO_LONG;
}

/* The helper's sentence about the file. It is untrusted text, so only printable characters are copied. */
static void read_sentence(int out, char *text, size_t size)
{
    ssize_t n = pread(out, text, size - 1, 0);
    text[n > 0 ? n : 0] = 0;
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = '?';
}

/* Whether a signal that ended the helper means that the file is damaged. */
static const char *signal_sentence(int signal)
{
    switch (signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGABRT:
    case SIGFPE:
    case SIGILL:
        return "the process that read it crashed: the file may be damaged";
    case SIGXCPU:
        return "reading it took more processor time than a file of its size may: it may be damaged, or made to do harm";
    case SIGSYS:
        return "the process that read it asked the kernel for what it may not: the file may be made to do harm";
    case SIGKILL:
        return "the process that read it was killed, as happens where memory is short; nothing is known of the file";
    default:
        return "the process that read it was ended from outside; nothing is known of the file";
    }
}

static void explain(enum end end, int status, int out, struct place place, struct problems *problems)
{
    char text[SENTENCE_BYTES] = "";
    const char *reason = "the process that reads model files refused it";
    if (end == TOOK_TOO_LONG) {
        reason = "reading it took too long";
        problem_error(problems, place, "%s: more than %d s; the file may be damaged, or made to do harm", reason,
                      MAX_WAIT_MS / 1000);
    } else if (end == UNSEEN) {
        reason = "the end of the process that read it was not seen; nothing is known of the file";
        problem_error(problems, place, "%s", reason);
    } else if (WIFSIGNALED(status)) {
        reason = signal_sentence(WTERMSIG(status));
        problem_error(problems, place, "%s (signal %d)", reason, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != HELPER_BAD_FILE) {
        problem_error(problems, place, "the process that read it ended with status %d", WEXITSTATUS(status));
    } else {
        read_sentence(out, text, sizeof text);
        problem_error(problems, place, "%s", text);
    }
    problem_reason(problems, reason);
}

/* Logged once in a process, not for every file. */
static void warn_unconfined(const struct tensor_set *set, struct problems *problems)
{
    static atomic_bool said;
    const char *missing = tensor_set_text(set, "unconfined");
    if (missing && *missing && !atomic_exchange(&said, true))
        problem_warning(problems, (struct place){NULL, NULL},
                        "this kernel lacks %.60s: model files are read by a process that is less confined", missing);
}

static bool read_confined(struct tensor_set *set, const struct input *input, const char *path,
                          struct problems *problems)
{
    struct place place = {path, NULL};
    int error = 0, status = 0;
    *set = (struct tensor_set){0};
    int out = memfd_create("cellserve-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    pid_t pid = out < 0 ? -1 : start_helper(input, out, &error);
    if (pid < 0) {
        explain_start(out < 0 ? errno : error, place, problems);
        if (out >= 0)
            close(out);
        return false;
    }
    enum end end = wait_for(pid, &status);
    bool good = end == ENDED && WIFEXITED(status) && WEXITSTATUS(status) == HELPER_GOOD;
    if (!good)
        explain(end, status, out, place, problems);
    else if (fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)) {
        problem_error(problems, place, "what was read cannot be sealed: %s", strerror(errno));
        good = false;
    }
    good = good && safetensors_map(set, out, path, problems);
    close(out);
    if (good)
        warn_unconfined(set, problems);
    return good;
}

bool archive_open(struct tensor_set *set, int fd, const char *path, struct problems *problems)
{
    const struct input input = {.files = &fd, .n = 1};
    return read_confined(set, &input, path, problems);
}

bool archive_open_scaler(struct tensor_set *set, int fd, const char *path, struct problems *problems)
{
    const struct input input = {.files = &fd, .n = 1, .form = HELPER_SCALER};
    return read_confined(set, &input, path, problems);
}

bool archive_open_bundle(struct tensor_set *set, enum bundle_metadata kind, const int *files, size_t n,
                         const char *path, struct problems *problems)
{
    const struct input input = {.files = files, .n = n, .form = helper_forms[kind]};
    return read_confined(set, &input, path, problems);
}
