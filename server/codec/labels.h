/* The labels of a transform: names of classes. */
#ifndef SERVER_CODEC_LABELS_H
#define SERVER_CODEC_LABELS_H

#include "buffer.h"
#include "config/transform/transform.h"

/* The first output of a transform (which may be NULL), where it has labels for outputs of this width; or NULL. */
const struct transform_output *labels_of(const struct transform *transform, size_t width);

/* The most likely class of each of n outputs of the model, [n][width] by stride: {"label": …, "probability": …,
   "index": …}; a list of them, or the one that there is. */
void labels_write(const struct transform_output *output, const float *values, size_t n, ptrdiff_t stride, bool list,
                  size_t width, struct buffer *out);

#endif
