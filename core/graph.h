/* A model is a graph: layers read values and compute new values. A chain of layers is a graph with one path. */
#ifndef RNN_GRAPH_H
#define RNN_GRAPH_H

#include "core/layers/layer.h"

enum { GRAPH_MAX_LAYERS = 1024, GRAPH_MAX_NODES = 4096, GRAPH_MAX_INPUTS = 64, GRAPH_NAME_BYTES = 64 };

/* No value, node or place. */
#define GRAPH_NONE SIZE_MAX

/* How a value depends on the timesteps of the input sequences. If there are several input sequences, their parts are
   fed together. */
enum graph_flow {
    FLOW_STATIC, /* independent of the timesteps */
    FLOW_TIMED,  /* timestep t of the value depends on timesteps 0 to t of the inputs */
    FLOW_LAST,   /* one vector for all timesteps so far: the last output of a recurrent layer */
    FLOW_WHOLE,  /* any other dependence: needs whole sequences */
};

/* A value between nodes: an input of the model, the output of a node, or the final states of a node. */
struct graph_value {
    size_t node;   /* the node that computes the value; GRAPH_NONE for an input of the model */
    size_t input;  /* the index of the input */
    bool states;   /* the value is the final states of the node, one vector [state_elems of its layer] */
    size_t base;   /* the value of which this value is a view; the value itself if it has its own memory */
    size_t place;  /* of a base: the buffer that holds it, assigned by liveness; GRAPH_NONE if an input or output holds
                      it */
    size_t output; /* of a base: the output in whose memory the value is computed, or GRAPH_NONE */
    enum graph_flow flow;
    bool masked; /* the mask of the value, if any, comes from a layer, not from the request alone */
};

/* One use of a layer on values. Nodes are in topological order. */
struct graph_node {
    size_t layer; /* the index of the layer; several nodes may share a layer */
    size_t *inputs, n_inputs;
    size_t initial;        /* a value with the initial states [state_elems]; GRAPH_NONE: use the states of the row */
    size_t output, states; /* the values that the node computes; states is GRAPH_NONE if no node reads the final
                              states */
    size_t second;         /* the second output tensor (attention scores), or GRAPH_NONE if the layer has none or no
                              node reads it */
    size_t state_offset;   /* offset within the states of a row; GRAPH_NONE if the states exist only during a run */
};

/* An input or an output of the model, under its own name. */
struct graph_port {
    char name[GRAPH_NAME_BYTES];
    struct layer_shape shape; /* of an output: with the model's own return_sequences */
    size_t value;
};

/* States that requests and answers contain: those of one direction of a recurrent layer, or the last inputs of a causal
   convolution. Recurrent layers come first, in the order of the nodes. */
struct graph_part {
    struct layer_states states;
    size_t node, state_offset;
    char name[LAYER_NAME_BYTES + 16]; /* "lstm", "bidirectional/forward", "lstm:1" the second time it is used */
};

/**
 * Layers with weights, and their connections. After graph_finish has returned RNN_OK, the graph is read-only and
 * threads share it.
 *
 * The states of one row are state_elems floats, in the order of the parts.
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
    size_t last_recurrent; /* the node to which return_sequences of a request applies; n_nodes if there is none */
    bool return_sequences; /* of last_recurrent, as the model file sets it */
    bool time_major;       /* arrays are [T][B][F]; only for a model of one RNN layer */
    bool two_outputs;      /* a Bidirectional whose directions are not merged: outputs[0] contains both directions, side
                              by side */
    bool streamable;       /* running one timestep at a time gives the same outputs; needed for :step */
    bool divisible;        /* running a row in parts gives the same outputs, if its states and `stepped` are kept
                              between the parts */
    bool inputs_anywhere;  /* the inputs of the rows need not be contiguous */
    bool outputs_anywhere; /* the outputs of the rows need not be contiguous */
};

/* ---- building: first the inputs, then the layers with their nodes in topological order, then the outputs. Each
   function returns GRAPH_NONE, NULL or false if out of memory, or if there are too many. ---- */

/* Add an input. Returns its value. The caller may complete the shape before it builds the layers. */
size_t graph_input(struct graph *graph, const char *name, const struct layer_shape *shape);

/* Add an empty layer without a node. The pointer is valid until the next layer is added. */
struct layer *graph_layer(struct graph *graph);

/* Add a node that applies layer `layer` to n values. Returns the value of its output. */
size_t graph_node(struct graph *graph, size_t layer, const size_t *inputs, size_t n);

/* graph_states returns the final states of the node that computes `output`, as a value. graph_initial sets the value
   from which this node takes its initial states. */
size_t graph_states(struct graph *graph, size_t output);
void graph_initial(struct graph *graph, size_t output, size_t states);

/* The value of the second output tensor of the node that computes `output`. Returns GRAPH_NONE also if its layer has
   only one. */
size_t graph_second(struct graph *graph, size_t output);

bool graph_output(struct graph *graph, const char *name, size_t value);

/* Add the next layer of a chain, empty, with a node. The node reads the output of the last node, or the first input. */
struct layer *graph_add(struct graph *graph);

/* Call after all layers are built. Computes offsets, options and the shapes of the outputs. A graph without outputs
   gets the output of the last node. Returns RNN_ESHAPE if layers do not fit together. */
enum rnn_status graph_finish(struct graph *graph, struct rnn_error *err);

/* ---- shapes ---- */

/* Compute the shapes of the outputs, out [n_outputs]. timesteps [n_inputs] are those of the inputs; NULL or 0 means as
   declared. sequences: whether the last recurrent layer returns sequences. scratch [n_values] is work space; if NULL,
   the function allocates it. Returns RNN_ESHAPE with an error sentence if a layer does not accept its input shape. */
enum rnn_status graph_output_shapes(const struct graph *graph, const size_t *timesteps, bool sequences,
                                    struct layer_shape *scratch, struct layer_shape *out, struct rnn_error *err);

/* The input shapes of node i, in [n_inputs of the node], and its output shape, with the model's own return_sequences.
   out may be NULL. May be called before graph_finish. */
enum rnn_status graph_node_shapes(const struct graph *graph, size_t i, const size_t *timesteps, struct layer_shape *in,
                                  struct layer_shape *out, struct rnn_error *err);

/* The first node of a layer. */
size_t graph_node_of(const struct graph *graph, size_t layer);

/* ---- running ---- */

/* The bytes of arena that a run of up to `rows` rows needs. graph_work needs a part of them. Returns false if the size
   overflows. */
bool graph_scratch(const struct graph *graph, size_t rows, size_t *bytes);

/* Memory for the values between the nodes, for one group of rows. */
struct graph_work {
    size_t floats, masks, views; /* numbers of floats, of bytes, and of structs layer_view */
};

/* One run. The caller owns all memory that it points to. */
struct graph_run {
    bool sequences; /* whether the last recurrent layer returns sequences */
    struct graph_work work;
    float *floats;                        /* [work.floats] */
    unsigned char *masks;                 /* [work.masks] */
    struct layer_view *views;             /* [work.views] */
    struct rnn_row **order;               /* [n] */
    const struct layer_view *more_inputs; /* [n_inputs - 1][n]: the inputs after the first */
    float *const *more_outputs;           /* [n_outputs - 1][n]: memory for the outputs after the first */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* called between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* The bytes of this memory. */
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
 * rows  The caller sets inputs (of the first input), timesteps, mask, states and outputs (of the first output); see
 *       rnn_row. The inputs of the rows are contiguous unless inputs_anywhere, the outputs unless outputs_anywhere. Ids
 *       are within the vocabulary. The run changes the rows: afterwards only states, outputs and taken are valid.
 *
 * The result of a row does not depend on the other rows, to the bit. Returns false if the run was stopped.
 */
bool graph_run(const struct graph *graph, const struct graph_run *run, struct rnn_row *rows, size_t n);

/* ---- properties ---- */

/* A rough estimate: the nanoseconds that one thread needs for one timestep of so many rows. */
double graph_step_ns(const struct graph *graph, size_t rows);

size_t graph_parameters(const struct graph *graph);
size_t graph_bytes(const struct graph *graph);

/* The size of the vocabulary of an input that takes ids; 0 if the input takes no ids. */
size_t graph_vocabulary(const struct graph *graph, size_t input);

/* The layer that computes the numbers of an output. */
const struct layer *graph_last_layer(const struct graph *graph, size_t output);

void graph_close(struct graph *graph);

#endif
