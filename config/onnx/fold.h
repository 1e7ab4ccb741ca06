/* Nodes that are computed when the model is loaded. */
#ifndef CONFIG_ONNX_FOLD_H
#define CONFIG_ONNX_FOLD_H

#include "call.h"

/* The limit of elements that folding makes. A model beyond this limit computes its weights instead of storing them. */
enum { ONNX_MAX_FOLDED = 1 << 26 };

struct onnx_fold_row {
    const char *op;
    bool (*fold)(struct onnx_call *call);
    int which;
};
/* Each table ends with a row without a name. */
extern const struct onnx_fold_row onnx_fold_shapes[], onnx_fold_elements[], onnx_fold_numbers[], onnx_fold_products[];

/* Make a constant of these sizes with zeroed memory for its elements; *floats or *wholes is this memory. Returns false
   with a problem added. */
bool onnx_new_constant(const struct onnx_call *call, bool whole, size_t rank, const struct onnx_number *sizes,
                       struct onnx_constant *out, float **floats, struct onnx_number **wholes);

/* The sizes as numbers. Returns false if one of them is open. */
bool onnx_plain_sizes(const struct onnx_constant *constant, size_t sizes[ONNX_MAX_RANK]);

/* Return elements of a constant as the result: element i of n is element index[i]. Frees index. */
bool onnx_give_elements(struct onnx_call *call, const struct onnx_constant *from, size_t rank,
                        const struct onnx_number *sizes, size_t *index, size_t n);

#endif
