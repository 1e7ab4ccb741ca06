/* Builds a graph of layers and computes its shapes. graph_time.c finds how the graph depends on time, graph_run.c runs
   the graph. */
#include "graph_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NODE_INPUTS = GRAPH_MAX_INPUTS, FIRST_ROOM = 8 };

/* ---- building ---- */

/* Make room for one more element in an array of n elements. The capacity doubles. */
static void *grow(void *block, size_t n, size_t size)
{
    if (n && (n < FIRST_ROOM || (n & (n - 1))))
        return block;
    return realloc(block, (n < FIRST_ROOM ? FIRST_ROOM : 2 * n) * size);
}

static size_t add_value(struct graph *graph, struct graph_value value)
{
    struct graph_value *values = grow(graph->values, graph->n_values, sizeof *values);
    if (!values)
        return GRAPH_NONE;
    graph->values = values;
    value.base = graph->n_values;
    value.place = value.output = GRAPH_NONE;
    values[graph->n_values] = value;
    return graph->n_values++;
}

static bool add_port(struct graph_port **ports, size_t *n, const char *name, const struct layer_shape *shape,
                     size_t value)
{
    struct graph_port *grown = *n < GRAPH_MAX_INPUTS ? grow(*ports, *n, sizeof *grown) : NULL;
    if (!grown)
        return false;
    *ports = grown;
    grown[*n] = (struct graph_port){.shape = *shape, .value = value};
    snprintf(grown[(*n)++].name, sizeof grown->name, "%s", name);
    return true;
}

size_t graph_input(struct graph *graph, const char *name, const struct layer_shape *shape)
{
    size_t value = add_value(graph, (struct graph_value){.node = GRAPH_NONE, .input = graph->n_inputs});
    if (value == GRAPH_NONE || !add_port(&graph->inputs, &graph->n_inputs, name, shape, value))
        return GRAPH_NONE;
    return value;
}

bool graph_output(struct graph *graph, const char *name, size_t value)
{
    return add_port(&graph->outputs, &graph->n_outputs, name, &(struct layer_shape){0}, value);
}

struct layer *graph_layer(struct graph *graph)
{
    struct layer *layers =
        graph->n_layers < GRAPH_MAX_LAYERS ? grow(graph->layers, graph->n_layers, sizeof *layers) : NULL;
    if (!layers)
        return NULL;
    graph->layers = layers;
    layers[graph->n_layers] = (struct layer){.class = &layer_identity};
    return &layers[graph->n_layers++];
}

size_t graph_node(struct graph *graph, size_t layer, const size_t *inputs, size_t n)
{
    struct graph_node *nodes = graph->n_nodes < GRAPH_MAX_NODES && n <= MAX_NODE_INPUTS
                                   ? grow(graph->nodes, graph->n_nodes, sizeof *nodes)
                                   : NULL;
    size_t *taken = calloc(n + 1, sizeof *taken);
    size_t output = nodes && taken ? add_value(graph, (struct graph_value){.node = graph->n_nodes}) : GRAPH_NONE;
    if (nodes)
        graph->nodes = nodes;
    if (output == GRAPH_NONE) {
        free(taken);
        return GRAPH_NONE;
    }
    memcpy(taken, inputs, n * sizeof *taken);
    graph->layers[layer].n_inputs = n;
    nodes[graph->n_nodes++] = (struct graph_node){.layer = layer,
                                                  .inputs = taken,
                                                  .n_inputs = n,
                                                  .initial = GRAPH_NONE,
                                                  .output = output,
                                                  .states = GRAPH_NONE,
                                                  .second = GRAPH_NONE,
                                                  .state_offset = GRAPH_NONE};
    return output;
}

size_t graph_states(struct graph *graph, size_t output)
{
    size_t node = graph->values[output].node;
    if (graph->nodes[node].states == GRAPH_NONE)
        graph->nodes[node].states = add_value(graph, (struct graph_value){.node = node, .states = true});
    return graph->nodes[node].states;
}

size_t graph_second(struct graph *graph, size_t output)
{
    size_t node = graph->values[output].node;
    bool two = graph->layers[graph->nodes[node].layer].class->second != NULL;
    if (two && graph->nodes[node].second == GRAPH_NONE)
        graph->nodes[node].second = add_value(graph, (struct graph_value){.node = node});
    return graph->nodes[node].second;
}

void graph_initial(struct graph *graph, size_t output, size_t states)
{
    graph->nodes[graph->values[output].node].initial = states;
}

struct layer *graph_add(struct graph *graph)
{
    const struct layer_shape any = {.sequence = true};
    if (!graph->n_inputs && graph_input(graph, "inputs", &any) == GRAPH_NONE)
        return NULL;
    size_t last = graph->n_nodes ? graph->nodes[graph->n_nodes - 1].output : graph->inputs[0].value;
    if (!graph_layer(graph) || graph_node(graph, graph->n_layers - 1, &last, 1) == GRAPH_NONE)
        return NULL;
    return &graph->layers[graph->n_layers - 1];
}

void graph_close(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_layers; i++)
        layer_close(&graph->layers[i]);
    for (size_t i = 0; i < graph->n_nodes; i++)
        free(graph->nodes[i].inputs);
    free(graph->layers);
    free(graph->values);
    free(graph->nodes);
    free(graph->inputs);
    free(graph->outputs);
    free(graph->parts);
    *graph = (struct graph){.n_layers = 0};
}

/* ---- properties ---- */

size_t graph_parameters(const struct graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->n_layers; i++)
        count += layer_parameters(&graph->layers[i]);
    return count;
}

size_t graph_bytes(const struct graph *graph)
{
    size_t bytes = 0;
    for (size_t i = 0; i < graph->n_layers; i++)
        bytes += layer_bytes(&graph->layers[i]);
    return bytes;
}

double graph_step_ns(const struct graph *graph, size_t rows)
{
    double ns = 0;
    for (size_t i = 0; i < graph->n_parts; i++)
        if (graph->parts[i].states.recurrence)
            ns += rnn_stack_step_ns(&graph->parts[i].states.recurrence->stack, rows);
    return ns;
}

size_t graph_vocabulary(const struct graph *graph, size_t input)
{
    for (size_t i = 0; graph->inputs[input].shape.ids && i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        const struct layer *layer = &graph->layers[node->layer];
        if (layer_takes_ids(layer) && graph->values[node->inputs[0]].base == graph->inputs[input].value)
            return layer->class->vocabulary(layer);
    }
    return 0;
}

const struct layer *graph_last_layer(const struct graph *graph, size_t output)
{
    const struct graph_value *value = &graph->values[graph->outputs[output].value];
    while (value->node != GRAPH_NONE && !graph->layers[graph->nodes[value->node].layer].class->run)
        value = &graph->values[graph->nodes[value->node].inputs[0]];
    return value->node == GRAPH_NONE ? &graph->layers[0] : &graph->layers[graph->nodes[value->node].layer];
}

size_t graph_node_of(const struct graph *graph, size_t layer)
{
    size_t i = 0;
    while (i < graph->n_nodes && graph->nodes[i].layer != layer)
        i++;
    return i;
}

/* ---- shapes ---- */

/* A request sets the option of the last recurrent node, as soon as this node is known. Other nodes use the option of
   their layer. */
bool graph_gives_sequences(const struct graph *graph, size_t i, bool sequences)
{
    const struct rnn_recurrence *part = layer_part(&graph->layers[graph->nodes[i].layer], 0);
    return graph->parts && i == graph->last_recurrent ? sequences : part && part->return_sequences;
}

static enum rnn_status node_shape(const struct graph *graph, size_t i, bool sequences, struct layer_shape *shapes,
                                  struct rnn_error *err)
{
    const struct graph_node *node = &graph->nodes[i];
    const struct layer *layer = &graph->layers[node->layer];
    struct layer_shape in[MAX_NODE_INPUTS];
    size_t most = layer->class->most_inputs ? layer->class->most_inputs : 1, elems = layer_state_elems(layer);
    if (node->n_inputs < 1 || node->n_inputs > most || node->n_inputs != layer->n_inputs)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes %zu inputs, expected %s%zu", layer->name,
                        layer->class_name, node->n_inputs, most > 1 ? "1 to " : "", most);
    for (size_t k = 0; k < node->n_inputs; k++)
        in[k] = shapes[node->inputs[k]];
    if (node->initial != GRAPH_NONE && elems &&
        (shapes[node->initial].sequence || shapes[node->initial].width != elems))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its initial states have %zu numbers in all, expected %zu",
                        layer->name, shapes[node->initial].width, elems);
    if (node->states != GRAPH_NONE)
        shapes[node->states] = (struct layer_shape){.timesteps = 1, .width = elems};
    enum rnn_status status =
        layer_output(layer, in, graph_gives_sequences(graph, i, sequences), &shapes[node->output], err);
    return status || node->second == GRAPH_NONE ? status : layer->class->second(layer, in, &shapes[node->second], err);
}

enum rnn_status graph_shapes(const struct graph *graph, const size_t *timesteps, bool sequences, size_t end,
                             struct layer_shape *shapes, struct rnn_error *err)
{
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const struct graph_port *input = &graph->inputs[i];
        shapes[input->value] = input->shape;
        if (input->shape.sequence && timesteps && timesteps[i])
            shapes[input->value].timesteps = timesteps[i];
    }
    enum rnn_status status = RNN_OK;
    for (size_t i = 0; i < end && !status; i++)
        status = node_shape(graph, i, sequences, shapes, err);
    return status;
}

static struct layer_shape *shapes_new(const struct graph *graph, struct rnn_error *err)
{
    struct layer_shape *shapes = calloc(graph->n_values + 1, sizeof *shapes);
    if (!shapes)
        rnn_fail(err, RNN_ENOMEM, "out of memory");
    return shapes;
}

static bool width_differs(const struct graph *graph, size_t o, const struct layer_shape *shape)
{
    return graph->outputs[o].shape.width && shape->width != graph->outputs[o].shape.width;
}

enum rnn_status graph_output_shapes(const struct graph *graph, const size_t *timesteps, bool sequences,
                                    struct layer_shape *scratch, struct layer_shape *out, struct rnn_error *err)
{
    struct layer_shape *own = scratch ? NULL : shapes_new(graph, err), *shapes = scratch ? scratch : own;
    if (!shapes)
        return RNN_ENOMEM;
    enum rnn_status status = graph_shapes(graph, timesteps, sequences, graph->n_nodes, shapes, err);
    for (size_t o = 0; o < graph->n_outputs && !status; o++) {
        out[o] = shapes[graph->outputs[o].value];
        if (width_differs(graph, o, &out[o]))
            status =
                rnn_fail(err, RNN_ESHAPE, "expected %zu timesteps, because the model has layers for this length only",
                         graph->inputs[0].shape.timesteps);
    }
    free(own);
    return status;
}

enum rnn_status graph_node_shapes(const struct graph *graph, size_t i, const size_t *timesteps, struct layer_shape *in,
                                  struct layer_shape *out, struct rnn_error *err)
{
    struct layer_shape *shapes = shapes_new(graph, err);
    if (!shapes)
        return RNN_ENOMEM;
    enum rnn_status status = graph_shapes(graph, timesteps, graph->return_sequences, i + (out != NULL), shapes, err);
    for (size_t k = 0; !status && k < graph->nodes[i].n_inputs; k++)
        in[k] = shapes[graph->nodes[i].inputs[k]];
    if (!status && out)
        *out = shapes[graph->nodes[i].output];
    free(shapes);
    return status;
}

/* ---- the whole graph ---- */

/* Check the options that only some graphs may have: time_major, and a Bidirectional with two outputs. */
static enum rnn_status check_alone(struct graph *graph, struct rnn_error *err)
{
    size_t computing = 0, recurrent = 0;
    const struct layer *two = NULL;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct layer *layer = &graph->layers[graph->nodes[i].layer];
        computing += layer->class->run != NULL || layer->class->view;
        recurrent += graph_is_recurrent(graph, i);
        graph->time_major |= graph_is_recurrent(graph, i) && layer_part(layer, 0)->time_major;
        if (layer->class->two_outputs && layer->class->two_outputs(layer)) {
            two = layer;
            if (layer_part(layer, 0)->time_major)
                return rnn_fail(err, RNN_EINVAL,
                                "layer \"%s\": time_major is supported only in a model of one RNN layer", layer->name);
        }
    }
    if (!computing)
        return rnn_fail(err, RNN_EINVAL, "there is no layer that computes anything");
    if (graph->time_major && (computing > 1 || recurrent != 1))
        return rnn_fail(err, RNN_EINVAL,
                        "time_major is supported only in a model of one RNN layer; transpose the data instead");
    graph->two_outputs = two && graph->n_outputs == 1 && graph_last_layer(graph, 0) == two;
    return RNN_OK;
}

/* A layer after a Bidirectional with two outputs must select one of them: see layer_slice. */
static enum rnn_status check_two_outputs(const struct graph *graph, struct rnn_error *err)
{
    for (size_t i = 0; i < graph->n_nodes; i++)
        for (size_t k = 0; k < graph->nodes[i].n_inputs; k++) {
            size_t from = graph->values[graph->nodes[i].inputs[k]].node;
            if (from == GRAPH_NONE || graph->values[graph->nodes[i].inputs[k]].states)
                continue;
            const struct layer *layer = &graph->layers[graph->nodes[i].layer],
                               *before = &graph->layers[graph->nodes[from].layer];
            if (before->class->two_outputs && before->class->two_outputs(before) && layer->class->run &&
                !layer->class->takes_parts)
                return rnn_fail(err, RNN_ESHAPE,
                                "layer \"%s\" cannot follow a Bidirectional with merge_mode null, which has "
                                "two outputs",
                                layer->name);
        }
    return RNN_OK;
}

/* Compute the shapes of the outputs. If an output with FLOW_LAST has several axes (an image), its first axis is not
   time, so rows cannot run in parts. */
static enum rnn_status find_outputs(struct graph *graph, struct rnn_error *err)
{
    struct layer_shape *shapes = shapes_new(graph, err);
    if (!shapes)
        return RNN_ENOMEM;
    enum rnn_status status = graph_shapes(graph, NULL, graph->return_sequences, graph->n_nodes, shapes, err);
    for (size_t o = 0; o < graph->n_outputs && !status; o++) {
        struct graph_port *output = &graph->outputs[o];
        output->shape = shapes[output->value];
        if (!output->shape.width)
            status = rnn_fail(err, RNN_ESHAPE,
                              "the size of the output depends on the number of timesteps, which is unknown; give the "
                              "input layer a shape with timesteps");
        if (graph->values[output->value].flow == FLOW_LAST && output->shape.sequence)
            graph->streamable = graph->divisible = false;
    }
    free(shapes);
    return status;
}

enum rnn_status graph_finish(struct graph *graph, struct rnn_error *err)
{
    size_t last = graph->n_nodes ? graph->nodes[graph->n_nodes - 1].output : GRAPH_NONE;
    if (last == GRAPH_NONE)
        return rnn_fail(err, RNN_EINVAL, "there is no layer that computes anything");
    if (!graph->n_outputs && !graph_output(graph, graph->layers[graph->n_layers - 1].name, last))
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    enum rnn_status status = graph_find_last_recurrent(graph, err);
    if (status)
        return status;
    graph_find_flow(graph);
    status = find_outputs(graph, err);
    if (!status)
        status = graph_find_parts(graph, err);
    if (!status)
        status = check_alone(graph, err);
    if (!status)
        status = check_two_outputs(graph, err);
    return status ? status : graph_plan(graph, err);
}
