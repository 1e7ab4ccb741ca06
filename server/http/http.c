/* Start and stop of HTTP: the acceptor accepts connections, libmicrohttpd's epoll threads read and write (callbacks.c),
   workers compute. The reaper (connections.c) cuts slow clients. The library does not get the listening socket: after one
   EMFILE, ENFILE, ENOMEM or ENOBUFS it accepts nothing until a connection ends. */
#include "http.h"
#include "config/settings.h"
#include "server/run/request.h"
#include "server/run/services.h"

#include "access_log.h"
#include "descriptors.h"
#include "exchange.h"
#include "listener.h"
#include "server/base/clock.h"
#include "server/base/counters.h"
#include "server/base/log.h"

#include "tls.h"

#include <gnutls/abstract.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FILES_OF_A_THREAD = 3,  /* of each I/O thread but the first: its poller and how it is woken */
    ARRIVAL_MOST_MS = 1000, /* from the acceptor to an I/O thread */
    SETTLE_MS = 100,        /* when no new connection is let in, for the last packet of those that were begun */
    ARRIVED_MS = 20,        /* the wait for the I/O threads after that; http_connections looks again */
};

static void on_log(void *cls, const char *format, va_list args)
{
    char text[512];
    (void)cls;
    int n = vsnprintf(text, sizeof text, format, args);
    if (n > 0 && (size_t)n < sizeof text && text[n - 1] == '\n')
        text[n - 1] = 0;
    log_line(LOG_DEBUG, "http: %s", text);
}

static void on_panic(void *cls, const char *file, unsigned line, const char *reason)
{
    (void)cls;
    log_line(LOG_ERROR, "libmicrohttpd: %s:%u: %s", file, line, reason ? reason : "");
    log_stop();
    abort();
}

/* What the limit of open files allows. */
static bool share_descriptors(const struct services *services, struct descriptors *share, char *error,
                              size_t error_size)
{
    size_t wanted = (size_t)services->settings->max_connections;
    if (!descriptors_raise(wanted, FILES_OF_A_THREAD * (services->n_io_threads - 1), share)) {
        snprintf(error, error_size, "the limit of open files (ulimit -n) is %zu; at least %d are needed", share->limit,
                 DESCRIPTORS_RESERVE + DESCRIPTORS_LEAST);
        return false;
    }
    if (share->connections < wanted)
        log_line(
            LOG_WARN,
            "limits.max_connections is lowered from %zu to %zu: the limit of open files (ulimit -n) is %zu, and %d "
            "of them are kept for models and all else",
            wanted, share->connections, share->limit, DESCRIPTORS_RESERVE);
    return true;
}

/* The library wants certificates of its own; connections have theirs from tls.c before the handshake. */
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                          const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **certificates,
                          unsigned *n_certificates, gnutls_privkey_t *key)
{
    (void)session, (void)authorities, (void)n_authorities, (void)algorithms, (void)n_algorithms, (void)certificates;
    (void)n_certificates, (void)key;
    return -1;
}

static struct MHD_Daemon *start_daemon(struct io_thread *io, const struct descriptors *share)
{
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                           MHD_USE_NO_LISTEN_SOCKET | (io->http->tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)no_certificate},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priorities()},
                                   {MHD_OPTION_END, 0, NULL}};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, io, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)(share->connections + share->spare), MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MEMORY_BYTES,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, io, MHD_OPTION_NOTIFY_CONNECTION, on_connection, io,
        MHD_OPTION_CONNECTION_TIMEOUT, http_library_timeout_s(io->http->services->settings),
        MHD_OPTION_URI_LOG_CALLBACK, on_target, io, HTTP_STRICTNESS, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_ARRAY, io->http->tls ? tls : tls + 2, MHD_OPTION_END);
}

/* ---- connections from the acceptor ---- */

/* Connections that an I/O thread has or is about to have. */
static size_t load_of(const struct io_thread *io)
{
    return atomic_load_explicit(&io->counters->connections, memory_order_relaxed) + io->given;
}

static bool has_room(void *cls, int waited_ms)
{
    struct http *http = cls;
    size_t n = 0;
    for (size_t i = 0; i < http->n_io; i++) {
        if (waited_ms >= ARRIVAL_MOST_MS) /* what has not arrived by now was lost for want of memory */
            http->io[i].given = 0;
        n += load_of(&http->io[i]);
    }
    return n < http->connections.limits.most + http->connections.limits.spare;
}

/* The I/O thread that has the fewest gets the connection. */
static void give_connection(void *cls, int fd, const struct sockaddr *address, socklen_t size)
{
    struct http *http = cls;
    struct io_thread *least = http->io;
    for (size_t i = 1; i < http->n_io; i++)
        if (load_of(&http->io[i]) < load_of(least))
            least = &http->io[i];
    least->given++;
    if (MHD_add_connection(least->daemon, fd, address, size) != MHD_YES)
        io_thread_arrived(least); /* the library has closed it */
}

/* ---- arrivals ---- */

/* A connection counts only when it arrives at its I/O thread. Connections arrive in the order in which they were given.
   So the thread gets one more connection, whose other end has closed its sending side. When the library closes this
   connection, all earlier ones have arrived. */
static void mark_arrivals(struct io_thread *io)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
        return;
    shutdown(ends[0], SHUT_WR);
    io->mark = ends[0];
    MHD_add_connection(io->daemon, ends[1], (const struct sockaddr *)&address, sizeof address);
}

/* Whether all connections that were given before the mark have arrived. */
static bool have_arrived(struct io_thread *io, int most_ms)
{
    struct pollfd other_end = {.fd = io->mark, .events = 0}; /* POLLHUP is always told */
    if (io->mark >= 0 && poll(&other_end, 1, most_ms) > 0) {
        close(io->mark);
        io->mark = -1;
    }
    return io->mark < 0;
}

/* ---- start and end ---- */

static bool start_threads(struct http *http, const struct descriptors *share)
{
    for (size_t i = 0; i < http->n_io; i++) {
        http->io[i].daemon = start_daemon(&http->io[i], share);
        if (!http->io[i].daemon)
            return false;
    }
    http->acceptor = acceptor_start(http->listener, &http->target);
    return http->acceptor;
}

/* The parts that need no thread; false with a sentence in error. */
static bool prepare(struct http *http, const struct descriptors *share, char *error, size_t error_size)
{
    const struct services *services = http->services;
    const struct settings *settings = services->settings;
    size_t n = http->place.n_io;
    http->io = aligned_alloc(_Alignof(struct io_thread), n * sizeof *http->io);
    http->counters = aligned_alloc(_Alignof(struct io_counters), n * sizeof *http->counters);
    const struct connection_limits limits = {settings->read_timeout_ms, HTTP_IDLE_TIMEOUT_MS, share->connections,
                                             share->spare};
    if (!connections_init(&http->connections, n, &limits) || !http->io || !http->counters) {
        snprintf(error, error_size, "out of memory");
        return false;
    }
    http->n_io = n;
    for (size_t i = 0; i < n; i++) {
        http->counters[i] = (struct io_counters){.connections = 0};
        http->io[i] = (struct io_thread){.http = http, .index = i, .counters = &http->counters[i], .mark = -1};
    }
    http->listener = listener_open(http->place.host, http->place.port, http->place.mode, error, error_size);
    if (http->listener < 0)
        return false;
    listener_url(http->listener, http->tls ? "https" : "http", http->url, sizeof http->url);
    origin_setup(&http->origin, settings, http->place.host);
    http->target = (struct acceptor_target){http, has_room, give_connection};
    http->linger = linger_start(share->lingering);
    http->id_seed = (uint64_t)clock_ns() * 0xbf58476d1ce4e5b9u ^ (uint64_t)getpid() << 40;
    return true;
}

/* The admin listener has few connections and no part in the sharing of files. */
enum { ADMIN_CONNECTIONS = 16, ADMIN_SPARE = 4 };

static struct http *start_at(const struct services *services, const struct http_place *place, char *error,
                             size_t error_size)
{
    struct descriptors share = {.connections = ADMIN_CONNECTIONS, .spare = ADMIN_SPARE};
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    *http = (struct http){.services = services, .place = *place, .tls = services->tls, .listener = -1};
    if (!strncmp(place->host, "unix:", 5))
        http->tls = NULL;
    bool good = (place->admin || share_descriptors(services, &share, error, error_size)) &&
                prepare(http, &share, error, error_size);
    if (good) {
        if (!place->admin) {
            services->counters->io = http->counters;
            services->counters->n_io = http->n_io;
            services->counters->stages_cls = &http->connections;
            services->counters->stages = connections_stages;
        }
        good = start_threads(http, &share);
        if (!good)
            snprintf(error, error_size, "libmicrohttpd does not start (out of memory, files or threads?)");
    }
    if (good)
        return http;
    http_stop(http);
    return NULL;
}

static struct http_place admin_place(const struct settings *settings, char *path, size_t size)
{
    enum { OWNER_ALONE = 0600 };
    struct http_place place = {.host = *settings->admin_host ? settings->admin_host : "127.0.0.1",
                               .port = settings->admin_port,
                               .mode = OWNER_ALONE,
                               .n_io = 1,
                               .admin = true};
    if (*settings->admin_socket) {
        snprintf(path, size, "unix:%s", settings->admin_socket);
        place.host = path;
    }
    return place;
}

struct http *http_start(const struct services *services, char *error, size_t error_size)
{
    const struct settings *settings = services->settings;
    const struct http_place place = {.host = settings->host, .port = settings->port, .n_io = services->n_io_threads};
    access_log_setup();
    MHD_set_panic_func(on_panic, NULL);
    struct http *http = start_at(services, &place, error, error_size);
    if (!http || !settings_have_admin(settings))
        return http;
    const struct http_place admin = admin_place(settings, http->admin_path, sizeof http->admin_path);
    http->admin = start_at(services, &admin, error, error_size);
    if (http->admin)
        return http;
    http_stop(http);
    return NULL;
}

const char *http_admin_url(const struct http *http)
{
    return http->admin ? http->admin->url : NULL;
}

const char *http_url(const struct http *http)
{
    return http->url;
}

void http_reap(struct http *http)
{
    connections_reap(&http->connections, clock_ns());
    if (http->admin)
        connections_reap(&http->admin->connections, clock_ns());
}

/* The backlog is still ours: connections in it were accepted by the kernel. Then the socket is shut down, so that the kernel
   refuses new ones. */
void http_drain(struct http *http)
{
    connections_drain(&http->connections);
    if (http->quiesced)
        return;
    acceptor_stop(http->acceptor);
    http->acceptor = NULL;
    http->quiesced = true;
    listener_refuse_new(http->listener, http->place.host);
    acceptor_take_all(http->listener, &http->target, SETTLE_MS);
    shutdown(http->listener, SHUT_RDWR);
    for (size_t i = 0; i < http->n_io; i++)
        mark_arrivals(&http->io[i]);
    for (size_t i = 0; i < http->n_io; i++)
        have_arrived(&http->io[i], ARRIVED_MS);
}

size_t http_connections(struct http *http)
{
    size_t n = 0;
    for (size_t i = 0; i < http->n_io; i++)
        n += !have_arrived(&http->io[i], 0);
    return n + connections_count(&http->connections); /* looked at after the marks */
}

void http_leave(const struct http *http)
{
    if (!http->quiesced)
        listener_unlink(http->services->settings->host);
}

void http_stop(struct http *http)
{
    if (http->admin)
        http_stop(http->admin);
    if (!http->quiesced) {
        acceptor_stop(http->acceptor);
        if (http->listener >= 0)
            listener_unlink(http->place.host);
    }
    for (size_t i = 0; i < http->n_io; i++) {
        if (http->io[i].daemon)
            MHD_stop_daemon(http->io[i].daemon);
        if (http->io[i].mark >= 0)
            close(http->io[i].mark);
    }
    if (http->listener >= 0)
        close(http->listener);
    if (!http->place.admin) {
        http->services->counters->io = NULL;
        http->services->counters->n_io = 0;
        http->services->counters->stages = NULL;
    }
    connections_close(&http->connections);
    linger_stop(http->linger);
    free(http->io);
    free(http->counters);
    free(http);
}
