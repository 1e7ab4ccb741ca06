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

const char *tensor_set_text(const struct tensor_set *set, const char *key)
{
    return json_string_value(json_object_get(set->metadata, key));
}

void tensor_set_close(struct tensor_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->tensors[i].name);
        free(set->tensors[i].type_name);
    }
    free(set->tensors);
    json_decref(set->metadata);
    free(set->memory);
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

bool tensor_is_float(const struct named_tensor *tensor)
{
    return tensor->type <= TENSOR_BF16;
}

double tensor_element(const struct named_tensor *tensor, size_t i)
{
    const unsigned char *p = tensor->data;
    double value = NAN;
    uint64_t bits;
    switch (tensor->type) {
    case TENSOR_F32:
        return (double)float_of_bits((uint32_t)little_endian(p + 4 * i, 4));
    case TENSOR_F64:
        bits = little_endian(p + 8 * i, 8);
        memcpy(&value, &bits, sizeof value);
        return value;
    case TENSOR_F16:
        return (double)float_of_half((uint32_t)little_endian(p + 2 * i, 2));
    case TENSOR_BF16:
        return (double)float_of_bits((uint32_t)little_endian(p + 2 * i, 2) << 16);
    case TENSOR_I32:
        return (double)(int32_t)little_endian(p + 4 * i, 4);
    case TENSOR_I64:
        return (double)(int64_t)little_endian(p + 8 * i, 8);
    case TENSOR_U8:
        return (double)p[i];
    case TENSOR_OTHER:
        break;
    }
    return value;
}

void tensor_to_floats(const struct named_tensor *tensor, float *out)
{
    for (size_t i = 0; i < tensor->elements; i++)
        out[i] = (float)tensor_element(tensor, i);
}

size_t tensor_nonfinite(const struct named_tensor *tensor, size_t *first)
{
    const float *in_place = tensor_floats_in_place(tensor);
    size_t n = 0;
    for (size_t i = 0; i < tensor->elements; i++)
        if (!isfinite(in_place ? in_place[i] : (float)tensor_element(tensor, i)) && !n++)
            *first = i;
    return n;
}

const float *tensor_floats_in_place(const struct named_tensor *tensor)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (tensor->type == TENSOR_F32 && (uintptr_t)tensor->data % _Alignof(float) == 0)
        return (const float *)(const void *)tensor->data;
#endif
    return NULL;
}

void shape_text(const size_t *shape, size_t rank, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (size_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%zu", i ? ", " : "", shape[i]);
    if (n < size)
        snprintf(out + n, size - n, "]");
}
