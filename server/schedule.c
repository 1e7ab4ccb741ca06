/* A worker's loop while it has requests: between chunks of timesteps it takes more of those that wait, so that their rows
   join; several models have their chunks in turn. */
#include "schedule.h"

#include "clock.h"
#include "flight.h"
#include "server.h"

#include <stdlib.h>

/* Requests that a worker holds at a time: enough for full batches of single rows. */
enum { MOST_HELD = 64 };

struct schedule {
    struct worker *worker;
    struct server *server;
    const struct settings *settings;
    struct flight *flights;
    size_t held;
};

/* The flight that takes p, a new one if need be. */
static struct flight *find_flight(struct schedule *s, const struct prediction *p)
{
    struct flight **at = &s->flights;
    while (*at && !flight_takes(*at, p))
        at = &(*at)->next;
    if (!*at && (*at = flight_open(p, (size_t)s->settings->max_batch_rows)))
        (*at)->starts_ns = clock_ns() + s->settings->max_queue_delay_us * 1000;
    return *at;
}

static void end(struct schedule *s, struct prediction *p)
{
    prediction_end(p);
    s->held--;
}

/* It will be queued again. Whoever does that may have done so already: it is not looked at any more. */
static void put_aside(struct schedule *s)
{
    s->held--;
    pool_done(s->worker->pool);
}

static void run(struct schedule *s, struct prediction *p)
{
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
    enum session_verdict verdict = *p->session.id ? session_proceed(p) : SESSION_RUNS;
    if (verdict == SESSION_WAITS)
        put_aside(s);
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
    s->held++;
    if (again && p->behind)
        run(s, p); /* its rows go on where they were */
    else
        place(s, p);
}

/* More of the requests that wait. */
static void take_more(struct schedule *s)
{
    struct task *task = s->held < MOST_HELD ? pool_take(s->worker->pool, MOST_HELD - s->held) : NULL;
    while (task) {
        struct task *next = task->next;
        begin(s, request_of_task(task));
        task = next;
    }
}

/* A flight that need not be full yet may wait for company; with all of them waiting the worker does too. */
static bool waits(const struct flight *flight, int64_t now)
{
    size_t rows = 0;
    for (const struct prediction *p = flight->first; p; p = p->next)
        rows += p->batch.n_rows;
    return flight->starts_ns > now && rows < flight->room;
}

static void wait_for_company(struct schedule *s)
{
    int64_t now = clock_ns(), until = INT64_MAX;
    for (const struct flight *flight = s->flights; flight; flight = flight->next) {
        if (!waits(flight, now))
            return;
        until = flight->starts_ns < until ? flight->starts_ns : until;
    }
    if (s->flights)
        pool_wait(s->worker->pool, until);
}

/* What becomes of a prediction that has left its flight. */
static void go_on(struct schedule *s, struct prediction *p)
{
    if (!p->failure.status && p->finished < p->batch.n_rows) {
        p->admitted = 0;
        p->behind = true;
        if (stream_waits(p->request->stream))
            put_aside(s);
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
    for (struct flight **at = &s->flights; *at;)
        at = settle(s, at, flight_sweep(*at));
}

/* A chunk of every flight. */
static void advance(struct schedule *s)
{
    int64_t now = s->settings->max_queue_delay_us ? clock_ns() : INT64_MAX;
    for (struct flight **at = &s->flights; *at;)
        at = waits(*at, now) ? &(*at)->next : settle(s, at, flight_advance(*at, s->worker, &s->server->metrics));
}

static struct schedule schedule_of(struct request *request, struct worker *worker)
{
    return (struct schedule){.worker = worker, .server = request->server, .settings = request->server->settings};
}

void schedule_run(struct task *task, struct worker *worker)
{
    struct request *request = request_of_task(task);
    struct schedule s = schedule_of(request, worker);
    begin(&s, request);
    while (sweep(&s), take_more(&s), s.flights) {
        if (s.settings->max_queue_delay_us)
            wait_for_company(&s);
        advance(&s);
    }
}

void schedule_alone(struct request *request, struct worker *worker)
{
    struct schedule s = schedule_of(request, worker);
    begin(&s, request);
    while (sweep(&s), s.flights)
        advance(&s);
}
