/* A model: a chain of layers, as a Sequential model has them; a lone RNN layer or stack is a chain of one. */
#ifndef RNN_GRAPH_H
#define RNN_GRAPH_H

#include "core/layers/layer.h"

enum { GRAPH_MAX_LAYERS = 256 };

/* One direction of one recurrent layer, in model order; whose states stand at state_offset of a row's states. */
struct graph_part {
    const struct rnn_recurrence *layer;
    size_t state_offset;
    char name[LAYER_NAME_BYTES + 12]; /* "lstm", "bidirectional/forward" */
};

/**
 * A chain of layers with weights. Read-only once graph_finish has said RNN_OK; threads share it.
 *
 * The states of one row are state_elems floats, part after part, in a part as rnn_stack says.
 */
struct graph {
    struct layer_shape input;
    struct layer *layers;
    size_t n_layers;

    /* set by graph_finish */
    struct graph_part *parts;
    size_t n_parts, state_elems;
    size_t last_recurrent;     /* index of the last recurrent layer; n_layers when there is none */
    struct layer_shape output; /* with the model's own return_sequences */
    bool return_sequences;     /* of the last recurrent layer */
    bool time_major;           /* [T][B][F]; a model of one RNN layer alone */
    bool two_outputs;          /* a Bidirectional whose directions are not merged: output.width is both */
    bool streamable;           /* one timestep at a time gives the same; see :step */
    bool divisible;            /* so do rows that are run in parts, with their states carried over, and `stepped` */
    bool inputs_anywhere;      /* rows' inputs need not lie one after the other, */
    bool outputs_anywhere;     /* rows' outputs need not either */
};

/* The next layer of the graph, empty; NULL when there are GRAPH_MAX_LAYERS or memory is short. input is set before the
   layers are built. */
struct layer *graph_add(struct graph *graph);

/* When every layer is built: offsets, options, what comes out. RNN_ESHAPE for layers that do not fit together. */
enum rnn_status graph_finish(struct graph *graph, struct rnn_error *err);

/* What comes out for `timesteps` (0: any number), when the last recurrent layer gives sequences or not. RNN_ESHAPE with
   a sentence where a later layer does not take that. */
enum rnn_status graph_output(const struct graph *graph, size_t timesteps, bool sequences, struct layer_shape *out,
                             struct rnn_error *err);

/* What goes into layer i; also before the model is finished. */
enum rnn_status graph_shape_before(const struct graph *graph, size_t i, struct layer_shape *out, struct rnn_error *err);

/* Bytes of arena for groups of up to rows rows; false when that does not fit. */
bool graph_scratch(const struct graph *graph, size_t rows, size_t *bytes);

/* Memory for what flows between the layers, for one group of rows; none for a model of one layer. */
struct graph_work {
    size_t floats; /* of each of the two buffers that layers write in turn */
    size_t aux;    /* floats */
    size_t masks;  /* bytes */
};

/* Raise *work to what these rows need; false when that does not fit. */
bool graph_work(const struct graph *graph, const struct rnn_row *rows, size_t n, bool sequences,
                struct graph_work *work);

/* One run. buffers and order are the caller's. */
struct graph_run {
    bool sequences; /* of the last recurrent layer */
    struct graph_work work;
    float *floats;          /* [2 work.floats + work.aux] */
    unsigned char *masks;   /* [work.masks] */
    struct rnn_row **order; /* [n] */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* asked between chunks of timesteps; may be NULL */
    void *stop_context;
};

/**
 * Take a group of rows through the model.
 *
 * rows  inputs, timesteps, mask, states and outputs are set; for the rest of their meaning see rnn_row. Inputs of the
 *       rows lie one after the other unless inputs_anywhere, outputs unless outputs_anywhere. Ids are within the
 *       vocabulary. The rows are used up: afterwards only states, outputs and taken mean anything.
 *
 * A row's result has the same bits whatever the other rows are. False when told to stop.
 */
bool graph_run(const struct graph *graph, const struct graph_run *run, struct rnn_row *rows, size_t n);

/* Roughly, how many nanoseconds one timestep of so many rows takes one thread. */
double graph_step_ns(const struct graph *graph, size_t rows);

size_t graph_parameters(const struct graph *graph);
size_t graph_bytes(const struct graph *graph);

/* The vocabulary of a model that takes ids. */
size_t graph_vocabulary(const struct graph *graph);

void graph_close(struct graph *graph);

#endif
