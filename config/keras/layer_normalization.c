/* Reads layers that normalize, and other layers with axes. */
#include "core/layers/activation.h"
#include "core/layers/group_normalization.h"
#include "core/layers/normalization.h"
#include "core/layers/prelu.h"
#include "core/layers/scaling.h"
#include "core/layers/unit_normalization.h"

#include "layer_kind.h"
#include "objects.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 1 << 20 };

/* A whole number or a list of whole numbers, without the batch. If missing or null, *out stays unchanged. */
static void read_axes(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                      struct axes *out)
{
    const json_t *value = json_object_get(config, key);
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    bool good = n <= LAYER_MAX_AXES;
    if (!value || json_is_null(value))
        return;
    for (size_t i = 0; good && i < n; i++) {
        const json_t *axis = json_is_array(value) ? json_array_get(value, i) : value;
        json_int_t at = json_integer_value(axis);
        good = json_is_integer(axis) && at && at >= -LAYER_MAX_AXES && at <= LAYER_MAX_AXES;
        out->at[i] = (long)at;
    }
    out->n = good ? n : 0;
    if (!good)
        keras_expected(reader, path, key, "an axis from -5 to 5 except 0 (the batch), or a list of such axes", value);
}

static void read_normalization(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    static const char *const refused[] = {"rms_scaling", "renorm"};
    struct normalization *own = out->own;
    read_axes(reader, config, path, "axis", &own->axes);
    keras_number(reader, config, path, "epsilon", &own->epsilon);
    keras_bool(reader, config, path, "center", &own->center);
    keras_bool(reader, config, path, "scale", &own->scale);
    keras_initializer_key(reader, config, path, "gamma_initializer", &own->gamma_initializer);
    keras_initializer_key(reader, config, path, "beta_initializer", &own->beta_initializer);
    keras_initializer_key(reader, config, path, "moving_mean_initializer", &own->mean_initializer);
    keras_initializer_key(reader, config, path, "moving_variance_initializer", &own->variance_initializer);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bool on = false;
        keras_bool(reader, config, path, refused[i], &on);
        if (on)
            keras_expected(reader, path, refused[i], "false", json_object_get(config, refused[i]));
    }
}

/* groups -1 means one group for each channel. */
static void read_group_normalization(struct keras_reader *reader, const json_t *config, const char *path,
                                     struct layer *out)
{
    struct group_normalization *own = out->own;
    const json_t *groups = json_object_get(config, "groups");
    json_int_t n = json_integer_value(groups);
    read_normalization(reader, config, path, out);
    if (own->common.axes.n != 1)
        keras_expected(reader, path, "axis", "one axis", json_object_get(config, "axis"));
    if (groups && (!json_is_integer(groups) || (n != -1 && (n < 1 || n > MAX_CHANNELS))))
        keras_expected(reader, path, "groups", "a whole number of at least 1, or -1", groups);
    else if (groups)
        own->groups = n < 0 ? 0 : (size_t)n;
}

static void read_rms_normalization(struct keras_reader *reader, const json_t *config, const char *path,
                                   struct layer *out)
{
    struct normalization *own = out->own;
    read_axes(reader, config, path, "axis", &own->axes);
    keras_number(reader, config, path, "epsilon", &own->epsilon);
}

/* Keras counts shared_axes from 1. Negative axes select an unexpected axis in Keras, so they are errors. */
static void read_prelu(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct prelu *own = out->own;
    read_axes(reader, config, path, "shared_axes", &own->shared);
    for (size_t i = 0; i < own->shared.n; i++)
        if (own->shared.at[i] < 0) {
            keras_expected(reader, path, "shared_axes", "axes of at least 1", json_object_get(config, "shared_axes"));
            return;
        }
    keras_initializer_key(reader, config, path, "alpha_initializer", &own->initializer);
}

static void read_softmax(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct softmax *own = out->own;
    read_axes(reader, config, path, "axis", &own->axes);
    own->masked_are_zero = reader->keras_major > 2;
}

static void read_unit_normalization(struct keras_reader *reader, const json_t *config, const char *path,
                                    struct layer *out)
{
    read_axes(reader, config, path, "axis", out->own);
}

/* Copy the numbers of nested lists into a row; if out is NULL, count them. Returns false for other values. */
static bool flatten(const json_t *value, size_t depth, double *out, size_t *n)
{
    if (json_is_number(value)) {
        if (out)
            out[*n] = json_number_value(value);
        (*n)++;
        return true;
    }
    bool good = json_is_array(value) && depth < LAYER_MAX_AXES;
    for (size_t i = 0; good && i < json_array_size(value); i++)
        good = flatten(json_array_get(value, i), depth + 1, out, n);
    return good;
}

/* A number or nested lists of numbers, also as the array or tensor that Keras 3 writes. null counts as missing. */
static void read_numbers(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                         struct scaling_numbers *out)
{
    const json_t *value = json_object_get(config, key);
    const char *class_name = keras_class_name(value);
    size_t n = 0;
    if (class_name && (!strcmp(class_name, "__numpy__") || !strcmp(class_name, "__tensor__")))
        value = json_object_get(json_object_get(value, "config"), "value");
    if (!value || json_is_null(value))
        return;
    if (!flatten(value, 0, NULL, &n) || !n) {
        keras_expected(reader, path, key, "a number, or a list of numbers", value);
        return;
    }
    out->at = calloc(n, sizeof *out->at);
    if (!out->at) {
        keras_error(reader, path, "out of memory");
        return;
    }
    flatten(value, 0, out->at, &out->n);
}

/* Keras 2 stops masks here. axis null: one mean for all numbers. */
static void read_scaling(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct scaling *own = out->own;
    if (reader->keras_major < 3)
        out->masks = MASKS_STOP;
    if (json_is_null(json_object_get(config, "axis")))
        own->axes.n = 0;
    read_axes(reader, config, path, "axis", &own->axes);
    keras_bool(reader, config, path, "invert", &own->invert);
    read_numbers(reader, config, path, "mean", &own->mean);
    read_numbers(reader, config, path, "variance", &own->variance);
    if (!own->mean.n != !own->variance.n)
        keras_error(reader, path, "expected mean and variance, or neither");
}

/* Keras 2 stops masks here. */
static void read_rescaling(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct scaling *own = out->own;
    if (reader->keras_major < 3)
        out->masks = MASKS_STOP;
    read_numbers(reader, config, path, "scale", &own->variance);
    read_numbers(reader, config, path, "offset", &own->mean);
    if (!own->variance.n)
        keras_expected(reader, path, "scale", "a number, or a list of numbers", json_object_get(config, "scale"));
    if (!own->mean.n && !(own->mean.at = calloc(1, sizeof *own->mean.at)))
        keras_error(reader, path, "out of memory");
    else if (!own->mean.n)
        own->mean.n = 1; /* 0 */
    if (own->variance.n == 1 && own->mean.n == 1)
        own->axes.n = 0;
}

static const char *const layer_norm_keys[] = {"axis",
                                              "epsilon",
                                              "center",
                                              "scale",
                                              "rms_scaling",
                                              "beta_initializer",
                                              "gamma_initializer",
                                              "beta_regularizer",
                                              "gamma_regularizer",
                                              "beta_constraint",
                                              "gamma_constraint",
                                              NULL};
static const char *const batch_norm_keys[] = {"axis",
                                              "momentum",
                                              "epsilon",
                                              "center",
                                              "scale",
                                              "beta_initializer",
                                              "gamma_initializer",
                                              "moving_mean_initializer",
                                              "moving_variance_initializer",
                                              "beta_regularizer",
                                              "gamma_regularizer",
                                              "beta_constraint",
                                              "gamma_constraint",
                                              "renorm",
                                              "renorm_clipping",
                                              "renorm_momentum",
                                              "fused",
                                              "virtual_batch_size",
                                              "synchronized",
                                              NULL};
static const char *const group_norm_keys[] = {"groups",
                                              "axis",
                                              "epsilon",
                                              "center",
                                              "scale",
                                              "beta_initializer",
                                              "gamma_initializer",
                                              "beta_regularizer",
                                              "gamma_regularizer",
                                              "beta_constraint",
                                              "gamma_constraint",
                                              NULL};
static const char *const rms_norm_keys[] = {"axis", "epsilon", NULL};
static const char *const prelu_keys[] = {"alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes",
                                         NULL};
static const char *const scaling_keys[] = {"axis", "mean", "variance", "invert", NULL};
static const char *const rescaling_keys[] = {"scale", "offset", NULL};
static const char *const softmax_keys[] = {"axis", NULL};
static const char *const unit_norm_keys[] = {"axis", NULL};

const struct layer_kind keras_normalization_kinds[] = {
    {"BatchNormalization", &layer_batch_norm, read_normalization, batch_norm_keys},
    {"LayerNormalization", &layer_layer_norm, read_normalization, layer_norm_keys},
    {"GroupNormalization", &layer_group_norm, read_group_normalization, group_norm_keys},
    {"RMSNormalization", &layer_rms_norm, read_rms_normalization, rms_norm_keys},
    {"PReLU", &layer_prelu, read_prelu, prelu_keys},
    {"Normalization", &layer_scale, read_scaling, scaling_keys},
    {"Rescaling", &layer_rescale, read_rescaling, rescaling_keys},
    {"Softmax", &layer_softmax, read_softmax, softmax_keys},
    {"UnitNormalization", &layer_unit_normalization, read_unit_normalization, unit_norm_keys},
    {NULL, NULL, NULL, NULL},
};
