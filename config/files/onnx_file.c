/* ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto. Source: onnx/onnx.proto (field numbers). */
#include "onnx_file.h"

#include "config/json_memory.h"
#include "protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 12, MAX_NODES = 65536, MAX_TEXT = 1000, MAX_LIST = 1 << 16 };

/* Reading one model. */
struct reading {
    struct handover *out;
    size_t nodes, tensors; /* so far, of all graphs */
};

static bool fail(struct reading *r, const char *text)
{
    return handover_fail(r->out, "%s", text);
}

static bool damaged(struct reading *r)
{
    return fail(r, "its protobuf is damaged or cut short");
}

/* A text as JSON; NULL with the error set. */
static json_t *text_of(struct reading *r, const struct protobuf *bytes)
{
    size_t n = protobuf_left(bytes);
    json_t *text = n <= MAX_TEXT && !memchr(bytes->at, 0, n) ? json_stringn((const char *)bytes->at, n) : NULL;
    if (!text)
        fail(r, "a name in it is no UTF-8 text of at most 1000 bytes");
    return text;
}

/* Set a key of an object, or add to a list; value is taken. */
static bool put(struct reading *r, json_t *object, const char *key, json_t *value)
{
    return value && (!json_object_set_new(object, key, value) || fail(r, "out of memory"));
}

static bool append(struct reading *r, json_t *list, json_t *value)
{
    return value && (!json_array_append_new(list, value) || fail(r, "out of memory"));
}

static bool put_text(struct reading *r, json_t *object, const char *key, const struct protobuf *bytes)
{
    return put(r, object, key, text_of(r, bytes));
}

/* ---- tensors ---- */

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

static bool read_external(struct reading *r, struct protobuf entry, struct tensor *out)
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
    return !entry.damaged || damaged(r);
}

static bool read_dims(struct reading *r, const struct protobuf_field *field, struct tensor *out)
{
    struct protobuf_single single;
    struct protobuf list;
    uint64_t size;
    if (!protobuf_repeated(field, PROTOBUF_VARINT, &single, &list))
        return true;
    while (protobuf_varint(&list, &size)) {
        if (out->rank == TENSOR_MAX_RANK || size > SIZE_MAX / 16 ||
            __builtin_mul_overflow(out->elements, (size_t)size, &out->elements) || out->elements > SIZE_MAX / 16)
            return fail(r, "one of its tensors has more than 8 axes, or is too large");
        out->shape[out->rank++] = (size_t)size;
    }
    return !list.damaged || damaged(r);
}

/* All but the numbers that are not raw. */
static bool read_tensor(struct reading *r, struct protobuf message, struct tensor *out)
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
    return !message.damaged || damaged(r);
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

static unsigned char *read_numbers(struct protobuf message, const struct tensor *tensor, const struct type *type)
{
    struct protobuf_field field;
    size_t n = 0;
    unsigned char *numbers = calloc(tensor->elements + 1, type->width);
    bool good = numbers != NULL;
    while (good && protobuf_next(&message, &field))
        good = field.number != type->field || take_numbers(&field, type, tensor->elements, numbers, &n);
    if (good && n == tensor->elements)
        return numbers;
    free(numbers);
    return NULL;
}

static bool read_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return true;
}

static json_t *external_of(struct reading *r, const struct tensor *tensor, const struct type *type)
{
    json_t *out = json_object(), *shape = json_array();
    bool good = out && put_text(r, out, "location", &tensor->location) && put_text(r, out, "offset", &tensor->offset) &&
                put_text(r, out, "length", &tensor->length) && put(r, out, "type", json_string(type->name));
    for (size_t i = 0; good && i < tensor->rank; i++)
        good = append(r, shape, json_integer((json_int_t)tensor->shape[i]));
    if (good && put(r, out, "shape", json_incref(shape))) {
        json_decref(shape);
        return out;
    }
    json_decref(shape);
    json_decref(out);
    return NULL;
}

/* What stands for a tensor: its name in the handover. Two graphs may have tensors of one name. NULL with the error set. */
static json_t *take_tensor(struct reading *r, struct protobuf message, bool named)
{
    char name[MAX_TEXT + 32];
    struct tensor tensor;
    if (!read_tensor(r, message, &tensor))
        return NULL;
    const struct type *type = tensor.type < TYPES && types[tensor.type].name ? &types[tensor.type] : NULL;
    if (!type)
        return json_null();
    if (tensor.external)
        return external_of(r, &tensor, type);
    size_t n = protobuf_left(&tensor.name);
    if (named && n <= MAX_TEXT)
        snprintf(name, sizeof name, "%.*s", (int)n, (const char *)tensor.name.at);
    else
        snprintf(name, sizeof name, "#%zu", r->tensors);
    r->tensors++;
    struct handover_tensor *added = handover_add(r->out, name, type->name, type->width, tensor.rank, tensor.shape);
    if (!added)
        return NULL;
    added->data = tensor.raw.at;
    if (!tensor.has_raw)
        added->data = added->owned = read_numbers(message, &tensor, type);
    if (!added->data || (tensor.has_raw && protobuf_left(&tensor.raw) != added->bytes)) {
        handover_fail(r->out, "its tensor %.100s has not as many numbers as its shape says", name);
        return NULL;
    }
    return json_string(name);
}

/* ---- attributes ---- */

static bool read_graph(struct reading *r, struct protobuf message, json_t *out, unsigned depth);

static json_t *number_of(double value)
{
    json_t *number = json_real(value);
    return number ? number : json_null(); /* JSON has no NaN */
}

static double float_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

/* The lists of an attribute: floats = 7, ints = 8, strings = 9. */
static bool read_list(struct reading *r, const struct protobuf_field *field, json_t *list)
{
    struct protobuf_single single;
    struct protobuf numbers;
    uint64_t whole;
    uint32_t bits;
    bool good = json_array_size(list) < MAX_LIST || fail(r, "an attribute of it has too many values");
    if (!good || field->number == 9)
        return good && field->wire == PROTOBUF_BYTES && append(r, list, text_of(r, &field->bytes));
    if (!protobuf_repeated(field, field->number == 7 ? PROTOBUF_FIXED32 : PROTOBUF_VARINT, &single, &numbers))
        return damaged(r);
    while (good && (field->number == 7 ? protobuf_fixed32(&numbers, &bits) : protobuf_varint(&numbers, &whole)))
        good = json_array_size(list) < MAX_LIST &&
               append(r, list, field->number == 7 ? number_of(float_of(bits)) : json_integer((json_int_t)whole));
    return good && (!numbers.damaged || damaged(r));
}

static json_t *graph_of(struct reading *r, struct protobuf message, unsigned depth)
{
    json_t *out = json_object(), *graph = json_object();
    if (out && graph && put(r, out, "graph", json_incref(graph)) && read_graph(r, message, graph, depth + 1)) {
        json_decref(graph);
        return out;
    }
    json_decref(graph);
    json_decref(out);
    return NULL;
}

static json_t *tensor_value(struct reading *r, struct protobuf message)
{
    json_t *tensor = take_tensor(r, message, false), *out = tensor ? json_object() : NULL;
    if (out && put(r, out, "tensor", tensor))
        return out;
    if (!out)
        json_decref(tensor);
    json_decref(out);
    return NULL;
}

/* name = 1, f = 2, i = 3, s = 4, t = 5, g = 6, floats = 7, ints = 8, strings = 9, type = 20. */
static bool read_attribute(struct reading *r, struct protobuf message, json_t *out, unsigned depth)
{
    struct protobuf_field field;
    struct protobuf name = protobuf_open(NULL, 0);
    json_t *value = NULL, *list = json_array();
    uint64_t type = 0;
    bool good = list != NULL;
    while (good && protobuf_next(&message, &field)) {
        json_t *read = NULL;
        bool single = true;
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            name = field.bytes;
        if (protobuf_is(&field, 20, PROTOBUF_VARINT))
            type = field.value;
        if (field.number >= 7 && field.number <= 9)
            good = read_list(r, &field, list);
        if (protobuf_is(&field, 2, PROTOBUF_FIXED32))
            read = number_of(float_of(field.value));
        else if (protobuf_is(&field, 3, PROTOBUF_VARINT))
            read = json_integer((json_int_t)field.value);
        else if (protobuf_is(&field, 4, PROTOBUF_BYTES))
            read = protobuf_left(&field.bytes) <= MAX_TEXT ? text_of(r, &field.bytes) : json_null();
        else if (protobuf_is(&field, 5, PROTOBUF_BYTES))
            read = tensor_value(r, field.bytes);
        else if (protobuf_is(&field, 6, PROTOBUF_BYTES))
            read = graph_of(r, field.bytes, depth);
        else
            single = false;
        if (single) {
            json_decref(value);
            value = read;
            good = good && read;
        }
    }
    good = good && (!message.damaged || damaged(r));
    bool is_list = (type >= 6 && type <= 8) || (!type && !value);
    json_t *key = good ? text_of(r, &name) : NULL;
    good = key && put(r, out, json_string_value(key),
                      json_incref(is_list ? list
                                  : value ? value
                                          : json_null())); /* other types are not read */
    json_decref(key);
    json_decref(value);
    json_decref(list);
    return good;
}

/* ---- nodes and graphs ---- */

/* input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7. */
static bool read_node(struct reading *r, struct protobuf message, json_t *out, unsigned depth)
{
    struct protobuf_field field;
    json_t *in = json_array(), *given = json_array(), *attributes = json_object();
    bool good = in && given && attributes && put(r, out, "in", json_incref(in)) &&
                put(r, out, "out", json_incref(given)) && put(r, out, "attributes", json_incref(attributes));
    if (r->nodes++ == MAX_NODES)
        good = fail(r, "it has more than 65536 nodes");
    while (good && protobuf_next(&message, &field)) {
        if (field.wire != PROTOBUF_BYTES)
            continue;
        if (field.number == 1)
            good = append(r, in, text_of(r, &field.bytes));
        else if (field.number == 2)
            good = append(r, given, text_of(r, &field.bytes));
        else if (field.number == 3)
            good = put_text(r, out, "name", &field.bytes);
        else if (field.number == 4)
            good = put_text(r, out, "op", &field.bytes);
        else if (field.number == 7)
            good = put_text(r, out, "domain", &field.bytes);
        else if (field.number == 5)
            good = read_attribute(r, field.bytes, attributes, depth);
    }
    json_decref(in);
    json_decref(given);
    json_decref(attributes);
    return good && (!message.damaged || damaged(r));
}

/* TensorShapeProto.Dimension: dim_value = 1, dim_param = 2. */
static json_t *size_of(struct reading *r, struct protobuf message)
{
    struct protobuf_field field;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value)
            return json_integer((json_int_t)field.value);
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            return text_of(r, &field.bytes);
    return json_null();
}

/* TypeProto: tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 } }. */
static bool read_type(struct reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field type, part, size;
    bool good = true;
    while (good && protobuf_next(&message, &type))
        while (good && protobuf_is(&type, 1, PROTOBUF_BYTES) && protobuf_next(&type.bytes, &part)) {
            if (protobuf_is(&part, 1, PROTOBUF_VARINT))
                good = put(r, out, "type", json_integer((json_int_t)part.value));
            json_t *shape = protobuf_is(&part, 2, PROTOBUF_BYTES) ? json_array() : NULL;
            while (good && shape && protobuf_next(&part.bytes, &size))
                if (protobuf_is(&size, 1, PROTOBUF_BYTES))
                    good = json_array_size(shape) < TENSOR_MAX_RANK && append(r, shape, size_of(r, size.bytes));
            if (shape)
                good = put(r, out, "shape", shape) && good;
        }
    return good || fail(r, "the type of an input or output of it is damaged, or has more than 8 axes");
}

/* ValueInfoProto: name = 1, type = 2. */
static bool read_info(struct reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field field;
    bool good = true;
    while (good && protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            good = put_text(r, out, "name", &field.bytes);
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            good = read_type(r, field.bytes, out);
    return good && (!message.damaged || damaged(r));
}

/* One initializer. A name that another graph has, too, is replaced. */
static bool read_initializer(struct reading *r, struct protobuf message, json_t *tensors, unsigned depth)
{
    struct tensor tensor;
    json_t *name = read_tensor(r, message, &tensor) ? text_of(r, &tensor.name) : NULL;
    bool good = name && put(r, tensors, json_string_value(name), take_tensor(r, message, !depth));
    json_decref(name);
    return good;
}

/* node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15. */
static bool read_graph(struct reading *r, struct protobuf message, json_t *out, unsigned depth)
{
    struct protobuf_field field;
    json_t *lists[3] = {json_array(), json_array(), json_array()}, *tensors = json_object();
    static const char *const keys[3] = {"nodes", "inputs", "outputs"};
    bool good = tensors && put(r, out, "tensors", json_incref(tensors));
    for (size_t i = 0; i < 3; i++)
        good = good && put(r, out, keys[i], json_incref(lists[i]));
    if (depth > MAX_DEPTH)
        good = fail(r, "its graphs are nested too deep");
    while (good && protobuf_next(&message, &field)) {
        size_t list = field.number == 1 ? 0 : field.number == 11 ? 1 : field.number == 12 ? 2 : 3;
        if (field.wire != PROTOBUF_BYTES)
            continue;
        if (field.number == 5)
            good = read_initializer(r, field.bytes, tensors, depth);
        else if (field.number == 15)
            good = fail(r, "it has sparse tensors, which are not served; export it with dense ones");
        if (list == 3)
            continue;
        json_t *object = json_object();
        good = object && (list ? read_info(r, field.bytes, object) : read_node(r, field.bytes, object, depth));
        good = append(r, lists[list], object) && good;
    }
    for (size_t i = 0; i < 3; i++)
        json_decref(lists[i]);
    json_decref(tensors);
    return good && (!message.damaged || damaged(r));
}

/* OperatorSetIdProto: domain = 1, version = 2. */
static bool read_opset(struct reading *r, struct protobuf message, json_t *opset)
{
    struct protobuf_field field;
    struct protobuf domain = protobuf_open(NULL, 0);
    uint64_t version = 0;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            domain = field.bytes;
        else if (protobuf_is(&field, 2, PROTOBUF_VARINT))
            version = field.value;
    json_t *key = text_of(r, &domain);
    bool good = key && put(r, opset, json_string_value(key), json_integer((json_int_t)version));
    json_decref(key);
    return good;
}

/* ir_version = 1, producer_name = 2, producer_version = 3, graph = 7, opset_import = 8. */
static bool read_model(struct reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field field;
    json_t *opset = json_object(), *graph = json_object();
    bool has_graph = false,
         good = opset && graph && put(r, out, "opset", json_incref(opset)) && put(r, out, "graph", json_incref(graph));
    while (good && protobuf_next(&message, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_VARINT))
            good = put(r, out, "ir", json_integer((json_int_t)field.value));
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            good = put_text(r, out, "producer", &field.bytes);
        else if (protobuf_is(&field, 3, PROTOBUF_BYTES))
            good = put_text(r, out, "producer_version", &field.bytes);
        else if (protobuf_is(&field, 8, PROTOBUF_BYTES))
            good = read_opset(r, field.bytes, opset);
        else if (protobuf_is(&field, 7, PROTOBUF_BYTES)) {
            good = !has_graph && read_graph(r, field.bytes, graph, 0);
            has_graph = true;
        }
    }
    json_decref(opset);
    json_decref(graph);
    if (!good || message.damaged)
        return damaged(r);
    return has_graph || fail(r, "it is no ONNX model: it has no graph");
}

bool onnx_is(const unsigned char *bytes, size_t n)
{
    return n > 4 && bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] <= 15 &&
           (bytes[2] == 0x12 || bytes[2] == 0x3a || bytes[2] == 0x42);
}

bool onnx_read(struct handover *out, const unsigned char *bytes, size_t n)
{
    struct reading r = {.out = out};
    json_t *model = json_object();
    out->read = read_data;
    bool good = model && read_model(&r, protobuf_open(bytes, n), model);
    char *text = good ? json_dumps(model, JSON_COMPACT) : NULL;
    good = text && handover_text(out, "onnx", text, strlen(text)) && handover_text(out, "naming", "names", 5);
    json_memory_free(text);
    json_decref(model);
    return good || handover_fail(out, "out of memory for its graph");
}
