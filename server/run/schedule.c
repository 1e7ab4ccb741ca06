/* The main loop of a worker that has requests. Between chunks of timesteps the worker takes more waiting requests, so
   that their rows join. Several models run their chunks in turn. Streams may be endless, so they run in separate
   running batches. Streams share the time with each other and with other requests, which get at least half of it. */
#include "schedule.h"

#include "config/settings.h"
#include "pool.h"
#include "prediction_session.h"
#include "running_batch.h"
#include "running_kept.h"
#include "server/base/clock.h"
#include "services.h"
#include "stream.h"
#include "time_share.h"

#include <stdlib.h>

/* The lower bound of the number of requests that a worker may hold: enough for full batches of single rows. */
enum { LEAST_HELD = 64 };

/* Handing a request back wakes its I/O thread, which often takes this worker's CPU, sends one answer, and sleeps again.
   So if many short answers are ready to be written, so many requests are handed back together. */
enum { GROUP = 8, GROUP_VALUES = 16384 };

/* Arrays of two have an element for each queue of the pool: streams belong to POOL_SLICED, all other requests to
   POOL_QUEUE. */
struct schedule {
    struct worker *worker;
    const struct services *services;
    const struct settings *settings;
    struct running_batch *batches[POOL_LINES];
    size_t held[POOL_LINES], most_held;
    size_t waiting[POOL_LINES]; /* this worker's share of the tasks that waited in the pool when it last looked */
    struct task *finished;      /* requests that have their answers */
    size_t group;               /* the number of predictions to go on with before these are handed back */
    struct time_share share;
};

static enum pool_line line_of_prediction(const struct prediction *p)
{
    return p->request->stream ? POOL_SLICED : POOL_QUEUE;
}

/* The running batch for p; a new one if none accepts p. */
static struct running_batch *find_running_batch(struct schedule *s, const struct prediction *p)
{
    struct running_batch **at = &s->batches[line_of_prediction(p)];
    while (*at && !running_batch_accepts(*at, p))
        at = &(*at)->next;
    if (!*at && (*at = running_kept_open(s->worker, p, (size_t)s->settings->max_batch_rows)))
        (*at)->starts_ns = clock_ns() + s->settings->max_queue_delay_us * 1000;
    return *at;
}

static void hand_back_finished(struct schedule *s)
{
    struct task *next, *task = s->finished;
    s->finished = NULL;
    for (; task; task = next) {
        next = task->next;
        prediction_hand_back(request_of_task(task), s->worker);
    }
}

static void finish_prediction(struct schedule *s, struct prediction *p)
{
    s->held[line_of_prediction(p)]--;
    struct task *task = &prediction_finish(p)->task;
    task->next = s->finished;
    s->finished = task;
    if (!s->held[POOL_QUEUE] && !s->held[POOL_SLICED] && s->worker->pool)
        pool_will_look(s->worker);
    if (!s->group)
        hand_back_finished(s);
}

/* Another thread queues the prediction again, perhaps already. So this thread must not use it any more. */
static void put_aside(struct schedule *s, enum pool_line line)
{
    s->held[line]--;
    pool_done(s->worker);
}

/* Put p behind the tasks that wait. */
static void give_way(struct schedule *s, struct prediction *p)
{
    enum pool_line line = line_of_prediction(p);
    p->behind = true;
    put_aside(s, line);
    pool_add_again(s->worker->pool, &p->request->task, line);
}

static void join_running_batch(struct schedule *s, struct prediction *p)
{
    if (s->held[line_of_prediction(p)] > s->most_held) { /* a stream, which was not known before decoding */
        give_way(s, p);
        return;
    }
    struct running_batch *running = find_running_batch(s, p);
    if (running) {
        prediction_stream(p);
        running_batch_add(running, p);
    } else {
        failure_overloaded(&p->failure);
        finish_prediction(s, p);
    }
}

/* Place a prediction: put it into a running batch, set it aside while its session is busy, or end it. */
static void place_prediction(struct schedule *s, struct prediction *p)
{
    enum pool_line line = line_of_prediction(p);
    enum session_verdict verdict = *p->session.id ? prediction_proceed(p) : SESSION_RUNS;
    if (verdict == SESSION_WAITS)
        put_aside(s, line);
    else if (verdict == SESSION_RUNS)
        join_running_batch(s, p);
    else
        finish_prediction(s, p);
}

static void take_up(struct schedule *s, struct request *request)
{
    struct prediction *p = request->waiting;
    bool again = p;
    if (again)
        p->worker = s->worker;
    else
        p = prediction_begin(request, s->worker);
    if (!p)
        return;
    s->held[line_of_prediction(p)]++;
    if (again && p->behind)
        join_running_batch(s, p); /* its rows continue from their last timestep */
    else
        place_prediction(s, p);
}

static bool has_rows(const struct schedule *s)
{
    return s->batches[POOL_QUEUE] || s->batches[POOL_SLICED];
}

/* Take more waiting requests. */
static void take_more(struct schedule *s)
{
    size_t most[POOL_LINES];
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++)
        most[line] = s->held[line] < s->most_held ? s->most_held - s->held[line] : 0;
    /* while batches wait for more rows, there is time for any task */
    int64_t now = s->settings->max_queue_delay_us || !has_rows(s) ? INT64_MAX : clock_ns();
    struct task *task = pool_take(s->worker, most, s->waiting, now);
    while (task) {
        struct task *next = task->next;
        take_up(s, request_of_task(task));
        task = next;
    }
}

/* Whether a running batch that is not full waits for more rows. With all batches waiting the worker waits too. */
static bool waits_for_rows(const struct running_batch *running, int64_t now)
{
    size_t rows = 0;
    if (running->starts_ns <= now)
        return false;
    for (const struct prediction *p = running->first; p; p = p->next)
        rows += p->batch.n_rows;
    return rows < running->room;
}

static bool takes_more(const struct schedule *s)
{
    return s->held[POOL_QUEUE] < s->most_held;
}

static void wait_for_rows(struct schedule *s)
{
    int64_t now = clock_ns(), until = INT64_MAX;
    for (const struct running_batch *running = s->batches[POOL_QUEUE]; running; running = running->next) {
        if (!takes_more(s) || !waits_for_rows(running, now))
            return;
        until = running->starts_ns < until ? running->starts_ns : until;
    }
    if (s->batches[POOL_QUEUE] && !s->batches[POOL_SLICED])
        pool_wait(s->worker, until);
}

/* Continue with a prediction that was removed from its running batch. */
static void go_on_with(struct schedule *s, struct prediction *p)
{
    if (!p->failure.status && p->finished < p->batch.n_rows) {
        p->admitted = 0;
        p->behind = true;
        if (stream_waits(p->request->stream))
            put_aside(s, POOL_SLICED);
        else
            join_running_batch(s, p);
    } else if (!p->failure.status && *p->session.id) {
        p->behind = false;
        place_prediction(s, p);
    } else {
        finish_prediction(s, p);
    }
}

/* The number of predictions at the beginning of the list that may wait for each other's answers; 0 if they are too few
   or their answers take long to write. */
static size_t group_size(const struct prediction *p)
{
    size_t n = 0, values = 0;
    for (; p && n < GROUP && !p->request->stream && !p->request->head.accepts_gzip; p = p->next, n++)
        values += prediction_values(p);
    return n == GROUP && values <= GROUP_VALUES ? n : 0;
}

/* Continue with the predictions that were removed from the running batch at *at. Closes the batch if it has no others.
   Returns the position of the next batch. */
static struct running_batch **go_on_with_removed(struct schedule *s, struct running_batch **at,
                                                 struct prediction *removed)
{
    struct running_batch *running = *at;
    if (running->first) {
        at = &running->next;
    } else {
        *at = running->next;
        running_kept_close(s->worker, running);
    }
    for (struct prediction *next; removed; removed = next) {
        next = removed->next;
        s->group = s->group ? s->group : group_size(removed);
        go_on_with(s, removed);
        if (s->group && !--s->group)
            hand_back_finished(s);
    }
    return at;
}

/* Before rows are admitted: remove predictions whose client has gone or whose deadline has passed, so that they take no
   slots. */
static void remove_stopped(struct schedule *s)
{
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++)
        for (struct running_batch **at = &s->batches[line]; *at;)
            at = go_on_with_removed(s, at, running_batch_remove_stopped(*at));
}

/* If the worker holds the maximum of requests and others wait in the pool, predictions that have run for a while are
   queued behind them. */
static void preempt_for_others(struct schedule *s)
{
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++) {
        size_t most = s->held[line] >= s->most_held ? s->waiting[line] : 0;
        for (struct running_batch *running = s->batches[line]; most && running; running = running->next)
            for (struct prediction *next, *p = running_batch_preempt(running, most); p; p = next, most--) {
                next = p->next;
                give_way(s, p);
            }
    }
}

static struct running_batch **advance_one(struct schedule *s, struct running_batch **at)
{
    return go_on_with_removed(s, at, running_batch_advance(*at, s->worker, s->services->metrics));
}

/* Move the first running batch behind the others. Returns its new position. */
static struct running_batch **move_back(struct running_batch **first)
{
    struct running_batch *running = *first, **at = first;
    *first = running->next;
    running->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = running;
    return at;
}

/* Run a chunk of every running batch of ordinary requests, and of one batch of streams, if the streams' share of the
   time allows it. */
static void advance_all(struct schedule *s)
{
    bool others = false, patient = s->settings->max_queue_delay_us && takes_more(s);
    int64_t began = clock_ns();
    for (struct running_batch **at = &s->batches[POOL_QUEUE]; *at;) {
        bool idle = patient && waits_for_rows(*at, began);
        others |= !idle;
        at = idle ? &(*at)->next : advance_one(s, at);
    }
    if (!s->batches[POOL_SLICED])
        return;
    int64_t now = clock_ns();
    if (!time_share_allows_streams(&s->share, others ? now - began : 0))
        return;
    advance_one(s, move_back(&s->batches[POOL_SLICED]));
    time_share_took(&s->share, clock_ns() - now);
}

static struct schedule schedule_of(struct request *request, struct worker *worker)
{
    const struct settings *settings = request->services->settings;
    size_t rows = (size_t)settings->max_batch_rows;
    return (struct schedule){.worker = worker,
                             .services = request->services,
                             .settings = settings,
                             .most_held = rows > LEAST_HELD ? rows : LEAST_HELD};
}

void schedule_run(struct task *task, struct worker *worker)
{
    struct request *request = request_of_task(task);
    struct schedule s = schedule_of(request, worker);
    take_up(&s, request);
    while (remove_stopped(&s), preempt_for_others(&s), take_more(&s), has_rows(&s)) {
        if (s.settings->max_queue_delay_us)
            wait_for_rows(&s);
        advance_all(&s);
    }
}

void schedule_alone(struct request *request, struct worker *worker)
{
    struct schedule s = schedule_of(request, worker);
    take_up(&s, request);
    while (remove_stopped(&s), has_rows(&s))
        advance_all(&s);
}
