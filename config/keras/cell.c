/* Reads cells, stacks of cells, and wrappers around a cell. Missing options have the defaults of Keras 2.9. */
#include "cell.h"

#include "objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_UNITS = 1 << 20 };

enum { MAX_CELL_KEYS = 16 };

static const char *const stack_keys[] = {"cells", "reverse_state_order", NULL};
static const char *const wrapper_keys[] = {
    "cell",        "input_keep_prob", "output_keep_prob", "state_keep_prob", "variational_recurrent", "input_size",
    "residual_fn", "device",          "function",         "function_type",   "function_module",       NULL,
};

/* Wrappers: tf.nn's names, and those of Keras's legacy cells. */
static const struct {
    const char *name;
    unsigned residuals;
    bool dropout;
} wrappers[] = {
    {"ResidualWrapper", 1, false},      {"RNNCellResidualWrapper", 1, false}, {"DropoutWrapper", 0, true},
    {"RNNCellDropoutWrapper", 0, true}, {"DeviceWrapper", 0, false},          {"RNNCellDeviceWrapper", 0, false},
};
enum { N_WRAPPERS = sizeof wrappers / sizeof *wrappers };

static size_t find_wrapper(const char *name)
{
    size_t i = 0;
    while (i < N_WRAPPERS && strcmp(wrappers[i].name, name))
        i++;
    return i;
}

bool keras_is_cell(const char *class_name)
{
    bool is_layer;
    return !strcmp(class_name, "StackedRNNCells") || find_wrapper(class_name) < N_WRAPPERS ||
           (cell_class_find(class_name, &is_layer) && !is_layer);
}

void keras_known_cells(char *out, size_t size)
{
    const struct cell_class *class;
    size_t n = 0;
    for (size_t i = 0; (class = cell_class_at(i)) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, ", %s", class->keras_name);
}

static void read_activation(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                            struct activation *out)
{
    json_t *value = json_object_get(config, key);
    if (value)
        keras_activation(reader, value, keras_path(path, key).text, out);
}

/* The options of a class of cells, except those that change nothing. The list ends with NULL. */
static void keys_of(const struct cell_class *class, const char *keys[MAX_CELL_KEYS])
{
    const struct {
        const char *name;
        bool has;
    } all[] = {
        {"units", true},
        {"activation", true},
        {"recurrent_activation", class->has_recurrent_activation},
        {"use_bias", true},
        {"unit_forget_bias", class->has_unit_forget_bias},
        {"reset_after", class->has_reset_after},
        {"kernel_initializer", true},
        {"recurrent_initializer", true},
        {"bias_initializer", true},
        {"norm_gamma_initializer", class == &cell_layer_norm_lstm},
        {"norm_beta_initializer", class == &cell_layer_norm_lstm},
        {"norm_epsilon", class == &cell_layer_norm_lstm},
    };
    size_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].has)
            keys[n++] = all[i].name;
    keys[n] = NULL;
}

struct rnn_cell_spec *keras_cell_of_layer(struct keras_reader *reader, const struct cell_class *class,
                                          const json_t *config, const char *path, const char *const *layer_keys)
{
    struct rnn_cell_spec *spec = rnn_cell_spec_new(class);
    const char *keys[MAX_CELL_KEYS];
    if (!spec) {
        keras_error(reader, path, "out of memory");
        return NULL;
    }
    keys_of(class, keys);
    keras_check_keys(reader, config, path, keys, layer_keys);
    char name[64];
    keras_name(config, name, sizeof name);
    spec->name = *name ? strdup(name) : NULL;
    keras_size(reader, config, path, "units", MAX_UNITS, &spec->units);
    read_activation(reader, config, path, "activation", &spec->activation);
    if (class->has_recurrent_activation)
        read_activation(reader, config, path, "recurrent_activation", &spec->recurrent_activation);
    keras_bool(reader, config, path, "use_bias", &spec->use_bias);
    if (class->has_unit_forget_bias)
        keras_bool(reader, config, path, "unit_forget_bias", &spec->unit_forget_bias);
    if (class->has_reset_after && reader->before_2_2)
        spec->reset_after = false;
    if (class->has_reset_after)
        keras_bool(reader, config, path, "reset_after", &spec->reset_after);
    keras_initializer_key(reader, config, path, "kernel_initializer", &spec->kernel_initializer);
    keras_initializer_key(reader, config, path, "recurrent_initializer", &spec->recurrent_initializer);
    keras_initializer_key(reader, config, path, "bias_initializer", &spec->bias_initializer);
    keras_initializer_key(reader, config, path, "norm_gamma_initializer", &spec->gamma_initializer);
    keras_initializer_key(reader, config, path, "norm_beta_initializer", &spec->beta_initializer);
    keras_number(reader, config, path, "norm_epsilon", &spec->epsilon);
    keras_dtype(reader, config, path);
    if (++reader->n_cells == STACK_MAX_CELLS + 1)
        keras_error(reader, path, "expected at most %d cells in all", STACK_MAX_CELLS);
    return spec;
}

static struct rnn_cell_spec *read_cell(struct keras_reader *reader, const json_t *json, const char *path, size_t depth);

/* StackedRNNCells; cells is its list. */
static struct rnn_cell_spec *read_cells(struct keras_reader *reader, const json_t *cells, const char *path,
                                        size_t depth)
{
    if (!json_is_array(cells) || !json_array_size(cells)) {
        keras_expected(reader, path, NULL, "a list of at least one cell", cells);
        return NULL;
    }
    if (depth >= STACK_MAX_DEPTH || json_array_size(cells) > STACK_MAX_CELLS) {
        keras_error(reader, path, "expected at most %d cells, nested at most %d deep", STACK_MAX_CELLS,
                    STACK_MAX_DEPTH);
        return NULL;
    }
    struct rnn_cell_spec *stack = rnn_cell_spec_new(NULL);
    if (!stack || !(stack->cells = calloc(json_array_size(cells), sizeof *stack->cells))) {
        rnn_cell_spec_free(stack);
        keras_error(reader, path, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(cells); i++) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        struct rnn_cell_spec *cell =
            read_cell(reader, json_array_get(cells, i), keras_path(path, index).text, depth + 1);
        if (cell)
            stack->cells[stack->n_cells++] = cell;
    }
    return stack;
}

/* A wrapper becomes its cell. Only a residual wrapper changes the cell. */
static struct rnn_cell_spec *read_wrapper(struct keras_reader *reader, size_t which, const json_t *config,
                                          const char *path, size_t depth)
{
    const json_t *residual_fn = json_object_get(config, "residual_fn");
    struct rnn_cell_spec *cell = NULL;
    keras_check_keys(reader, config, path, wrapper_keys, NULL);
    if ((residual_fn && !json_is_null(residual_fn)) || json_object_get(config, "function"))
        keras_error(reader, keras_path(path, "residual_fn").text,
                    "a Python function is not supported; without this key, the wrapper computes output + input");
    if (wrappers[which].dropout)
        keras_warning(reader, path, "a dropout wrapper does nothing here (Keras 2 applies dropout even at inference)");
    if (depth >= STACK_MAX_DEPTH)
        keras_error(reader, path, "expected cells nested at most %d deep", STACK_MAX_DEPTH);
    else
        cell = read_cell(reader, json_object_get(config, "cell"), keras_path(path, "cell").text, depth + 1);
    if (cell && !cell->class && wrappers[which].residuals)
        keras_error(reader, path,
                    "a residual wrapper is supported around a single cell, not around a StackedRNNCells; "
                    "wrap the cells one by one");
    if (cell) {
        char inner[sizeof cell->wrappers];
        memcpy(inner, cell->wrappers, sizeof inner);
        cell->residuals += wrappers[which].residuals;
        snprintf(cell->wrappers, sizeof cell->wrappers, "%.40s%s%.50s", wrappers[which].name, *inner ? "/" : "", inner);
    }
    return cell;
}

static struct rnn_cell_spec *read_cell(struct keras_reader *reader, const json_t *json, const char *path, size_t depth)
{
    const char *class_name = keras_class_name(json);
    const json_t *config = json_object_get(json, "config");
    struct keras_path where = keras_path(path, "config");
    if (!class_name || !keras_is_cell(class_name)) {
        char expected[300] = "a cell with class_name StackedRNNCells";
        keras_known_cells(expected + strlen(expected), sizeof expected - strlen(expected));
        keras_expected(reader, path, class_name ? "class_name" : NULL, expected,
                       class_name ? json_object_get(json, "class_name") : json);
        return NULL;
    }
    if (!json_is_object(config)) {
        keras_expected(reader, path, "config", "an object", config);
        return NULL;
    }
    size_t wrapper = find_wrapper(class_name);
    if (wrapper < N_WRAPPERS)
        return read_wrapper(reader, wrapper, config, where.text, depth);
    if (strcmp(class_name, "StackedRNNCells"))
        return keras_cell_of_layer(reader, cell_class_find(class_name, NULL), config, where.text, NULL);
    keras_check_keys(reader, config, where.text, stack_keys, NULL);
    struct rnn_cell_spec *stack =
        read_cells(reader, json_object_get(config, "cells"), keras_path(where.text, "cells").text, depth);
    if (stack)
        keras_bool(reader, config, where.text, "reverse_state_order", &stack->reverse_state_order);
    return stack;
}

struct rnn_cell_spec *keras_cell(struct keras_reader *reader, const json_t *json, const char *path)
{
    return json_is_array(json) ? read_cells(reader, json, path, 0) : read_cell(reader, json, path, 0);
}
