/* Converts PyTorch's recurrent modules: their arguments, and their tensors to Keras's layout. */
#include "torch_model.h"

#include "core/layers/dense.h"
#include "core/layers/pooling.h"
#include "core/layers/recurrent.h"
#include "torch_sequential.h"
#include "torch_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIZE = 1 << 20, MAX_LAYERS = 128, NAME_BYTES = 200 };

static const struct kind {
    const char *class_name, *keras_name;
    const struct cell_class *cell;
    struct torch_gates gates;
} kinds[] = {
    {"torch.nn.LSTM", "lstm", &cell_lstm, {4, {0, 1, 2, 3}, false}}, /* i f g o = i f c o */
    {"torch.nn.GRU", "gru", &cell_gru, {3, {1, 0, 2}, true}},        /* r z n to z r h */
    {"torch.nn.RNN", "rnn", &cell_simple_rnn, {1, {0}, false}},
};

/* The arguments, and the destination of the tensors. */
struct torch {
    struct keras_reader reader;
    const struct kind *kind;
    size_t input_size, hidden_size, num_layers;
    bool bias, bidirectional, relu;
    bool apply; /* the head */
    char head[64];
    size_t head_units;
    bool head_bias;
    char prefix[NAME_BYTES]; /* without the dot at its end */
    struct torch_weights weights;
};

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].class_name, name))
            return &kinds[i];
    return NULL;
}

bool torch_is(const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "class_name"));
    return name && !strncmp(name, "torch.", 6);
}

/* ---- arguments ---- */

static void read_config(struct torch *t, const json_t *config)
{
    static const char *const keys[] = {"input_size",    "hidden_size", "num_layers", "bias", "batch_first",
                                       "bidirectional", "proj_size",   "device",     NULL};
    static const char *const rnn_keys[] = {"nonlinearity", NULL};
    const char *path = "/config", *nonlinearity = json_string_value(json_object_get(config, "nonlinearity"));
    const json_t *projection = json_object_get(config, "proj_size");
    bool rnn = t->kind->cell == &cell_simple_rnn;
    t->num_layers = 1;
    t->bias = true;
    keras_size(&t->reader, config, path, "input_size", MAX_SIZE, &t->input_size);
    keras_size(&t->reader, config, path, "hidden_size", MAX_SIZE, &t->hidden_size);
    if (json_object_get(config, "num_layers"))
        keras_size(&t->reader, config, path, "num_layers", MAX_LAYERS, &t->num_layers);
    keras_bool(&t->reader, config, path, "bias", &t->bias);
    keras_bool(&t->reader, config, path, "bidirectional", &t->bidirectional);
    if (projection && !json_is_null(projection) && (!json_is_integer(projection) || json_integer_value(projection)))
        keras_expected(&t->reader, path, "proj_size",
                       "0: an LSTM with a projection is served in a torch.nn.Sequential's modules", projection);
    t->relu = rnn && nonlinearity && !strcmp(nonlinearity, "relu");
    if (rnn && json_object_get(config, "nonlinearity") && !t->relu && (!nonlinearity || strcmp(nonlinearity, "tanh")))
        keras_expected(&t->reader, path, "nonlinearity", "\"tanh\" or \"relu\"",
                       json_object_get(config, "nonlinearity"));
    keras_dtype(&t->reader, config, path);
    keras_check_keys(&t->reader, config, path, keys, rnn ? rnn_keys : NULL);
}

static void read_head(struct torch *t, const json_t *head)
{
    const char *class_name = json_string_value(json_object_get(head, "class_name"));
    static const char *const keys[] = {"class_name", "name", "config", "apply", "applied_to", NULL};
    static const char *const linear_keys[] = {"in_features", "out_features", "bias", "device", NULL};
    const json_t *config = json_object_get(head, "config");
    if (!head)
        return;
    if (!json_is_object(head))
        keras_expected(&t->reader, "/head", NULL, "an object", head);
    keras_check_keys(&t->reader, head, "/head", keys, NULL);
    keras_check_keys(&t->reader, config, "/head/config", linear_keys, NULL);
    if (!class_name || strcmp(class_name, "torch.nn.Linear"))
        keras_expected(&t->reader, "/head", "class_name", "\"torch.nn.Linear\"", json_object_get(head, "class_name"));
    keras_name(head, t->head, sizeof t->head);
    if (!t->head[0])
        keras_expected(&t->reader, "/head", "name", "the name that the layer's tensors begin with", NULL);
    t->head_bias = true;
    keras_bool(&t->reader, head, "/head", "apply", &t->apply);
    keras_size(&t->reader, config, "/head/config", "out_features", MAX_SIZE, &t->head_units);
    keras_bool(&t->reader, config, "/head/config", "bias", &t->head_bias);
}

/* ---- layers ---- */

static struct rnn_cell_spec *new_cell(const struct torch *t)
{
    struct rnn_cell_spec *cell = rnn_cell_spec_new(t->kind->cell);
    if (!cell)
        return NULL;
    cell->units = t->hidden_size;
    cell->use_bias = t->bias;
    if (t->relu)
        cell->activation = activation_find("relu")->activation;
    return cell;
}

static bool configure_recurrent(struct torch *t, struct layer *layer, size_t first, bool last)
{
    size_t cells = t->bidirectional ? 1 : t->num_layers;
    if (layer_open(layer, &layer_recurrent, NULL))
        return false;
    struct recurrent *own = recurrent_of(layer);
    own->n_parts = t->bidirectional ? 2 : 1;
    snprintf(layer->class_name, sizeof layer->class_name, "%s", t->bidirectional ? "Bidirectional" : "RNN");
    if (t->bidirectional)
        snprintf(layer->name, sizeof layer->name, "%s_l%zu", t->kind->keras_name, first);
    else
        snprintf(layer->name, sizeof layer->name, "%s", t->kind->keras_name);
    for (size_t p = 0; p < own->n_parts; p++) {
        struct rnn_cell_spec *stack = own->cells[p] = rnn_cell_spec_new(NULL);
        own->parts[p].return_sequences = t->bidirectional || !last || !t->apply;
        own->parts[p].go_backwards = p == 1;
        if (!stack || !(stack->cells = calloc(cells, sizeof *stack->cells)))
            return false;
        for (; stack->n_cells < cells; stack->n_cells++)
            if (!(stack->cells[stack->n_cells] = new_cell(t)))
                return false;
    }
    return true;
}

/* The next layer of the chain. */
static struct layer *add_layer(struct torch *t, struct keras_model *out)
{
    struct graph *graph = &out->model;
    struct keras_place place = {.nested = false};
    if (out->is_chain)
        snprintf(place.tensors, sizeof place.tensors, "layers.%zu.", graph->n_layers);
    size_t last = graph->n_nodes ? graph->nodes[graph->n_nodes - 1].output : graph->inputs[0].value;
    struct layer *layer = keras_model_add(&t->reader, "", out, &place);
    return layer && graph_node(graph, graph->n_layers - 1, &last, 1) != GRAPH_NONE ? layer : NULL;
}

static bool configure_head(struct torch *t, struct keras_model *out)
{
    if (t->bidirectional) {
        struct layer *step = add_layer(t, out);
        if (!step || layer_open(step, &layer_last_timestep, NULL))
            return false;
        snprintf(step->class_name, sizeof step->class_name, "LastTimestep");
        snprintf(step->name, sizeof step->name, "last_timestep");
    }
    struct layer *head = add_layer(t, out);
    if (!head || layer_open(head, &layer_dense, NULL))
        return false;
    struct dense *own = head->own;
    snprintf(head->class_name, sizeof head->class_name, "Dense");
    memcpy(head->name, t->head, sizeof head->name);
    own->units = t->head_units;
    own->use_bias = t->head_bias;
    return true;
}

static bool configure(struct torch *t, struct keras_model *out)
{
    size_t layers = t->bidirectional ? t->num_layers : 1;
    out->is_chain = layers > 1 || t->apply;
    out->keras_major = 2;
    snprintf(out->class_name, sizeof out->class_name, "%s", t->kind->class_name);
    snprintf(out->name, sizeof out->name, "%s", t->kind->keras_name);
    const struct layer_shape shape = {.sequence = true, .width = t->input_size};
    if (graph_input(&out->model, "inputs", &shape) == GRAPH_NONE)
        return false;
    for (size_t i = 0; i < layers; i++) {
        struct layer *layer = add_layer(t, out);
        if (!layer || !configure_recurrent(t, layer, i, i + 1 == layers))
            return false;
    }
    return !t->apply || configure_head(t, out);
}

/* ---- tensors ---- */

static void tensor_problem(const struct torch *t, const char *name, const char *text)
{
    *t->reader.failed = true;
    problem_reason(t->reader.problems, "its weights do not fit its configuration");
    problem_error(t->reader.problems, (struct place){t->weights.file, NULL}, "tensor %s%s", name, text);
}

/* The prefix of "weight_ih_l0". */
static void find_prefix(struct torch *t)
{
    static const char first[] = "weight_ih_l0";
    const char *found = NULL;
    char text[200];
    for (size_t i = 0; i < t->weights.from->n; i++) {
        const char *name = t->weights.from->tensors[i].name;
        size_t n = strlen(name), m = sizeof first - 1;
        if (n < m || strcmp(name + n - m, first) || n - m >= sizeof t->prefix || (n > m && name[n - m - 1] != '.'))
            continue;
        if (found) {
            snprintf(text, sizeof text, ": a second recurrent module beside that of %.100s; keep the tensors of one",
                     found);
            tensor_problem(t, name, text);
        }
        found = name;
        snprintf(t->prefix, sizeof t->prefix, "%.*s", (int)(n > m ? n - m - 1 : 0), name);
    }
    if (!found)
        tensor_problem(t, first, " is missing (with any prefix)");
}

/* One direction of one layer. path is the path of its Keras cell. */
static void convert_cell(struct torch *t, size_t layer, const char *direction, const char *path)
{
    char suffix[40];
    snprintf(suffix, sizeof suffix, "_l%zu%s", layer, direction);
    const struct torch_cell cell = {.prefix = t->prefix,
                                    .suffix = suffix,
                                    .gates = t->kind->gates,
                                    .width = layer ? t->hidden_size * (t->bidirectional ? 2 : 1) : t->input_size,
                                    .hidden = t->hidden_size,
                                    .bias = t->bias};
    torch_weights_cell(&t->weights, &cell, path);
}

static void convert_head(struct torch *t, size_t layer)
{
    char to[64];
    snprintf(to, sizeof to, "layers.%zu.kernel", layer);
    torch_weights_turn(&t->weights, t->head, "weight", to, t->head_units, t->hidden_size * (t->bidirectional ? 2 : 1));
    snprintf(to, sizeof to, "layers.%zu.bias", layer);
    if (t->head_bias)
        torch_weights_copy(&t->weights, t->head, "bias", to, t->head_units, false);
}

static void convert(struct torch *t, const struct keras_model *config)
{
    static const char *const directions[] = {"", "_reverse"}, *const sides[] = {"forward.", "backward."};
    if (!torch_weights_open(&t->weights))
        return;
    for (size_t k = 0; k < t->num_layers; k++)
        for (size_t d = 0; d < (t->bidirectional ? 2 : 1); d++) {
            char path[96], layer[32] = "";
            if (config->is_chain)
                snprintf(layer, sizeof layer, "layers.%zu.", t->bidirectional ? k : 0);
            snprintf(path, sizeof path, "%s%scells.%zu", layer, t->bidirectional ? sides[d] : "",
                     t->bidirectional ? 0 : k);
            convert_cell(t, k, directions[d], path);
        }
    if (t->apply)
        convert_head(t, config->model.n_layers - 1);
    for (size_t i = 0; i < t->weights.from->n; i++)
        if (!t->weights.from->tensors[i].used)
            problem_warning(t->reader.problems, (struct place){t->weights.file, NULL},
                            "tensor \"%.200s\" is not served", t->weights.from->tensors[i].name);
}

/* LoRA stores changes of weights in separate tensors. Without them, the answers would be those of the model before its
   training. */
static bool has_adapters(const struct tensor_set *set, const char *file, struct problems *problems)
{
    for (size_t i = 0; i < set->n; i++)
        if (strstr(set->tensors[i].name, "lora_")) {
            problem_reason(problems, "it has LoRA adapters");
            problem_error(
                problems, (struct place){file, NULL},
                "tensor \"%.200s\" is a LoRA adapter; merge the adapters into the model (merge_and_unload()), and "
                "save it again",
                set->tensors[i].name);
            return true;
        }
    return false;
}

bool torch_model_read(const json_t *json, const char *file, const struct tensor_set *from, const char *weights_file,
                      struct problems *problems, struct keras_model *out, struct tensor_set *tensors)
{
    bool failed = false;
    const json_t *name = json_object_get(json, "class_name");
    struct torch t = {
        .reader = {.file = file, .keras_major = 2, .problems = problems, .failed = &failed},
        .kind = find_kind(json_string_value(name)),
        .weights = {.from = from, .to = tensors, .file = weights_file, .problems = problems, .failed = &failed}};
    *out = (struct keras_model){.is_chain = false};
    *tensors = (struct tensor_set){.n = 0};
    if (has_adapters(from, weights_file, problems))
        return false;
    if (torch_sequential_is(json))
        return torch_sequential_read(json, file, from, weights_file, problems, out, tensors);
    if (!t.kind) {
        keras_expected(&t.reader, "", "class_name",
                       "torch.nn.LSTM, torch.nn.GRU or torch.nn.RNN, or torch.nn.Sequential with \"modules\"", name);
        return false;
    }
    static const char *const keys[] = {"class_name", "config", "head", NULL};
    t.reader.class_name = t.kind->class_name;
    keras_check_keys(&t.reader, json, "", keys, NULL);
    read_config(&t, json_object_get(json, "config"));
    read_head(&t, json_object_get(json, "head"));
    if (!failed && !configure(&t, out))
        keras_error(&t.reader, "", "out of memory");
    if (!failed)
        find_prefix(&t);
    if (!failed)
        convert(&t, out);
    if (!failed)
        return true;
    keras_model_close(out);
    tensor_set_close(tensors);
    return false;
}
