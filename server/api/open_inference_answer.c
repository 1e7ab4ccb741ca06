/* The answer: tensors as JSON, or as binary data behind it. */
#include "open_inference.h"
#include "server/codec/batch_write.h"
#include "server/run/prediction_raw.h"

#include <stdlib.h>
#include <string.h>

bool inference_find_tensor(const struct graph *graph, const char *name, struct batch_tensor *out)
{
    for (size_t i = 0; batch_tensor_at(graph, i, out); i++) {
        bool own = graph->n_outputs == 1 && !graph->two_outputs && !i && !strcmp(graph->outputs[0].name, name);
        if (!own && strcmp(out->name, name))
            continue;
        if (own)
            snprintf(out->name, sizeof out->name, "%s", name);
        return true;
    }
    return false;
}

/* The i-th tensor that is wanted: those asked for, or all outputs that are no states. */
static bool wanted_at(const struct prediction *p, size_t i, struct batch_tensor *tensor, bool *binary)
{
    const struct inference *inference = p->own;
    const struct graph *graph = &p->request->model->graph;
    const struct inference_output *o = inference->outputs;
    *binary = inference->binary_outputs == 1;
    if (!o)
        return batch_tensor_at(graph, i, tensor) && !tensor->state;
    for (; o && i; i--)
        o = o->next;
    if (!o)
        return false;
    *binary = o->binary < 0 ? *binary : o->binary == 1;
    return inference_find_tensor(graph, o->name, tensor);
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

void inference_encode(struct prediction *p)
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
