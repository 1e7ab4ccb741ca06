/* Reads layers with windows: convolutions and pooling. */
#include "core/layers/conv.h"
#include "core/layers/conv_lstm.h"
#include "core/layers/pool.h"

#include "layer_kind.h"
#include "objects.h"

#include <string.h>

enum { MAX_WINDOW = 1 << 16, MAX_FILTERS = 1 << 20 };

/* A whole number, or a list with one for each axis. If missing or null, *out stays unchanged. */
static void read_sizes(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                       size_t rank, size_t out[2])
{
    const json_t *value = json_object_get(config, key);
    bool good = !json_is_array(value) || json_array_size(value) == rank;
    if (!value || json_is_null(value))
        return;
    for (size_t i = 0; good && i < rank; i++) {
        const json_t *size = json_is_array(value) ? json_array_get(value, i) : value;
        good = json_is_integer(size) && json_integer_value(size) >= 1 && json_integer_value(size) <= MAX_WINDOW;
        out[2 - rank + i] = (size_t)json_integer_value(size);
    }
    if (!good)
        keras_expected(reader, path, key, "a whole number of at least 1, or one for each axis", value);
}

static void read_padding(const struct keras_reader *reader, const json_t *config, const char *path, bool causal,
                         struct window *out)
{
    static const char *const names[] = {"valid", "same", "causal"};
    const json_t *value = json_object_get(config, "padding");
    if (!value || json_is_null(value))
        return;
    for (size_t i = 0; i < (causal ? 3 : 2); i++)
        if (json_is_string(value) && !strcmp(json_string_value(value), names[i])) {
            out->padding = (enum window_padding)i;
            return;
        }
    keras_expected(reader, path, "padding", causal ? "valid, same or causal" : "valid or same", value);
}

/* "Conv2D" has two axes. */
static size_t rank_of(const struct layer *layer)
{
    return strstr(layer->class_name, "2D") ? 2 : 1;
}

static void read_conv(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct conv *own = out->own;
    size_t rank = own->window.rank = rank_of(out);
    own->kind = strstr(out->class_name, "Depthwise")   ? CONV_DEPTHWISE
                : strstr(out->class_name, "Separable") ? CONV_SEPARABLE
                                                       : CONV_FULL;
    keras_channels_last(reader, config, path);
    if (own->kind != CONV_DEPTHWISE)
        keras_size(reader, config, path, "filters", MAX_FILTERS, &own->filters);
    if (!json_object_get(config, "kernel_size"))
        keras_expected(reader, path, "kernel_size", "a whole number of at least 1, or one for each axis", NULL);
    read_sizes(reader, config, path, "kernel_size", rank, own->window.size);
    read_sizes(reader, config, path, "strides", rank, own->window.strides);
    read_sizes(reader, config, path, "dilation_rate", rank, own->window.dilation);
    read_padding(reader, config, path, rank == 1, &own->window);
    const json_t *groups = json_object_get(config, "groups");
    if (own->kind == CONV_FULL && groups && !json_is_null(groups))
        keras_size(reader, config, path, "groups", MAX_FILTERS, &own->groups);
    if (own->kind != CONV_FULL && json_object_get(config, "depth_multiplier"))
        keras_size(reader, config, path, "depth_multiplier", MAX_FILTERS, &own->depth_multiplier);
    keras_activation(reader, json_object_get(config, "activation"), keras_path(path, "activation").text,
                     &own->activation);
    keras_bool(reader, config, path, "use_bias", &own->use_bias);
    keras_initializer_key(reader, config, path, own->kind == CONV_FULL ? "kernel_initializer" : "depthwise_initializer",
                          &own->kernel_initializer);
    keras_initializer_key(reader, config, path, "pointwise_initializer", &own->pointwise_initializer);
    keras_initializer_key(reader, config, path, "bias_initializer", &own->bias_initializer);
}

static void read_conv_lstm(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct conv_lstm *own = out->own;
    size_t rank = own->window.rank = rank_of(out);
    keras_channels_last(reader, config, path);
    keras_size(reader, config, path, "filters", MAX_FILTERS, &own->filters);
    if (!json_object_get(config, "kernel_size"))
        keras_expected(reader, path, "kernel_size", "a whole number of at least 1, or one for each axis", NULL);
    read_sizes(reader, config, path, "kernel_size", rank, own->window.size);
    read_sizes(reader, config, path, "strides", rank, own->window.strides);
    read_sizes(reader, config, path, "dilation_rate", rank, own->window.dilation);
    read_padding(reader, config, path, false, &own->window);
    own->activation = activation_find("tanh")->activation;
    own->recurrent_activation = activation_find(reader->keras_major < 3 ? "hard_sigmoid" : "sigmoid")->activation;
    if (json_object_get(config, "activation"))
        keras_activation(reader, json_object_get(config, "activation"), keras_path(path, "activation").text,
                         &own->activation);
    if (json_object_get(config, "recurrent_activation"))
        keras_activation(reader, json_object_get(config, "recurrent_activation"),
                         keras_path(path, "recurrent_activation").text, &own->recurrent_activation);
    keras_bool(reader, config, path, "use_bias", &own->use_bias);
    keras_bool(reader, config, path, "return_sequences", &own->return_sequences);
    keras_bool(reader, config, path, "return_state", &own->return_state);
    keras_bool(reader, config, path, "go_backwards", &own->go_backwards);
    keras_bool(reader, config, path, "zero_output_for_mask", &own->zero_output_for_mask);
    own->zero_output_for_mask &= reader->keras_major > 2;
    keras_initializer_key(reader, config, path, "kernel_initializer", &own->kernel_initializer);
    keras_initializer_key(reader, config, path, "recurrent_initializer", &own->recurrent_initializer);
    keras_initializer_key(reader, config, path, "bias_initializer", &own->bias_initializer);
}

static void read_pool(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct pool_window *own = out->own;
    size_t rank = own->window.rank = rank_of(out);
    own->average = strstr(out->class_name, "Average") != NULL;
    keras_channels_last(reader, config, path);
    own->window.size[1] = 2;
    own->window.size[0] = rank == 2 ? 2 : 1;
    read_sizes(reader, config, path, "pool_size", rank, own->window.size);
    memcpy(own->window.strides, own->window.size, sizeof own->window.strides);
    read_sizes(reader, config, path, "strides", rank, own->window.strides);
    read_padding(reader, config, path, false, &own->window);
}

static const char *const conv_keys[] = {"filters",
                                        "kernel_size",
                                        "strides",
                                        "padding",
                                        "data_format",
                                        "dilation_rate",
                                        "groups",
                                        "depth_multiplier",
                                        "activation",
                                        "use_bias",
                                        "rank",
                                        "kernel_initializer",
                                        "depthwise_initializer",
                                        "pointwise_initializer",
                                        "bias_initializer",
                                        "depthwise_regularizer",
                                        "pointwise_regularizer",
                                        "depthwise_constraint",
                                        "pointwise_constraint",
                                        "lora_rank",
                                        "lora_alpha",
                                        NULL};
static const char *const conv_lstm_keys[] = {"filters",
                                             "kernel_size",
                                             "strides",
                                             "padding",
                                             "data_format",
                                             "dilation_rate",
                                             "activation",
                                             "recurrent_activation",
                                             "use_bias",
                                             "unit_forget_bias",
                                             "return_sequences",
                                             "return_state",
                                             "go_backwards",
                                             "stateful",
                                             "unroll",
                                             "time_major",
                                             "zero_output_for_mask",
                                             "dropout",
                                             "recurrent_dropout",
                                             "kernel_initializer",
                                             "recurrent_initializer",
                                             "bias_initializer",
                                             "recurrent_regularizer",
                                             "recurrent_constraint",
                                             "cell",
                                             "seed",
                                             NULL};
static const char *const pool_keys[] = {"pool_size", "strides", "padding", "data_format", NULL};

const struct layer_kind keras_window_kinds[] = {
    {"Conv1D", &layer_conv, read_conv, conv_keys},
    {"Convolution1D", &layer_conv, read_conv, conv_keys},
    {"DepthwiseConv1D", &layer_conv, read_conv, conv_keys},
    {"SeparableConv1D", &layer_conv, read_conv, conv_keys},
    {"Conv2D", &layer_conv, read_conv, conv_keys},
    {"DepthwiseConv2D", &layer_conv, read_conv, conv_keys},
    {"SeparableConv2D", &layer_conv, read_conv, conv_keys},
    {"ConvLSTM1D", &layer_conv_lstm, read_conv_lstm, conv_lstm_keys},
    {"ConvLSTM2D", &layer_conv_lstm, read_conv_lstm, conv_lstm_keys},
    {"MaxPooling1D", &layer_pool, read_pool, pool_keys},
    {"AveragePooling1D", &layer_pool, read_pool, pool_keys},
    {"MaxPooling2D", &layer_pool, read_pool, pool_keys},
    {"AveragePooling2D", &layer_pool, read_pool, pool_keys},
    {NULL, NULL, NULL, NULL},
};
