/* Converts raw values of a body, which are doubles, to the float32 inputs of a model, by its transform. */
#ifndef SERVER_CODEC_RAW_VALUES_H
#define SERVER_CODEC_RAW_VALUES_H

#include "batch.h"
#include "config/files/tensors.h"
#include "json_tensor.h"

#include <string.h>

/* The rules for reading and converting the values of a tensor. */
struct raw_reading {
    const struct transform *transform;
    const struct transform_input *input;
    size_t width;  /* the number of features of a timestep */
    bool sequence; /* the tensor is [batch][timesteps]…, so that rows can be padded */
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

/* If missing values take the last value of their row, the float32 mark stays until raw_fill_missing. */
bool raw_is_missing_float(float value);

/* The conversion for a model's i-th input. Returns false if the model has no transform. */
bool raw_reading_of(const struct model *model, size_t i, struct raw_reading *out);

/**
 * Scale the values of a raw tensor, round each once to float32, and pad its rows. Sets tensor->values. key is its name
 * in the body.
 *
 * Returns false with *failure set if a number is beyond float32, or if out of memory.
 */
bool raw_to_values(struct json_tensor *tensor, const char *key, struct memory_share *share, struct failure *failure);

/* The same for a raw tensor that is not an input of the model: its values are not scaled. */
void raw_to_plain(struct json_tensor *tensor);

/* Copy n numbers of any type to tensor->raw_values, which has room for them. NaN is a missing value if the transform
   accepts missing values. */
void raw_from_elements(struct json_tensor *tensor, const struct named_tensor *elements);

/* Whether all raw values are finite or missing. */
bool raw_is_finite(const struct json_tensor *tensor);

/* Replace missing values by the previous value in their row. `before` has the timestep before the first,
   [n_rows][width]; if it is NULL, a missing value in the first timestep is an error. Call after the rows are bound to
   the tensor. */
/* Set the error for a missing value without a previous value. Returns false. */
bool raw_nothing_before(const struct batch *batch, size_t b, size_t i, struct failure *failure);
bool raw_fill_missing(const struct batch *batch, size_t width, const float *before, struct failure *failure);

/* For texts outside JSON (json_raw.c): begin a tensor, then add texts. Each text becomes a row of ids. */
bool json_raw_begin_texts(struct json_tensor *tensor, struct memory_share *share, struct failure *failure);
bool json_raw_add_text(struct json_tensor *tensor, const char *text, size_t bytes, struct memory_share *share,
                       struct failure *failure);

/* Apply the inverse output scaler to n vectors of an output: in double, rounded to float32 once. */
bool raw_has_outputs(const struct model *model);
void raw_outputs(const struct model *model, size_t output, float *vectors, size_t n, size_t width);

#endif
