/* Sets of named tensors: look-up, and conversion to float32. */
#include "tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct named_tensor *tensor_set_find(const struct tensor_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (!strcmp(set->tensors[i].name, name))
            return &set->tensors[i];
    return NULL;
}

void tensor_set_close(struct tensor_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->tensors[i].name);
        free(set->tensors[i].type_name);
    }
    free(set->tensors);
    if (set->file)
        munmap(set->file, set->file_bytes);
    *set = (struct tensor_set){0};
}

static uint64_t little_endian(const unsigned char *p, size_t bytes)
{
    uint64_t value = 0;
    while (bytes--)
        value = value << 8 | p[bytes];
    return value;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16. */
static float float_of_half(uint32_t bits)
{
    uint32_t sign = bits >> 15, exponent = bits >> 10 & 31, fraction = bits & 1023;
    float value;
    if (exponent == 31)
        value = fraction ? NAN : INFINITY;
    else if (exponent)
        value = ldexpf((float)(fraction | 1024), (int)exponent - 25);
    else
        value = ldexpf((float)fraction, -24);
    return sign ? -value : value;
}

void tensor_to_floats(const struct named_tensor *tensor, float *out)
{
    const unsigned char *p = tensor->data;
    for (size_t i = 0; i < tensor->elements; i++)
        switch (tensor->type) {
        case TENSOR_F32:
            out[i] = float_of_bits((uint32_t)little_endian(p + 4 * i, 4));
            break;
        case TENSOR_F64: {
            uint64_t bits = little_endian(p + 8 * i, 8);
            double value;
            memcpy(&value, &bits, sizeof value);
            out[i] = (float)value;
            break;
        }
        case TENSOR_F16:
            out[i] = float_of_half((uint32_t)little_endian(p + 2 * i, 2));
            break;
        case TENSOR_BF16:
            out[i] = float_of_bits((uint32_t)little_endian(p + 2 * i, 2) << 16);
            break;
        case TENSOR_OTHER:
            break;
        }
}

void shape_text(const size_t *shape, size_t rank, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%zu", i ? ", " : "", shape[i]);
    if (n < size)
        snprintf(out + n, size - n, "]");
}
