/* A chain of layers: shapes, states, and the run of a group of rows. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layer *rnn_model_add(struct rnn_model *model)
{
    if (model->n_layers == MODEL_MAX_LAYERS)
        return NULL;
    if (!model->layers && !(model->layers = calloc(MODEL_MAX_LAYERS, sizeof *model->layers)))
        return NULL;
    struct layer *layer = &model->layers[model->n_layers++];
    layer->class = &layer_identity;
    return layer;
}

void rnn_model_close(struct rnn_model *model)
{
    for (size_t i = 0; i < model->n_layers; i++)
        layer_close(&model->layers[i]);
    free(model->layers);
    free(model->parts);
    *model = (struct rnn_model){.n_layers = 0};
}

size_t rnn_model_parameters(const struct rnn_model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->n_layers; i++)
        count += layer_parameters(&model->layers[i]);
    return count;
}

size_t rnn_model_bytes(const struct rnn_model *model)
{
    size_t bytes = 0;
    for (size_t i = 0; i < model->n_layers; i++)
        bytes += layer_bytes(&model->layers[i]);
    return bytes;
}

double rnn_model_step_ns(const struct rnn_model *model, size_t rows)
{
    double ns = 0;
    for (size_t i = 0; i < model->n_parts; i++)
        ns += rnn_stack_step_ns(&model->parts[i].layer->stack, rows);
    return ns;
}

size_t rnn_model_vocabulary(const struct rnn_model *model)
{
    for (size_t i = 0; model->input.ids && i < model->n_layers; i++)
        if (layer_takes_ids(&model->layers[i]))
            return model->layers[i].class->vocabulary(&model->layers[i]);
    return 0;
}

/* ---- shapes ---- */

/* The option of layer i: of the last recurrent layer it may be asked for (once it is known which that is), of the others
   it is their own. */
static bool gives_sequences(const struct rnn_model *model, size_t i, bool sequences)
{
    const struct rnn_recurrence *part = layer_part(&model->layers[i], 0);
    return model->parts && i == model->last_recurrent ? sequences : part && part->return_sequences;
}

static enum rnn_status walk(const struct rnn_model *model, size_t end, size_t timesteps, bool sequences,
                            struct layer_shape *out, struct rnn_error *err)
{
    struct layer_shape in = model->input;
    if (in.sequence && timesteps)
        in.timesteps = timesteps;
    *out = in;
    for (size_t i = 0; i < end; i++, in = *out) {
        enum rnn_status status = layer_output(&model->layers[i], &in, gives_sequences(model, i, sequences), out, err);
        if (status)
            return status;
    }
    return RNN_OK;
}

enum rnn_status rnn_model_output(const struct rnn_model *model, size_t timesteps, bool sequences,
                                 struct layer_shape *out, struct rnn_error *err)
{
    enum rnn_status status = walk(model, model->n_layers, timesteps, sequences, out, err);
    if (!status && out->width != model->output.width)
        return rnn_fail(err, RNN_ESHAPE, "expected %zu timesteps, for which the model was made",
                        model->input.timesteps);
    return status;
}

enum rnn_status rnn_model_shape_before(const struct rnn_model *model, size_t i, struct layer_shape *out,
                                       struct rnn_error *err)
{
    return walk(model, i, 0, model->return_sequences, out, err);
}

/* ---- the whole ---- */

static enum rnn_status find_parts(struct rnn_model *model, struct rnn_error *err)
{
    static const char *const directions[] = {"/forward", "/backward"};
    model->parts = calloc(model->n_layers * LAYER_MAX_PARTS + 1, sizeof *model->parts);
    if (!model->parts)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    model->last_recurrent = model->n_layers;
    for (size_t i = 0; i < model->n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        size_t n = layer_parts(layer);
        for (size_t p = 0; p < n; p++) {
            struct model_part *part = &model->parts[model->n_parts++];
            part->layer = layer_part(layer, p);
            part->state_offset = model->state_elems;
            snprintf(part->name, sizeof part->name, "%s%s", layer->name, n > 1 ? directions[p] : "");
            model->state_elems += part->layer->stack.state_elems;
            model->last_recurrent = i;
        }
    }
    return RNN_OK;
}

/* What only some models can be: a layer with time first, a Bidirectional with two outputs. */
static enum rnn_status check_alone(struct rnn_model *model, struct rnn_error *err)
{
    size_t computing = 0;
    model->streamable = true;
    for (size_t i = 0; i < model->n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        size_t n_parts = layer_parts(layer);
        computing += layer->class->run != NULL;
        model->streamable &= layer->class->pointwise || n_parts == 1;
        model->time_major |= n_parts && layer_part(layer, 0)->time_major;
        bool two = layer->class->two_outputs && layer->class->two_outputs(layer);
        if (model->two_outputs && layer->class->run)
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" comes after a Bidirectional with merge_mode null, which has "
                            "two outputs",
                            layer->name);
        model->two_outputs |= two;
        if (two && layer_part(layer, 0)->time_major)
            return rnn_fail(err, RNN_EINVAL, "layer \"%s\": time_major is served in a lone RNN layer", layer->name);
    }
    if (!computing)
        return rnn_fail(err, RNN_EINVAL, "there is no layer that computes anything");
    if (model->time_major && (computing > 1 || model->n_parts != 1))
        return rnn_fail(err, RNN_EINVAL, "time_major is served only in a model of one RNN layer; transpose the data");
    return RNN_OK;
}

static size_t last_computing(const struct rnn_model *model)
{
    size_t last = model->n_layers - 1;
    while (!model->layers[last].class->run)
        last--;
    return last;
}

/* How rows may be cut and where their data may lie: recurrent layers go row by row, others take all rows as one. */
static void find_freedom(struct rnn_model *model)
{
    const struct layer *first = model->layers;
    size_t computing = 0;
    while (!first->class->run)
        first++;
    model->divisible = model->streamable;
    for (size_t i = 0; i < model->n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        computing += layer->class->run != NULL;
        model->divisible &= !(layer_part(layer, 0) && layer_part(layer, 0)->go_backwards);
    }
    model->inputs_anywhere = first->class->inputs_anywhere;
    model->outputs_anywhere = computing == 1 && layer_parts(first) == 1;
}

enum rnn_status rnn_model_finish(struct rnn_model *model, struct rnn_error *err)
{
    enum rnn_status status = find_parts(model, err);
    if (!status)
        status = check_alone(model, err);
    if (status)
        return status;
    if (model->last_recurrent < model->n_layers)
        model->return_sequences = layer_part(&model->layers[model->last_recurrent], 0)->return_sequences;
    find_freedom(model);
    status = walk(model, model->n_layers, 0, model->return_sequences, &model->output, err);
    if (!status && !model->output.width)
        return rnn_fail(err, RNN_ESHAPE,
                        "the number of timesteps is not known, and with it the size of the output; give the input "
                        "layer a shape with timesteps");
    return status;
}

bool rnn_model_scratch(const struct rnn_model *model, size_t rows, size_t *bytes)
{
    size_t most = 0, own;
    for (size_t i = 0; i < model->n_layers; i++) {
        const struct layer *layer = &model->layers[i];
        if (!layer->class->scratch)
            continue;
        if (!layer->class->scratch(layer, rows, &own))
            return false;
        most = own > most ? own : most;
    }
    *bytes = most;
    return true;
}

/* ---- running ---- */

static void raise(size_t *most, size_t value)
{
    if (value > *most)
        *most = value;
}

/* What one row adds to the floats that come out of each layer, and to the timesteps that go into it. */
static bool add_row(const struct rnn_model *model, size_t last, size_t timesteps, bool sequences, size_t *floats,
                    size_t *vectors)
{
    struct layer_shape in = model->input, out;
    size_t size;
    if (in.sequence && timesteps)
        in.timesteps = timesteps;
    for (size_t i = 0; i <= last; i++, in = out) {
        if (layer_output(&model->layers[i], &in, gives_sequences(model, i, sequences), &out, NULL) ||
            !rnn_size_mul(out.timesteps, out.width, &size) || !rnn_size_add(floats[i], size, &floats[i]) ||
            !rnn_size_add(vectors[i], in.timesteps, &vectors[i]))
            return false;
    }
    return true;
}

bool rnn_model_work(const struct rnn_model *model, const struct rnn_row *rows, size_t n, bool sequences,
                    struct model_work *work)
{
    size_t last = last_computing(model), floats[MODEL_MAX_LAYERS], vectors[MODEL_MAX_LAYERS], total, size;
    memset(floats, 0, (last + 1) * sizeof *floats);
    memset(vectors, 0, (last + 1) * sizeof *vectors);
    for (size_t b = 0; b < n; b++)
        if (!add_row(model, last, rows[b].timesteps, sequences, floats, vectors))
            return false;
    for (size_t i = 0; i <= last; i++) {
        const struct layer *layer = &model->layers[i];
        if (i < last && layer->class->run)
            raise(&work->floats, floats[i]);
        if (layer->class->masks == MASKS_MADE)
            raise(&work->masks, vectors[i]);
        if (layer->class->aux_width) {
            if (!rnn_size_mul(vectors[i], layer->class->aux_width(layer), &size))
                return false;
            raise(&work->aux, size);
        }
    }
    return rnn_size_mul(work->floats, 2 * sizeof(float), &total) && rnn_size_mul(work->aux, sizeof(float), &size) &&
           rnn_size_add(total, size, &total);
}

/* What goes into a layer and comes out of it for one row; `common` has all but the row's timesteps. */
static void shapes_of_row(const struct layer *layer, const struct layer_shape *common, const struct rnn_row *row,
                          bool sequences, struct layer_shape *out)
{
    struct layer_shape in = *common;
    in.timesteps = row->timesteps;
    layer_output(layer, &in, sequences, out, NULL); /* has been checked for this number of timesteps */
}

/* One layer over all rows. out NULL: to where every row says, and nothing follows. common is what goes in, and becomes
   what has come out. */
static bool run_layer(const struct layer *layer, bool sequences, const struct model_run *run, struct rnn_row *rows,
                      size_t n, float *out, struct layer_shape *common)
{
    struct layer_run pass = {.rows = rows,
                             .n = n,
                             .order = run->order,
                             .sequences = sequences,
                             .masks = run->masks,
                             .aux = run->floats + 2 * run->work.floats,
                             .arena = run->arena,
                             .team = run->team,
                             .stop = run->stop,
                             .stop_context = run->stop_context};
    struct layer_shape after = *common;
    float *at = out;
    for (size_t b = 0; b < n; b++) {
        pass.vectors += rows[b].timesteps;
        if (!out)
            continue;
        shapes_of_row(layer, common, &rows[b], sequences, &after);
        rows[b].outputs = at;
        rows[b].output_stride = (ptrdiff_t)after.width;
        at += after.timesteps * after.width;
    }
    if (!layer->class->run(layer, &pass))
        return false;
    at = out;
    for (size_t b = 0; out && b < n; b++) {
        shapes_of_row(layer, common, &rows[b], sequences, &after);
        rows[b].inputs = at;
        rows[b].input_stride = after.width;
        rows[b].timesteps = after.timesteps;
        if (layer->class->masks == MASKS_STOP || !after.sequence)
            rows[b].mask = NULL;
        at += after.timesteps * after.width;
    }
    *common = after;
    return true;
}

static void move_states(struct rnn_row *rows, size_t n, ptrdiff_t by)
{
    for (size_t b = 0; by && b < n; b++)
        rows[b].states += by;
}

bool rnn_model_run(const struct rnn_model *model, const struct model_run *run, struct rnn_row *rows, size_t n)
{
    size_t last = last_computing(model), passes = 0, states_at = 0;
    struct layer_shape common = model->input;
    float *final = rows[0].outputs;
    bool whole = true;
    for (size_t i = 0; whole && i <= last; i++) {
        const struct layer *layer = &model->layers[i];
        if (!layer->class->run)
            continue;
        float *out = i < last ? run->floats + (passes % 2) * run->work.floats : passes ? final : NULL;
        passes++;
        move_states(rows, n, (ptrdiff_t)states_at);
        whole = run_layer(layer, gives_sequences(model, i, run->sequences), run, rows, n, out, &common);
        move_states(rows, n, -(ptrdiff_t)states_at);
        for (size_t p = 0; layer_part(layer, p); p++)
            states_at += layer_part(layer, p)->stack.state_elems;
    }
    return whole;
}
