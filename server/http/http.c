/* HTTP: libmicrohttpd's epoll thread reads and writes, workers compute. A request that waits for a worker is suspended:
   no thread holds it. Heads are checked beyond what the library does, and slow clients are cut by the reaper. */
#include "http.h"

#include "client.h"
#include "connections.h"
#include "descriptors.h"
#include "http_check.h"
#include "linger.h"
#include "server/api/routes.h"
#include "server/api/session_find.h"
#include "server/base/clock.h"
#include "server/base/cpus.h"
#include "server/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 32768,      /* most of a request's head */
    HEAD_FIELDS = 257,       /* one more than a head may have */
    BODY_BYTES = 1 << 18,    /* room for a body that says its length, at first; a longer one grows */
    SWALLOW_BYTES = 1 << 18, /* a refused request's body up to this size is read, so that the connection lives on */
    IDLE_TIMEOUT_MS = 65000, /* a kept-alive connection; longer than proxies keep theirs */
    ASK_EVERY_MS = 1000,     /* whether a half-closed client is there, while its answer is computed */
    UNSENT_BYTES = 1 << 18,  /* of an answer, most that lie in the kernel and were not sent */
};

/* How strict the library is. 1 refuses what can smuggle; 2 would refuse an empty line before a request, which RFC 9112
   (2.2) wants skipped. Before 0.9.77 strictness is two checks that http_check.c makes too (Host, spaces in the target),
   and the library's answer to a missing Host has two heads. Those releases also take chunks and trailers that end where
   no other reader ends them, so a connection ends with the answer to a chunked request. */
#if MHD_VERSION >= 0x00097701
#define STRICTNESS MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1
enum { CHUNKS_ARE_STRICT = true };
#else
#define STRICTNESS MHD_OPTION_STRICT_FOR_CLIENT, 0
enum { CHUNKS_ARE_STRICT = false };
#endif

struct http {
    struct MHD_Daemon *daemon;
    struct server *server;
    struct connections connections;
    struct lingerers *linger;
    char url[128];
    int listener;
    bool quiesced; /* the library has handed the listening socket back */
    _Atomic uint64_t next_id;
    uint64_t id_seed;
};

/* One request on its connection. */
struct exchange {
    struct request request;
    struct http *http;
    struct MHD_Connection *mhd;
    struct connection *connection;
    struct head_body head;
    bool begun, whole, answered, untimed, suspended;
    bool interim; /* HTTP/1.1: it may be sent interim answers */
    int64_t asked_ns;
    bool idle;       /* of a stream: nothing is being sent */
    bool head_lacks; /* a field of the answer's head: there was no memory for it */
};

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* ---- answers ---- */

/* A head without one of its fields would say something else of the body: such an answer does not go out. */
static void add_header(struct exchange *x, struct MHD_Response *response, const char *name, const char *value)
{
    if (value && *value && MHD_add_response_header(response, name, value) != MHD_YES)
        x->head_lacks = true;
}

/* name and milliseconds to the microsecond, "queue;dur=0.012". The heads of every request are written without the
   machinery of printf, which costs half a microsecond a call. */
static char *put_timing(char *out, const char *name, int64_t ns)
{
    uint64_t us = ns > 0 ? ((uint64_t)ns + 500) / 1000 : 0;
    char digits[24], *first = digits + sizeof digits;
    for (int n = 0; n < 4 || us; n++, us /= 10) {
        if (n == 3)
            *--first = '.';
        *--first = (char)('0' + us % 10);
    }
    out = stpcpy(stpcpy(out, name), ";dur=");
    return (char *)mempcpy(out, first, (size_t)(digits + sizeof digits - first));
}

static void add_timing(struct exchange *x, struct MHD_Response *response)
{
    const struct request_timing *t = &x->request.timing;
    char text[160], *out = put_timing(text, "queue", t->queue);
    out = put_timing(stpcpy(out, ", "), "decode", t->decode);
    out = put_timing(stpcpy(out, ", "), "compute", t->compute);
    out = put_timing(stpcpy(out, ", "), "encode", t->encode);
    *out = 0;
    add_header(x, response, "Server-Timing", text);
}

/* As much of a text as fits. */
static void copy_text(char *to, size_t size, const char *from)
{
    *(char *)mempcpy(to, from, strnlen(from, size - 1)) = 0;
}

static struct exchange *exchange_of(struct request *request)
{
    return (struct exchange *)((char *)request - offsetof(struct exchange, request));
}

static enum MHD_Result queue(struct exchange *x, struct MHD_Response *response)
{
    enum MHD_Result result = x->head_lacks ? MHD_NO : MHD_queue_response(x->mhd, (unsigned)x->request.status, response);
    MHD_destroy_response(response);
    x->answered = result == MHD_YES;
    return result;
}

static void suspend(struct request *request)
{
    struct exchange *x = exchange_of(request);
    connection_stage(&x->http->connections, x->connection, STAGE_WAIT, 0);
    x->idle = true;
    MHD_suspend_connection(x->mhd);
}

/* The library asks for more of a stream. */
static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t size)
{
    struct exchange *x = cls;
    (void)position;
    ssize_t n = stream_read(x->request.stream, out, size, suspend);
    if (n > 0 && x->idle)
        connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, (uint64_t)n);
    x->idle = x->idle && n <= 0;
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

/* The library's timeout for all connections but those that are being answered: it looks at connections with a timeout of
   their own in every turn of its loop, so that hundreds of them would slow it down. Bodies are the reaper's to cut. */
static unsigned library_timeout_s(const struct settings *settings)
{
    int64_t ms = settings->read_timeout_ms > IDLE_TIMEOUT_MS ? settings->read_timeout_ms : IDLE_TIMEOUT_MS;
    return (unsigned)(ms / 1000) + 1;
}

/* From here on the reaper alone cuts: the library does not see what a slow reader takes out of the kernel. And when a
   connection without a timeout is resumed, the library asks for the answer before it reads, so that it does not close
   a connection whose client has closed its side. */
static void end_library_timeout(struct exchange *x)
{
    if (!x->untimed)
        MHD_set_connection_option(x->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    x->untimed = true;
}

/* The worker may be writing already, so of the request only what was set before that is looked at. */
static enum MHD_Result answer_stream(struct exchange *x)
{
    enum { BLOCK_BYTES = 16384 };
    struct request *request = &x->request;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, x, NULL);
    if (!response)
        return MHD_NO;
    add_header(x, response, "Content-Type", request->answer_type);
    add_header(x, response, "X-Request-Id", request->id);
    add_header(x, response, "Cache-Control", "no-cache");
    add_header(x, response, "X-Accel-Buffering", "no"); /* nginx: pass it on as it comes */
    if (request->close || request->server->state == SERVER_DRAINING)
        add_header(x, response, "Connection", "close");
    connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, UINT64_MAX);
    x->idle = true;
    end_library_timeout(x);
    log_stream(request);
    return queue(x, response);
}

/* The text of the answer lives in the request until the library has sent it. */
static enum MHD_Result answer(struct exchange *x)
{
    struct request *request = &x->request;
    if (request->stream)
        return answer_stream(x);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(request->text_bytes, (void *)(uintptr_t)request->text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    add_header(x, response, "Content-Type", request->answer_type);
    add_header(x, response, "X-Request-Id", request->id);
    add_header(x, response, "Allow", request->allow);
    if (request->answer_gzip)
        add_header(x, response, "Content-Encoding", "gzip");
    if (request->prediction)
        add_header(x, response, "Vary", "Accept-Encoding");
    if (request->answer_json_bytes) {
        char bytes[24];
        snprintf(bytes, sizeof bytes, "%zu", request->answer_json_bytes);
        add_header(x, response, "Inference-Header-Content-Length", bytes);
    }
    if (request->retry_later)
        add_header(x, response, "Retry-After", "1");
    if (request->prediction)
        add_timing(x, response);
    if (request->close || request->server->state == SERVER_DRAINING)
        add_header(x, response, "Connection", "close");
    connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, request->text_bytes);
    end_library_timeout(x);
    return queue(x, response);
}

/* ---- the head ---- */

struct field_list {
    struct head_field fields[HEAD_FIELDS];
    size_t n;
};

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_bytes,
                                 const char *value, size_t value_bytes)
{
    struct field_list *list = cls;
    (void)kind;
    if (list->n == HEAD_FIELDS)
        return MHD_NO;
    list->fields[list->n++] = (struct head_field){name, value ? value : "", name_bytes, value ? value_bytes : 0};
    return MHD_YES;
}

/* 16 hexadecimal digits. */
static void make_id(char *out, uint64_t number)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[number >> shift & 15];
    *out = 0;
}

/* The client's own id where it is visible ASCII of at most 128 characters, else one of ours. */
static void set_request_id(struct exchange *x)
{
    struct request *request = &x->request;
    const char *own = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "X-Request-Id");
    size_t n = own ? strlen(own) : 0;
    while (n && (own[n - 1] == ' ' || own[n - 1] == '\t'))
        n--;
    bool usable = n > 0 && n < sizeof request->id;
    for (size_t i = 0; usable && i < n; i++)
        usable = own[i] > 0x20 && own[i] < 0x7f;
    if (usable)
        *(char *)mempcpy(request->id, own, n) = 0;
    else
        make_id(request->id, x->http->id_seed + x->http->next_id++ * 0x9e3779b97f4a7c15u);
}

/* JSON, nothing, or what curl -d says by itself. */
static bool check_content_type(struct request *request)
{
    const char *const taken[] = {"", "application/json", "application/x-www-form-urlencoded",
                                 request->route->binary_type ? request->route->binary_type : ""};
    size_t n = strcspn(request->content_type, "; \t");
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strlen(taken[i]) == n && !strncasecmp(taken[i], request->content_type, n))
            return true;
    answer_error(request, 415, "unsupported_media_type", "Content-Type must be application/json%s%s.",
                 request->route->binary_type ? " or " : "",
                 request->route->binary_type ? request->route->binary_type : "");
    return false;
}

/* Beyond the connections that are served, only probes are answered, one on each. */
static bool may_be_served(struct exchange *x)
{
    struct connections *connections = &x->http->connections;
    struct request *request = &x->request;
    if (!connection_is_spare(connections, x->connection))
        return true;
    request->close = true;
    if (request->route->kind != ROUTE_PROBE)
        answer_error(request, 503, "too_many_connections",
                     "More than %zu connections are open (limits.max_connections); try again.",
                     connections->limits.most);
    return !request->status;
}

static bool body_refused(struct request *request)
{
    request_drop_body(request); /* what comes of it yet is not kept */
    answer_error(request, 503, "overloaded",
                 "The bodies that are being sent from your address take half of limits.max_inflight_bytes; try again.");
    return false;
}

/* For a body whose length is known. */
static bool has_room(struct exchange *x)
{
    return !x->head.has_length ||
           connection_may_hold(&x->http->connections, x->connection, (size_t)x->head.length,
                               x->request.memory.memory) ||
           body_refused(&x->request);
}

/* Everything that can be refused before the body is read. */
static bool check_request(struct exchange *x, const char *method, const char *version)
{
    struct request *request = &x->request;
    struct server *server = request->server;
    struct failure failure = {.status = 0};
    struct field_list list = {.n = 0};
    copy_text(request->method, sizeof request->method, method);
    set_request_id(x);
    int n = MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, add_field, &list);
    if (n >= HEAD_FIELDS) {
        request->close = true;
        answer_error(request, 431, "too_many_headers", "The request has more than %d header fields.", HEAD_FIELDS - 1);
        return false;
    }
    struct head head = {method, request->target, version, list.fields, list.n};
    if (!http_check_head(&head, (uint64_t)server->settings->max_body_bytes, &x->head, &failure)) {
        request->close = true; /* where the body begins and ends is not certain */
        answer_failure(request, &failure);
        return false;
    }
    request->close = x->head.chunked && !CHUNKS_ARE_STRICT;
    request->gzip = x->head.gzip;
    request->has_json_bytes = x->head.has_json_bytes;
    request->json_bytes = (size_t)x->head.json_bytes;
    request->accepts_gzip = x->head.accepts_gzip;
    request->wants_npy = x->head.wants_npy;
    request->stream_form = x->head.wants_events ? STREAM_EVENTS : x->head.wants_lines ? STREAM_LINES : STREAM_NONE;
    if (x->head.timeout_ms && x->head.timeout_ms < (uint64_t)request->timeout_ms)
        request->timeout_ms = (int64_t)x->head.timeout_ms;
    const char *type = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "Content-Type");
    copy_text(request->content_type, sizeof request->content_type, type ? type : "");
    if (!route_request(request))
        return false;
    return may_be_served(x) && (request->route->kind != ROUTE_WORKER ||
                                (check_content_type(request) &&
                                 route_admit(request, x->head.has_length ? x->head.length : 0) && has_room(x)));
}

static enum MHD_Result begin(struct exchange *x, struct MHD_Connection *mhd, const char *method, const char *version)
{
    x->begun = true;
    x->mhd = mhd;
    x->connection = connection_of(mhd);
    x->interim = !strcmp(version, MHD_HTTP_VERSION_1_1);
    if (!x->connection)
        return MHD_NO;
    bool good = check_request(x, method, version);
    bool small = x->head.has_length ? x->head.length <= SWALLOW_BYTES : !x->head.chunked;
    connection_stage(&x->http->connections, x->connection, STAGE_BODY, 0);
    if (!good && (x->request.close || !small)) {
        x->request.close = true;
        x->connection->unread = x->head.chunked || x->head.has_length;
        return answer(x); /* on the first call: the connection ends, and the body is not read */
    }
    return MHD_YES;
}

/* ---- the body ---- */

/* False with a 503 answered, and nothing of the body kept, where there is no room. */
static bool grow_body(struct exchange *x, size_t needed)
{
    struct request *request = &x->request;
    size_t room = request->body_room ? request->body_room : x->head.has_length ? BODY_BYTES : 4096;
    while (room < needed)
        room *= 2;
    if (x->head.has_length && room > x->head.length + 1)
        room = (size_t)x->head.length + 1; /* the length was checked against the limit */
    if (!connection_may_hold(&x->http->connections, x->connection, room, request->memory.memory))
        return body_refused(request);
    char *grown = memory_realloc(&request->memory, request->body, request->body_room, room);
    if (!grown) {
        request_drop_body(request);
        answer_overloaded(request);
        return false;
    }
    request->body = grown;
    request->body_room = room;
    connection_holds(&x->http->connections, x->connection, room);
    return true;
}

/* In what has come since there were `before` bytes. */
static void look_for_session(struct request *request, size_t before)
{
    const char *key = request->route->session_key;
    const char *at = *key ? session_find_key(request->body, before, request->body_bytes, key) : NULL;
    request->named_at = at ? (size_t)(at - request->body) + 1 : 0;
}

/* A part of the body. What cannot be kept is read to its end (within reason) and answered then: the library does not
   let an answer go out in the middle. */
static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *bytes)
{
    struct request *request = &x->request;
    size_t limit = (size_t)request->server->settings->max_body_bytes, n = *bytes;
    *bytes = 0;
    connection_progress(&x->http->connections, x->connection, n);
    request->body_bytes += n;
    if (request->status)
        return request->body_bytes > 2 * limit ? MHD_NO : MHD_YES;
    if (request->body_bytes > limit) {
        request->close = true;
        answer_error(request, 413, "body_too_large", "The body is larger than %zu bytes (limits.max_body_bytes).",
                     limit);
    } else if (request->body_bytes + 1 <= request->body_room || grow_body(x, request->body_bytes + 1)) {
        memcpy(request->body + request->body_bytes - n, data, n);
        request->body[request->body_bytes] = 0;
        if (!request->named_at && request->route->session_key)
            look_for_session(request, request->body_bytes - n);
    }
    return MHD_YES;
}

/* ---- computing ---- */

static void resume(struct request *request)
{
    MHD_resume_connection(exchange_of(request)->mhd);
}

/* The request has been answered, or is not going to be. */
static void complete(struct exchange *x)
{
    if (x->answered) {
        x->http->server->refused += request_was_refused(&x->request);
        metrics_request(&x->http->server->metrics, &x->request);
        log_request(&x->request);
    }
    request_close(&x->request);
    free(x);
}

/* The worker has no more to do with it. A stream goes on without it, and may have ended before it. */
static void finish(struct request *request)
{
    if (!request->stream)
        resume(request);
    else if (stream_writer_leaves(request->stream))
        complete(exchange_of(request));
}

/* Plain sockets only. A client that has closed its side may wait for its answer: it is asked now and then, as long as
   nothing was sent. */
static bool is_gone(struct request *request)
{
    struct exchange *x = exchange_of(request);
    enum client_state state = client_state(x->connection->fd);
    int64_t now = clock_ns(), asked_ns = x->asked_ns ? x->asked_ns : request->timing.started;
    bool begun = request->stream && request->stream->begun;
    if (state == CLIENT_HALF_CLOSED && x->interim && !begun && now > asked_ns + ASK_EVERY_MS * (int64_t)NS_PER_MS) {
        x->asked_ns = now;
        client_ask(x->connection->fd);
    }
    return state == CLIENT_GONE;
}

static enum MHD_Result dispatch(struct exchange *x)
{
    struct request *request = &x->request;
    x->whole = true;
    request->done = finish;
    request->wake = resume;
    request->gone = is_gone;
    if (request->status)
        return answer(x);
    if (!route_waits(request->route)) {
        route_dispatch(request);
        return answer(x);
    }
    /* Suspended first: the other thread may be done before route_dispatch returns. */
    connection_stage(&x->http->connections, x->connection, STAGE_WAIT, 0);
    x->suspended = true;
    end_library_timeout(x); /* libmicrohttpd 1.0 sets none once it is suspended */
    MHD_suspend_connection(x->mhd);
    if (!route_dispatch(request))
        MHD_resume_connection(x->mhd);
    return MHD_YES;
}

/* ---- libmicrohttpd's callbacks ---- */

static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http *http = cls;
    struct exchange *x = calloc(1, sizeof *x);
    struct connection *connection = connection_of(mhd);
    if (connection)
        connection_stage(&http->connections, connection, STAGE_HEAD, 0);
    if (!x)
        return NULL;
    x->http = http;
    if (!request_init(&x->request, http->server, target)) {
        free(x);
        return NULL;
    }
    return x;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_bytes, void **context)
{
    struct exchange *x = *context;
    (void)cls, (void)url;
    if (!x)
        return MHD_NO;
    if (!x->begun)
        return begin(x, mhd, method, version);
    if (*upload_bytes)
        return take_body(x, upload, upload_bytes);
    return x->whole ? answer(x) : dispatch(x);
}

/* When a client's end of sending came with its request, the library has missed the event, and would keep the connection. */
static void show_end(int fd)
{
    if (client_state(fd) == CLIENT_HALF_CLOSED)
        shutdown(fd, SHUT_RD); /* the event again */
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
    struct http *http = cls;
    struct exchange *x = *context;
    if (!x)
        return;
    *context = NULL;
    if (x->connection && code == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        connection_stage(&http->connections, x->connection, STAGE_IDLE, 0);
        MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, library_timeout_s(http->server->settings));
        if (!x->suspended)
            show_end(x->connection->fd);
    }
    if (!x->request.stream || stream_reader_leaves(x->request.stream))
        complete(x);
}

/* The library's thread is met here first. It has little to do and much that waits for it: probes, refusals, answers. */
static void tune_thread(void)
{
    static _Thread_local bool tuned;
    if (!tuned)
        cpus_wake_soon();
    tuned = true;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = cls;
    tune_thread();
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        /* one after the other: libmicrohttpd 1.0 has one place for all that it tells of a connection */
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        uint64_t address = connection_address(info ? info->client_addr : NULL);
        info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = info ? connection_open(&http->connections, info->connect_fd, address) : NULL;
        http->server->connections++;
    } else {
        struct connection *connection = *socket_context;
        if (connection && connection->unread && http->linger)
            linger_add(http->linger, connection->fd);
        if (*socket_context)
            connection_close(&http->connections, *socket_context);
        *socket_context = NULL;
        http->server->connections--;
    }
}

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

/* ---- start and stop ---- */

static int listen_on(const char *host, int64_t port, char *error, size_t error_size)
{
    char service[8], plain[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    snprintf(service, sizeof service, "%d", (int)port);
    settings_plain_host(host, plain, sizeof plain);
    int status = getaddrinfo(plain, service, &hints, &found), fd = -1, one = 1, unsent = UNSENT_BYTES;
    if (status) {
        snprintf(error, error_size, "host %s: %s", host, gai_strerror(status));
        return -1;
    }
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent); /* connections inherit it */
        if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1024)) {
            int saved = errno;
            close(fd);
            errno = saved;
            fd = -1;
        }
    }
    if (fd < 0)
        snprintf(error, error_size, "cannot listen on %s port %lld: %s", host, (long long)port, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

static void name_url(struct http *http)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[64] = "", service[16] = "";
    if (!getsockname(http->listener, (struct sockaddr *)&address, &size))
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    const char *format = strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s";
    snprintf(http->url, sizeof http->url, format, host, service);
}

/* What the limit of open files allows. */
static bool share_descriptors(const struct settings *settings, struct descriptors *share, char *error,
                              size_t error_size)
{
    size_t wanted = (size_t)settings->max_connections;
    if (!descriptors_raise(wanted, share)) {
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

struct http *http_start(struct server *server, char *error, size_t error_size)
{
    const struct settings *settings = server->settings;
    struct descriptors share;
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    http->server = server;
    if (!share_descriptors(settings, &share, error, error_size)) {
        free(http);
        return NULL;
    }
    http->id_seed = (uint64_t)clock_ns() * 0xbf58476d1ce4e5b9u ^ (uint64_t)getpid() << 40;
    http->listener = listen_on(settings->host, settings->port, error, error_size);
    if (http->listener < 0) {
        free(http);
        return NULL;
    }
    name_url(http);
    http->linger = linger_start(share.lingering);
    connections_init(&http->connections, &(struct connection_limits){settings->read_timeout_ms, IDLE_TIMEOUT_MS,
                                                                     share.connections, share.spare});
    MHD_set_panic_func(on_panic, NULL);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, http->listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(share.connections + share.spare), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, http, MHD_OPTION_CONNECTION_TIMEOUT, library_timeout_s(settings), MHD_OPTION_URI_LOG_CALLBACK,
        on_target, http, STRICTNESS, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (!http->daemon) {
        snprintf(error, error_size, "libmicrohttpd does not start (out of memory, files or threads?)");
        close(http->listener);
        connections_close(&http->connections);
        linger_stop(http->linger);
        free(http);
        return NULL;
    }
    return http;
}

const char *http_url(const struct http *http)
{
    return http->url;
}

void http_reap(struct http *http)
{
    connections_reap(&http->connections, clock_ns());
}

/* The backlog is still ours: connections in it were accepted by the kernel. The socket is shut down, which stops it, and
   closed at the very end: the library's thread may still be looking at it. */
void http_drain(struct http *http)
{
    connections_drain(&http->connections);
    int listener = MHD_quiesce_daemon(http->daemon);
    if (listener == MHD_INVALID_SOCKET)
        return;
    http->quiesced = true;
    for (;;) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        if (MHD_add_connection(http->daemon, fd, (struct sockaddr *)&address, size) != MHD_YES)
            break; /* the library has closed it */
    }
    shutdown(listener, SHUT_RDWR);
}

size_t http_connections(struct http *http)
{
    return connections_count(&http->connections);
}

void http_stop(struct http *http)
{
    MHD_stop_daemon(http->daemon); /* closes a listening socket that was not quiesced */
    if (http->quiesced)
        close(http->listener);
    connections_close(&http->connections);
    linger_stop(http->linger);
    free(http);
}
