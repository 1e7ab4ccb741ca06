/* UnitNormalization: each vector gets the length 1. Source: keras/layers/normalization/unit_normalization.py. */
#include "unit_normalization.h"

#include <math.h>

/* Shorter vectors are divided by this length, so that zeros stay zeros. */
static const double shortest = 1e-6;

static void unit_defaults(void *own)
{
    *(struct axes *)own = axes_last;
}

static void to_unit(const struct layer *layer, size_t n, float *x)
{
    double squares = 0;
    (void)layer;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    double length = sqrt(squares);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / (length < shortest ? shortest : length));
}

static bool unit_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_groups(layer, run, to_unit);
}

const struct layer_class layer_unit_normalization = {
    .size = sizeof(struct axes),
    .masks = MASKS_PASS,
    .defaults = unit_defaults,
    .shape = axes_groups_shape,
    .time = axes_time,
    .aux = axes_aux,
    .run = unit_run,
};
