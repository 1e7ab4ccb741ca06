/* Keras's weight initializers. Seeded, and the same bits on every machine and compiler: plain C in double, no libm but
   sqrt (exact by IEEE 754). The random numbers differ from TensorFlow's. Source of the distributions:
   keras/initializers/initializers.py (2.9). */
#ifndef RNN_INITIALIZER_H
#define RNN_INITIALIZER_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum initializer_kind {
    INIT_ZEROS,
    INIT_ONES,
    INIT_CONSTANT,         /* value */
    INIT_IDENTITY,         /* gain on the diagonal */
    INIT_ORTHOGONAL,       /* gain */
    INIT_RANDOM_UNIFORM,   /* a..b */
    INIT_RANDOM_NORMAL,    /* mean a, standard deviation b */
    INIT_TRUNCATED_NORMAL, /* the same, within two standard deviations */
    INIT_VARIANCE_SCALING, /* scale, mode, distribution */
};

enum initializer_mode { FAN_IN, FAN_OUT, FAN_AVG };
enum initializer_distribution { DIST_UNIFORM, DIST_NORMAL, DIST_TRUNCATED_NORMAL };

struct initializer {
    enum initializer_kind kind;
    double a, b;  /* minval and maxval, or mean and stddev */
    double value; /* constant */
    double gain;  /* identity, orthogonal */
    double scale; /* variance scaling */
    enum initializer_mode mode;
    enum initializer_distribution distribution;
    bool seeded; /* the configuration gives this initializer its own seed */
    uint64_t seed;
};

struct initializer_name {
    const char *class_name; /* "GlorotUniform" */
    const char *name;       /* "glorot_uniform" */
    struct initializer initializer;
};

/* Every initializer by both spellings, with Keras's default parameters; ends with NULL names. */
extern const struct initializer_name initializer_names[];

const struct initializer_name *initializer_find(const char *name);

/**
 * Fill a matrix [rows, columns], row-major; rows 0 means a vector [columns]. The caller has checked that the
 * product fits a size_t.
 *
 * seed    the model's seed; path names the tensor ("cells.0.kernel"), so every tensor has a stream of its own. An
 *         initializer with its own seed uses that alone, as in Keras: two tensors of one shape then get the same
 *         values.
 *
 * RNN_ENOMEM when the work space of the orthogonal initializer cannot be had; RNN_EINVAL for an identity or
 * orthogonal vector.
 */
enum rnn_status initializer_fill(const struct initializer *initializer, uint64_t seed, const char *path, size_t rows,
                                 size_t columns, float *out, struct rnn_error *err);

#endif
