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

#endif
