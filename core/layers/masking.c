/* Masking: a timestep counts where any feature differs from mask_value; the others become zeros. NaN differs from
   everything. Source: keras/layers/core/masking.py. */
#include "masking.h"

static bool masking_run(const struct layer *layer, struct layer_run *run)
{
    const struct masking *masking = layer->own;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    unsigned char *made = run->masks;
    size_t width = layer->input_size;
    for (size_t b = 0; b < run->n; b++) {
        struct rnn_row *row = &run->rows[b];
        for (size_t t = 0; t < row->timesteps; t++, x += width, out += width) {
            bool any = false;
            for (size_t f = 0; f < width; f++)
                any |= x[f] != masking->mask_value;
            for (size_t f = 0; f < width; f++)
                out[f] = any ? x[f] : 0;
            made[t] = any && (!row->mask || row->mask[t * row->mask_stride]);
        }
        row->mask = made;
        row->mask_stride = 1;
        made += row->timesteps;
    }
    return true;
}

const struct layer_class layer_masking = {
    .size = sizeof(struct masking),
    .masks = MASKS_MADE,
    .pointwise = true,
    .run = masking_run,
};
