/* Running batches. */
#include "flight.h"

#include "server.h"
#include "server/base/clock.h"

#include <stdlib.h>
#include <string.h>

/* A chunk takes about so long, so that others can join soon; but it has this many row-steps at least, so that the product
   of the inputs with their weights is worth its reading of the weights. */
enum { CHUNK_NS = 2000000, CHUNK_LEAST_ROW_STEPS = 16 };

/* Rows that run to their end together have at most this many timesteps in all, which bounds their memory (a row of its
   own may have more). */
enum { WHOLE_ROW_STEPS = 16384 };

/* How long a prediction has its seats while others wait for them. A stream may be endless, so it is short; of the others
   most are through before, so that they keep their order. */
enum { SLICE_NS = 100000000, STREAM_SLICE_NS = 20000000 };

bool flight_takes(const struct flight *flight, const struct prediction *p)
{
    return flight->model == p->batch.model && flight->sequences == p->batch.sequences;
}

struct flight *flight_open(const struct prediction *p, size_t room)
{
    struct flight *flight = calloc(1, sizeof *flight);
    if (!flight)
        return NULL;
    *flight = (struct flight){.model = p->batch.model,
                              .sequences = p->batch.sequences,
                              .in_parts = p->batch.model->chain.divisible,
                              .streams = p->request->stream,
                              .room = room,
                              .share = {.memory = p->request->memory.memory}};
    flight->last = &flight->first;
    flight->seats = calloc(room, sizeof *flight->seats);
    flight->rows = calloc(room, sizeof *flight->rows);
    flight->order = calloc(room, sizeof *flight->order);
    if (flight->seats && flight->rows && flight->order)
        return flight;
    flight_close(flight);
    return NULL;
}

void flight_close(struct flight *flight)
{
    free(flight->seats);
    free(flight->rows);
    free(flight->order);
    free(flight->floats);
    free(flight->masks);
    memory_give(&flight->share, flight->share.bytes);
    free(flight);
}

void flight_add(struct flight *flight, struct prediction *p)
{
    p->next = NULL;
    p->seated_ns = 0;
    *flight->last = p;
    flight->last = &p->next;
}

/* ---- who is aboard ---- */

static void leave(struct flight *flight, const struct prediction *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < flight->n; i++)
        if (flight->seats[i].owner != p)
            flight->seats[kept++] = flight->seats[i];
    flight->n = kept;
}

/* Take out the predictions that are done or have failed, with their rows. */
static struct prediction *let_out(struct flight *flight)
{
    struct prediction *out = NULL, **out_last = &out, **at = &flight->first, *p;
    while ((p = *at)) {
        bool over = p->failure.status || p->finished == p->batch.n_rows;
        if (!over && !(p->request->stream && stream_is_full(p->request->stream))) {
            at = &p->next;
            continue;
        }
        if (p->finished < p->batch.n_rows)
            leave(flight, p);
        *at = p->next;
        p->next = NULL;
        *out_last = p;
        out_last = &p->next;
    }
    flight->last = at;
    return out;
}

/* One row of each prediction in turn, so that a small one need not wait for a large one to be through. */
static void let_in(struct flight *flight, int64_t now)
{
    size_t row_steps = 0;
    for (bool more = true; more && flight->n < flight->room;) {
        more = false;
        for (struct prediction *p = flight->first; p && flight->n < flight->room; p = p->next) {
            while (p->admitted < p->batch.n_rows && batch_row_is_done(&p->batch, p->admitted))
                p->admitted++; /* it was aboard before */
            if (p->admitted == p->batch.n_rows)
                continue;
            row_steps += p->batch.rows[p->admitted].timesteps;
            if (!flight->in_parts && flight->n && row_steps > WHOLE_ROW_STEPS)
                return;
            flight->seats[flight->n++] = (struct flight_seat){.owner = p, .b = p->admitted++};
            p->seated_ns = p->seated_ns ? p->seated_ns : now;
            more = true;
        }
    }
}

static bool has_had_its_slice(const struct flight *flight, const struct prediction *p, int64_t now)
{
    return p->seated_ns && now - p->seated_ns >= (flight->streams ? STREAM_SLICE_NS : SLICE_NS);
}

/* Take out up to `most` predictions whose slice is over, and free their seats. */
static struct prediction *slices_over(struct flight *flight, int64_t now, size_t most)
{
    struct prediction *out = NULL, **out_last = &out, **at = &flight->first, *p;
    while (flight->in_parts && (p = *at)) {
        if (!most || !has_had_its_slice(flight, p, now)) {
            at = &p->next;
            continue;
        }
        leave(flight, p);
        p->admitted = 0;
        *at = p->next;
        p->next = NULL;
        *out_last = p;
        out_last = &p->next;
        most--;
    }
    flight->last = flight->in_parts ? at : flight->last;
    return out;
}

struct prediction *flight_yield(struct flight *flight, size_t most)
{
    return slices_over(flight, clock_ns(), most);
}

/* Where a prediction has no seat at all, those whose slice is over are behind it. */
static void take_turns(struct flight *flight, int64_t now)
{
    const struct prediction *waiting = flight->n == flight->room ? flight->first : NULL;
    while (waiting && waiting->seated_ns)
        waiting = waiting->next;
    struct prediction *next, *p = waiting ? slices_over(flight, now, SIZE_MAX) : NULL;
    for (; p; p = next) {
        next = p->next;
        flight_add(flight, p);
    }
    let_in(flight, now);
}

static bool is_over(struct prediction *p)
{
    return p->failure.status || prediction_stops(p);
}

/* Asked while rows run to their end. */
static bool nobody_waits(void *context)
{
    const struct flight *flight = context;
    for (size_t i = 0; i < flight->n; i++)
        if (!is_over(flight->seats[i].owner))
            return false;
    return true;
}

/* ---- a chunk ---- */

/* Whether the next timestep of a row is the output before it. */
static bool rolls(const struct flight_seat *seat)
{
    const struct batch *batch = &seat->owner->batch;
    return batch->rolled && batch->progress[seat->b].done == batch->rows[seat->b].timesteps;
}

/* Timesteps of a chunk, the same for all aboard. Rows that take their own output as input have one in a chunk. */
static size_t chunk_steps(const struct flight *flight)
{
    double ns = rnn_model_step_ns(&flight->model->chain, flight->n) + 1;
    size_t least = (CHUNK_LEAST_ROW_STEPS + flight->n - 1) / flight->n, steps = (size_t)(CHUNK_NS / ns);
    for (size_t i = 0; i < flight->n; i++)
        if (rolls(&flight->seats[i]))
            return least;
    return steps > least ? steps : least;
}

/* Of a stream an event's worth; the first is to be there soon. */
static size_t seat_steps(const struct flight_seat *seat, size_t most)
{
    const struct batch *batch = &seat->owner->batch;
    size_t left = batch->rows[seat->b].timesteps - batch->progress[seat->b].done;
    if (seat->owner->request->stream && batch->sequences && !batch->rolled) {
        size_t event = STREAM_EVENT_FLOATS / batch->output.width + 1;
        event = !batch->progress[seat->b].given && event > CHUNK_LEAST_ROW_STEPS ? CHUNK_LEAST_ROW_STEPS : event;
        most = event < most ? event : most;
    }
    return left < most ? left : most;
}

/* The part of its sequence that a row has in this chunk. */
static void cut_sequence(struct flight_seat *seat, struct rnn_row *row, size_t most)
{
    const struct batch *batch = &seat->owner->batch;
    size_t done = batch->progress[seat->b].done;
    row->inputs += done * row->input_stride;
    if (row->mask)
        row->mask += done * row->mask_stride;
    row->timesteps = seat->steps = seat_steps(seat, most);
}

/* Its last output. */
static void cut_rolling(struct flight_seat *seat, struct rnn_row *row)
{
    const struct rollout *rollout = &seat->owner->rollout;
    size_t width = seat->owner->batch.model->chain.input.width;
    row->inputs = rollout->feedback + seat->b * width;
    row->input_stride = width;
    row->mask = NULL;
    row->timesteps = seat->steps = 1;
}

/* The rows of this chunk; returns the floats of those inputs and outputs that do not stay where they are. */
static size_t cut_rows(struct flight *flight)
{
    const struct rnn_model *chain = &flight->model->chain;
    size_t most = flight->in_parts ? chunk_steps(flight) : SIZE_MAX, copies = 0;
    for (size_t i = 0; i < flight->n; i++) {
        struct flight_seat *seat = &flight->seats[i];
        const struct batch *batch = &seat->owner->batch;
        const struct row_progress *progress = &batch->progress[seat->b];
        struct rnn_row *row = &flight->rows[i];
        *row = batch->rows[seat->b];
        row->stepped = progress->stepped;
        if (rolls(seat))
            cut_rolling(seat, row);
        else
            cut_sequence(seat, row, most);
        bool in_pieces = prediction_in_pieces(seat->owner), part = flight->in_parts && batch->output.sequence;
        if (in_pieces)
            seat->vectors = flight->sequences ? seat->steps : 1;
        else
            seat->vectors = part ? seat->steps : batch->steps[seat->b];
        if (part && !in_pieces)
            row->outputs += (ptrdiff_t)progress->done * row->output_stride;
        copies += (chain->inputs_anywhere ? 0 : seat->steps * chain->input.width) +
                  (chain->outputs_anywhere && !in_pieces ? 0 : seat->vectors * chain->output.width);
    }
    return copies;
}

static bool grow(struct flight *flight, void **block, size_t *room, size_t count, size_t size)
{
    size_t bytes;
    if (count <= *room && *block)
        return true;
    void *grown = rnn_size_mul(count ? count : 1, size, &bytes)
                      ? memory_realloc(&flight->share, *block, *room * size, bytes)
                      : NULL;
    if (!grown)
        return false;
    *block = grown;
    *room = count;
    return true;
}

static bool make_room(struct flight *flight, const struct model_work *work, size_t copies)
{
    size_t floats;
    void *block = flight->floats;
    bool good = rnn_size_add(2 * work->floats + work->aux, copies, &floats) &&
                grow(flight, &block, &flight->floats_room, floats, sizeof *flight->floats);
    flight->floats = block;
    block = flight->masks;
    good = good && grow(flight, &block, &flight->masks_room, work->masks, 1);
    flight->masks = block;
    return good;
}

/* Whether a row's outputs are written where the request wants them. */
static bool stays(const struct flight *flight, const struct flight_seat *seat)
{
    return flight->model->chain.outputs_anywhere && !prediction_in_pieces(seat->owner);
}

/* Rows' inputs one after the other, and room for their outputs, where the model wants it so or where they are taken as they
   come. Returns where the outputs begin. */
static float *copy_in(struct flight *flight, float *at)
{
    const struct rnn_model *chain = &flight->model->chain;
    for (size_t i = 0; !chain->inputs_anywhere && i < flight->n; i++) {
        struct rnn_row *row = &flight->rows[i];
        size_t floats = row->timesteps * chain->input.width;
        memcpy(at, row->inputs, floats * sizeof *at);
        row->inputs = at;
        at += floats;
    }
    float *outputs = at;
    for (size_t i = 0; i < flight->n; i++) {
        if (stays(flight, &flight->seats[i]))
            continue;
        flight->rows[i].outputs = at;
        if (prediction_in_pieces(flight->seats[i].owner))
            flight->rows[i].output_stride = (ptrdiff_t)chain->output.width;
        at += flight->seats[i].vectors * chain->output.width;
    }
    return outputs;
}

/* n outputs of a seat's row that are taken as they come. */
static void give(struct flight_seat *seat, size_t timestep, const float *values, size_t n)
{
    struct prediction *p = seat->owner;
    const struct batch *batch = &p->batch;
    const struct rnn_row *row = &batch->rows[seat->b];
    struct row_progress *progress = &batch->progress[seat->b];
    for (size_t i = 0; batch->outputs && i < n; i++)
        memcpy(row->outputs + (ptrdiff_t)(progress->given + i) * row->output_stride, values + i * batch->output.width,
               batch->output.width * sizeof *values);
    progress->given += n;
    if (p->request->stream)
        stream_outputs(p, seat->b, timestep, values, n);
}

/* Of the vectors that a chunk gives, those that are outputs: all of a sequence; the last of what is fed back, or of a
   sequence of which the last alone is wanted. */
static void take_pieces(const struct flight *flight, struct flight_seat *seat, const float *vectors)
{
    struct prediction *p = seat->owner;
    const struct batch *batch = &p->batch;
    const struct row_progress *progress = &batch->progress[seat->b];
    const float *last = vectors + (seat->vectors - 1) * flight->model->chain.output.width;
    size_t first = progress->done;
    bool whole = rolls(seat) || first + seat->steps == batch->rows[seat->b].timesteps;
    if (batch->rolled) {
        const float *output = whole ? rollout_take(p, seat->b, progress->given, last) : NULL;
        if (output)
            give(seat, progress->given, output, 1);
    } else if (flight->sequences) {
        give(seat, first, vectors, seat->steps);
    } else if (whole) {
        give(seat, first + seat->steps - 1, last, 1);
    }
}

/* From at, where the outputs begin, to where the requests want them. */
static void copy_out(struct flight *flight, const float *at)
{
    for (size_t i = 0; i < flight->n; i++) {
        struct flight_seat *seat = &flight->seats[i];
        const struct batch *batch = &seat->owner->batch;
        if (stays(flight, seat))
            continue;
        size_t floats = seat->vectors * flight->model->chain.output.width;
        bool part = flight->in_parts && batch->output.sequence;
        if (prediction_in_pieces(seat->owner))
            take_pieces(flight, seat, at);
        else
            memcpy(batch->rows[seat->b].outputs + (part ? batch->progress[seat->b].done * batch->output.width : 0), at,
                   floats * sizeof *at);
        at += floats;
    }
}

/* False when the rows were told to stop. */
static bool run_chunk(struct flight *flight, struct worker *worker, const struct model_work *work)
{
    const struct rnn_model *chain = &flight->model->chain;
    struct pool *pool = worker->pool;
    struct team team, *helpers = NULL;
    float *copies = flight->floats + 2 * work->floats + work->aux;
    if (pool && pool->n_workers > 1) {
        team_open(&team, &pool->host, pool->n_workers);
        helpers = &team;
    }
    const struct model_run run = {.sequences = flight->sequences,
                                  .work = *work,
                                  .floats = flight->floats,
                                  .masks = flight->masks,
                                  .order = flight->order,
                                  .arena = &worker->arena,
                                  .team = helpers,
                                  .stop = flight->in_parts ? NULL : nobody_waits,
                                  .stop_context = flight};
    const float *outputs = copy_in(flight, copies);
    bool whole = rnn_model_run(chain, &run, flight->rows, flight->n);
    if (helpers)
        team_close(helpers);
    if (whole)
        copy_out(flight, outputs);
    return whole;
}

/* Everyone aboard is a timestep or more further and pays for them; rows at their end give up their seats. */
static void move_on(struct flight *flight, int64_t took_ns)
{
    size_t kept = 0, row_steps = 0;
    for (size_t i = 0; i < flight->n; i++)
        row_steps += flight->seats[i].steps;
    for (size_t i = 0; i < flight->n; i++) {
        struct flight_seat *seat = &flight->seats[i];
        struct row_progress *progress = &seat->owner->batch.progress[seat->b];
        progress->done += rolls(seat) ? 0 : seat->steps;
        progress->stepped |= flight->rows[i].taken > 0;
        seat->owner->cost_ns += (double)took_ns * (double)seat->steps / (double)row_steps;
        if (batch_row_is_done(&seat->owner->batch, seat->b))
            seat->owner->finished++;
        else
            flight->seats[kept++] = *seat;
    }
    flight->n = kept;
}

static void fail_all(struct flight *flight)
{
    for (size_t i = 0; i < flight->n; i++)
        failure_overloaded(&flight->seats[i].owner->failure);
}

struct prediction *flight_sweep(struct flight *flight)
{
    for (struct prediction *p = flight->first; p; p = p->next)
        is_over(p);
    return let_out(flight);
}

struct prediction *flight_advance(struct flight *flight, struct worker *worker, struct metrics *metrics)
{
    struct model_work work = {.floats = 0};
    int64_t began = clock_ns();
    let_in(flight, began);
    take_turns(flight, began);
    if (!flight->n)
        return let_out(flight);
    metrics_batch(metrics, flight->model->name, flight->n);
    size_t copies = cut_rows(flight);
    /* the model may have been loaded after the worker was started */
    if (!arena_reserve(&worker->arena, flight->model->scratch_bytes) ||
        !rnn_model_work(&flight->model->chain, flight->rows, flight->n, flight->sequences, &work) ||
        !make_room(flight, &work, copies))
        fail_all(flight);
    else if (run_chunk(flight, worker, &work))
        move_on(flight, clock_ns() - began);
    return let_out(flight);
}
