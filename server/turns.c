/* Lines of requests, one a session. A line begins when every request that arrived before is known to be of a session or
   of none: only then is the order certain. */
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

static struct turn **line_of(struct turns *turns, const char *id)
{
    struct turn **line = &turns->lines[XXH3_64bits_withSeed(id, strlen(id), turns->seed) % TURNS_BUCKETS];
    while (*line && strcmp((*line)->id, id))
        line = &(*line)->beside;
    return line;
}

static void append(struct turns *turns, struct turn *turn)
{
    turn->next = NULL;
    turn->before = turns->last;
    *(turns->last ? &turns->last->next : &turns->first) = turn;
    turns->last = turn;
}

static void take_out(struct turns *turns, struct turn *turn)
{
    *(turn->before ? &turn->before->next : &turns->first) = turn->next;
    *(turn->next ? &turn->next->before : &turns->last) = turn->before;
}

/* Into its session's line; true when it is the first there. */
static bool line_up(struct turns *turns, struct turn *turn)
{
    struct turn **line = line_of(turns, turn->id);
    turn->next = turn->beside = NULL;
    turn->last = turn;
    if (*line) {
        (*line)->last->next = turn;
        (*line)->last = turn;
        turn->stage = TURN_WAITS;
        return false;
    }
    *line = turn;
    turn->stage = TURN_HELD;
    return true;
}

/* Those at the head of the arrivals whose session is known. */
static void sort_arrivals(struct turns *turns, struct going *going)
{
    for (struct turn *turn; (turn = turns->first) && turn->stage == TURN_KNOWN;) {
        take_out(turns, turn);
        if (line_up(turns, turn))
            add_going(turns, going, turn);
    }
}

/* The next of the line may go. */
static void pass_on(struct turns *turns, struct turn *turn, struct going *going)
{
    struct turn **line = line_of(turns, turn->id), *next = turn->next;
    if (!next) {
        *line = turn->beside;
        return;
    }
    next->last = turn->last;
    next->beside = turn->beside;
    next->stage = TURN_HELD;
    *line = next;
    add_going(turns, going, next);
}

static void leave(struct turns *turns, struct turn *turn, struct going *going)
{
    switch (turn->stage) {
    case TURN_ARRIVED:
        take_out(turns, turn);
        sort_arrivals(turns, going);
        break;
    case TURN_HELD:
        pass_on(turns, turn, going);
        break;
    case TURN_NONE:
    case TURN_KNOWN: /* those that wait leave by turns_expire alone */
    case TURN_WAITS:
        break;
    }
    turn->stage = TURN_NONE;
}

/* ---- taking it ---- */

static void begin(struct turns *turns, struct going *going)
{
    *going = (struct going){.first = NULL};
    going->last = &going->first;
    pthread_mutex_lock(&turns->lock);
}

static void end(struct turns *turns, const struct going *going)
{
    pthread_mutex_unlock(&turns->lock);
    let_go(going);
}

void turns_arrive(struct turns *turns, struct turn *turn)
{
    pthread_mutex_lock(&turns->lock);
    turn->stage = TURN_ARRIVED;
    append(turns, turn);
    pthread_mutex_unlock(&turns->lock);
}

bool turns_take(struct turns *turns, struct turn *turn, const char *id)
{
    struct going going;
    begin(turns, &going);
    turn->id = id;
    if (turn->stage == TURN_NONE)
        append(turns, turn);
    turn->stage = TURN_KNOWN;
    turns->waiting++;
    sort_arrivals(turns, &going);
    /* it is let go here, not by its own `go` */
    bool now = turn->stage == TURN_HELD;
    for (struct turn **at = &going.first; now && *at; at = &(*at)->then)
        if (*at == turn) {
            *at = turn->then;
            break;
        }
    end(turns, &going);
    return now;
}

void turns_leave(struct turns *turns, struct turn *turn)
{
    struct going going;
    if (turn->stage == TURN_NONE) /* nobody else changes that */
        return;
    begin(turns, &going);
    leave(turns, turn, &going);
    end(turns, &going);
}

/* Those of a line, or of the arrivals, that are too late; its first is not looked at where that has its turn. */
static void expire_line(struct turns *turns, struct turn *first, int64_t now_ns, bool all, struct going *going)
{
    for (struct turn *before = first; before->next;) {
        struct turn *turn = before->next;
        if (!all && turn->deadline_ns >= now_ns) {
            before = turn;
            continue;
        }
        before->next = turn->next;
        if (!turn->next)
            first->last = before;
        turn->stage = TURN_NONE;
        add_going(turns, going, turn);
    }
}

static void expire_arrivals(struct turns *turns, int64_t now_ns, bool all, struct going *going)
{
    for (struct turn *turn = turns->first, *next; turn; turn = next) {
        next = turn->next;
        if (turn->stage != TURN_KNOWN || (!all && turn->deadline_ns >= now_ns))
            continue;
        take_out(turns, turn);
        turn->stage = TURN_NONE;
        add_going(turns, going, turn);
    }
}

void turns_expire(struct turns *turns, int64_t now_ns, bool all)
{
    struct going going;
    begin(turns, &going);
    if (turns->waiting)
        expire_arrivals(turns, now_ns, all, &going);
    for (size_t i = 0; turns->waiting && i < TURNS_BUCKETS; i++)
        for (struct turn *line = turns->lines[i]; line; line = line->beside)
            expire_line(turns, line, now_ns, all, &going);
    end(turns, &going);
}
