/* TimeDistributed: a graph of layers on every timestep of a sequence by itself. A layer that works feature by feature
   (Dense, an activation) needs none of this: it sees all timesteps as they are. */
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
    /* built */
    struct graph_work work; /* of a group of timesteps */
};

extern const struct layer_class layer_time_distributed;

/* The inner layer and its own tensor that tensor i is; false past the last. What training changes comes first. */
bool time_distributed_find(const struct time_distributed *own, size_t i, size_t *layer, size_t *tensor);

/* ---- for other layers whose own struct begins with a struct time_distributed ---- */

/* One timestep of an input as a row of the inner graph; false where it is no sequence. */
bool time_distributed_timestep(const struct layer_shape *in, struct layer_shape *out);

/* Tensor i; and building the inner layers and finishing the inner graph. */
bool time_distributed_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out);
enum rnn_status time_distributed_layers(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                        struct rnn_error *err);

#endif
