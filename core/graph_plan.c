/* Assigns memory to the values of a graph: views of other values, outputs, and buffers that values share. */
#include "graph_plan.h"

#include <stdlib.h>

/* The output of a layer that computes nothing is a view of its input, perhaps in another shape. */
static void find_bases(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (!graph->layers[node->layer].class->run)
            graph->values[node->output].base = graph->values[node->inputs[0]].base;
    }
}

/* A node computes an output directly in the memory of this output. Exceptions are views of an input, final states, and
   values that are already another output. */
static void place_outputs(struct graph *graph)
{
    for (size_t o = 0; o < graph->n_outputs; o++) {
        struct graph_value *base = &graph->values[graph->values[graph->outputs[o].value].base];
        if (base->node != GRAPH_NONE && !base->states && base->output == GRAPH_NONE)
            base->output = o;
    }
}

/* The last node that reads each base; n_nodes for the bases of outputs. */
static void find_last_uses(const struct graph *graph, size_t *last)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        for (size_t k = 0; k < node->n_inputs; k++)
            last[graph->values[node->inputs[k]].base] = i;
        if (node->initial != GRAPH_NONE)
            last[graph->values[node->initial].base] = i;
    }
    for (size_t o = 0; o < graph->n_outputs; o++)
        last[graph->values[graph->outputs[o].value].base] = graph->n_nodes;
}

/* Give the value the first place that is free from node i on. busy [places] is the last node that needs each place. */
static void take_place(struct graph *graph, size_t value, size_t i, const size_t *last, size_t *busy)
{
    size_t place = 0;
    while (place < graph->places && busy[place] >= i)
        place++;
    if (place == graph->places)
        graph->places++;
    graph->values[value].place = place;
    busy[place] = last[value] > i ? last[value] : i;
}

static void share_places(struct graph *graph, const size_t *last, size_t *busy)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        const struct graph_value *output = &graph->values[node->output];
        if (output->base == node->output && output->output == GRAPH_NONE)
            take_place(graph, node->output, i, last, busy);
        if (node->states != GRAPH_NONE)
            take_place(graph, node->states, i, last, busy);
        if (node->second != GRAPH_NONE && graph->values[node->second].output == GRAPH_NONE)
            take_place(graph, node->second, i, last, busy);
    }
}

/* Recurrent layers read and write row by row. Most other layers process all rows as one contiguous array. */
static void find_freedom(struct graph *graph)
{
    size_t computing = 0;
    bool lone = false;
    graph->inputs_anywhere = true;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        const struct layer_class *class = graph->layers[node->layer].class;
        if (!class->run)
            continue;
        computing++;
        lone = layer_parts(&graph->layers[node->layer]) == 1;
        for (size_t k = 0; k < node->n_inputs; k++)
            if (graph->values[graph->values[node->inputs[k]].base].node == GRAPH_NONE)
                graph->inputs_anywhere &= class->inputs_anywhere;
    }
    graph->outputs_anywhere = computing == 1 && lone && graph->n_outputs == 1;
}

enum rnn_status graph_plan(struct graph *graph, struct rnn_error *err)
{
    size_t *last = calloc(graph->n_values, sizeof *last), *busy = calloc(graph->n_values, sizeof *busy);
    if (last && busy) {
        find_bases(graph);
        place_outputs(graph);
        find_last_uses(graph, last);
        share_places(graph, last, busy);
        find_freedom(graph);
    }
    enum rnn_status status = last && busy ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory");
    free(last);
    free(busy);
    return status;
}
