/* Scalers of scikit-learn's preprocessing module: numbers in the units of people to and from the units that a model was
   trained on. In double, operation by operation as scikit-learn does it, so that the bits are the same. */
#ifndef RNN_SCALER_H
#define RNN_SCALER_H

#include "status.h"

#include <stdbool.h>
#include <stddef.h>

/* A scaler either divides, z = (x - offset) / scale, as StandardScaler, RobustScaler and MaxAbsScaler do, or multiplies,
   z = x * scale + offset, as MinMaxScaler does. */
enum scaler_form { SCALER_DIVIDES, SCALER_MULTIPLIES };

/**
 * The scaler of n columns. Arrays are the scaler's own, of n doubles; rnn_scaler_close frees them. All zeros is none.
 *
 * offset  NULL: nothing is subtracted (with_mean or with_centering false, MaxAbsScaler). Never NULL where it multiplies.
 * scale   NULL: nothing is divided (with_std or with_scaling false). Never NULL where it multiplies.
 * least, most  the range of raw values that it was fitted on, as far as it knows; both NULL: it does not know.
 */
struct rnn_scaler {
    enum scaler_form form;
    size_t n;
    double *offset, *scale, *least, *most;
    bool clip; /* to clip_least..clip_most, after scaling */
    double clip_least, clip_most;
};

/* A raw number of column i in the model's units; NaN stays NaN. */
double rnn_scaler_apply(const struct rnn_scaler *scaler, size_t i, double x);

/* The inverse. A clipped number does not come back. */
double rnn_scaler_invert(const struct rnn_scaler *scaler, size_t i, double z);

/* Whether column i of one and column k of another do the same: a number goes through the inverse of one and then through
   the other unchanged. */
bool rnn_scaler_same(const struct rnn_scaler *a, size_t i, const struct rnn_scaler *b, size_t k);

/* What scikit-learn's _handle_zeros_in_scale makes of a scale: 1 of a column that does not vary. */
double rnn_scaler_nonzero(double scale);

void rnn_scaler_close(struct rnn_scaler *scaler);

#endif
