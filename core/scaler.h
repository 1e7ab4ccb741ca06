/* Scalers of scikit-learn's preprocessing module: convert raw values to the scale on which a model was trained, and
   back. All arithmetic is double and has the same order of operations as scikit-learn's, so that the results are
   bit-identical. */
#ifndef RNN_SCALER_H
#define RNN_SCALER_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* A scaler either divides, z = (x - offset) / scale, as StandardScaler, RobustScaler and MaxAbsScaler do, or multiplies,
   z = x * scale + offset, as MinMaxScaler does. */
enum scaler_form { SCALER_DIVIDES, SCALER_MULTIPLIES };

/**
 * A scaler of n columns. The arrays have n doubles; rnn_scaler_close frees them. A struct of zeros means "no scaler".
 *
 * offset  NULL: nothing is subtracted (with_mean or with_centering false, MaxAbsScaler). Never NULL where it
 *         multiplies.
 * scale   NULL: nothing is divided (with_std or with_scaling false). Never NULL where it multiplies.
 * least, most  the range of raw values that it was fitted on, as far as it knows; both NULL: it does not know.
 */
struct rnn_scaler {
    enum scaler_form form;
    size_t n;
    double *offset, *scale, *least, *most;
    bool clip; /* clip to clip_least..clip_most after scaling */
    double clip_least, clip_most;
};

/* Scale a raw value of column i; NaN stays NaN. */
double rnn_scaler_apply(const struct rnn_scaler *scaler, size_t i, double x);

/* The inverse of rnn_scaler_apply. It cannot restore a clipped value. */
double rnn_scaler_invert(const struct rnn_scaler *scaler, size_t i, double z);

/* Whether column i of scaler a and column k of scaler b are equal, so that the inverse of one followed by the other
   changes nothing. */
bool rnn_scaler_same(const struct rnn_scaler *a, size_t i, const struct rnn_scaler *b, size_t k);

/* The scale after scikit-learn's _handle_zeros_in_scale: 1 for a constant column. */
double rnn_scaler_nonzero(double scale);

void rnn_scaler_close(struct rnn_scaler *scaler);

#endif
