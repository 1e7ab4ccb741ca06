/* The model of the fuzz targets. */
#include "model.h"

#include <stdlib.h>

/* SimpleRNN(2), [LSTM(2), GRU(1)] over two features. */
static struct rnn_cell_spec *spec(void)
{
    static const struct cell_class *const classes[] = {&cell_simple_rnn, &cell_lstm, &cell_gru};
    struct rnn_cell_spec *outer = rnn_cell_spec_new(NULL), *inner = rnn_cell_spec_new(NULL), *leaves[3];
    for (size_t i = 0; i < 3; i++) {
        leaves[i] = rnn_cell_spec_new(classes[i]);
        leaves[i]->units = i < 2 ? 2 : 1;
    }
    outer->cells = calloc(2, sizeof *outer->cells);
    inner->cells = calloc(2, sizeof *inner->cells);
    outer->cells[0] = leaves[0];
    outer->cells[1] = inner;
    inner->cells[0] = leaves[1];
    inner->cells[1] = leaves[2];
    outer->n_cells = inner->n_cells = 2;
    return outer;
}

const struct model *fuzz_model(void)
{
    static struct model model;
    static const float zeros[64];
    const float *tensors[9];
    for (size_t i = 0; i < 9; i++)
        tensors[i] = zeros;
    if (!model.name) {
        const struct layer_shape shape = {.sequence = true, .width = 2};
        graph_input(&model.graph, "inputs", &shape);
        struct layer *layer = graph_add(&model.graph);
        model.name = "m";
        if (layer_open(layer, &layer_recurrent, NULL))
            abort();
        recurrent_of(layer)->cells[0] = spec();
        recurrent_of(layer)->n_parts = 1;
        if (layer_build(layer, &shape, tensors, &vec_c, NULL) || graph_finish(&model.graph, NULL))
            abort();
    }
    return &model;
}
