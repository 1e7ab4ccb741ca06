/* Weight initializers: random streams, distributions, orthogonal matrices; bit-identical everywhere. */
#include "initializer.h"

#include "arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALED(s, m, d)                                                                                                \
    {                                                                                                                  \
        .kind = INIT_VARIANCE_SCALING, .scale = s, .mode = m, .distribution = d                                        \
    }

const struct initializer_name initializer_names[] = {
    {"GlorotUniform", "glorot_uniform", SCALED(1, FAN_AVG, DIST_UNIFORM)},
    {"GlorotNormal", "glorot_normal", SCALED(1, FAN_AVG, DIST_TRUNCATED_NORMAL)},
    {"HeUniform", "he_uniform", SCALED(2, FAN_IN, DIST_UNIFORM)},
    {"HeNormal", "he_normal", SCALED(2, FAN_IN, DIST_TRUNCATED_NORMAL)},
    {"LecunUniform", "lecun_uniform", SCALED(1, FAN_IN, DIST_UNIFORM)},
    {"LecunNormal", "lecun_normal", SCALED(1, FAN_IN, DIST_TRUNCATED_NORMAL)},
    {"VarianceScaling", "variance_scaling", SCALED(1, FAN_IN, DIST_TRUNCATED_NORMAL)},
    {"Orthogonal", "orthogonal", {.kind = INIT_ORTHOGONAL, .gain = 1}},
    {"OrthogonalInitializer", "Orthogonal", {.kind = INIT_ORTHOGONAL, .gain = 1}},
    {"Identity", "identity", {.kind = INIT_IDENTITY, .gain = 1}},
    {"IdentityInitializer", "Identity", {.kind = INIT_IDENTITY, .gain = 1}},
    {"Zeros", "zeros", {.kind = INIT_ZEROS}},
    {"Ones", "ones", {.kind = INIT_ONES}},
    {"Constant", "constant", {.kind = INIT_CONSTANT, .value = 0}},
    {"RandomUniform", "random_uniform", {.kind = INIT_RANDOM_UNIFORM, .a = -0.05, .b = 0.05}},
    {"RandomUniform", "uniform", {.kind = INIT_RANDOM_UNIFORM, .a = -0.05, .b = 0.05}},
    {"RandomNormal", "random_normal", {.kind = INIT_RANDOM_NORMAL, .a = 0, .b = 0.05}},
    {"TruncatedNormal", "truncated_normal", {.kind = INIT_TRUNCATED_NORMAL, .a = 0, .b = 0.05}},
    {NULL, NULL, {.kind = INIT_ZEROS}},
};

const struct initializer_name *initializer_find(const char *name)
{
    for (const struct initializer_name *row = initializer_names; row->name; row++)
        if (!strcmp(row->name, name) || !strcmp(row->class_name, name))
            return row;
    return NULL;
}

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* FNV-1a of the path, mixed with the seed. */
static uint64_t random_stream(const struct initializer *initializer, uint64_t seed, const char *path)
{
    uint64_t state = initializer->seeded ? initializer->seed : seed;
    uint64_t hash = 0xcbf29ce484222325u;
    if (!initializer->seeded)
        for (; *path; path++)
            hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    state ^= hash;
    next_random(&state);
    return state;
}

/* Uniform in the open interval (0, 1), 53 bits. */
static double draw_uniform(uint64_t *state)
{
    return ((double)(next_random(state) >> 11) + 0.5) * 0x1p-53;
}

/* Natural logarithm by ln m = 2 atanh((m - 1) / (m + 1)): libm's differs between machines in the last bit. */
static double natural_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752440) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1), square = s * s, term = s, sum = 0;
    for (int i = 1; i < 40; i += 2) {
        sum += term / i;
        term *= square;
    }
    return 2 * sum + exponent * 0.69314718055994530942;
}

static double polynomial(const double *c, int degree, double x)
{
    double y = c[degree];
    while (degree-- > 0)
        y = y * x + c[degree];
    return y;
}

/* The normal quantile: algorithm AS 241, PPND16 (Wichura, Applied Statistics 37, 1988), about 1 part in 1e16. */
static double normal_quantile(double p)
{
    static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                               1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                               3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[] = {1.0,
                               4.2313330701600911252e+1,
                               6.8718700749205790830e+2,
                               5.3941960214247511077e+3,
                               2.1213794301586595867e+4,
                               3.9307895800092710610e+4,
                               2.8729085735721942674e+4,
                               5.2264952788528545610e+3};
    static const double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                               3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                               2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[] = {1.0,
                               2.05319162663775882187e0,
                               1.67638483018380384940e0,
                               6.89767334985100004550e-1,
                               1.48103976427480074590e-1,
                               1.51986665636164571966e-2,
                               5.47593808499534494600e-4,
                               1.05075007164441684324e-9};
    static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                               2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                               2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[] = {1.0,
                               5.99832206555887937690e-1,
                               1.36929880922735805310e-1,
                               1.48753612908506148525e-2,
                               7.86869131145613259100e-4,
                               1.84631831751005468180e-5,
                               1.42151175831644588870e-7,
                               2.04426310338993978564e-15};
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(a, 7, r) / polynomial(b, 7, r);
    }
    double r = sqrt(-natural_log(q < 0 ? p : 1 - p));
    double x = r <= 5 ? polynomial(c, 7, r - 1.6) / polynomial(d, 7, r - 1.6)
                      : polynomial(e, 7, r - 5) / polynomial(f, 7, r - 5);
    return q < 0 ? -x : x;
}

static double draw_value(enum initializer_distribution distribution, uint64_t *state)
{
    static const double below_two = 0.02275013194817920720; /* the normal distribution below -2 */
    double u = draw_uniform(state);
    switch (distribution) {
    case DIST_UNIFORM:
        return 2 * u - 1;
    case DIST_NORMAL:
        return normal_quantile(u);
    case DIST_TRUNCATED_NORMAL:
        return normal_quantile(below_two + u * (1 - 2 * below_two));
    }
    return 0;
}

static void fill_random(enum initializer_distribution distribution, double mean, double factor, uint64_t state,
                        size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(mean + factor * draw_value(distribution, &state));
}

/* Keras: fans of the whole fused matrix; a vector counts as both. */
static void fill_scaled(const struct initializer *in, uint64_t state, size_t rows, size_t columns, float *out)
{
    double fan_in = (double)(rows ? rows : columns), fan_out = (double)columns;
    double fan = in->mode == FAN_IN ? fan_in : in->mode == FAN_OUT ? fan_out : (fan_in + fan_out) / 2;
    double variance = in->scale / (fan < 1 ? 1 : fan), factor = 0;
    switch (in->distribution) {
    case DIST_UNIFORM:
        factor = sqrt(3 * variance);
        break;
    case DIST_NORMAL:
        factor = sqrt(variance);
        break;
    case DIST_TRUNCATED_NORMAL:
        factor = sqrt(variance) / 0.87962566103423978; /* standard deviation of the truncated normal */
        break;
    }
    fill_random(in->distribution, 0, factor, state, (rows ? rows : 1) * columns, out);
}

/* Eight partial sums in a fixed order: the compiler may vectorise them, and every machine gets the same sum. */
static double dot_product(const double *a, const double *b, size_t n)
{
    double partial[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            partial[j] += a[i + j] * b[i + j];
    for (size_t j = 0; j < 8; j++)
        sum += partial[j];
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Orthonormal vectors by modified Gram-Schmidt on normal draws: `count` vectors of `length` >= count elements.
   Equals Q of a QR decomposition times sign(diag R), as Keras takes it. Vectors are taken in blocks that stay in
   the cache while the earlier ones stream past; the order of operations on each vector stays that of the textbook. */
static void orthonormalise(double *v, size_t count, size_t length)
{
    enum { BLOCK = 16 };
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t end = first + BLOCK < count ? first + BLOCK : count;
        for (size_t j = 0; j < end; j++) {
            double *q = v + j * length;
            if (j >= first) {
                double norm = sqrt(dot_product(q, q, length));
                for (size_t i = 0; i < length; i++)
                    q[i] /= norm;
            }
            for (size_t k = j < first ? first : j + 1; k < end; k++) {
                double *a = v + k * length, along = dot_product(q, a, length);
                for (size_t i = 0; i < length; i++)
                    a[i] -= along * q[i];
            }
        }
    }
}

static enum rnn_status fill_orthogonal(double gain, uint64_t state, size_t rows, size_t columns, float *out,
                                       struct rnn_error *err)
{
    bool wide = rows < columns;
    size_t count = wide ? rows : columns, length = wide ? columns : rows, n;
    if (!rnn_size_mul(count, length, &n))
        return rnn_fail(err, RNN_ENOMEM, "orthogonal initializer: [%zu, %zu] is too large", rows, columns);
    double *v = rnn_alloc(n, sizeof *v);
    if (!v)
        return rnn_fail(err, RNN_ENOMEM, "orthogonal initializer: out of memory for [%zu, %zu]", rows, columns);
    for (size_t i = 0; i < n; i++)
        v[i] = draw_value(DIST_NORMAL, &state);
    orthonormalise(v, count, length);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            out[r * columns + c] = (float)(gain * (wide ? v[r * length + c] : v[c * length + r]));
    free(v);
    return RNN_OK;
}

enum rnn_status initializer_fill(const struct initializer *in, uint64_t seed, const char *path, size_t rows,
                                 size_t columns, float *out, struct rnn_error *err)
{
    uint64_t state = random_stream(in, seed, path);
    size_t n = (rows ? rows : 1) * columns;
    switch (in->kind) {
    case INIT_ZEROS:
    case INIT_ONES:
    case INIT_CONSTANT:
        for (size_t i = 0; i < n; i++)
            out[i] = in->kind == INIT_ZEROS ? 0.0f : in->kind == INIT_ONES ? 1.0f : (float)in->value;
        return RNN_OK;
    case INIT_IDENTITY:
    case INIT_ORTHOGONAL:
        if (!rows)
            return rnn_fail(err, RNN_EINVAL, "%s: this initializer makes matrices, not a vector of %zu", path, columns);
        if (in->kind == INIT_IDENTITY) {
            for (size_t i = 0; i < n; i++)
                out[i] = i / columns == i % columns ? (float)in->gain : 0.0f;
            return RNN_OK;
        }
        return fill_orthogonal(in->gain, state, rows, columns, out, err);
    case INIT_RANDOM_UNIFORM:
        fill_random(DIST_UNIFORM, (in->a + in->b) / 2, (in->b - in->a) / 2, state, n, out);
        return RNN_OK;
    case INIT_RANDOM_NORMAL:
        fill_random(DIST_NORMAL, in->a, in->b, state, n, out);
        return RNN_OK;
    case INIT_TRUNCATED_NORMAL:
        fill_random(DIST_TRUNCATED_NORMAL, in->a, in->b, state, n, out);
        return RNN_OK;
    case INIT_VARIANCE_SCALING:
        fill_scaled(in, state, rows, columns, out);
        return RNN_OK;
    }
    return RNN_EINVAL;
}
