/* Inference of the Open Inference Protocol (v2), tensors as JSON or as binary data behind it. Source: the protocol's
   specification/protocol/inference_rest.md, and Triton's extension_binary_data.md. */
#include "config/files/tensors.h"
#include "handlers.h"
#include "server/codec/batch_write.h"
#include "server/run/prediction_raw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 128, MOST_OUTPUTS = 128 };

/* A tensor of a request. */
struct input {
    struct input *next;
    size_t index;
    char name[BODY_TEXT_BYTES], datatype[BODY_TEXT_BYTES];
    struct body_counts shape;
    struct json_tensor data;
    int64_t binary_bytes; /* -1: it stands in the JSON */
    struct body_key parameters[3], keys[6];
};

struct output {
    struct output *next;
    char name[BODY_TEXT_BYTES];
    int binary; /* -1: as the request says */
    struct body_key parameters[3], keys[3];
};

/* A request: prediction->own. */
struct inference {
    struct memory_share *memory;
    const struct raw_reading *reading; /* its transform is NULL where values are not raw */
    struct input *inputs, **last_input;
    struct output *outputs, **last_output;
    char id[BODY_TEXT_BYTES];
    int binary_outputs;
};

/* ---- the request ---- */

static void *make(struct memory_share *memory, size_t size, struct failure *failure)
{
    void *block = memory_realloc(memory, NULL, 0, size);
    if (block)
        memset(block, 0, size);
    else
        failure_overloaded(failure);
    return block;
}

static const struct body_key *next_input(void *context, size_t i, struct failure *failure)
{
    struct inference *inference = context;
    struct input *input = i < MOST_INPUTS ? make(inference->memory, sizeof *input, failure) : NULL;
    if (!input) {
        failure_set(failure, 400, "wrong_shape", "/inputs", "There are more than %d inputs.", MOST_INPUTS);
        return NULL;
    }
    *inference->last_input = input;
    inference->last_input = &input->next;
    input->index = i;
    input->binary_bytes = -1;
    input->data.raw = inference->reading->transform ? inference->reading : NULL;
    input->parameters[0] = (struct body_key){"binary_data_size", BODY_COUNT, &input->binary_bytes};
    input->parameters[1] = (struct body_key){"*", BODY_ANY, NULL};
    input->keys[0] = (struct body_key){"name", BODY_TEXT, input->name};
    input->keys[1] = (struct body_key){"shape", BODY_COUNTS, &input->shape};
    input->keys[2] = (struct body_key){"datatype", BODY_TEXT, input->datatype};
    input->keys[3] = (struct body_key){"data", BODY_VALUES, &input->data};
    input->keys[4] = (struct body_key){"parameters", BODY_OBJECT, input->parameters};
    return input->keys;
}

static const struct body_key *next_output(void *context, size_t i, struct failure *failure)
{
    struct inference *inference = context;
    struct output *output = i < MOST_OUTPUTS ? make(inference->memory, sizeof *output, failure) : NULL;
    if (!output) {
        failure_set(failure, 400, "wrong_shape", "/outputs", "There are more than %d outputs.", MOST_OUTPUTS);
        return NULL;
    }
    *inference->last_output = output;
    inference->last_output = &output->next;
    output->binary = -1;
    output->parameters[0] = (struct body_key){"binary_data", BODY_BOOL, &output->binary};
    output->parameters[1] = (struct body_key){"*", BODY_ANY, NULL};
    output->keys[0] = (struct body_key){"name", BODY_TEXT, output->name};
    output->keys[1] = (struct body_key){"parameters", BODY_OBJECT, output->parameters};
    return output->keys;
}

static bool fail_input(struct prediction *p, const struct input *input, const char *code, const char *key,
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
static bool count_elements(struct prediction *p, const struct input *input, size_t *elements)
{
    *elements = 1;
    if (!input->shape.n)
        return fail_input(p, input, "missing_key", "", "An input needs a \"shape\" of at least one size%s.", "");
    for (size_t d = 0; d < input->shape.n; d++) {
        if (!input->shape.values[d])
            return fail_input(p, input, "empty_input", "/shape", "This input is empty%s.", "");
        if (!rnn_size_mul(*elements, input->shape.values[d], elements))
            return fail_input(p, input, "wrong_shape", "/shape", "This shape has more elements than a body can%s.", "");
    }
    return true;
}

/* Values of an input that stands behind the JSON, at *at. */
static bool read_binary(struct prediction *p, struct input *input, const struct datatype *type, size_t elements,
                        const char **at, const char *end)
{
    size_t bytes;
    const struct raw_reading *raw = input->data.raw;
    if (!rnn_size_mul(elements, type->bytes, &bytes) || bytes != (uint64_t)input->binary_bytes)
        return fail_input(p, input, "wrong_shape", "/parameters/binary_data_size",
                          "This is not what \"shape\" and \"datatype\" (%s) come to.", type->name);
    if (bytes > (size_t)(end - *at))
        return fail_input(p, input, "wrong_shape", "/parameters/binary_data_size",
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
static bool read_binary_texts(struct prediction *p, struct input *input, size_t elements, const char **at,
                              const char *end)
{
    if ((uint64_t)input->binary_bytes > (size_t)(end - *at))
        return fail_input(p, input, "wrong_shape", "/parameters/binary_data_size",
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
    return (n == elements && *at == end) || fail_input(p, input, "wrong_shape", "/parameters/binary_data_size",
                                                       "These are not as many texts as \"shape\" says%s.", "");
}

/* Texts: as many as the shape says, each a sequence of its words then. */
static bool check_texts(struct prediction *p, struct input *input, size_t elements, const char **binary,
                        const char *end)
{
    if (!input->data.raw || !input->data.raw->input->tokens)
        return fail_input(p, input, "wrong_type", "/datatype", "This model takes no texts, it has no tokenizer%s.", "");
    if (strcmp(input->name, "inputs"))
        return fail_input(p, input, "wrong_type", "/datatype", "Only the input \"inputs\" takes texts%s.", "");
    if (input->binary_bytes >= 0)
        return read_binary_texts(p, input, elements, binary, end);
    if (!input->data.present)
        return fail_input(p, input, "missing_key", "", "An input needs \"data\"%s.", "");
    return (input->data.lists[0].holds == LIST_OF_LISTS && input->data.lists[0].length == elements) ||
           fail_input(p, input, "wrong_shape", "/data", "Expected a list of texts, as many as \"shape\" says%s.", "");
}

/* What every input must be, wherever its values stand. Afterwards its data are a full array of its shape. */
static bool check_input(struct prediction *p, struct input *input, const char **binary, const char *end)
{
    const struct datatype *type = find_datatype(input->datatype);
    size_t elements;
    if (!*input->name)
        return fail_input(p, input, "missing_key", "", "An input needs a \"name\"%s.", "");
    if (!type)
        return fail_input(p, input, "wrong_type", "/datatype",
                          "Expected FP32, FP64, FP16, INT32, INT64, UINT8, BOOL or BYTES, found \"%.40s\".",
                          input->datatype);
    if (!count_elements(p, input, &elements))
        return false;
    if (type->type == TENSOR_OTHER)
        return check_texts(p, input, elements, binary, end);
    if (input->binary_bytes >= 0) {
        if (input->data.present)
            return fail_input(p, input, "wrong_type", "/data", "An input has either \"data\" or binary data%s.", "");
        if (!read_binary(p, input, type, elements, binary, end))
            return false;
    } else if (!input->data.present) {
        return fail_input(p, input, "missing_key", "", "An input needs \"data\"%s.", "");
    } else if (input->data.booleans && strcmp(type->name, "BOOL")) {
        return fail_input(p, input, "wrong_type", "/data", "Expected numbers, as the datatype %s says.", type->name);
    }
    if (input->data.n_values != elements)
        return fail_input(p, input, "wrong_shape", "/data", "The data are not as many as \"shape\" says%s.", "");
    bool finite = !input->data.raw || raw_is_finite(&input->data);
    for (size_t i = 0; !input->data.raw && i < elements; i++)
        finite &= isfinite(input->data.values[i]) != 0;
    if (!finite && !p->request->model->allow_nonfinite)
        return fail_input(p, input, "number_out_of_range", "",
                          "The input has NaN or Infinity; set allow_nonfinite for this model to let them pass%s.", "");
    if (!json_tensor_reshape(&input->data, input->shape.values, input->shape.n, &p->request->memory))
        return failure_overloaded(&p->failure);
    if (input->data.raw && strcmp(input->name, "inputs"))
        raw_to_plain(&input->data);
    return true;
}

static struct input *find_input(const struct inference *inference, const char *name)
{
    struct input *input = inference->inputs;
    while (input && strcmp(input->name, name))
        input = input->next;
    return input;
}

/* ---- binding ---- */

/* [rows] lengths of the sequences within [rows, timesteps]. */
static bool bind_lengths(struct prediction *p, const struct input *input)
{
    struct batch *batch = &p->batch;
    if (batch->model->graph.time_major || !batch->model->graph.inputs[0].shape.sequence)
        return fail_input(p, input, "wrong_shape", "", "This model takes no sequence_length%s.", "");
    if (input->data.n_values != batch->n_rows)
        return fail_input(p, input, "wrong_shape", "/shape", "Expected one length for each sequence%s.", "");
    batch->timesteps = 0;
    for (size_t b = 0; b < batch->n_rows; b++) {
        float length = input->data.values[b];
        if (!(length >= 1 && length <= (float)batch->rows[b].timesteps) || length != floorf(length))
            return fail_input(p, input, "wrong_shape", "/data",
                              "Expected whole numbers from 1 to the timesteps of the inputs%s.", "");
        batch->rows[b].timesteps = (size_t)length;
        batch->timesteps += (size_t)length;
    }
    return true;
}

static bool bind_state(struct prediction *p, const struct input *input)
{
    struct batch_tensor tensor;
    for (size_t i = 0; batch_tensor_at(&p->batch.model->graph, i, &tensor); i++) {
        if (!tensor.state || strcmp(tensor.name, input->name))
            continue;
        if (input->shape.n != 2 || input->shape.values[0] != p->batch.n_rows || input->shape.values[1] != tensor.width)
            return fail_input(p, input, "wrong_shape", "/shape", "Expected [rows, units of the cell]%s.", "");
        if (*p->session.id)
            return fail_input(p, input, "wrong_value", "/name", "A sequence has its states; leave \"%.60s\" out.",
                              input->name);
        batch_bind_state(&p->batch, &tensor, input->data.values);
        p->batch.any_length = true;
        return true;
    }
    return fail_input(p, input, "unknown_input", "/name",
                      "This model has no input \"%.60s\"; GET its metadata for their names.", input->name);
}

static bool bind(struct prediction *p)
{
    const struct inference *inference = p->own;
    const struct graph *graph = &p->request->model->graph;
    const struct batch_limits limits = prediction_limits(p);
    struct input *inputs = find_input(inference, "inputs"), *mask = find_input(inference, "mask");
    const struct input *lengths = find_input(inference, "sequence_length");
    char key[40];
    if (!inputs)
        return failure_set(&p->failure, 400, "missing_key", "/inputs", "The request needs an input named \"inputs\".");
    if (!session_check(&p->session, p->request->model, p->states.present))
        return false;
    for (const struct input *i = inference->inputs; i; i = i->next)
        if (find_input(inference, i->name) != i)
            return fail_input(p, i, "duplicate_key", "/name", "There are two inputs named \"%.60s\".", i->name);
    p->batch =
        (struct batch){.model = p->request->model, .share = &p->request->memory, .sequences = graph->return_sequences};
    p->batch.any_length = *p->session.id || lengths;
    const struct json_tensor none = {.present = false};
    snprintf(key, sizeof key, "inputs/%zu", inputs->index);
    if (!prediction_scale(p, &inputs->data, key) ||
        !batch_bind_inputs(&p->batch, &inputs->data, key, &limits, &p->failure) ||
        !prediction_fill_missing(p, &inputs->data) || !prediction_bind_window(p, &inputs->data) ||
        !batch_bind_mask(&p->batch, mask ? &mask->data : &none, &p->failure) ||
        !batch_bind_states(&p->batch, &none, "", &p->failure))
        return false;
    for (const struct input *i = inference->inputs; i; i = i->next)
        if (i == lengths ? !bind_lengths(p, i) : i != inputs && i != mask && !bind_state(p, i))
            return false;
    return batch_bind_outputs(&p->batch, &limits, &p->failure);
}

/* Without JSON the body is the values of the one input, of one row. */
static bool read_raw(struct prediction *p)
{
    const struct request *request = p->request;
    const struct layer_shape *shape = &request->model->graph.inputs[0].shape;
    struct inference *inference = p->own;
    if (!raw_reading_of(request->model, 0, &p->reading))
        p->reading.transform = NULL;
    next_input(inference, 0, &p->failure);
    struct input *input = inference->inputs;
    if (!input)
        return false;
    size_t step = shape->width * sizeof(float), steps = request->body_bytes / step;
    if (!request->body_bytes || request->body_bytes % step || (!shape->sequence && steps != 1))
        return failure_set(&p->failure, 400, "wrong_shape", "",
                           "Expected float32 values for one row, %zu bytes a timestep; found %zu bytes.", step,
                           request->body_bytes);
    snprintf(input->name, sizeof input->name, "inputs");
    snprintf(input->datatype, sizeof input->datatype, "FP32");
    input->binary_bytes = (int64_t)request->body_bytes;
    input->shape = (struct body_counts){.values = {1}, .n = 1};
    if (shape->sequence)
        input->shape.values[input->shape.n++] = steps;
    if (!shape->ids)
        input->shape.values[input->shape.n++] = shape->width;
    inference->binary_outputs = 1;
    return true;
}

/* A sequence is the session "model:id"; "" and 0 are none. Its rules are Triton's: a new one has to be started. */
static bool name_sequence(struct prediction *p, const char *id)
{
    char session[SESSION_ID_BYTES];
    if (!*id || !strcmp(id, "0")) {
        p->session.reset = p->session.end = -1;
        return true;
    }
    int n = snprintf(session, sizeof session, "%s:%s", p->request->model->name, id);
    if (n >= (int)sizeof session)
        return failure_set(&p->failure, 400, "invalid_session", "/parameters/sequence_id", "This id is too long.");
    p->session.must_start = true;
    return session_name(&p->session, session);
}

static bool read_json(struct prediction *p, size_t bytes)
{
    char id[BODY_TEXT_BYTES] = "";
    struct inference *inference = p->own;
    struct body_list inputs = {next_input, inference}, outputs = {next_output, inference};
    const struct body_key parameters[] = {
        {"binary_data_output", BODY_BOOL, &inference->binary_outputs},
        {"sequence_id", BODY_ID, id},
        {"sequence_start", BODY_BOOL, &p->session.reset},
        {"sequence_end", BODY_BOOL, &p->session.end},
        {"raw", BODY_BOOL, &p->raw},
        {"*", BODY_ANY, NULL},
        {NULL, BODY_TEXT, NULL},
    };
    const struct body_key keys[] = {
        {"id", BODY_TEXT, inference->id},  {"parameters", BODY_OBJECT, (void *)(uintptr_t)parameters},
        {"inputs", BODY_LIST, &inputs},    {"outputs", BODY_LIST, &outputs},
        {"model_name", BODY_ANY, NULL}, /* clients repeat it; the target counts */
        {"model_version", BODY_ANY, NULL}, {NULL, BODY_TEXT, NULL},
    };
    return prediction_read(p, keys, bytes) && name_sequence(p, id);
}

static bool check_outputs(struct prediction *p)
{
    const struct inference *inference = p->own;
    struct batch_tensor tensor;
    size_t at = 0;
    for (const struct output *o = inference->outputs; o; o = o->next, at++) {
        size_t i = 0;
        while (batch_tensor_at(&p->request->model->graph, i, &tensor) && strcmp(tensor.name, o->name))
            i++;
        if (!batch_tensor_at(&p->request->model->graph, i, &tensor)) {
            char path[64];
            snprintf(path, sizeof path, "/outputs/%zu/name", at);
            return failure_set(&p->failure, 400, "unknown_output", path,
                               "This model has no output \"%.60s\"; GET its metadata for their names.", o->name);
        }
    }
    return true;
}

static bool decode(struct prediction *p)
{
    struct request *request = p->request;
    size_t bytes = request->head.has_json_bytes ? request->head.json_bytes : request->body_bytes;
    struct inference *inference = p->own = make(&request->memory, sizeof *inference, &p->failure);
    if (!inference)
        return false;
    inference->memory = &request->memory;
    inference->reading = &p->reading;
    inference->last_input = &inference->inputs;
    inference->last_output = &inference->outputs;
    if (bytes > request->body_bytes)
        return failure_set(&p->failure, 400, "bad_request", "",
                           "Inference-Header-Content-Length is larger than the body.");
    if (request->head.has_json_bytes && !bytes ? !read_raw(p) : !read_json(p, bytes))
        return false;
    const char *binary = request->body ? request->body + bytes : "", *end = binary + (request->body_bytes - bytes);
    for (struct input *i = inference->inputs; i; i = i->next)
        if (!check_input(p, i, &binary, end))
            return false;
    if (binary != end)
        return failure_set(&p->failure, 400, "wrong_shape", "",
                           "The body has more binary data than its inputs (%zu bytes more).", (size_t)(end - binary));
    return bind(p) && check_outputs(p);
}

static void close_inference(struct prediction *p)
{
    struct inference *inference = p->own;
    struct memory_share *memory = &p->request->memory;
    if (!inference)
        return;
    for (struct input *i = inference->inputs, *next; i; i = next) {
        next = i->next;
        json_tensor_close(&i->data, memory);
        memory_give(memory, sizeof *i);
        free(i);
    }
    for (struct output *o = inference->outputs, *next; o; o = next) {
        next = o->next;
        memory_give(memory, sizeof *o);
        free(o);
    }
    memory_give(memory, sizeof *inference);
    free(inference);
}

/* ---- the answer ---- */

/* The i-th tensor that is wanted: those asked for, or all outputs that are no states. */
static bool wanted_at(const struct prediction *p, size_t i, struct batch_tensor *tensor, bool *binary)
{
    const struct inference *inference = p->own;
    const struct graph *graph = &p->request->model->graph;
    const struct output *o = inference->outputs;
    *binary = inference->binary_outputs == 1;
    if (!o)
        return batch_tensor_at(graph, i, tensor) && !tensor->state;
    for (; o && i; i--)
        o = o->next;
    if (!o)
        return false;
    *binary = o->binary < 0 ? *binary : o->binary == 1;
    for (size_t k = 0; batch_tensor_at(graph, k, tensor) && strcmp(tensor->name, o->name); k++)
        ;
    return true;
}

static size_t elements_of(const struct prediction *p, const struct batch_tensor *tensor, size_t shape[BATCH_MAX_RANK],
                          size_t *rank)
{
    size_t elements = 1;
    *rank = batch_tensor_shape(&p->batch, tensor, shape);
    for (size_t i = 0; i < *rank; i++)
        elements *= shape[i];
    return elements;
}

static void write_data(struct prediction *p, const struct batch_tensor *tensor, size_t elements)
{
    struct memory_share *memory = &p->request->memory;
    struct buffer *out = &p->request->answer.buffer;
    float *values = memory_realloc(memory, NULL, 0, elements * sizeof *values);
    if (!values) {
        out->exhausted = true;
        return;
    }
    batch_copy_tensor(&p->batch, tensor, values);
    buffer_text(out, ", \"data\": ");
    buffer_floats(out, values, elements, &p->finite);
    free(values);
    memory_give(memory, elements * sizeof *values);
}

static bool write_json(struct prediction *p)
{
    const struct inference *inference = p->own;
    const struct model *model = p->request->model;
    struct buffer *out = &p->request->answer.buffer;
    struct batch_tensor tensor;
    size_t shape[BATCH_MAX_RANK], rank;
    bool binary, some_binary = false;
    buffer_printf(out, "{\"model_name\": \"%s\", \"model_version\": \"%s\", ", model->name, model->version);
    if (*inference->id) {
        buffer_text(out, "\"id\": \"");
        buffer_escaped(out, inference->id);
        buffer_text(out, "\", ");
    }
    buffer_text(out, "\"outputs\": [");
    for (size_t i = 0; wanted_at(p, i, &tensor, &binary); i++) {
        size_t elements = elements_of(p, &tensor, shape, &rank);
        buffer_printf(out, "%s{\"name\": \"", i ? ", " : "");
        buffer_escaped(out, tensor.name);
        buffer_printf(out, "\", \"datatype\": \"FP32\", \"shape\": [%zu", shape[0]);
        for (size_t d = 1; d < rank; d++)
            buffer_printf(out, ",%zu", shape[d]);
        buffer_text(out, "]");
        if (binary)
            buffer_printf(out, ", \"parameters\": {\"binary_data_size\": %zu}", elements * sizeof(float));
        else
            write_data(p, &tensor, elements);
        buffer_text(out, "}");
        some_binary |= binary;
    }
    buffer_text(out, "]}");
    return some_binary;
}

static void encode(struct prediction *p)
{
    struct request *request = p->request;
    struct buffer *out = &request->answer.buffer;
    struct batch_tensor tensor;
    size_t shape[BATCH_MAX_RANK], rank;
    bool binary;
    if (!prediction_has_outputs(p) || !write_json(p))
        return;
    buffer_bytes(out, "   ", -out->used % sizeof(float)); /* so that the floats behind are where floats may be */
    request->answer.json_bytes = out->used;
    request->answer.type = "application/octet-stream";
    for (size_t i = 0; wanted_at(p, i, &tensor, &binary); i++) {
        size_t bytes = elements_of(p, &tensor, shape, &rank) * sizeof(float);
        if (!binary)
            continue;
        if (!buffer_room(out, bytes))
            return;
        p->finite &= batch_copy_tensor(&p->batch, &tensor, (float *)(void *)(out->text + out->used));
        out->used += bytes;
    }
}

const struct protocol protocol_open_inference = {decode, encode, close_inference};
