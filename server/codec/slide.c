/* In the memory of each output, the i-th full window of all sequences is at position i. */
#include "slide.h"

#include "batch_memory.h"

#include <string.h>

void slide_close(struct batch *batch)
{
    struct slide *slide = batch->slide;
    if (!slide)
        return;
    batch_give(batch, slide->sequences, slide->n_sequences, sizeof *slide->sequences);
    batch_give(batch, slide, 1, sizeof *slide);
    batch->slide = NULL;
}

/* ---- binding ---- */

static bool open_slide(struct batch *batch, size_t size, struct failure *failure)
{
    struct slide *slide = batch_take(batch, 1, sizeof *slide, failure);
    if (!slide)
        return false;
    batch->slide = slide;
    *slide = (struct slide){.size = size, .n_sequences = batch->n_rows};
    slide->sequences = batch_take(batch, slide->n_sequences, sizeof *slide->sequences, failure);
    if (!slide->sequences)
        return false;
    for (size_t b = 0; b < slide->n_sequences; b++) {
        const struct rnn_row *whole = &batch->rows[b];
        slide->sequences[b] = (struct slide_sequence){.inputs = whole->inputs,
                                                      .mask = whole->mask,
                                                      .input_stride = whole->input_stride,
                                                      .mask_stride = whole->mask_stride};
    }
    return true;
}

/* Make rows for up to slide->room windows. */
static bool take_rows(struct batch *batch, size_t most, struct failure *failure)
{
    const struct slide *slide = batch->slide;
    size_t n = slide->room < most ? slide->room : most;
    struct rnn_row *rows = batch_take(batch, n, sizeof *rows, failure);
    if (!rows || !rnn_size_mul(slide->room, slide->size, &batch->timesteps)) {
        batch_give(batch, rows, n, sizeof *rows);
        return failure_overloaded(failure);
    }
    for (size_t b = 0; b < n; b++)
        rows[b] = (struct rnn_row){.timesteps = slide->size};
    batch_give(batch, batch->rows, batch->n_rows, sizeof *batch->rows);
    batch->rows = rows;
    batch->n_rows = n;
    return true;
}

static bool too_short(const struct batch *batch, size_t b, size_t size, struct failure *failure)
{
    char path[64];
    return failure_set(failure, 400, "wrong_shape", batch_row_path(batch, b, path, sizeof path),
                       "Expected at least %zu timesteps, those of one window, found %zu.", size,
                       batch->rows[b].timesteps);
}

bool slide_bind(struct batch *batch, size_t size, size_t most, struct failure *failure)
{
    for (size_t b = 0; b < batch->n_rows; b++)
        if (batch->rows[b].timesteps < size)
            return too_short(batch, b, size, failure);
    if (!open_slide(batch, size, failure))
        return false;
    struct slide *slide = batch->slide;
    for (size_t b = 0; b < slide->n_sequences; b++) /* they count timesteps of the body, so they do not overflow */
        slide_full(batch, b, slide->sequences[b].inputs, 0, batch->rows[b].timesteps - size + 1);
    slide->room = slide->windows;
    return take_rows(batch, most, failure);
}

bool slide_bind_kept(struct batch *batch, size_t size, size_t most, struct failure *failure)
{
    if (!open_slide(batch, size, failure))
        return false;
    for (size_t b = 0; b < batch->n_rows; b++)
        batch->slide->room += batch->rows[b].timesteps;
    return take_rows(batch, most, failure);
}

void slide_full(struct batch *batch, size_t sequence, const float *inputs, size_t empty, size_t windows)
{
    struct slide *slide = batch->slide;
    struct slide_sequence *to = &slide->sequences[sequence];
    to->inputs = inputs;
    to->empty = empty;
    to->windows = windows;
    to->first = sequence ? to[-1].first + to[-1].windows : 0;
    slide->windows = to->first + windows;
}

/* ---- outputs ---- */

static const struct layer_shape *shape_of(const struct batch *batch, size_t output)
{
    return output ? &batch->more_outputs[output - 1].shape : &batch->output;
}

size_t slide_steps(const struct batch *batch, size_t output)
{
    return shape_of(batch, output)->timesteps;
}

size_t slide_floats(const struct batch *batch, size_t output)
{
    return shape_of(batch, output)->timesteps * shape_of(batch, output)->width;
}

static float *place_of(const struct batch *batch, size_t output, size_t i)
{
    return (output ? batch->more_outputs[output - 1].floats : batch->outputs) + i * slide_floats(batch, output);
}

const float *slide_output(const struct batch *batch, size_t output, size_t i)
{
    return place_of(batch, output, i);
}

/* ---- running ---- */

static void give_window(struct batch *batch, size_t b, const struct slide_sequence *sequence, size_t window)
{
    struct rnn_row *row = &batch->rows[b];
    size_t elems = batch->model->graph.state_elems, at = sequence->first + window;
    *row = (struct rnn_row){.inputs = sequence->inputs + window * sequence->input_stride,
                            .input_stride = sequence->input_stride,
                            .mask = sequence->mask ? sequence->mask + window * sequence->mask_stride : NULL,
                            .mask_stride = sequence->mask_stride,
                            .timesteps = batch->slide->size,
                            .states = batch->states + b * elems,
                            .outputs = place_of(batch, 0, at),
                            .output_stride = (ptrdiff_t)batch->output.width};
    memset(row->states, 0, elems * sizeof *row->states);
    for (size_t o = 1; o < batch->model->graph.n_outputs; o++)
        batch->more_outputs[o - 1].rows[b] = place_of(batch, o, at);
    batch->progress[b] = (struct row_progress){.placed = batch->progress[b].placed};
}

bool slide_next(struct batch *batch, size_t row)
{
    struct slide *slide = batch->slide;
    while (slide->sequence < slide->n_sequences && slide->window == slide->sequences[slide->sequence].windows) {
        slide->sequence++;
        slide->window = 0;
    }
    if (slide->sequence == slide->n_sequences)
        return false;
    give_window(batch, row, &slide->sequences[slide->sequence], slide->window++);
    return true;
}

void slide_restart(struct batch *batch)
{
    batch->slide->sequence = batch->slide->window = 0;
    for (size_t b = 0; b < batch->n_rows; b++)
        if (!slide_next(batch, b))
            batch->progress[b].done = batch->rows[b].timesteps;
}
