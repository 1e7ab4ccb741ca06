/* What is served: the list of models, TensorFlow Serving's status and metadata shapes with ours beside them. */
#include "handlers.h"
#include "server.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Answers with a jansson value, which is taken. */
static void answer_json(struct request *request, json_t *json)
{
    char *text = json ? json_dumps(json, 0) : NULL;
    json_decref(json);
    if (!text) {
        answer_error(request, 503, "out_of_memory", "The server has no memory left for this answer.");
        return;
    }
    buffer_text(&request->answer, text);
    buffer_text(&request->answer, "\n");
    free(text);
    answer_buffer(request, 200, "application/json");
}

void answer_model_list(struct request *request)
{
    const struct server *server = request->server;
    json_t *names = json_array();
    for (size_t i = 0; i < server->n_models; i++)
        json_array_append_new(names, json_string(server->models[i].name));
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

static json_t *layer_table(const struct rnn_stack *stack)
{
    json_t *table = json_array();
    char path[256];
    for (size_t i = 0; i < stack->n_cells; i++) {
        const struct rnn_cell *cell = &stack->cells[i];
        const struct rnn_cell_spec *spec = rnn_cell_spec_leaf(stack->spec, i, path, sizeof path);
        json_array_append_new(table, json_pack("{s:s, s:s, s:s*, s:I, s:I}", "path", path, "class_name",
                                               cell->class->keras_name, "name", spec->name, "input_size",
                                               (json_int_t)cell->input_size, "units", (json_int_t)cell->units));
    }
    return table;
}

static json_t *dimension(json_int_t size)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)size);
    return json_pack("{s:s, s:s}", "size", text, "name", "");
}

/* A tensor of a signature: [batch, (timesteps,) width]. */
static json_t *tensor_info(bool sequences, size_t width, const char *name)
{
    json_t *dims = json_array();
    json_array_append_new(dims, dimension(-1));
    if (sequences)
        json_array_append_new(dims, dimension(-1));
    json_array_append_new(dims, dimension((json_int_t)width));
    return json_pack("{s:s, s:{s:o, s:b}, s:s}", "dtype", "DT_FLOAT", "tensor_shape", "dim", dims, "unknown_rank", 0,
                     "name", name);
}

void answer_model_status(struct request *request)
{
    const struct model *model = request->model;
    answer_json(request, json_pack("{s:s, s:b, s:[{s:s, s:s, s:{s:s, s:s}}]}", "name", model->name, "ready", 1,
                                   "model_version_status", "version", model->version, "state", "AVAILABLE", "status",
                                   "error_code", "OK", "error_message", ""));
}

void answer_model_metadata(struct request *request)
{
    const struct model *model = request->model;
    const struct rnn_layer *layer = &model->layer;
    const struct rnn_stack *stack = &layer->stack;
    json_t *states = state_size(stack->spec);
    if (stack->spec->class) { /* a bare cell counts as a stack of one */
        json_t *inner = states;
        states = json_array();
        json_array_append_new(states, inner);
    }
    json_t *signature =
        json_pack("{s:{s:o}, s:{s:o}, s:s}", "inputs", "inputs", tensor_info(true, stack->input_size, "inputs"),
                  "outputs", "outputs", tensor_info(layer->return_sequences, stack->output_size, "outputs"),
                  "method_name", "tensorflow/serving/predict");
    answer_json(request,
                json_pack("{s:{s:s, s:s, s:s}, s:{s:{s:{s:o}}}, s:o, s:I, s:I, s:s, s:b, s:b, s:o}", "model_spec",
                          "name", model->name, "signature_name", "", "version", model->version, "metadata",
                          "signature_def", "signature_def", "serving_default", signature, "state_size", states,
                          "output_size", (json_int_t)stack->output_size, "input_size", (json_int_t)stack->input_size,
                          "class_name", model->class_name, "return_sequences", layer->return_sequences, "time_major",
                          layer->time_major, "layers", layer_table(stack)));
}
