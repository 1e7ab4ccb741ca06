/* Layer normalization of one vector. */
#include "normalize.h"

#include <math.h>

void layer_normalize(size_t n, float *x, const float *gamma, const float *beta, double epsilon)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    double scale = 1 / sqrt(variance / (double)n + epsilon);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(((double)x[i] - mean) * scale * (gamma ? (double)gamma[i] : 1) + (beta ? (double)beta[i] : 0));
}
