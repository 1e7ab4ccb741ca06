/* Layers of a model: their configuration, their weights, and how they run. */
#ifndef RNN_LAYER_H
#define RNN_LAYER_H

#include "core/cells/recurrence.h"

struct layer_class;

/* The mask of a layer's output: see keras/engine/base_layer.py, supports_masking. PASS: the mask of the first input, if
   the output has its timesteps. MADE: the layer's run sets the masks of its outputs. */
enum layer_masks { MASKS_PASS, MASKS_STOP, MASKS_MADE };

/* How the outputs of a layer depend on the timesteps: each output on its own timestep; on earlier timesteps by states
   (or by the last inputs); only on the last timestep; or in another way, so that the layer needs whole sequences. */
enum layer_time { TIME_WHOLE, TIME_POINTWISE, TIME_CARRIED, TIME_LAST };

/* The most axes of a timestep; the timesteps are one more axis. */
enum { LAYER_MAX_DIMS = 4, LAYER_MAX_AXES = LAYER_MAX_DIMS + 1 };

/**
 * The shape of a value for one row: a sequence of vectors [timesteps, width], or one vector [width].
 *
 * Tensors of more axes are sequences along their first axis: rank is 2 or more then, and dims are the axes of a
 * timestep, whose product is width. Rank 0 and 1 are vectors, but for scalars (a sequence of numbers, or one number).
 */
struct layer_shape {
    bool sequence;
    bool scalar;      /* a timestep has no axes; width is 1 */
    bool ids;         /* of a model's input: whole numbers for an Embedding; scalar too */
    size_t timesteps; /* 0: any number; a vector has 1 */
    size_t width;     /* 0: unknown, possible only in a configuration without weights */
    size_t rank, dims[LAYER_MAX_DIMS];
};

/* Write the axes after the batch, timesteps first if there are any. Returns their number. */
size_t layer_axes(const struct layer_shape *shape, size_t axes[LAYER_MAX_AXES]);

/* The shape with these axes: two or more are a sequence, one is a vector, none a number. Returns false if there are too
   many axes, or if their product does not fit. */
bool layer_shape_of(size_t n, const size_t *axes, struct layer_shape *out);

/* layer_features: the size of the last axis, to which Dense and others apply. layer_set_features: set this size. */
size_t layer_features(const struct layer_shape *shape);
bool layer_set_features(struct layer_shape *shape, size_t features);

enum { LAYER_NAME_BYTES = 64, LAYER_MAX_PARTS = 2 };

/**
 * A layer. It is first configured, with Keras's names, and then built with its weights.
 *
 * Each class has its own struct for options and weights, to which `own` points (core/layers/dense.h and so on).
 * layer_open allocates this struct, config/ fills in its options, layer_build its weights, layer_close frees it. A
 * built layer is read-only, and threads share it.
 */
struct layer {
    const struct layer_class *class;
    void *own;
    char class_name[32], name[LAYER_NAME_BYTES];
    bool only_sequences;       /* TimeDistributed(Dense) does not take a single vector */
    size_t n_inputs;           /* the number of inputs of each of its nodes */
    enum layer_masks masks;    /* as in the class, unless the Keras version that wrote the file differs */
    enum packed_format format; /* of the matrices of Dense and recurrent layers */

    /* set when built */
    bool built;
    size_t input_size; /* last axis of the first input */
    struct layer_shape input;
    size_t state_elems; /* of all parts */
    const struct vec_ops *vec;
};

/* A weight tensor of a layer: its name below the layer's path. */
struct layer_tensor {
    char name[128];
    size_t rank, shape[LAYER_MAX_DIMS];
    const char *below;  /* the subgroup of the layer's group in Keras 3 files ("cell/"), or NULL */
    size_t below_first; /* the index of the first tensor of this subgroup */
    bool frozen;        /* not trained by gradients: a moving mean, a moving variance */
    bool optional;      /* inference does not read the tensor, so a file may lack it */
    const struct initializer *initializer;
    /* of recurrent layers: the cell whose tensor it is, the leaf-th below the root of its part */
    const struct rnn_cell_spec *cell, *root;
    struct cell_tensor of_cell;
    size_t part, leaf;
    const char *direction; /* "forward", "backward", or "" where the layer has one part */
};

/* A value of one row. Timestep t begins at at + t * stride. It counts if mask is NULL or mask[t * mask_stride] is not 0. */
struct layer_view {
    float *at;
    size_t timesteps, stride;
    const unsigned char *mask;
    size_t mask_stride;
};

/**
 * One run of a layer over a group of rows.
 *
 * in    [inputs of the node][n], in_shapes beside them with the timesteps that were declared. What rows take in lies
 *       one after the other, but for classes with inputs_anywhere.
 * out   [n], timesteps set and mask as the class has it; rows lie one after the other, but for a recurrent layer that
 *       is the only one.
 */
struct layer_run {
    const struct layer_view *const *in;
    const struct layer_shape *in_shapes;
    struct layer_view *out;
    struct layer_view *second; /* [n] the tensor that class->second describes; NULL: no layer uses it */
    const struct layer_shape *out_shape;
    size_t n_inputs, n;
    size_t vectors;         /* the vectors of the first input along its last axis, of all rows together */
    struct rnn_row *rows;   /* [n], for recurrent layers: states and `stepped` are set, all else is work space */
    struct rnn_row **order; /* [n], work space */
    bool sequences;         /* of a recurrent layer: return the outputs of all timesteps */
    bool mask_of_layer;     /* the mask of the first input comes from a layer, not from the request alone */
    unsigned char *masks;   /* for layers that make masks: a byte for each timestep of all rows, of inputs or outputs */
    float *aux;             /* work space of the sizes that class->aux returns */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* called between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* Floats of work space: for each row, and once for all rows. in [inputs] are the shapes of one row. */
struct layer_aux {
    size_t row, once;
};

/* The states of a layer for one row: cells in the order of the leaves of spec, at leaf_offsets. */
struct layer_states {
    const struct rnn_cell_spec *spec;
    const size_t *leaf_offsets;
    size_t elems;
    const struct rnn_recurrence *recurrence; /* NULL: last inputs of a convolution */
};

/* The functions of a layer class. A function that does nothing may be NULL. A new layer is one file here and one row in
   the table of config/keras/layer.c. */
struct layer_class {
    size_t size; /* of the struct behind layer->own; 0: none */
    enum layer_masks masks;
    bool pointwise;       /* each vector is computed alone; otherwise see `time` */
    bool view;            /* the output has the numbers of the input in another shape: nothing is computed */
    bool inputs_anywhere; /* the inputs of the rows need not be contiguous */
    bool numbers;         /* also takes ids, as numbers */
    bool takes_parts;     /* may follow a Bidirectional with two outputs, because it selects some of their features */
    size_t most_inputs;   /* of a node; 0 means one */
    /* Set the defaults of the options; *own is zeros. */
    void (*defaults)(void *own);
    /* Free the data of own, configured or built. */
    void (*close)(void *own);
    /* The i-th weight tensor in Keras's order, for inputs of these shapes; false past the last. */
    bool (*tensor)(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);
    /* The shape of the output; *out is initially in[0]. sequences is the option of a recurrent layer. RNN_ESHAPE with a
       sentence. */
    enum rnn_status (*shape)(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);
    /* The shape of the second output, if the layer has two; in has been checked. */
    enum rnn_status (*second)(const struct layer *layer, const struct layer_shape *in, struct layer_shape *out,
                              struct rnn_error *err);
    /* tensors in the order of `tensor`; borrowed. */
    enum rnn_status (*build)(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                             struct rnn_error *err);
    /* Bytes of the built weights. */
    size_t (*bytes)(const struct layer *layer);
    /* Bytes of arena for `rows` rows. Returns false if the size does not fit. */
    bool (*scratch)(const struct layer *layer, size_t rows, size_t *bytes);
    /* The size of layer_run.aux; *aux is initially zeros. Returns false if the size does not fit. */
    bool (*aux)(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux);
    /* Compute out from in. Returns false if the run was stopped. NULL: nothing is computed, as in a Dropout. */
    bool (*run)(const struct layer *layer, struct layer_run *run);
    /* How the outputs depend on the timesteps, for a layer that is neither pointwise nor a view. NULL: it needs whole
       sequences. */
    enum layer_time (*time)(const struct layer *layer);
    /* The states of part p; false past the last. A Bidirectional has two. */
    bool (*states)(const struct layer *layer, size_t p, struct layer_states *out);

    /* Of recurrent layers: the recurrence of part p, configured or built; NULL past the last. */
    const struct rnn_recurrence *(*part)(const struct layer *layer, size_t p);
    /* Whether the outputs of the parts are two separate tensors (merge_mode null). */
    bool (*two_outputs)(const struct layer *layer);
    /* The number of ids, for a layer that takes ids. */
    size_t (*vocabulary)(const struct layer *layer);
    /* The last activation of the outputs. */
    const struct activation *(*activation)(const struct layer *layer);
};

/* The identity, for example a Dropout at inference: its class has no functions. */
extern const struct layer_class layer_identity;

/* Give an empty layer a class, with the defaults of the class. On RNN_ENOMEM the layer is an identity. */
enum rnn_status layer_open(struct layer *layer, const struct layer_class *class, struct rnn_error *err);

/* Properties of a layer of any class. */
const struct rnn_recurrence *layer_part(const struct layer *layer, size_t p); /* NULL past the last */
size_t layer_parts(const struct layer *layer);
bool layer_takes_ids(const struct layer *layer);
const struct activation *layer_activation_of(const struct layer *layer); /* NULL: none */
enum layer_time layer_time_of(const struct layer *layer);
bool layer_states_at(const struct layer *layer, size_t p, struct layer_states *out);
size_t layer_state_elems(const struct layer *layer); /* of all parts */

/* class->tensor, or false if the class has none. */
bool layer_tensor_at(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);

/* Elements of a tensor; false when they do not fit a size_t. */
bool layer_tensor_elements(const struct layer_tensor *tensor, size_t *elements);

/* Fill a tensor from its initializer; path is its full name. */
enum rnn_status layer_tensor_initialize(const struct layer_tensor *tensor, uint64_t seed, const char *path, float *out,
                                        struct rnn_error *err);

/* Build the layer for inputs of these shapes. On failure the layer is closed. */
enum rnn_status layer_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                            const struct vec_ops *vec, struct rnn_error *err);

/* The output shape of a layer for inputs of these shapes. Also checks the inputs. */
enum rnn_status layer_output(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);

/* Of a built layer: the number of weights, as Keras counts parameters, and their bytes in memory. */
size_t layer_parameters(const struct layer *layer);
size_t layer_bytes(const struct layer *layer);

void layer_close(struct layer *layer);

#endif
