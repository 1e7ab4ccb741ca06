/* Attention and AdditiveAttention. Sources: keras/layers/attention/{attention,additive_attention,base_dense_attention}.py;
   Luong et al., "Effective Approaches to Attention-based Neural Machine Translation", 2015; Bahdanau et al., "Neural
   Machine Translation by Jointly Learning to Align and Translate", 2014. */
#include "attention.h"

#include "attention_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Keras subtracts this number from masked scores. */
static const float masked_score = 1e9f;

static bool attention_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out)
{
    const struct attention *own = layer->own;
    bool concat = own->score == SCORE_CONCAT;
    if (own->use_scale && !i--) {
        *out = (struct layer_tensor){.name = "scale", .initializer = &own->scale_initializer};
        if (own->score == SCORE_ADDITIVE) {
            out->rank = 1;
            out->shape[0] = layer_features(in);
        }
        return true;
    }
    *out = (struct layer_tensor){.name = "concat_score_weight", .initializer = &own->scale_initializer};
    return concat && !i;
}

static enum rnn_status attention_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                       struct layer_shape *out, struct rnn_error *err)
{
    size_t key = layer->n_inputs > 2 ? 2 : 1;
    enum rnn_status status = attention_check(layer, in, err);
    (void)sequences;
    if (status)
        return status;
    if (in[0].width != in[key].width)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): the query has %zu features, the key %zu", layer->name,
                        layer->class_name, in[0].width, in[key].width);
    *out = in[0];
    if (!layer_set_features(out, in[1].width))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static enum rnn_status attention_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                       struct rnn_error *err)
{
    struct attention *own = layer->own;
    size_t n = own->score == SCORE_ADDITIVE ? layer_features(in) : 1;
    if (own->use_scale) {
        own->scale = rnn_alloc(n, sizeof *own->scale);
        if (!own->scale)
            return rnn_fail(err, RNN_ENOMEM, "out of memory");
        memcpy(own->scale, *tensors++, n * sizeof *own->scale);
    }
    if (own->score == SCORE_CONCAT)
        own->concat_score = **tensors;
    return RNN_OK;
}

static void attention_close(void *own)
{
    free(((struct attention *)own)->scale);
}

static bool attention_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    return attention_space(layer->vec, in[1].timesteps, in[0].width, in[1].width, &aux->once);
}

/* One row of a group. */
struct attention_row {
    const struct attention *own;
    const struct layer_view *query, *value, *key;
    size_t dim;
};

static float score_of(const struct attention *own, size_t n, const float *query, const float *key)
{
    float scale = own->scale ? *own->scale : 1, sum = 0;
    for (size_t i = 0; i < n; i++) {
        float both = query[i] + key[i];
        if (own->score == SCORE_CONCAT)
            sum += tanhf(scale * both);
        else
            sum += (own->scale ? own->scale[i] : 1) * tanhf(both);
    }
    return own->score == SCORE_CONCAT ? own->concat_score * sum : sum;
}

static void attention_score(const void *context, size_t t, float *scores)
{
    const struct attention_row *row = context;
    const struct attention *own = row->own;
    size_t n = row->key->timesteps, dim = row->dim;
    for (size_t s = 0; own->score == SCORE_DOT && own->scale && s < n; s++)
        scores[s] *= *own->scale;
    for (size_t s = 0; own->score != SCORE_DOT && s < n; s++)
        scores[s] = score_of(own, dim, row->query->at + t * dim, row->key->at + s * dim);
    for (size_t s = 0; (own->causal || row->value->mask) && s < n; s++)
        if ((own->causal && s > t) || !attention_counts(row->value, s))
            scores[s] -= masked_score;
}

static void run_row(const struct layer *layer, const struct layer_run *run, size_t b)
{
    const struct attention *own = layer->own;
    const struct layer_view *query = &run->in[0][b], *value = &run->in[1][b];
    struct attention_row row = {own, query, value, run->n_inputs > 2 ? &run->in[2][b] : value, run->in_shapes[0].width};
    size_t dim = row.dim, width = run->in_shapes[1].width;
    struct attention_job job = {.vec = layer->vec,
                                .query = {query->at, query->timesteps, dim, dim},
                                .key = {row.key->at, row.key->timesteps, dim, dim},
                                .value = {value->at, value->timesteps, width, width},
                                .products = own->score == SCORE_DOT,
                                .score = attention_score,
                                .context = &row,
                                .weights = run->second ? run->second[b].at : NULL,
                                .out = run->out[b].at,
                                .out_stride = width};
    attention_job_run(&job, run->aux);
    for (size_t t = 0; query->mask && t < query->timesteps; t++)
        if (!attention_counts(query, t))
            memset(job.out + t * width, 0, width * sizeof *job.out);
}

static bool attention_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++)
        run_row(layer, run, b);
    return true;
}

static enum rnn_status attention_weights_shape(const struct layer *layer, const struct layer_shape *in,
                                               struct layer_shape *out, struct rnn_error *err)
{
    *out = in[0];
    if (!layer_set_features(out, in[1].timesteps))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static void attention_defaults(void *own)
{
    ((struct attention *)own)->scale_initializer = initializer_find("ones")->initializer;
}

const struct layer_class layer_attention = {
    .size = sizeof(struct attention),
    .masks = MASKS_PASS,
    .most_inputs = 3,
    .defaults = attention_defaults,
    .close = attention_close,
    .tensor = attention_tensor,
    .shape = attention_shape,
    .second = attention_weights_shape,
    .build = attention_build,
    .aux = attention_aux,
    .run = attention_run,
};
