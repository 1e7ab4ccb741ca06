/* A worker's loop while it has requests: between chunks of timesteps it takes more of those that wait, so that their rows
   join; several models have their chunks in turn. Streams, which may be endless, are held apart from the others, run in
   flights of their own, and take turns: with each other where they are many, and with the others, who have half of the
   time at least. */
#include "schedule.h"

#include "flight.h"
#include "server.h"
#include "server/base/clock.h"
#include "time_share.h"

#include <stdlib.h>

/* Requests that a worker holds at a time, at least: enough for full batches of single rows. */
enum { LEAST_HELD = 64 };

/* What there is twice is of the lines: streams belong to POOL_TURNS, all others to POOL_QUEUE. */
struct schedule {
    struct worker *worker;
    struct server *server;
    const struct settings *settings;
    struct flight *flights[POOL_LINES];
    size_t held[POOL_LINES], most_held;
    size_t waiting[POOL_LINES]; /* this worker's share of what waits in the pool, when it last looked */
    struct time_share share;
};

static enum pool_line line_of(const struct prediction *p)
{
    return p->request->stream ? POOL_TURNS : POOL_QUEUE;
}

/* The flight that takes p, a new one if need be. */
static struct flight *find_flight(struct schedule *s, const struct prediction *p)
{
    struct flight **at = &s->flights[line_of(p)];
    while (*at && !flight_takes(*at, p))
        at = &(*at)->next;
    if (!*at && (*at = flight_open(p, (size_t)s->settings->max_batch_rows)))
        (*at)->starts_ns = clock_ns() + s->settings->max_queue_delay_us * 1000;
    return *at;
}

static void end(struct schedule *s, struct prediction *p)
{
    s->held[line_of(p)]--;
    prediction_end(p);
}

/* It will be queued again. Whoever does that may have done so already: it is not looked at any more. */
static void put_aside(struct schedule *s, enum pool_line line)
{
    s->held[line]--;
    pool_done(s->worker->pool);
}

/* Others have their turn before it. */
static void give_way(struct schedule *s, struct prediction *p)
{
    enum pool_line line = line_of(p);
    p->behind = true;
    put_aside(s, line);
    pool_add_again(s->worker->pool, &p->request->task, line);
}

static void run(struct schedule *s, struct prediction *p)
{
    if (s->held[line_of(p)] > s->most_held) { /* a stream, which nobody knew before it was decoded */
        give_way(s, p);
        return;
    }
    struct flight *flight = find_flight(s, p);
    if (flight) {
        prediction_stream(p);
        flight_add(flight, p);
    } else {
        failure_overloaded(&p->failure);
        end(s, p);
    }
}

/* Put a prediction where it belongs now: into a flight, aside while its session is busy, or to its end. */
static void place(struct schedule *s, struct prediction *p)
{
    enum pool_line line = line_of(p);
    enum session_verdict verdict = *p->session.id ? session_proceed(p) : SESSION_RUNS;
    if (verdict == SESSION_WAITS)
        put_aside(s, line);
    else if (verdict == SESSION_RUNS)
        run(s, p);
    else
        end(s, p);
}

static void begin(struct schedule *s, struct request *request)
{
    struct prediction *p = request->waiting;
    bool again = p;
    if (again)
        p->worker = s->worker;
    else
        p = prediction_begin(request, s->worker);
    if (!p)
        return;
    s->held[line_of(p)]++;
    if (again && p->behind)
        run(s, p); /* its rows go on where they were */
    else
        place(s, p);
}

static bool has_flights(const struct schedule *s)
{
    return s->flights[POOL_QUEUE] || s->flights[POOL_TURNS];
}

/* More of the requests that wait. */
static void take_more(struct schedule *s)
{
    size_t most[POOL_LINES];
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++)
        most[line] = s->held[line] < s->most_held ? s->most_held - s->held[line] : 0;
    /* while flights wait for company there is time for whatever comes */
    int64_t now = s->settings->max_queue_delay_us || !has_flights(s) ? INT64_MAX : clock_ns();
    struct task *task = pool_take(s->worker->pool, most, s->waiting, now);
    while (task) {
        struct task *next = task->next;
        begin(s, request_of_task(task));
        task = next;
    }
}

/* A flight that need not be full yet may wait for company, while the worker takes any; with all of them waiting the worker
   does too. */
static bool waits(const struct flight *flight, int64_t now)
{
    size_t rows = 0;
    if (flight->starts_ns <= now)
        return false;
    for (const struct prediction *p = flight->first; p; p = p->next)
        rows += p->batch.n_rows;
    return rows < flight->room;
}

static bool takes_more(const struct schedule *s)
{
    return s->held[POOL_QUEUE] < s->most_held;
}

static void wait_for_company(struct schedule *s)
{
    int64_t now = clock_ns(), until = INT64_MAX;
    for (const struct flight *flight = s->flights[POOL_QUEUE]; flight; flight = flight->next) {
        if (!takes_more(s) || !waits(flight, now))
            return;
        until = flight->starts_ns < until ? flight->starts_ns : until;
    }
    if (s->flights[POOL_QUEUE] && !s->flights[POOL_TURNS])
        pool_wait(s->worker->pool, until);
}

/* What becomes of a prediction that has left its flight. */
static void go_on(struct schedule *s, struct prediction *p)
{
    if (!p->failure.status && p->finished < p->batch.n_rows) {
        p->admitted = 0;
        p->behind = true;
        if (stream_waits(p->request->stream))
            put_aside(s, POOL_TURNS);
        else
            run(s, p);
    } else if (!p->failure.status && *p->session.id) {
        p->behind = false;
        place(s, p);
    } else {
        end(s, p);
    }
}

/* Take out the predictions that are through with the flight at *at; it is closed when it has no others. Returns where the next
   one is. */
static struct flight **settle(struct schedule *s, struct flight **at, struct prediction *through)
{
    struct flight *flight = *at;
    if (flight->first) {
        at = &flight->next;
    } else {
        *at = flight->next;
        flight_close(flight);
    }
    for (struct prediction *next; through; through = next) {
        next = through->next;
        go_on(s, through);
    }
    return at;
}

/* Before others are let in: who has gone, or is too late, is in nobody's way. */
static void sweep(struct schedule *s)
{
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++)
        for (struct flight **at = &s->flights[line]; *at;)
            at = settle(s, at, flight_sweep(*at));
}

/* Where the worker holds as many as it may and others wait in the pool, those that have run for a while go behind them. */
static void make_way(struct schedule *s)
{
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++) {
        size_t most = s->held[line] >= s->most_held ? s->waiting[line] : 0;
        for (struct flight *flight = s->flights[line]; most && flight; flight = flight->next)
            for (struct prediction *next, *p = flight_yield(flight, most); p; p = next, most--) {
                next = p->next;
                give_way(s, p);
            }
    }
}

static struct flight **chunk(struct schedule *s, struct flight **at)
{
    return settle(s, at, flight_advance(*at, s->worker, &s->server->metrics));
}

/* Put the first flight behind the others; returns where it stands then. */
static struct flight **move_back(struct flight **first)
{
    struct flight *flight = *first, **at = first;
    *first = flight->next;
    flight->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = flight;
    return at;
}

/* A chunk of every flight of the others, and of one of streams, if it is their turn. */
static void advance(struct schedule *s)
{
    bool others = false, patient = s->settings->max_queue_delay_us && takes_more(s);
    int64_t began = clock_ns();
    for (struct flight **at = &s->flights[POOL_QUEUE]; *at;) {
        bool idle = patient && waits(*at, began);
        others |= !idle;
        at = idle ? &(*at)->next : chunk(s, at);
    }
    if (!s->flights[POOL_TURNS])
        return;
    int64_t now = clock_ns();
    if (!time_share_turn(&s->share, others ? now - began : 0))
        return;
    chunk(s, move_back(&s->flights[POOL_TURNS]));
    time_share_took(&s->share, clock_ns() - now);
}

static struct schedule schedule_of(struct request *request, struct worker *worker)
{
    const struct settings *settings = request->server->settings;
    size_t rows = (size_t)settings->max_batch_rows;
    return (struct schedule){.worker = worker,
                             .server = request->server,
                             .settings = settings,
                             .most_held = rows > LEAST_HELD ? rows : LEAST_HELD};
}

void schedule_run(struct task *task, struct worker *worker)
{
    struct request *request = request_of_task(task);
    struct schedule s = schedule_of(request, worker);
    begin(&s, request);
    while (sweep(&s), make_way(&s), take_more(&s), has_flights(&s)) {
        if (s.settings->max_queue_delay_us)
            wait_for_company(&s);
        advance(&s);
    }
}

void schedule_alone(struct request *request, struct worker *worker)
{
    struct schedule s = schedule_of(request, worker);
    begin(&s, request);
    while (sweep(&s), has_flights(&s))
        advance(&s);
}
