/* Rows run as one batch, GROUP rows at a time. Rows whose sequences have ended are left out. */
#include "stepped.h"

#include "graph_plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 32 }; /* rows that run together */

/* ---- states ---- */

static const char *const state_names[] = {"state"};
static const struct cell_class cell_state = {
    .keras_name = "State", .layer_name = "State", .states = 1, .state_names = state_names};

bool stepped_states(struct stepped *stepped, size_t n, const size_t *sizes)
{
    struct rnn_cell_spec *stack = stepped->spec = rnn_cell_spec_new(NULL);
    stepped->offsets = calloc(n + 1, sizeof *stepped->offsets);
    if (!stack || !stepped->offsets || !(stack->cells = calloc(n + 1, sizeof *stack->cells)))
        return false;
    for (; stack->n_cells < n; stack->n_cells++) {
        struct rnn_cell_spec *cell = rnn_cell_spec_new(&cell_state);
        if (!cell)
            return false;
        cell->units = sizes[stack->n_cells];
        stack->cells[stack->n_cells] = cell;
        stepped->offsets[stack->n_cells] = stepped->state_elems;
        stepped->state_elems += cell->units;
    }
    stepped->n_states = n;
    return true;
}

static bool stepped_states_at(const struct layer *layer, size_t p, struct layer_states *out)
{
    const struct stepped *own = layer->own;
    if (p)
        return false;
    *out = (struct layer_states){.spec = own->spec, .leaf_offsets = own->offsets, .elems = own->state_elems};
    return true;
}

static enum layer_time stepped_time(const struct layer *layer)
{
    (void)layer;
    return TIME_CARRIED;
}

/* ---- shapes ---- */

static size_t numbers(const struct layer_shape *shape)
{
    return shape->timesteps * shape->width;
}

static enum rnn_status stepped_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    const struct stepped *own = layer->own;
    const struct graph *graph = &own->inner.graph;
    struct layer_shape shape, given[GRAPH_MAX_INPUTS];
    size_t axes[LAYER_MAX_AXES + 1] = {in->timesteps};
    (void)sequences;
    if (!time_distributed_timestep(in, &shape))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" takes a sequence, not one vector", layer->name);
    enum rnn_status status = RNN_OK;
    for (size_t o = 0; layer->built && o < graph->n_outputs; o++) /* runs call this function: no allocation */
        given[o] = graph->outputs[o].shape;
    if (!layer->built)
        status = graph_output_shapes(graph, NULL, false, NULL, given, err);
    else if (numbers(&shape) != numbers(&graph->inputs[0].shape))
        status = rnn_fail(err, RNN_ESHAPE, "layer \"%s\" takes timesteps of %zu numbers", layer->name,
                          numbers(&graph->inputs[0].shape));
    for (size_t s = 0; !status && s < own->n_states; s++)
        if (numbers(&given[s + 1]) != own->spec->cells[s]->units)
            status =
                rnn_fail(err, RNN_ESHAPE,
                         "layer \"%s\": a state has %zu numbers, but the next state has %zu; expected the same number",
                         layer->name, own->spec->cells[s]->units, numbers(&given[s + 1]));
    if (status)
        return status;
    size_t n = layer_axes(&given[0], axes + 1);
    if (n >= LAYER_MAX_AXES || (n && !layer_shape_of(n + 1, axes, out)))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    if (!n)
        *out = (struct layer_shape){.sequence = true, .scalar = true, .timesteps = in->timesteps, .width = 1};
    return RNN_OK;
}

/* ---- building ---- */

/* The position of state s in a buffer of n rows: state 0 of all rows, then state 1 of all rows, and so on. */
static float *state_at(const struct stepped *own, float *buffer, size_t n, size_t s)
{
    return buffer ? buffer + n * own->offsets[s] : NULL;
}

/* Set the views of the states of n rows, which are inputs of the graph. */
static void view_states(const struct stepped *own, struct layer_view *views, size_t n, float *buffer)
{
    for (size_t s = 0; s < own->n_states; s++) {
        const struct layer_shape *shape = &own->inner.graph.inputs[s + 1].shape;
        float *at = state_at(own, buffer, n, s);
        for (size_t i = 0; i < n; i++)
            views[s * n + i] = (struct layer_view){
                .at = at ? at + i * numbers(shape) : NULL, .timesteps = shape->timesteps, .stride = shape->width};
    }
}

static bool measure(struct stepped *own)
{
    struct rnn_row rows[GROUP];
    struct layer_view *views = calloc(own->n_states * GROUP + 1, sizeof *views);
    struct arena arena = {0};
    size_t bytes;
    for (size_t i = 0; i < GROUP; i++)
        rows[i] = (struct rnn_row){.timesteps = own->inner.graph.inputs[0].shape.timesteps};
    if (views)
        view_states(own, views, GROUP, NULL);
    own->inner.work = (struct graph_work){.floats = 0};
    bool good =
        views && graph_scratch(&own->inner.graph, GROUP, &bytes) && arena_reserve(&arena, bytes) &&
        graph_work(&own->inner.graph, rows, views, GROUP, own->inner.graph.return_sequences, &arena, &own->inner.work);
    arena_close(&arena);
    free(views);
    return good;
}

static enum rnn_status stepped_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                     struct rnn_error *err)
{
    enum rnn_status status = time_distributed_layers(layer, in, tensors, err);
    if (!status && !measure(layer->own))
        status = rnn_fail(err, RNN_ENOMEM, "out of memory");
    return status;
}

static void stepped_close(void *own)
{
    struct stepped *stepped = own;
    layer_time_distributed.close(&stepped->inner);
    rnn_cell_spec_free(stepped->spec);
    free(stepped->offsets);
}

static size_t stepped_bytes(const struct layer *layer)
{
    return graph_bytes(&((const struct stepped *)layer->own)->inner.graph);
}

static bool stepped_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    (void)rows;
    return graph_scratch(&((const struct stepped *)layer->own)->inner.graph, GROUP, bytes);
}

/* ---- running ---- */

/* The memory of a group, in layer_run.aux. In each array the rows are contiguous. */
struct group {
    float *floats, *zeros;  /* zeros: states of inner layers, which start from zero at each timestep */
    float *x, *y;           /* the inputs of the timestep and its outputs */
    float *before, *behind; /* the states before and after the timestep */
    float **outputs;        /* [n_states][rows]: memory for the next states */
    struct layer_view *views, *states;
    struct rnn_row *rows, **order;
    size_t *which; /* [rows]: indices of rows of the run */
    unsigned char *masks;
};

enum { BLOCKS = 13 };

/* Returns the bytes of a group. Unless base is NULL, sets *out to the arrays in this memory. */
static size_t lay_out(const struct stepped *own, char *base, struct group *out)
{
    size_t at = 0;
    const struct graph *graph = &own->inner.graph;
    const struct graph_work *work = &own->inner.work;
    const size_t sizes[BLOCKS] = {work->floats * sizeof(float),
                                  GROUP * graph->state_elems * sizeof(float),
                                  GROUP * numbers(&graph->inputs[0].shape) * sizeof(float),
                                  GROUP * numbers(&graph->outputs[0].shape) * sizeof(float),
                                  GROUP * own->state_elems * sizeof(float),
                                  GROUP * own->state_elems * sizeof(float),
                                  GROUP * own->n_states * sizeof(float *),
                                  work->views * sizeof(struct layer_view),
                                  GROUP * own->n_states * sizeof(struct layer_view),
                                  GROUP * sizeof(struct rnn_row),
                                  GROUP * sizeof(struct rnn_row *),
                                  GROUP * sizeof(size_t),
                                  work->masks};
    char *parts[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        parts[i] = base ? base + at : NULL;
        at += rnn_round_up(sizes[i], RNN_ALIGNMENT);
    }
    if (base)
        *out =
            (struct group){(void *)parts[0],  (void *)parts[1],  (void *)parts[2], (void *)parts[3], (void *)parts[4],
                           (void *)parts[5],  (void *)parts[6],  (void *)parts[7], (void *)parts[8], (void *)parts[9],
                           (void *)parts[10], (void *)parts[11], (void *)parts[12]};
    return at;
}

static bool stepped_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    (void)in;
    aux->once = (lay_out(layer->own, NULL, NULL) + RNN_ALIGNMENT) / sizeof(float);
    return true;
}

/* Copy the states of the rows of the group from the rows of the run, or back to them. */
static void move_states(const struct stepped *own, const struct layer_run *outer, const struct group *group, size_t n,
                        bool back)
{
    for (size_t s = 0; s < own->n_states; s++) {
        size_t units = own->spec->cells[s]->units;
        float *at = state_at(own, back ? group->behind : group->before, n, s);
        for (size_t i = 0; i < n; i++, at += units) {
            float *kept = outer->rows[group->which[i]].states + own->offsets[s];
            memcpy(back ? kept : at, back ? at : kept, units * sizeof *at);
            if (!back)
                group->outputs[s * n + i] = group->behind + (at - group->before);
        }
    }
}

/* Run timestep t of the n rows whose indices are in group->which. */
static bool run_step(const struct stepped *own, const struct layer_run *outer, const struct group *group, size_t n,
                     size_t t)
{
    const struct graph *graph = &own->inner.graph;
    const struct layer_shape *in = &graph->inputs[0].shape, *given = &graph->outputs[0].shape;
    const size_t taken = numbers(in), made = numbers(given);
    const struct graph_run run = {.sequences = graph->return_sequences,
                                  .work = own->inner.work,
                                  .floats = group->floats,
                                  .masks = group->masks,
                                  .views = group->views,
                                  .order = group->order,
                                  .more_inputs = group->states,
                                  .more_outputs = group->outputs,
                                  .arena = outer->arena,
                                  .stop = outer->stop,
                                  .stop_context = outer->stop_context};
    memset(group->zeros, 0, n * graph->state_elems * sizeof(float));
    move_states(own, outer, group, n, false);
    view_states(own, group->states, n, group->before);
    for (size_t i = 0; i < n; i++) {
        const struct layer_view *x = &outer->in[0][group->which[i]];
        memcpy(group->x + i * taken, x->at + t * x->stride, taken * sizeof(float));
        group->rows[i] = (struct rnn_row){.inputs = group->x + i * taken,
                                          .timesteps = in->timesteps,
                                          .input_stride = in->width,
                                          .states = group->zeros + i * graph->state_elems,
                                          .outputs = group->y + i * made,
                                          .output_stride = (ptrdiff_t)given->width};
    }
    if (!graph_run(graph, &run, group->rows, n))
        return false;
    for (size_t i = 0; i < n; i++)
        memcpy(outer->out[group->which[i]].at + t * made, group->y + i * made, made * sizeof(float));
    move_states(own, outer, group, n, true);
    return true;
}

static bool stepped_run(const struct layer *layer, struct layer_run *run)
{
    const struct stepped *own = layer->own;
    struct group group;
    uintptr_t base = (uintptr_t)run->aux;
    lay_out(own, (char *)run->aux + (-base & (RNN_ALIGNMENT - 1)), &group);
    for (size_t first = 0; first < run->n; first += GROUP) {
        size_t end = run->n - first < GROUP ? run->n : first + GROUP, n = 1;
        for (size_t t = 0; n; t++) {
            n = 0;
            for (size_t b = first; b < end; b++)
                if (run->in[0][b].timesteps > t)
                    group.which[n++] = b;
            if (n && !run_step(own, run, &group, n, t))
                return false;
        }
    }
    return true;
}

const struct layer_class layer_stepped = {
    .size = sizeof(struct stepped),
    .masks = MASKS_STOP,
    .close = stepped_close,
    .bytes = stepped_bytes,
    .tensor = time_distributed_tensor,
    .shape = stepped_shape,
    .build = stepped_build,
    .scratch = stepped_scratch,
    .aux = stepped_aux,
    .time = stepped_time,
    .states = stepped_states_at,
    .run = stepped_run,
};
