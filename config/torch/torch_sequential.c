/* Converts modules and joints, one after the other, to layers of a Keras configuration and their tensors. */
#include "torch_sequential.h"

#include "torch_kinds.h"
#include "torch_steps.h"
#include "torch_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 1 << 24 };

bool torch_sequential_is(const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "class_name"));
    return name && !strcmp(name, "torch.nn.Sequential");
}

/* ---- the input ---- */

/* Whether a module or a joint needs timesteps. */
static bool has_steps(const json_t *step)
{
    const char *class_name = json_string_value(json_object_get(step, "class_name"));
    const struct torch_kind *kind = class_name ? torch_kind_of_class(class_name) : NULL;
    return json_is_string(step) ||
           (kind && (kind->role == TORCH_RECURRENT || kind->role == TORCH_CELL || kind->role == TORCH_CONV ||
                     kind->role == TORCH_POOL || kind->role == TORCH_EMBEDDING));
}

/* The number of input features of the first module with weights. */
static size_t first_width(const struct torch_steps *s, const json_t *modules)
{
    static const struct {
        const char *tensor;
        size_t axis;
    } first[] = {{"weight_ih_l0", 1}, {"weight_ih", 1}, {"weight", 1}, {"running_mean", 0}, {"weight", 0}};
    size_t i;
    json_t *step;
    json_array_foreach(modules, i, step) {
        const char *name = json_string_value(json_object_get(step, "name"));
        for (size_t k = 0; name && k < sizeof first / sizeof *first; k++) {
            const struct named_tensor *found = torch_weights_find(s->weights, name, first[k].tensor);
            const json_t *groups = json_object_get(step, "groups"); /* a weight of Conv1d has the channels of one
                                                                       group */
            size_t times =
                json_is_integer(groups) && json_integer_value(groups) > 0 ? (size_t)json_integer_value(groups) : 1;
            if (found && found->rank > first[k].axis && found->shape[first[k].axis] < MAX_WIDTH / times)
                return found->shape[first[k].axis] * times;
        }
    }
    return 0;
}

/* The number of timesteps for a Flatten: from the size of the next Linear, or from the configuration. */
static void find_timesteps(struct torch_steps *s, const json_t *json, const json_t *modules)
{
    const json_t *own = json_object_get(json, "timesteps");
    bool flat = false, resized = false;
    size_t i, width = s->width, last_width = 0;
    json_t *step;
    if (own)
        keras_size(&s->reader, json, "", "timesteps", 1 << 20, &s->timesteps);
    if (own)
        return;
    json_array_foreach(modules, i, step) {
        const char *class_name = json_string_value(json_object_get(step, "class_name"));
        const char *name = json_string_value(json_object_get(step, "name"));
        const struct torch_kind *kind = class_name ? torch_kind_of_class(class_name) : NULL;
        if (!kind)
            continue;
        if (kind->role == TORCH_FLATTEN)
            flat = true;
        resized |= !flat && (kind->role == TORCH_CONV || kind->role == TORCH_POOL);
        const struct named_tensor *weight = name ? torch_weights_find(s->weights, name, "weight") : NULL;
        if (flat && kind->role == TORCH_LINEAR && weight && weight->rank == 2) {
            if (!resized && width && weight->shape[1] % width == 0)
                s->timesteps = weight->shape[1] / width;
            return;
        }
        last_width = torch_steps_width_after(s, kind, step);
        width = last_width ? last_width : width;
    }
}

static void add_input(struct torch_steps *s, const json_t *modules)
{
    json_t *shape = json_pack("[n]"), *first = json_array_get(modules, 0);
    const char *class_name = json_string_value(json_object_get(first, "class_name"));
    const struct torch_kind *kind = class_name ? torch_kind_of_class(class_name) : NULL;
    bool ids = kind && kind->role == TORCH_EMBEDDING;
    if (s->sequence)
        json_array_append_new(shape, s->timesteps ? json_integer((json_int_t)s->timesteps) : json_null());
    if (!ids)
        json_array_append_new(shape, json_integer((json_int_t)s->width));
    json_t *layer = json_pack("{s:s, s:{s:s, s:o, s:s}}", "class_name", "InputLayer", "config", "name", "inputs",
                              "batch_input_shape", shape, "dtype", ids ? "int32" : "float32");
    if (json_array_append_new(s->layers, layer))
        keras_error(&s->reader, "/modules", "out of memory");
}

/* ---- the list ---- */

static void read_step(struct torch_steps *s, const json_t *step, size_t i)
{
    const char *class_name = json_string_value(json_object_get(step, "class_name"));
    const struct torch_kind *kind = class_name ? torch_kind_of_class(class_name) : NULL;
    snprintf(s->path, sizeof s->path, "/modules/%zu", i);
    s->reader.class_name = class_name;
    s->reader.name = json_string_value(json_object_get(step, "name"));
    if (json_is_string(step))
        torch_steps_join(s, json_string_value(step));
    else if (kind)
        torch_steps_module(s, kind, step);
    else
        keras_expected(
            &s->reader, s->path, class_name ? "class_name" : NULL,
            "a joint (last_timestep, last_hidden, mean_timesteps, max_timesteps, permute) or one of "
            "torch.nn.LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell, Embedding, Linear, ReLU, Tanh, Sigmoid, Softmax, "
            "LogSoftmax, GELU, LeakyReLU, ELU, Dropout, Identity, BatchNorm1d, LayerNorm, Conv1d, MaxPool1d, "
            "AvgPool1d, Flatten",
            class_name ? json_object_get(step, "class_name") : step);
}

static bool read_steps(struct torch_steps *s, const json_t *json)
{
    const json_t *modules = json_object_get(json, "modules"), *unchecked = json_object_get(json, "unchecked");
    static const char *const keys[] = {"class_name", "modules", "timesteps", "unchecked", NULL};
    size_t i;
    json_t *step;
    keras_check_keys(&s->reader, json, "", keys, NULL);
    if (json_array_size(unchecked))
        keras_error(
            &s->reader, "/unchecked",
            "this is a draft of \"cellserve describe\"; complete the modules by what forward() does, check each "
            "sentence here, and take this key out");
    if (!json_is_array(modules) || !json_array_size(modules)) {
        keras_expected(&s->reader, "/modules", NULL, "a list of modules and joints", modules);
        return false;
    }
    s->width = first_width(s, modules);
    json_array_foreach(modules, i, step)
        s->sequence |= has_steps(step);
    if (!s->width)
        keras_error(&s->reader, "/modules",
                    "no module's tensors are in the weights file: a module's \"name\" is what "
                    "its tensors begin with (\"lstm\" of lstm.weight_ih_l0)");
    if (*s->reader.failed)
        return false;
    find_timesteps(s, json, modules);
    add_input(s, modules);
    json_array_foreach(modules, i, step)
        if (!*s->reader.failed)
            read_step(s, step, i);
    s->reader.class_name = s->reader.name = NULL;
    if (!*s->reader.failed && s->channels_first)
        keras_error(&s->reader, "/modules",
                    "the last output would be [batch, channels, timesteps]; put \"permute\" "
                    "behind it for [batch, timesteps, channels]");
    return !*s->reader.failed;
}

/* ---- the whole ---- */

/* Read the Keras configuration. Its problems name layers, which have the names of the modules. */
static bool read_layers(struct torch_steps *s, const char *file, struct problems *problems, struct keras_model *out)
{
    json_t *json = json_pack("{s:s, s:s, s:{s:s, s:O}}", "class_name", "Sequential", "keras_version", "2.15.0",
                             "config", "name", "sequential", "layers", s->layers);
    bool good = json && keras_model_read(json, file, "", "2.15.0", problems, out);
    if (!json)
        keras_error(&s->reader, "", "out of memory");
    json_decref(json);
    if (good)
        snprintf(out->class_name, sizeof out->class_name, "torch.nn.Sequential");
    return good;
}

bool torch_sequential_read(const json_t *json, const char *file, const struct tensor_set *from,
                           const char *weights_file, struct problems *problems, struct keras_model *out,
                           struct tensor_set *tensors)
{
    bool failed = false;
    struct torch_weights weights = {
        .from = from, .to = tensors, .file = weights_file, .problems = problems, .failed = &failed};
    struct torch_steps s = {.reader = {.file = file, .keras_major = 2, .problems = problems, .failed = &failed},
                            .weights = &weights,
                            .layers = json_array()};
    *out = (struct keras_model){.is_chain = false};
    *tensors = (struct tensor_set){.n = 0};
    bool good = torch_weights_open(&weights) && read_steps(&s, json) && read_layers(&s, file, problems, out);
    json_decref(s.layers);
    for (size_t i = 0; good && i < from->n; i++)
        if (!from->tensors[i].used && tensor_is_float(&from->tensors[i]))
            problem_warning(problems, (struct place){weights_file, NULL}, "tensor \"%.200s\" is not served",
                            from->tensors[i].name);
    if (!good)
        tensor_set_close(tensors);
    return good;
}
