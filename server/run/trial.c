/* Made-up batches. */
#include "trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void fill_inputs(float *inputs, size_t n, const struct graph *graph, size_t input)
{
    size_t vocabulary = graph_vocabulary(graph, input);
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        inputs[i] = vocabulary ? (float)((state >> 8) % vocabulary) : (float)(state >> 8) * 0x1p-23f - 1.0f;
    }
}

/* Set the timesteps of each input: its fixed number, or `open`. */
static void find_timesteps(const struct graph *graph, size_t open, size_t *timesteps)
{
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const struct layer_shape *shape = &graph->inputs[i].shape;
        timesteps[i] = !shape->sequence ? 1 : shape->timesteps ? shape->timesteps : open;
    }
}

size_t trial_timesteps(const struct graph *graph, size_t least, struct rnn_error *err)
{
    enum { EACH = 512 };
    size_t all[GRAPH_MAX_INPUTS];
    struct layer_shape out[GRAPH_MAX_INPUTS];
    for (size_t n = least; n <= TRIAL_MOST_TIMESTEPS; n = n < least + EACH ? n + 1 : n * 2) {
        find_timesteps(graph, n, all);
        if (graph_output_shapes(graph, all, graph->return_sequences, NULL, out, err) != RNN_ESHAPE)
            return n; /* also if out of memory, which trial_open then reports */
    }
    return 0;
}

/* Allocate the inputs and outputs after the first; out are the shapes of the outputs. */
static bool open_more(struct trial *t, const size_t *timesteps, const struct layer_shape *out)
{
    const struct graph *graph = t->graph;
    size_t floats = 0, at = 0;
    for (size_t i = 1; i < graph->n_inputs; i++)
        floats += t->batch * timesteps[i] * graph->inputs[i].shape.width;
    for (size_t o = 1; o < graph->n_outputs; o++)
        floats += t->batch * out[o].timesteps * out[o].width;
    t->more = rnn_alloc(floats + 1, sizeof *t->more);
    t->more_inputs = calloc(graph->n_inputs * t->batch, sizeof *t->more_inputs);
    t->more_outputs = calloc(graph->n_outputs * t->batch, sizeof *t->more_outputs);
    if (!t->more || !t->more_inputs || !t->more_outputs)
        return false;
    for (size_t i = 1; i < graph->n_inputs; i++) {
        size_t width = graph->inputs[i].shape.width, row = timesteps[i] * width;
        fill_inputs(t->more + at, t->batch * row, graph, i);
        for (size_t b = 0; b < t->batch; b++, at += row)
            t->more_inputs[(i - 1) * t->batch + b] =
                (struct layer_view){.at = t->more + at, .timesteps = timesteps[i], .stride = width};
    }
    for (size_t o = 1; o < graph->n_outputs; o++)
        for (size_t b = 0; b < t->batch; b++, at += out[o].timesteps * out[o].width)
            t->more_outputs[(o - 1) * t->batch + b] = t->more + at;
    t->run.more_inputs = t->more_inputs;
    t->run.more_outputs = t->more_outputs;
    return true;
}

bool trial_open(struct trial *t, const struct graph *graph, size_t batch, size_t timesteps, size_t rows)
{
    size_t scratch, all_steps[GRAPH_MAX_INPUTS], width = graph->inputs[0].shape.width;
    size_t per_row, n_inputs, n_states;
    struct layer_shape out[GRAPH_MAX_INPUTS];
    *t = (struct trial){.graph = graph, .batch = batch};
    find_timesteps(graph, timesteps, all_steps);
    size_t steps = t->timesteps = all_steps[0];
    if (graph_output_shapes(graph, all_steps, graph->return_sequences, NULL, out, NULL) ||
        !rnn_size_mul(steps, width, &per_row) || !rnn_size_mul(batch, per_row, &n_inputs) ||
        !rnn_size_mul(batch, graph->state_elems, &n_states) ||
        !rnn_size_mul(out[0].timesteps, out[0].width, &t->n_outputs) ||
        !rnn_size_mul(batch, t->n_outputs, &t->n_outputs) || !open_more(t, all_steps, out))
        return false;
    t->inputs = rnn_alloc(n_inputs, sizeof(float));
    t->states = rnn_alloc(n_states, sizeof(float));
    t->outputs = rnn_alloc(t->n_outputs, sizeof(float));
    t->fresh = calloc(batch, sizeof *t->fresh);
    t->rows = calloc(batch, sizeof *t->rows);
    t->run.order = calloc(batch, sizeof(struct rnn_row *));
    if (!t->inputs || !t->states || !t->outputs || !t->fresh || !t->rows || !t->run.order ||
        !graph_scratch(graph, batch > rows ? batch : rows, &scratch) || !arena_reserve(&t->arena, scratch))
        return false;
    fill_inputs(t->inputs, n_inputs, graph, 0);
    for (size_t r = 0; r < batch; r++)
        t->fresh[r] = (struct rnn_row){.inputs = t->inputs + r * per_row,
                                       .timesteps = steps,
                                       .input_stride = width,
                                       .states = t->states + r * graph->state_elems,
                                       .outputs = t->outputs + r * (t->n_outputs / batch),
                                       .output_stride = (ptrdiff_t)out[0].width};
    t->run.sequences = graph->return_sequences;
    t->run.arena = &t->arena;
    if (!graph_work(graph, t->fresh, t->more_inputs, batch, t->run.sequences, &t->arena, &t->run.work))
        return false;
    t->run.floats = t->floats = rnn_alloc(t->run.work.floats, sizeof(float));
    t->run.masks = t->masks = rnn_alloc(t->run.work.masks, 1);
    t->run.views = t->views = rnn_alloc(t->run.work.views, sizeof *t->views);
    return t->floats && t->masks && t->views;
}

void trial_run(struct trial *t, struct team *team)
{
    memset(t->states, 0, t->batch * t->graph->state_elems * sizeof *t->states);
    memcpy(t->rows, t->fresh, t->batch * sizeof *t->rows);
    t->run.team = team;
    graph_run(t->graph, &t->run, t->rows, t->batch);
}

bool trial_is_finite(const struct trial *t)
{
    for (size_t i = 0; i < t->n_outputs; i++)
        if (!isfinite(t->outputs[i]))
            return false;
    return true;
}

void trial_close(struct trial *t)
{
    free(t->inputs);
    free(t->states);
    free(t->outputs);
    free(t->fresh);
    free(t->rows);
    free(t->run.order);
    free(t->floats);
    free(t->masks);
    free(t->views);
    free(t->more);
    free(t->more_inputs);
    free(t->more_outputs);
    arena_close(&t->arena);
}
