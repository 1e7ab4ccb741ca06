/* Inference of the Open Inference Protocol (v2), tensors as JSON or as binary data behind it. Source: the protocol's
   specification/protocol/inference_rest.md, and Triton's extension_binary_data.md. */
#include "open_inference.h"

#include "handlers.h"
#include "server/codec/batch_named.h"
#include "server/codec/batch_write.h"
#include "server/run/prediction_inputs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 128, MOST_OUTPUTS = 128 };

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
    struct inference_input *input = i < MOST_INPUTS ? make(inference->memory, sizeof *input, failure) : NULL;
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
    struct inference_output *output = i < MOST_OUTPUTS ? make(inference->memory, sizeof *output, failure) : NULL;
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

static struct inference_input *find_input(const struct inference *inference, const char *name)
{
    struct inference_input *input = inference->inputs;
    while (input && strcmp(input->name, name))
        input = input->next;
    return input;
}

struct inference_input *inference_port(const struct inference *inference, const struct graph *graph, size_t port)
{
    struct inference_input *input = find_input(inference, graph->inputs[port].name);
    return input || graph->n_inputs > 1 ? input : find_input(inference, "inputs");
}

/* Which inputs are those of the model. */
static void find_ports(struct prediction *p)
{
    const struct graph *graph = &p->request->model->graph;
    struct inference *inference = p->own;
    for (struct inference_input *i = inference->inputs; i; i = i->next)
        i->port = GRAPH_NONE;
    for (size_t k = 0; k < graph->n_inputs; k++) {
        struct inference_input *input = inference_port(inference, graph, k);
        if (input)
            input->port = k;
    }
}

/* ---- binding ---- */

/* [rows] lengths of the sequences within [rows, timesteps]. */
static bool bind_lengths(struct prediction *p, const struct inference_input *input)
{
    struct batch *batch = &p->batch;
    if (batch->model->graph.time_major || !batch->model->graph.inputs[0].shape.sequence)
        return inference_fail(p, input, "wrong_shape", "", "This model takes no sequence_length%s.", "");
    if (input->data.n_values != batch->n_rows)
        return inference_fail(p, input, "wrong_shape", "/shape", "Expected one length for each sequence%s.", "");
    batch->timesteps = 0;
    for (size_t b = 0; b < batch->n_rows; b++) {
        float length = input->data.values[b];
        if (!(length >= 1 && length <= (float)batch->rows[b].timesteps) || length != floorf(length))
            return inference_fail(p, input, "wrong_shape", "/data",
                                  "Expected whole numbers from 1 to the timesteps of the inputs%s.", "");
        batch->rows[b].timesteps = (size_t)length;
        batch->timesteps += (size_t)length;
    }
    return true;
}

static bool bind_state(struct prediction *p, const struct inference_input *input)
{
    struct batch_tensor tensor;
    for (size_t i = 0; batch_tensor_at(&p->batch.model->graph, i, &tensor); i++) {
        if (!tensor.state || strcmp(tensor.name, input->name))
            continue;
        if (input->shape.n != 2 || input->shape.values[0] != p->batch.n_rows || input->shape.values[1] != tensor.width)
            return inference_fail(p, input, "wrong_shape", "/shape", "Expected [rows, units of the cell]%s.", "");
        if (*p->session.id)
            return inference_fail(p, input, "wrong_value", "/name",
                                  "The server keeps the states of a sequence; leave \"%.60s\" out.", input->name);
        batch_bind_state(&p->batch, &tensor, input->data.values);
        p->batch.any_length = true;
        return true;
    }
    return inference_fail(p, input, "unknown_input", "/name",
                          "This model has no input \"%.60s\"; GET its metadata for their names.", input->name);
}

/* The inputs of the model, by name, with their masks. */
static bool bind_inputs(struct prediction *p)
{
    struct inference *inference = p->own;
    const struct graph *graph = &p->request->model->graph;
    struct named_inputs *named = prediction_open_named(p);
    struct inference_input *mask = find_input(inference, "mask");
    if (!named)
        return false;
    named->key = inference->key;
    snprintf(inference->key, sizeof inference->key, "inputs");
    for (size_t k = 0; k < graph->n_inputs; k++) {
        struct inference_input *input = inference_port(inference, graph, k);
        const struct raw_reading *raw = named->tensors[k].raw;
        if (!input)
            return failure_set(&p->failure, 400, "missing_key", "/inputs",
                               "The request needs an input named \"%.60s\".",
                               graph->n_inputs > 1 ? graph->inputs[k].name : "inputs");
        if (graph->n_inputs == 1)
            snprintf(inference->key, sizeof inference->key, "inputs/%zu", input->index);
        named->tensors[k] = input->data;
        input->data = (struct json_tensor){.present = false};
        if (named->tensors[k].raw && !raw)
            raw_to_plain(&named->tensors[k]);
        named->tensors[k].raw = raw;
    }
    if (mask && mask->port == GRAPH_NONE && graph->n_inputs == 1) {
        struct json_tensor *to = batch_needs_named(graph) ? &named->masks[0] : &p->mask;
        *to = mask->data;
        mask->data = (struct json_tensor){.present = false};
    }
    return prediction_bind_inputs(p, inference->key);
}

/* Tensors that are no inputs of the model: lengths, a mask of the one input, states. */
static bool bind_others(struct prediction *p)
{
    const struct inference *inference = p->own;
    bool one = p->request->model->graph.n_inputs == 1;
    for (const struct inference_input *i = inference->inputs; i; i = i->next) {
        if (i->port != GRAPH_NONE || (one && !strcmp(i->name, "mask")))
            continue;
        if (one && !strcmp(i->name, "sequence_length") ? !bind_lengths(p, i) : !bind_state(p, i))
            return false;
    }
    return true;
}

static bool bind(struct prediction *p)
{
    const struct inference *inference = p->own;
    const struct graph *graph = &p->request->model->graph;
    const struct batch_limits limits = prediction_limits(p);
    const struct inference_input *lengths = find_input(inference, "sequence_length");
    if (!session_check(&p->session, p->request->model, p->states.present))
        return false;
    for (const struct inference_input *i = inference->inputs; i; i = i->next)
        if (find_input(inference, i->name) != i)
            return inference_fail(p, i, "duplicate_key", "/name", "There are two inputs named \"%.60s\".", i->name);
    p->batch =
        (struct batch){.model = p->request->model, .share = &p->request->memory, .sequences = graph->return_sequences};
    p->batch.any_length = *p->session.id || (lengths && lengths->port == GRAPH_NONE);
    const struct json_tensor none = {.present = false};
    return bind_inputs(p) && batch_bind_states(&p->batch, &none, "", &p->failure) && bind_others(p) &&
           batch_bind_outputs(&p->batch, &limits, &p->failure);
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
    struct inference_input *input = inference->inputs;
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
    for (const struct inference_output *o = inference->outputs; o; o = o->next, at++)
        if (!inference_find_tensor(&p->request->model->graph, o->name, &tensor)) {
            char path[64];
            snprintf(path, sizeof path, "/outputs/%zu/name", at);
            return failure_set(&p->failure, 400, "unknown_output", path,
                               "This model has no output \"%.60s\"; GET its metadata for their names.", o->name);
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
    find_ports(p);
    for (struct inference_input *i = inference->inputs; i; i = i->next)
        if (!inference_check_input(p, i, &binary, end))
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
    for (struct inference_input *i = inference->inputs, *next; i; i = next) {
        next = i->next;
        json_tensor_close(&i->data, memory);
        memory_give(memory, sizeof *i);
        free(i);
    }
    for (struct inference_output *o = inference->outputs, *next; o; o = next) {
        next = o->next;
        memory_give(memory, sizeof *o);
        free(o);
    }
    memory_give(memory, sizeof *inference);
    free(inference);
}

const struct protocol protocol_open_inference = {decode, inference_encode, close_inference};
