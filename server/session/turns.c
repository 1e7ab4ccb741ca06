/* Lines of requests, one a session. No line waits for another. */
#include "turns.h"

#include "session_record.h"

#include <string.h>
#include <xxhash.h>

void turns_init(struct turns *turns)
{
    memset(turns, 0, sizeof *turns);
    pthread_mutex_init(&turns->lock, NULL);
    turns->seed = session_tag();
}

void turns_close(struct turns *turns)
{
    pthread_mutex_destroy(&turns->lock);
}

/* Turns that may go, called when the lock has been given back. */
struct going {
    struct turn *first, **last;
};

static void let_go(const struct going *going)
{
    for (struct turn *turn = going->first, *then; turn; turn = then) {
        then = turn->then;
        turn->go(turn); /* it may be gone afterwards */
    }
}

/* ---- under the lock ---- */

static void add_going(struct turns *turns, struct going *going, struct turn *turn)
{
    turns->waiting--;
    turn->then = NULL;
    *going->last = turn;
    going->last = &turn->then;
}

static struct turn **line_of_session(struct turns *turns, uint64_t session)
{
    struct turn **line = &turns->lines[session % TURNS_BUCKETS];
    while (*line && (*line)->session != session)
        line = &(*line)->beside;
    return line;
}

/* At the end of a line. */
static void enter_line(struct turns *turns, struct turn *turn, uint64_t session)
{
    struct turn **line = line_of_session(turns, session), *first = *line;
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

/* The first of a line leaves it; the next may go, if it waits. */
static void pass_on(struct turns *turns, struct turn *turn, struct going *going)
{
    struct turn **line = line_of_session(turns, turn->session), *next = turn->next;
    if (!next) {
        *line = turn->beside;
        return;
    }
    next->before = NULL;
    next->last = turn->last;
    next->beside = turn->beside;
    *line = next;
    if (next->stage == TURN_WAITS) {
        next->stage = TURN_HELD;
        add_going(turns, going, next);
    }
}

static void leave_line(struct turns *turns, struct turn *turn, struct going *going)
{
    if (!turn->before) {
        pass_on(turns, turn, going);
    } else {
        turn->before->next = turn->next;
        if (turn->next)
            turn->next->before = turn->before;
        else
            (*line_of_session(turns, turn->session))->last = turn->before;
    }
    turn->stage = TURN_NONE;
}

/* ---- taking it ---- */

static void lock_turns(struct turns *turns, struct going *going)
{
    *going = (struct going){.first = NULL};
    going->last = &going->first;
    pthread_mutex_lock(&turns->lock);
}

static void unlock_and_let_go(struct turns *turns, const struct going *going)
{
    pthread_mutex_unlock(&turns->lock);
    let_go(going);
}

static uint64_t session_of(const struct turns *turns, const char *id)
{
    return XXH3_64bits_withSeed(id, strlen(id), turns->seed);
}

void turns_arrive(struct turns *turns, struct turn *turn, const char *id)
{
    pthread_mutex_lock(&turns->lock);
    enter_line(turns, turn, session_of(turns, id));
    turn->stage = TURN_ARRIVED;
    pthread_mutex_unlock(&turns->lock);
}

bool turns_take(struct turns *turns, struct turn *turn, const char *id)
{
    struct going going;
    uint64_t session = session_of(turns, id);
    lock_turns(turns, &going);
    if (turn->stage == TURN_ARRIVED && turn->session != session)
        leave_line(turns, turn, &going);
    if (turn->stage == TURN_NONE)
        enter_line(turns, turn, session);
    bool now = !turn->before;
    turn->stage = now ? TURN_HELD : TURN_WAITS;
    turns->waiting += !now;
    unlock_and_let_go(turns, &going);
    return now;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct going going;
    if (turn->stage == TURN_NONE) /* nobody else changes that */
        return;
    lock_turns(turns, &going);
    leave_line(turns, turn, &going);
    unlock_and_let_go(turns, &going);
}

/* Those of a line that are too late; its first does not wait. */
static void expire_turns(struct turns *turns, struct turn *first, int64_t now_ns, bool all, struct going *going)
{
    for (struct turn *turn = first->next, *next; turn; turn = next) {
        next = turn->next;
        if (turn->stage != TURN_WAITS || (!all && turn->deadline_ns >= now_ns))
            continue;
        leave_line(turns, turn, going);
        add_going(turns, going, turn);
    }
}

void turns_expire(struct turns *turns, int64_t now_ns, bool all)
{
    struct going going;
    lock_turns(turns, &going);
    for (size_t i = 0; turns->waiting && i < TURNS_BUCKETS; i++)
        for (struct turn *line = turns->lines[i]; line; line = line->beside)
            expire_turns(turns, line, now_ns, all, &going);
    unlock_and_let_go(turns, &going);
}
