/* Reads NumPy's arrays in pickles. Source: numpy/core/src/multiarray/methods.c, array_setstate and array_reduce;
   descriptor.c, arraydescr_setstate; joblib/numpy_pickle.py. */
#include "pickle_machine.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char reconstruct[] = "numpy.core.multiarray._reconstruct", scalar[] = "numpy.core.multiarray.scalar",
                  frombuffer[] = "numpy.core.numeric._frombuffer",
                  joblib_wrapper[] = "joblib.numpy_pickle.NumpyArrayWrapper";

bool pickle_is_array(const struct pickle_value *value)
{
    return pickle_is_object(value, reconstruct) || pickle_is_object(value, scalar) ||
           pickle_is_object(value, frombuffer) || pickle_is_object(value, joblib_wrapper);
}

const char *pickle_dtype_read(const struct pickle_value *dtype, struct pickle_array *out)
{
    const struct pickle_value *args = pickle_is_object(dtype, "numpy.dtype") ? dtype->args : NULL;
    const struct pickle_value *code = pickle_at(args, 0), *state = args ? dtype->state : NULL;
    char *end;
    if (!code || code->kind != PICKLE_TEXT || !code->bytes)
        return "has no dtype that is known";
    const char *text = code->text + (*code->text == '<' || *code->text == '>' || *code->text == '|');
    out->big_endian = *code->text == '>' || pickle_is(pickle_at(state, 1), ">");
    out->type = *text;
    unsigned long width = *text ? strtoul(text + 1, &end, 10) : 0;
    if (!*text || *end || !strchr("fiubSUO", *text) || width > 1 << 20)
        return "has a dtype other than numbers, texts or objects";
    if (!width && (*text == 'S' || *text == 'U')) { /* of older NumPys: the width is in the state */
        size_t size;
        if (!pickle_size(pickle_at(state, 5), &size) || size > 1 << 20)
            return "has texts without a width";
        out->width = size;
    } else {
        out->width = *text == 'U' ? 4 * width : width;
    }
    size_t w = out->width;
    bool good = *text == 'f'                                   ? w == 2 || w == 4 || w == 8 || w == 16
                : *text == 'b'                                 ? w == 1
                : *text == 'O' || *text == 'S' || *text == 'U' ? true
                                                               : w == 1 || w == 2 || w == 4 || w == 8;
    return good ? NULL : "has numbers of a width that is not known";
}

const char *pickle_shape_read(const struct pickle_value *shape, struct pickle_array *out)
{
    size_t size;
    out->rank = 0;
    out->elements = 1;
    if (shape && shape->kind == PICKLE_INT && pickle_size(shape, &size)) { /* _frombuffer takes a number, too */
        out->shape[out->rank++] = out->elements = size;
        return NULL;
    }
    if (!shape || shape->kind != PICKLE_TUPLE || shape->n > PICKLE_MAX_RANK)
        return "has no shape of at most 8 dimensions";
    for (size_t i = 0; i < shape->n; i++) {
        if (!pickle_size(shape->members[i], &size) || __builtin_mul_overflow(out->elements, size, &out->elements))
            return "has a dimension that is no size, or too large";
        out->shape[out->rank++] = size;
    }
    return NULL;
}

/* The data, which must have the right length: bytes, a text of Python 2, or a list of objects. */
static const char *read_data(const struct pickle_value *data, struct pickle_array *out)
{
    size_t bytes;
    if (out->type == 'O') {
        if (!data || data->kind != PICKLE_LIST || data->n != out->elements)
            return "has not as many objects as its shape says";
        out->items = data;
        return NULL;
    }
    if (!data || (data->kind != PICKLE_BYTES && data->kind != PICKLE_TEXT) ||
        __builtin_mul_overflow(out->elements, out->width, &bytes) || bytes != data->bytes)
        return "has not as many bytes as its shape and dtype say";
    out->data = (const unsigned char *)data->text;
    return NULL;
}

const char *pickle_array_read(const struct pickle_value *value, struct pickle_array *out)
{
    const struct pickle_value *shape, *dtype, *data, *state = value ? value->state : NULL;
    *out = (struct pickle_array){.elements = 1};
    if (pickle_is_object(value, reconstruct)) {
        const struct pickle_value *fortran = pickle_at(state, 3);
        shape = pickle_at(state, 1);
        dtype = pickle_at(state, 2);
        data = pickle_at(state, 4);
        out->fortran = fortran && (fortran->kind == PICKLE_BOOL || fortran->kind == PICKLE_INT) && fortran->integer;
    } else if (pickle_is_object(value, frombuffer)) {
        data = pickle_at(value->args, 0);
        dtype = pickle_at(value->args, 1);
        shape = pickle_at(value->args, 2);
        out->fortran = pickle_is(pickle_at(value->args, 3), "F");
    } else if (pickle_is_object(value, joblib_wrapper)) {
        shape = pickle_get(value, "shape");
        dtype = pickle_get(value, "dtype");
        data = value->args;
        out->fortran = pickle_is(pickle_get(value, "order"), "F");
        if (pickle_is_array(data)) /* an array of objects: a separate pickle */
            return pickle_is_object(data, reconstruct) ? pickle_array_read(data, out) : "is no array";
    } else if (pickle_is_object(value, scalar)) {
        const char *wrong = pickle_dtype_read(pickle_at(value->args, 0), out);
        return wrong ? wrong : out->type == 'O' ? "is an object" : read_data(pickle_at(value->args, 1), out);
    } else {
        return "is no NumPy array";
    }
    const char *wrong = pickle_shape_read(shape, out);
    wrong = wrong ? wrong : pickle_dtype_read(dtype, out);
    return wrong ? wrong : read_data(data, out);
}

/* The position in column-major data of an element in row-major order. */
static size_t column_major(const struct pickle_array *array, size_t i)
{
    size_t at = 0, stride[PICKLE_MAX_RANK] = {0}, step = 1;
    for (size_t d = 0; d < array->rank; d++) {
        stride[d] = step;
        step *= array->shape[d];
    }
    for (size_t d = array->rank; d-- > 0; i /= array->shape[d])
        at += i % array->shape[d] * stride[d];
    return at;
}

/* IEEE 754 binary16. */
static double half(uint64_t bits)
{
    double fraction = (double)(bits & 1023), value;
    int exponent = (int)(bits >> 10 & 31);
    if (exponent == 31)
        value = bits & 1023 ? (double)NAN : (double)INFINITY;
    else
        value = exponent ? ldexp(fraction + 1024, exponent - 25) : ldexp(fraction, -24);
    return bits >> 15 ? -value : value;
}

double pickle_array_number(const struct pickle_array *array, size_t i)
{
    uint64_t bits = 0;
    float single;
    double real = NAN;
    if (!array->data || i >= array->elements || array->width > 8 || !strchr("fiub", array->type))
        return real;
    const unsigned char *p = array->data + array->width * (array->fortran ? column_major(array, i) : i);
    for (size_t b = 0; b < array->width; b++)
        bits |= (uint64_t)p[array->big_endian ? array->width - 1 - b : b] << 8 * b;
    if (array->type == 'i')
        return (double)((int64_t)(bits << (64 - 8 * array->width)) >> (64 - 8 * array->width));
    if (array->type != 'f')
        return (double)bits;
    if (array->width == 2)
        return half(bits);
    if (array->width == 4) {
        uint32_t low = (uint32_t)bits;
        memcpy(&single, &low, sizeof single);
        return (double)single;
    }
    memcpy(&real, &bits, sizeof real);
    return real;
}
