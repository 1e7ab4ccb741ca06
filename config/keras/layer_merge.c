/* Layers that join several inputs. */
#include "core/layers/merge.h"

#include "layer_kind.h"

#include <string.h>

static void read_concatenate(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    const json_t *axis = json_object_get(config, "axis");
    struct concatenate *own = out->own;
    own->any = reader->keras_major >= 3;
    if (axis && !json_is_integer(axis))
        keras_expected(reader, path, "axis", "a whole number", axis);
    else if (axis)
        own->axis = (long)json_integer_value(axis);
}

static void read_merge(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    static const char *const names[] = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"};
    struct merge *own = out->own;
    (void)config, (void)path;
    own->any = reader->keras_major >= 3;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(out->class_name, names[i]))
            own->operation = (enum merge_operation)i;
}

static void read_dot(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    const json_t *axes = json_object_get(config, "axes");
    struct dot *own = out->own;
    for (size_t k = 0; k < 2; k++) {
        const json_t *axis = json_is_array(axes) ? json_array_get(axes, k) : axes;
        if (json_is_integer(axis))
            own->axes[k] = (long)json_integer_value(axis);
        else
            keras_expected(reader, path, "axes", "a whole number, or a list of two", axes);
    }
    keras_bool(reader, config, path, "normalize", &own->normalize);
}

static const char *const no_keys[] = {NULL};
static const char *const concatenate_keys[] = {"axis", NULL};
static const char *const dot_keys[] = {"axes", "normalize", NULL};

const struct layer_kind keras_merge_kinds[] = {
    {"Concatenate", &layer_concatenate, read_concatenate, concatenate_keys},
    {"Add", &layer_merge, read_merge, no_keys},
    {"Subtract", &layer_merge, read_merge, no_keys},
    {"Multiply", &layer_merge, read_merge, no_keys},
    {"Average", &layer_merge, read_merge, no_keys},
    {"Maximum", &layer_merge, read_merge, no_keys},
    {"Minimum", &layer_merge, read_merge, no_keys},
    {"Dot", &layer_dot, read_dot, dot_keys},
    {NULL, NULL, NULL, NULL},
};
