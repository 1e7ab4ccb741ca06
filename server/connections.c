/* The table of sockets and the reaper. */
#include "connections.h"

#include "clock.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Grace for a connection whose client may be sending just as the drain begins. */
#define DRAIN_IDLE_NS (1000 * (int64_t)NS_PER_MS)

void connections_init(struct connections *all, int64_t read_timeout_ms, int64_t idle_timeout_ms)
{
    *all = (struct connections){.read_timeout_ns = read_timeout_ms * NS_PER_MS,
                                .idle_timeout_ns = idle_timeout_ms * NS_PER_MS};
    pthread_mutex_init(&all->lock, NULL);
}

void connections_close(struct connections *all)
{
    while (all->first)
        connection_close(all, all->first);
    pthread_mutex_destroy(&all->lock);
}

struct connection *connection_open(struct connections *all, int fd)
{
    struct connection *connection = malloc(sizeof *connection);
    if (!connection)
        return NULL;
    *connection = (struct connection){.fd = fd, .stage = STAGE_NEW, .began_ns = clock_ns()};
    pthread_mutex_lock(&all->lock);
    connection->next = all->first;
    connection->self = &all->first;
    if (all->first)
        all->first->self = &connection->next;
    all->first = connection;
    all->count++;
    pthread_mutex_unlock(&all->lock);
    return connection;
}

void connection_close(struct connections *all, struct connection *connection)
{
    pthread_mutex_lock(&all->lock);
    *connection->self = connection->next;
    if (connection->next)
        connection->next->self = connection->self;
    all->count--;
    pthread_mutex_unlock(&all->lock);
    free(connection);
}

void connection_stage(struct connections *all, struct connection *connection, enum connection_stage stage,
                      uint64_t bytes)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&all->lock);
    connection->stage = stage;
    connection->began_ns = now;
    connection->progress = bytes;
    pthread_mutex_unlock(&all->lock);
}

void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes)
{
    pthread_mutex_lock(&all->lock);
    connection->progress += bytes;
    pthread_mutex_unlock(&all->lock);
}

void connection_give_up(const struct connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* Whether the client has not taken all of what was sent to it: the end of an answer may lie in the kernel for long. */
static bool has_unread(const struct connection *connection)
{
    int bytes = 0;
    return !ioctl(connection->fd, SIOCOUTQ, &bytes) && bytes > 0;
}

/* When the stage must be over; a body or an answer earns time by its bytes. */
static int64_t deadline(const struct connections *all, const struct connection *connection)
{
    int64_t earned = (int64_t)(connection->progress * 1000 / CONNECTION_MIN_BYTES_PER_S) * NS_PER_MS;
    if (all->draining && (connection->stage == STAGE_NEW || connection->stage == STAGE_IDLE))
        return connection->began_ns + DRAIN_IDLE_NS;
    switch (connection->stage) {
    case STAGE_NEW:
    case STAGE_HEAD:
        return connection->began_ns + all->read_timeout_ns;
    case STAGE_IDLE:
        return connection->began_ns + all->idle_timeout_ns;
    case STAGE_BODY:
    case STAGE_ANSWER:
        return connection->began_ns + all->read_timeout_ns + earned;
    case STAGE_WAIT:
        break;
    }
    return INT64_MAX;
}

/* Nothing has been sent on the socket for this request, so an answer of our own can go out before the end. */
static void send_timeout(int fd)
{
    static const char body[] =
        "{\"error\": \"The request was not received in time.\", \"code\": \"request_timeout\"}\n";
    char text[256];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     sizeof body - 1, body);
    ssize_t sent = send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the client is cut in any case */
}

size_t connections_reap(struct connections *all, int64_t now_ns)
{
    size_t cut = 0;
    pthread_mutex_lock(&all->lock);
    for (struct connection *connection = all->first; connection; connection = connection->next) {
        bool stuck = connection->stage == STAGE_IDLE && now_ns > connection->began_ns + all->read_timeout_ns &&
                     has_unread(connection);
        if (now_ns <= deadline(all, connection) && !stuck)
            continue;
        if (stuck || connection->stage == STAGE_ANSWER)
            connection_give_up(connection);
        else if (connection->stage != STAGE_IDLE)
            send_timeout(connection->fd);
        shutdown(connection->fd, SHUT_RDWR);
        connection->stage = STAGE_WAIT; /* once is enough */
        cut++;
    }
    pthread_mutex_unlock(&all->lock);
    return cut;
}

void connections_drain(struct connections *all)
{
    pthread_mutex_lock(&all->lock);
    all->draining = true;
    pthread_mutex_unlock(&all->lock);
}

size_t connections_count(struct connections *all)
{
    pthread_mutex_lock(&all->lock);
    size_t count = all->count;
    pthread_mutex_unlock(&all->lock);
    return count;
}
