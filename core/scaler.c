/* Source: scikit-learn, sklearn/preprocessing/_data.py, the methods transform and inverse_transform of StandardScaler,
   MinMaxScaler, RobustScaler and MaxAbsScaler: array operations one after the other, each rounded to double. */
#include "scaler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

double rnn_scaler_apply(const struct rnn_scaler *scaler, size_t i, double x)
{
    if (scaler->form == SCALER_MULTIPLIES) {
        x *= scaler->scale[i];
        x += scaler->offset[i];
    } else {
        if (scaler->offset)
            x -= scaler->offset[i];
        if (scaler->scale)
            x /= scaler->scale[i];
    }
    if (scaler->clip && x < scaler->clip_least)
        x = scaler->clip_least;
    if (scaler->clip && x > scaler->clip_most)
        x = scaler->clip_most;
    return x;
}

double rnn_scaler_invert(const struct rnn_scaler *scaler, size_t i, double z)
{
    if (scaler->form == SCALER_MULTIPLIES) {
        z -= scaler->offset[i];
        z /= scaler->scale[i];
    } else {
        if (scaler->scale)
            z *= scaler->scale[i];
        if (scaler->offset)
            z += scaler->offset[i];
    }
    return z;
}

static double value_of(const double *values, size_t i, double otherwise)
{
    return values ? values[i] : otherwise;
}

bool rnn_scaler_same(const struct rnn_scaler *a, size_t i, const struct rnn_scaler *b, size_t k)
{
    return a->form == b->form && value_of(a->offset, i, 0) == value_of(b->offset, k, 0) &&
           value_of(a->scale, i, 1) == value_of(b->scale, k, 1) && !b->clip;
}

double rnn_scaler_nonzero(double scale)
{
    return scale < 10 * DBL_EPSILON ? 1 : scale;
}

void rnn_scaler_close(struct rnn_scaler *scaler)
{
    free(scaler->offset);
    free(scaler->scale);
    free(scaler->least);
    free(scaler->most);
    *scaler = (struct rnn_scaler){.n = 0};
}
