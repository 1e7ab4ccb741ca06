/* The callbacks that libmicrohttpd calls in its thread. They hand an exchange to a worker and take it back. A
   connection whose request waits for a worker is suspended, so no thread waits for it. */
#include "access_log.h"
#include "client.h"
#include "config/settings.h"
#include "epoll.h"
#include "exchange.h"
#include "server/api/metrics_page.h"
#include "server/api/routes.h"
#include "server/base/clock.h"
#include "server/base/counters.h"
#include "server/base/cpus.h"
#include "server/run/services.h"
#include "server/run/stream.h"
#include "tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SWALLOW_BYTES = 1 << 18, /* the body of a refused request is read up to this size, so that the connection can be
                                kept */
    ASK_EVERY_MS = 1000,     /* whether a half-closed client is there, while its answer is computed */
};

unsigned http_library_timeout_s(const struct settings *settings)
{
    int64_t ms = settings->read_timeout_ms > HTTP_IDLE_TIMEOUT_MS ? settings->read_timeout_ms : HTTP_IDLE_TIMEOUT_MS;
    return (unsigned)(ms / 1000) + 1;
}

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static enum MHD_Result begin_request(struct exchange *x, struct MHD_Connection *mhd, const char *method,
                                     const char *version)
{
    x->begun = true;
    x->mhd = mhd;
    x->interim = !strcmp(version, MHD_HTTP_VERSION_1_1);
    if (!x->connection)
        return MHD_NO;
    bool good = exchange_check_head(x, method, version);
    bool small = x->head.has_length ? x->head.length <= SWALLOW_BYTES : !x->head.chunked;
    connection_stage(&x->http->connections, x->connection, STAGE_BODY, 0);
    if (!good && (x->request.answer.close || !small)) {
        x->request.answer.close = true;
        x->connection->unread = x->head.chunked || x->head.has_length;
        return exchange_answer(x); /* on the first call: the connection ends, and the body is not read */
    }
    return MHD_YES;
}

static void resume_connection(struct request *request)
{
    MHD_resume_connection(exchange_of(request)->mhd);
}

/* The request has been answered, or cannot be answered any more. */
static void complete_exchange(struct exchange *x)
{
    if (x->answered) {
        metrics_count_request(x->http->services->metrics, &x->request);
        log_request(&x->request);
        if (request_was_refused(&x->request))
            x->http->services->counters->refused++;
        if (request_was_limited(&x->request))
            x->http->services->counters->limited++;
    }
    request_close(&x->request);
    free(x);
}

/* The worker has finished with the request. The reader of a stream may have ended before or may continue. */
static void worker_done(struct request *request)
{
    if (!request->stream)
        resume_connection(request);
    else if (stream_writer_leaves(request->stream))
        complete_exchange(exchange_of(request));
}

/* A client that has closed its sending side may still wait for its answer. As long as nothing was sent, an interim
   answer is sent now and then, to find out. */
static bool is_gone(struct request *request)
{
    struct exchange *x = exchange_of(request);
    enum client_state state = client_state(x->connection->fd);
    int64_t now = clock_ns(), asked_ns = x->asked_ns ? x->asked_ns : request->timing.started;
    bool begun = request->stream && request->stream->begun;
    if (state == CLIENT_HALF_CLOSED && x->interim && !begun && now > asked_ns + ASK_EVERY_MS * (int64_t)NS_PER_MS) {
        x->asked_ns = now;
        client_ask(x->connection);
    }
    return state == CLIENT_GONE;
}

static enum MHD_Result dispatch_request(struct exchange *x)
{
    struct request *request = &x->request;
    x->whole = true;
    request->done = worker_done;
    request->wake = resume_connection;
    request->gone = is_gone;
    if (!exchange_trailers_fit(x) || request->answer.status)
        return exchange_answer(x);
    if (!route_waits(request->route)) {
        route_dispatch(request);
        return exchange_answer(x);
    }
    /* Suspend first, because the other thread may finish before route_dispatch returns. */
    connection_stage(&x->http->connections, x->connection, STAGE_WAIT, 0);
    x->suspended = true;
    exchange_end_library_timeout(x); /* libmicrohttpd 1.0 sets none once it is suspended */
    MHD_suspend_connection(x->mhd);
    if (!route_dispatch(request))
        MHD_resume_connection(x->mhd);
    return MHD_YES;
}

void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct io_thread *io = cls;
    struct http *http = io->http;
    struct exchange *x = calloc(1, sizeof *x);
    struct connection *connection = connection_of(mhd);
    if (connection)
        connection_stage(&http->connections, connection, STAGE_HEAD, 0);
    if (!x)
        return NULL;
    x->http = http;
    x->io = io;
    x->connection = connection; /* also if the library refuses the head: on_completed ends the use of the connection */
    if (!request_init(&x->request, http->services, target)) {
        free(x);
        return NULL;
    }
    x->request.route = route_none();
    x->request.head.admin = http->place.admin;
    return x;
}

enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *upload, size_t *upload_bytes, void **context)
{
    struct exchange *x = *context;
    (void)cls, (void)url;
    if (!x)
        return MHD_NO;
    if (!x->begun)
        return begin_request(x, mhd, method, version);
    if (*upload_bytes)
        return exchange_take_body(x, upload, upload_bytes);
    return x->whole ? exchange_answer(x) : dispatch_request(x);
}

/* If the client closed its sending side together with its request, libmicrohttpd has missed this event, and would keep
   the connection. */
static void show_end(int fd)
{
    if (client_state(fd) == CLIENT_HALF_CLOSED)
        shutdown(fd, SHUT_RD); /* the event again */
}

void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
    const struct io_thread *io = cls;
    struct http *http = io->http;
    struct exchange *x = *context;
    if (!x)
        return;
    *context = NULL;
    atomic_fetch_add_explicit(&io->counters->requests, 1, memory_order_relaxed);
    if (x->connection && !x->begun && code == MHD_REQUEST_TERMINATED_WITH_ERROR)
        x->connection->unread = true; /* the library has refused a head that is not whole */
    if (x->connection && code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        connection_leave(x->connection);
    if (x->connection && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        connection_stage(&http->connections, x->connection, STAGE_IDLE, 0);
        MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, http_library_timeout_s(http->services->settings));
        if (!x->suspended)
            show_end(x->connection->fd);
    }
    if (!x->request.stream || stream_reader_leaves(x->request.stream))
        complete_exchange(x);
}

/* The first callback in libmicrohttpd's thread. Probes, refusals and answers wait for this thread, so it asks for short
   time slices. */
static void tune_thread(const struct io_thread *io)
{
    static _Thread_local bool tuned;
    char name[16];
    if (tuned)
        return;
    tuned = true;
    cpus_wake_soon();
    snprintf(name, sizeof name, "io-%zu", io->index);
    pthread_setname_np(pthread_self(), name);
}

/* Before the handshake. */
static bool begin_tls(struct http *http, struct MHD_Connection *mhd, struct connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    void *session = info ? info->tls_session : NULL;
    pthread_mutex_lock(&connection->table->lock); /* the table is looked through from now on */
    connection->tls = session;
    pthread_mutex_unlock(&connection->table->lock);
    if (session)
        tls_output_begin(&connection->output, session, connection->fd);
    connection->credentials = session ? tls_enter(http->tls, session) : NULL;
    return connection->credentials;
}

/* One connection more or less. */
static void count_connection(struct io_thread *io, size_t change)
{
    size_t n = atomic_fetch_add_explicit(&io->counters->connections, change, memory_order_relaxed) + change;
    epoll_yield_first(io->http->n_io > 1 && n > 1);
}

void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                   enum MHD_ConnectionNotificationCode code)
{
    struct io_thread *io = cls;
    struct http *http = io->http;
    tune_thread(io);
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        /* one after the other: libmicrohttpd 1.0 has one place for all that it tells of a connection */
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        uint64_t address = connection_address(info ? info->client_addr : NULL);
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info ? connection_open(&http->connections, io->index, info->connect_fd, address) : NULL;
        if (*socket_context && http->tls && !begin_tls(http, mhd, *socket_context))
            shutdown(((struct connection *)*socket_context)->fd, SHUT_RDWR);
        count_connection(io, 1);
        io_thread_arrived(io);
    } else {
        struct connection *connection = *socket_context;
        if (connection && connection->unread && http->linger)
            linger_add(http->linger, connection->fd);
        struct tls_credentials *credentials = connection ? connection->credentials : NULL;
        if (connection) {
            tls_output_end(&connection->output);
            connection_close(&http->connections, connection);
        }
        *socket_context = NULL;
        tls_leave(credentials);
        count_connection(io, (size_t)-1);
    }
}
