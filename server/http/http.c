/* Start and stop of HTTP: libmicrohttpd's epoll thread reads and writes (callbacks.c), workers compute. The reaper
   (connections.c) cuts slow clients. */
#include "http.h"
#include "config/settings.h"
#include "server/run/request.h"
#include "server/run/services.h"

#include "access_log.h"
#include "descriptors.h"
#include "exchange.h"
#include "server/base/clock.h"
#include "server/base/log.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 32768,     /* most of a request's head */
    UNSENT_BYTES = 1 << 18, /* of an answer, most that lie in the kernel and were not sent */
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

static struct MHD_Daemon *start_daemon(struct http *http, const struct descriptors *share)
{
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME,
                            0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
                            MHD_OPTION_LISTEN_SOCKET, http->listener, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)(share->connections + share->spare), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_CONNECTION_TIMEOUT,
                            http_library_timeout_s(http->services->settings), MHD_OPTION_URI_LOG_CALLBACK, on_target,
                            http, HTTP_STRICTNESS, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

struct http *http_start(const struct services *services, char *error, size_t error_size)
{
    const struct settings *settings = services->settings;
    struct descriptors share;
    struct http *http = calloc(1, sizeof *http);
    if (!http) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    http->services = services;
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
    connections_init(&http->connections, &(struct connection_limits){settings->read_timeout_ms, HTTP_IDLE_TIMEOUT_MS,
                                                                     share.connections, share.spare});
    access_log_setup();
    MHD_set_panic_func(on_panic, NULL);
    http->daemon = start_daemon(http, &share);
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
