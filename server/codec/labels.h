/* The labels of a transform: names of classes. */
#ifndef SERVER_CODEC_LABELS_H
#define SERVER_CODEC_LABELS_H

#include "buffer.h"
#include "config/transform/transform.h"

/* The first output of a transform (which may be NULL) if it has labels for outputs of this width; otherwise NULL. */
const struct transform_output *labels_of(const struct transform *transform, size_t width);

/* Write the most likely class of each of n outputs, [n][width] with this stride: {"label": …, "probability": …,
   "index": …}. Writes a list, or a single object. */
void labels_write(const struct transform_output *output, const float *values, size_t n, ptrdiff_t stride, bool list,
                  size_t width, struct buffer *out);

#endif
