/* Finds the tables of routines that this CPU can run. */
#include "vec.h"

#include <string.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static bool runs_here(const struct vec_ops *ops)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (ops == &vec_avx512)
        return __builtin_cpu_supports("avx512f");
    if (ops == &vec_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    if (ops == &vec_openblas)
        return vec_openblas_tiles_are_invariant();
    return true;
}

const struct vec_ops *vec_available(size_t i)
{
    static const struct vec_ops *const best_first[] = {
#if defined(__x86_64__)
        &vec_avx512,
        &vec_avx2,
#elif defined(__aarch64__)
        &vec_neon,
#endif
        &vec_openblas,
        &vec_openblas_rows,
        &vec_c,
    };
    const struct vec_ops *last = NULL;
    for (size_t row = 0; row < sizeof best_first / sizeof *best_first; row++) {
        const struct vec_ops *ops = best_first[row];
        if (!runs_here(ops) || (last && !strcmp(last->name, ops->name)))
            continue;
        if (i-- == 0)
            return ops;
        last = ops;
    }
    return NULL;
}

const struct vec_ops *vec_select(const char *name)
{
    if (!name || !*name)
        return vec_available(0);
    const struct vec_ops *ops;
    for (size_t i = 0; (ops = vec_available(i)); i++)
        if (!strcmp(ops->name, name))
            return ops;
    return NULL;
}

bool vec_activates(const struct activation *activation)
{
    switch (activation->kind) {
    case ACT_LINEAR:
    case ACT_TANH:
    case ACT_SIGMOID:
    case ACT_HARD_SIGMOID:
    case ACT_HARD_SIGMOID_V3:
    case ACT_RELU:
    case ACT_RELU6:
    case ACT_LEAKY_RELU:
    case ACT_ELU:
    case ACT_SELU:
    case ACT_CELU:
    case ACT_SOFTPLUS:
    case ACT_LOG_SIGMOID:
    case ACT_SOFTSIGN:
    case ACT_SWISH:
    case ACT_EXPONENTIAL:
    case ACT_GELU:
    case ACT_GELU_TANH:
    case ACT_HARD_TANH:
    case ACT_HARD_SILU:
        return true;
    default:
        return false;
    }
}

void vec_activate(const struct vec_ops *vec, const struct activation *activation, size_t n, float *x)
{
    if (vec->activate && vec_activates(activation))
        vec->activate(activation, n, x);
    else
        activation_apply(activation, n, x);
}

unsigned long long vec_denormals_off(void)
{
#if defined(__x86_64__)
    unsigned saved = _mm_getcsr();
    _mm_setcsr(saved | 0x8040); /* FTZ, DAZ */
    return saved;
#elif defined(__aarch64__)
    unsigned long long saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(saved | 1u << 24)); /* FZ */
    return saved;
#else
    return 0;
#endif
}

void vec_denormals_restore(unsigned long long saved)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)saved);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(saved));
#else
    (void)saved;
#endif
}
