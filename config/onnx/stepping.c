/* Makes the converted graph the inner graph of a layer, and splits the output of this layer. */
#include "stepping.h"

#include "core/layers/merge.h"
#include "core/layers/reshape.h"
#include "core/layers/slice.h"
#include "core/stepped.h"

#include <stdlib.h>
#include <string.h>

/* The outputs of one timestep. */
struct given {
    size_t n;
    struct graph_port ports[GRAPH_MAX_INPUTS];
    struct layer_shape shapes[GRAPH_MAX_INPUTS];
};

static size_t numbers(const struct layer_shape *shape)
{
    return shape->timesteps * shape->width;
}

static bool find_given(struct onnx_call *call, size_t n_states, struct given *out)
{
    struct graph *graph = &call->c->out->model;
    struct rnn_error error = {{0}};
    if (graph->n_inputs != n_states + 1 || graph->n_outputs <= n_states)
        return onnx_refuse(call, "has %zu inputs beside its states; a model with \"states\" is served with one",
                           graph->n_inputs - n_states);
    for (size_t i = 0; i < graph->n_inputs; i++)
        if (!numbers(&graph->inputs[i].shape))
            return onnx_refuse(call,
                               "has input \"%.60s\" of open size; a model with \"states\" needs the size of one "
                               "call: \"input_size\" in the model's entry",
                               graph->inputs[i].name);
    if (graph_output_shapes(graph, NULL, false, NULL, out->shapes, &error))
        return onnx_refuse(call, "does not fit together: %.300s", error.text);
    out->n = graph->n_outputs - n_states;
    memcpy(out->ports, graph->outputs, out->n * sizeof *out->ports);
    return true;
}

/* Add a new layer with a node. */
static size_t add(struct onnx_call *call, const struct layer_class *class, const char *name, const size_t *inputs,
                  size_t n)
{
    return onnx_layer(call, class, name) ? onnx_node(call, inputs, n) : GRAPH_NONE;
}

static void *last_own(const struct onnx_call *call)
{
    struct graph *graph = &call->c->out->model;
    return graph->layers[graph->n_layers - 1].own;
}

/* Replace several outputs by one vector. */
static bool join_outputs(struct onnx_call *call, const struct given *given)
{
    struct graph *graph = &call->c->out->model;
    size_t parts[GRAPH_MAX_INPUTS], total = 0;
    if (given->n == 1)
        return true;
    for (size_t o = 0; o < given->n; o++) {
        parts[o] = add(call, &layer_reshape, "Reshape", &graph->outputs[o].value, 1);
        if (parts[o] == GRAPH_NONE)
            return false;
        *(struct reshape *)last_own(call) = (struct reshape){.rank = 1, .target = {numbers(&given->shapes[o])}};
        total += numbers(&given->shapes[o]);
    }
    size_t joined = add(call, &layer_concatenate, "Concatenate", parts, given->n);
    if (joined == GRAPH_NONE || !total)
        return false;
    ((struct concatenate *)last_own(call))->axis = -1;
    graph->outputs[0].value = joined;
    memmove(&graph->outputs[1], &graph->outputs[given->n], (graph->n_outputs - given->n) * sizeof *graph->outputs);
    graph->n_outputs -= given->n - 1;
    return true;
}

/* Move the graph and the names of its tensors into the layer's own struct. */
static bool move_inside(struct onnx_call *call, struct stepped *own, size_t n_states)
{
    struct keras_model *out = call->c->out;
    size_t sizes[GRAPH_MAX_INPUTS];
    own->inner.graph = out->model;
    out->model = (struct graph){.n_layers = 0};
    own->inner.names = calloc(own->inner.graph.n_layers + 1, sizeof *own->inner.names);
    for (size_t i = 0; own->inner.names && i < own->inner.graph.n_layers; i++)
        memcpy(own->inner.names[i].tensors, out->places[i].tensors, sizeof own->inner.names[i].tensors);
    for (size_t s = 0; s < n_states; s++)
        sizes[s] = numbers(&own->inner.graph.inputs[s + 1].shape);
    return (own->inner.names && stepped_states(own, n_states, sizes)) || onnx_no_memory(call);
}

/* The shape of the input, with an axis of timesteps in front. */
static size_t input_of_steps(struct onnx_call *call, const struct graph_port *port)
{
    size_t axes[LAYER_MAX_AXES + 1] = {0}, n = layer_axes(&port->shape, axes + 1);
    struct layer_shape shape;
    if (n >= LAYER_MAX_AXES || !layer_shape_of(n + 1, axes, &shape))
        return onnx_refuse(call, "has an input of too many axes"), GRAPH_NONE;
    if (!n)
        shape = (struct layer_shape){.sequence = true, .width = 1};
    return graph_input(&call->c->out->model, port->name, &shape);
}

/* Select output o from the vector of all outputs. */
static bool give_output(struct onnx_call *call, const struct given *given, size_t o, size_t first, size_t value)
{
    struct reshape own = {.rank = 1, .target = {SIZE_MAX}};
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&given->shapes[o], axes);
    if (n >= LAYER_MAX_AXES)
        return onnx_refuse(call, "has an output of too many axes");
    memcpy(own.target + 1, axes, n * sizeof *axes);
    own.rank += n;
    if (given->n > 1) {
        value = add(call, &layer_slice, "Slice", &value, 1);
        if (value == GRAPH_NONE)
            return false;
        *(struct slice *)last_own(call) = (struct slice){.first = first, .n = numbers(&given->shapes[o])};
        if (n != 1) {
            value = add(call, &layer_reshape, "Reshape", &value, 1);
            if (value == GRAPH_NONE)
                return false;
            *(struct reshape *)last_own(call) = own;
        }
    }
    return graph_output(&call->c->out->model, given->ports[o].name, value) || onnx_no_memory(call);
}

bool onnx_step(struct onnx_call *call, size_t n_states)
{
    struct given *given = calloc(1, sizeof *given);
    struct keras_model *out = call->c->out;
    struct layer holder = {.class = NULL};
    bool good = given ? find_given(call, n_states, given) && join_outputs(call, given) : onnx_no_memory(call);
    good = good && (!layer_open(&holder, &layer_stepped, NULL) || onnx_no_memory(call));
    struct stepped *own = holder.own;
    call->name = "step";
    good = good && move_inside(call, own, n_states);
    size_t input = good ? input_of_steps(call, &own->inner.graph.inputs[0]) : GRAPH_NONE;
    struct layer *layer = input == GRAPH_NONE ? NULL : onnx_layer(call, &layer_identity, "Step");
    if (layer) {
        layer->class = &layer_stepped;
        layer->own = own;
        holder.own = NULL;
        memset(out->places[0].tensors, 0, sizeof out->places[0].tensors);
    }
    size_t value = layer ? onnx_node(call, &input, 1) : GRAPH_NONE, first = 0;
    good = value != GRAPH_NONE;
    for (size_t o = 0; good && o < given->n; o++) {
        good = give_output(call, given, o, first, value);
        first += numbers(&given->shapes[o]);
    }
    if (holder.own)
        layer_close(&holder);
    free(given);
    return good || onnx_no_memory(call);
}
