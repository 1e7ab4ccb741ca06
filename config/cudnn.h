/* Weights of CuDNNLSTM and CuDNNGRU. Their order differs from that of LSTM and GRU. */
#ifndef CONFIG_CUDNN_H
#define CONFIG_CUDNN_H

#include "config/files/tensors.h"
#include "core/layers/layer.h"

/* Whether a tensor of a file belongs to a CuDNN cell and has the shape that Keras gives it. */
bool cudnn_is_stored(const struct layer_tensor *t, const struct named_tensor *found);

/* Copy the numbers of the file in the order of the cell. to has as many elements as t. */
void cudnn_convert(const struct layer_tensor *t, const float *from, float *to);

#endif
