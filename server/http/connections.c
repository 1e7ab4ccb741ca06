/* The table of sockets and the reaper. */
#include "connections.h"

#include "server/base/clock.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Grace for a connection whose client may be sending just as the drain begins, or just when the table is full. */
#define GRACE_NS (1000 * (int64_t)NS_PER_MS)

void connections_init(struct connections *all, const struct connection_limits *limits)
{
    *all = (struct connections){.limits = *limits, .read_timeout_ns = limits->read_timeout_ms * NS_PER_MS};
    pthread_mutex_init(&all->lock, NULL);
}

void connections_close(struct connections *all)
{
    struct connection_queue *const queues[] = {&all->fresh, &all->idle, &all->busy, &all->cut};
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        while (queues[i]->first)
            connection_close(all, queues[i]->first);
    pthread_mutex_destroy(&all->lock);
}

uint64_t connection_address(const void *address)
{
    const struct sockaddr *any = address;
    uint64_t key = 0;
    if (any && any->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = address;
        key = (uint64_t)0xffff << 32 | ntohl(v4->sin_addr.s_addr);
    } else if (any && any->sa_family == AF_INET6) {
        const unsigned char *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes);
        for (size_t i = 0; i < sizeof key; i++)
            key = key << 8 | bytes[mapped ? i + 8 : i];
    }
    return key;
}

/* ---- queues, all under the lock ---- */

static struct connection_queue *queue_of(struct connections *all, enum connection_stage stage)
{
    switch (stage) {
    case STAGE_NEW:
    case STAGE_HEAD:
        return &all->fresh;
    case STAGE_IDLE:
        return &all->idle;
    case STAGE_CUT:
        return &all->cut;
    case STAGE_BODY:
    case STAGE_WAIT:
    case STAGE_ANSWER:
        break;
    }
    return &all->busy;
}

static void append(struct connection_queue *queue, struct connection *connection)
{
    connection->next = NULL;
    connection->before = queue->last;
    *(queue->last ? &queue->last->next : &queue->first) = connection;
    queue->last = connection;
}

static void take_out(struct connection_queue *queue, struct connection *connection)
{
    *(connection->before ? &connection->before->next : &queue->first) = connection->next;
    *(connection->next ? &connection->next->before : &queue->last) = connection->before;
}

static void set_stage(struct connections *all, struct connection *connection, enum connection_stage stage)
{
    struct connection_queue *from = queue_of(all, connection->stage), *to = queue_of(all, stage);
    connection->stage = stage;
    connection->body_bytes = 0;
    if (from != to) {
        take_out(from, connection);
        append(to, connection);
    }
}

/* ---- what the kernel knows ---- */

void connection_give_up(const struct connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* Bytes of what was sent that the client has not acknowledged: the end of an answer may lie in the kernel for long. */
static int unacked_bytes(const struct connection *connection)
{
    int bytes = 0;
    return ioctl(connection->fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

/* Bytes that the client has acknowledged since this was last looked at. Not all systems count them (Linux does); that there
   are fewer in the kernel shows some. */
static uint64_t look(struct connection *connection)
{
    struct tcp_info info = {.tcpi_bytes_acked = 0};
    socklen_t size = sizeof info;
    int unacked = unacked_bytes(connection), fewer = connection->unacked - unacked;
    getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    uint64_t acked = info.tcpi_bytes_acked, more = acked > connection->acked ? acked - connection->acked : 0;
    connection->acked = acked;
    connection->unacked = unacked;
    return fewer > 0 && (uint64_t)fewer > more ? (uint64_t)fewer : more;
}

/* Whether something has come that nobody has read yet. */
static bool has_input(const struct connection *connection)
{
    int bytes = 0;
    return !ioctl(connection->fd, FIONREAD, &bytes) && bytes > 0;
}

/* ---- stages ---- */

static int64_t time_of(uint64_t bytes)
{
    return (int64_t)(bytes * 1000 / CONNECTION_MIN_BYTES_PER_S) * NS_PER_MS;
}

void connection_stage(struct connections *all, struct connection *connection, enum connection_stage stage,
                      uint64_t bytes)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&all->lock);
    if (connection->stage != STAGE_CUT) {
        bool was_answer = connection->stage == STAGE_ANSWER;
        set_stage(all, connection, stage);
        connection->began_ns = now;
        if (stage == STAGE_ANSWER && bytes > CONNECTION_SMALL_ANSWER)
            look(connection); /* of small answers, nothing is measured: that would cost each of them a microsecond */
        else if (stage == STAGE_ANSWER)
            now += time_of(bytes);
        if (stage != STAGE_IDLE || !was_answer)
            connection->until_ns = now + all->read_timeout_ns;
    }
    pthread_mutex_unlock(&all->lock);
}

/* Bytes earn time, but never more than the time-out: a body cannot be sent fast at first and then be left to lie. */
void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes)
{
    int64_t most = clock_ns() + all->read_timeout_ns;
    pthread_mutex_lock(&all->lock);
    connection->until_ns += time_of(bytes);
    if (connection->until_ns > most)
        connection->until_ns = most;
    pthread_mutex_unlock(&all->lock);
}

/* Under the lock, past its deadline: the client may have earned time. */
static bool has_read(const struct connections *all, struct connection *connection, int64_t now_ns)
{
    int64_t most = now_ns + all->read_timeout_ns + time_of(CONNECTION_BURST_BYTES);
    uint64_t bytes = look(connection);
    connection->until_ns = bytes > CONNECTION_BURST_BYTES ? most : connection->until_ns + time_of(bytes);
    if (connection->until_ns > most)
        connection->until_ns = most;
    return connection->until_ns >= now_ns;
}

/* ---- bodies ---- */

size_t connection_small_body(const struct connections *all, const struct memory *memory)
{
    return memory->limit / 4 / (all->limits.most ? all->limits.most : 1);
}

bool connection_may_hold(struct connections *all, const struct connection *connection, size_t bytes,
                         const struct memory *memory)
{
    size_t half = memory->limit / 2, others = 0;
    if (bytes <= connection_small_body(all, memory) || (bytes <= half && memory->used <= half - bytes))
        return true;
    pthread_mutex_lock(&all->lock);
    for (const struct connection *other = all->busy.first; other; other = other->next)
        if (other != connection && other->address == connection->address)
            others += other->body_bytes;
    pthread_mutex_unlock(&all->lock);
    return !others || (others <= half && bytes <= half - others);
}

void connection_holds(struct connections *all, struct connection *connection, size_t bytes)
{
    pthread_mutex_lock(&all->lock);
    connection->body_bytes = bytes;
    pthread_mutex_unlock(&all->lock);
}

/* ---- cutting ---- */

/* Nothing has been sent on the socket for this request, so an answer of our own can go out before the end. */
static void send_error(int fd, const char *status, const char *code, const char *sentence)
{
    char body[256], text[512];
    int n = snprintf(body, sizeof body, "{\"error\": \"%s\", \"code\": \"%s\"}\n", sentence, code);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
                 status, n, body);
    ssize_t sent = send(fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the client is cut in any case */
}

/* Under the lock. */
static void cut(struct connections *all, struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    set_stage(all, connection, STAGE_CUT);
    all->n_cut++;
}

/* Under the lock: the oldest of a queue that began before some time; requests that are on their way are spared. */
static struct connection *oldest(const struct connection_queue *queue, int64_t before_ns)
{
    enum { LOOKED_AT = 16 };
    struct connection *connection = queue->first;
    for (int i = 0; connection && i < LOOKED_AT; i++, connection = connection->next)
        if (connection->began_ns <= before_ns && !has_input(connection))
            return connection;
    return NULL;
}

/* Under the lock: while more are open than are served, end those without a request: first those that are kept alive, then
   those that have sent no whole head, which have a second for that, or less when nearly all spare places are taken. */
static void make_room(struct connections *all, int64_t now_ns)
{
    size_t most = all->limits.most, crowded = most + all->limits.spare * 3 / 4;
    for (size_t open = all->count - all->n_cut; open > most; open--) {
        struct connection *victim = oldest(&all->idle, now_ns);
        if (!victim)
            victim = oldest(&all->fresh, open > crowded ? now_ns - 1 : now_ns - GRACE_NS);
        if (!victim)
            return;
        if (victim->stage == STAGE_HEAD)
            send_error(victim->fd, "503 Service Unavailable", "too_many_connections",
                       "Too many connections are open (limits.max_connections); try again.");
        cut(all, victim);
    }
}

static bool is_full(const struct connections *all)
{
    return all->count - all->n_cut > all->limits.most;
}

struct connection *connection_open(struct connections *all, int fd, uint64_t address)
{
    struct connection *connection = malloc(sizeof *connection);
    int64_t now = clock_ns();
    if (!connection)
        return NULL;
    *connection = (struct connection){
        .fd = fd, .address = address, .stage = STAGE_NEW, .began_ns = now, .until_ns = now + all->read_timeout_ns};
    pthread_mutex_lock(&all->lock);
    all->count++;
    make_room(all, now); /* before it is one of them */
    append(&all->fresh, connection);
    connection->spare = is_full(all);
    pthread_mutex_unlock(&all->lock);
    return connection;
}

void connection_close(struct connections *all, struct connection *connection)
{
    pthread_mutex_lock(&all->lock);
    take_out(queue_of(all, connection->stage), connection);
    all->n_cut -= connection->stage == STAGE_CUT;
    all->count--;
    pthread_mutex_unlock(&all->lock);
    free(connection);
}

/* Under the lock: a connection without a request. Its client may have to take the end of the last answer still. */
static bool idle_is_over(const struct connections *all, struct connection *connection, int64_t now_ns)
{
    int64_t idle_ns = all->limits.idle_timeout_ms * NS_PER_MS;
    if (all->draining && now_ns > connection->began_ns + GRACE_NS)
        return true;
    if (now_ns <= connection->until_ns && now_ns <= connection->began_ns + idle_ns)
        return false;
    if (connection->until_ns == INT64_MAX || !unacked_bytes(connection)) {
        connection->until_ns = INT64_MAX;
        return now_ns > connection->began_ns + idle_ns;
    }
    if (now_ns <= connection->until_ns || has_read(all, connection, now_ns))
        return false;
    connection_give_up(connection);
    return true;
}

/* Under the lock. */
static bool is_over(const struct connections *all, struct connection *connection, int64_t now_ns)
{
    if (connection->stage == STAGE_IDLE)
        return idle_is_over(all, connection, now_ns);
    if (all->draining && connection->stage == STAGE_NEW && now_ns > connection->began_ns + GRACE_NS)
        return true;
    if (connection->stage == STAGE_WAIT || now_ns <= connection->until_ns)
        return false;
    if (connection->stage != STAGE_ANSWER)
        return true;
    if (has_read(all, connection, now_ns))
        return false;
    connection_give_up(connection);
    return true;
}

static size_t reap_queue(struct connections *all, struct connection_queue *queue, int64_t now_ns)
{
    size_t n = 0;
    for (struct connection *connection = queue->first, *next; connection; connection = next) {
        next = connection->next;
        if (!is_over(all, connection, now_ns))
            continue;
        if (connection->stage != STAGE_IDLE && connection->stage != STAGE_ANSWER)
            send_error(connection->fd, "408 Request Timeout", "request_timeout",
                       "The request was not received in time.");
        cut(all, connection);
        n++;
    }
    return n;
}

size_t connections_reap(struct connections *all, int64_t now_ns)
{
    pthread_mutex_lock(&all->lock);
    size_t n = reap_queue(all, &all->fresh, now_ns);
    n += reap_queue(all, &all->idle, now_ns);
    n += reap_queue(all, &all->busy, now_ns);
    pthread_mutex_unlock(&all->lock);
    return n;
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

bool connection_is_spare(struct connections *all, struct connection *connection)
{
    if (connection->spare) {
        pthread_mutex_lock(&all->lock);
        connection->spare = is_full(all);
        pthread_mutex_unlock(&all->lock);
    }
    return connection->spare;
}
