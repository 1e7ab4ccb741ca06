/* Reads the configurations of Keras's layers. Missing options have the defaults of Keras 2.9. */
#include "layer.h"

#include "core/layers/activation.h"
#include "core/layers/attention.h"
#include "core/layers/axes.h"
#include "core/layers/dense.h"
#include "core/layers/embedding.h"
#include "core/layers/masking.h"
#include "core/layers/pooling.h"
#include "core/layers/recurrent.h"
#include "core/layers/reshape.h"
#include "core/time_distributed.h"
#include "functional.h"
#include "layer_kind.h"
#include "objects.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_UNITS = 1 << 20, MAX_VOCABULARY = 1 << 24 };

bool keras_open_layer(const struct keras_reader *reader, const char *path, const struct layer_class *class,
                      struct layer *out)
{
    if (!layer_open(out, class, NULL))
        return true;
    keras_error(reader, path, "out of memory");
    return false;
}

static void read_dense(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct dense *own = out->own;
    keras_size(reader, config, path, "units", MAX_UNITS, &own->units);
    keras_activation(reader, json_object_get(config, "activation"), keras_path(path, "activation").text,
                     &own->activation);
    keras_bool(reader, config, path, "use_bias", &own->use_bias);
    keras_initializer_key(reader, config, path, "kernel_initializer", &own->kernel_initializer);
    keras_initializer_key(reader, config, path, "bias_initializer", &own->bias_initializer);
}

static void read_embedding(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct embedding *own = out->own;
    keras_size(reader, config, path, "input_dim", MAX_VOCABULARY, &own->input_dim);
    keras_size(reader, config, path, "output_dim", MAX_UNITS, &own->output_dim);
    keras_bool(reader, config, path, "mask_zero", &own->mask_zero);
    keras_initializer_key(reader, config, path, "embeddings_initializer", &own->initializer);
}

static void read_masking(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct masking *own = out->own;
    double value = 0;
    keras_number(reader, config, path, "mask_value", &value);
    own->mask_value = (float)value;
}

/* Read Activation, and the layers that are activations. */
static void read_activation(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    json_t *own = json_copy((json_t *)config);
    json_t *layer = json_pack("{s:s, s:o}", "class_name", out->class_name, "config", own);
    struct keras_path object = {""};
    snprintf(object.text, sizeof object.text, "%.*s", (int)(strlen(path) - strlen("/config")), path);
    if (layer)
        keras_activation(reader, layer, object.text, out->own);
    else
        keras_error(reader, path, "out of memory");
    json_decref(layer);
}

/* Check that data_format is channels_last: the last axis is the features. */
void keras_channels_last(const struct keras_reader *reader, const json_t *config, const char *path)
{
    const json_t *format = json_object_get(config, "data_format");
    const char *text = json_string_value(format);
    if (format && !json_is_null(format) && (!text || strcmp(text, "channels_last")))
        keras_expected(reader, path, "data_format", "\"channels_last\"", format);
}

static void read_flatten(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct reshape *own = out->own;
    keras_channels_last(reader, config, path);
    own->rank = 1;
    own->target[0] = SIZE_MAX;
}

static void read_reshape(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    const json_t *shape = json_object_get(config, "target_shape");
    struct reshape *own = out->own;
    size_t rank = json_array_size(shape), open = 0;
    own->rank = rank;
    bool good = rank >= 1 && rank <= LAYER_MAX_AXES;
    for (size_t i = 0; good && i < rank; i++) {
        json_int_t size = json_integer_value(json_array_get(shape, i));
        good = size == -1 || (size >= 1 && size <= MAX_VOCABULARY);
        open += size == -1;
        own->target[i] = size == -1 ? SIZE_MAX : (size_t)size;
    }
    if (!good || open > 1)
        keras_expected(reader, path, "target_shape", "one to five sizes; one of them may be -1", shape);
}

static void read_repeat_vector(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct repeat_vector *own = out->own;
    keras_size(reader, config, path, "n", MAX_UNITS, &own->n);
}

static void read_pooling(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    struct pooling *own = out->own;
    keras_channels_last(reader, config, path);
    own->planes = strstr(out->class_name, "2D") != NULL;
    keras_bool(reader, config, path, "keepdims", &own->keepdims);
}

static void read_nothing(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    (void)reader, (void)config, (void)path, (void)out;
}

static void read_lambda(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    (void)config, (void)out;
    keras_error(
        reader, path,
        "a Lambda layer contains Python code, which cellserve does not run; do its computation in the data, or with "
        "a Keras layer");
}

/* Keras before 2.4 wrote a TensorFlowOpLayer for a function of TensorFlow between layers. */
static void read_tensorflow_op(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    const char *name = json_string_value(json_object_get(json_object_get(config, "node_def"), "op"));
    (void)out;
    keras_error(
        reader, path,
        "the operation \"%.60s\" of TensorFlow (a TensorFlowOpLayer) is not supported; do its computation in the data, "
        "or build the model again with Keras layers",
        name ? name : "");
}

static void read_time_distributed(struct keras_reader *reader, const json_t *config, const char *path,
                                  struct layer *out);

static const char *const no_keys[] = {NULL};
static const char *const bidirectional_keys[] = {"layer", "backward_layer", "merge_mode", "num_constants", NULL};
static const char *const dense_keys[] = {
    "units", "activation", "use_bias", "kernel_initializer", "bias_initializer", "lora_rank", "lora_alpha", NULL};
static const char *const embedding_keys[] = {"input_dim",
                                             "output_dim",
                                             "mask_zero",
                                             "embeddings_initializer",
                                             "embeddings_regularizer",
                                             "embeddings_constraint",
                                             "sparse",
                                             "lora_rank",
                                             "lora_alpha",
                                             NULL};
static const char *const masking_keys[] = {"mask_value", NULL};
static const char *const flatten_keys[] = {"data_format", NULL};
static const char *const reshape_keys[] = {"target_shape", NULL};
static const char *const repeat_keys[] = {"n", NULL};
static const char *const pooling_keys[] = {"data_format", "keepdims", NULL};
static const char *const dropout_keys[] = {"rate", "noise_shape", NULL};
static const char *const noise_keys[] = {"stddev", NULL};
static const char *const regularization_keys[] = {"l1", "l2", NULL};
static const char *const wrapped_keys[] = {"layer", NULL};

/* Every supported layer, except RNN and the layers that are named after cells. */
static const struct layer_kind kinds[] = {
    {"Bidirectional", NULL, keras_read_bidirectional, bidirectional_keys},
    {"TimeDistributed", NULL, read_time_distributed, wrapped_keys},
    {"Dense", &layer_dense, read_dense, dense_keys},
    {"Embedding", &layer_embedding, read_embedding, embedding_keys},
    {"Masking", &layer_masking, read_masking, masking_keys},
    {"Activation", &layer_activation, read_activation, NULL},
    {"ReLU", &layer_activation, read_activation, NULL},
    {"LeakyReLU", &layer_activation, read_activation, NULL},
    {"ELU", &layer_activation, read_activation, NULL},
    {"ThresholdedReLU", &layer_activation, read_activation, NULL},
    {"Flatten", &layer_reshape, read_flatten, flatten_keys},
    {"Reshape", &layer_reshape, read_reshape, reshape_keys},
    {"RepeatVector", &layer_repeat_vector, read_repeat_vector, repeat_keys},
    {"GlobalAveragePooling1D", &layer_average_pooling, read_pooling, pooling_keys},
    {"GlobalMaxPooling1D", &layer_max_pooling, read_pooling, pooling_keys},
    {"GlobalAveragePooling2D", &layer_average_pooling, read_pooling, pooling_keys},
    {"GlobalMaxPooling2D", &layer_max_pooling, read_pooling, pooling_keys},
    {"SpatialDropout2D", &layer_identity, read_nothing, dropout_keys},
    {"Dropout", &layer_identity, read_nothing, dropout_keys},
    {"SpatialDropout1D", &layer_identity, read_nothing, dropout_keys},
    {"GaussianDropout", &layer_identity, read_nothing, dropout_keys},
    {"GaussianNoise", &layer_identity, read_nothing, noise_keys},
    {"AlphaDropout", &layer_identity, read_nothing, dropout_keys},
    {"ActivityRegularization", &layer_identity, read_nothing, regularization_keys},
    {"Identity", &layer_identity, read_nothing, no_keys},
    {"cellserve.last_timestep", &layer_last_timestep, read_nothing,
     no_keys}, /* for PyTorch's modules; not a class of Keras */
    {"Lambda", NULL, read_lambda, NULL},
    {"TensorFlowOpLayer", NULL, read_tensorflow_op, NULL},
    {NULL, NULL, NULL, NULL},
};

/* The layers of all families. */
static const struct layer_kind *const families[] = {
    kinds, keras_attention_kinds, keras_merge_kinds, keras_normalization_kinds, keras_resize_kinds, keras_window_kinds};
enum { N_FAMILIES = sizeof families / sizeof *families, MAX_KINDS = 128 };

/* The i-th layer of all families; NULL past the last. */
static const struct layer_kind *kind_at(size_t i)
{
    for (size_t f = 0; f < N_FAMILIES; f++)
        for (const struct layer_kind *kind = families[f]; kind->name; kind++)
            if (!i--)
                return kind;
    return NULL;
}

const struct layer_kind *keras_find_kind(const char *name)
{
    const struct layer_kind *kind;
    for (size_t i = 0; (kind = kind_at(i)) && strcmp(kind->name, name);)
        i++;
    return kind;
}

/* Read a layer of a kind: its options, and the other keys of its config. */
void keras_read_kind(struct keras_reader *reader, const struct layer_kind *kind, const json_t *config, const char *path,
                     struct layer *out)
{
    if (!kind->class || keras_open_layer(reader, path, kind->class, out))
        kind->read(reader, config, path, out);
    if (kind->keys)
        keras_check_keys(reader, config, path, kind->keys, NULL);
    keras_dtype(reader, config, path);
}

/* Read a TimeDistributed whose inner layer or model gets each timestep as a row. */
static void read_inner(struct keras_reader *reader, const json_t *json, const char *path, struct layer *out)
{
    struct keras_model inner = {.is_chain = false};
    const char *class_name = reader->class_name, *name = reader->name;
    keras_inner_read(reader, json, path, &inner);
    reader->class_name = class_name;
    reader->name = name;
    if (!*reader->failed && keras_open_layer(reader, path, &layer_time_distributed, out)) {
        struct time_distributed *own = out->own;
        own->names = calloc(inner.model.n_layers + 1, sizeof *own->names);
        for (size_t i = 0; own->names && i < inner.model.n_layers; i++) {
            memcpy(own->names[i].group, inner.places[i].group, sizeof own->names[i].group);
            memcpy(own->names[i].tensors, inner.places[i].tensors, sizeof own->names[i].tensors);
        }
        if (!own->names)
            keras_error(reader, path, "out of memory");
        own->graph = inner.model;
        inner.model = (struct graph){.n_layers = 0};
    }
    keras_model_close(&inner);
}

/* The inner layer works on every timestep alone, so TimeDistributed is the same as the inner layer. */
static void read_time_distributed(struct keras_reader *reader, const json_t *config, const char *path,
                                  struct layer *out)
{
    const json_t *layer = json_object_get(config, "layer");
    const char *class_name = keras_class_name(layer);
    const struct layer_kind *kind = class_name ? keras_find_kind(class_name) : NULL;
    struct keras_path where = keras_path(path, "layer");
    char outer[sizeof out->class_name];
    memcpy(outer, out->class_name, sizeof outer);
    bool good = kind && kind->class && (kind->class->pointwise || kind->class->time == axes_time) &&
                kind->class->masks == MASKS_PASS;
    if (good) {
        snprintf(out->class_name, sizeof out->class_name, "%s", class_name);
        keras_read_kind(reader, kind, json_object_get(layer, "config"), keras_path(where.text, "config").text, out);
        memcpy(out->class_name, outer, sizeof outer);
    }
    if (good)
        out->only_sequences = true;
    else
        read_inner(reader, layer, where.text, out);
}

static void unknown_class(const struct keras_reader *reader, const json_t *json, const char *path)
{
    const char *name = keras_class_name(json);
    const char *names[MAX_KINDS + 16];
    const struct layer_kind *kind;
    char known[2000] = "RNN, LSTM, GRU, SimpleRNN, CuDNNLSTM, CuDNNGRU", cells[200] = "", hint[100] = "";
    size_t n = 0;
    static const char *const cell_names[] = {"RNN", "LSTM", "GRU", "SimpleRNN", "StackedRNNCells", "Sequential"};
    for (size_t i = 0; i < sizeof cell_names / sizeof *cell_names; i++)
        names[n++] = cell_names[i];
    for (size_t i = 0; i < MAX_KINDS && (kind = kind_at(i)); i++) {
        names[n++] = kind->name;
        if (kind->read != read_lambda && kind->read != read_tensorflow_op)
            snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", kind->name);
    }
    names[n] = NULL;
    keras_known_cells(cells, sizeof cells);
    if (name)
        keras_error(reader, keras_path(path, "class_name").text,
                    "a layer \"%.60s\" is not served%s (those that are: %.1800s; cells: StackedRNNCells%.100s)", name,
                    nearest_hint(name, names, hint, sizeof hint), known, cells);
    else
        keras_expected(reader, path, NULL, "an object with class_name and config", json);
}

bool keras_layer_read(struct keras_reader *reader, const json_t *json, const char *path, struct layer *out)
{
    const char *class_name = keras_class_name(json);
    const json_t *config = json_object_get(json, "config");
    struct keras_path where = keras_path(path, "config");
    const struct layer_kind *kind = class_name ? keras_find_kind(class_name) : NULL;
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name ? class_name : "");
    keras_name(config, out->name, sizeof out->name);
    reader->class_name = class_name ? out->class_name : NULL;
    reader->name = out->name;
    if (class_name && keras_is_cell(class_name)) {
        if (keras_open_layer(reader, path, &layer_recurrent, out)) {
            recurrent_of(out)->cells[0] = keras_cell(reader, json, path);
            recurrent_of(out)->n_parts = 1;
        }
    } else if (kind && json_is_object(config)) {
        keras_read_kind(reader, kind, config, where.text, out);
    } else if (!class_name || kind || !keras_read_part(reader, class_name, config, where.text, out, 0)) {
        if (kind)
            keras_expected(reader, path, "config", "an object", config);
        else
            unknown_class(reader, json, path);
    }
    reader->class_name = NULL;
    return !*reader->failed;
}

bool keras_is_layer(const char *class_name)
{
    bool is_layer = false;
    return keras_find_kind(class_name) || !strcmp(class_name, "RNN") || cell_class_find(class_name, &is_layer);
}

bool keras_layer_set_causal(struct layer *layer)
{
    if (layer->class == &layer_attention)
        ((struct attention *)layer->own)->causal = true;
    else if (layer->class == &layer_multi_head_attention)
        ((struct multi_head_attention *)layer->own)->causal = true;
    else
        return false;
    return true;
}
