/* Converts Linear, Embedding, normalization, convolution and pooling to Keras's layers. */
#include "torch_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- modules with weights ---- */

void torch_add_linear(struct torch_steps *s, const json_t *module)
{
    char to[TORCH_STEP_NAME_BYTES];
    const struct named_tensor *weight = torch_step_tensor(s, module, "weight", 2);
    if (!weight || !torch_step_features_last(s) || !torch_step_takes(s, weight->shape[1]))
        return;
    bool bias = torch_weights_find(s->weights, torch_step_name(module), "bias");
    size_t units = weight->shape[0];
    torch_step_agrees(s, module, "in_features", weight->shape[1]);
    torch_step_agrees(s, module, "out_features", units);
    torch_step_agrees(s, module, "bias", bias);
    torch_weights_turn(s->weights, torch_step_name(module), "weight", torch_step_weights(s, "kernel", to), units,
                       s->width);
    torch_weights_copy(s->weights, torch_step_name(module), "bias", torch_step_weights(s, "bias", to), units, true);
    torch_step_add(s, "Dense", torch_step_name(module),
                   json_pack("{s:I, s:b}", "units", (json_int_t)units, "use_bias", bias));
    s->width = units;
}

void torch_add_embedding(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    char to[TORCH_STEP_NAME_BYTES];
    const struct named_tensor *weight = torch_step_tensor(s, module, "weight", 2);
    torch_step_must_be(s, kind, module, "max_norm", "null: PyTorch changes the weights in each call");
    if (!weight)
        return;
    if (torch_step_next(s)) {
        keras_error(&s->reader, s->path, "an Embedding takes the ids of the request; put it first");
        return;
    }
    const size_t shape[] = {weight->shape[0], weight->shape[1]};
    float *floats = torch_weights_read(s->weights, torch_step_name(module), "weight", 2, shape);
    float *out = floats ? torch_weights_add(s->weights, torch_step_weights(s, "embeddings", to), 2, shape) : NULL;
    if (out)
        memcpy(out, floats, shape[0] * shape[1] * sizeof *out);
    free(floats);
    torch_step_agrees(s, module, "num_embeddings", shape[0]);
    torch_step_agrees(s, module, "embedding_dim", shape[1]);
    torch_step_add(s, "Embedding", torch_step_name(module),
                   json_pack("{s:I, s:I}", "input_dim", (json_int_t)shape[0], "output_dim", (json_int_t)shape[1]));
    s->width = shape[1];
}

void torch_add_batch_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    char to[TORCH_STEP_NAME_BYTES];
    const struct named_tensor *mean = torch_step_tensor(s, module, "running_mean", 1);
    torch_step_must_be(s, kind, module, "track_running_stats",
                       "true: without running statistics the answer depends on the batch");
    if (!mean || (s->sequence && !torch_step_channels_first(s, "BatchNorm1d over a sequence")) ||
        !torch_step_takes(s, mean->shape[0]))
        return;
    bool affine = torch_weights_find(s->weights, torch_step_name(module), "weight");
    torch_weights_copy(s->weights, torch_step_name(module), "weight", torch_step_weights(s, "gamma", to), s->width,
                       true);
    torch_weights_copy(s->weights, torch_step_name(module), "bias", torch_step_weights(s, "beta", to), s->width, true);
    torch_weights_copy(s->weights, torch_step_name(module), "running_mean", torch_step_weights(s, "moving_mean", to),
                       s->width, false);
    torch_weights_copy(s->weights, torch_step_name(module), "running_var", torch_step_weights(s, "moving_variance", to),
                       s->width, false);
    torch_step_agrees(s, module, "num_features", s->width);
    torch_step_agrees(s, module, "affine", affine);
    torch_step_add(s, "BatchNormalization", torch_step_name(module),
                   json_pack("{s:i, s:f, s:b, s:b}", "axis", -1, "epsilon", torch_step_number(s, kind, module, "eps"),
                             "center", affine, "scale", affine));
}

void torch_add_layer_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    char to[TORCH_STEP_NAME_BYTES];
    const struct named_tensor *weight = torch_weights_find(s->weights, torch_step_name(module), "weight");
    bool bias = torch_weights_find(s->weights, torch_step_name(module), "bias");
    json_t *affine = torch_argument_value(kind, module, "elementwise_affine");
    bool has = !json_is_false(affine); /* a misspelt name must be an error, not a layer without weights */
    json_decref(affine);
    if (has != (weight != NULL)) {
        keras_error(&s->reader, s->path,
                    has ? "the weights file has no tensor %.100s.weight; a LayerNorm without one says "
                          "\"elementwise_affine\": false"
                        : "the weights file has a tensor %.100s.weight, and elementwise_affine is false",
                    torch_step_name(module));
        return;
    }
    if (weight && !(weight = torch_step_tensor(s, module, "weight", 1)))
        return;
    if (!torch_step_features_last(s) || (weight && !torch_step_takes(s, weight->shape[0])))
        return;
    torch_step_agrees(s, module, "normalized_shape", s->width);
    torch_weights_copy(s->weights, torch_step_name(module), "weight", torch_step_weights(s, "gamma", to), s->width,
                       true);
    torch_weights_copy(s->weights, torch_step_name(module), "bias", torch_step_weights(s, "beta", to), s->width, true);
    torch_step_add(s, "LayerNormalization", torch_step_name(module),
                   json_pack("{s:i, s:f, s:b, s:b}", "axis", -1, "epsilon", torch_step_number(s, kind, module, "eps"),
                             "center", bias, "scale", weight != NULL));
}

/* ---- convolution and pooling ---- */

/* Pad every sequence with this number of zeros on both sides. */
static void add_padding(struct torch_steps *s, size_t before, size_t behind)
{
    if (before || behind)
        torch_step_add(s, "ZeroPadding1D", "padding",
                       json_pack("{s:[I, I]}", "padding", (json_int_t)before, (json_int_t)behind));
    s->timesteps += s->timesteps ? before + behind : 0;
}

/* The number of timesteps after a window of this size. */
static void shorten(struct torch_steps *s, size_t window, size_t stride)
{
    if (!s->timesteps)
        return;
    if (s->timesteps < window)
        keras_error(&s->reader, s->path, "its windows of %zu timesteps do not fit into %zu", window, s->timesteps);
    else
        s->timesteps = (s->timesteps - window) / (stride ? stride : 1) + 1;
}

void torch_add_conv(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    char to[TORCH_STEP_NAME_BYTES];
    const struct named_tensor *weight = torch_step_tensor(s, module, "weight", 3);
    size_t stride = torch_step_size(s, kind, module, "stride"), dilation = torch_step_size(s, kind, module, "dilation");
    torch_step_must_be(s, kind, module, "padding_mode", "\"zeros\"");
    if (!weight || !torch_step_channels_first(s, "Conv1d"))
        return;
    const size_t out = weight->shape[0], in = weight->shape[1], k = weight->shape[2], shape[] = {out, in, k};
    bool bias = torch_weights_find(s->weights, torch_step_name(module), "bias"),
         same = torch_step_is(kind, module, "padding", "same");
    size_t groups = s->width / in, window = dilation * (k - 1) + 1, total = window - 1;
    size_t padding =
        same || torch_step_is(kind, module, "padding", "valid") ? 0 : torch_step_size(s, kind, module, "padding");
    if (groups * in != s->width || !stride || !dilation || (same && stride != 1))
        keras_error(&s->reader, s->path, "its weight takes %zu channels a group, and %zu channels come to it", in,
                    s->width);
    torch_step_agrees(s, module, "groups", groups);
    torch_step_agrees(s, module, "out_channels", out);
    torch_step_agrees(s, module, "kernel_size", k);
    if (*s->reader.failed)
        return;
    add_padding(s, same ? total / 2 : padding, same ? total - total / 2 : padding);
    float *floats = torch_weights_read(s->weights, torch_step_name(module), "weight", 3, shape);
    float *kernel =
        floats ? torch_weights_add(s->weights, torch_step_weights(s, "kernel", to), 3, (const size_t[]){k, in, out})
               : NULL;
    for (size_t o = 0; kernel && o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < k; t++)
                kernel[(t * in + i) * out + o] = floats[(o * in + i) * k + t];
    free(floats);
    torch_weights_copy(s->weights, torch_step_name(module), "bias", torch_step_weights(s, "bias", to), out, true);
    torch_step_add(s, "Conv1D", torch_step_name(module),
                   json_pack("{s:I, s:[I], s:[I], s:[I], s:I, s:s, s:b}", "filters", (json_int_t)out, "kernel_size",
                             (json_int_t)k, "strides", (json_int_t)stride, "dilation_rate", (json_int_t)dilation,
                             "groups", (json_int_t)groups, "padding", "valid", "use_bias", bias));
    shorten(s, window, stride);
    s->width = out;
}

void torch_add_pool(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    bool max = !strcmp(kind->name, "MaxPool1d");
    json_t *given = json_object_get(module, "stride");
    size_t window = torch_step_size(s, kind, module, "kernel_size"),
           padding = torch_step_size(s, kind, module, "padding");
    size_t stride = given && !json_is_null(given) ? torch_step_size(s, kind, module, "stride") : window;
    torch_step_must_be(s, kind, module, "ceil_mode", "false");
    if (max) {
        torch_step_must_be(s, kind, module, "dilation", "1");
        torch_step_must_be(s, kind, module, "padding", "0");
        torch_step_must_be(s, kind, module, "return_indices", "false");
    } else if (padding) {
        torch_step_must_be(s, kind, module, "count_include_pad", "true");
    }
    if (!window || !stride)
        keras_error(&s->reader, s->path, "expected a kernel_size and a stride of 1 or more");
    if (!torch_step_channels_first(s, kind->name) || *s->reader.failed)
        return;
    add_padding(s, padding, padding);
    torch_step_add(s, max ? "MaxPooling1D" : "AveragePooling1D", kind->name,
                   json_pack("{s:[I], s:[I], s:s}", "pool_size", (json_int_t)window, "strides", (json_int_t)stride,
                             "padding", "valid"));
    shorten(s, window, stride);
}
