/* The values between the nodes of an ONNX graph during the conversion: constants, and values of the graph of layers. */
#ifndef CONFIG_ONNX_VALUE_H
#define CONFIG_ONNX_VALUE_H

#include "number.h"

#include "core/graph.h"

enum { ONNX_MAX_RANK = 8, ONNX_MAX_ATOMS = 16 };

/* A tensor that is known when the model is loaded. Sizes may be open if all elements are equal. The conversion owns the
   memory. */
struct onnx_constant {
    bool whole;     /* whole numbers or truth values; otherwise floats */
    bool uniform;   /* one element stands for all */
    size_t rank, n; /* n: the number of stored elements */
    struct onnx_number sizes[ONNX_MAX_RANK];
    const float *floats;
    const struct onnx_number *wholes;
};

/* An axis of an ONNX tensor: its atoms, the last one varies fastest; ONNX_OF_BATCH is the batch. An axis without atoms
   has size 1. */
enum { ONNX_OF_BATCH = -1 };
struct onnx_axis {
    size_t n;
    signed char atoms[ONNX_MAX_ATOMS];
};

/**
 * A value of the graph of layers, as ONNX's node sees it.
 *
 * A layer's value has the batch in front, and axes behind it. The numbers of a row lie in memory as a product of atoms,
 * the last the fastest. Each axis of the ONNX tensor is made of some of them, so that Transpose, Reshape, Squeeze and
 * Unsqueeze only change these names; layers that move numbers come where a node needs them (onnx_arrange).
 */
struct onnx_tensor {
    size_t value; /* of the graph */
    size_t n_sizes;
    struct onnx_number sizes[LAYER_MAX_AXES]; /* the axes of that value after the batch */
    size_t n_atoms;
    struct onnx_number atoms[ONNX_MAX_ATOMS];
    size_t rank;
    struct onnx_axis axes[ONNX_MAX_RANK]; /* one of them contains the batch, or none if the size of the batch is 1 */
    size_t layer; /* the layer that computes it, if following nodes may become a part of this layer; otherwise
                     GRAPH_NONE */
    bool whole;   /* an input of the model that has whole numbers */
};

enum onnx_kind { ONNX_NOTHING, ONNX_CONSTANT, ONNX_TENSOR };

struct onnx_value {
    enum onnx_kind kind;
    struct onnx_constant constant;
    struct onnx_tensor tensor;
};

/* The size of an axis. Returns false if it overflows. */
bool onnx_axis_size(const struct onnx_tensor *tensor, const struct onnx_axis *axis, struct onnx_number *size);

/* The axis that consists of the batch alone; rank if there is none. */
size_t onnx_batch_axis(const struct onnx_tensor *tensor);

/* Make an axis of some size: a new atom after the others (none for size 1). */
struct onnx_axis onnx_new_axis(struct onnx_tensor *tensor, struct onnx_number size);

/* The position of the batch. */
struct onnx_batch {
    size_t axis; /* SIZE_MAX if no axis has it, because its size is 1 */
    bool merged; /* the axis also contains another one after the batch: [batch * timesteps] */
};
struct onnx_batch onnx_batch_of(const struct onnx_tensor *tensor);

/* A tensor whose axes after the batch are those of a value of the graph, in their order. */
struct onnx_tensor onnx_tensor_of(size_t value, size_t n, const struct onnx_number *sizes, struct onnx_batch batch);

/* Of such a tensor: the axis of the value that is an axis of the tensor. */
size_t onnx_place(const struct onnx_tensor *tensor, size_t axis);

#endif
