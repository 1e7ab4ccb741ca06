/* Copies the rows of several predictions one after the other, for each input and each output. */
#include "running_more.h"

#include <stdlib.h>
#include <string.h>

bool running_more_open(struct running_batch *running)
{
    const struct graph *graph = &running->model->graph;
    size_t inputs = graph->n_inputs - 1, outputs = graph->n_outputs - 1;
    running->more_inputs = inputs ? calloc(inputs * running->room, sizeof *running->more_inputs) : NULL;
    running->more_outputs = outputs ? calloc(outputs * running->room, sizeof *running->more_outputs) : NULL;
    return (!inputs || running->more_inputs) && (!outputs || running->more_outputs);
}

void running_more_close(struct running_batch *running)
{
    free(running->more_inputs);
    free(running->more_outputs);
}

/* Input k of a row. If the row runs in pieces: the timesteps of this chunk. */
static struct layer_view input_of(const struct running_batch *running, size_t k, size_t i)
{
    const struct row_slot *slot = &running->slots[i];
    const struct batch *batch = &slot->owner->batch;
    struct layer_view view = batch->more_inputs[k * batch->n_rows + slot->b];
    size_t done = batch->progress[slot->b].done;
    if (!prediction_in_pieces(slot->owner) || !running->model->graph.inputs[k + 1].shape.sequence)
        return view;
    view.at += done * view.stride;
    view.mask += view.mask ? done * view.mask_stride : 0;
    view.timesteps = slot->steps;
    return view;
}

static size_t output_floats(const struct running_batch *running, size_t o, size_t i)
{
    const struct row_slot *slot = &running->slots[i];
    const struct batch_output *output = &slot->owner->batch.more_outputs[o];
    if (prediction_in_pieces(slot->owner))
        return (output->shape.sequence ? slot->steps : 1) * output->shape.width;
    return output->steps[slot->b] * output->shape.width;
}

size_t running_more_floats(const struct running_batch *running)
{
    const struct graph *graph = &running->model->graph;
    size_t floats = 0;
    for (size_t i = 0; i < running->n; i++) {
        for (size_t k = 0; k + 1 < graph->n_inputs; k++)
            floats += input_of(running, k, i).timesteps * graph->inputs[k + 1].shape.width;
        for (size_t o = 0; o + 1 < graph->n_outputs; o++)
            floats += output_floats(running, o, i);
    }
    return floats;
}

void running_more_look(struct running_batch *running)
{
    for (size_t k = 0; k + 1 < running->model->graph.n_inputs; k++)
        for (size_t i = 0; i < running->n; i++)
            running->more_inputs[k * running->n + i] = input_of(running, k, i);
}

float *running_more_copy_inputs(struct running_batch *running, float *at)
{
    const struct graph *graph = &running->model->graph;
    for (size_t k = 0; k + 1 < graph->n_inputs; k++)
        for (size_t i = 0; i < running->n; i++) {
            struct layer_view *to = &running->more_inputs[k * running->n + i];
            size_t floats = to->timesteps * graph->inputs[k + 1].shape.width;
            memcpy(at, to->at, floats * sizeof *at);
            to->at = at;
            at += floats;
        }
    for (size_t o = 0; o + 1 < graph->n_outputs; o++)
        for (size_t i = 0; i < running->n; i++) {
            running->more_outputs[o * running->n + i] = at;
            at += output_floats(running, o, i);
        }
    return at;
}

void running_more_copy_outputs(const struct running_batch *running)
{
    for (size_t o = 0; o + 1 < running->model->graph.n_outputs; o++)
        for (size_t i = 0; i < running->n; i++) {
            const struct row_slot *slot = &running->slots[i];
            if (!prediction_in_pieces(slot->owner))
                memcpy(slot->owner->batch.more_outputs[o].rows[slot->b], running->more_outputs[o * running->n + i],
                       output_floats(running, o, i) * sizeof(float));
        }
}
