/* ModelProto, GraphProto, NodeProto, AttributeProto. Source: onnx/onnx.proto (field numbers). */
#include "onnx_file.h"

#include "config/json_memory.h"
#include "onnx_tensor.h"

#include <string.h>

enum { MAX_DEPTH = 12, MAX_NODES = 65536, MAX_LIST = 1 << 16 };

/* ---- attributes ---- */

static bool read_graph(struct onnx_reading *r, struct protobuf message, json_t *out, unsigned depth);

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
static bool read_list(struct onnx_reading *r, const struct protobuf_field *field, json_t *list)
{
    struct protobuf_single single;
    struct protobuf numbers;
    uint64_t whole;
    uint32_t bits;
    bool good = json_array_size(list) < MAX_LIST || onnx_read_fail(r, "an attribute of it has too many values");
    if (!good || field->number == 9)
        return good && field->wire == PROTOBUF_BYTES && onnx_read_append(r, list, onnx_read_text(r, &field->bytes));
    if (!protobuf_repeated(field, field->number == 7 ? PROTOBUF_FIXED32 : PROTOBUF_VARINT, &single, &numbers))
        return onnx_read_damaged(r);
    while (good && (field->number == 7 ? protobuf_fixed32(&numbers, &bits) : protobuf_varint(&numbers, &whole)))
        good =
            json_array_size(list) < MAX_LIST &&
            onnx_read_append(r, list, field->number == 7 ? number_of(float_of(bits)) : json_integer((json_int_t)whole));
    return good && (!numbers.damaged || onnx_read_damaged(r));
}

static json_t *graph_of(struct onnx_reading *r, struct protobuf message, unsigned depth)
{
    json_t *out = json_object(), *graph = json_object();
    if (out && graph && onnx_read_put(r, out, "graph", json_incref(graph)) &&
        read_graph(r, message, graph, depth + 1)) {
        json_decref(graph);
        return out;
    }
    json_decref(graph);
    json_decref(out);
    return NULL;
}

static json_t *tensor_value(struct onnx_reading *r, struct protobuf message)
{
    json_t *tensor = onnx_tensor_take(r, message, false), *out = tensor ? json_object() : NULL;
    if (out && onnx_read_put(r, out, "tensor", tensor))
        return out;
    if (!out)
        json_decref(tensor);
    json_decref(out);
    return NULL;
}

/* name = 1, f = 2, i = 3, s = 4, t = 5, g = 6, floats = 7, ints = 8, strings = 9, type = 20. */
static bool read_attribute(struct onnx_reading *r, struct protobuf message, json_t *out, unsigned depth)
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
            read = protobuf_left(&field.bytes) <= ONNX_MAX_TEXT ? onnx_read_text(r, &field.bytes) : json_null();
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
    good = good && (!message.damaged || onnx_read_damaged(r));
    bool is_list = (type >= 6 && type <= 8) || (!type && !value);
    json_t *key = good ? onnx_read_text(r, &name) : NULL;
    good = key && onnx_read_put(r, out, json_string_value(key),
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
static bool read_node(struct onnx_reading *r, struct protobuf message, json_t *out, unsigned depth)
{
    struct protobuf_field field;
    json_t *in = json_array(), *given = json_array(), *attributes = json_object();
    bool good = in && given && attributes && onnx_read_put(r, out, "in", json_incref(in)) &&
                onnx_read_put(r, out, "out", json_incref(given)) &&
                onnx_read_put(r, out, "attributes", json_incref(attributes));
    if (r->nodes++ == MAX_NODES)
        good = onnx_read_fail(r, "it has more than 65536 nodes");
    while (good && protobuf_next(&message, &field)) {
        if (field.wire != PROTOBUF_BYTES)
            continue;
        if (field.number == 1)
            good = onnx_read_append(r, in, onnx_read_text(r, &field.bytes));
        else if (field.number == 2)
            good = onnx_read_append(r, given, onnx_read_text(r, &field.bytes));
        else if (field.number == 3)
            good = onnx_read_put_text(r, out, "name", &field.bytes);
        else if (field.number == 4)
            good = onnx_read_put_text(r, out, "op", &field.bytes);
        else if (field.number == 7)
            good = onnx_read_put_text(r, out, "domain", &field.bytes);
        else if (field.number == 5)
            good = read_attribute(r, field.bytes, attributes, depth);
    }
    json_decref(in);
    json_decref(given);
    json_decref(attributes);
    return good && (!message.damaged || onnx_read_damaged(r));
}

/* TensorShapeProto.Dimension: dim_value = 1, dim_param = 2. */
static json_t *size_of(struct onnx_reading *r, struct protobuf message)
{
    struct protobuf_field field;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_VARINT) && field.value)
            return json_integer((json_int_t)field.value);
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            return onnx_read_text(r, &field.bytes);
    return json_null();
}

/* TypeProto: tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 } }. */
static bool read_type(struct onnx_reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field type, part, size;
    bool good = true;
    while (good && protobuf_next(&message, &type))
        while (good && protobuf_is(&type, 1, PROTOBUF_BYTES) && protobuf_next(&type.bytes, &part)) {
            if (protobuf_is(&part, 1, PROTOBUF_VARINT))
                good = onnx_read_put(r, out, "type", json_integer((json_int_t)part.value));
            json_t *shape = protobuf_is(&part, 2, PROTOBUF_BYTES) ? json_array() : NULL;
            while (good && shape && protobuf_next(&part.bytes, &size))
                if (protobuf_is(&size, 1, PROTOBUF_BYTES))
                    good =
                        json_array_size(shape) < TENSOR_MAX_RANK && onnx_read_append(r, shape, size_of(r, size.bytes));
            if (shape)
                good = onnx_read_put(r, out, "shape", shape) && good;
        }
    return good || onnx_read_fail(r, "the type of an input or output of it is damaged, or has more than 8 axes");
}

/* ValueInfoProto: name = 1, type = 2. */
static bool read_info(struct onnx_reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field field;
    bool good = true;
    while (good && protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            good = onnx_read_put_text(r, out, "name", &field.bytes);
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            good = read_type(r, field.bytes, out);
    return good && (!message.damaged || onnx_read_damaged(r));
}

/* node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15. */
static bool read_graph(struct onnx_reading *r, struct protobuf message, json_t *out, unsigned depth)
{
    struct protobuf_field field;
    json_t *lists[3] = {json_array(), json_array(), json_array()}, *tensors = json_object();
    static const char *const keys[3] = {"nodes", "inputs", "outputs"};
    bool good = tensors && onnx_read_put(r, out, "tensors", json_incref(tensors));
    for (size_t i = 0; i < 3; i++)
        good = good && onnx_read_put(r, out, keys[i], json_incref(lists[i]));
    if (depth > MAX_DEPTH)
        good = onnx_read_fail(r, "its graphs are nested too deep");
    while (good && protobuf_next(&message, &field)) {
        size_t list = field.number == 1 ? 0 : field.number == 11 ? 1 : field.number == 12 ? 2 : 3;
        if (field.wire != PROTOBUF_BYTES)
            continue;
        if (field.number == 5)
            good = onnx_tensor_initializer(r, field.bytes, tensors, depth);
        else if (field.number == 15)
            good = onnx_read_fail(r, "it has sparse tensors, which are not served; export it with dense ones");
        if (list == 3)
            continue;
        json_t *object = json_object();
        good = object && (list ? read_info(r, field.bytes, object) : read_node(r, field.bytes, object, depth));
        good = onnx_read_append(r, lists[list], object) && good;
    }
    for (size_t i = 0; i < 3; i++)
        json_decref(lists[i]);
    json_decref(tensors);
    return good && (!message.damaged || onnx_read_damaged(r));
}

/* OperatorSetIdProto: domain = 1, version = 2. */
static bool read_opset(struct onnx_reading *r, struct protobuf message, json_t *opset)
{
    struct protobuf_field field;
    struct protobuf domain = protobuf_open(NULL, 0);
    uint64_t version = 0;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            domain = field.bytes;
        else if (protobuf_is(&field, 2, PROTOBUF_VARINT))
            version = field.value;
    json_t *key = onnx_read_text(r, &domain);
    bool good = key && onnx_read_put(r, opset, json_string_value(key), json_integer((json_int_t)version));
    json_decref(key);
    return good;
}

/* ir_version = 1, producer_name = 2, producer_version = 3, graph = 7, opset_import = 8. */
static bool read_model(struct onnx_reading *r, struct protobuf message, json_t *out)
{
    struct protobuf_field field;
    json_t *opset = json_object(), *graph = json_object();
    bool has_graph = false, good = opset && graph && onnx_read_put(r, out, "opset", json_incref(opset)) &&
                                   onnx_read_put(r, out, "graph", json_incref(graph));
    while (good && protobuf_next(&message, &field)) {
        if (protobuf_is(&field, 1, PROTOBUF_VARINT))
            good = onnx_read_put(r, out, "ir", json_integer((json_int_t)field.value));
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            good = onnx_read_put_text(r, out, "producer", &field.bytes);
        else if (protobuf_is(&field, 3, PROTOBUF_BYTES))
            good = onnx_read_put_text(r, out, "producer_version", &field.bytes);
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
        return onnx_read_damaged(r);
    return has_graph || onnx_read_fail(r, "it is no ONNX model: it has no graph");
}

bool onnx_is(const unsigned char *bytes, size_t n)
{
    return n > 4 && bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] <= 15 &&
           (bytes[2] == 0x12 || bytes[2] == 0x3a || bytes[2] == 0x42);
}

bool onnx_read(struct handover *out, const unsigned char *bytes, size_t n)
{
    struct onnx_reading r = {.out = out};
    json_t *model = json_object();
    out->read = onnx_tensor_data;
    bool good = model && read_model(&r, protobuf_open(bytes, n), model);
    char *text = good ? json_dumps(model, JSON_COMPACT) : NULL;
    good = text && handover_text(out, "onnx", text, strlen(text)) && handover_text(out, "naming", "names", 5);
    json_memory_free(text);
    json_decref(model);
    return good || handover_fail(out, "out of memory for its graph");
}
