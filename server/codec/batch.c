/* Functions for all parts of a batch: memory, places of outputs, progress of rows, checks for finite numbers. */
#include "batch.h"

#include "batch_memory.h"
#include "lasts.h"
#include "slide.h"
#include "window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

void *batch_take(struct batch *batch, size_t count, size_t size, struct failure *failure)
{
    size_t bytes;
    void *block = rnn_size_mul(count ? count : 1, size, &bytes) ? memory_realloc(batch->share, NULL, 0, bytes) : NULL;
    if (!block)
        failure_overloaded(failure);
    return block;
}

void batch_give(struct batch *batch, void *block, size_t count, size_t size)
{
    if (!block)
        return;
    free(block);
    memory_give(batch->share, (count ? count : 1) * size);
}

void batch_close(struct batch *batch)
{
    size_t more_in = batch->model ? batch->n_rows * (batch->model->graph.n_inputs - 1) : 0;
    size_t more_out = batch->model && batch->more_outputs ? batch->model->graph.n_outputs - 1 : 0;
    for (size_t o = 0; o < more_out; o++) {
        struct batch_output *output = &batch->more_outputs[o];
        batch_give(batch, output->steps, batch->n_rows, sizeof *output->steps);
        batch_give(batch, output->rows, batch->n_rows, sizeof *output->rows);
        batch_give(batch, output->floats, output->n_floats, sizeof *output->floats);
    }
    batch_give(batch, batch->more_outputs, more_out, sizeof *batch->more_outputs);
    batch_give(batch, batch->more_inputs, more_in, sizeof *batch->more_inputs);
    size_t state_floats = batch->model ? batch->n_rows * batch->model->graph.state_elems : 0;
    window_close(batch);
    slide_close(batch);
    lasts_close(batch);
    batch_give(batch, batch->rows, batch->n_rows, sizeof *batch->rows);
    batch_give(batch, batch->mask, batch->mask_bytes, 1);
    batch_give(batch, batch->states, state_floats, sizeof *batch->states);
    batch_give(batch, batch->steps, batch->n_rows, sizeof *batch->steps);
    batch_give(batch, batch->progress, batch->n_rows, sizeof *batch->progress);
    batch_give(batch, batch->outputs, batch->outputs_floats, sizeof *batch->outputs);
    *batch = (struct batch){0};
}

bool batch_zero_states(struct batch *batch, size_t n, struct failure *failure)
{
    size_t floats;
    batch->n_rows = n;
    if (!rnn_size_mul(n, batch->model->graph.state_elems, &floats))
        return failure_set(failure, 413, "too_many_rows", "", "Too many rows.");
    batch->states = batch_take(batch, floats, sizeof *batch->states, failure);
    if (!batch->states)
        return false;
    memset(batch->states, 0, floats * sizeof *batch->states);
    return true;
}

bool batch_place_outputs(struct batch *batch, bool interleaved, struct failure *failure)
{
    size_t width = batch->output.width;
    float *outputs = batch_take(batch, batch->outputs_floats, sizeof *outputs, failure);
    if (!outputs) {
        batch->outputs_floats = 0;
        return false;
    }
    batch->outputs = outputs;
    if (batch->slide) {
        slide_restart(batch);
        return true;
    }
    float *at = batch->outputs;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct rnn_row *row = &batch->rows[b];
        row->outputs = interleaved ? batch->outputs + b * width : at;
        row->output_stride = (ptrdiff_t)(interleaved ? batch->n_rows * width : width);
        at += batch->steps[b] * width;
    }
    return true;
}

/* ---- a run ---- */

void batch_rewind(struct batch *batch)
{
    memset(batch->progress, 0, batch->n_rows * sizeof *batch->progress);
}

bool batch_row_is_done(const struct batch *batch, size_t b)
{
    return batch->progress[b].done == batch->rows[b].timesteps && batch->progress[b].given >= batch->rolled;
}

/* ---- stored answers ---- */

void batch_copy_answer(const struct batch *batch, float *out)
{
    size_t width = batch->output.width;
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t t = 0; t < batch->steps[b]; t++, out += width)
            memcpy(out, batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, width * sizeof *out);
}

bool batch_bind_answer(struct batch *batch, const uint64_t *steps, const float *outputs, size_t floats, size_t width,
                       bool sequence, struct failure *failure)
{
    batch_give(batch, batch->outputs, batch->outputs_floats, sizeof *batch->outputs);
    batch->outputs = NULL;
    batch->outputs_floats = floats;
    batch->output.width = width;
    batch->output.sequence = sequence;
    for (size_t b = 0; b < batch->n_rows; b++)
        batch->steps[b] = steps[b];
    if (!batch_place_outputs(batch, false, failure))
        return false;
    memcpy(batch->outputs, outputs, floats * sizeof *outputs);
    return true;
}

/* ---- NaN and Infinity ---- */

static bool all_finite(const float *values, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= isfinite(values[i]) != 0;
    return finite;
}

bool batch_is_finite(const struct batch *batch)
{
    bool finite = all_finite(batch->states, batch->n_rows * batch->model->graph.state_elems) &&
                  all_finite(batch->outputs, batch->outputs_floats);
    for (size_t o = 0; finite && batch->more_outputs && o + 1 < batch->model->graph.n_outputs; o++)
        finite = all_finite(batch->more_outputs[o].floats, batch->more_outputs[o].n_floats);
    return finite;
}

static bool row_is_finite(const struct batch *batch, size_t b)
{
    size_t elems = batch->model->graph.state_elems;
    bool finite = all_finite(batch->states + b * elems, elems);
    for (size_t t = 0; finite && batch->outputs && t < batch->steps[b]; t++)
        finite = all_finite(batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, batch->output.width);
    return finite;
}

static bool windows_are_finite(const struct batch *batch, size_t sequence)
{
    const struct slide_sequence *windows = &batch->slide->sequences[sequence];
    bool finite = true;
    for (size_t o = 0; finite && o < batch->model->graph.n_outputs; o++)
        finite = all_finite(slide_output(batch, o, windows->first), windows->windows * slide_floats(batch, o));
    return finite;
}

size_t batch_nonfinite_row(const struct batch *batch)
{
    size_t b = 0, n = batch_sequences(batch);
    while (b < n && (batch->slide ? windows_are_finite(batch, b) : row_is_finite(batch, b)))
        b++;
    return b;
}

size_t batch_sequences(const struct batch *batch)
{
    return batch->slide ? batch->slide->n_sequences : batch->n_rows;
}

const char *batch_row_path(const struct batch *batch, size_t b, char *out, size_t size)
{
    bool time_first = batch->model && batch->model->graph.time_major && !batch->single;
    *out = 0;
    if (*batch->key)
        snprintf(out, size, "/%s%s/%zu", batch->key, time_first ? "/0" : "", b);
    return out;
}
