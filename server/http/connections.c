/* The tables of sockets and the reaper. */
#include "connections.h"

#include "client.h"
#include "deadlines.h"
#include "server/base/clock.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Extra time for a connection whose client may begin to send at the moment when the drain begins or the table is
   full. */
#define GRACE_NS (1000 * (int64_t)NS_PER_MS)

bool connections_init(struct connections *all, size_t n_tables, const struct connection_limits *limits)
{
    *all = (struct connections){
        .n_tables = n_tables, .limits = *limits, .read_timeout_ns = limits->read_timeout_ms * NS_PER_MS};
    all->tables = aligned_alloc(_Alignof(struct connection_table), n_tables * sizeof *all->tables);
    for (size_t i = 0; all->tables && i < n_tables; i++) {
        all->tables[i] = (struct connection_table){.count = 0};
        pthread_mutex_init(&all->tables[i].lock, NULL);
    }
    return all->tables;
}

void connections_close(struct connections *all)
{
    for (size_t t = 0; all->tables && t < all->n_tables; t++) {
        struct connection_table *table = &all->tables[t];
        struct connection_queue *const queues[] = {&table->fresh, &table->idle, &table->busy, &table->cut};
        for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
            while (queues[i]->first)
                connection_close(all, queues[i]->first);
        free(table->heap);
        pthread_mutex_destroy(&table->lock);
    }
    free(all->tables);
    *all = (struct connections){.n_tables = 0};
}

/* ---- queues, all under the lock ---- */

static struct connection_queue *queue_of(struct connection_table *table, enum connection_stage stage)
{
    switch (stage) {
    case STAGE_NEW:
    case STAGE_HEAD:
        return &table->fresh;
    case STAGE_IDLE:
        return &table->idle;
    case STAGE_CUT:
        return &table->cut;
    case STAGE_BODY:
    case STAGE_WAIT:
    case STAGE_ANSWER:
        break;
    }
    return &table->busy;
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

static void set_stage(struct connection *connection, enum connection_stage stage)
{
    struct connection_queue *from = queue_of(connection->table, connection->stage);
    struct connection_queue *to = queue_of(connection->table, stage);
    connection->stage = stage;
    connection->body_bytes = 0;
    if (from != to) {
        take_out(from, connection);
        append(to, connection);
    }
}

/* ---- deadlines, all under the lock ---- */

/* The time of the next check of the connection, which is not after its deadline. */
static int64_t next_look(const struct connections *all, const struct connection *connection)
{
    int64_t until = connection->until_ns, end = INT64_MAX;
    if (connection->stage == STAGE_WAIT)
        return INT64_MAX;
    if (connection->stage == STAGE_IDLE)
        end = connection->began_ns + all->limits.idle_timeout_ms * NS_PER_MS;
    if (connection->table->draining && (connection->stage == STAGE_IDLE || connection->stage == STAGE_NEW))
        end = connection->began_ns + GRACE_NS;
    return until < end ? until : end;
}

/* Most deadlines move to a later time. Then the heap is not changed: the connection is checked once too early, and
   moved then. So a request does not change the heap. */
static void set_look(const struct connections *all, struct connection *connection)
{
    int64_t look = next_look(all, connection);
    if (connection->heap_at != SIZE_MAX && look < connection->look_ns)
        deadlines_move(connection->table, connection, look);
}

/* ---- what the kernel knows ---- */

void connection_give_up(const struct connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* Sent bytes that the client has not acknowledged: the end of an answer may be in the kernel for a long time. */
static int unacked_bytes(const struct connection *connection)
{
    int bytes = 0;
    return ioctl(connection->fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

/* The kernel's data about an answer that is being sent. */
struct taken {
    uint64_t acked;
    int unacked;
    bool tcp;
};

static struct taken look_at(const struct connection *connection)
{
    struct tcp_info info = {.tcpi_bytes_acked = 0};
    socklen_t size = sizeof info;
    struct taken taken = {.unacked = unacked_bytes(connection)};
    taken.tcp = !getsockopt(connection->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    taken.acked = info.tcpi_bytes_acked;
    return taken;
}

/* Bytes that the client has acknowledged since the last check. Linux counts them for TCP. For UNIX sockets, and where
   TCP_INFO does not work, any change of the bytes in the kernel counts as progress. */
static uint64_t bytes_taken(struct connection *connection, struct taken taken)
{
    int fewer = connection->unacked - taken.unacked;
    uint64_t more = taken.acked > connection->acked ? taken.acked - connection->acked : 0;
    connection->acked = taken.acked;
    connection->unacked = taken.unacked;
    if (!taken.tcp && fewer)
        return CONNECTION_SMALL_ANSWER;
    return fewer > 0 && (uint64_t)fewer > more ? (uint64_t)fewer : more;
}

/* Whether the socket has unread bytes. */
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
    /* small answers are not measured: a measurement takes a microsecond */
    bool measured = stage == STAGE_ANSWER && bytes > CONNECTION_SMALL_ANSWER;
    struct taken taken = {.acked = 0};
    if (measured)
        taken = look_at(connection);
    int64_t now = clock_ns();
    pthread_mutex_lock(&connection->table->lock);
    if (connection->stage != STAGE_CUT) {
        bool was_answer = connection->stage == STAGE_ANSWER;
        set_stage(connection, stage);
        connection->spoken |= stage == STAGE_HEAD;
        connection->began_ns = now;
        if (measured)
            bytes_taken(connection, taken);
        else if (stage == STAGE_ANSWER)
            now += time_of(bytes);
        if (stage != STAGE_IDLE || !was_answer)
            connection->until_ns = now + all->read_timeout_ns;
        set_look(all, connection);
    }
    pthread_mutex_unlock(&connection->table->lock);
}

void connection_leave(struct connection *connection)
{
    pthread_mutex_lock(&connection->table->lock);
    connection->spoken = false;
    pthread_mutex_unlock(&connection->table->lock);
}

/* Bytes extend the deadline, but never beyond the time-out from now: otherwise a client could send fast at first and
   then stall. */
void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes)
{
    int64_t most = clock_ns() + all->read_timeout_ns;
    pthread_mutex_lock(&connection->table->lock);
    connection->until_ns += time_of(bytes);
    if (connection->until_ns > most)
        connection->until_ns = most;
    set_look(all, connection);
    pthread_mutex_unlock(&connection->table->lock);
}

/* Under the lock, for a connection past its deadline: acknowledged bytes may extend the deadline. */
static bool has_read(const struct connections *all, struct connection *connection, int64_t now_ns)
{
    int64_t most = now_ns + all->read_timeout_ns + time_of(CONNECTION_BURST_BYTES);
    uint64_t bytes = bytes_taken(connection, look_at(connection));
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
    for (size_t t = 0; t < all->n_tables; t++) {
        struct connection_table *table = &all->tables[t];
        pthread_mutex_lock(&table->lock);
        for (const struct connection *other = table->busy.first; other; other = other->next)
            if (other != connection && other->address == connection->address)
                others += other->body_bytes;
        pthread_mutex_unlock(&table->lock);
    }
    return !others || (others <= half && bytes <= half - others);
}

void connection_holds(struct connections *all, struct connection *connection, size_t bytes)
{
    (void)all;
    pthread_mutex_lock(&connection->table->lock);
    connection->body_bytes = bytes;
    pthread_mutex_unlock(&connection->table->lock);
}

/* ---- cutting ---- */

/* Nothing has been sent for this request, so an error answer can be sent before the connection is closed. */
static void send_error(const struct connection *connection, const char *status, const char *code, const char *sentence)
{
    char body[256], text[512];
    int n = snprintf(body, sizeof body, "{\"error\": \"%s\", \"code\": \"%s\"}\n", sentence, code);
    n = snprintf(text, sizeof text,
                 "HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
                 status, n, body);
    /* Over TLS, only if there are no unread bytes, so that the I/O thread does not use the session at this moment. */
    if (!connection->tls || (client_state(connection->fd) == CLIENT_THERE && !has_input(connection)))
        client_send(connection, text, (size_t)n); /* the client is cut in any case */
}

/* Under the lock. */
static void cut(struct connections *all, struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
    set_stage(connection, STAGE_CUT);
    deadlines_remove(connection->table, connection);
    all->open--;
}

/* Under the lock: the first connection of a queue whose stage began before the given time. Connections with an arriving
   request are skipped. Only the first LOOKED_AT connections are looked at. */
static struct connection *oldest(const struct connection_queue *queue, int64_t before_ns)
{
    enum { LOOKED_AT = 16 };
    struct connection *connection = queue->first;
    for (int i = 0; connection && i < LOOKED_AT; i++, connection = connection->next)
        if (connection->began_ns <= before_ns && !has_input(connection))
            return connection;
    return NULL;
}

/* Cut the oldest connection of all tables in this stage's queue that began before the given time. Returns false if
   there is none. The tables are checked one after the other, so that no two locks are held. */
static bool cut_oldest(struct connections *all, enum connection_stage stage, int64_t before_ns)
{
    struct connection_table *best = NULL;
    int64_t best_ns = INT64_MAX;
    for (size_t t = 0; t < all->n_tables; t++) {
        struct connection_table *table = &all->tables[t];
        pthread_mutex_lock(&table->lock);
        const struct connection *first = oldest(queue_of(table, stage), before_ns);
        if (first && first->began_ns < best_ns) {
            best = table;
            best_ns = first->began_ns;
        }
        pthread_mutex_unlock(&table->lock);
    }
    if (!best)
        return false;
    pthread_mutex_lock(&best->lock);
    struct connection *victim = oldest(queue_of(best, stage), before_ns); /* the same, or the next one */
    if (victim && victim->stage == STAGE_HEAD)
        send_error(victim, "503 Service Unavailable", "too_many_connections",
                   "Too many connections are open (limits.max_connections); try again.");
    if (victim)
        cut(all, victim);
    pthread_mutex_unlock(&best->lock);
    return true;
}

/* If more connections are open than are served, end connections without a request: first idle ones, then those whose
   head is not complete after a second (earlier if nearly all spare places are used). */
static void make_room(struct connections *all, int64_t now_ns)
{
    size_t most = all->limits.most, crowded = most + all->limits.spare * 3 / 4;
    for (size_t open = all->open; open > most; open--)
        if (!cut_oldest(all, STAGE_IDLE, now_ns) &&
            !cut_oldest(all, STAGE_NEW, open > crowded ? now_ns - 1 : now_ns - GRACE_NS))
            return;
}

static bool is_full(const struct connections *all)
{
    return all->open > all->limits.most;
}

struct connection *connection_open(struct connections *all, size_t table, int fd, uint64_t address)
{
    struct connection_table *own = &all->tables[table];
    struct connection *connection = malloc(sizeof *connection);
    int64_t now = clock_ns();
    if (!connection)
        return NULL;
    *connection = (struct connection){.table = own,
                                      .fd = fd,
                                      .address = address,
                                      .stage = STAGE_NEW,
                                      .began_ns = now,
                                      .until_ns = now + all->read_timeout_ns};
    all->count++;
    all->open++;
    make_room(all, now); /* before it is one of them */
    connection->spare = is_full(all);
    pthread_mutex_lock(&own->lock);
    bool good = deadlines_add(own, connection, next_look(all, connection));
    if (good) {
        append(&own->fresh, connection);
        own->count++;
    }
    pthread_mutex_unlock(&own->lock);
    if (good)
        return connection;
    all->count--;
    all->open--;
    free(connection);
    return NULL;
}

void connection_close(struct connections *all, struct connection *connection)
{
    struct connection_table *table = connection->table;
    pthread_mutex_lock(&table->lock);
    bool was_cut = connection->stage == STAGE_CUT;
    take_out(queue_of(table, connection->stage), connection);
    deadlines_remove(table, connection);
    table->count--;
    pthread_mutex_unlock(&table->lock);
    all->open -= !was_cut;
    all->count--;
    free(connection);
}

/* Under the lock: a connection without a request. Its client may still be reading the end of the last answer. */
static bool idle_is_over(const struct connections *all, struct connection *connection, int64_t now_ns)
{
    int64_t idle_ns = all->limits.idle_timeout_ms * NS_PER_MS;
    if (connection->table->draining && now_ns > connection->began_ns + GRACE_NS)
        return !has_input(connection); /* a request has come: the I/O thread will read it */
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
    if (connection->table->draining && connection->stage == STAGE_NEW && now_ns > connection->began_ns + GRACE_NS)
        return !has_input(connection);
    if (connection->stage == STAGE_WAIT || now_ns <= connection->until_ns)
        return false;
    if (connection->stage != STAGE_ANSWER)
        return true;
    if (has_read(all, connection, now_ns))
        return false;
    connection_give_up(connection);
    return true;
}

/* Under the lock. */
static size_t reap_table(struct connections *all, struct connection_table *table, int64_t now_ns)
{
    size_t n = 0;
    while (table->n_heap && table->heap[0]->look_ns < now_ns) {
        struct connection *connection = table->heap[0];
        if (!is_over(all, connection, now_ns)) {
            int64_t look = next_look(all, connection);
            deadlines_move(table, connection, look < now_ns ? now_ns : look);
            continue;
        }
        if (connection->stage != STAGE_IDLE && connection->stage != STAGE_ANSWER)
            send_error(connection, "408 Request Timeout", "request_timeout", "The request was not received in time.");
        cut(all, connection);
        n++;
    }
    return n;
}

size_t connections_reap(struct connections *all, int64_t now_ns)
{
    size_t n = 0;
    for (size_t t = 0; t < all->n_tables; t++) {
        pthread_mutex_lock(&all->tables[t].lock);
        n += reap_table(all, &all->tables[t], now_ns);
        pthread_mutex_unlock(&all->tables[t].lock);
    }
    return n;
}

void connections_drain(struct connections *all)
{
    for (size_t t = 0; t < all->n_tables; t++) {
        struct connection_table *table = &all->tables[t];
        pthread_mutex_lock(&table->lock);
        table->draining = true;
        struct connection_queue *const queues[] = {&table->fresh, &table->idle};
        for (size_t q = 0; q < sizeof queues / sizeof *queues; q++)
            for (struct connection *connection = queues[q]->first; connection; connection = connection->next)
                set_look(all, connection);
        pthread_mutex_unlock(&table->lock);
    }
}

static void count_stages(const struct connection_queue *queue, size_t counts[])
{
    for (const struct connection *connection = queue->first; connection; connection = connection->next)
        counts[connection->stage]++;
}

void connections_stages(void *connections, size_t counts[])
{
    const struct connections *all = connections;
    for (size_t i = 0; i < all->n_tables; i++) {
        struct connection_table *table = &all->tables[i];
        pthread_mutex_lock(&table->lock);
        count_stages(&table->fresh, counts);
        count_stages(&table->idle, counts);
        count_stages(&table->busy, counts);
        count_stages(&table->cut, counts);
        pthread_mutex_unlock(&table->lock);
    }
}

size_t connections_count(const struct connections *all)
{
    return all->count;
}

bool connection_is_spare(struct connections *all, struct connection *connection)
{
    connection->spare = connection->spare && is_full(all);
    return connection->spare;
}
