/* Masking: a timestep counts if any feature differs from mask_value. All other timesteps become zeros. NaN differs from
   every value. The mask replaces the mask of a layer before. Source: keras/layers/core/masking.py. */
#include "masking.h"

#include <string.h>

static bool masking_run(const struct layer *layer, struct layer_run *run)
{
    const struct masking *masking = layer->own;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    unsigned char *made = run->masks;
    size_t width = layer->input_size;
    for (size_t b = 0; b < run->n; b++) {
        const struct layer_view *row = &run->in[0][b];
        bool replaces = run->mask_of_layer; /* as in Keras; the request's mask, however, still counts */
        for (size_t t = 0; t < row->timesteps; t++, x += width, out += width) {
            bool any = false;
            for (size_t f = 0; f < width; f++)
                any |= x[f] != masking->mask_value;
            for (size_t f = 0; f < width; f++)
                out[f] = any ? x[f] : 0;
            made[t] = any && (replaces || !row->mask || row->mask[t * row->mask_stride]);
        }
        run->out[b].mask = made;
        run->out[b].mask_stride = 1;
        made += row->timesteps;
    }
    return true;
}

static enum rnn_status masking_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences, (void)out;
    if (in->rank > 1)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (Masking) supports only sequences of vectors", layer->name);
    return RNN_OK;
}

const struct layer_class layer_masking = {
    .size = sizeof(struct masking),
    .masks = MASKS_MADE,
    .pointwise = true,
    .shape = masking_shape,
    .run = masking_run,
};

static enum rnn_status set_mask_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                      struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[2][LAYER_MAX_AXES], n = layer_axes(&in[1], axes[1]);
    (void)sequences, (void)out;
    layer_axes(in, axes[0]);
    if (n == 1 && in->sequence && axes[0][0] == axes[1][0])
        return RNN_OK;
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected a mask with one number for each timestep", layer->name);
}

static bool set_mask_run(const struct layer *layer, struct layer_run *run)
{
    unsigned char *made = run->masks;
    (void)layer;
    for (size_t b = 0; b < run->n; b++) {
        const struct layer_view *in = &run->in[0][b];
        const float *counts = run->in[1][b].at;
        memcpy(run->out[b].at, in->at, in->timesteps * run->in_shapes[0].width * sizeof(float));
        for (size_t t = 0; t < in->timesteps; t++)
            made[t] = counts[t] != 0;
        run->out[b].mask = made;
        run->out[b].mask_stride = 1;
        made += in->timesteps;
    }
    return true;
}

const struct layer_class layer_set_mask = {
    .masks = MASKS_MADE,
    .pointwise = true,
    .most_inputs = 2,
    .shape = set_mask_shape,
    .run = set_mask_run,
};

static enum rnn_status set_length_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                        struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences, (void)out;
    if (in->sequence && in[1].timesteps * in[1].width == 1)
        return RNN_OK;
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected a sequence, and one number as its length", layer->name);
}

static bool set_length_run(const struct layer *layer, struct layer_run *run)
{
    unsigned char *made = run->masks;
    (void)layer;
    for (size_t b = 0; b < run->n; b++) {
        const struct layer_view *in = &run->in[0][b];
        float length = *run->in[1][b].at;
        memcpy(run->out[b].at, in->at, in->timesteps * run->in_shapes[0].width * sizeof(float));
        for (size_t t = 0; t < in->timesteps; t++)
            made[t] = (float)t < length;
        run->out[b].mask = made;
        run->out[b].mask_stride = 1;
        made += in->timesteps;
    }
    return true;
}

const struct layer_class layer_set_length = {
    .masks = MASKS_MADE,
    .pointwise = true,
    .most_inputs = 2,
    .shape = set_length_shape,
    .run = set_length_run,
};
