/* Layers of a model: how one is configured, which weights it takes, how it runs. */
#ifndef RNN_LAYER_H
#define RNN_LAYER_H

#include "core/cells/recurrence.h"

struct layer_class;

/* What becomes of masks: see keras/engine/base_layer.py, supports_masking. PASS: of the first input, where the output has
   its timesteps. MADE: the layer's run sets the masks of what it gives. */
enum layer_masks { MASKS_PASS, MASKS_STOP, MASKS_MADE };

/* How a layer goes through the timesteps of a sequence: each by itself; from one to the next with states (or the last
   inputs) carried along; to the last alone; or in another way, so that it needs them all. */
enum layer_time { TIME_WHOLE, TIME_POINTWISE, TIME_CARRIED, TIME_LAST };

/* A timestep is a tensor of up to so many axes; with time itself one more. */
enum { LAYER_MAX_DIMS = 4, LAYER_MAX_AXES = LAYER_MAX_DIMS + 1 };

/**
 * What flows between layers for one row: a sequence of vectors [timesteps, width], or one vector [width].
 *
 * Tensors of more axes are sequences along their first axis: rank is 2 or more then, and dims are the axes of a
 * timestep, whose product is width. Rank 0 and 1 are vectors, but for scalars (a sequence of numbers, or one number).
 */
struct layer_shape {
    bool sequence;
    bool scalar;      /* a timestep has no axis; width is 1 */
    bool ids;         /* of a model's input: whole numbers for an Embedding; scalar too */
    size_t timesteps; /* 0: any number; 1 for a vector */
    size_t width;     /* 0: not known, which only a configuration without weights can leave so */
    size_t rank, dims[LAYER_MAX_DIMS];
};

/* The axes after the batch, timesteps first where there are such; how many. */
size_t layer_axes(const struct layer_shape *shape, size_t axes[LAYER_MAX_AXES]);

/* A tensor of these axes: two or more are a sequence, one is a vector, none a number. False when they are too many, or
   their product does not fit. */
bool layer_shape_of(size_t n, const size_t *axes, struct layer_shape *out);

/* The size of the last axis, along which Dense and others work; and the same shape with another last axis. */
size_t layer_features(const struct layer_shape *shape);
bool layer_set_features(struct layer_shape *shape, size_t features);

enum { LAYER_NAME_BYTES = 64, LAYER_MAX_PARTS = 2 };

/**
 * A layer, first configured under Keras's names, then built with its weights.
 *
 * Options and weights of a class lie in a struct of its own behind `own` (core/layers/dense.h and so on); layer_open
 * makes that, config fills its options, layer_build its weights, layer_close frees it. Read-only once built; threads
 * share it.
 */
struct layer {
    const struct layer_class *class;
    void *own;
    char class_name[32], name[LAYER_NAME_BYTES];
    bool only_sequences;       /* TimeDistributed(Dense) takes no single vector */
    size_t n_inputs;           /* of its nodes */
    enum layer_masks masks;    /* of its class, unless the Keras that wrote it does otherwise */
    enum packed_format format; /* of the matrices of Dense and recurrent layers */

    /* set when built */
    bool built;
    size_t input_size; /* last axis of the first input */
    struct layer_shape input;
    size_t state_elems; /* of all parts */
    const struct vec_ops *vec;
};

/* A weight tensor that a layer takes: its name below the layer's path. */
struct layer_tensor {
    char name[128];
    size_t rank, shape[LAYER_MAX_DIMS];
    const char *below;  /* the group of it below its layer's in Keras 3's files: "cell/"; NULL: none */
    size_t below_first; /* which tensor of the layer is the first of that group */
    bool frozen;        /* no training changes it: a moving mean, a moving variance */
    const struct initializer *initializer;
    /* of recurrent layers: the cell whose tensor it is, the leaf-th below the root of its part */
    const struct rnn_cell_spec *cell, *root;
    struct cell_tensor of_cell;
    size_t part, leaf;
    const char *direction; /* "forward", "backward", or "" where the layer has one part */
};

/* A value of one row: timestep t begins at at + t * stride; it counts where mask is NULL or mask[t * mask_stride] is
   not 0. */
struct layer_view {
    float *at;
    size_t timesteps, stride;
    const unsigned char *mask;
    size_t mask_stride;
};

/**
 * One pass of a layer over a group of rows.
 *
 * in    [inputs of the node][n], in_shapes beside them with the timesteps that were declared. What rows take in lies one
 *       after the other, but for classes with inputs_anywhere.
 * out   [n], timesteps set and mask as the class has it; rows lie one after the other, but for a recurrent layer that is
 *       the only one.
 */
struct layer_run {
    const struct layer_view *const *in;
    const struct layer_shape *in_shapes;
    struct layer_view *out;
    struct layer_view *second; /* [n] what class->second describes; NULL: nothing takes it */
    const struct layer_shape *out_shape;
    size_t n_inputs, n;
    size_t vectors;         /* of the first input, along its last axis, of all rows together */
    struct rnn_row *rows;   /* [n], for recurrent layers: states and `stepped` are set, all else is work space */
    struct rnn_row **order; /* [n], work space */
    bool sequences;         /* of a recurrent layer: every timestep's output */
    unsigned char *masks;   /* for layers that make masks: as many bytes as all rows have timesteps, in or out */
    float *aux;             /* what class->aux asks for */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* asked between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* Floats of work space: for each row, and once for all; in [inputs] are the shapes of one row. */
struct layer_aux {
    size_t row, once;
};

/* States of a layer that go with a row: cells in the order of the leaves of spec, that at leaf_offsets. */
struct layer_states {
    const struct rnn_cell_spec *spec;
    const size_t *leaf_offsets;
    size_t elems;
    const struct rnn_recurrence *recurrence; /* NULL: last inputs of a convolution */
};

/* What a layer type provides; functions that do nothing are NULL. A new layer is one file here and one row in the table
   of config/keras/layer.c. */
struct layer_class {
    size_t size; /* of the struct behind layer->own; 0: none */
    enum layer_masks masks;
    bool pointwise;       /* every vector by itself; else `time` says how the layer goes through time */
    bool view;            /* the numbers stay as they are, in another shape: nothing is run */
    bool inputs_anywhere; /* rows' inputs need not lie one after the other */
    bool numbers;         /* takes ids too, as the numbers that they are */
    bool takes_parts;     /* may follow a Bidirectional with two outputs, of which it takes some features */
    size_t most_inputs;   /* of a node; 0: one */
    /* Defaults of the options; *own is zeros. */
    void (*defaults)(void *own);
    /* Free what own points to, configured or built. */
    void (*close)(void *own);
    /* The i-th weight tensor in Keras's order, for inputs of these shapes; false past the last. */
    bool (*tensor)(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);
    /* What comes out; *out is in[0] at first. sequences is the option of a recurrent layer. RNN_ESHAPE with a sentence. */
    enum rnn_status (*shape)(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);
    /* Of a layer that gives two tensors, the shape of the second; in is checked. */
    enum rnn_status (*second)(const struct layer *layer, const struct layer_shape *in, struct layer_shape *out,
                              struct rnn_error *err);
    /* tensors in the order of `tensor`; borrowed. */
    enum rnn_status (*build)(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                             struct rnn_error *err);
    /* Bytes of the built weights. */
    size_t (*bytes)(const struct layer *layer);
    /* Bytes of arena for rows rows; false when that does not fit. */
    bool (*scratch)(const struct layer *layer, size_t rows, size_t *bytes);
    /* What layer_run.aux has to hold; false when that does not fit. *aux is zeros. */
    bool (*aux)(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux);
    /* From in to out. False when told to stop. NULL: nothing is computed, as in a Dropout. */
    bool (*run)(const struct layer *layer, struct layer_run *run);
    /* How a layer that is not pointwise, or a view, goes through time; NULL: it needs whole sequences. */
    enum layer_time (*time)(const struct layer *layer);
    /* The states of part p; false past the last. A Bidirectional has two. */
    bool (*states)(const struct layer *layer, size_t p, struct layer_states *out);

    /* Of recurrent layers: the recurrence of part p, configured or built; NULL past the last. */
    const struct rnn_recurrence *(*part)(const struct layer *layer, size_t p);
    /* Whether the parts' outputs are two tensors side by side: merge_mode null. */
    bool (*two_outputs)(const struct layer *layer);
    /* Of a layer that takes ids: how many there are. */
    size_t (*vocabulary)(const struct layer *layer);
    /* The function that the outputs have gone through last. */
    const struct activation *(*activation)(const struct layer *layer);
};

/* What a Dropout is at inference: its class has no functions. */
extern const struct layer_class layer_identity;

/* Make an empty layer one of a class, with the class's defaults. RNN_ENOMEM leaves it an identity. */
enum rnn_status layer_open(struct layer *layer, const struct layer_class *class, struct rnn_error *err);

/* What a layer says of itself; each answers for layers of any class. */
const struct rnn_recurrence *layer_part(const struct layer *layer, size_t p); /* NULL past the last */
size_t layer_parts(const struct layer *layer);
bool layer_takes_ids(const struct layer *layer);
const struct activation *layer_activation_of(const struct layer *layer); /* NULL: none */
enum layer_time layer_time_of(const struct layer *layer);
bool layer_states_at(const struct layer *layer, size_t p, struct layer_states *out);
size_t layer_state_elems(const struct layer *layer); /* of all parts */

/* class->tensor, and no more where there is none. */
bool layer_tensor_at(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);

/* Elements of a tensor; false when they do not fit a size_t. */
bool layer_tensor_elements(const struct layer_tensor *tensor, size_t *elements);

/* Fill a tensor from its initializer; path is its full name. */
enum rnn_status layer_tensor_initialize(const struct layer_tensor *tensor, uint64_t seed, const char *path, float *out,
                                        struct rnn_error *err);

/* Build for inputs of these shapes. The layer is closed when it fails. */
enum rnn_status layer_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                            const struct vec_ops *vec, struct rnn_error *err);

/* What comes out of a layer for inputs of these shapes; also checks what goes in. */
enum rnn_status layer_output(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);

/* Of a built layer: weights, as Keras counts parameters, and bytes as they lie in memory. */
size_t layer_parameters(const struct layer *layer);
size_t layer_bytes(const struct layer *layer);

void layer_close(struct layer *layer);

#endif
