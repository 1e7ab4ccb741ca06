/* Embedding: the row of a table for every whole number. With mask_zero, timesteps with 0 do not count. Source:
   keras/layers/core/embedding.py. */
#include "embedding.h"

#include <stdlib.h>
#include <string.h>

static bool embedding_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out)
{
    const struct embedding *embedding = layer->own;
    (void)in;
    *out = (struct layer_tensor){.name = "embeddings",
                                 .rank = 2,
                                 .shape = {embedding->input_dim, embedding->output_dim},
                                 .initializer = &embedding->initializer};
    return i == 0;
}

static enum rnn_status embedding_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                       struct layer_shape *out, struct rnn_error *err)
{
    const struct embedding *embedding = layer->own;
    (void)sequences;
    if (!in->ids)
        return rnn_fail(
            err, RNN_ESHAPE,
            "layer \"%s\": an Embedding takes whole numbers, so it must directly follow an input of the model",
            layer->name);
    *out = (struct layer_shape){.sequence = in->sequence, .timesteps = in->timesteps, .width = embedding->output_dim};
    return RNN_OK;
}

static enum rnn_status embedding_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                       struct rnn_error *err)
{
    (void)in;
    struct embedding *embedding = layer->own;
    size_t floats;
    if (rnn_size_mul(embedding->input_dim, embedding->output_dim, &floats))
        embedding->table = rnn_alloc(floats, sizeof *embedding->table);
    if (!embedding->table)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for embeddings [%zu, %zu]", embedding->input_dim,
                        embedding->output_dim);
    memcpy(embedding->table, tensors[0], floats * sizeof *embedding->table);
    return RNN_OK;
}

/* The caller has checked that all ids are within the vocabulary. Fractions are cut off, as in Keras. */
static bool embedding_run(const struct layer *layer, struct layer_run *run)
{
    const struct embedding *embedding = layer->own;
    size_t width = embedding->output_dim;
    float *out = run->out[0].at;
    unsigned char *made = run->masks;
    for (size_t b = 0; b < run->n; b++) {
        const struct layer_view *row = &run->in[0][b];
        for (size_t t = 0; t < row->timesteps; t++, out += width) {
            float id = row->at[t * row->stride];
            memcpy(out, embedding->table + (size_t)id * width, width * sizeof *out);
            if (embedding->mask_zero)
                made[t] = id != 0 && (!row->mask || row->mask[t * row->mask_stride]);
        }
        if (embedding->mask_zero) {
            run->out[b].mask = made;
            run->out[b].mask_stride = 1;
        }
        made += row->timesteps;
    }
    return true;
}

static void embedding_defaults(void *own)
{
    struct embedding *embedding = own;
    embedding->initializer = initializer_find("random_uniform")->initializer;
}

static void embedding_close(void *own)
{
    struct embedding *embedding = own;
    free(embedding->table);
}

static size_t embedding_bytes(const struct layer *layer)
{
    const struct embedding *embedding = layer->own;
    return embedding->input_dim * embedding->output_dim * sizeof *embedding->table;
}

static size_t embedding_vocabulary(const struct layer *layer)
{
    const struct embedding *embedding = layer->own;
    return embedding->input_dim;
}

const struct layer_class layer_embedding = {
    .size = sizeof(struct embedding),
    .defaults = embedding_defaults,
    .close = embedding_close,
    .bytes = embedding_bytes,
    .vocabulary = embedding_vocabulary,
    .masks = MASKS_MADE,
    .pointwise = true,
    .tensor = embedding_tensor,
    .shape = embedding_shape,
    .build = embedding_build,
    .run = embedding_run,
};
