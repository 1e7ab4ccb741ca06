/* Converts an ONNX graph to layers that compute the same. */
#ifndef CONFIG_ONNX_ONNX_MODEL_H
#define CONFIG_ONNX_ONNX_MODEL_H

#include "config/files/tensors.h"
#include "config/keras/model.h"

/* The memory of converted weights. The caller frees it after the layers are built. */
struct onnx_memory {
    void **blocks;
    size_t n;
};
void onnx_memory_free(struct onnx_memory *memory);

/* The keys of the model's entry. */
struct onnx_options {
    const json_t *constants; /* {INPUT: number or list}, or NULL */
    const json_t *states;    /* {INPUT: OUTPUT}, or NULL */
    size_t input_size;       /* the number of features of an input whose size is open; 0 if not given */
    const char *where;       /* the place of the entry, for messages */
};

/* Whether a configuration comes from an ONNX file, as described in config/files/onnx_file.h. */
bool onnx_model_is(const json_t *json);

/**
 * Layers and weights from a graph.
 *
 * json     {"onnx": …}.
 * set      the file's tensors; to: those of the layers, by path, with numbers in *memory. All are empty when false is
 *          returned, with problems added.
 *
 * Inputs and outputs have the graph's names. Every tensor has the batch first, whichever axis it is in the file; the other
 * axes keep their order.
 */
bool onnx_model_read(const json_t *json, const char *file, struct tensor_set *set, const struct onnx_options *options,
                     struct problems *problems, struct keras_model *out, struct tensor_set *to,
                     struct onnx_memory *memory);

#endif
