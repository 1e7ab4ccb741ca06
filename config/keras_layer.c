/* Keras's layer configuration: RNN over cells and stacks, with Keras 2.9's defaults for what is left out. */
#include "keras_layer.h"

#include "keras_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_UNITS = 1 << 20, MAX_FEATURES = 1 << 24, PATH_SIZE = 224 };

/* The walk through one configuration. */
struct walk {
    struct keras_reader reader;
    size_t n_cells;
};

/* Keys of Keras's own that mean nothing here, in cells and in layers. */
static const char *const ignored_keys[] = {
    "name",
    "trainable",
    "dtype",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
    "implementation",
    "seed",
    "ragged",
    "input_dim",
    "input_length",
    "input_shape",
    "batch_size",
    "use_cudnn",
    NULL,
};
static const char *const cell_keys[] = {
    "units",       "activation",         "recurrent_activation",  "use_bias",         "unit_forget_bias",
    "reset_after", "kernel_initializer", "recurrent_initializer", "bias_initializer", NULL,
};
static const char *const stack_keys[] = {"cells", "reverse_state_order", NULL};
static const char *const layer_keys[] = {
    "return_sequences", "return_state", "go_backwards",         "stateful",
    "unroll",           "time_major",   "zero_output_for_mask", "cell",
    "num_constants",    "constants",    "batch_input_shape",    "build_input_shape",
    "batch_shape",      NULL,
};

static bool in_list(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(*list, word))
            return true;
    return false;
}

/* Keys that are in none of the lists are only warned about: newer Keras versions add some. */
static void warn_unknown(struct walk *walk, const json_t *config, const char *path, const char *const *first,
                         const char *const *second)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value) {
        if (in_list(key, ignored_keys) || in_list(key, first) || in_list(key, second))
            continue;
        char where[PATH_SIZE + 80], hint[100];
        snprintf(where, sizeof where, "%s/%.64s", path, key);
        problem_warning(walk->reader.problems, (struct place){walk->reader.file, where}, "unknown key ignored%s",
                        nearest_hint(key, first, hint, sizeof hint));
    }
}

static void error_at(struct walk *walk, const char *path, const char *key, const char *expected, const json_t *found)
{
    char where[PATH_SIZE + 80];
    snprintf(where, sizeof where, "%s%s%s", path, key ? "/" : "", key ? key : "");
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    problem_error(walk->reader.problems, (struct place){walk->reader.file, where}, "expected %s, found %.80s", expected,
                  text ? text : "nothing");
    free(text);
}

static void read_bool(struct walk *walk, const json_t *config, const char *path, const char *key, bool *out)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (value && !json_is_null(value))
        error_at(walk, path, key, "true or false", value);
}

static void read_activation(struct walk *walk, const json_t *config, const char *path, const char *key,
                            struct activation *out)
{
    char where[PATH_SIZE + 80];
    snprintf(where, sizeof where, "%s/%s", path, key);
    json_t *value = json_object_get(config, key);
    if (value)
        keras_activation(&walk->reader, value, where, out);
}

static void read_initializer(struct walk *walk, const json_t *config, const char *path, const char *key,
                             struct initializer *out)
{
    char where[PATH_SIZE + 80];
    snprintf(where, sizeof where, "%s/%s", path, key);
    json_t *value = json_object_get(config, key);
    if (value && !json_is_null(value))
        keras_initializer(&walk->reader, value, where, out);
}

static void read_name(const json_t *config, char *out, size_t size)
{
    const char *name = json_string_value(json_object_get(config, "name"));
    snprintf(out, size, "%s", name ? name : "");
}

/* Anything but float32 is served in float32: more exact than Keras itself would be. */
static void read_dtype(struct walk *walk, const json_t *config, const char *path)
{
    const json_t *dtype = json_object_get(config, "dtype");
    const char *name = json_string_value(dtype);
    if (!name)
        name = json_string_value(json_object_get(json_object_get(dtype, "config"), "name"));
    if (name && strcmp(name, "float32")) {
        char where[PATH_SIZE + 80];
        snprintf(where, sizeof where, "%s/dtype", path);
        problem_warning(walk->reader.problems, (struct place){walk->reader.file, where},
                        "\"%.40s\" is computed in float32", name);
    }
}

static struct rnn_cell_spec *out_of_memory(struct walk *walk, const char *path)
{
    problem_error(walk->reader.problems, (struct place){walk->reader.file, path}, "out of memory");
    return NULL;
}

/* The arguments of a leaf cell; a layer (LSTM, …) has them among its own. */
static struct rnn_cell_spec *read_leaf(struct walk *walk, const struct cell_class *class, const json_t *config,
                                       const char *path)
{
    struct rnn_cell_spec *spec = rnn_cell_spec_new(class);
    if (!spec)
        return out_of_memory(walk, path);
    const char *name = json_string_value(json_object_get(config, "name"));
    spec->name = name ? strndup(name, 63) : NULL;
    const json_t *units = json_object_get(config, "units");
    if (json_is_integer(units) && json_integer_value(units) >= 1 && json_integer_value(units) <= MAX_UNITS)
        spec->units = (size_t)json_integer_value(units);
    else
        error_at(walk, path, "units", "a whole number from 1 to 1048576", units);
    read_activation(walk, config, path, "activation", &spec->activation);
    if (class->has_recurrent_activation)
        read_activation(walk, config, path, "recurrent_activation", &spec->recurrent_activation);
    read_bool(walk, config, path, "use_bias", &spec->use_bias);
    if (class->has_unit_forget_bias)
        read_bool(walk, config, path, "unit_forget_bias", &spec->unit_forget_bias);
    if (class->has_reset_after)
        read_bool(walk, config, path, "reset_after", &spec->reset_after);
    read_initializer(walk, config, path, "kernel_initializer", &spec->kernel_initializer);
    read_initializer(walk, config, path, "recurrent_initializer", &spec->recurrent_initializer);
    read_initializer(walk, config, path, "bias_initializer", &spec->bias_initializer);
    read_dtype(walk, config, path);
    if (++walk->n_cells == STACK_MAX_CELLS + 1)
        error_at(walk, path, NULL, "at most 256 cells in all", NULL);
    return spec;
}

static struct rnn_cell_spec *read_cell(struct walk *walk, const json_t *json, const char *path, size_t depth);

/* StackedRNNCells; cells is its list. */
static struct rnn_cell_spec *read_cells(struct walk *walk, const json_t *cells, const char *path, size_t depth)
{
    if (!json_is_array(cells) || !json_array_size(cells)) {
        error_at(walk, path, NULL, "a list of at least one cell", cells);
        return NULL;
    }
    if (depth >= STACK_MAX_DEPTH || json_array_size(cells) > STACK_MAX_CELLS) {
        error_at(walk, path, NULL, "at most 256 cells, nested at most 16 deep", NULL);
        return NULL;
    }
    struct rnn_cell_spec *stack = rnn_cell_spec_new(NULL);
    if (!stack || !(stack->cells = calloc(json_array_size(cells), sizeof *stack->cells))) {
        rnn_cell_spec_free(stack);
        return out_of_memory(walk, path);
    }
    for (size_t i = 0; i < json_array_size(cells); i++) {
        char where[PATH_SIZE];
        snprintf(where, sizeof where, "%.180s/%zu", path, i);
        struct rnn_cell_spec *cell = read_cell(walk, json_array_get(cells, i), where, depth + 1);
        if (cell)
            stack->cells[stack->n_cells++] = cell;
    }
    return stack;
}

static void known_classes(char *out, size_t size)
{
    const struct cell_class *class;
    size_t n = 0;
    for (size_t i = 0; (class = cell_class_at(i)) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, ", %s", class->keras_name);
}

static struct rnn_cell_spec *read_cell(struct walk *walk, const json_t *json, const char *path, size_t depth)
{
    const char *class_name = keras_class_name(json);
    const json_t *config = json_object_get(json, "config");
    char where[PATH_SIZE];
    snprintf(where, sizeof where, "%.200s/config", path);
    bool is_layer = false;
    const struct cell_class *class = class_name ? cell_class_find(class_name, &is_layer) : NULL;
    bool is_stack = class_name && !strcmp(class_name, "StackedRNNCells");
    if (!is_stack && (!class || is_layer)) {
        char expected[200] = "a cell with class_name StackedRNNCells";
        known_classes(expected + strlen(expected), sizeof expected - strlen(expected));
        error_at(walk, path, class_name ? "class_name" : NULL, expected,
                 class_name ? json_object_get(json, "class_name") : json);
        return NULL;
    }
    if (!json_is_object(config)) {
        error_at(walk, path, "config", "an object", config);
        return NULL;
    }
    warn_unknown(walk, config, where, is_stack ? stack_keys : cell_keys, ignored_keys);
    if (!is_stack)
        return read_leaf(walk, class, config, where);
    strncat(where, "/cells", sizeof where - strlen(where) - 1);
    struct rnn_cell_spec *stack = read_cells(walk, json_object_get(config, "cells"), where, depth);
    if (stack)
        read_bool(walk, config, path, "reverse_state_order", &stack->reverse_state_order);
    return stack;
}

/* The features of an input shape such as [null, null, 2]; other than a list is no statement. */
static void read_shape(struct walk *walk, const json_t *shape, const char *path, const char *key, size_t *input_size)
{
    if (json_is_array(json_object_get(shape, "items"))) /* a tuple of a SavedModel */
        shape = json_object_get(shape, "items");
    if (!json_is_array(shape) || !json_array_size(shape))
        return;
    const json_t *last = json_array_get(shape, json_array_size(shape) - 1);
    if (json_is_integer(last) && json_integer_value(last) >= 1 && json_integer_value(last) <= MAX_FEATURES)
        *input_size = (size_t)json_integer_value(last);
    else if (!json_is_null(last))
        error_at(walk, path, key, "a shape that ends with the number of features", shape);
}

static void read_input_size(struct walk *walk, const json_t *json, const char *path, size_t *input_size)
{
    static const char *const keys[] = {"build_input_shape", "batch_input_shape", "batch_shape"};
    const json_t *config = json_object_get(json, "config");
    for (size_t i = 0; i < 3; i++) {
        read_shape(walk, json_object_get(json, keys[i]), path, keys[i], input_size);
        read_shape(walk, json_object_get(config, keys[i]), path, keys[i], input_size);
    }
    const json_t *build = json_object_get(json, "build_config");
    read_shape(walk, json_object_get(build, "input_shape"), path, "build_config", input_size);
}

/* Whether anything in the configuration is of Keras 3 alone: batch_shape, or a DTypePolicy object. */
static bool has_keras3_marks(const json_t *json, int depth)
{
    const char *key;
    json_t *value;
    size_t i;
    if (depth > 64)
        return false;
    if (json_is_array(json))
        json_array_foreach((json_t *)json, i, value)
            if (has_keras3_marks(value, depth + 1))
                return true;
    if (!json_is_object(json))
        return false;
    const char *class_name = keras_class_name(json);
    if (json_object_get(json, "batch_shape") || (class_name && !strcmp(class_name, "DTypePolicy")))
        return true;
    json_object_foreach((json_t *)json, key, value)
        if (has_keras3_marks(value, depth + 1))
            return true;
    return false;
}

static int keras_major(const json_t *json)
{
    const char *version = json_string_value(json_object_get(json, "keras_version"));
    if (version)
        return *version >= '3' && *version <= '9' ? 3 : 2;
    return has_keras3_marks(json, 0) ? 3 : 2;
}

static void read_options(struct walk *walk, const json_t *config, const char *path, struct rnn_layer *options)
{
    read_bool(walk, config, path, "return_sequences", &options->return_sequences);
    read_bool(walk, config, path, "return_state", &options->return_state);
    read_bool(walk, config, path, "go_backwards", &options->go_backwards);
    read_bool(walk, config, path, "stateful", &options->stateful);
    read_bool(walk, config, path, "unroll", &options->unroll);
    read_bool(walk, config, path, "time_major", &options->time_major);
    read_bool(walk, config, path, "zero_output_for_mask", &options->zero_output_for_mask);
    const json_t *constants = json_object_get(config, "num_constants");
    if (constants && !json_is_null(constants) && json_integer_value(constants) != 0)
        error_at(walk, path, "num_constants", "no constants (none of the cells takes any)", constants);
}

/* RNN: its cell may be a cell, a stack, or a list of cells, which is a stack. */
static void read_rnn(struct walk *walk, const json_t *config, const char *path, struct keras_layer *out)
{
    char where[PATH_SIZE];
    snprintf(where, sizeof where, "%.200s/cell", path);
    const json_t *cell = json_object_get(config, "cell");
    out->cell = json_is_array(cell) ? read_cells(walk, cell, where, 0) : read_cell(walk, cell, where, 0);
    read_options(walk, config, path, &out->options);
    read_name(config, out->name, sizeof out->name);
    read_dtype(walk, config, path);
    warn_unknown(walk, config, path, layer_keys, ignored_keys);
}

bool keras_layer_read(const json_t *json, const char *file, const char *path, struct problems *problems,
                      struct keras_layer *out)
{
    struct walk walk = {.reader = {.file = file, .keras_major = keras_major(json), .problems = problems}};
    size_t before = problems->n_errors;
    const char *class_name = keras_class_name(json);
    const json_t *config = json_object_get(json, "config");
    char where[PATH_SIZE];
    snprintf(where, sizeof where, "%.200s/config", path);
    *out = (struct keras_layer){.keras_major = walk.reader.keras_major};
    bool is_layer = false;
    const struct cell_class *class = class_name ? cell_class_find(class_name, &is_layer) : NULL;
    if (class_name)
        snprintf(out->class_name, sizeof out->class_name, "%s", class_name);
    if (class_name && !strcmp(class_name, "RNN") && json_is_object(config)) {
        read_rnn(&walk, config, where, out);
    } else if (class && is_layer && json_is_object(config)) {
        out->cell = read_leaf(&walk, class, config, where);
        read_options(&walk, config, where, &out->options);
        read_name(config, out->name, sizeof out->name);
        warn_unknown(&walk, config, where, layer_keys, cell_keys);
    } else if (class || (class_name && !strcmp(class_name, "StackedRNNCells"))) {
        out->cell = read_cell(&walk, json, path, 0);
        read_name(config, out->name, sizeof out->name);
    } else {
        char expected[256] = "a layer or cell with class_name RNN, LSTM, GRU, SimpleRNN, StackedRNNCells";
        known_classes(expected + strlen(expected), sizeof expected - strlen(expected));
        error_at(&walk, path, class_name ? "class_name" : NULL, expected,
                 class_name ? json_object_get(json, "class_name") : json);
    }
    read_input_size(&walk, json, path, &out->input_size);
    if (!out->name[0])
        snprintf(out->name, sizeof out->name, "%s", "rnn");
    if (problems->n_errors == before && out->cell)
        return true;
    keras_layer_close(out);
    return false;
}

void keras_layer_close(struct keras_layer *layer)
{
    rnn_cell_spec_free(layer->cell);
    *layer = (struct keras_layer){0};
}
