/* What the Open Inference Protocol tells of the server and its models: health, metadata, statistics, repository index.
   Source: specification/protocol/inference_rest.md, and Triton's extension_statistics.md, extension_model_repository.md. */
#include "answer_json.h"
#include "handlers.h"
#include "server/base/lifecycle.h"
#include "server/base/metrics.h"
#include "server/base/version.h"
#include "server/codec/batch_write.h"
#include "server/run/models.h"
#include "server/run/services.h"

#include <string.h>

void answer_v2_server(struct request *request)
{
    answer_json(request, json_pack("{s:s, s:s, s:[s, s, s, s, s]}", "name", "cellserve", "version", CELLSERVE_VERSION,
                                   "extensions", "binary_tensor_data", "sequence", "sequence(string_id)", "statistics",
                                   "model_repository"));
}

void answer_v2_live(struct request *request)
{
    answer_json(request, json_pack("{s:b}", "live", 1));
}

void answer_v2_ready(struct request *request)
{
    bool ready = request->services->lifecycle->state == SERVER_READY;
    answer_json(request, json_pack("{s:b}", "ready", ready));
    if (!ready)
        request->answer.status = 503;
    request->answer.retry_later = !ready;
}

void answer_v2_model_ready(struct request *request)
{
    answer_json(request, json_pack("{s:s, s:b}", "name", request->model->name, "ready", 1));
}

/* -1 stands for any size. */
static json_t *tensor(const char *name, const char *datatype, size_t rank, const long long *shape)
{
    json_t *sizes = json_array();
    for (size_t i = 0; i < rank; i++)
        json_array_append_new(sizes, json_integer(shape[i]));
    return json_pack("{s:s, s:s, s:o}", "name", name, "datatype", datatype, "shape", sizes);
}

/* The batch, then the axes of a row. Ids have an axis of one number, too. */
static json_t *shaped(const char *name, const struct layer_shape *shape)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
    long long sizes[LAYER_MAX_AXES + 1] = {-1};
    for (size_t i = 0; i < n; i++)
        sizes[1 + i] = axes[i] ? (long long)axes[i] : -1;
    if (shape->ids && n > 1)
        n--;
    return tensor(name, "FP32", n + 1, sizes);
}

/* What may stand beside the one input of a model. */
static void add_options(json_t *inputs, const struct graph *graph)
{
    const long long any[] = {-1, -1};
    bool sequence = graph->n_inputs == 1 && graph->inputs[0].shape.sequence;
    if (sequence && !graph->time_major)
        json_array_append_new(inputs, tensor("sequence_length", "INT32", 1, any));
    if (sequence)
        json_array_append_new(inputs, tensor("mask", "BOOL", 2, any));
}

/* An output, or a part of it, as wide as its tensor. */
static json_t *output(const struct graph *graph, const struct batch_tensor *tensor)
{
    struct layer_shape shape = graph->outputs[tensor->output].shape;
    shape.timesteps = shape.sequence ? 0 : 1;
    if (shape.rank < 2 && !shape.scalar)
        shape.width = tensor->width;
    return shaped(tensor->name, &shape);
}

void answer_v2_model(struct request *request)
{
    const struct model *model = request->model;
    const struct graph *graph = &model->graph;
    json_t *inputs = json_array(), *outputs = json_array();
    struct batch_tensor t;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        struct layer_shape shape = graph->inputs[i].shape;
        if (!i && shape.sequence)
            shape.timesteps = model->fixed_timesteps;
        json_array_append_new(inputs, shaped(graph->n_inputs > 1 ? graph->inputs[i].name : "inputs", &shape));
    }
    add_options(inputs, graph);
    for (size_t i = 0; batch_tensor_at(graph, i, &t); i++) {
        const struct layer_shape vector = {.width = t.width};
        if (t.state)
            json_array_append_new(inputs, shaped(t.name, &vector));
        json_array_append_new(outputs, t.state ? shaped(t.name, &vector) : output(graph, &t));
    }
    answer_json(request, json_pack("{s:s, s:[s], s:s, s:o, s:o}", "name", model->name, "versions", model->version,
                                   "platform", "cellserve", "inputs", inputs, "outputs", outputs));
}

static json_t *statistic(uint64_t count, uint64_t ns)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)count, "ns", (json_int_t)ns);
}

static json_t *statistics(const struct services *services, const struct model *model)
{
    const struct model_statistics s = metrics_model(services->metrics, model->name);
    json_t *statistics = json_object();
    json_object_set_new(statistics, "success", statistic(s.success, s.success_ns));
    json_object_set_new(statistics, "fail", statistic(s.fail, s.fail_ns));
    json_object_set_new(statistics, "queue", statistic(s.success, s.queue_ns));
    json_object_set_new(statistics, "compute_input", statistic(s.success, s.decode_ns));
    json_object_set_new(statistics, "compute_infer", statistic(s.success, s.compute_ns));
    json_object_set_new(statistics, "compute_output", statistic(s.success, s.encode_ns));
    json_object_set_new(statistics, "cache_hit", statistic(0, 0));
    json_object_set_new(statistics, "cache_miss", statistic(0, 0));
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:[]}", "name", model->name, "version", model->version,
                     "last_inference", (json_int_t)s.last_ms, "inference_count", (json_int_t)s.rows, "execution_count",
                     (json_int_t)s.runs, "inference_stats", statistics, "batch_stats");
}

/* One model, or all of them where the target names none. */
void answer_v2_statistics(struct request *request)
{
    const struct services *services = request->services;
    json_t *list = json_array();
    for (size_t i = 0; i < services->models->n_slots; i++) {
        const char *name = model_entry_name(services->models->slots[i].entry);
        if (request->model && strcmp(request->model->name, name))
            continue;
        struct model *model = models_acquire(services->models, name);
        if (model)
            json_array_append_new(list, statistics(services, model));
        model_release(model);
    }
    answer_json(request, json_pack("{s:o}", "model_stats", list));
}

/* Every model is ready while the server is: it is loaded before, and replaced in one step. */
void answer_v2_repository(struct request *request)
{
    const struct services *services = request->services;
    json_t *list = json_array();
    for (size_t i = 0; i < services->models->n_slots; i++) {
        struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[i].entry));
        if (model)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", model->name, "version",
                                                  model->version, "state", "READY", "reason", ""));
        model_release(model);
    }
    answer_json(request, list);
}
