/* Reading .npy: the header is a Python dictionary of three known keys. */
#include "npy.h"

#include "config/tensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char magic[] = "\x93NUMPY";

bool npy_is(const char *bytes, size_t n)
{
    return n >= 10 && !memcmp(bytes, magic, 6);
}

struct array {
    struct named_tensor tensor;
    size_t width;
    bool fortran;
};

/* The text behind 'key': in the header. */
static const char *value_of(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? at + strlen(key) + strspn(at + strlen(key), ": ") : NULL;
}

static const char *read_header(const char *header, struct array *array)
{
    static const struct {
        const char *name;
        enum tensor_type type;
        size_t width;
    } types[] = {{"'<f4'", TENSOR_F32, 4}, {"'<f8'", TENSOR_F64, 8}, {"'<f2'", TENSOR_F16, 2}};
    const char *descr = value_of(header, "'descr'"), *order = value_of(header, "'fortran_order'");
    const char *shape = value_of(header, "'shape'");
    if (!descr || !order || !shape || *shape != '(')
        return "its header lacks descr, fortran_order or shape";
    for (size_t i = 0; i < 3; i++)
        if (!strncmp(descr, types[i].name, 5)) {
            array->tensor.type = types[i].type;
            array->width = types[i].width;
        }
    if (!array->width)
        return "expected dtype float16, float32 or float64";
    array->fortran = !strncmp(order, "True", 4);
    array->tensor.elements = 1;
    for (shape++; *shape && *shape != ')'; shape += strspn(shape, ", ")) {
        char *end;
        unsigned long long size = strtoull(shape, &end, 10);
        if (end == shape || array->tensor.rank == TENSOR_MAX_RANK ||
            __builtin_mul_overflow(array->tensor.elements, (size_t)size, &array->tensor.elements))
            return "a shape that is none";
        array->tensor.shape[array->tensor.rank++] = (size_t)size;
        shape = end;
    }
    return NULL;
}

static double element(const struct array *array, size_t i)
{
    struct named_tensor one = array->tensor;
    float value;
    double wide;
    one.data += i * array->width;
    one.elements = 1;
    if (one.type == TENSOR_F64) { /* not by way of float32 */
        memcpy(&wide, one.data, sizeof wide);
        return wide;
    }
    tensor_to_floats(&one, &value);
    return (double)value;
}

/* Lists of dimension d and below; at is the first element, stride the distance of neighbours. */
static json_t *lists(const struct array *array, size_t d, size_t at)
{
    const struct named_tensor *t = &array->tensor;
    if (d == t->rank)
        return json_real(element(array, at));
    size_t stride = 1;
    for (size_t i = array->fortran ? 0 : d + 1; i < (array->fortran ? d : t->rank); i++)
        stride *= t->shape[i];
    json_t *list = json_array();
    for (size_t i = 0; i < t->shape[d]; i++)
        json_array_append_new(list, lists(array, d + 1, at + i * stride));
    return list;
}

json_t *npy_to_json(const char *bytes, size_t n, const char **wrong)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t length = p[8] | (size_t)p[9] << 8, start = 10, needed;
    struct array array = {.width = 0};
    if (p[6] > 1 && n >= 12) {
        length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
        start = 12;
    }
    *wrong = "its header is longer than the file";
    if (length > n - start)
        return NULL;
    char *header = strndup(bytes + start, length);
    *wrong = header ? read_header(header, &array) : "out of memory";
    free(header);
    if (*wrong)
        return NULL;
    *wrong = "its data does not fill its shape";
    if (__builtin_mul_overflow(array.tensor.elements, array.width, &needed) || needed != n - start - length)
        return NULL;
    array.tensor.data = p + start + length;
    return lists(&array, 0, 0);
}
