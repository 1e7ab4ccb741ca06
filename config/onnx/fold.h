/* Nodes that are computed when the model is loaded. */
#ifndef CONFIG_ONNX_FOLD_H
#define CONFIG_ONNX_FOLD_H

#include "call.h"

/* Elements that folding makes at most: beyond this a model computes its weights, it does not hold them. */
enum { ONNX_MAX_FOLDED = 1 << 26 };

struct onnx_fold_row {
    const char *op;
    bool (*fold)(struct onnx_call *call);
    int which;
};
/* Each ends with a row without a name. */
extern const struct onnx_fold_row onnx_fold_shapes[], onnx_fold_elements[], onnx_fold_numbers[], onnx_fold_products[];

/* A constant of these sizes with memory for its elements, all 0; *floats or *wholes is that memory. False with a problem. */
bool onnx_new_constant(const struct onnx_call *call, bool whole, size_t rank, const struct onnx_number *sizes,
                       struct onnx_constant *out, float **floats, struct onnx_number **wholes);

/* Its sizes as numbers; false where one is open. */
bool onnx_plain_sizes(const struct onnx_constant *constant, size_t sizes[ONNX_MAX_RANK]);

/* Give elements of a constant: element i of n is `index[i]`, which is freed. */
bool onnx_give_elements(struct onnx_call *call, const struct onnx_constant *from, size_t rank,
                        const struct onnx_number *sizes, size_t *index, size_t n);

#endif
