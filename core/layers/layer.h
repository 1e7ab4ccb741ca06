/* Layers of a model: how one is configured, which weights it takes, how it runs. */
#ifndef RNN_LAYER_H
#define RNN_LAYER_H

#include "core/cells/recurrence.h"

struct layer_class;

/* What flows between layers for one row: a sequence of vectors [timesteps, width], or one vector [width]. */
struct layer_shape {
    bool sequence;
    bool ids;         /* of a model's input: a sequence of whole numbers [timesteps], for an Embedding */
    size_t timesteps; /* 0: any number; 1 for a vector */
    size_t width;     /* 0: not known, which only a configuration without weights can leave so */
};

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
    size_t axis;               /* that it works along, the batch being 0; must be the last, which 0 says too */
    enum packed_format format; /* of the matrices of Dense and recurrent layers */

    /* set when built */
    bool built;
    size_t input_size;
    const struct vec_ops *vec;
};

/* A weight tensor that a layer takes: its name below the layer's path. */
struct layer_tensor {
    char name[128];
    size_t rank, shape[2];
    const struct initializer *initializer;
    /* of recurrent layers: the cell whose tensor it is, the leaf-th below the root of its part */
    const struct rnn_cell_spec *cell, *root;
    struct cell_tensor of_cell;
    size_t part, leaf;
    const char *direction; /* "forward", "backward", or "" where the layer has one part */
};

/* One pass of a layer over a group of rows. What rows take in lies one after the other, and so does what they give, but
   for a time_major layer, which is alone in its model. */
struct layer_run {
    struct rnn_row *rows;
    size_t n;
    struct rnn_row **order; /* [n], work space */
    size_t vectors;         /* timesteps of all rows together */
    bool sequences;         /* of a recurrent layer: every timestep's output */
    unsigned char *masks;   /* [vectors], for layers that make masks; may hold the rows' present ones */
    float *aux;             /* [vectors * what class->aux_width says] */
    struct arena *arena;
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* asked between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* What becomes of masks: see keras/engine/base_layer.py, supports_masking. */
enum layer_masks { MASKS_PASS, MASKS_STOP, MASKS_MADE };

/* What a layer type provides; functions that do nothing are NULL. A new layer is one file here and one row in the table
   of config/keras/layer.c. */
struct layer_class {
    size_t size; /* of the struct behind layer->own; 0: none */
    enum layer_masks masks;
    bool pointwise;       /* every vector by itself: may be streamed */
    bool inputs_anywhere; /* rows' inputs need not lie one after the other */
    /* Defaults of the options; *own is zeros. */
    void (*defaults)(void *own);
    /* Free what own points to, configured or built. */
    void (*close)(void *own);
    /* The i-th weight tensor in Keras's order, for inputs of in->width; false past the last. */
    bool (*tensor)(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);
    /* What comes out; sequences is the option of a recurrent layer. RNN_ESHAPE with a sentence. */
    enum rnn_status (*shape)(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);
    /* tensors in the order of `tensor`; borrowed. */
    enum rnn_status (*build)(struct layer *layer, const float *const *tensors, struct rnn_error *err);
    /* Bytes of the built weights. */
    size_t (*bytes)(const struct layer *layer);
    /* Bytes of arena for rows rows; false when that does not fit. */
    bool (*scratch)(const struct layer *layer, size_t rows, size_t *bytes);
    size_t (*aux_width)(const struct layer *layer);
    /* From rows[].inputs to rows[].outputs. False when told to stop. NULL: nothing is computed, as in a Dropout. */
    bool (*run)(const struct layer *layer, struct layer_run *run);

    /* Of recurrent layers: the recurrence of part p; NULL past the last. A Bidirectional has two. */
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

/* class->tensor, and no more where there is none. */
bool layer_tensor_at(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);

/* Elements of a tensor; false when they do not fit a size_t. */
bool layer_tensor_elements(const struct layer_tensor *tensor, size_t *elements);

/* Fill a tensor from its initializer; path is its full name. */
enum rnn_status layer_tensor_initialize(const struct layer_tensor *tensor, uint64_t seed, const char *path, float *out,
                                        struct rnn_error *err);

/* Build for inputs of in->width features. The layer is closed when it fails. */
enum rnn_status layer_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                            const struct vec_ops *vec, struct rnn_error *err);

/* What comes out of a layer; also checks what goes in. */
enum rnn_status layer_output(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);

/* Of a built layer: weights, as Keras counts parameters, and bytes as they lie in memory. */
size_t layer_parameters(const struct layer *layer);
size_t layer_bytes(const struct layer *layer);

void layer_close(struct layer *layer);

#endif
