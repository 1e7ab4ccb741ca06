/* Converts raw values of a body, which are doubles, to the float32 inputs of a model, by its transform. */
#ifndef SERVER_CODEC_RAW_VALUES_H
#define SERVER_CODEC_RAW_VALUES_H

#include "batch.h"
#include "config/files/tensors.h"
#include "json_tensor.h"

#include <string.h>

/* How the values of a tensor are read and converted. */
struct raw_reading {
    const struct transform *transform;
    const struct transform_input *input;
    size_t width;  /* numbers of a timestep */
    bool sequence; /* [batch][timesteps]…, so that rows can be padded */
};

/* The mark of a missing value (null): a NaN with these bits, as double and as float32. */
static inline double raw_missing(void)
{
    const uint64_t bits = UINT64_C(0x7ff8000000000ca5);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float raw_missing_float(void)
{
    const uint32_t bits = UINT32_C(0x7fc00ca5);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool raw_is_missing(double value);

/* Where a missing value takes its row's last one, the float32 mark stands until raw_fill_missing. */
bool raw_is_missing_float(float value);

/* The conversion for a model's i-th input. Returns false if the model has no transform. */
bool raw_reading_of(const struct model *model, size_t i, struct raw_reading *out);

/**
 * Scale the values of a tensor that was read raw, each once rounded to float32, and pad its rows; tensor->values is set
 * then. key: its name in the body.
 *
 * False with *failure set: a number is beyond float32, or memory is short.
 */
bool raw_to_values(struct json_tensor *tensor, const char *key, struct memory_share *share, struct failure *failure);

/* The same of a tensor that was read raw and is none of the model's inputs: its values as they are. */
void raw_to_plain(struct json_tensor *tensor);

/* n numbers of any type into tensor->raw_values, for which there is room. NaN is a missing value where the transform takes
   such. */
void raw_from_elements(struct json_tensor *tensor, const struct named_tensor *elements);

/* Whether all raw values are finite, or missing ones. */
bool raw_is_finite(const struct json_tensor *tensor);

/* Missing values take the one before them in their row; `before` has those of the timestep before the first, [n_rows][width],
   or is NULL: then a missing value of the first timestep is an error. After the rows are bound to the tensor. */
/* The error of a missing value that has none before it. Returns false. */
bool raw_nothing_before(const struct batch *batch, size_t b, size_t i, struct failure *failure);
bool raw_fill_missing(const struct batch *batch, size_t width, const float *before, struct failure *failure);

/* A tensor of texts that are no JSON (json_raw.c): begun, and text after text, each of which becomes a row of ids. */
bool json_raw_begin_texts(struct json_tensor *tensor, struct memory_share *share, struct failure *failure);
bool json_raw_add_text(struct json_tensor *tensor, const char *text, size_t bytes, struct memory_share *share,
                       struct failure *failure);

/* n vectors of one of the outputs, in the units that people use: in double, rounded to float32 once. */
bool raw_has_outputs(const struct model *model);
void raw_outputs(const struct model *model, size_t output, float *vectors, size_t n, size_t width);

#endif
