/* serve and check: runs the process from its start to the end of the drain. */
#include "cli.h"
#include "config/folder.h"
#include "ready_line.h"
#include "serve_access.h"
#include "server/api/debug_page.h"
#include "server/api/pages.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/platform.h"
#include "server/http/http.h"
#include "server/run/allowance.h"
#include "server/run/reload.h"
#include "server/run/server.h"
#include "server/session/session_store.h"

#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum {
    TICK_MS = 50,       /* the time between two checks of deadlines */
    PROGRESS_MS = 2000, /* the time between two lines about a long load */
    LOADING_MS = 5,     /* the time between two checks whether the models are loaded */
    RELOAD_MS = 200,    /* at the end, the wait for a load that is nearly done */
    HURRY_MS = 2000,    /* after a second signal, the process ends within this time */
    FLUSH_MS = 1000,    /* after the drain's time, the wait for the answers of cancelled requests */
};

/* Wait for a signal, at most for the given time. Returns 0 if no signal came. */
static int wait_signal(const sigset_t *signals, int most_ms)
{
    const struct timespec tick = {0, (long)most_ms * NS_PER_MS};
    int signal = sigtimedwait(signals, NULL, &tick);
    return signal > 0 ? signal : 0;
}

/* Logs the numbers of refused requests, at most once a second. */
static void log_refused(struct counters *counters)
{
    static int64_t next_ns;
    int64_t now = clock_ns();
    if (now < next_ns)
        return;
    size_t refused = atomic_exchange(&counters->refused, 0), limited = atomic_exchange(&counters->limited, 0);
    if (refused)
        log_line(LOG_WARN, "%zu prediction%s refused with 503 (debug shows each)", refused,
                 refused == 1 ? " was" : "s were");
    if (limited)
        log_line(LOG_WARN,
                 "%zu request%s refused with 429: the key exceeded its rate (debug shows each; "
                 "cellserve_key_requests_total counts them by key)",
                 limited, limited == 1 ? " was" : "s were");
    if (refused || limited)
        next_ns = now + 1000 * (int64_t)NS_PER_MS;
}

static int tick(struct server *server, struct http *http, struct reload *reload, const sigset_t *signals)
{
    int signal = wait_signal(signals, TICK_MS);
    http_reap(http);
    log_refused(&server->counters);
    pool_expire(&server->pool, clock_ns(), false);
    turns_expire(&server->turns, clock_ns(), server->lifecycle.cancel);
    allowance_trim(&server->memory, session_store_expire(server->services.sessions), clock_ns());
    streams_tick(&server->streams, clock_ns() - server->services.settings->heartbeat_ms * NS_PER_MS,
                 server->lifecycle.cancel);
    if (signal == SIGHUP && reload)
        reload_all(reload);
    if (signal == SIGUSR1)
        debug_page_log(&server->services);
    if (signal == SIGHUP)
        serve_access_again();
    return signal == SIGTERM || signal == SIGINT ? signal : 0;
}

/* Queued and running requests end with 503, and their answers are sent. */
static void cancel_rest(struct server *server, struct http *http, const sigset_t *signals)
{
    int64_t end = clock_ns() + FLUSH_MS * (int64_t)NS_PER_MS;
    log_line(LOG_WARN, "the time to drain is over: requests that still run get 503");
    server->lifecycle.cancel = true;
    pool_expire(&server->pool, 0, true);
    while (http_connections(http) && clock_ns() < end)
        tick(server, http, NULL, signals);
}

static void drain(struct server *server, struct http *http, const sigset_t *signals, int signal)
{
    const struct settings *settings = server->services.settings;
    int64_t delay = signal == SIGTERM ? settings->drain_delay_ms : 0, now = clock_ns();
    int64_t quiet = now + delay * NS_PER_MS, end = quiet + settings->drain_timeout_ms * NS_PER_MS;
    bool listening = true;
    log_line(LOG_INFO, "draining: new requests are accepted for %lld ms more", (long long)delay);
    server->lifecycle.state = SERVER_DRAINING;
    for (;; now = clock_ns()) {
        if (listening && now >= quiet) {
            http_drain(http);
            listening = false;
        }
        if (now >= end || (!listening && !http_connections(http)))
            break;
        if (tick(server, http, NULL, signals)) {
            log_line(LOG_INFO, "second signal: ending within %d ms", HURRY_MS);
            quiet = now;
            end = now + (HURRY_MS - FLUSH_MS) * (int64_t)NS_PER_MS;
        }
    }
    if (listening)
        http_drain(http);
    if (http_connections(http))
        cancel_rest(server, http, signals);
}

/* Logs which model is being loaded: when the load begins, and then every two seconds. */
static void say_loading(const struct server *server)
{
    static size_t said;
    static int64_t began_ns, next_ns;
    const struct models *models = &server->models;
    size_t now = models->loading, n = server->services.settings->n_models;
    int64_t time = clock_ns();
    if (!now || (now == said && time < next_ns))
        return;
    const struct model_entry *entry = &server->services.settings->models[now - 1];
    if (now != said) {
        char size[32];
        model_size_text(entry, size, sizeof size);
        log_line(LOG_INFO, "loading model %s (%zu of %zu) from %s%s%s", model_entry_name(entry), now, n,
                 entry->path ? entry->path : "the configuration", *size ? ", " : "", size);
        began_ns = time;
    } else {
        log_line(LOG_INFO, "loading model %s (%zu of %zu) for %lld s", model_entry_name(entry), now, n,
                 (long long)((time - began_ns) / ((int64_t)1000 * NS_PER_MS)));
    }
    said = now;
    next_ns = time + PROGRESS_MS * (int64_t)NS_PER_MS;
}

/* Random weights are useful only for trials, so they are a warning. */
static void warn_untrained(const struct models *models)
{
    for (size_t i = 0; i < models->n_slots; i++) {
        const struct model *model = models->slots[i].current;
        if (model && !model->has_weights_file)
            log_line(LOG_WARN,
                     "model %s has no file of weights: its weights are random numbers of the initializers (seed %llu)",
                     model->name, (unsigned long long)models->slots[i].entry->seed);
    }
}

/* The thread that loads the models, so that the main thread can handle signals meanwhile. */
struct loading {
    struct server *server;
    struct problems *problems;
    size_t scratch_bytes;
    bool good;
    atomic_bool done;
};

static void *load_models(void *argument)
{
    struct loading *loading = argument;
    loading->good = models_load(&loading->server->models, loading->problems, &loading->scratch_bytes);
    allowance_give_back(); /* the memory of configurations and files that have been read */
    loading->done = true;
    return NULL;
}

/* Loading cannot be cancelled. Its thread ends with the process, and so does a helper process. */
static _Noreturn void leave_a_load(void)
{
    log_line(LOG_INFO, "ended while a model was being loaded");
    log_stop();
    _exit(EXIT_GOOD);
}

/* Load the models and start the workers. Does not return if a signal ends the process meanwhile. */
static bool bring_up(struct server *server, struct http *http, struct allowance *allowance, struct problems *problems)
{
    struct loading loading = {.server = server, .problems = problems};
    sigset_t ends;
    pthread_t thread;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT); /* SIGHUP is blocked until the models are loaded */
    if (pthread_create(&thread, NULL, load_models, &loading)) {
        problem_error(problems, (struct place){NULL, NULL}, "cannot start a thread to load models");
        return false;
    }
    while (!loading.done) {
        if (wait_signal(&ends, LOADING_MS)) {
            pthread_detach(thread);
            http_leave(http);
            leave_a_load();
        }
        http_reap(http);
        say_loading(server);
    }
    pthread_join(thread, NULL);
    if (!loading.good)
        return false;
    warn_untrained(&server->models);
    if (!pool_start(&server->pool, server->services.n_workers, server->services.settings->pin,
                    (size_t)server->services.settings->max_queue, loading.scratch_bytes)) {
        problem_error(problems, (struct place){NULL, NULL}, "cannot start %zu workers with %zu bytes of memory each",
                      server->services.n_workers, loading.scratch_bytes);
        return false;
    }
    allowance_settle(allowance, &server->services);
    server->lifecycle.state = SERVER_READY;
    return true;
}

/* Compute the limits of memory again, after other versions of models have begun to serve. */
struct remainder {
    struct allowance *allowance;
    const struct services *services;
};

static void settle_again(void *context)
{
    const struct remainder *remainder = context;
    allowance_give_back(); /* the memory that loading needed */
    allowance_settle(remainder->allowance, remainder->services);
}

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* One I/O thread can feed about four CPUs of workers with small requests, and more with large requests. */
static size_t io_threads(const struct settings *settings, size_t cpus)
{
    enum { CPUS_OF_A_THREAD = 4 };
    size_t n = settings->io_threads ? (size_t)settings->io_threads : cpus / CPUS_OF_A_THREAD;
    return n ? n : 1;
}

/* Serve until the drain is over. Does not return if a model is being loaded at the end. */
static void serve_requests(struct server *server, struct http *http, struct allowance *allowance,
                           const sigset_t *signals)
{
    const struct services *services = &server->services;
    struct remainder remainder = {allowance, services};
    int signal;
    log_ready(server, http_url(http), allowance);
    if (http_admin_url(http))
        log_line(LOG_INFO, "the admin listener is at %s", http_admin_url(http));
    struct reload *reload = reload_start(&server->models, settle_again, &remainder);
    if (!reload)
        log_line(LOG_ERROR,
                 "the thread that loads new versions cannot be started: SIGHUP and \"watch\" have no effect");
    while (!(signal = tick(server, http, reload, signals)))
        ;
    drain(server, http, signals, signal);
    session_store_stop(services->sessions); /* requests that wait for the store go to the pool */
    pool_end(&server->pool);
    if (!reload_stop(reload, RELOAD_MS))
        leave_a_load();
}

static int serve(struct cli *cli, const struct vec_ops *kernels)
{
    struct server server;
    struct pages pages = {.started = false};
    char error[256] = "";
    sigset_t signals;
    int code = EXIT_BAD_INPUT;
    block_signals(&signals); /* before any thread is started, because threads inherit this setting */
    log_start();
    json_object_seed(0);
    struct allowance allowance = allowance_find("", (size_t)cli->settings.workers);
    allowance_share(&allowance, &cli->settings);
    server_init(&server, &cli->settings, kernels,
                cli->settings.workers ? (size_t)cli->settings.workers : allowance.cpus);
    server.services.n_io_threads = io_threads(&cli->settings, allowance.cpus);
    const struct services *services = &server.services;
    server.services.pages = &pages;
    if (!serve_access_open(&server.services, &cli->problems)) {
        log_problems(&cli->problems);
        serve_access_close(&server.services);
        server_close(&server);
        log_stop();
        return EXIT_BAD_INPUT;
    }
    server.services.sessions = session_store_open(&cli->settings, error, sizeof error);
    if (services->sessions && !pages_start(&pages))
        snprintf(error, sizeof error, "cannot start a thread");
    struct http *http = pages.started ? http_start(services, error, sizeof error) : NULL;
    if (!http) {
        problem_error(&cli->problems, (struct place){cli->settings.file, NULL}, "%s", error);
        log_problems(&cli->problems);
    } else {
        bool up = bring_up(&server, http, &allowance, &cli->problems);
        log_problems(&cli->problems);
        if (up)
            serve_requests(&server, http, &allowance, &signals);
        pages_stop(&pages);
        http_stop(http);
        if (up)
            log_line(LOG_INFO, "ended");
        code = up ? EXIT_GOOD : EXIT_BAD_INPUT;
    }
    pages_close(&pages);
    serve_access_close(&server.services);
    session_store_close(services->sessions);
    server_close(&server);
    log_stop();
    return code;
}

/* Add the model at a path, or each model in a folder. The first model of all is the default. Returns false if out of
   memory. */
static bool add_models(struct cli *cli, const char *path)
{
    struct folder folder = {.n = 0};
    bool several = folder_of_models(path), good = true;
    size_t n = several && folder_read(&folder, path, &cli->problems) ? folder.n : !several;
    for (size_t i = 0; good && i < n; i++) {
        size_t before = cli->settings.n_models;
        cli->positional = several ? folder.models[i].path : path;
        good = cli_add_model(cli);
        if (!good)
            break;
        struct model_entry *entry = &cli->settings.models[before];
        if (several)
            settings_name_model(&cli->settings, folder.models[i].name, folder.models[i].path, &cli->problems);
        else if (!strcmp(entry->name, "default") && !strstr(path, "default"))
            problem_warning(&cli->problems, (struct place){path, NULL},
                            "its name cannot stand in a URL; it is served as \"default\" (--name gives another)");
        for (size_t k = 0; k < before; k++)
            entry->is_default = entry->is_default && !cli->settings.models[k].is_default;
    }
    folder_close(&folder);
    return good;
}

/* Add every MODEL of the command line, or the model of the platform; --name renames a single model. */
static void add_given(struct cli *cli, const char *name)
{
    const char *first = cli->positional;
    if (!first && !cli->settings.n_models)
        first = platform_model();
    bool good = !first || add_models(cli, first);
    for (size_t i = 0; good && i < cli->n_more; i++)
        good = add_models(cli, cli->more[i]);
    cli->positional = first;
    if (!good)
        problem_error(&cli->problems, (struct place){NULL, NULL}, "out of memory");
    else if (first && cli->settings.n_models == 1 && (name || platform_model_name()))
        settings_name_model(&cli->settings, name ? name : platform_model_name(), name ? "--name" : "MODEL_NAME",
                            &cli->problems);
    else if (name)
        problem_error(&cli->problems, (struct place){"--name", NULL}, "expected one MODEL, found %zu models",
                      cli->settings.n_models);
}

int command_serve(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    const char *name = NULL;
    const struct cli_flag flags[] = {{"--name", &name}, {NULL, NULL}};
    int code = cli_read(&cli, command, flags, argc, argv);
    if (code < 0) {
        add_given(&cli, name);
        settings_check(&cli.settings, &cli.problems);
        const struct vec_ops *kernels = cli_kernels(&cli.problems);
        log_setup(cli.settings.log_format, cli.settings.log_level);
        if (cli.problems.all_errors)
            log_problems(&cli.problems);
        code = cli.problems.all_errors ? EXIT_BAD_INPUT : serve(&cli, kernels);
    }
    cli_close(&cli);
    return code;
}

int command_check(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0 && !cli.settings.file)
        code = cli_bad_usage(command, "--config FILE is missing", NULL);
    if (code < 0) {
        settings_check(&cli.settings, &cli.problems);
        struct models models = {.settings = &cli.settings, .vec = cli_kernels(&cli.problems)};
        size_t scratch_bytes;
        serve_access_check(&cli.settings, &cli.problems);
        bool good = models.vec && models_load(&models, &cli.problems, &scratch_bytes);
        code = cli_problems(&cli.problems);
        if (code == EXIT_GOOD && !good)
            code = EXIT_BAD_INPUT;
        if (code == EXIT_GOOD)
            printf("%s: %zu model%s, no problem found\n", cli.settings.file, models.n_slots,
                   models.n_slots == 1 ? "" : "s");
        models_close(&models);
    }
    cli_close(&cli);
    return code;
}
