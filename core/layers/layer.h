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

enum merge_mode { MERGE_CONCAT, MERGE_SUM, MERGE_MUL, MERGE_AVE, MERGE_NONE };

enum { LAYER_NAME_BYTES = 64, LAYER_MAX_PARTS = 2 };

/**
 * A layer, first configured (the part that config fills, under Keras's names), then built with its weights.
 * Read-only once built; threads share it. layer_close frees it.
 */
struct layer {
    const struct layer_class *class;
    char class_name[32], name[LAYER_NAME_BYTES];

    /* RNN (one part) and Bidirectional (forward, backward): options, and the cells, which building moves to the stacks */
    struct rnn_recurrence parts[LAYER_MAX_PARTS];
    struct rnn_cell_spec *cells[LAYER_MAX_PARTS];
    size_t n_parts;
    enum merge_mode merge;

    size_t units;                 /* Dense; Embedding: output_dim; RepeatVector: n */
    struct activation activation; /* Dense, Activation */
    bool use_bias;
    bool only_sequences;                                      /* TimeDistributed(Dense) takes no single vector */
    struct initializer first_initializer, second_initializer; /* of the first weight tensor, of the second */
    size_t vocabulary;                                        /* Embedding: input_dim */
    bool mask_zero;
    float mask_value;   /* Masking */
    bool center, scale; /* normalization */
    double epsilon;
    size_t target[2], target_rank; /* Reshape; SIZE_MAX stands for -1 */
    bool keepdims;                 /* pooling */
    enum packed_format format;     /* of the matrices of Dense and recurrent layers */

    /* built */
    bool built;
    size_t input_size;
    const struct vec_ops *vec;
    struct packed kernel; /* Dense */
    float *start;         /* its bias, one row of pre-activations */
    float *weights;       /* Embedding: [vocabulary, units]; normalization: gamma then beta, or scale then shift */
};

/* A weight tensor that a layer takes: its name below the layer's path. */
struct layer_tensor {
    char name[128];
    size_t rank, shape[2];
    const struct initializer *initializer;
    /* of recurrent layers */
    const struct rnn_cell_spec *cell;
    struct cell_tensor of_cell;
    size_t part, leaf;
};

/* One layer's turn over a group of rows. What rows take in lies one after the other, and so does what they give, but
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

/* What a layer type provides; functions that do nothing are NULL. A new layer is one file and one row in the tables
   of config/keras_layer.c. */
struct layer_class {
    enum layer_masks masks;
    bool pointwise; /* every vector by itself: may be streamed */
    /* The i-th weight tensor in Keras's order, for inputs of in->width; false past the last. */
    bool (*tensor)(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out);
    /* What comes out; sequences is the option of a recurrent layer. RNN_ESHAPE with a sentence. */
    enum rnn_status (*shape)(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err);
    /* tensors in the order of `tensor`; borrowed. */
    enum rnn_status (*build)(struct layer *layer, const float *const *tensors, struct rnn_error *err);
    /* Bytes of arena for rows rows; false when that does not fit. */
    bool (*scratch)(const struct layer *layer, size_t rows, size_t *bytes);
    size_t (*aux_width)(const struct layer *layer);
    /* From rows[].inputs to rows[].outputs. False when told to stop. */
    bool (*run)(const struct layer *layer, struct layer_run *run);
};

extern const struct layer_class layer_identity, layer_recurrent, layer_dense, layer_embedding, layer_masking,
    layer_activation, layer_batch_norm, layer_layer_norm, layer_reshape, layer_repeat_vector, layer_average_pooling,
    layer_max_pooling, layer_last_timestep;

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
