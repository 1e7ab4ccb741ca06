/* The weights and activations of a recurrent node as those of our cells. */
#ifndef CONFIG_ONNX_RECURRENT_WEIGHTS_H
#define CONFIG_ONNX_RECURRENT_WEIGHTS_H

#include "call.h"

#include "core/layers/recurrent.h"

/* What the three operators differ in. */
struct onnx_recurrent_kind {
    const struct cell_class *cell;
    const char *class_name;
    size_t gates, states, functions; /* functions: activations of one direction */
    size_t order[4];                 /* ONNX's gate that is our i-th */
    const char *defaults[3];
};
extern const struct onnx_recurrent_kind onnx_recurrent_kinds[]; /* LSTM, GRU, RNN */

/* A node while it is read. */
struct onnx_recurrent {
    struct onnx_call *call;
    const struct onnx_recurrent_kind *kind;
    bool layout; /* the batch comes first */
    bool reverse;
    bool lengths; /* timesteps beyond a row's length do not count, and give zeros */
    size_t directions, units, features;
    struct onnx_number timesteps;
    size_t x; /* [timesteps, features], of the graph */
};

/* Sizes by the weights, which have to fit each other. False with a problem. */
bool onnx_recurrent_sizes(struct onnx_recurrent *r);

/* The layer, with its weights; its node is to be added next. False with a problem. */
bool onnx_recurrent_layer(const struct onnx_recurrent *r, bool sequences, size_t *layer);

#endif
