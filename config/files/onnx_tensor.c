/* TensorProto: tensors in the file, and beside it. Source: onnx/onnx.proto (field numbers). */
#include "onnx_tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Element types, by TensorProto.DataType. */
static const struct type {
    const char *name; /* safetensors' */
    size_t width;
    uint32_t field; /* where its numbers stand, unless they are raw */
    enum protobuf_wire wire;
} types[] = {
    [1] = {"F32", 4, 4, PROTOBUF_FIXED32},   [2] = {"U8", 1, 5, PROTOBUF_VARINT},
    [6] = {"I32", 4, 5, PROTOBUF_VARINT},    [7] = {"I64", 8, 7, PROTOBUF_VARINT},
    [9] = {"U8", 1, 5, PROTOBUF_VARINT},     [10] = {"F16", 2, 5, PROTOBUF_VARINT},
    [11] = {"F64", 8, 10, PROTOBUF_FIXED64}, [16] = {"BF16", 2, 5, PROTOBUF_VARINT},
};
enum { TYPES = sizeof types / sizeof *types, RAW_DATA = 9 };

/* A TensorProto. */
struct tensor {
    size_t rank, shape[TENSOR_MAX_RANK], elements;
    uint64_t type;
    bool external, has_raw;
    struct protobuf raw, name, location, offset, length;
};

static bool read_external(struct onnx_reading *r, struct protobuf entry, struct tensor *out)
{
    struct protobuf_field field;
    struct protobuf key = protobuf_open(NULL, 0), value = key;
    while (protobuf_next(&entry, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            key = field.bytes;
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            value = field.bytes;
    if (protobuf_equals(&key, "location"))
        out->location = value;
    else if (protobuf_equals(&key, "offset"))
        out->offset = value;
    else if (protobuf_equals(&key, "length"))
        out->length = value;
    return !entry.damaged || onnx_read_damaged(r);
}

static bool read_dims(struct onnx_reading *r, const struct protobuf_field *field, struct tensor *out)
{
    struct protobuf_single single;
    struct protobuf list;
    uint64_t size;
    if (!protobuf_repeated(field, PROTOBUF_VARINT, &single, &list))
        return true;
    while (protobuf_varint(&list, &size)) {
        if (out->rank == TENSOR_MAX_RANK || size > SIZE_MAX / 16 ||
            __builtin_mul_overflow(out->elements, (size_t)size, &out->elements) || out->elements > SIZE_MAX / 16)
            return onnx_read_fail(r, "one of its tensors has more than 8 axes, or is too large");
        out->shape[out->rank++] = (size_t)size;
    }
    return !list.damaged || onnx_read_damaged(r);
}

/* All but the numbers that are not raw. */
static bool read_tensor(struct onnx_reading *r, struct protobuf message, struct tensor *out)
{
    struct protobuf_field field;
    const struct protobuf none = protobuf_open(NULL, 0);
    *out = (struct tensor){.elements = 1, .raw = none, .name = none, .location = none, .offset = none, .length = none};
    while (protobuf_next(&message, &field)) {
        if (field.number == 1 && !read_dims(r, &field, out))
            return false;
        if (protobuf_is(&field, 2, PROTOBUF_VARINT))
            out->type = field.value;
        else if (protobuf_is(&field, 8, PROTOBUF_BYTES))
            out->name = field.bytes;
        else if (protobuf_is(&field, 14, PROTOBUF_VARINT))
            out->external |= field.value == 1;
        else if (protobuf_is(&field, RAW_DATA, PROTOBUF_BYTES)) {
            out->has_raw = true;
            out->raw = field.bytes;
        } else if (protobuf_is(&field, 13, PROTOBUF_BYTES) && !read_external(r, field.bytes, out)) {
            return false;
        }
    }
    return !message.damaged || onnx_read_damaged(r);
}

/* Numbers of a typed field, as many as there are elements; *n counts them. */
static bool take_numbers(const struct protobuf_field *field, const struct type *type, size_t most, unsigned char *out,
                         size_t *n)
{
    struct protobuf_single single;
    struct protobuf list;
    uint64_t value = 0;
    uint32_t narrow = 0;
    if (!protobuf_repeated(field, type->wire, &single, &list))
        return false;
    for (;;) {
        bool more = type->wire == PROTOBUF_VARINT    ? protobuf_varint(&list, &value)
                    : type->wire == PROTOBUF_FIXED32 ? protobuf_fixed32(&list, &narrow)
                                                     : protobuf_fixed64(&list, &value);
        if (!more)
            return !list.damaged;
        if (*n == most)
            return false;
        if (type->wire == PROTOBUF_FIXED32)
            value = narrow;
        for (size_t i = 0; i < type->width; i++)
            out[*n * type->width + i] = (unsigned char)(value >> 8 * i);
        ++*n;
    }
}

/* Numbers that are not raw; NULL where there are more or fewer than elements, or with the error set. */
static unsigned char *read_numbers(struct onnx_reading *r, struct protobuf message, const struct tensor *tensor,
                                   const struct type *type)
{
    struct protobuf_field field;
    size_t n = 0;
    unsigned char *numbers = calloc(tensor->elements + 1, type->width);
    bool good = numbers || onnx_read_fail(r, "out of memory");
    while (good && protobuf_next(&message, &field))
        good = field.number != type->field || take_numbers(&field, type, tensor->elements, numbers, &n);
    if (good && n == tensor->elements)
        return numbers;
    free(numbers);
    return NULL;
}

bool onnx_tensor_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return true;
}

static json_t *external_of(struct onnx_reading *r, const struct tensor *tensor, const struct type *type)
{
    json_t *out = json_object(), *shape = json_array();
    bool good = out && onnx_read_put_text(r, out, "location", &tensor->location) &&
                onnx_read_put_text(r, out, "offset", &tensor->offset) &&
                onnx_read_put_text(r, out, "length", &tensor->length) &&
                onnx_read_put(r, out, "type", json_string(type->name));
    for (size_t i = 0; good && i < tensor->rank; i++)
        good = onnx_read_append(r, shape, json_integer((json_int_t)tensor->shape[i]));
    if (good && onnx_read_put(r, out, "shape", json_incref(shape))) {
        json_decref(shape);
        return out;
    }
    json_decref(shape);
    json_decref(out);
    return NULL;
}

/* What stands for a tensor: its name in the handover. Two graphs may have tensors of one name. NULL with the error set. */
json_t *onnx_tensor_take(struct onnx_reading *r, struct protobuf message, bool named)
{
    char name[ONNX_MAX_TEXT + 32];
    struct tensor tensor;
    if (!read_tensor(r, message, &tensor))
        return NULL;
    const struct type *type = tensor.type < TYPES && types[tensor.type].name ? &types[tensor.type] : NULL;
    if (!type)
        return json_null();
    if (tensor.external)
        return external_of(r, &tensor, type);
    size_t n = protobuf_left(&tensor.name);
    if (named && n <= ONNX_MAX_TEXT)
        snprintf(name, sizeof name, "%.*s", (int)n, (const char *)tensor.name.at);
    else
        snprintf(name, sizeof name, "#%zu", r->tensors);
    r->tensors++;
    struct handover_tensor *added = handover_add(r->out, name, type->name, type->width, tensor.rank, tensor.shape);
    if (!added)
        return NULL;
    added->data = tensor.raw.at;
    if (!tensor.has_raw)
        added->data = added->owned = read_numbers(r, message, &tensor, type);
    if (!added->data || (tensor.has_raw && protobuf_left(&tensor.raw) != added->bytes)) {
        handover_fail(r->out, "its tensor %.100s has not as many numbers as its shape says", name);
        return NULL;
    }
    return json_string(name);
}

/* One initializer. A name that another graph has, too, is replaced. */
bool onnx_tensor_initializer(struct onnx_reading *r, struct protobuf message, json_t *tensors, unsigned depth)
{
    struct tensor tensor;
    json_t *name = read_tensor(r, message, &tensor) ? onnx_read_text(r, &tensor.name) : NULL;
    bool good = name && onnx_read_put(r, tensors, json_string_value(name), onnx_tensor_take(r, message, !depth));
    json_decref(name);
    return good;
}
