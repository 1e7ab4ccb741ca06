/* Reads arguments of PyTorch's modules, and adds the layers of Keras. */
#include "torch_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments ---- */

const char *torch_step_name(const json_t *module)
{
    const char *name = json_string_value(json_object_get(module, "name"));
    return name ? name : "";
}

/* A number of at least 0. Returns -1 with a problem added for any other value. */
double torch_step_number(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key)
{
    json_t *value = torch_argument_value(kind, module, key);
    double out = json_is_number(value) ? json_number_value(value) : -1;
    if (out < 0 || out > 1e9)
        keras_expected(&s->reader, s->path, key, "a number of 0 or more", value);
    json_decref(value);
    return out < 0 ? 0 : out;
}

size_t torch_step_size(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key)
{
    double out = torch_step_number(s, kind, module, key);
    if (out != (double)(size_t)out)
        keras_expected(&s->reader, s->path, key, "a whole number", json_object_get(module, key));
    return (size_t)out;
}

bool torch_step_is(const struct torch_kind *kind, const json_t *module, const char *key, const char *text)
{
    json_t *value = torch_argument_value(kind, module, key);
    bool same = json_is_string(value) && !strcmp(json_string_value(value), text);
    json_decref(value);
    return same;
}

/* Check an argument of which only the default is supported. */
void torch_step_must_be(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key,
                        const char *expected)
{
    json_t *value = torch_argument_value(kind, module, key), *wanted = torch_argument_value(kind, NULL, key);
    bool both =
        json_is_number(value) && json_is_number(wanted) && json_number_value(value) == json_number_value(wanted);
    if (!both && !json_equal(value, wanted))
        keras_expected(&s->reader, s->path, key, expected, value);
    json_decref(value);
    json_decref(wanted);
}

/* Check an argument that follows from the tensors, if it is given. */
void torch_step_agrees(struct torch_steps *s, const json_t *module, const char *key, size_t value)
{
    const json_t *own = json_object_get(module, key);
    char text[80];
    bool same = json_is_boolean(own) ? json_is_true(own) == (value != 0)
                                     : json_is_integer(own) && json_integer_value(own) == (json_int_t)value;
    if (json_is_array(own) && json_array_size(own) == 1)
        same = json_integer_value(json_array_get(own, 0)) == (json_int_t)value;
    snprintf(text, sizeof text, "%zu, as the tensors say", value);
    if (own && !json_is_null(own) && !same)
        keras_expected(&s->reader, s->path, key, text, own);
}

/* A required tensor with the given number of axes, none of them empty. */
const struct named_tensor *torch_step_tensor(struct torch_steps *s, const json_t *module, const char *name, size_t rank)
{
    const struct named_tensor *found = torch_weights_find(s->weights, torch_step_name(module), name);
    bool good = found && found->rank == rank && found->elements;
    if (!good)
        keras_error(
            &s->reader, s->path,
            "the weights file has no tensor %.100s%s%s of %zu axes; a module's \"name\" is what its tensors begin with",
            torch_step_name(module), *torch_step_name(module) ? "." : "", name, rank);
    return good ? found : NULL;
}

/* ---- layers ---- */

/* The index of the next layer in the names of tensors, which do not count the input. */
size_t torch_step_next(const struct torch_steps *s)
{
    return json_array_size(s->layers) - 1;
}

/* Add a layer, and take ownership of config. The names of layers come from modules, and are unique. */
json_t *torch_step_add(struct torch_steps *s, const char *class_name, const char *name, json_t *config)
{
    char own[64];
    snprintf(own, sizeof own, "%.40s_%zu", *name ? name : class_name, torch_step_next(s));
    json_t *layer = json_pack("{s:s, s:o}", "class_name", class_name, "config", config);
    if (!layer || json_object_set_new(config, "name", json_string(own)) || json_array_append_new(s->layers, layer))
        keras_error(&s->reader, s->path, "out of memory");
    s->recurrent = NULL;
    return config;
}

/* "layers.3.kernel" */
const char *torch_step_weights(const struct torch_steps *s, const char *name, char out[TORCH_STEP_NAME_BYTES])
{
    snprintf(out, TORCH_STEP_NAME_BYTES, "layers.%zu.%s", torch_step_next(s), name);
    return out;
}

/* The input width of a module must equal the width of the previous output. */
bool torch_step_takes(struct torch_steps *s, size_t width)
{
    if (width == s->width)
        return true;
    keras_error(&s->reader, s->path, "it takes %zu features, and %zu come to it%s", width, s->width,
                s->sequence && s->timesteps == width ? "; put \"permute\" before it" : "");
    return false;
}

/* Check the layout for modules that compute on the last axis, features. */
bool torch_step_features_last(struct torch_steps *s)
{
    if (s->channels_first)
        keras_error(&s->reader, s->path,
                    "what comes to it is [batch, channels, timesteps], so that it would compute over timesteps; put "
                    "\"permute\" "
                    "before it");
    return !s->channels_first;
}

bool torch_step_channels_first(struct torch_steps *s, const char *class_name)
{
    if (!s->channels_first)
        keras_error(&s->reader, s->path,
                    "%s takes [batch, channels, timesteps], and what comes to it is %s; put \"permute\" before it, as "
                    "x.permute(0, 2, 1) in forward()",
                    class_name, s->sequence ? "[batch, timesteps, features]" : "[batch, features]");
    return s->channels_first;
}
