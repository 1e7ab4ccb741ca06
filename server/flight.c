/* Running batches. */
#include "flight.h"

#include "clock.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

/* A chunk takes about so long, so that others can join soon; but it has this many row-steps at least, so that the product
   of the inputs with their weights is worth its reading of the weights. */
enum { CHUNK_NS = 2000000, CHUNK_LEAST_ROW_STEPS = 16 };

/* Rows that run to their end together have at most this many timesteps in all, which bounds their memory (a row of its
   own may have more). */
enum { WHOLE_ROW_STEPS = 16384 };

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
                              .room = room,
                              .share = {p->request->memory.memory, 0}};
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
        if (!p->failure.status && p->finished < p->batch.n_rows) {
            at = &p->next;
            continue;
        }
        if (p->failure.status)
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
static void let_in(struct flight *flight)
{
    size_t row_steps = 0;
    for (bool more = true; more && flight->n < flight->room;) {
        more = false;
        for (struct prediction *p = flight->first; p && flight->n < flight->room; p = p->next) {
            if (p->admitted == p->batch.n_rows)
                continue;
            struct rnn_row *row = &p->batch.rows[p->admitted];
            row_steps += row->timesteps;
            if (!flight->in_parts && flight->n && row_steps > WHOLE_ROW_STEPS)
                return;
            flight->seats[flight->n++] = (struct flight_seat){.owner = p, .row = row, .stepped = row->stepped};
            p->admitted++;
            more = true;
        }
    }
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

static size_t chunk_steps(const struct flight *flight)
{
    double ns = rnn_model_step_ns(&flight->model->chain, flight->n) + 1;
    size_t least = (CHUNK_LEAST_ROW_STEPS + flight->n - 1) / flight->n, steps = (size_t)(CHUNK_NS / ns);
    return steps > least ? steps : least;
}

/* The rows of this chunk; returns the floats of those inputs and outputs that do not stay where they are. */
static size_t cut_rows(struct flight *flight)
{
    const struct rnn_model *chain = &flight->model->chain;
    size_t most = flight->in_parts ? chunk_steps(flight) : SIZE_MAX, copies = 0;
    for (size_t i = 0; i < flight->n; i++) {
        struct flight_seat *seat = &flight->seats[i];
        const struct batch *batch = &seat->owner->batch;
        struct rnn_row *row = &flight->rows[i];
        size_t left = seat->row->timesteps - seat->done;
        bool part_of_sequence = flight->in_parts && batch->output.sequence;
        *row = *seat->row;
        row->inputs += seat->done * row->input_stride;
        if (row->mask)
            row->mask += seat->done * row->mask_stride;
        row->stepped = seat->stepped;
        row->timesteps = seat->steps = left < most ? left : most;
        seat->vectors = part_of_sequence ? seat->steps : batch->steps[seat->row - batch->rows];
        if (part_of_sequence)
            row->outputs += (ptrdiff_t)seat->done * row->output_stride;
        copies += (chain->inputs_anywhere ? 0 : seat->steps * chain->input.width) +
                  (chain->outputs_anywhere ? 0 : seat->vectors * batch->output.width);
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

/* Rows' inputs one after the other, and room for their outputs, where the model wants it so. */
static void copy_in(struct flight *flight, float *at)
{
    const struct rnn_model *chain = &flight->model->chain;
    for (size_t i = 0; !chain->inputs_anywhere && i < flight->n; i++) {
        struct rnn_row *row = &flight->rows[i];
        size_t floats = row->timesteps * chain->input.width;
        memcpy(at, row->inputs, floats * sizeof *at);
        row->inputs = at;
        at += floats;
    }
    for (size_t i = 0; !chain->outputs_anywhere && i < flight->n; i++) {
        flight->rows[i].outputs = at;
        at += flight->seats[i].vectors * flight->seats[i].owner->batch.output.width;
    }
}

/* From at, where the outputs begin, to where the requests want them. */
static void copy_out(const struct flight *flight, const float *at)
{
    for (size_t i = 0; !flight->model->chain.outputs_anywhere && i < flight->n; i++) {
        const struct flight_seat *seat = &flight->seats[i];
        const struct layer_shape *shape = &seat->owner->batch.output;
        size_t floats = seat->vectors * shape->width;
        memcpy(seat->row->outputs + (flight->in_parts && shape->sequence ? seat->done * shape->width : 0), at,
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
    copy_in(flight, copies);
    const float *outputs = flight->rows[0].outputs;
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
        seat->done += seat->steps;
        seat->stepped |= flight->rows[i].taken > 0;
        seat->owner->cost_ns += (double)took_ns * (double)seat->steps / (double)row_steps;
        if (seat->done < seat->row->timesteps) {
            flight->seats[kept++] = *seat;
        } else {
            seat->row->stepped = seat->stepped;
            seat->owner->finished++;
        }
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
    let_in(flight);
    if (!flight->n)
        return let_out(flight);
    metrics_batch(metrics, flight->model->name, flight->n);
    int64_t began = clock_ns();
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
