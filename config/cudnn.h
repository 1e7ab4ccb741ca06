/* Weights of CuDNNLSTM and CuDNNGRU, which cuDNN wants in another order than LSTM and GRU have them. */
#ifndef CONFIG_CUDNN_H
#define CONFIG_CUDNN_H

#include "config/files/tensors.h"
#include "core/layers/layer.h"

/* Whether a tensor of a file is one of a CuDNN cell, and of the shape that Keras gives to that. */
bool cudnn_is_stored(const struct layer_tensor *t, const struct named_tensor *found);

/* The numbers of the file in the order of the cell; to has the elements of t. */
void cudnn_convert(const struct layer_tensor *t, const float *from, float *to);

#endif
