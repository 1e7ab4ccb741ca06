/* Queues of requests, one for each session. The queues are independent. */
#include "turns.h"

#include "session_record.h"

#include <string.h>
#include <xxhash.h>

void turns_init(struct turns *turns)
{
    memset(turns, 0, sizeof *turns);
    for (size_t i = 0; i < TURNS_SHARDS; i++)
        pthread_mutex_init(&turns->shards[i].lock, NULL);
    turns->seed = session_tag();
}

void turns_close(struct turns *turns)
{
    for (size_t i = 0; i < TURNS_SHARDS; i++)
        pthread_mutex_destroy(&turns->shards[i].lock);
}

size_t turns_waiting(const struct turns *turns)
{
    size_t n = 0;
    for (size_t i = 0; i < TURNS_SHARDS; i++)
        n += turns->shards[i].waiting;
    return n;
}

/* The highest bits of the hash select the shard, the lowest the bucket. */
static struct turns_shard *shard_of(struct turns *turns, uint64_t session)
{
    _Static_assert(TURNS_SHARDS == 64, "six bits");
    return &turns->shards[session >> 58];
}

/* Turns that may go. Their `go` is called after the lock has been released. */
struct going {
    struct turn *first, **last;
};

static void let_go(const struct going *going)
{
    for (struct turn *turn = going->first, *then; turn; turn = then) {
        then = turn->then;
        turn->go(turn); /* the turn may no longer exist afterwards */
    }
}

/* ---- under the lock ---- */

static void add_going(struct turns_shard *shard, struct going *going, struct turn *turn)
{
    shard->waiting--;
    turn->then = NULL;
    *going->last = turn;
    going->last = &turn->then;
}

static struct turn **line_of_session(struct turns_shard *shard, uint64_t session)
{
    struct turn **line = &shard->lines[session % TURNS_BUCKETS];
    while (*line && (*line)->session != session)
        line = &(*line)->beside;
    return line;
}

/* Append a turn to the queue of its session. */
static void enter_line(struct turns_shard *shard, struct turn *turn, uint64_t session)
{
    struct turn **line = line_of_session(shard, session), *first = *line;
    turn->session = session;
    turn->next = turn->beside = NULL;
    turn->before = first ? first->last : NULL;
    if (first) {
        first->last->next = turn;
        first->last = turn;
    } else {
        turn->last = turn;
        *line = turn;
    }
}

/* Remove the first turn of a queue. If the next turn waits, it may go. */
static void pass_on(struct turns_shard *shard, struct turn *turn, struct going *going)
{
    struct turn **line = line_of_session(shard, turn->session), *next = turn->next;
    if (!next) {
        *line = turn->beside;
        return;
    }
    next->last = turn->last;
    next->beside = turn->beside;
    *line = next;
    if (next->stage == TURN_WAITS) {
        next->stage = TURN_HELD;
        add_going(shard, going, next);
    }
    atomic_store_explicit(&next->before, NULL, memory_order_release); /* last: see turns_take */
}

static void leave_line(struct turns_shard *shard, struct turn *turn, struct going *going)
{
    if (!turn->before) {
        pass_on(shard, turn, going);
    } else {
        turn->before->next = turn->next;
        if (turn->next)
            turn->next->before = turn->before;
        else
            (*line_of_session(shard, turn->session))->last = turn->before;
    }
    turn->stage = TURN_NONE;
}

/* ---- taking a turn ---- */

static void lock_shard(struct turns_shard *shard, struct going *going)
{
    *going = (struct going){.first = NULL};
    going->last = &going->first;
    pthread_mutex_lock(&shard->lock);
}

static void unlock_and_let_go(struct turns_shard *shard, const struct going *going)
{
    pthread_mutex_unlock(&shard->lock);
    let_go(going);
}

static uint64_t session_of(const struct turns *turns, const char *id)
{
    return XXH3_64bits_withSeed(id, strlen(id), turns->seed);
}

void turns_arrive(struct turns *turns, struct turn *turn, const char *id)
{
    uint64_t session = session_of(turns, id);
    struct turns_shard *shard = shard_of(turns, session);
    pthread_mutex_lock(&shard->lock);
    enter_line(shard, turn, session);
    turn->stage = TURN_ARRIVED;
    pthread_mutex_unlock(&shard->lock);
}

bool turns_take(struct turns *turns, struct turn *turn, const char *id)
{
    uint64_t session = session_of(turns, id);
    struct turns_shard *shard = shard_of(turns, session);
    if (turn->stage == TURN_ARRIVED && turn->session != session)
        turns_leave(turns, turn);
    if (turn->stage == TURN_ARRIVED && !atomic_load_explicit(&turn->before, memory_order_acquire)) {
        turn->stage = TURN_HELD; /* most requests come here, without a lock */
        return true;
    }
    pthread_mutex_lock(&shard->lock);
    if (turn->stage == TURN_NONE)
        enter_line(shard, turn, session);
    bool now = !turn->before;
    turn->stage = now ? TURN_HELD : TURN_WAITS;
    shard->waiting += !now;
    pthread_mutex_unlock(&shard->lock);
    return now;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct going going;
    if (turn->stage == TURN_NONE) /* no other thread changes it */
        return;
    struct turns_shard *shard = shard_of(turns, turn->session);
    lock_shard(shard, &going);
    leave_line(shard, turn, &going);
    unlock_and_let_go(shard, &going);
}

/* Remove the late turns of a queue. The first turn does not wait. */
static void expire_turns(struct turns_shard *shard, struct turn *first, int64_t now_ns, bool all, struct going *going)
{
    for (struct turn *turn = first->next, *next; turn; turn = next) {
        next = turn->next;
        if (turn->stage != TURN_WAITS || (!all && turn->deadline_ns >= now_ns))
            continue;
        leave_line(shard, turn, going);
        add_going(shard, going, turn);
    }
}

void turns_expire(struct turns *turns, int64_t now_ns, bool all)
{
    for (size_t k = 0; k < TURNS_SHARDS; k++) {
        struct turns_shard *shard = &turns->shards[k];
        struct going going;
        if (!shard->waiting)
            continue;
        lock_shard(shard, &going);
        for (size_t i = 0; shard->waiting && i < TURNS_BUCKETS; i++)
            for (struct turn *line = shard->lines[i]; line; line = line->beside)
                expire_turns(shard, line, now_ns, all, &going);
        unlock_and_let_go(shard, &going);
    }
}
