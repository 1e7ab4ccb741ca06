/* RESP2 over a blocking socket with time-outs. Source: redis.io/docs/latest/develop/reference/protocol-spec. */
#include "redis_link.h"

#include "core/arena.h"
#include "server/base/clock.h"
#include "server/base/tls_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 32,     /* "$12345\r\n" */
    LINE_BYTES = 65536,  /* the longest status or error */
    KEPT_BYTES = 262144, /* the size of each buffer between rounds */
};

static bool link_fails(struct redis_link *link, enum redis_trouble kind, const char *why)
{
    link->kind = kind;
    snprintf(link->error, sizeof link->error, "%s", why);
    return false;
}

/* ---- connecting ---- */

/* Connect within the time. Returns false with errno set. */
static bool connect_within(int fd, const struct sockaddr *address, socklen_t size, int ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t error_size = sizeof error;
    if (!connect(fd, address, size))
        return true;
    if (errno != EINPROGRESS)
        return false;
    if (poll(&poller, 1, ms) < 1)
        error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size))
        error = errno;
    errno = error;
    return !error;
}

static int connect_address(const struct sockaddr *address, socklen_t size, int ms)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect_within(fd, address, size, ms))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int connect_path(const char *path, int ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return connect_address((struct sockaddr *)&address, sizeof address, ms);
}

static int connect_host(const char *address, int port, int ms)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(address, service, &hints, &found)) {
        errno = ENOMEM; /* the host is an address, so only the port can be wrong */
        return -1;
    }
    int fd = connect_address(found->ai_addr, found->ai_addrlen, ms), error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}

/* From now on the socket blocks, with a time-out for each read and write. */
static bool set_up(int fd, int operation_ms)
{
    const struct timeval limit = {operation_ms / 1000, operation_ms % 1000 * 1000L};
    const int at_once = 1;
    int flags = fcntl(fd, F_GETFL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once); /* a UNIX socket does not need it */
    return flags >= 0 && !fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) &&
           !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) &&
           !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

struct redis_link *redis_link_new(size_t most_bytes)
{
    struct redis_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->most_bytes = most_bytes < SIZE_MAX / 4 ? most_bytes + LINE_BYTES : SIZE_MAX / 4;
    link->fd = -1;
    return link;
}

bool redis_link_connect(struct redis_link *link, const char *address, int port, int connect_ms, int operation_ms)
{
    link->fd = port ? connect_host(address, port, connect_ms) : connect_path(address, connect_ms);
    return (link->fd >= 0 && set_up(link->fd, operation_ms)) || link_fails(link, TROUBLE_CONNECT, strerror(errno));
}

bool redis_link_secure(struct redis_link *link, const char *host, const struct tls_client_files *files)
{
    char error[sizeof link->error];
    bool timeout;
    link->tls = tls_client_open(link->fd, host, files, error, sizeof error, &timeout);
    return link->tls ||
           link_fails(link, timeout ? TROUBLE_TIMEOUT : TROUBLE_TLS, timeout ? "no answer in time" : error);
}

/* send and recv, over TLS if the link has it. */
static ssize_t link_send(struct redis_link *link, const char *bytes, size_t n)
{
    return link->tls ? tls_client_send(link->tls, bytes, n) : send(link->fd, bytes, n, MSG_NOSIGNAL);
}

static ssize_t link_recv(struct redis_link *link, char *bytes, size_t n)
{
    return link->tls ? tls_client_recv(link->tls, bytes, n) : recv(link->fd, bytes, n, 0);
}

void redis_link_close(struct redis_link *link)
{
    if (!link)
        return;
    tls_client_close(link->tls);
    if (link->fd >= 0)
        close(link->fd);
    free(link->out);
    free(link->in);
    free(link);
}

/* ---- sending ---- */

/* Make room for more bytes at the end of a buffer. */
static bool grow_block(struct redis_link *link, char **block, size_t used, size_t *room, size_t more)
{
    size_t needed, wanted = *room ? *room : 4096;
    if (!rnn_size_add(used, more, &needed) || needed > SIZE_MAX / 2)
        return link_fails(link, TROUBLE_MEMORY, "out of memory");
    if (needed <= *room)
        return true;
    while (wanted < needed)
        wanted *= 2;
    char *grown = realloc(*block, wanted);
    if (!grown)
        return link_fails(link, TROUBLE_MEMORY, "out of memory");
    *block = grown;
    *room = wanted;
    return true;
}

static void put_bytes(struct redis_link *link, const char *bytes, size_t n)
{
    memcpy(link->out + link->out_used, bytes, n);
    link->out_used += n;
}

static void put_head(struct redis_link *link, char kind, size_t n)
{
    char head[HEAD_BYTES];
    int length = snprintf(head, sizeof head, "%c%zu\r\n", kind, n);
    put_bytes(link, head, (size_t)length);
}

bool redis_link_append(struct redis_link *link, size_t n, const char *const *arguments, const size_t *bytes)
{
    size_t total = HEAD_BYTES;
    for (size_t i = 0; i < n; i++)
        if (!rnn_size_add(total, bytes ? bytes[i] : strlen(arguments[i]), &total) ||
            !rnn_size_add(total, HEAD_BYTES + 2, &total))
            return link_fails(link, TROUBLE_MEMORY, "out of memory");
    if (!grow_block(link, &link->out, link->out_used, &link->out_room, total))
        return false;
    put_head(link, '*', n);
    for (size_t i = 0; i < n; i++) {
        size_t length = bytes ? bytes[i] : strlen(arguments[i]);
        put_head(link, '$', length);
        put_bytes(link, arguments[i], length);
        put_bytes(link, "\r\n", 2);
    }
    return true;
}

bool redis_link_send(struct redis_link *link, int64_t deadline_ns)
{
    for (size_t sent = 0; sent < link->out_used;) {
        ssize_t n = link_send(link, link->out + sent, link->out_used - sent);
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? link_fails(link, TROUBLE_TIMEOUT, "no answer in time")
                                   : link_fails(link, TROUBLE_LOST, strerror(errno));
        sent += n > 0 ? (size_t)n : 0;
        if (clock_ns() > deadline_ns)
            return link_fails(link, TROUBLE_TIMEOUT, "no answer in time");
    }
    link->out_used = 0;
    return true;
}

/* ---- replies ---- */

/* Receive more bytes of the reply that begins at in_at. */
static bool receive_bytes(struct redis_link *link, size_t wanted, int64_t deadline_ns)
{
    if (link->in_at) { /* drop the replies that were taken */
        memmove(link->in, link->in + link->in_at, link->in_used - link->in_at);
        link->in_used -= link->in_at;
        link->in_at = 0;
    }
    if (wanted > link->most_bytes)
        return link_fails(link, TROUBLE_PROTOCOL, "an answer that is too large");
    if (!grow_block(link, &link->in, link->in_used, &link->in_room,
                    wanted > link->in_used ? wanted - link->in_used : 1))
        return false;
    for (;;) {
        ssize_t n =
            clock_ns() > deadline_ns ? -2 : link_recv(link, link->in + link->in_used, link->in_room - link->in_used);
        if (n > 0) {
            link->in_used += (size_t)n;
            return true;
        }
        if (n == 0)
            return link_fails(link, TROUBLE_LOST, "Server closed the connection");
        if (n == -2 || errno == EAGAIN)
            return link_fails(link, TROUBLE_TIMEOUT, "no answer in time");
        if (errno != EINTR)
            return link_fails(link, TROUBLE_LOST, strerror(errno));
    }
}

/* Read the first line of the reply. Its length does not include "\r\n". */
static bool read_line(struct redis_link *link, size_t *length, int64_t deadline_ns)
{
    for (size_t looked = 0;;) {
        size_t there = link->in_used - link->in_at;
        const char *start = link->in + link->in_at;
        const char *end = there > looked ? memchr(start + looked, '\n', there - looked) : NULL;
        if (end) {
            *length = (size_t)(end - start);
            return (*length > 1 && end[-1] == '\r' && (--*length, true)) ||
                   link_fails(link, TROUBLE_PROTOCOL, "this is no Redis");
        }
        looked = there;
        if (there > LINE_BYTES)
            return link_fails(link, TROUBLE_PROTOCOL, "this is no Redis");
        if (!receive_bytes(link, there + 1, deadline_ns))
            return false;
    }
}

/* Read a bulk string: "$12" or "$-1", then wait for its bytes. */
static bool read_string(struct redis_link *link, size_t length, struct redis_reply *reply, int64_t deadline_ns)
{
    const char *line = link->in + link->in_at;
    size_t n = 0;
    if (length == 3 && !memcmp(line, "$-1", 3)) {
        *reply = (struct redis_reply){.type = REDIS_NIL};
        link->in_at += length + 2;
        return true;
    }
    for (size_t i = 1; i < length; i++) {
        if (line[i] < '0' || line[i] > '9' || n > link->most_bytes)
            return link_fails(link, TROUBLE_PROTOCOL, "this is no Redis");
        n = 10 * n + (size_t)(line[i] - '0');
    }
    size_t whole = length + 2 + n + 2;
    while (link->in_used - link->in_at < whole)
        if (!receive_bytes(link, whole, deadline_ns))
            return false;
    const char *str = link->in + link->in_at + length + 2;
    if (memcmp(str + n, "\r\n", 2))
        return link_fails(link, TROUBLE_PROTOCOL, "this is no Redis");
    *reply = (struct redis_reply){.type = REDIS_STRING, .str = str, .len = n};
    link->in_at += whole;
    return true;
}

bool redis_link_reply(struct redis_link *link, struct redis_reply *reply, int64_t deadline_ns)
{
    size_t length = 0;
    if (!read_line(link, &length, deadline_ns))
        return false;
    char *line = link->in + link->in_at;
    if (*line == '$') {
        if (!read_string(link, length, reply, deadline_ns))
            return false;
    } else {
        *reply = (struct redis_reply){.type = *line == '+'   ? REDIS_STATUS
                                              : *line == '-' ? REDIS_ERROR
                                                             : REDIS_OTHER,
                                      .str = line + 1,
                                      .len = length - 1};
        link->in_at += length + 2;
    }
    if (reply->str) /* the '\r' after it has been checked */
        link->in[reply->str - link->in + (ptrdiff_t)reply->len] = 0;
    return true;
}

/* Shrink a buffer that a large round has made large. */
static void shrink_block(char **block, size_t *room)
{
    if (*room <= KEPT_BYTES)
        return;
    free(*block);
    *block = NULL;
    *room = 0;
}

/* Whether there is nothing to read. TLS sometimes has its own bytes (tickets), which are not a reply. */
static bool is_silent(struct redis_link *link)
{
    char byte;
    ssize_t n = recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0 && link->tls)
        n = tls_client_recv(link->tls, &byte, 1);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

bool redis_link_idles(struct redis_link *link)
{
    if (link->in_at < link->in_used || !is_silent(link))
        return false;
    link->in_at = link->in_used = 0;
    shrink_block(&link->in, &link->in_room);
    shrink_block(&link->out, &link->out_room);
    return true;
}
