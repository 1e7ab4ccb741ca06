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

static json_t *shaped(const char *name, const struct layer_shape *shape, size_t timesteps, size_t width)
{
    const long long steps = timesteps ? (long long)timesteps : -1;
    const long long of_sequence[] = {-1, steps, (long long)width}, of_vector[] = {-1, (long long)width};
    if (shape->ids)
        return tensor(name, "FP32", 2, of_sequence);
    return shape->sequence ? tensor(name, "FP32", 3, of_sequence) : tensor(name, "FP32", 2, of_vector);
}

void answer_v2_model(struct request *request)
{
    const struct model *model = request->model;
    const struct graph *graph = &model->graph;
    const long long any[] = {-1, -1};
    json_t *inputs = json_array(), *outputs = json_array();
    struct batch_tensor t;
    json_array_append_new(
        inputs, shaped("inputs", &graph->inputs[0].shape, model->fixed_timesteps, graph->inputs[0].shape.width));
    if (graph->inputs[0].shape.sequence && !graph->time_major)
        json_array_append_new(inputs, tensor("sequence_length", "INT32", 1, any));
    if (graph->inputs[0].shape.sequence)
        json_array_append_new(inputs, tensor("mask", "BOOL", 2, any));
    for (size_t i = 0; batch_tensor_at(graph, i, &t); i++) {
        const struct layer_shape vector = {.width = t.width};
        if (t.state)
            json_array_append_new(inputs, shaped(t.name, &vector, 0, t.width));
        json_array_append_new(outputs, shaped(t.name, t.state ? &vector : &graph->outputs[0].shape, 0, t.width));
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
