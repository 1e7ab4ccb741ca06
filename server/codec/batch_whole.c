/* Converts answers to stored numbers, and back: for each row all its outputs one after the other, with windows all
   windows of an output. */
#include "slide.h"
#include "window.h"

#include <string.h>

/* The number of floats of the output of one window, or of row b. */
static size_t floats_of(const struct batch *batch, size_t output, size_t b)
{
    if (batch->slide)
        return slide_floats(batch, output);
    return output ? batch->more_outputs[output - 1].steps[b] * batch->more_outputs[output - 1].shape.width
                  : batch->steps[b] * batch->output.width;
}

/* The number of floats of row b that exist once, not once for each window. */
static size_t floats_of_all(const struct batch *batch, size_t b)
{
    size_t floats = 0;
    for (size_t o = 0; o < batch->model->graph.n_outputs; o++)
        floats += floats_of(batch, o, b);
    return floats;
}

size_t batch_whole_floats(const struct batch *batch, size_t b)
{
    return floats_of_all(batch, b) * (batch->slide ? batch->slide->sequences[b].windows : 1);
}

size_t batch_answer_floats(const struct batch *batch)
{
    size_t floats = 0;
    if (!batch->slide && !batch->more_outputs)
        return batch->outputs_floats;
    for (size_t b = 0; b < batch_sequences(batch); b++)
        floats += batch_whole_floats(batch, b);
    return floats;
}

size_t batch_most_floats(const struct batch *batch)
{
    size_t floats = batch->outputs_floats;
    for (size_t o = 1; batch->more_outputs && o < batch->model->graph.n_outputs; o++)
        floats += batch->more_outputs[o - 1].n_floats;
    return floats;
}

/* The vectors of an output of row b; *stride is their distance. */
static float *vectors_of(const struct batch *batch, size_t output, size_t b, ptrdiff_t *stride)
{
    *stride = (ptrdiff_t)(output ? batch->more_outputs[output - 1].shape.width : batch->output.width);
    if (batch->slide)
        return (float *)(uintptr_t)slide_output(batch, output, batch->slide->sequences[b].first);
    if (output)
        return batch->more_outputs[output - 1].rows[b];
    *stride = batch->rows[b].output_stride;
    return batch->rows[b].outputs;
}

/* Copy a list of numbers to the batch (bind), or the batch to the list. */
static void copy(const struct batch *batch, float *list, bool bind)
{
    for (size_t b = 0; b < batch_sequences(batch); b++)
        for (size_t o = 0; o < batch->model->graph.n_outputs; o++) {
            ptrdiff_t stride;
            float *at = vectors_of(batch, o, b, &stride);
            size_t width = o ? batch->more_outputs[o - 1].shape.width : batch->output.width;
            size_t n = floats_of(batch, o, b) * (batch->slide ? batch->slide->sequences[b].windows : 1);
            for (size_t i = 0; i < n; i += width, at += stride, list += width)
                memcpy(bind ? at : list, bind ? list : at, width * sizeof *list);
        }
}

void batch_copy_whole(const struct batch *batch, float *out)
{
    copy(batch, out, false);
}

/* Compute the number of windows of each row from its number of floats. The windows that the session stores are set
   already. */
static bool bind_windows(struct batch *batch, const uint64_t *floats)
{
    for (size_t b = 0; b < batch->slide->n_sequences; b++) {
        size_t each = floats_of_all(batch, b), fresh = batch->window->rows[b].n_fresh;
        size_t windows = each ? (size_t)floats[b] / each : 0;
        if (windows * each != floats[b] || windows > fresh)
            return false;
        slide_full(batch, b, NULL, fresh - windows, windows);
    }
    return true;
}

bool batch_bind_whole(struct batch *batch, const uint64_t *floats, const float *values)
{
    if (batch->slide && !bind_windows(batch, floats))
        return false;
    for (size_t b = 0; b < batch_sequences(batch); b++)
        if (batch_whole_floats(batch, b) != floats[b])
            return false;
    copy(batch, (float *)(uintptr_t)values, true);
    return true;
}
