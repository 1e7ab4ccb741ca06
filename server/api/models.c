/* Answers about models: the list, and TensorFlow Serving's status and metadata with further keys of cellserve. */
#include "server/run/models.h"
#include "answer_json.h"
#include "config/json_memory.h"
#include "handlers.h"
#include "model_ports.h"
#include "server/run/services.h"

#include <string.h>

void answer_model_list(struct request *request)
{
    const struct services *services = request->services;
    json_t *names = json_array();
    for (size_t i = 0; i < services->models->n_slots; i++)
        json_array_append_new(names, json_string(model_entry_name(services->models->slots[i].entry)));
    answer_json(request, json_pack("{s:o}", "models", names));
}

/* state_size nests as states do; a reversed stack shows Keras 2's reversed order. */
static json_t *state_size(const struct rnn_cell_spec *spec)
{
    json_t *list = json_array();
    for (size_t i = 0; i < spec->n_cells; i++) {
        size_t k = spec->reverse_state_order ? spec->n_cells - 1 - i : i;
        json_array_append_new(list, state_size(spec->cells[k]));
    }
    for (size_t i = 0; spec->class && i < spec->class->states; i++)
        json_array_append_new(list, json_integer((json_int_t)spec->units));
    return list;
}

/* One entry for each cell of the model, as in states. */
static json_t *state_sizes(const struct graph *graph)
{
    json_t *list = json_array();
    for (size_t p = 0; p < graph->n_parts; p++) {
        const struct rnn_cell_spec *spec = graph->parts[p].states.spec;
        json_t *sizes = state_size(spec);
        if (spec->class) /* a bare cell counts as a stack of one */
            json_array_append_new(list, sizes);
        else {
            json_array_extend(list, sizes);
            json_decref(sizes);
        }
    }
    return list;
}

/* The cells of recurrent layers, and the other layers as they are. */
static json_t *layer_table(const struct graph *graph)
{
    json_t *table = json_array();
    char path[256];
    for (size_t l = 0; l < graph->n_layers; l++) {
        const struct layer *layer = &graph->layers[l];
        size_t n_parts = layer_parts(layer);
        for (size_t p = 0; p < n_parts; p++) {
            const struct rnn_stack *stack = &layer_part(layer, p)->stack;
            for (size_t i = 0; i < stack->n_cells; i++) {
                const struct rnn_cell *cell = &stack->cells[i];
                const struct rnn_cell_spec *spec = rnn_cell_spec_leaf(stack->spec, i, path, sizeof path);
                json_t *row = json_pack("{s:s, s:s, s:s, s:s*, s:I, s:I}", "layer", layer->name, "path", path,
                                        "class_name", cell->class->keras_name, "name", spec->name, "input_size",
                                        (json_int_t)cell->input_size, "units", (json_int_t)cell->units);
                if (n_parts > 1)
                    json_object_set_new(row, "direction", json_string(p ? "backward" : "forward"));
                json_array_append_new(table, row);
            }
        }
        if (!n_parts)
            json_array_append_new(table, json_pack("{s:s, s:s, s:I}", "layer", layer->name, "class_name",
                                                   layer->class_name, "input_size", (json_int_t)layer->input_size));
    }
    return table;
}

static json_t *dimension(json_int_t size)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)size);
    return json_pack("{s:s, s:s}", "size", text, "name", "");
}

/* A tensor of a signature: [batch, (timesteps,) width], or [batch, timesteps] of ids. timesteps 0: any number. */
static json_t *tensor_info(const struct layer_shape *shape, size_t timesteps, const char *name)
{
    json_t *dims = json_array();
    json_array_append_new(dims, dimension(-1));
    if (shape->sequence)
        json_array_append_new(dims, dimension(timesteps ? (json_int_t)timesteps : -1));
    if (!shape->ids)
        json_array_append_new(dims, dimension((json_int_t)shape->width));
    return json_pack("{s:s, s:{s:o, s:b}, s:s}", "dtype", "DT_FLOAT", "tensor_shape", "dim", dims, "unknown_rank", 0,
                     "name", name);
}

/* All inputs or outputs of a signature, by their own names where there are several. timesteps: of the first. */
static json_t *tensor_infos(const struct graph_port *ports, size_t n, const char *alone, size_t timesteps)
{
    json_t *all = json_object();
    for (size_t i = 0; i < n; i++) {
        const char *name = n == 1 ? alone : ports[i].name;
        json_object_set_new(all, name, tensor_info(&ports[i].shape, i ? 0 : timesteps, name));
    }
    return all;
}

/* The version that serves, and the version that failed to replace it. */
void answer_model_status(struct request *request)
{
    const struct model *model = request->model;
    const struct services *services = request->services;
    json_t *versions = json_array();
    json_array_append_new(versions, json_pack("{s:s, s:s, s:{s:s, s:s}}", "version", model->version, "state",
                                              "AVAILABLE", "status", "error_code", "OK", "error_message", ""));
    for (size_t i = 0; i < services->models->n_slots; i++) {
        const struct slot *slot = &services->models->slots[i];
        models_lock(services->models);
        if (!strcmp(model_entry_name(slot->entry), model->name) && slot->failure)
            json_array_append_new(versions, json_pack("{s:s, s:s, s:{s:s, s:s}}", "version", slot->failed_version,
                                                      "state", "END", "status", "error_code", "INVALID_ARGUMENT",
                                                      "error_message", slot->failure));
        models_unlock(services->models);
    }
    answer_json(request,
                json_pack("{s:s, s:b, s:o}", "name", model->name, "ready", 1, "model_version_status", versions));
}

/* The length that the input layer declares (null: none), whether whole sequences may have others, and whether the model
   runs timestep by timestep (sessions, steps, roll-outs). */
static json_t *timesteps_of(const struct model *model)
{
    const struct layer_shape *input = &model->graph.inputs[0].shape;
    size_t declared = input->sequence ? input->timesteps : 0;
    return json_pack("{s:o, s:b, s:b}", "declared", declared ? json_integer((json_int_t)declared) : json_null(),
                     "fixed", model->fixed_timesteps != 0, "streamable", model->graph.streamable);
}

/* null: the model takes its inputs as they are. */
static json_t *transform_of(const struct model *model)
{
    const char *shown = model->transform ? model->transform->shown : NULL;
    return shown ? json_memory_load(shown, strlen(shown), 0, NULL) : json_null();
}

void answer_model_metadata(struct request *request)
{
    const struct model *model = request->model;
    const struct graph *graph = &model->graph;
    json_t *signature = json_pack("{s:o, s:o, s:s}", "inputs",
                                  tensor_infos(graph->inputs, graph->n_inputs, "inputs", model->fixed_timesteps),
                                  "outputs", tensor_infos(graph->outputs, graph->n_outputs, "outputs", 0),
                                  "method_name", "tensorflow/serving/predict");
    json_t *answer =
        json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:{s:o}}}, s:o, s:I, s:I, s:o, s:s, s:b, s:b, s:o}", "model_spec", "name",
                  model->name, "signature_name", "", "version", model->version, "metadata", "signature_def",
                  "signature_def", "serving_default", signature, "state_size", state_sizes(graph), "output_size",
                  (json_int_t)graph->outputs[0].shape.width, "input_size", (json_int_t)graph->inputs[0].shape.width,
                  "timesteps", timesteps_of(model), "class_name", model->class_name, "return_sequences",
                  graph->return_sequences, "time_major", graph->time_major, "layers", layer_table(graph));
    json_object_set_new(answer, "transform", transform_of(model));
    json_object_set_new(answer, "inputs", model_inputs(graph));
    json_object_set_new(answer, "outputs", model_outputs(graph));
    json_object_set_new(answer, "parameters", json_integer((json_int_t)graph_parameters(graph)));
    json_object_set_new(answer, "weights", json_string(model->has_weights_file ? "file" : "initializers"));
    answer_json(request, answer);
}
