/* RNN, LSTM, GRU, SimpleRNN, and a Bidirectional around one of them or around a ConvLSTM. */
#include "core/layers/conv_lstm_both.h"
#include "core/layers/recurrent.h"

#include "layer_kind.h"
#include "objects.h"

#include <stdio.h>
#include <string.h>

static const char *const recurrent_keys[] = {
    "return_sequences", "return_state", "go_backwards",         "stateful", "unroll", "time_major",
    "num_constants",    "cell",         "zero_output_for_mask", NULL};

static void read_options(const struct keras_reader *reader, const json_t *config, const char *path,
                         struct rnn_recurrence *options)
{
    keras_bool(reader, config, path, "return_sequences", &options->return_sequences);
    keras_bool(reader, config, path, "return_state", &options->return_state);
    keras_bool(reader, config, path, "go_backwards", &options->go_backwards);
    keras_bool(reader, config, path, "stateful", &options->stateful);
    keras_bool(reader, config, path, "unroll", &options->unroll);
    keras_bool(reader, config, path, "time_major", &options->time_major);
    keras_bool(reader, config, path, "zero_output_for_mask", &options->zero_output_for_mask);
    const json_t *constants = json_object_get(config, "num_constants");
    if (constants && !json_is_null(constants) && (!json_is_integer(constants) || json_integer_value(constants) != 0))
        keras_expected(reader, path, "num_constants", "no constants (none of the cells takes any)", constants);
}

/* CuDNNLSTM and CuDNNGRU of old files are an LSTM and a GRU whose weights are stored in another order. */
static bool is_cudnn(const char *class_name)
{
    return !strcmp(class_name, "CuDNNLSTM") || !strcmp(class_name, "CuDNNGRU");
}

bool keras_read_part(struct keras_reader *reader, const char *class_name, const json_t *config, const char *path,
                     struct layer *out, size_t part)
{
    bool is_layer = false, is_rnn = !strcmp(class_name, "RNN"), cudnn = is_cudnn(class_name);
    const struct cell_class *class = cell_class_find(class_name + (cudnn ? strlen("CuDNN") : 0), &is_layer);
    if (!is_rnn && !(class && is_layer))
        return false;
    if (!json_is_object(config)) {
        keras_expected(reader, path, NULL, "an object", config);
        return true;
    }
    if (!out->own && !keras_open_layer(reader, path, &layer_recurrent, out))
        return true;
    struct recurrent *own = out->own;
    read_options(reader, config, path, &own->parts[part]);
    if (is_rnn) {
        keras_check_keys(reader, config, path, recurrent_keys, NULL);
        keras_dtype(reader, config, path);
        own->cells[part] = keras_cell(reader, json_object_get(config, "cell"), keras_path(path, "cell").text);
    } else {
        own->cells[part] = keras_cell_of_layer(reader, class, config, path, recurrent_keys);
        if (cudnn && own->cells[part]) {
            own->cells[part]->cudnn = true;
            own->cells[part]->reset_after = class->has_reset_after;
        }
    }
    own->n_parts = part + 1;
    return true;
}

static void read_merge_mode(const struct keras_reader *reader, const json_t *config, const char *path,
                            enum merge_mode *out)
{
    static const char *const modes[] = {"concat", "sum", "mul", "ave"};
    const json_t *value = json_object_get(config, "merge_mode");
    *out = value && json_is_null(value) ? MERGE_NONE : MERGE_CONCAT;
    if (!value || json_is_null(value))
        return;
    for (size_t i = 0; i < 4; i++)
        if (json_is_string(value) && !strcmp(json_string_value(value), modes[i])) {
            *out = (enum merge_mode)i;
            return;
        }
    keras_expected(reader, path, "merge_mode", "concat, sum, mul, ave or null", value);
}

/* Check Keras's conditions for the two directions of a Bidirectional. */
static void check_directions(const struct keras_reader *reader, const char *path, const struct rnn_recurrence *parts)
{
    const struct {
        const char *key;
        bool forward, backward;
    } same[] = {{"return_sequences", parts[0].return_sequences, parts[1].return_sequences},
                {"return_state", parts[0].return_state, parts[1].return_state},
                {"stateful", parts[0].stateful, parts[1].stateful}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (same[i].forward != same[i].backward)
            keras_error(reader, path, "expected layer and backward_layer with the same %s", same[i].key);
    if (parts[0].go_backwards == parts[1].go_backwards)
        keras_error(reader, path, "expected layer and backward_layer with different go_backwards");
    if (parts[0].time_major || parts[1].time_major)
        keras_error(reader, path,
                    "time_major is supported only in a model of one RNN layer; transpose the data instead");
}

/* One direction of a Bidirectional around a ConvLSTM. */
static void read_frames(struct keras_reader *reader, const json_t *json, const char *path, const struct layer *outer,
                        struct layer *out)
{
    const char *class_name = keras_class_name(json);
    const struct layer_kind *kind = class_name ? keras_find_kind(class_name) : NULL;
    *out = (struct layer){.class = &layer_identity};
    if (!kind || kind->class != &layer_conv_lstm) {
        keras_expected(reader, path, NULL, "a layer of the same class as the other direction", json);
        return;
    }
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name);
    snprintf(out->name, sizeof out->name, "%s", outer->name);
    keras_read_kind(reader, kind, json_object_get(json, "config"), keras_path(path, "config").text, out);
}

/* Check the options that are not supported in a Bidirectional around a ConvLSTM. */
static void check_frames(const struct keras_reader *reader, const char *path, const struct conv_lstm_both *both)
{
    const struct conv_lstm *forward = both->directions[0].own, *backward = both->directions[1].own;
    if (both->merge == MERGE_NONE)
        keras_error(reader, path, "merge_mode null is not supported around a ConvLSTM; merge the directions");
    if (forward->return_state || backward->return_state)
        keras_error(reader, path, "return_state is not supported in a Bidirectional around a ConvLSTM");
    if (forward->return_sequences != backward->return_sequences || forward->use_bias != backward->use_bias ||
        forward->filters != backward->filters || forward->go_backwards == backward->go_backwards)
        keras_error(reader, path,
                    "expected layer and backward_layer with the same filters, use_bias and return_sequences, and "
                    "different go_backwards");
}

static void read_bidirectional_frames(struct keras_reader *reader, const json_t *config, const char *path,
                                      struct layer *out)
{
    const json_t *forward = json_object_get(config, "layer"), *backward = json_object_get(config, "backward_layer");
    bool copied = !json_is_object(backward);
    if (!keras_open_layer(reader, path, &layer_conv_lstm_both, out))
        return;
    struct conv_lstm_both *own = out->own;
    read_merge_mode(reader, config, path, &own->merge);
    for (size_t i = 0; i < 2; i++) {
        const char *key = i && !copied ? "backward_layer" : "layer";
        read_frames(reader, i && !copied ? backward : forward, keras_path(path, key).text, out, &own->directions[i]);
        struct conv_lstm *frames = own->directions[i].own;
        if (*reader->failed || !frames)
            return;
        frames->zero_output_for_mask = frames->return_sequences && reader->keras_major > 2;
        frames->go_backwards ^= i && copied;
    }
    check_frames(reader, path, own);
}

static bool is_frames(const json_t *layer)
{
    const char *class_name = keras_class_name(layer);
    const struct layer_kind *kind = class_name ? keras_find_kind(class_name) : NULL;
    return kind && kind->class == &layer_conv_lstm;
}

/* If the file has no backward_layer, Keras uses a copy of the layer. */
void keras_read_bidirectional(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out)
{
    const json_t *forward = json_object_get(config, "layer"), *backward = json_object_get(config, "backward_layer");
    bool copied = !json_is_object(backward);
    if (is_frames(forward)) {
        read_bidirectional_frames(reader, config, path, out);
        return;
    }
    if (!keras_open_layer(reader, path, &layer_recurrent, out))
        return;
    struct recurrent *own = out->own;
    read_merge_mode(reader, config, path, &own->merge);
    for (size_t part = 0; part < 2; part++) {
        const char *key = part && !copied ? "backward_layer" : "layer";
        const json_t *layer = part && !copied ? backward : forward;
        const char *class_name = keras_class_name(layer);
        struct keras_path where = keras_path(path, key);
        if (!class_name || !keras_read_part(reader, class_name, json_object_get(layer, "config"),
                                            keras_path(where.text, "config").text, out, part)) {
            keras_expected(reader, where.text, NULL, "an RNN, LSTM, GRU or SimpleRNN layer, or a ConvLSTM", layer);
            return;
        }
    }
    if (copied)
        own->parts[1].go_backwards = !own->parts[0].go_backwards;
    check_directions(reader, path, own->parts);
}
