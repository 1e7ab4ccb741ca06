/* TimeDistributed: applies a graph of layers to each timestep of a sequence separately. Layers that treat each timestep
   alike anyway (Dense, an activation) do not need TimeDistributed. */
#ifndef RNN_TIME_DISTRIBUTED_H
#define RNN_TIME_DISTRIBUTED_H

#include "graph.h"

/* How files name an inner layer. */
struct time_distributed_name {
    char group[224];  /* "layer", "layer/layers/conv2d" */
    char tensors[96]; /* "layer.", "layer.layers.0." */
};

/* The own struct of layer_time_distributed. The graph has one input and one output. */
struct time_distributed {
    struct graph graph;
    struct time_distributed_name *names; /* [layers of the graph] */
    /* set by building */
    struct graph_work work; /* the memory for a group of timesteps */
};

extern const struct layer_class layer_time_distributed;

/* Find the inner layer, and the index of the tensor in this layer, of tensor i. Returns false if i is past the last.
   Trainable tensors come first. */
bool time_distributed_find(const struct time_distributed *own, size_t i, size_t *layer, size_t *tensor);

/* ---- for other layers whose own struct begins with a struct time_distributed ---- */

/* The shape of one timestep of an input, which is a row of the inner graph. Returns false if the input is not a
   sequence. */
bool time_distributed_timestep(const struct layer_shape *in, struct layer_shape *out);

/* time_distributed_tensor describes tensor i. time_distributed_layers builds the inner layers and finishes the inner
   graph. */
bool time_distributed_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out);
enum rnn_status time_distributed_layers(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                        struct rnn_error *err);

#endif
