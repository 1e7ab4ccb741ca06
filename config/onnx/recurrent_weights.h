/* Converts the weights and activations of a recurrent node to those of core's cells. */
#ifndef CONFIG_ONNX_RECURRENT_WEIGHTS_H
#define CONFIG_ONNX_RECURRENT_WEIGHTS_H

#include "call.h"

#include "core/layers/recurrent.h"

/* The differences between the three operators. */
struct onnx_recurrent_kind {
    const struct cell_class *cell;
    const char *class_name;
    size_t gates, states, functions; /* functions: the number of activations of one direction */
    size_t order[4];                 /* ONNX's gate that is our i-th */
    const char *defaults[3];
};
extern const struct onnx_recurrent_kind onnx_recurrent_kinds[]; /* LSTM, GRU, RNN */

/* The state of reading a node. */
struct onnx_recurrent {
    struct onnx_call *call;
    const struct onnx_recurrent_kind *kind;
    bool layout; /* the batch comes first */
    bool reverse;
    bool lengths; /* timesteps beyond a row's length are masked, and their outputs are zeros */
    size_t directions, units, features;
    struct onnx_number timesteps;
    size_t x; /* [timesteps, features], a value of the graph */
};

/* Find the sizes from the weights, which must fit each other. Returns false with a problem added. */
bool onnx_recurrent_sizes(struct onnx_recurrent *r);

/* Add the layer, with its weights. The caller adds its node next. Returns false with a problem added. */
bool onnx_recurrent_layer(const struct onnx_recurrent *r, bool sequences, size_t *layer);

#endif
