/* Reads .npy files. The header is a Python dictionary with three known keys. */
#include "npy.h"

#include <stdlib.h>
#include <string.h>

bool npy_is(const unsigned char *bytes, size_t n)
{
    return n >= 10 && !memcmp(bytes, "\x93NUMPY", 6);
}

/* The text after 'key': in the header. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), ": ") : NULL;
}

static const char *read_type(const char *descr, struct npy_array *array)
{
    static const struct {
        const char *descr;
        char *name;
        enum tensor_type type;
        size_t width;
    } types[] = {{"'<f4'", "F32", TENSOR_F32, 4}, {"'<f8'", "F64", TENSOR_F64, 8}, {"'<f2'", "F16", TENSOR_F16, 2},
                 {"'<i4'", "I32", TENSOR_I32, 4}, {"'<i8'", "I64", TENSOR_I64, 8}, {"'|u1'", "U8", TENSOR_U8, 1},
                 {"'|b1'", "BOOL", TENSOR_U8, 1}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strncmp(descr, types[i].descr, 5)) {
            array->tensor.type = types[i].type;
            array->tensor.type_name = types[i].name;
            array->width = types[i].width;
            return NULL;
        }
    return "expected dtype float16, float32, float64, int32, int64, uint8 or bool, little-endian";
}

static const char *read_shape(const char *shape, struct npy_array *array)
{
    struct named_tensor *t = &array->tensor;
    t->elements = 1;
    for (shape++; *shape && *shape != ')'; shape += strspn(shape, ", ")) {
        char *end;
        unsigned long long size = strtoull(shape, &end, 10);
        if (*shape < '0' || *shape > '9' || t->rank == TENSOR_MAX_RANK ||
            __builtin_mul_overflow(t->elements, (size_t)size, &t->elements))
            return "a shape that is none";
        t->shape[t->rank++] = (size_t)size;
        shape = end;
    }
    return *shape ? NULL : "a shape that is none";
}

static const char *read_header(const char *header, struct npy_array *array)
{
    const char *descr = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    if (!descr || !order || !shape || *shape != '(')
        return "its header lacks descr, fortran_order or shape";
    array->fortran = !strncmp(order, "True", 4);
    const char *wrong = read_type(descr, array);
    return wrong ? wrong : read_shape(shape, array);
}

const char *npy_read(const unsigned char *p, size_t n, struct npy_array *array)
{
    size_t start = 10, needed;
    *array = (struct npy_array){.width = 0};
    if (!npy_is(p, n))
        return "this is no .npy array";
    size_t length = p[8] | (size_t)p[9] << 8;
    if (p[6] > 1 && n >= 12) {
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
        start = 12;
    }
    if (length > n - start)
        return "its header is longer than the file";
    char *header = strndup((const char *)p + start, length);
    const char *wrong = header ? read_header(header, array) : "out of memory";
    free(header);
    if (wrong)
        return wrong;
    if (__builtin_mul_overflow(array->tensor.elements, array->width, &needed) || needed != n - start - length)
        return "its data does not fill its shape";
    array->tensor.data = p + start + length;
    return NULL;
}

void npy_to_row_major(const struct npy_array *array, unsigned char *out)
{
    const struct named_tensor *t = &array->tensor;
    size_t at[TENSOR_MAX_RANK] = {0};
    for (size_t i = 0; i < t->elements; i++, out += array->width) {
        size_t from = 0;
        for (size_t d = t->rank; d-- > 0;)
            from = from * t->shape[d] + at[d];
        memcpy(out, t->data + from * array->width, array->width);
        for (size_t d = t->rank; d-- > 0 && ++at[d] == t->shape[d];)
            at[d] = 0;
    }
}
