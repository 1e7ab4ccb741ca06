/* inspect: prints a table of layers and cells, like Keras's model.summary(). */
#include "cli.h"
#include "server/run/trial.h"

#include <math.h>
#include <string.h>

static const char rule[] =
    "_____________________________________________________________________________________________"
    "___________";

/* "(None, None, 32)": open sizes are None, as in Keras. */
static void shape_of(const struct layer_shape *shape, char *out, size_t size)
{
    char timesteps[24] = "None";
    if (shape->timesteps)
        snprintf(timesteps, sizeof timesteps, "%zu", shape->timesteps);
    if (!shape->sequence)
        snprintf(out, size, "(None, %zu)", shape->width);
    else if (shape->ids)
        snprintf(out, size, "(None, %s)", timesteps);
    else
        snprintf(out, size, "(None, %s, %zu)", timesteps, shape->width);
}

/* "[128, 128]" */
static void state_text(const struct rnn_cell *cell, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t s = 0; s < cell->class->states && n < size; s++)
        n += (size_t)snprintf(out + n, size - n, "%s%zu", s ? ", " : "", cell->units);
    if (n < size)
        snprintf(out + n, size - n, "]");
}

static void print_cells(const struct rnn_recurrence *part, const char *side)
{
    const struct rnn_stack *stack = &part->stack;
    for (size_t i = 0; i < stack->n_cells; i++) {
        char path[256], name[300], states[64], units[32];
        const struct rnn_cell *cell = &stack->cells[i];
        const struct rnn_cell_spec *spec = rnn_cell_spec_leaf(stack->spec, i, path, sizeof path);
        snprintf(name, sizeof name, "  %s%s", side, path);
        snprintf(units, sizeof units, "%zu", cell->units);
        state_text(cell, states, sizeof states);
        printf("%-28s %-22s %-18s %-12s %10zu %10zu\n", name, cell->class->keras_name, units, states,
               cell_parameters(spec, cell->input_size), rnn_cell_bytes(cell));
    }
}

/* Whether every node takes the output of the previous node, and no other value. */
static bool is_chain(const struct graph *graph)
{
    size_t value = graph->inputs[0].value;
    bool chain = graph->n_inputs == 1 && graph->n_outputs == 1 && graph->n_nodes == graph->n_layers;
    for (size_t i = 0; i < graph->n_nodes && chain; i++) {
        const struct graph_node *node = &graph->nodes[i];
        chain = node->n_inputs == 1 && node->inputs[0] == value && node->initial == GRAPH_NONE;
        value = node->output;
    }
    return chain;
}

/* "lstm", "lstm:1" for the second use of the layer, "lstm's states", or the name of an input. */
static void print_value(const struct graph *graph, size_t v)
{
    const struct graph_value *value = &graph->values[v];
    size_t earlier = 0;
    if (value->node == GRAPH_NONE) {
        printf("%s", graph->inputs[value->input].name);
        return;
    }
    const size_t layer = graph->nodes[value->node].layer;
    for (size_t i = 0; i < value->node; i++)
        earlier += graph->nodes[i].layer == layer;
    printf("%s", graph->layers[layer].name);
    if (earlier)
        printf(":%zu", earlier);
    if (value->states)
        printf("'s states");
}

/* The inputs of each node of layer i: " takes lstm, dense:1; initial states from encoder's states". */
static void print_connections(const struct graph *graph, size_t i)
{
    for (size_t n = 0; n < graph->n_nodes; n++) {
        const struct graph_node *node = &graph->nodes[n];
        if (node->layer != i)
            continue;
        for (size_t k = 0; k < node->n_inputs; k++) {
            printf("%s", k ? ", " : "  takes ");
            print_value(graph, node->inputs[k]);
        }
        if (node->initial != GRAPH_NONE) {
            printf("; initial states from ");
            print_value(graph, node->initial);
        }
        printf("\n");
    }
}

static void print_layer(const struct graph *graph, size_t i, bool chain)
{
    static const char *const sides[] = {"forward.", "backward."};
    const struct layer *layer = &graph->layers[i];
    const struct rnn_recurrence *options = layer_part(layer, 0);
    struct layer_shape in[GRAPH_MAX_INPUTS], out = {.width = 0};
    char shape[64] = "not used";
    const size_t node = graph_node_of(graph, i);
    if (node < graph->n_nodes && !graph_node_shapes(graph, node, NULL, in, &out, NULL))
        shape_of(&out, shape, sizeof shape);
    printf("%-28s %-22s %-18s %-12s %10zu %10zu\n", layer->name, layer->class_name, shape, "", layer_parameters(layer),
           layer_bytes(layer));
    if (!chain)
        print_connections(graph, i);
    for (size_t p = 0; layer_part(layer, p); p++)
        print_cells(layer_part(layer, p), layer_parts(layer) > 1 ? sides[p] : "");
    if (!options)
        return;
    if (options->return_sequences || options->return_state || options->go_backwards || options->time_major ||
        options->stateful || options->zero_output_for_mask)
        printf("  options:%s%s%s%s%s%s\n", options->return_sequences ? " return_sequences" : "",
               options->return_state ? " return_state" : "", options->go_backwards ? " go_backwards" : "",
               options->time_major ? " time_major" : "", options->stateful ? " stateful" : "",
               options->zero_output_for_mask ? " zero_output_for_mask" : "");
}

/* "input (None, None, 32), output (None, 1)". Several inputs and outputs have their names, and each output the node
   that computes it. */
static void print_ports(const struct graph *graph)
{
    char shape[64];
    for (size_t i = 0; i < graph->n_inputs; i++) {
        shape_of(&graph->inputs[i].shape, shape, sizeof shape);
        printf("input %s%s%s%s%s", graph->n_inputs > 1 ? graph->inputs[i].name : "", graph->n_inputs > 1 ? " " : "",
               shape, graph->inputs[i].shape.ids ? " of whole numbers" : "",
               graph->n_inputs + graph->n_outputs > 2 ? "\n" : ", ");
    }
    for (size_t o = 0; o < graph->n_outputs; o++) {
        shape_of(&graph->outputs[o].shape, shape, sizeof shape);
        if (graph->n_outputs == 1) {
            printf("output %s, ", shape);
        } else {
            printf("output %s %s from ", graph->outputs[o].name, shape);
            print_value(graph, graph->outputs[o].value);
            printf("\n");
        }
    }
    printf("parameters %zu\n", graph_parameters(graph));
}

static void print(const struct model *model)
{
    char keras[24] = "";
    const struct graph *graph = &model->graph;
    const bool chain = is_chain(graph);
    size_t one = 0, many = 0;
    if (model->keras_major)
        snprintf(keras, sizeof keras, ", Keras %d", model->keras_major);
    printf("Model: %s (%s), version %s%s, weights from %s\n%s\n", model->layer_name, model->class_name, model->version,
           keras, model->has_weights_file ? "its file" : "initializers", rule);
    printf("%-28s %-22s %-18s %-12s %10s %10s\n%s\n", "layer, cell", "class", "output", "states", "parameters", "bytes",
           rule);
    for (size_t i = 0; i < graph->n_layers; i++)
        print_layer(graph, i, chain);
    graph_scratch(graph, 1, &one);
    graph_scratch(graph, 64, &many);
    printf("%s\n", rule);
    print_ports(graph);
    printf("weights in memory for %s: %zu bytes; scratch memory of a worker: %zu bytes for 1 row, %zu for 64\n",
           graph->layers[0].vec->name, graph_bytes(graph), one, many);
}

/* The error of bf16 or int8 weights: compares the outputs for random batches with those of the same model in
   float32. */
static bool print_precision(const struct cli *cli, const struct model *model, struct problems *problems)
{
    enum { BATCH = 8, TIMESTEPS = 64 };
    const struct model_entry *entry = &cli->settings.models[cli->settings.n_models - 1];
    struct model_entry plain = *entry;
    struct model reference;
    struct trial got, want;
    double squares = 0, errors = 0, largest = 0;
    plain.precision = PACKED_FLOAT32;
    if (!model_load(&plain, NULL, model->graph.layers[0].vec, problems, &reference))
        return false;
    size_t timesteps = trial_timesteps(&model->graph, TIMESTEPS, NULL);
    if (!timesteps)
        timesteps = TIMESTEPS;
    bool good = trial_open(&got, &model->graph, BATCH, timesteps, 0);
    good = trial_open(&want, &reference.graph, BATCH, timesteps, 0) && good;
    if (good) {
        trial_run(&got, NULL);
        trial_run(&want, NULL);
        for (size_t i = 0; i < got.n_outputs; i++) {
            double exact = (double)want.outputs[i], error = fabs((double)got.outputs[i] - exact);
            squares += exact * exact;
            errors += error * error;
            largest = fmax(largest, error);
        }
        printf("%s weights: the outputs of %d random sequences differ from those with float32 by %.2g (relative rms), "
               "at most by %.2g\n",
               packed_format_name(entry->precision), BATCH, squares > 0 ? sqrt(errors / squares) : 0, largest);
    }
    trial_close(&got);
    trial_close(&want);
    model_close(&reference);
    return good;
}

int command_inspect(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct model model = {.name = NULL};
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0) {
        code = cli.positional ? EXIT_BAD_INPUT : EXIT_BAD_USAGE;
        if (cli_load_model(&cli, command, &model)) {
            print(&model);
            if (model.transform)
                printf("transform: %s\n", model.transform->shown);
            bool small = cli.settings.models[cli.settings.n_models - 1].precision != PACKED_FLOAT32;
            code = !small || print_precision(&cli, &model, &cli.problems) ? EXIT_GOOD : EXIT_BAD_INPUT;
        }
        model_close(&model);
    }
    cli_close(&cli);
    return code;
}
