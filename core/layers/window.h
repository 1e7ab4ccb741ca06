/* Windows that slide along one or two axes, for convolutions and pooling. Source: keras/utils/conv_utils.py. */
#ifndef RNN_LAYERS_WINDOW_H
#define RNN_LAYERS_WINDOW_H

#include "layer.h"

/* GIVEN: by `before` and `after`. */
enum window_padding { WINDOW_VALID, WINDOW_SAME, WINDOW_CAUSAL, WINDOW_GIVEN };

/* Of one axis the first alone is used: its values stand in [1], and axis 0 has one place, so that both are run alike. */
struct window {
    size_t rank; /* 1 or 2 */
    size_t size[2], strides[2], dilation[2];
    enum window_padding padding;
    size_t before[2], after[2]; /* of WINDOW_GIVEN: elements before and behind the input */
};

/* Size and strides of 1 on both axes. */
void window_defaults(struct window *window);

/* How many places an input of `length` has along an axis; 0 where the window does not fit, or the length is not known. */
size_t window_places(const struct window *window, size_t axis, size_t length);

/* Where the first window begins along an axis: 0, or as much before the input as is padded. */
size_t window_before(const struct window *window, size_t axis, size_t length);

/* The input of a row around its last axes: outer blocks of [length 0][length 1][channels]. */
struct window_input {
    size_t outer, lengths[2], channels;
};
bool window_input_of(const struct window *window, const struct layer_shape *shape, struct window_input *out);

/* What comes out for that, with so many channels. RNN_ESHAPE with a sentence. */
enum rnn_status window_shape(const struct layer *layer, const struct window *window, const struct layer_shape *in,
                             size_t channels, struct layer_shape *out, struct rnn_error *err);

#endif
