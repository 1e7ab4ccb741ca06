/* Layer normalization of one vector; the layer and the cell share it. */
#ifndef RNN_NORMALIZE_H
#define RNN_NORMALIZE_H

#include <stddef.h>

/* x = gamma (x - mean) / sqrt(variance + epsilon) + beta over n values; gamma and beta may be NULL. In double, rounded
   once. Source: Ba, Kiros and Hinton, "Layer Normalization", 2016; keras/layers/normalization/layer_normalization.py. */
void layer_normalize(size_t n, float *x, const float *gamma, const float *beta, double epsilon);

#endif
