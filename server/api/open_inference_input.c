/* Tensors of a request: their types and shapes, values in JSON, binary data and texts behind it. */
#include "config/files/tensors.h"
#include "open_inference.h"

#include <math.h>
#include <string.h>

bool inference_fail(struct prediction *p, const struct inference_input *input, const char *code, const char *key,
                    const char *format, const char *detail)
{
    char path[64];
    snprintf(path, sizeof path, "/inputs/%zu%s", input->index, key);
    return failure_set(&p->failure, 400, code, path, format, detail);
}

static const struct datatype {
    const char *name;
    enum tensor_type type;
    size_t bytes;
} datatypes[] = {
    {"FP32", TENSOR_F32, 4},  {"FP64", TENSOR_F64, 8},    {"FP16", TENSOR_F16, 2},
    {"INT32", TENSOR_I32, 4}, {"INT64", TENSOR_I64, 8},   {"UINT8", TENSOR_U8, 1},
    {"BOOL", TENSOR_U8, 1},   {"BYTES", TENSOR_OTHER, 0}, /* texts, of a model with a tokenizer */
};

static const struct datatype *find_datatype(const char *name)
{
    for (size_t i = 0; i < sizeof datatypes / sizeof *datatypes; i++)
        if (!strcmp(datatypes[i].name, name))
            return &datatypes[i];
    return NULL;
}

/* Elements of a shape; every size is at least 1. */
static bool count_elements(struct prediction *p, const struct inference_input *input, size_t *elements)
{
    *elements = 1;
    if (!input->shape.n)
        return inference_fail(p, input, "missing_key", "", "An input needs a \"shape\" of at least one size%s.", "");
    for (size_t d = 0; d < input->shape.n; d++) {
        if (!input->shape.values[d])
            return inference_fail(p, input, "empty_input", "/shape", "This input is empty%s.", "");
        if (!rnn_size_mul(*elements, input->shape.values[d], elements))
            return inference_fail(p, input, "wrong_shape", "/shape",
                                  "This shape has more elements than a body can have%s.", "");
    }
    return true;
}

/* Values of an input that stands behind the JSON, at *at. */
static bool read_binary(struct prediction *p, struct inference_input *input, const struct datatype *type,
                        size_t elements, const char **at, const char *end)
{
    size_t bytes;
    const struct raw_reading *raw = input->data.raw;
    if (!rnn_size_mul(elements, type->bytes, &bytes) || bytes != (uint64_t)input->binary_bytes)
        return inference_fail(p, input, "wrong_shape", "/parameters/binary_data_size",
                              "The length of the binary data does not match \"shape\" and \"datatype\" (%s).",
                              type->name);
    if (bytes > (size_t)(end - *at))
        return inference_fail(p, input, "wrong_shape", "/parameters/binary_data_size",
                              "The body ends before the end of this input%s.", "");
    json_tensor_close(&input->data, &p->request->memory);
    input->data.raw = raw;
    if (!json_tensor_reserve(&input->data, elements, &p->request->memory))
        return failure_overloaded(&p->failure);
    const struct named_tensor values = {.type = type->type, .elements = elements, .data = (const unsigned char *)*at};
    if (raw)
        raw_from_elements(&input->data, &values);
    else if (type->type == TENSOR_F32)
        memcpy(input->data.values, *at, bytes);
    else
        tensor_to_floats(&values, input->data.values);
    input->data.n_values = elements;
    *at += bytes;
    return true;
}

/* Texts behind the JSON: four bytes of length, least first, before each. */
static bool read_binary_texts(struct prediction *p, struct inference_input *input, size_t elements, const char **at,
                              const char *end)
{
    if ((uint64_t)input->binary_bytes > (size_t)(end - *at))
        return inference_fail(p, input, "wrong_shape", "/parameters/binary_data_size",
                              "The body ends before the end of this input%s.", "");
    end = *at + input->binary_bytes;
    if (!json_raw_begin_texts(&input->data, &p->request->memory, &p->failure))
        return false;
    size_t n = 0;
    for (; n < elements && end - *at >= 4; n++) {
        const unsigned char *length = (const unsigned char *)*at;
        size_t bytes = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
        if (bytes > (size_t)(end - *at) - 4)
            break;
        if (!json_raw_add_text(&input->data, *at + 4, bytes, &p->request->memory, &p->failure))
            return false;
        *at += 4 + bytes;
    }
    return (n == elements && *at == end) || inference_fail(p, input, "wrong_shape", "/parameters/binary_data_size",
                                                           "The number of texts does not match \"shape\"%s.", "");
}

/* Texts: as many as the shape says, each a sequence of its words then. */
static bool check_texts(struct prediction *p, struct inference_input *input, size_t elements, const char **binary,
                        const char *end)
{
    if (!input->data.raw || !input->data.raw->input->tokens)
        return inference_fail(p, input, "wrong_type", "/datatype", "This model takes no texts, it has no tokenizer%s.",
                              "");
    if (input->port)
        return inference_fail(p, input, "wrong_type", "/datatype", "Only the first input of the model takes texts%s.",
                              "");
    if (input->binary_bytes >= 0)
        return read_binary_texts(p, input, elements, binary, end);
    if (!input->data.present)
        return inference_fail(p, input, "missing_key", "", "An input needs \"data\"%s.", "");
    return (input->data.lists[0].holds == LIST_OF_LISTS && input->data.lists[0].length == elements) ||
           inference_fail(p, input, "wrong_shape", "/data", "Expected a list of texts, as many as \"shape\" says%s.",
                          "");
}

bool inference_check_input(struct prediction *p, struct inference_input *input, const char **binary, const char *end)
{
    const struct datatype *type = find_datatype(input->datatype);
    size_t elements;
    if (!*input->name)
        return inference_fail(p, input, "missing_key", "", "An input needs a \"name\"%s.", "");
    if (!type)
        return inference_fail(p, input, "wrong_type", "/datatype",
                              "Expected FP32, FP64, FP16, INT32, INT64, UINT8, BOOL or BYTES, found \"%.40s\".",
                              input->datatype);
    if (!count_elements(p, input, &elements))
        return false;
    if (type->type == TENSOR_OTHER)
        return check_texts(p, input, elements, binary, end);
    if (input->binary_bytes >= 0) {
        if (input->data.present)
            return inference_fail(p, input, "wrong_type", "/data", "An input has either \"data\" or binary data%s.",
                                  "");
        if (!read_binary(p, input, type, elements, binary, end))
            return false;
    } else if (!input->data.present) {
        return inference_fail(p, input, "missing_key", "", "An input needs \"data\"%s.", "");
    } else if (input->data.booleans && strcmp(type->name, "BOOL")) {
        return inference_fail(p, input, "wrong_type", "/data", "Expected numbers, as the datatype %s says.",
                              type->name);
    }
    if (input->data.n_values != elements)
        return inference_fail(p, input, "wrong_shape", "/data", "The number of values does not match \"shape\"%s.", "");
    bool finite = !input->data.raw || raw_is_finite(&input->data);
    for (size_t i = 0; !input->data.raw && i < elements; i++)
        finite &= isfinite(input->data.values[i]) != 0;
    if (!finite && !p->request->model->allow_nonfinite)
        return inference_fail(p, input, "number_out_of_range", "",
                              "The input has NaN or Infinity; set allow_nonfinite for this model to let them pass%s.",
                              "");
    if (!json_tensor_reshape(&input->data, input->shape.values, input->shape.n, &p->request->memory))
        return failure_overloaded(&p->failure);
    if (input->data.raw && input->port == GRAPH_NONE)
        raw_to_plain(&input->data);
    return true;
}
