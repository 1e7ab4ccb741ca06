/* The shapes of a model's inputs and outputs. */
#include "model_ports.h"

#include "config/model.h"

/* The batch, then the tensor's own axes. A token has no axis. */
static json_t *shape_of(const struct layer_shape *shape)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
    json_t *sizes = json_pack("[i]", -1);
    if (shape->ids && n > 1)
        n--;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(sizes, json_integer(axes[i] ? (json_int_t)axes[i] : -1));
    return sizes;
}

static json_t *port(const struct graph_port *port)
{
    return json_pack("{s:s, s:o, s:s}", "name", port->name, "shape", shape_of(&port->shape), "dtype",
                     port->shape.ids ? "int32" : "float32");
}

json_t *model_inputs(const struct graph *graph)
{
    json_t *list = json_array();
    for (size_t i = 0; i < graph->n_inputs; i++) {
        json_t *input = port(&graph->inputs[i]);
        if (graph->inputs[i].shape.ids)
            json_object_set_new(input, "vocabulary", json_integer((json_int_t)graph_vocabulary(graph, i)));
        json_array_append_new(list, input);
    }
    return list;
}

json_t *model_outputs(const struct graph *graph)
{
    json_t *list = json_array();
    for (size_t i = 0; i < graph->n_outputs; i++)
        json_array_append_new(list, port(&graph->outputs[i]));
    return list;
}
