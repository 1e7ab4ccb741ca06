/* MultiHeadAttention: projections through packed kernels, then attention head by head. Sources:
   keras/layers/attention/multi_head_attention.py; Vaswani et al., "Attention Is All You Need", 2017. */
#include "attention.h"

#include "attention_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 }; /* vectors of one product */

/* What Keras adds to scores that do not count. */
static const float masked_score = -1e9f;

/* The input that a projection takes: the key is the value where it is not given. */
static size_t input_of(size_t projection, size_t n_inputs)
{
    return projection == PROJECT_QUERY ? 0 : projection == PROJECT_KEY && n_inputs > 2 ? 2 : 1;
}

static size_t head_size(const struct multi_head_attention *own, size_t projection)
{
    return projection == PROJECT_VALUE || projection == PROJECT_OUTPUT ? own->value_dim : own->key_dim;
}

static size_t output_size(const struct multi_head_attention *own, const struct layer_shape *query)
{
    return own->output_size ? own->output_size : query->width;
}

/* Depth and columns of a projection's kernel as a matrix. */
static void matrix_of(const struct multi_head_attention *own, const struct layer_shape *in, size_t n_inputs,
                      size_t projection, size_t *depth, size_t *columns)
{
    bool output = projection == PROJECT_OUTPUT;
    size_t heads = own->heads * head_size(own, projection);
    *depth = output ? heads : in[input_of(projection, n_inputs)].width;
    *columns = output ? output_size(own, in) : heads;
}

/* Kernels [features, heads, size], of the output [heads, size, features]; each with its bias. */
static bool mha_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    static const char *const names[] = {"query_dense", "key_dense", "value_dense", "output_dense"};
    const struct multi_head_attention *own = layer->own;
    size_t projection = own->use_bias ? i / 2 : i, size = head_size(own, projection);
    bool bias = own->use_bias && i % 2, output = projection == PROJECT_OUTPUT;
    if (projection >= PROJECTIONS)
        return false;
    const struct layer_shape *shapes = layer->built ? own->in : in;
    size_t features = shapes[input_of(projection, layer->n_inputs)].width;
    *out = (struct layer_tensor){.initializer = bias ? &own->bias_initializer : &own->kernel_initializer};
    memcpy(out->name, names[projection], strlen(names[projection]));
    memcpy(out->name + strlen(names[projection]), bias ? ".bias" : ".kernel", bias ? 6 : 8);
    if (!bias && !output)
        out->shape[out->rank++] = features;
    if (!(bias && output)) {
        out->shape[out->rank++] = own->heads;
        out->shape[out->rank++] = size;
    }
    if (output)
        out->shape[out->rank++] = output_size(own, shapes);
    return true;
}

static enum rnn_status mha_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                 struct layer_shape *out, struct rnn_error *err)
{
    const struct multi_head_attention *own = layer->own;
    enum rnn_status status = attention_check(layer, in, err);
    (void)sequences;
    if (status)
        return status;
    *out = in[0];
    if (!layer_set_features(out, output_size(own, in)))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
    return RNN_OK;
}

static enum rnn_status mha_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                 struct rnn_error *err)
{
    struct multi_head_attention *own = layer->own;
    memcpy(own->in, in, layer->n_inputs * sizeof *in);
    for (size_t p = 0; p < PROJECTIONS; p++) {
        size_t depth, columns;
        matrix_of(own, in, layer->n_inputs, p, &depth, &columns);
        enum rnn_status status = packed_init(&own->kernels[p], *tensors++, depth, columns, 0, 1, columns,
                                             layer->vec->lanes, layer->format, err);
        if (status)
            return status;
        own->starts[p] = packed_row(&own->kernels[p], own->use_bias ? *tensors++ : NULL);
        if (!own->starts[p])
            return rnn_fail(err, RNN_ENOMEM, "out of memory for %zu columns", columns);
    }
    return RNN_OK;
}

static void mha_close(void *own)
{
    struct multi_head_attention *mha = own;
    for (size_t p = 0; p < PROJECTIONS; p++) {
        packed_close(&mha->kernels[p]);
        free(mha->starts[p]);
    }
}

static size_t mha_bytes(const struct layer *layer)
{
    const struct multi_head_attention *own = layer->own;
    size_t bytes = 0;
    for (size_t p = 0; p < PROJECTIONS; p++)
        bytes += packed_bytes(&own->kernels[p]) + packed_columns(&own->kernels[p]) * sizeof(float);
    return bytes;
}

static bool mha_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct multi_head_attention *own = layer->own;
    size_t most = 0;
    (void)rows;
    for (size_t p = 0; p < PROJECTIONS; p++)
        most = packed_columns(&own->kernels[p]) > most ? packed_columns(&own->kernels[p]) : most;
    return rnn_size_mul(most, CHUNK * sizeof(float), bytes) && rnn_size_add(*bytes, RNN_ALIGNMENT, bytes);
}

/* Of one row: projected queries, keys and values, what the heads give, and the work space of a head. */
static bool mha_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    const struct multi_head_attention *own = layer->own;
    size_t keys = own->heads * own->key_dim, values = own->heads * own->value_dim, both, queries, others, space;
    return rnn_size_add(keys, values, &both) && rnn_size_mul(in[0].timesteps, both, &queries) &&
           rnn_size_mul(in[1].timesteps, both, &others) && rnn_size_add(queries, others, &aux->once) &&
           attention_space(layer->vec, in[1].timesteps, own->key_dim, own->value_dim, &space) &&
           rnn_size_add(aux->once, space, &aux->once);
}

static void project(const struct layer *layer, size_t p, size_t n, const float *x, size_t depth, float *z, float *out)
{
    const struct multi_head_attention *own = layer->own;
    const struct packed *kernel = &own->kernels[p];
    size_t columns = packed_columns(kernel), width;
    width = p == PROJECT_OUTPUT ? output_size(own, own->in) : own->heads * head_size(own, p);
    for (size_t done = 0; done < n;) {
        size_t now = n - done < CHUNK ? n - done : CHUNK;
        layer->vec->product(kernel, vec_all(kernel), now, x + done * depth, depth, own->starts[p], 0, z);
        for (size_t i = 0; i < now; i++)
            memcpy(out + (done + i) * width, z + i * columns, width * sizeof *out);
        done += now;
    }
}

/* One row of the group, whose projections are made. */
struct heads {
    const struct multi_head_attention *own;
    const struct layer_view *query, *value, *key;
    const float *queries, *keys, *values;
    float scale, *out, *space;
};

static void mha_score(const void *context, size_t t, float *scores)
{
    const struct heads *h = context;
    bool counts = attention_counts(h->query, t), all = counts && !h->value->mask && !h->key->mask && !h->own->causal;
    for (size_t s = 0; s < h->value->timesteps; s++)
        scores[s] *= h->scale;
    for (size_t s = 0; !all && s < h->value->timesteps; s++)
        if (!counts || !attention_counts(h->value, s) || !attention_counts(h->key, s) || (h->own->causal && s > t))
            scores[s] += masked_score;
}

static void run_head(const struct vec_ops *vec, const struct heads *h, size_t head)
{
    const struct multi_head_attention *own = h->own;
    size_t keys = own->key_dim, values = own->value_dim, stride = own->heads * keys, wide = own->heads * values;
    struct attention_job job = {.vec = vec,
                                .query = {h->queries + head * keys, h->query->timesteps, keys, stride},
                                .key = {h->keys + head * keys, h->value->timesteps, keys, stride},
                                .value = {h->values + head * values, h->value->timesteps, values, wide},
                                .products = true,
                                .score = mha_score,
                                .context = h,
                                .out = h->out + head * values,
                                .out_stride = wide};
    attention_job_run(&job, h->space);
}

static bool mha_run(const struct layer *layer, struct layer_run *run)
{
    const struct multi_head_attention *own = layer->own;
    size_t bytes, keys = own->heads * own->key_dim, values = own->heads * own->value_dim;
    arena_reset(run->arena);
    mha_scratch(layer, run->n, &bytes);
    float *z = arena_alloc(run->arena, (bytes - RNN_ALIGNMENT) / sizeof *z, sizeof *z);
    for (size_t b = 0; b < run->n; b++) {
        struct heads h = {.own = own, .query = &run->in[0][b], .value = &run->in[1][b]};
        h.scale = (float)(1 / sqrt((double)own->key_dim));
        h.key = run->n_inputs > 2 ? &run->in[2][b] : h.value;
        size_t t = h.query->timesteps, s = h.value->timesteps;
        float *at = run->aux, *queries = at, *projected_keys = queries + t * keys,
              *projected = projected_keys + s * keys;
        h.queries = queries;
        h.keys = projected_keys;
        h.values = projected;
        h.out = projected + s * values;
        h.space = h.out + t * values;
        project(layer, PROJECT_QUERY, t, h.query->at, run->in_shapes[0].width, z, queries);
        project(layer, PROJECT_KEY, s, h.key->at, run->in_shapes[run->n_inputs > 2 ? 2 : 1].width, z, projected_keys);
        project(layer, PROJECT_VALUE, s, h.value->at, run->in_shapes[1].width, z, projected);
        for (size_t head = 0; head < own->heads; head++)
            run_head(layer->vec, &h, head);
        project(layer, PROJECT_OUTPUT, t, h.out, values, z, run->out[b].at);
    }
    return true;
}

static void mha_defaults(void *own)
{
    struct multi_head_attention *mha = own;
    mha->use_bias = true;
    mha->kernel_initializer = initializer_find("glorot_uniform")->initializer;
    mha->bias_initializer = initializer_find("zeros")->initializer;
}

const struct layer_class layer_multi_head_attention = {
    .size = sizeof(struct multi_head_attention),
    .masks = MASKS_PASS,
    .most_inputs = 3,
    .defaults = mha_defaults,
    .close = mha_close,
    .bytes = mha_bytes,
    .tensor = mha_tensor,
    .shape = mha_shape,
    .build = mha_build,
    .scratch = mha_scratch,
    .aux = mha_aux,
    .run = mha_run,
};
