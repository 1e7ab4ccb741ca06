/* Layers that normalize, and others that work along axes of their own. */
#include "core/layers/activation.h"
#include "core/layers/normalization.h"
#include "core/layers/unit_normalization.h"

#include "layer_kind.h"
#include "objects.h"

/* A whole number, or a list of such, but not the batch; absent or null: *out stays. */
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
        keras_expected(reader, path, key, "an axis from -5 to 5 but 0, the batch, or a list of such", value);
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

static void read_softmax(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct softmax *own = out->own;
    read_axes(reader, config, path, "axis", &own->axes);
}

static void read_unit_normalization(struct keras_reader *reader, const json_t *config, const char *path,
                                    struct layer *out)
{
    read_axes(reader, config, path, "axis", out->own);
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
static const char *const softmax_keys[] = {"axis", NULL};
static const char *const unit_norm_keys[] = {"axis", NULL};

const struct layer_kind keras_normalization_kinds[] = {
    {"BatchNormalization", &layer_batch_norm, read_normalization, batch_norm_keys},
    {"LayerNormalization", &layer_layer_norm, read_normalization, layer_norm_keys},
    {"Softmax", &layer_softmax, read_softmax, softmax_keys},
    {"UnitNormalization", &layer_unit_normalization, read_unit_normalization, unit_norm_keys},
    {NULL, NULL, NULL, NULL},
};
