/* Reads layers that move whole timesteps, or rows and columns. */
#include "core/layers/resize.h"

#include "layer_kind.h"

#include <string.h>

enum { MAX_STEPS = 1 << 20 };

static bool read_size(const json_t *value, json_int_t least, size_t *out)
{
    *out = (size_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= least && json_integer_value(value) <= MAX_STEPS;
}

/* n; [before, after] of one axis; [a, b] or [[before, after], …] of two. */
static bool read_sides(const json_t *value, struct resize *out)
{
    bool good = true;
    for (size_t i = 2 - out->rank; good && i < 2; i++) {
        const json_t *axis = out->rank == 2 && json_is_array(value) ? json_array_get(value, i) : value;
        good = !json_is_array(axis) || json_array_size(axis) == 2;
        good = good && read_size(json_is_array(axis) ? json_array_get(axis, 0) : axis, 0, &out->before[i]) &&
               read_size(json_is_array(axis) ? json_array_get(axis, 1) : axis, 0, &out->after[i]);
    }
    return good;
}

static void read_resize(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct resize *own = out->own;
    bool pads = out->class->run == layer_pad.run;
    const char *key = pads ? "padding" : "cropping";
    const json_t *value = json_object_get(config, key);
    own->rank = strstr(out->class_name, "2D") ? 2 : 1;
    keras_channels_last(reader, config, path);
    for (size_t i = 2 - own->rank; i < 2; i++)
        own->before[i] = own->after[i] = pads || own->rank == 1;
    if (value && !json_is_null(value) && !read_sides(value, own))
        keras_expected(reader, path, key, "a whole number, or one for each side of each axis", value);
}

static void read_up_sampling(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct resize *own = out->own;
    const json_t *value = json_object_get(config, "size"), *how = json_object_get(config, "interpolation");
    own->rank = strstr(out->class_name, "2D") ? 2 : 1;
    own->times[1] = 2;
    own->times[0] = own->rank == 2 ? 2 : 1;
    keras_channels_last(reader, config, path);
    for (size_t i = 2 - own->rank; value && i < 2; i++)
        if (!read_size(json_is_array(value) ? json_array_get(value, own->rank == 2 ? i : 0) : value, 1,
                       &own->times[i])) {
            keras_expected(reader, path, "size", "a whole number of at least 1, or one for each axis", value);
            return;
        }
    if (how && json_is_string(how) && strcmp(json_string_value(how), "nearest"))
        keras_expected(reader, path, "interpolation", "nearest", how);
}

/* dims count from 1 and have each axis once. */
static void read_permute(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct permute *own = out->own;
    const json_t *dims = json_object_get(config, "dims");
    size_t n = json_array_size(dims);
    bool seen[LAYER_MAX_AXES] = {false}, good = n >= 1 && n <= LAYER_MAX_AXES;
    own->n = n;
    for (size_t i = 0; good && i < n; i++) {
        size_t axis;
        good = read_size(json_array_get(dims, i), 1, &axis) && axis <= n && !seen[axis - 1];
        if (good) {
            seen[axis - 1] = true;
            own->order[i] = axis - 1;
        }
    }
    if (!good)
        keras_expected(reader, path, "dims", "each axis once, counted from 1", dims);
}

static const char *const padding_keys[] = {"padding", "data_format", NULL};
static const char *const cropping_keys[] = {"cropping", "data_format", NULL};
static const char *const up_sampling_keys[] = {"size", "interpolation", "data_format", NULL};
static const char *const permute_keys[] = {"dims", NULL};

const struct layer_kind keras_resize_kinds[] = {
    {"ZeroPadding1D", &layer_pad, read_resize, padding_keys},
    {"ZeroPadding2D", &layer_pad, read_resize, padding_keys},
    {"Cropping1D", &layer_crop, read_resize, cropping_keys},
    {"Cropping2D", &layer_crop, read_resize, cropping_keys},
    {"UpSampling1D", &layer_repeat_steps, read_up_sampling, up_sampling_keys},
    {"UpSampling2D", &layer_repeat_steps, read_up_sampling, up_sampling_keys},
    {"Permute", &layer_permute, read_permute, permute_keys},
    {NULL, NULL, NULL, NULL},
};
