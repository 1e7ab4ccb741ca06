/* A model is a graph: layers that take values and give values. A chain of layers is the graph with one path. */
#ifndef RNN_GRAPH_H
#define RNN_GRAPH_H

#include "core/layers/layer.h"

enum { GRAPH_MAX_LAYERS = 1024, GRAPH_MAX_INPUTS = 64, GRAPH_NAME_BYTES = 64 };

/* No value, node or place. */
#define GRAPH_NONE SIZE_MAX

/* How a value depends on the timesteps of the sequences that go in. Parts of several sequences go in together. */
enum graph_flow {
    FLOW_STATIC, /* not at all */
    FLOW_TIMED,  /* its timestep t on the timesteps up to t */
    FLOW_LAST,   /* on all timesteps so far: the last output of a recurrent layer */
    FLOW_WHOLE,  /* in another way, so that it needs whole sequences */
};

/* A value between nodes: an input of the model, the output of a node, or the final states of a node. */
struct graph_value {
    size_t node;   /* that gives it; GRAPH_NONE: an input */
    size_t input;  /* which input it is */
    bool states;   /* the final states of the node, one vector [state_elems of its layer] */
    size_t base;   /* the value of which it is a view in another shape; itself if it has its own numbers */
    size_t place;  /* of a base: which buffer holds its numbers, by liveness; GRAPH_NONE: those of an input or output */
    size_t output; /* of a base: the output whose memory it is written to; GRAPH_NONE */
    enum graph_flow flow;
};

/* One use of a layer on values. Nodes are in topological order. */
struct graph_node {
    size_t layer; /* which; several nodes may share one */
    size_t *inputs, n_inputs;
    size_t initial;        /* a value with the initial states [state_elems]; GRAPH_NONE: those of the row */
    size_t output, states; /* values that it gives; states: GRAPH_NONE where nothing takes them */
    size_t second;         /* of a layer that gives two tensors (attention scores): the other; GRAPH_NONE likewise */
    size_t state_offset;   /* within the states of a row; GRAPH_NONE: its states belong to the run alone */
};

/* An input or an output of the model, under its own name. */
struct graph_port {
    char name[GRAPH_NAME_BYTES];
    struct layer_shape shape; /* of an output: with the model's own return_sequences */
    size_t value;
};

/* States that requests give and answers show: those of one direction of a recurrent layer, or the last inputs of a
   causal convolution. Recurrent ones come first, in the order of the nodes. */
struct graph_part {
    struct layer_states states;
    size_t node, state_offset;
    char name[LAYER_NAME_BYTES + 16]; /* "lstm", "bidirectional/forward", "lstm:1" the second time it is used */
};

/**
 * Layers with weights, and how they are joined. Read-only once graph_finish has said RNN_OK; threads share it.
 *
 * The states of one row are state_elems floats, part after part.
 */
struct graph {
    struct layer *layers;
    struct graph_value *values;
    struct graph_node *nodes;
    struct graph_port *inputs, *outputs;
    size_t n_layers, n_values, n_nodes, n_inputs, n_outputs;

    /* set by graph_finish */
    struct graph_part *parts;
    size_t n_parts, state_elems;
    size_t places;         /* buffers that values share */
    size_t last_recurrent; /* the node that return_sequences of a request acts on; n_nodes when there is none */
    bool return_sequences; /* its own */
    bool time_major;       /* [T][B][F]; a model of one RNN layer alone */
    bool two_outputs;      /* a Bidirectional whose directions are not merged: outputs[0] is both, side by side */
    bool streamable;       /* running one timestep at a time gives the same outputs; see :step */
    bool divisible;        /* running rows in parts gives the same outputs, with their states carried over, and
                              `stepped` */
    bool inputs_anywhere;  /* rows' inputs need not be contiguous, */
    bool outputs_anywhere; /* rows' outputs need not either */
};

/* ---- making one: inputs, then layers with their nodes in topological order, then outputs. Each returns GRAPH_NONE or
   NULL when memory is short or there are too many. ---- */

/* An input; its value. Its shape may be completed before the layers are built. */
size_t graph_input(struct graph *graph, const char *name, const struct layer_shape *shape);

/* A new layer, empty, without a node. The pointer holds until the next layer is added. */
struct layer *graph_layer(struct graph *graph);

/* A node of layer `layer` that takes n values; the value of its output. */
size_t graph_node(struct graph *graph, size_t layer, const size_t *inputs, size_t n);

/* The value of the final states of the node that gives `output`; and that node's initial states from a value. */
size_t graph_states(struct graph *graph, size_t output);
void graph_initial(struct graph *graph, size_t output, size_t states);

/* The value of the second tensor of the node that gives `output`; GRAPH_NONE too where its layer gives one alone. */
size_t graph_second(struct graph *graph, size_t output);

bool graph_output(struct graph *graph, const char *name, size_t value);

/* The next layer of a chain, empty, with a node that takes what the last one gives, or the first input. */
struct layer *graph_add(struct graph *graph);

/* When every layer is built: offsets, options, what comes out (without outputs, what the last node gives).
   RNN_ESHAPE for layers that do not fit together. */
enum rnn_status graph_finish(struct graph *graph, struct rnn_error *err);

/* ---- shapes ---- */

/* What comes out for inputs of these timesteps [n_inputs] (NULL, or 0: as declared), when the last recurrent layer gives
   sequences or not; out [n_outputs]; scratch [n_values], or NULL: memory of its own. RNN_ESHAPE with a sentence where a
   layer does not take that. */
enum rnn_status graph_output_shapes(const struct graph *graph, const size_t *timesteps, bool sequences,
                                    struct layer_shape *scratch, struct layer_shape *out, struct rnn_error *err);

/* What goes into node i, in [n_inputs of the node], and comes out of it, with the model's own return_sequences; out may be
   NULL. Also before the graph is finished. */
enum rnn_status graph_node_shapes(const struct graph *graph, size_t i, const size_t *timesteps, struct layer_shape *in,
                                  struct layer_shape *out, struct rnn_error *err);

/* The first node of a layer. */
size_t graph_node_of(const struct graph *graph, size_t layer);

/* ---- running ---- */

/* Bytes of arena for groups of up to rows rows, of which graph_work needs a part; false when that does not fit. */
bool graph_scratch(const struct graph *graph, size_t rows, size_t *bytes);

/* Memory for the values between the nodes, for one group of rows. */
struct graph_work {
    size_t floats, masks, views; /* floats; bytes; structs layer_view */
};

/* One run. The caller owns all memory that it points to. */
struct graph_run {
    bool sequences; /* of the last recurrent layer */
    struct graph_work work;
    float *floats;                        /* [work.floats] */
    unsigned char *masks;                 /* [work.masks] */
    struct layer_view *views;             /* [work.views] */
    struct rnn_row **order;               /* [n] */
    const struct layer_view *more_inputs; /* [n_inputs - 1][n]: of the inputs after the first */
    float *const *more_outputs;           /* [n_outputs - 1][n]: where those after the first go */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* called between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* Bytes of that. */
static inline size_t graph_work_bytes(const struct graph_work *work)
{
    return work->floats * sizeof(float) + work->masks + work->views * sizeof(struct layer_view);
}

/* Raise *work to the needs of these rows; more_inputs as in graph_run. Returns false if a size does not fit. A run
   needs only this memory and the arena, and allocates nothing. */
bool graph_work(const struct graph *graph, const struct rnn_row *rows, const struct layer_view *more_inputs, size_t n,
                bool sequences, struct arena *arena, struct graph_work *work);

/**
 * Run the graph for a group of rows.
 *
 * rows  inputs (of the first input), timesteps, mask, states and outputs (of the first output) are set; for the rest of
 *       their meaning see rnn_row. Inputs of the rows lie one after the other unless inputs_anywhere, outputs unless
 *       outputs_anywhere. Ids are within the vocabulary. The rows are used up: afterwards only states, outputs and taken
 *       mean anything.
 *
 * A row's result has the same bits whatever the other rows are. Returns false if the run was stopped.
 */
bool graph_run(const struct graph *graph, const struct graph_run *run, struct rnn_row *rows, size_t n);

/* ---- what it says of itself ---- */

/* Roughly, how many nanoseconds one timestep of so many rows takes one thread. */
double graph_step_ns(const struct graph *graph, size_t rows);

size_t graph_parameters(const struct graph *graph);
size_t graph_bytes(const struct graph *graph);

/* The vocabulary of an input that takes ids; 0: it takes none. */
size_t graph_vocabulary(const struct graph *graph, size_t input);

/* The layer that computes the numbers of an output. */
const struct layer *graph_last_layer(const struct graph *graph, size_t output);

void graph_close(struct graph *graph);

#endif
