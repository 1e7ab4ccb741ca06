/* StackedRNNCells: flattening and states. stack_run.c runs the timesteps. */
#include "stack.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        if (cell->class->states - 1 > stack->max_behind)
            stack->max_behind = cell->class->states - 1;
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
