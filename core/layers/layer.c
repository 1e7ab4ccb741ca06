/* What all layers have in common. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

const struct layer_class layer_identity = {.masks = MASKS_PASS, .pointwise = true};

enum rnn_status layer_open(struct layer *layer, const struct layer_class *class, struct rnn_error *err)
{
    if (class->size && !(layer->own = calloc(1, class->size)))
        return rnn_fail(err, RNN_ENOMEM, "out of memory for a layer");
    layer->class = class;
    if (class->defaults)
        class->defaults(layer->own);
    return RNN_OK;
}

const struct rnn_recurrence *layer_part(const struct layer *layer, size_t p)
{
    return layer->class->part ? layer->class->part(layer, p) : NULL;
}

size_t layer_parts(const struct layer *layer)
{
    size_t n = 0;
    while (layer_part(layer, n))
        n++;
    return n;
}

bool layer_takes_ids(const struct layer *layer)
{
    return layer->class->vocabulary != NULL;
}

const struct activation *layer_activation_of(const struct layer *layer)
{
    return layer->class->activation ? layer->class->activation(layer) : NULL;
}

bool layer_tensor_at(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    *out = (struct layer_tensor){.rank = 0};
    return layer->class->tensor && layer->class->tensor(layer, in, i, out);
}

bool layer_tensor_elements(const struct layer_tensor *tensor, size_t *elements)
{
    return rnn_size_mul(tensor->shape[0], tensor->rank == 2 ? tensor->shape[1] : 1, elements);
}

enum rnn_status layer_tensor_initialize(const struct layer_tensor *tensor, uint64_t seed, const char *path, float *out,
                                        struct rnn_error *err)
{
    if (tensor->cell)
        return cell_tensor_initialize(tensor->cell, &tensor->of_cell, seed, path, out, err);
    bool matrix = tensor->rank == 2;
    return initializer_fill(tensor->initializer, seed, path, matrix ? tensor->shape[0] : 0, tensor->shape[matrix], out,
                            err);
}

enum rnn_status layer_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                            const struct vec_ops *vec, struct rnn_error *err)
{
    layer->input_size = in->width;
    layer->vec = vec;
    enum rnn_status status = layer->class->build ? layer->class->build(layer, tensors, err) : RNN_OK;
    layer->built = !status;
    if (status)
        layer_close(layer);
    return status;
}

enum rnn_status layer_output(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err)
{
    if (in->ids && !layer_takes_ids(layer) && layer->class->run)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": sequences of numbers without features are for an Embedding",
                        layer->name);
    if (layer->built && layer->class->run && in->width != layer->input_size)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected %zu features, found %zu", layer->name,
                        layer->input_size, in->width);
    if (layer->only_sequences && !in->sequence)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (TimeDistributed) takes a sequence, not one vector",
                        layer->name);
    size_t last = in->sequence && !layer->only_sequences ? 2 : 1; /* TimeDistributed's layer sees single timesteps */
    if (layer->axis && layer->axis != last)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): axis %zu is not the last of its input, which is %zu or -1",
                        layer->name, layer->class_name, layer->axis, last);
    *out = *in;
    return layer->class->shape ? layer->class->shape(layer, in, sequences, out, err) : RNN_OK;
}

size_t layer_parameters(const struct layer *layer)
{
    const struct layer_shape in = {.width = layer->input_size};
    struct layer_tensor tensor;
    size_t count = 0, elements;
    for (size_t i = 0; layer_tensor_at(layer, &in, i, &tensor); i++) {
        layer_tensor_elements(&tensor, &elements);
        count += elements;
    }
    return count;
}

size_t layer_bytes(const struct layer *layer)
{
    return layer->class->bytes ? layer->class->bytes(layer) : 0;
}

void layer_close(struct layer *layer)
{
    if (layer->own && layer->class->close)
        layer->class->close(layer->own);
    free(layer->own);
    *layer = (struct layer){.class = &layer_identity};
}
