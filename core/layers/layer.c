/* Functions for all layers. */
#include "layer.h"

#include <stdlib.h>
#include <string.h>

const struct layer_class layer_identity = {.masks = MASKS_PASS, .pointwise = true};

enum rnn_status layer_open(struct layer *layer, const struct layer_class *class, struct rnn_error *err)
{
    if (class->size && !(layer->own = calloc(1, class->size)))
        return rnn_fail(err, RNN_ENOMEM, "out of memory for a layer");
    layer->class = class;
    layer->masks = class->masks;
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
    return layer->class->vocabulary && layer->class->vocabulary(layer);
}

const struct activation *layer_activation_of(const struct layer *layer)
{
    return layer->class->activation ? layer->class->activation(layer) : NULL;
}

enum layer_time layer_time_of(const struct layer *layer)
{
    if (layer->class->pointwise || (!layer->class->run && !layer->class->view))
        return TIME_POINTWISE;
    return layer->class->time ? layer->class->time(layer) : TIME_WHOLE;
}

bool layer_states_at(const struct layer *layer, size_t p, struct layer_states *out)
{
    return layer->class->states && layer->class->states(layer, p, out);
}

size_t layer_state_elems(const struct layer *layer)
{
    struct layer_states states;
    size_t elems = 0;
    if (layer->built)
        return layer->state_elems;
    for (size_t p = 0; layer_states_at(layer, p, &states); p++)
        elems += states.elems;
    return elems;
}

/* ---- shapes ---- */

size_t layer_axes(const struct layer_shape *shape, size_t axes[LAYER_MAX_AXES])
{
    size_t n = 0;
    if (shape->sequence)
        axes[n++] = shape->timesteps;
    if (shape->rank > 1) {
        for (size_t i = 0; i < shape->rank; i++)
            axes[n++] = shape->dims[i];
    } else if (!shape->scalar) {
        axes[n++] = shape->width;
    }
    return n;
}

bool layer_shape_of(size_t n, const size_t *axes, struct layer_shape *out)
{
    size_t total;
    if (n > LAYER_MAX_AXES)
        return false;
    *out = (struct layer_shape){.sequence = n > 1, .timesteps = n > 1 ? axes[0] : 1, .width = 1, .scalar = !n};
    for (size_t i = n > 1; i < n; i++) {
        if (!rnn_size_mul(out->width, axes[i], &out->width))
            return false;
        out->dims[out->rank++] = axes[i];
    }
    return rnn_size_mul(out->width, out->timesteps, &total);
}

size_t layer_features(const struct layer_shape *shape)
{
    return shape->rank > 1 ? shape->dims[shape->rank - 1] : shape->width;
}

bool layer_set_features(struct layer_shape *shape, size_t features)
{
    if (shape->rank < 2) {
        shape->width = features;
        shape->rank = 1;
        shape->dims[0] = features;
        return true;
    }
    shape->dims[shape->rank - 1] = features;
    shape->width = 1;
    for (size_t i = 0; i < shape->rank; i++)
        if (!rnn_size_mul(shape->width, shape->dims[i], &shape->width))
            return false;
    return true;
}

/* ---- tensors ---- */

bool layer_tensor_at(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    *out = (struct layer_tensor){.rank = 0};
    return layer->class->tensor && layer->class->tensor(layer, in, i, out);
}

bool layer_tensor_elements(const struct layer_tensor *tensor, size_t *elements)
{
    *elements = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        if (!rnn_size_mul(*elements, tensor->shape[i], elements))
            return false;
    return true;
}

enum rnn_status layer_tensor_initialize(const struct layer_tensor *tensor, uint64_t seed, const char *path, float *out,
                                        struct rnn_error *err)
{
    if (tensor->cell)
        return cell_tensor_initialize(tensor->cell, &tensor->of_cell, seed, path, out, err);
    /* As in Keras's variance scaling: the last axis is the outputs, the axes before it are the inputs. */
    size_t rows = 1;
    for (size_t i = 0; i + 1 < tensor->rank; i++)
        rows *= tensor->shape[i];
    return initializer_fill(tensor->initializer, seed, path, tensor->rank > 1 ? rows : 0,
                            tensor->rank ? tensor->shape[tensor->rank - 1] : 1, out, err);
}

enum rnn_status layer_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                            const struct vec_ops *vec, struct rnn_error *err)
{
    layer->input_size = layer_features(in);
    layer->input = *in;
    layer->vec = vec;
    enum rnn_status status = layer->class->build ? layer->class->build(layer, in, tensors, err) : RNN_OK;
    layer->state_elems = status ? 0 : layer_state_elems(layer);
    layer->built = !status;
    if (status)
        layer_close(layer);
    return status;
}

enum rnn_status layer_output(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err)
{
    if (in->ids && !layer_takes_ids(layer) && !layer->class->numbers && layer->class->run)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": only an Embedding takes sequences of numbers without features",
                        layer->name);
    if (layer->built && layer->class->run && layer_features(in) != layer->input_size)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected %zu features, found %zu", layer->name,
                        layer->input_size, layer_features(in));
    if (layer->only_sequences && !in->sequence)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (TimeDistributed) takes a sequence, not one vector",
                        layer->name);
    *out = *in;
    return layer->class->shape ? layer->class->shape(layer, in, sequences, out, err) : RNN_OK;
}

size_t layer_parameters(const struct layer *layer)
{
    struct layer_tensor tensor;
    size_t count = 0, elements;
    for (size_t i = 0; layer_tensor_at(layer, &layer->input, i, &tensor); i++) {
        layer_tensor_elements(&tensor, &elements);
        count += elements;
    }
    return count;
}

size_t layer_bytes(const struct layer *layer)
{
    return layer->built && layer->class->bytes ? layer->class->bytes(layer) : 0;
}

void layer_close(struct layer *layer)
{
    if (layer->own && layer->class->close)
        layer->class->close(layer->own);
    free(layer->own);
    *layer = (struct layer){.class = &layer_identity};
}
