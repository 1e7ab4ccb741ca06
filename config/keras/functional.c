/* Reads the inputs and outputs of the outermost model. declare.c reads its layers, wire.c connects them. */
#include "functional.h"

#include "input_shape.h"
#include "operation.h"
#include "scope.h"

#include <stdio.h>
#include <string.h>

static bool add_input(const struct scope *scope, const char *name, const struct layer_shape *shape, size_t *value)
{
    *value = graph_input(&scope->out->model, name, shape);
    return *value != GRAPH_NONE || scope_out_of_memory(scope);
}

static bool add_inputs(const struct scope *scope, size_t *values, size_t *n)
{
    struct keras_tensor tensor;
    struct layer_shape shape;
    *n = 0;
    if (scope->sequential) {
        keras_sequential_shape(scope->reader, scope->json, scope->layers, scope->path.text, &shape);
        const struct entry *first = &scope->entries[0];
        *n = 1;
        return add_input(scope, first->kind == ENTRY_INPUT && first->name ? first->name : "inputs", &shape, values);
    }
    for (; scope_input_port(scope, *n, &tensor); ++*n) {
        const struct entry *entry = scope_entry(scope, tensor.layer);
        if (!entry || entry->kind != ENTRY_INPUT || *n == MAX_PORTS) {
            keras_error(scope->reader, scope->path.text, "input_layers names \"%.60s\", which is not an InputLayer",
                        tensor.layer);
            return false;
        }
        keras_input_shape(scope->reader, entry->json, scope_entry_path(scope, entry).text, &shape);
        if (!add_input(scope, entry->name, &shape, &values[*n]))
            return false;
    }
    return true;
}

static bool is_output(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->n_outputs; i++)
        if (!strcmp(graph->outputs[i].name, name))
            return true;
    return false;
}

/* The name of output i: the name of its layer. If an earlier output has the same name, a number makes the name
   unique. Source: keras/engine/functional.py, _set_output_names. */
static void output_name(const struct scope *scope, size_t i, char *out, size_t size)
{
    struct keras_tensor tensor;
    scope_port(scope, "output_layers", i, &tensor);
    snprintf(out, size, "%s", tensor.layer);
    for (size_t again = 1; is_output(&scope->out->model, out); again++)
        snprintf(out, size, "%.40s_%zu", tensor.layer, again);
}

/* Whether the outputs of the model are exactly the outputs and states of one call of a recurrent layer, in this order.
   Such a model has one output here, because answers contain the states anyway. */
static bool is_output_with_states(const struct scope *scope, size_t n, size_t *value)
{
    struct keras_tensor first, tensor;
    size_t count = 0, at, units;
    if (scope->sequential || !scope_port(scope, "output_layers", 0, &first))
        return false;
    const struct entry *entry = scope_entry(scope, first.layer);
    const struct layer *layer = entry->kind == ENTRY_LAYER ? &scope->out->model.layers[entry->layer] : NULL;
    const struct rnn_recurrence *part = layer ? layer_part(layer, 0) : NULL;
    if (!part)
        return false;
    while (part->return_state && scope_state(layer, count, &at, &units))
        count++;
    count += layer->class->two_outputs && layer->class->two_outputs(layer) ? 2 : 1;
    for (size_t i = 0; i < n && scope_port(scope, "output_layers", i, &tensor); i++)
        if (strcmp(tensor.layer, first.layer) || tensor.use != first.use || tensor.tensor != i)
            return false;
    *value = scope_use(scope, &first)->values[0];
    return n == count;
}

static bool add_outputs(const struct scope *scope, const size_t *values, size_t n)
{
    size_t whole[1];
    if (is_output_with_states(scope, n, whole)) {
        values = whole;
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        char name[GRAPH_NAME_BYTES];
        if (scope->sequential)
            snprintf(name, sizeof name, "%s",
                     scope->entries[scope->n - 1].name ? scope->entries[scope->n - 1].name : "outputs");
        else
            output_name(scope, i, name, sizeof name);
        if (!graph_output(&scope->out->model, name, values[i]))
            return scope_out_of_memory(scope);
    }
    return true;
}

void keras_functional_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out)
{
    struct scope scope = {.reader = reader, .out = out, .json = json};
    const struct keras_place top = {.group = ""};
    size_t inputs[MAX_PORTS], outputs[MAX_PORTS], n_inputs, n_outputs;
    snprintf(scope.path.text, sizeof scope.path.text, "%s", path);
    if (scope_declare(&scope, &top) && add_inputs(&scope, inputs, &n_inputs) &&
        scope_wire(&scope, inputs, n_inputs, outputs, &n_outputs) && add_outputs(&scope, outputs, n_outputs)) {
        keras_operation_ids(&out->model);
        keras_find_ids(&out->model);
    }
    scope_close(&scope);
}
