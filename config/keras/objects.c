/* Reads serialized activations and initializers of Keras 2 and Keras 3. */
#include "objects.h"

#include "config/json_type.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Read a number under either of two keys. If it is null, *out stays unchanged. */
static void number(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                   const char *other, double *out)
{
    const char *used = json_object_get(config, key) ? key : other;
    const json_t *value = used ? json_object_get(config, used) : NULL;
    char where[256];
    if (json_is_number(value)) {
        *out = json_number_value(value);
    } else if (value && !json_is_null(value)) {
        snprintf(where, sizeof where, "%s/config/%s", path, used);
        keras_error(reader, where, "expected a number, found %s", json_type_name(value));
    }
}

static void float_number(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                         const char *other, float *out)
{
    double wide = (double)*out;
    number(reader, config, path, key, other, &wide);
    *out = (float)wide;
}

/* The activation layers, and the names that their parameters have. */
static const struct {
    const char *class_name;
    struct activation activation;
} activation_layers[] = {
    {"ReLU", {.kind = ACT_RELU, .max_value = INFINITY}},
    {"LeakyReLU", {.kind = ACT_LEAKY_RELU, .alpha = 0.3f}},
    {"ELU", {.kind = ACT_ELU, .alpha = 1}},
    {"Softmax", {.kind = ACT_SOFTMAX}},
    {"ThresholdedReLU", {.kind = ACT_THRESHOLD, .threshold = 1}},
};

/* The keys that an activation of a kind may have. The list ends with NULL. */
static const char *const *parameter_names(enum activation_kind kind)
{
    static const char *const alpha[] = {"alpha", "negative_slope", NULL}, *const none[] = {NULL};
    static const char *const relu[] = {"negative_slope", "alpha", "max_value", "threshold", NULL};
    static const char *const gelu[] = {"approximate", NULL}, *const shrink[] = {"threshold", NULL};
    static const char *const threshold[] = {"theta", "threshold", "value", "default_value", NULL};
    static const char *const squareplus[] = {"b", NULL}, *const axis[] = {"axis", NULL};
    switch (kind) {
    case ACT_RELU:
        return relu;
    case ACT_LEAKY_RELU:
    case ACT_ELU:
    case ACT_CELU:
        return alpha;
    case ACT_GELU:
        return gelu;
    case ACT_THRESHOLD:
        return threshold;
    case ACT_SQUAREPLUS:
        return squareplus;
    case ACT_SOFT_SHRINK:
    case ACT_HARD_SHRINK:
        return shrink;
    case ACT_SOFTMAX:
    case ACT_LOG_SOFTMAX:
    case ACT_SPARSEMAX:
        return axis;
    default:
        return none;
    }
}

/* The config of an activation that is written as an object; path is that of the object. */
static void parameters(const struct keras_reader *reader, const json_t *config, const char *path,
                       struct activation *out)
{
    struct keras_path where = keras_path(path, "config");
    bool approximate = false;
    double axis = -1;
    keras_check_keys(reader, config, where.text, parameter_names(out->kind), NULL);
    switch (out->kind) {
    case ACT_RELU:
        float_number(reader, config, path, "negative_slope", "alpha", &out->alpha);
        float_number(reader, config, path, "max_value", NULL, &out->max_value);
        float_number(reader, config, path, "threshold", NULL, &out->threshold);
        break;
    case ACT_GELU:
        keras_bool(reader, config, where.text, "approximate", &approximate);
        out->kind = approximate ? ACT_GELU_TANH : ACT_GELU;
        break;
    case ACT_THRESHOLD:
        float_number(reader, config, path, "theta", "threshold", &out->threshold);
        float_number(reader, config, path, "value", "default_value", &out->value);
        break;
    case ACT_SQUAREPLUS:
        float_number(reader, config, path, "b", NULL, &out->alpha);
        break;
    case ACT_SOFT_SHRINK:
    case ACT_HARD_SHRINK:
        float_number(reader, config, path, "threshold", NULL, &out->alpha);
        break;
    case ACT_SOFTMAX:
    case ACT_LOG_SOFTMAX:
    case ACT_SPARSEMAX:
        number(reader, config, path, "axis", NULL, &axis);
        if (axis != -1)
            keras_expected(reader, where.text, "axis", "-1, the last axis", json_object_get(config, "axis"));
        break;
    default:
        float_number(reader, config, path, "alpha", "negative_slope", &out->alpha);
        break;
    }
}

static bool named_activation(const struct keras_reader *reader, const char *name, const char *path,
                             struct activation *out)
{
    const struct activation_name *row = activation_find(name);
    if (!row) {
        const char *names[64];
        size_t n = 0;
        for (const struct activation_name *each = activation_names; each->name && n < 63; each++)
            names[n++] = each->name;
        names[n] = NULL;
        char hint[100];
        keras_error(reader, path, "unknown activation \"%.60s\"%s", name, nearest_hint(name, names, hint, sizeof hint));
        return false;
    }
    *out = row->activation;
    if (out->kind == ACT_HARD_SIGMOID && reader->keras_major >= 3)
        out->kind = ACT_HARD_SIGMOID_V3;
    return true;
}

void keras_activation(const struct keras_reader *reader, const json_t *value, const char *path, struct activation *out)
{
    const char *class_name = keras_class_name(value);
    const json_t *config = json_object_get(value, "config");
    if (!value || json_is_null(value)) {
        *out = (struct activation){.kind = ACT_LINEAR};
    } else if (json_is_string(value)) {
        named_activation(reader, json_string_value(value), path, out);
    } else if (!class_name) {
        keras_error(reader, path, "expected the name of an activation, or an object with a class_name, found %s",
                    json_type_name(value));
    } else if (!strcmp(class_name, "function") && json_is_string(config)) {
        named_activation(reader, json_string_value(config), path, out);
    } else if (!strcmp(class_name, "Activation")) {
        static const char *const keys[] = {"activation", NULL};
        struct keras_path inner = keras_path(path, "config");
        keras_check_keys(reader, config, inner.text, keys, NULL);
        keras_activation(reader, json_object_get(config, "activation"), keras_path(inner.text, "activation").text, out);
    } else {
        for (size_t i = 0; i < sizeof activation_layers / sizeof *activation_layers; i++)
            if (!strcmp(activation_layers[i].class_name, class_name)) {
                *out = activation_layers[i].activation;
                parameters(reader, config, path, out);
                return;
            }
        if (named_activation(reader, class_name, path, out))
            parameters(reader, config, path, out);
    }
}

static void scaling_words(const struct keras_reader *reader, const json_t *config, const char *path,
                          struct initializer *out)
{
    const char *mode = json_string_value(json_object_get(config, "mode"));
    const char *distribution = json_string_value(json_object_get(config, "distribution"));
    static const char *const modes[] = {"fan_in", "fan_out", "fan_avg"};
    static const struct {
        const char *name;
        enum initializer_distribution value;
    } distributions[] = {{"uniform", DIST_UNIFORM},
                         {"untruncated_normal", DIST_NORMAL},
                         {"truncated_normal", DIST_TRUNCATED_NORMAL},
                         {"normal", DIST_TRUNCATED_NORMAL}};
    bool mode_known = !mode, distribution_known = !distribution;
    for (size_t i = 0; mode && i < 3; i++)
        if (!strcmp(mode, modes[i])) {
            out->mode = (enum initializer_mode)i;
            mode_known = true;
        }
    for (size_t i = 0; distribution && i < 4; i++)
        if (!strcmp(distribution, distributions[i].name)) {
            out->distribution = distributions[i].value;
            distribution_known = true;
        }
    if (!mode_known || !distribution_known)
        keras_error(reader, path,
                    "expected mode fan_in, fan_out or fan_avg and distribution uniform, normal, truncated_normal "
                    "or untruncated_normal");
}

void keras_initializer(const struct keras_reader *reader, const json_t *value, const char *path,
                       struct initializer *out)
{
    const char *name = json_is_string(value) ? json_string_value(value) : keras_class_name(value);
    const json_t *config = json_object_get(value, "config");
    const struct initializer_name *row = name ? initializer_find(name) : NULL;
    if (!row) {
        const char *names[64];
        size_t n = 0;
        for (const struct initializer_name *each = initializer_names; each->name && n < 62; each++) {
            names[n++] = each->name;
            names[n++] = each->class_name;
        }
        names[n] = NULL;
        char hint[100] = "";
        keras_error(reader, path, "unknown initializer %s%.60s%s", name ? "" : json_type_name(value), name ? name : "",
                    name ? nearest_hint(name, names, hint, sizeof hint) : hint);
        return;
    }
    *out = row->initializer;
    const json_t *seed = json_object_get(config, "seed");
    if (json_is_integer(seed)) {
        out->seeded = true;
        out->seed = (uint64_t)json_integer_value(seed);
    }
    switch (out->kind) {
    case INIT_RANDOM_UNIFORM:
        number(reader, config, path, "minval", NULL, &out->a);
        number(reader, config, path, "maxval", NULL, &out->b);
        break;
    case INIT_RANDOM_NORMAL:
    case INIT_TRUNCATED_NORMAL:
        number(reader, config, path, "mean", NULL, &out->a);
        number(reader, config, path, "stddev", NULL, &out->b);
        break;
    case INIT_CONSTANT:
        number(reader, config, path, "value", NULL, &out->value);
        break;
    case INIT_VARIANCE_SCALING:
        number(reader, config, path, "scale", NULL, &out->scale);
        scaling_words(reader, config, path, out);
        break;
    default:
        number(reader, config, path, "gain", NULL, &out->gain);
        break;
    }
}

void keras_initializer_key(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                           struct initializer *out)
{
    json_t *value = json_object_get(config, key);
    if (value && !json_is_null(value))
        keras_initializer(reader, value, keras_path(path, key).text, out);
}
