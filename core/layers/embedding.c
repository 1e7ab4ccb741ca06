/* Embedding: the row of a table for every whole number; with mask_zero, 0 stands for a timestep that does not count.
   Source: keras/layers/core/embedding.py. */
#include "core/layers/layer.h"

#include <string.h>

static bool tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    (void)in;
    *out = (struct layer_tensor){.name = "embeddings",
                                 .rank = 2,
                                 .shape = {layer->vocabulary, layer->units},
                                 .initializer = &layer->first_initializer};
    return i == 0;
}

static enum rnn_status shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    if (!in->ids)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": an Embedding is served only as the first layer", layer->name);
    out->ids = false;
    out->width = layer->units;
    return RNN_OK;
}

static enum rnn_status build(struct layer *layer, const float *const *tensors, struct rnn_error *err)
{
    size_t floats;
    if (rnn_size_mul(layer->vocabulary, layer->units, &floats))
        layer->weights = rnn_alloc(floats, sizeof *layer->weights);
    if (!layer->weights)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for embeddings [%zu, %zu]", layer->vocabulary, layer->units);
    memcpy(layer->weights, tensors[0], floats * sizeof *layer->weights);
    return RNN_OK;
}

/* The caller has seen that all ids are within the vocabulary. They are cut to whole numbers, as Keras does. */
static bool run(const struct layer *layer, struct layer_run *run)
{
    float *out = run->rows[0].outputs;
    unsigned char *made = run->masks;
    for (size_t b = 0; b < run->n; b++) {
        struct rnn_row *row = &run->rows[b];
        for (size_t t = 0; t < row->timesteps; t++, out += layer->units) {
            float id = row->inputs[t * row->input_stride];
            memcpy(out, layer->weights + (size_t)id * layer->units, layer->units * sizeof *out);
            if (layer->mask_zero)
                made[t] = id != 0 && (!row->mask || row->mask[t * row->mask_stride]);
        }
        if (layer->mask_zero) {
            row->mask = made;
            row->mask_stride = 1;
        }
        made += row->timesteps;
    }
    return true;
}

const struct layer_class layer_embedding = {
    .masks = MASKS_MADE,
    .pointwise = true,
    .tensor = tensor,
    .shape = shape,
    .build = build,
    .run = run,
};
