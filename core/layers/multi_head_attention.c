/* MultiHeadAttention: projections through packed kernels, then attention head by head. Sources:
   keras/layers/attention/multi_head_attention.py; Vaswani et al., "Attention Is All You Need", 2017. */
#include "multi_head_shape.h"

#include "attention_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 }; /* the vectors of one product */

/* Keras adds this number to masked scores. */
static const float masked_score = -1e9f;

static size_t head_size(const struct multi_head_attention *own, size_t projection)
{
    return projection == PROJECT_VALUE || projection == PROJECT_OUTPUT ? own->value_dim : own->key_dim;
}

static size_t output_size(const struct multi_head_attention *own, const struct layer_shape *query)
{
    return own->output_size ? own->output_size : layer_features(query);
}

/* The depth and the columns of a projection's kernel, seen as a matrix. */
static void matrix_of(const struct multi_head_attention *own, const struct layer_shape *in, size_t n_inputs,
                      size_t projection, size_t *depth, size_t *columns)
{
    bool output = projection == PROJECT_OUTPUT;
    size_t heads = own->heads * head_size(own, projection);
    *depth = output ? heads : layer_features(&in[mha_input_of(projection, n_inputs)]);
    *columns = output ? output_size(own, in) : heads;
}

/* Kernels are [features, heads, size]; the kernel of the output is [heads, size, features]. Each kernel is followed by
   its bias. */
static bool mha_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    static const char *const names[] = {"query_dense", "key_dense", "value_dense", "output_dense"};
    const struct multi_head_attention *own = layer->own;
    size_t projection = own->use_bias ? i / 2 : i, size = head_size(own, projection);
    bool bias = own->use_bias && i % 2, output = projection == PROJECT_OUTPUT;
    if (projection >= PROJECTIONS)
        return false;
    const struct layer_shape *shapes = layer->built ? own->in : in;
    size_t features = layer_features(&shapes[mha_input_of(projection, layer->n_inputs)]);
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
    struct mha_geometry geometry;
    enum rnn_status status = mha_geometry_of(layer, in, layer->n_inputs, &geometry, err);
    (void)sequences;
    if (status)
        return status;
    *out = in[0];
    if (!layer_set_features(out, output_size(own, in)))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static enum rnn_status mha_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                 struct rnn_error *err)
{
    struct multi_head_attention *own = layer->own;
    memcpy(own->in, in, (layer->n_inputs < 3 ? layer->n_inputs : 3) * sizeof *in);
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

static bool add_floats(size_t *sum, size_t n, size_t width)
{
    size_t floats;
    return rnn_size_mul(n, width, &floats) && rnn_size_add(*sum, floats, sum);
}

/* The work space of one group: projected queries, keys and values, the results of the heads, and the work space of a
   head. With free axes, also contiguous copies of the group's queries, values, keys and output. */
static bool mha_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    const struct multi_head_attention *own = layer->own;
    size_t keys = own->heads * own->key_dim, values = own->heads * own->value_dim, *sum = &aux->once, space;
    struct mha_geometry g;
    if (mha_geometry_of(layer, in, layer->n_inputs, &g, NULL))
        return false;
    bool good = add_floats(sum, g.queries, keys) && add_floats(sum, g.queries, values) &&
                add_floats(sum, g.keys, keys) && add_floats(sum, g.keys, values) &&
                attention_space(layer->vec, g.keys, own->key_dim, own->value_dim, &space) &&
                rnn_size_add(*sum, space, sum);
    if (!good || g.groups == 1)
        return good;
    for (size_t i = 0; i < 3; i++)
        good = good && add_floats(sum, i ? g.keys : g.queries, layer_features(&in[i < layer->n_inputs ? i : 1]));
    return good && add_floats(sum, g.queries, output_size(own, in));
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

/* One group of one row, after the projections. */
struct heads {
    const struct multi_head_attention *own;
    const struct mha_geometry *geometry;
    const struct layer_view *query, *value, *key; /* their masks apply if positions are timesteps */
    const float *queries, *keys, *values;
    struct mha_mask mask;
    size_t head; /* the current head */
    float scale, *weights, *out, *space;
};

/* Whether query t attends to key s. */
static bool is_seen(const struct heads *h, size_t t, size_t s)
{
    const struct multi_head_attention *own = h->own;
    size_t apart = t > s ? t - s : s - t;
    if ((own->causal && s > t) || (own->window && apart >= own->window))
        return false;
    if (h->mask.at && h->mask.at[h->head * h->mask.head + t * h->mask.query + s * h->mask.key] == 0)
        return false;
    return !h->geometry->timesteps ||
           (attention_counts(h->query, t) && attention_counts(h->value, s) && attention_counts(h->key, s));
}

static void mha_score(const void *context, size_t t, float *scores)
{
    const struct heads *h = context;
    bool masked = h->geometry->timesteps && (h->query->mask || h->value->mask || h->key->mask);
    bool all = !masked && !h->own->causal && !h->own->window && !h->mask.at;
    for (size_t s = 0; s < h->geometry->keys; s++)
        scores[s] *= h->scale;
    for (size_t s = 0; !all && s < h->geometry->keys; s++)
        if (!is_seen(h, t, s))
            scores[s] += masked_score;
}

static void run_head(const struct vec_ops *vec, const struct heads *h)
{
    const struct multi_head_attention *own = h->own;
    size_t keys = own->key_dim, values = own->value_dim, stride = own->heads * keys, wide = own->heads * values;
    size_t n = h->geometry->keys, queries = h->geometry->queries;
    struct attention_job job = {.vec = vec,
                                .query = {h->queries + h->head * keys, queries, keys, stride},
                                .key = {h->keys + h->head * keys, n, keys, stride},
                                .value = {h->values + h->head * values, n, values, wide},
                                .products = true,
                                .score = mha_score,
                                .context = h,
                                .weights = h->weights ? h->weights + h->head * queries * n : NULL,
                                .out = h->out + h->head * values,
                                .out_stride = wide};
    attention_job_run(&job, h->space);
}

/* The vectors of group g of input i. If there is one group, they are used in place; otherwise they are copied to
   *space. */
static const float *vectors_of(const struct layer_run *run, const struct mha_geometry *geometry, size_t b, size_t i,
                               size_t g, float **space)
{
    const float *all = run->in[i][b].at;
    if (geometry->groups == 1)
        return all;
    float *packed = *space;
    axes_gather(&geometry->tensors[i], g, all, packed);
    *space += axes_numbers(&geometry->tensors[i]);
    return packed;
}

/* Run group g of row b; z has room for a product. */
static void run_group(const struct layer *layer, const struct layer_run *run, const struct mha_geometry *geometry,
                      size_t b, size_t g, float *z)
{
    const struct multi_head_attention *own = layer->own;
    size_t t = geometry->queries, s = geometry->keys, keys = own->heads * own->key_dim;
    size_t values = own->heads * own->value_dim, key = mha_input_of(PROJECT_KEY, run->n_inputs);
    float *queries = run->aux, *projected_keys = queries + t * keys, *projected = projected_keys + s * keys;
    struct heads h = {.own = own,
                      .geometry = geometry,
                      .query = &run->in[0][b],
                      .value = &run->in[1][b],
                      .key = &run->in[key][b],
                      .queries = queries,
                      .keys = projected_keys,
                      .values = projected,
                      .scale = (float)(1 / sqrt((double)own->key_dim)),
                      .weights = run->second ? run->second[b].at + g * own->heads * t * s : NULL,
                      .out = projected + s * values,
                      .space = projected + s * values + t * values};
    size_t job = 0;
    attention_space(layer->vec, s, own->key_dim, own->value_dim, &job);
    float *space = h.space + job;
    if (run->n_inputs > 3)
        h.mask = mha_mask_of(geometry, g, run->in[3][b].at);
    project(layer, PROJECT_QUERY, t, vectors_of(run, geometry, b, 0, g, &space), layer_features(&run->in_shapes[0]), z,
            queries);
    project(layer, PROJECT_KEY, s, vectors_of(run, geometry, b, key, g, &space), layer_features(&run->in_shapes[key]),
            z, projected_keys);
    project(layer, PROJECT_VALUE, s, vectors_of(run, geometry, b, 1, g, &space), layer_features(&run->in_shapes[1]), z,
            projected);
    for (; h.head < own->heads; h.head++)
        run_head(layer->vec, &h);
    float *out = geometry->groups == 1 ? run->out[b].at : space;
    project(layer, PROJECT_OUTPUT, t, h.out, values, z, out);
    if (geometry->groups > 1) {
        struct axes_tensor tensor = geometry->tensors[0];
        tensor.sizes[tensor.n - 1] = output_size(own, own->in);
        axes_scatter(&tensor, g, out, run->out[b].at);
    }
}

static bool mha_run(const struct layer *layer, struct layer_run *run)
{
    size_t bytes;
    arena_reset(run->arena);
    mha_scratch(layer, run->n, &bytes);
    float *z = arena_alloc(run->arena, (bytes - RNN_ALIGNMENT) / sizeof *z, sizeof *z);
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape in[MHA_INPUTS];
        struct mha_geometry geometry;
        for (size_t i = 0; i < run->n_inputs; i++) {
            in[i] = run->in_shapes[i];
            in[i].timesteps = run->in[i][b].timesteps;
        }
        mha_geometry_of(layer, in, run->n_inputs, &geometry, NULL);
        for (size_t g = 0; g < geometry.groups; g++)
            run_group(layer, run, &geometry, b, g, z);
    }
    return true;
}

static enum rnn_status mha_weights_shape(const struct layer *layer, const struct layer_shape *in,
                                         struct layer_shape *out, struct rnn_error *err)
{
    struct mha_geometry geometry;
    enum rnn_status status = mha_geometry_of(layer, in, layer->n_inputs, &geometry, err);
    if (!status && !layer_shape_of(geometry.n_axes, geometry.axes, out))
        status =
            rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its attention scores have too many numbers or axes", layer->name);
    return status;
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
    .most_inputs = MHA_INPUTS,
    .defaults = mha_defaults,
    .close = mha_close,
    .bytes = mha_bytes,
    .tensor = mha_tensor,
    .shape = mha_shape,
    .second = mha_weights_shape,
    .build = mha_build,
    .scratch = mha_scratch,
    .aux = mha_aux,
    .run = mha_run,
};
