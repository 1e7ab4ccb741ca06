/* inspect: a table of the cells, in the manner of Keras's model.summary(). */
#include "cli.h"

#include <string.h>

/* "128, 128" */
static void state_text(const struct rnn_cell *cell, char *out, size_t size)
{
    size_t n = 0;
    for (size_t s = 0; s < cell->class->states && n < size; s++)
        n += (size_t)snprintf(out + n, size - n, "%s%zu", s ? ", " : "", cell->units);
}

static void print(const struct model *model)
{
    static const char rule[] =
        "_________________________________________________________________________________________";
    const struct rnn_layer *layer = &model->layer;
    const struct rnn_stack *stack = &layer->stack;
    printf("Model: %s (%s), version %s, Keras %d, weights from %s\n%s\n", model->layer_name, model->class_name,
           model->version, model->keras_major, model->has_weights_file ? "its file" : "initializers", rule);
    printf("%-24s %-14s %8s %12s %12s %12s\n%s\n", "cell", "class", "output", "states", "parameters", "bytes", rule);
    for (size_t i = 0; i < stack->n_cells; i++) {
        char path[256], states[64];
        const struct rnn_cell *cell = &stack->cells[i];
        const struct rnn_cell_spec *spec = rnn_cell_spec_leaf(stack->spec, i, path, sizeof path);
        state_text(cell, states, sizeof states);
        printf("%-24s %-14s %8zu %12s %12zu %12zu\n", path, cell->class->keras_name, cell->units, states,
               cell_parameters(spec, cell->input_size), rnn_cell_bytes(cell));
    }
    size_t one = 0, many = 0;
    rnn_layer_scratch(layer, 1, &one);
    rnn_layer_scratch(layer, 64, &many);
    printf("%s\ninput features %zu, outputs %zu%s, parameters %zu\n", rule, stack->input_size, stack->output_size,
           layer->return_sequences ? " a timestep" : "", rnn_stack_parameters(stack));
    printf("weights as packed for %s: %zu bytes; a worker's scratch: %zu bytes for 1 row, %zu for 64\n",
           stack->cells[0].vec->name, rnn_stack_bytes(stack), one, many);
    printf("options:%s%s%s%s%s%s\n", layer->return_sequences ? " return_sequences" : "",
           layer->return_state ? " return_state" : "", layer->go_backwards ? " go_backwards" : "",
           layer->time_major ? " time_major" : "", layer->stateful ? " stateful" : "",
           layer->zero_output_for_mask ? " zero_output_for_mask" : "");
}

int command_inspect(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct model model = {0};
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0) {
        code = cli.positional ? EXIT_BAD_INPUT : EXIT_BAD_USAGE;
        if (cli_load_model(&cli, command, &model)) {
            print(&model);
            code = EXIT_GOOD;
        }
        model_close(&model);
    }
    cli_close(&cli);
    return code;
}
