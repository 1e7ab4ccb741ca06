/* keras.layers.RNN: gathers timesteps of sequences for the stack and scatters its outputs. */
#include "rnn_layer.h"

#include <stdlib.h>
#include <string.h>

/* Step s in the order of processing is timestep … of the request. */
static size_t timestep(const struct rnn_layer *layer, const struct rnn_row *row, size_t s)
{
    return layer->go_backwards ? row->timesteps - 1 - s : s;
}

static bool counts(const struct rnn_layer *layer, const struct rnn_row *row, size_t s)
{
    return !row->mask || row->mask[timestep(layer, row, s) * row->mask_stride];
}

/* Write what masked steps give, up to step end of the row. */
static void write_masked(const struct rnn_layer *layer, struct rnn_row *row, size_t end)
{
    size_t bytes = layer->stack.output_size * sizeof(float);
    for (; row->sequences && row->written < end; row->written++) {
        float *out = row->outputs + (ptrdiff_t)row->written * row->output_stride;
        if (row->last_output && !layer->zero_output_for_mask)
            memcpy(out, row->last_output, bytes);
        else
            memset(out, 0, bytes);
    }
}

static void write_output(const struct rnn_layer *layer, struct rnn_row *row, size_t s, const float *output)
{
    write_masked(layer, row, s);
    float *out = row->sequences ? row->outputs + (ptrdiff_t)s * row->output_stride : row->outputs;
    memcpy(out, output, layer->stack.output_size * sizeof *out);
    row->last_output = out;
    row->written = s + 1;
}

/* Keras zeroes the last output too where the last processed step is masked and zero_output_for_mask is set. */
static void finish(const struct rnn_layer *layer, struct rnn_row *row)
{
    write_masked(layer, row, row->timesteps);
    if (!row->sequences && layer->zero_output_for_mask && row->timesteps && !counts(layer, row, row->timesteps - 1))
        memset(row->outputs, 0, layer->stack.output_size * sizeof(float));
}

static int longest_first(const void *a, const void *b)
{
    const struct rnn_row *x = *(struct rnn_row *const *)a, *y = *(struct rnn_row *const *)b;
    if (x->left != y->left)
        return x->left < y->left ? 1 : -1;
    return x < y ? -1 : 1; /* rows of one array: the order of the request, so that runs are repeatable */
}

void rnn_layer_begin(const struct rnn_layer *layer, struct rnn_row *rows, size_t n, struct rnn_row **order)
{
    for (size_t i = 0; i < n; i++) {
        struct rnn_row *row = &rows[i];
        row->done = row->written = row->left = 0;
        row->last_output = NULL;
        for (size_t s = 0; s < row->timesteps; s++)
            row->left += counts(layer, row, s);
        if (!row->sequences)
            memset(row->outputs, 0, layer->stack.output_size * sizeof(float));
        order[i] = row;
    }
    qsort(order, n, sizeof *order, longest_first);
}

bool rnn_layer_scratch(const struct rnn_layer *layer, size_t rows, size_t *bytes)
{
    size_t steps = rnn_stack_chunk(1), row_steps = rows > steps ? rows : steps, own, stack;
    return rnn_size_mul(row_steps, layer->stack.input_size * sizeof(float), &own) &&
           rnn_size_add(own, steps * sizeof(size_t) + row_steps * sizeof(size_t) + rows * sizeof(float *), &own) &&
           rnn_size_add(own, 4 * RNN_ALIGNMENT, &own) && rnn_stack_scratch(&layer->stack, rows, &stack) &&
           rnn_size_add(own, stack, bytes);
}

/* Copy the inputs of up to `steps` timesteps that count, step by step and row by row; positions [row-steps] keeps
   which step of its row each was. Returns the number of steps. */
static size_t gather(const struct rnn_layer *layer, struct rnn_row **order, size_t n, size_t steps, size_t *active,
                     float *x, size_t *positions)
{
    size_t features = layer->stack.input_size, taken = 0, t = 0;
    for (; t < steps && n && order[0]->left; t++) {
        while (n && !order[n - 1]->left)
            n--;
        active[t] = n;
        for (size_t r = 0; r < n; r++, taken++) {
            struct rnn_row *row = order[r];
            while (!counts(layer, row, row->done))
                row->done++;
            positions[taken] = row->done;
            memcpy(x + taken * features, row->inputs + timestep(layer, row, row->done) * row->input_stride,
                   features * sizeof *x);
            row->done++;
            row->left--;
        }
    }
    return t;
}

size_t rnn_layer_advance(const struct rnn_layer *layer, struct rnn_row **order, size_t n, struct arena *arena)
{
    size_t max_steps = rnn_stack_chunk(n ? n : 1), row_steps = max_steps * n, stride = 0;
    arena_reset(arena);
    size_t *active = arena_alloc(arena, max_steps, sizeof *active);
    size_t *positions = arena_alloc(arena, row_steps, sizeof *positions);
    float **states = arena_alloc(arena, n, sizeof *states);
    float *x = arena_alloc(arena, row_steps * layer->stack.input_size, sizeof *x);
    size_t steps = gather(layer, order, n, max_steps, active, x, positions);
    if (steps) {
        for (size_t r = 0; r < active[0]; r++)
            states[r] = order[r]->states;
        const float *out = rnn_stack_run(&layer->stack, steps, active, x, states, arena, &stride);
        for (size_t t = 0; t < steps; t++)
            for (size_t r = 0; r < active[t]; r++, positions++, out += stride)
                write_output(layer, order[r], *positions, out);
    }
    while (n && !order[n - 1]->left) {
        finish(layer, order[n - 1]);
        n--;
    }
    return n;
}
