/* Finds how a graph depends on time: the node to which return_sequences applies, how each value depends on the
   timesteps, and the states of a row. */
#include "graph_plan.h"

#include <stdio.h>
#include <stdlib.h>

bool graph_is_recurrent(const struct graph *graph, size_t i)
{
    return layer_part(&graph->layers[graph->nodes[i].layer], 0) != NULL;
}

/* ---- states ---- */

static void name_part(const struct graph *graph, struct graph_part *part, size_t direction, bool two)
{
    static const char *const directions[] = {"/forward", "/backward"};
    const struct graph_node *node = &graph->nodes[part->node];
    size_t again = 0;
    char number[24] = "";
    for (size_t i = 0; i < part->node; i++)
        again += graph->nodes[i].layer == node->layer;
    if (again)
        snprintf(number, sizeof number, ":%zu", again);
    snprintf(part->name, sizeof part->name, "%.60s%.4s%s", graph->layers[node->layer].name, number,
             two ? directions[direction] : "");
}

/* Add the parts of node i. The states of a node are contiguous: a layer expects its second part directly behind its
   first. */
static void add_parts(struct graph *graph, size_t i)
{
    struct graph_node *node = &graph->nodes[i];
    const struct layer *layer = &graph->layers[node->layer];
    struct layer_states states, second;
    bool two = layer_states_at(layer, 1, &second);
    node->state_offset = graph->state_elems;
    for (size_t p = 0; layer_states_at(layer, p, &states); p++) {
        struct graph_part *part = &graph->parts[graph->n_parts++];
        *part = (struct graph_part){.states = states, .node = i, .state_offset = graph->state_elems};
        name_part(graph, part, p, two);
        graph->state_elems += states.elems;
    }
}

/* Whether node i has states that belong to a row. Initial states that come from another layer do not. */
static bool has_own_states(const struct graph *graph, size_t i)
{
    struct layer_states states;
    return graph->nodes[i].initial == GRAPH_NONE && layer_states_at(&graph->layers[graph->nodes[i].layer], 0, &states);
}

/* Recurrent layers come first. If rows may run in parts, the last inputs of convolutions are states, too. */
enum rnn_status graph_find_parts(struct graph *graph, struct rnn_error *err)
{
    graph->parts = calloc(graph->n_nodes * LAYER_MAX_PARTS + 1, sizeof *graph->parts);
    if (!graph->parts)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (graph_is_recurrent(graph, i) && has_own_states(graph, i))
            add_parts(graph, i);
    for (size_t i = 0; graph->divisible && i < graph->n_nodes; i++)
        if (!graph_is_recurrent(graph, i) && has_own_states(graph, i))
            add_parts(graph, i);
    return RNN_OK;
}

/* The only recurrent node that reaches the first output through nodes that are not recurrent. Returns n_nodes if there
   is none, if there are several, or if the graph has several outputs. led [n_values] is zeroed work space: the values
   that lead to the output. */
static size_t last_recurrent(const struct graph *graph, bool *led)
{
    size_t found = graph->n_nodes, n_found = 0;
    led[graph->outputs[0].value] = true;
    for (size_t i = graph->n_nodes; i-- > 0;) {
        const struct graph_node *node = &graph->nodes[i];
        bool leads = led[node->output] || (node->states != GRAPH_NONE && led[node->states]) ||
                     (node->second != GRAPH_NONE && led[node->second]);
        if (leads && graph_is_recurrent(graph, i)) {
            found = i;
            n_found++;
        }
        for (size_t k = 0; leads && !graph_is_recurrent(graph, i) && k < node->n_inputs; k++)
            led[node->inputs[k]] = true;
    }
    return n_found == 1 && graph->n_outputs == 1 ? found : graph->n_nodes;
}

enum rnn_status graph_find_last_recurrent(struct graph *graph, struct rnn_error *err)
{
    bool *led = calloc(graph->n_values, sizeof *led);
    if (!led)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    graph->last_recurrent = last_recurrent(graph, led);
    free(led);
    if (graph->last_recurrent < graph->n_nodes)
        graph->return_sequences =
            layer_part(&graph->layers[graph->nodes[graph->last_recurrent].layer], 0)->return_sequences;
    return RNN_OK;
}

/* ---- flow ---- */

static bool goes_backwards(const struct graph *graph, size_t i)
{
    const struct rnn_recurrence *part = layer_part(&graph->layers[graph->nodes[i].layer], 0);
    return part && part->go_backwards;
}

/* How the output of node i depends on time. A layer that goes backwards counts like a forward one here; graph_find_flow
   makes the graph not divisible. */
static enum graph_flow flow_of(const struct graph *graph, size_t i)
{
    const struct graph_node *node = &graph->nodes[i];
    enum layer_time time = layer_time_of(&graph->layers[node->layer]);
    size_t seen[FLOW_WHOLE + 1] = {0};
    for (size_t k = 0; k < node->n_inputs; k++)
        seen[graph->values[node->inputs[k]].flow]++;
    if (node->initial != GRAPH_NONE || seen[FLOW_WHOLE])
        return FLOW_WHOLE;
    if (seen[FLOW_STATIC] == node->n_inputs)
        return graph_is_recurrent(graph, i) ? FLOW_WHOLE : FLOW_STATIC;
    if (time == TIME_POINTWISE && !seen[FLOW_TIMED])
        return FLOW_LAST;
    if (time == TIME_WHOLE || seen[FLOW_TIMED] < node->n_inputs)
        return FLOW_WHOLE;
    bool last = graph_is_recurrent(graph, i) && !graph_gives_sequences(graph, i, graph->return_sequences);
    return time == TIME_LAST || last ? FLOW_LAST : FLOW_TIMED;
}

void graph_find_flow(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_inputs; i++) {
        bool timed = graph->inputs[i].shape.sequence || graph->n_inputs == 1;
        graph->values[graph->inputs[i].value].flow = timed ? FLOW_TIMED : FLOW_STATIC;
    }
    graph->streamable = graph->divisible = true;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        enum graph_flow flow = flow_of(graph, i);
        graph->values[node->output].flow = flow;
        graph->values[node->output].masked = graph->layers[node->layer].masks == MASKS_MADE;
        for (size_t k = 0; k < node->n_inputs; k++)
            graph->values[node->output].masked |= graph->values[node->inputs[k]].masked;
        if (node->second != GRAPH_NONE)
            graph->values[node->second].flow = flow;
        if (node->states != GRAPH_NONE)
            graph->values[node->states].flow = flow == FLOW_WHOLE ? FLOW_WHOLE : FLOW_LAST;
        graph->streamable &= flow != FLOW_WHOLE;
        graph->divisible &= flow != FLOW_WHOLE && !goes_backwards(graph, i);
    }
}
