/* Selects the vectors of a chunk that are outputs: all of a sequence; or only the last one, if outputs are fed back or
   if the model returns only the last timestep. */
#include "running_pieces.h"

#include "stream.h"

#include <string.h>

bool slot_rolls(const struct row_slot *slot)
{
    const struct batch *batch = &slot->owner->batch;
    return batch->rolled && batch->progress[slot->b].done == batch->rows[slot->b].timesteps;
}

bool slot_gives_steps(const struct row_slot *slot)
{
    const struct batch *batch = &slot->owner->batch;
    return batch->rolled ? batch->model->graph.outputs[0].shape.sequence : batch->output.sequence;
}

/* Take n vectors of the first output. */
static void keep_first(const struct row_slot *slot, const float *values, size_t n)
{
    const struct batch *batch = &slot->owner->batch;
    const struct rnn_row *row = &batch->rows[slot->b];
    struct row_progress *progress = &batch->progress[slot->b];
    for (size_t i = 0; batch->outputs && i < n; i++)
        memcpy(row->outputs + (ptrdiff_t)(progress->given + i) * row->output_stride, values + i * batch->output.width,
               batch->output.width * sizeof *values);
    progress->given += n;
}

/* Take the outputs after the first: sequences timestep by timestep, other outputs at the end. */
static void keep_more(const struct row_slot *slot, size_t first, const struct stream_part *parts)
{
    const struct batch *batch = &slot->owner->batch;
    for (size_t o = 0; !batch->fleeting && o + 1 < batch->model->graph.n_outputs; o++) {
        const struct batch_output *output = &batch->more_outputs[o];
        size_t at = output->shape.sequence ? first : 0;
        memcpy(output->rows[slot->b] + at * output->shape.width, parts[1 + o].values,
               parts[1 + o].n * output->shape.width * sizeof(float));
    }
}

static void hand_on(const struct row_slot *slot, size_t timestep, const struct stream_part *parts, size_t n_parts)
{
    struct prediction *p = slot->owner;
    bool any = false;
    for (size_t i = 0; i < n_parts; i++)
        any |= parts[i].n > 0;
    if (any && p->request->stream)
        stream_parts(p, slot->b, timestep, parts, n_parts);
}

static void take_rolled(struct row_slot *slot, const float *last, bool whole)
{
    struct prediction *p = slot->owner;
    const struct row_progress *progress = &p->batch.progress[slot->b];
    size_t timestep = progress->given;
    const struct stream_part part = {whole ? rollout_take(p, slot->b, timestep, last) : NULL, 1};
    if (!part.values)
        return;
    keep_first(slot, part.values, 1);
    hand_on(slot, timestep, &part, 1);
}

void running_take_pieces(const struct running_batch *running, struct row_slot *slot, const float *vectors)
{
    const struct graph *graph = &running->model->graph;
    const struct batch *batch = &slot->owner->batch;
    size_t first = batch->progress[slot->b].done, end = first + slot->steps, i = (size_t)(slot - running->slots);
    const float *last = vectors + (slot->vectors - 1) * graph->outputs[0].shape.width;
    bool whole = slot_rolls(slot) || end == batch->rows[slot->b].timesteps, steps = slot_gives_steps(slot);
    if (batch->rolled) {
        take_rolled(slot, last, whole);
        return;
    }
    struct stream_part parts[GRAPH_MAX_INPUTS] = {{steps ? vectors : last, steps ? slot->steps : whole}};
    for (size_t o = 0; o + 1 < graph->n_outputs; o++) {
        bool sequence = batch->more_outputs[o].shape.sequence;
        parts[1 + o] = (struct stream_part){running->more_outputs[o * running->n + i], sequence ? slot->steps : whole};
        steps |= sequence;
    }
    keep_first(slot, parts[0].values, parts[0].n);
    keep_more(slot, first, parts);
    hand_on(slot, steps ? first : end - 1, parts, graph->n_outputs);
}
