/* Windows that slide along one or two axes, for convolutions and pooling. Source: keras/utils/conv_utils.py. */
#ifndef RNN_LAYERS_WINDOW_H
#define RNN_LAYERS_WINDOW_H

#include "layer.h"

/* GIVEN: the padding is in `before` and `after`. */
enum window_padding { WINDOW_VALID, WINDOW_SAME, WINDOW_CAUSAL, WINDOW_GIVEN };

/* A window of rank 1 uses only index [1] of the arrays. Its axis 0 has one position, so that one loop serves both
   ranks. */
struct window {
    size_t rank; /* 1 or 2 */
    size_t size[2], strides[2], dilation[2];
    enum window_padding padding;
    size_t before[2], after[2]; /* of WINDOW_GIVEN: padding elements before and after the input */
};

/* Set sizes, strides and dilations to 1 on both axes. */
void window_defaults(struct window *window);

/* The number of positions of the window along an axis of `length` elements. Returns 0 if the window does not fit, or if
   the length is unknown (0). */
size_t window_places(const struct window *window, size_t axis, size_t length);

/* The number of padding elements before the input along an axis. */
size_t window_before(const struct window *window, size_t axis, size_t length);

/* The input of a row: `outer` blocks of [length 0][length 1][channels]. */
struct window_input {
    size_t outer, lengths[2], channels;
};
bool window_input_of(const struct window *window, const struct layer_shape *shape, struct window_input *out);

/* The shape of the output, with so many channels. Returns RNN_ESHAPE with an error sentence if the input does not
   fit. */
enum rnn_status window_shape(const struct layer *layer, const struct window *window, const struct layer_shape *in,
                             size_t channels, struct layer_shape *out, struct rnn_error *err);

#endif
