/* StackedRNNCells: flattening, states, and the layer-by-layer run of a chunk of timesteps. */
#include "stack.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Row-steps of a chunk: the M of the input product. Larger brings little, smaller loses reuse of the weights. */
enum { CHUNK_ROW_STEPS = 256 };

static const struct rnn_cell_spec *leaf(const struct rnn_cell_spec *spec, size_t *i, char *path, size_t size)
{
    if (!spec->class) {
        size_t length = path ? strlen(path) : 0;
        for (size_t k = 0; k < spec->n_cells; k++) {
            if (path)
                snprintf(path + length, size - length, "%scells.%zu", length ? "." : "", k);
            const struct rnn_cell_spec *found = leaf(spec->cells[k], i, path, size);
            if (found)
                return found;
        }
        return NULL;
    }
    return (*i)-- == 0 ? spec : NULL;
}

const struct rnn_cell_spec *rnn_cell_spec_leaf(const struct rnn_cell_spec *spec, size_t i, char *path, size_t path_size)
{
    if (path)
        snprintf(path, path_size, "%s", spec->class ? "cells.0" : "");
    return leaf(spec, &i, path, path_size);
}

static size_t cell_state_elems(const struct rnn_cell *cell)
{
    return cell->class->states * cell->units;
}

enum rnn_status rnn_stack_init(struct rnn_stack *stack, struct rnn_cell_spec *spec, size_t input_size,
                               const float *const (*tensors)[CELL_MAX_TENSORS], const struct vec_ops *vec,
                               enum packed_format format, struct rnn_error *err)
{
    enum rnn_status status = RNN_ENOMEM;
    size_t n = 0, width = input_size;
    *stack = (struct rnn_stack){.spec = spec, .input_size = input_size};
    while (rnn_cell_spec_leaf(spec, n, NULL, 0))
        n++;
    if (!n) {
        status = rnn_fail(err, RNN_EINVAL, "a stack needs at least one cell");
        goto fail;
    }
    stack->cells = calloc(n, sizeof *stack->cells);
    stack->state_offsets = calloc(n, sizeof *stack->state_offsets);
    if (!stack->cells || !stack->state_offsets) {
        rnn_fail(err, status, "out of memory for %zu cells", n);
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        struct rnn_cell *cell = &stack->cells[i];
        status = rnn_cell_init(cell, rnn_cell_spec_leaf(spec, i, NULL, 0), width, tensors[i], vec, format, err);
        if (status)
            goto fail;
        stack->n_cells++;
        stack->state_offsets[i] = stack->state_elems;
        stack->state_elems += cell_state_elems(cell);
        if (packed_columns(&cell->kernel) > stack->max_columns)
            stack->max_columns = packed_columns(&cell->kernel);
        if (cell->padded_units > stack->max_units)
            stack->max_units = cell->padded_units;
        width = cell->units;
    }
    stack->output_size = width;
    return RNN_OK;
fail:
    rnn_stack_close(stack);
    return status;
}

void rnn_stack_close(struct rnn_stack *stack)
{
    for (size_t i = 0; i < stack->n_cells; i++)
        rnn_cell_close(&stack->cells[i]);
    free(stack->cells);
    free(stack->state_offsets);
    rnn_cell_spec_free(stack->spec);
    *stack = (struct rnn_stack){0};
}

void rnn_stack_initial_state(const struct rnn_stack *stack, size_t batch, float *states)
{
    memset(states, 0, batch * stack->state_elems * sizeof *states);
}

size_t rnn_stack_bytes(const struct rnn_stack *stack)
{
    size_t bytes = 0;
    for (size_t i = 0; i < stack->n_cells; i++)
        bytes += rnn_cell_bytes(&stack->cells[i]);
    return bytes;
}

size_t rnn_stack_parameters(const struct rnn_stack *stack)
{
    size_t count = 0;
    for (size_t i = 0; i < stack->n_cells; i++)
        count += cell_parameters(rnn_cell_spec_leaf(stack->spec, i, NULL, 0), stack->cells[i].input_size);
    return count;
}

size_t rnn_stack_chunk(size_t rows)
{
    return rows < CHUNK_ROW_STEPS ? CHUNK_ROW_STEPS / rows : 1;
}

bool rnn_stack_scratch(const struct rnn_stack *stack, size_t rows, size_t *bytes)
{
    size_t row_steps = rows > CHUNK_ROW_STEPS ? rows : CHUNK_ROW_STEPS, floats = 0, part;
    const size_t sizes[][2] = {
        {row_steps, stack->max_columns},                                /* z */
        {row_steps, stack->max_units},   {row_steps, stack->max_units}, /* outputs of this cell and of the one below */
        {rows, stack->max_units},        {rows, stack->max_units},      /* h before the chunk, c */
        {rows + 2, stack->max_columns},                                 /* scratch of a step */
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!rnn_size_mul(sizes[i][0], sizes[i][1], &part) || !rnn_size_add(part, RNN_ALIGNMENT, &part) ||
            !rnn_size_add(floats, part, &floats))
            return false;
    return rnn_size_mul(floats, sizeof(float), bytes);
}

/* All steps of one cell: the input product for the whole chunk, then the recurrence. */
static void run_cell(const struct rnn_cell *cell, size_t steps, const size_t *active, struct cell_step *s, float *z,
                     float *h)
{
    size_t columns = packed_columns(&cell->kernel);
    for (size_t t = 0; t < steps; t++) {
        s->rows = active[t];
        s->z = z;
        s->h = h;
        s->span.reverse = t % 2;
        cell->class->step(cell, s);
        s->h_prev = h;
        z += active[t] * columns;
        h += active[t] * cell->padded_units;
    }
}

/* ResidualWrapper: output + input, after the states are stored. Source: keras/layers/rnn/cell_wrappers.py. */
static void add_inputs(const struct rnn_cell *cell, size_t row_steps, const float *x, size_t x_stride, float *out)
{
    for (size_t i = 0; i < row_steps; i++, x += x_stride, out += cell->padded_units)
        for (size_t u = 0; u < cell->units; u++)
            out[u] += (float)cell->residuals * x[u];
}

/* Copy the states of one cell between the rows' own memory and the padded buffers of the run. */
static void load_states(const struct rnn_cell *cell, size_t offset, size_t rows, float *const *states, float *h,
                        float *c)
{
    size_t units = cell->units;
    for (size_t r = 0; r < rows; r++) {
        memcpy(h + r * cell->padded_units, states[r] + offset, units * sizeof *h);
        memset(h + r * cell->padded_units + units, 0, (cell->padded_units - units) * sizeof *h);
        if (cell->class->states > 1)
            memcpy(c + r * cell->padded_units, states[r] + offset + units, units * sizeof *c);
        else
            memset(c + r * cell->padded_units, 0, cell->padded_units * sizeof *c);
        memset(c + r * cell->padded_units + units, 0, (cell->padded_units - units) * sizeof *c);
    }
}

static void store_states(const struct rnn_cell *cell, size_t offset, size_t steps, const size_t *active,
                         float *const *states, const float *h, const float *c)
{
    size_t units = cell->units, stride = cell->padded_units;
    for (size_t t = 0; t < steps; t++) {
        size_t next = t + 1 < steps ? active[t + 1] : 0;
        for (size_t r = next; r < active[t]; r++) { /* rows whose last step this is */
            memcpy(states[r] + offset, h + r * stride, units * sizeof *h);
            if (cell->class->states > 1)
                memcpy(states[r] + offset + units, c + r * stride, units * sizeof *c);
        }
        h += active[t] * stride;
    }
}

const float *rnn_stack_run(const struct rnn_stack *stack, size_t steps, const size_t *active, const float *x,
                           float *const *states, struct arena *arena, size_t *output_stride)
{
    size_t rows = active[0], row_steps = 0, x_stride = stack->input_size;
    for (size_t t = 0; t < steps; t++)
        row_steps += active[t];
    float *z = arena_alloc(arena, row_steps * stack->max_columns, sizeof *z);
    float *outputs[2] = {arena_alloc(arena, row_steps * stack->max_units, sizeof *z),
                         arena_alloc(arena, row_steps * stack->max_units, sizeof *z)};
    float *h = arena_alloc(arena, rows * stack->max_units, sizeof *h);
    float *c = arena_alloc(arena, rows * stack->max_units, sizeof *c);
    float *scratch = arena_alloc(arena, (rows + 2) * stack->max_columns, sizeof *scratch);
    unsigned long long saved = vec_denormals_off();
    for (size_t i = 0; i < stack->n_cells; i++) {
        const struct rnn_cell *cell = &stack->cells[i];
        float *out = outputs[i % 2];
        load_states(cell, stack->state_offsets[i], rows, states, h, c);
        cell->vec->product(&cell->kernel, vec_all(&cell->kernel), row_steps, x, x_stride, cell->start, 0, z);
        struct cell_step step = {.h_prev = h, .c = c, .scratch = scratch, .span = vec_all(&cell->recurrent)};
        run_cell(cell, steps, active, &step, z, out);
        store_states(cell, stack->state_offsets[i], steps, active, states, out, c);
        if (cell->residuals)
            add_inputs(cell, row_steps, x, x_stride, out);
        x = out;
        x_stride = cell->padded_units;
    }
    vec_denormals_restore(saved);
    *output_stride = x_stride;
    return x;
}
