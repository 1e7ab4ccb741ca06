/* Attention layers. */
#include "core/layers/attention.h"

#include "layer_kind.h"
#include "objects.h"

#include <string.h>

enum { MAX_SIZE = 1 << 20 };

static void read_attention(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct attention *own = out->own;
    const json_t *mode = json_object_get(config, "score_mode");
    bool additive = !strcmp(out->class_name, "AdditiveAttention");
    own->score = additive ? SCORE_ADDITIVE : SCORE_DOT;
    own->use_scale = additive;
    keras_bool(reader, config, path, "use_scale", &own->use_scale);
    keras_bool(reader, config, path, "causal", &own->causal);
    if (!mode || json_is_null(mode))
        return;
    const char *name = json_is_string(mode) ? json_string_value(mode) : "";
    if (!strcmp(name, "concat"))
        own->score = SCORE_CONCAT;
    else if (strcmp(name, "dot"))
        keras_expected(reader, path, "score_mode", "dot or concat", mode);
}

/* The features have one axis; output_shape may be a list with one size. */
static void read_output_shape(const struct keras_reader *reader, const json_t *config, const char *path, size_t *out)
{
    const json_t *value = json_object_get(config, "output_shape"), *size = value;
    if (json_is_array(value) && json_array_size(value) == 1)
        size = json_array_get(value, 0);
    if (!value || json_is_null(value))
        return;
    if (json_is_integer(size) && json_integer_value(size) >= 1 && json_integer_value(size) <= MAX_SIZE)
        *out = (size_t)json_integer_value(size);
    else
        keras_expected(reader, path, "output_shape", "one size", value);
}

/* Axes between the batch (0) and the features; null or [] means all of them. */
static void read_attention_axes(const struct keras_reader *reader, const json_t *config, const char *path,
                                struct axes *out)
{
    const json_t *value = json_object_get(config, "attention_axes");
    size_t n = json_is_integer(value) ? 1 : json_array_size(value);
    long before = 0;
    bool good = !value || json_is_null(value) || json_is_integer(value) || json_is_array(value);
    for (size_t i = 0; good && i < n; i++) {
        const json_t *axis = json_is_integer(value) ? value : json_array_get(value, i);
        good = i < LAYER_MAX_AXES && json_is_integer(axis) && json_integer_value(axis) > before &&
               json_integer_value(axis) < LAYER_MAX_AXES;
        if (good)
            before = out->at[out->n++] = (long)json_integer_value(axis);
    }
    if (!good)
        keras_expected(reader, path, "attention_axes", "axes of at least 1, in ascending order", value);
}

static void read_multi_head_attention(struct keras_reader *reader, const json_t *config, const char *path,
                                      struct layer *out)
{
    struct multi_head_attention *own = out->own;
    const json_t *value_dim = json_object_get(config, "value_dim"), *window = json_object_get(config, "sliding_window");
    bool gate = false;
    keras_size(reader, config, path, "num_heads", MAX_SIZE, &own->heads);
    keras_size(reader, config, path, "key_dim", MAX_SIZE, &own->key_dim);
    own->value_dim = own->key_dim;
    if (value_dim && !json_is_null(value_dim))
        keras_size(reader, config, path, "value_dim", MAX_SIZE, &own->value_dim);
    read_output_shape(reader, config, path, &own->output_size);
    keras_bool(reader, config, path, "use_bias", &own->use_bias);
    keras_bool(reader, config, path, "use_gate", &gate);
    keras_initializer_key(reader, config, path, "kernel_initializer", &own->kernel_initializer);
    keras_initializer_key(reader, config, path, "bias_initializer", &own->bias_initializer);
    if (gate)
        keras_expected(reader, path, "use_gate", "false", json_object_get(config, "use_gate"));
    if (window && !json_is_null(window))
        keras_size(reader, config, path, "sliding_window", MAX_SIZE, &own->window);
    read_attention_axes(reader, config, path, &own->axes);
}

static const char *const attention_keys[] = {"use_scale", "score_mode", "causal", "dropout", "seed", NULL};
static const char *const multi_head_keys[] = {"num_heads",
                                              "key_dim",
                                              "value_dim",
                                              "dropout",
                                              "use_bias",
                                              "use_gate",
                                              "output_shape",
                                              "attention_axes",
                                              "sliding_window",
                                              "flash_attention",
                                              "kernel_initializer",
                                              "bias_initializer",
                                              "query_shape",
                                              "key_shape",
                                              "value_shape",
                                              "seed",
                                              NULL};

const struct layer_kind keras_attention_kinds[] = {
    {"Attention", &layer_attention, read_attention, attention_keys},
    {"AdditiveAttention", &layer_attention, read_attention, attention_keys},
    {"MultiHeadAttention", &layer_multi_head_attention, read_multi_head_attention, multi_head_keys},
    {NULL, NULL, NULL, NULL},
};
