/* Tensors of a body become rows: ranks, features, lengths, masks and states are checked against the model. */
#include "batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static void *take(struct batch *batch, size_t count, size_t size, struct failure *failure)
{
    size_t bytes;
    void *block = rnn_size_mul(count ? count : 1, size, &bytes) ? memory_realloc(batch->share, NULL, 0, bytes) : NULL;
    if (!block)
        failure_overloaded(failure);
    return block;
}

static void give(struct batch *batch, void *block, size_t count, size_t size)
{
    if (!block)
        return;
    free(block);
    memory_give(batch->share, (count ? count : 1) * size);
}

void batch_close(struct batch *batch)
{
    size_t state_floats = batch->model ? batch->n_rows * batch->model->layer.stack.state_elems : 0;
    give(batch, batch->rows, batch->n_rows, sizeof *batch->rows);
    give(batch, batch->order, batch->n_rows, sizeof *batch->order);
    give(batch, batch->mask, batch->mask_bytes, 1);
    give(batch, batch->states, state_floats, sizeof *batch->states);
    give(batch, batch->outputs, batch->outputs_floats, sizeof *batch->outputs);
    *batch = (struct batch){0};
}

/* ---- inputs ---- */

static bool wrong_shape(struct failure *failure, const char *key, const char *indices, const char *format, size_t a,
                        size_t b)
{
    char path[120];
    snprintf(path, sizeof path, "/%s%s", key, indices);
    return failure_set(failure, 400, "wrong_shape", path, format, a, b);
}

static bool empty_input(struct failure *failure, const char *key, const char *indices, const char *what)
{
    char path[120];
    snprintf(path, sizeof path, "/%s%s", key, indices);
    return failure_set(failure, 400, "empty_input", path, "%s", what);
}

/* The innermost list of the features of one timestep. */
static bool check_features(const struct batch *batch, const struct json_list *list, const char *key,
                           const char *indices, struct failure *failure)
{
    size_t features = batch->model->layer.stack.input_size;
    if (list->length == features && list->holds == LIST_OF_NUMBERS)
        return true;
    if (list->holds == LIST_OF_LISTS)
        return wrong_shape(failure, key, indices, "Expected %zu numbers, the features of one timestep, found lists.",
                           features, 0);
    return wrong_shape(failure, key, indices, "Expected %zu features, found %zu.", features, list->length);
}

/* The lists of instances come in preorder: the batch, then per sequence the sequence and its timesteps (with
   time_major: per timestep the timestep and its rows). */
static bool check_lists(const struct batch *batch, const struct json_tensor *inputs, const char *key,
                        struct failure *failure)
{
    const struct json_list *list = inputs->lists;
    bool time_major = batch->model->layer.time_major && !batch->single;
    size_t outer = list++->length;
    char indices[64];
    for (size_t i = 0; i < outer; i++) {
        snprintf(indices, sizeof indices, "/%zu", i);
        if (batch->single) {
            if (!check_features(batch, list++, key, indices, failure))
                return false;
            continue;
        }
        const struct json_list *inner = list++;
        if (!inner->length)
            return empty_input(failure, key, indices,
                               time_major ? "This timestep has no sequences." : "This sequence has no timesteps.");
        if (inner->holds != LIST_OF_LISTS)
            return wrong_shape(failure, key, indices,
                               "Expected a list of timesteps, each a list of %zu features; found numbers.",
                               batch->model->layer.stack.input_size, 0);
        if (time_major && inner->length != inputs->lists[1].length)
            return wrong_shape(failure, key, indices, "Expected %zu sequences as at the first timestep, found %zu.",
                               inputs->lists[1].length, inner->length);
        for (size_t k = 0; k < inner->length; k++) {
            snprintf(indices, sizeof indices, "/%zu/%zu", i, k);
            if (!check_features(batch, list++, key, indices, failure))
                return false;
        }
    }
    return true;
}

static bool check_limits(size_t rows, size_t longest, size_t longest_at, const char *key,
                         const struct batch_limits *limits, struct failure *failure)
{
    char path[120];
    snprintf(path, sizeof path, "/%s", key);
    if (rows > limits->max_rows)
        return failure_set(failure, 413, "too_many_rows", path,
                           "Expected at most %zu sequences (limits.max_rows), found %zu.", limits->max_rows, rows);
    snprintf(path, sizeof path, "/%s/%zu", key, longest_at);
    if (longest > limits->max_timesteps)
        return failure_set(failure, 413, "too_many_timesteps", path,
                           "Expected at most %zu timesteps (limits.max_timesteps), found %zu.", limits->max_timesteps,
                           longest);
    return true;
}

bool batch_bind_inputs(struct batch *batch, const struct json_tensor *inputs, const char *key,
                       const struct batch_limits *limits, struct failure *failure)
{
    const struct rnn_layer *layer = &batch->model->layer;
    size_t features = layer->stack.input_size;
    bool time_major = layer->time_major && !batch->single;
    if (!inputs->present)
        return failure_set(failure, 400, "missing_key", "", "The body needs \"%s\".", key);
    const struct json_list *lists = inputs->lists;
    if (!lists[0].length)
        return empty_input(failure, key, "", "There is nothing to predict: the list is empty.");
    if (lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, key, "",
                           batch->single ? "Expected [batch][features], lists of %zu numbers; found numbers."
                                         : "Expected [batch][timesteps][features] with %zu features; found numbers.",
                           features, 0);
    if (!check_lists(batch, inputs, key, failure))
        return false;
    size_t n = time_major ? lists[1].length : lists[0].length, longest = 1, longest_at = 0;
    batch->n_rows = n;
    batch->rows = take(batch, n, sizeof *batch->rows, failure);
    if (!batch->rows)
        return false;
    const float *values = inputs->values;
    for (size_t b = 0, list = 1; b < n; b++) {
        size_t timesteps = batch->single ? 1 : time_major ? lists[0].length : lists[list].length;
        batch->rows[b] = (struct rnn_row){.inputs = time_major ? inputs->values + b * features : values,
                                          .timesteps = timesteps,
                                          .input_stride = time_major ? n * features : features};
        values += timesteps * features;
        list += 1 + timesteps;
        batch->timesteps += timesteps;
        if (timesteps > longest) {
            longest = timesteps;
            longest_at = b;
        }
    }
    return check_limits(n, longest, longest_at, key, limits, failure);
}

/* ---- mask ---- */

bool batch_bind_mask(struct batch *batch, const struct json_tensor *mask, struct failure *failure)
{
    bool time_major = batch->model->layer.time_major;
    if (!mask->present)
        return true;
    size_t outer = time_major ? batch->rows[0].timesteps : batch->n_rows;
    if (mask->lists[0].length != outer || mask->lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, "mask", "", "Expected %zu lists, as many as instances has, found %zu elements.",
                           outer, mask->lists[0].length);
    for (size_t i = 0; i < outer; i++) {
        char indices[32];
        size_t expected = time_major ? batch->n_rows : batch->rows[i].timesteps;
        const struct json_list *list = &mask->lists[1 + i];
        snprintf(indices, sizeof indices, "/%zu", i);
        if (list->length != expected || list->holds == LIST_OF_LISTS)
            return wrong_shape(failure, "mask", indices, "Expected %zu values, one for each of instances, found %zu.",
                               expected, list->length);
    }
    batch->mask_bytes = mask->n_values;
    batch->mask = take(batch, mask->n_values, 1, failure);
    if (!batch->mask)
        return false;
    for (size_t i = 0; i < mask->n_values; i++)
        batch->mask[i] = mask->values[i] != 0;
    const unsigned char *at = batch->mask;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct rnn_row *row = &batch->rows[b];
        row->mask = time_major ? batch->mask + b : at;
        row->mask_stride = time_major ? batch->n_rows : 1;
        at += row->timesteps;
    }
    return true;
}

/* ---- states ---- */

/* A walk over the lists of a states tensor beside the cells of the stack. */
struct states_walk {
    struct batch *batch;
    const struct json_tensor *tensor;
    const char *key;
    size_t list, value, leaf; /* next in preorder */
    struct failure *failure;
};

/* One tensor [batch][units] into the rows' states at offset. */
static bool bind_state(struct states_walk *w, const char *indices, size_t units, size_t offset)
{
    struct batch *batch = w->batch;
    const struct json_list *lists = w->tensor->lists;
    size_t elems = batch->model->layer.stack.state_elems;
    const struct json_list *head = &lists[w->list++];
    if (head->length != batch->n_rows || head->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, w->key, indices,
                           "Expected [batch][units]: %zu lists, one for each sequence, found %zu elements.",
                           batch->n_rows, head->length);
    for (size_t b = 0; b < batch->n_rows; b++) {
        char deeper[100];
        const struct json_list *row = &lists[w->list++];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", indices, b);
        if (row->length != units || row->holds != LIST_OF_NUMBERS)
            return wrong_shape(w->failure, w->key, deeper, "Expected %zu numbers, found %zu elements.", units,
                               row->length);
        memcpy(batch->states + b * elems + offset, w->tensor->values + w->value, units * sizeof(float));
        w->value += units;
    }
    return true;
}

/* The entry of a leaf cell: [h, c] or [h]; for a cell with one state also the tensor itself. */
static bool bind_leaf(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices)
{
    const struct json_list *lists = w->tensor->lists, *entry = &lists[w->list];
    size_t states = spec->class->states, offset = w->batch->model->layer.stack.state_offsets[w->leaf++];
    bool bare = states == 1 && entry->holds == LIST_OF_LISTS && entry->length && entry[1].holds == LIST_OF_NUMBERS;
    if (bare)
        return bind_state(w, indices, spec->units, offset);
    if (entry->length != states || entry->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, w->key, indices, "Expected a list of the %zu states of this cell, found %zu.",
                           states, entry->length);
    w->list++;
    for (size_t s = 0; s < states; s++) {
        char deeper[100];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", indices, s);
        if (!bind_state(w, deeper, spec->units, offset + s * spec->units))
            return false;
    }
    return true;
}

static bool bind_stack(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices)
{
    const struct json_list *head = &w->tensor->lists[w->list];
    size_t n = spec->class ? 1 : spec->n_cells; /* a bare cell counts as a stack of one */
    if (head->length != n || head->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, w->key, indices, "Expected a list of %zu entries, one for each cell, found %zu.",
                           n, head->length);
    w->list++;
    for (size_t i = 0; i < n; i++) {
        char deeper[100];
        const struct rnn_cell_spec *cell = spec->class ? spec : spec->cells[i];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", indices, i);
        if (!(cell->class ? bind_leaf(w, cell, deeper) : bind_stack(w, cell, deeper)))
            return false;
    }
    return true;
}

bool batch_zero_states(struct batch *batch, size_t n, struct failure *failure)
{
    const struct rnn_stack *stack = &batch->model->layer.stack;
    size_t floats;
    batch->n_rows = n;
    if (!rnn_size_mul(n, stack->state_elems, &floats))
        return failure_set(failure, 413, "too_many_rows", "", "Too many rows.");
    batch->states = take(batch, floats, sizeof *batch->states, failure);
    if (!batch->states)
        return false;
    rnn_stack_initial_state(stack, n, batch->states);
    return true;
}

bool batch_bind_states(struct batch *batch, const struct json_tensor *states, const char *key, struct failure *failure)
{
    struct states_walk walk = {.batch = batch, .tensor = states, .key = key, .failure = failure};
    const struct rnn_stack *stack = &batch->model->layer.stack;
    if (!batch_zero_states(batch, batch->n_rows, failure))
        return false;
    for (size_t b = 0; b < batch->n_rows; b++)
        batch->rows[b].states = batch->states + b * stack->state_elems;
    return !states->present || bind_stack(&walk, stack->spec, "");
}

/* ---- outputs ---- */

bool batch_bind_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure)
{
    const struct rnn_layer *layer = &batch->model->layer;
    size_t units = layer->stack.output_size, vectors = batch->sequences ? batch->timesteps : batch->n_rows;
    bool interleaved = batch->sequences && layer->time_major;
    /* a number takes 4 bytes at least: "0.0," */
    if (!rnn_size_mul(vectors, units, &batch->outputs_floats) ||
        batch->outputs_floats > limits->max_response_bytes / 4) {
        batch->outputs_floats = 0;
        return failure_set(failure, 413, "response_too_large", "",
                           "The answer would be larger than %zu bytes (limits.max_response_bytes); send fewer or "
                           "shorter sequences.",
                           limits->max_response_bytes);
    }
    batch->outputs = take(batch, batch->outputs_floats, sizeof *batch->outputs, failure);
    batch->order = take(batch, batch->n_rows, sizeof *batch->order, failure);
    if (!batch->outputs || !batch->order)
        return false;
    float *at = batch->outputs;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct rnn_row *row = &batch->rows[b];
        row->sequences = batch->sequences;
        row->outputs = interleaved ? batch->outputs + b * units : at;
        row->output_stride = interleaved ? batch->n_rows * units : units;
        at += batch->sequences ? row->timesteps * units : units;
    }
    return true;
}

static void comma(struct buffer *out, size_t i)
{
    if (i)
        buffer_text(out, ",");
}

void batch_write_outputs(const struct batch *batch, struct buffer *out, bool *finite)
{
    size_t units = batch->model->layer.stack.output_size;
    bool time_major = batch->model->layer.time_major;
    const float *at = batch->outputs;
    size_t outer = batch->sequences && time_major ? batch->rows[0].timesteps : batch->n_rows;
    buffer_text(out, "[");
    for (size_t i = 0; i < outer; i++) {
        size_t inner = !batch->sequences ? 1 : time_major ? batch->n_rows : batch->rows[i].timesteps;
        comma(out, i);
        if (batch->sequences)
            buffer_text(out, "[");
        for (size_t k = 0; k < inner; k++, at += units) {
            comma(out, k);
            buffer_floats(out, at, units, finite);
        }
        if (batch->sequences)
            buffer_text(out, "]");
    }
    buffer_text(out, "]");
}

static void write_leaf(const struct batch *batch, const struct rnn_cell_spec *spec, size_t *leaf, struct buffer *out,
                       bool *finite)
{
    const struct rnn_stack *stack = &batch->model->layer.stack;
    size_t offset = stack->state_offsets[(*leaf)++];
    buffer_text(out, "[");
    for (size_t s = 0; s < spec->class->states; s++, offset += spec->units) {
        comma(out, s);
        buffer_text(out, "[");
        for (size_t b = 0; b < batch->n_rows; b++) {
            comma(out, b);
            buffer_floats(out, batch->states + b * stack->state_elems + offset, spec->units, finite);
        }
        buffer_text(out, "]");
    }
    buffer_text(out, "]");
}

static void write_cells(const struct batch *batch, const struct rnn_cell_spec *spec, size_t *leaf, struct buffer *out,
                        bool *finite)
{
    buffer_text(out, "[");
    for (size_t i = 0; i < spec->n_cells; i++) {
        comma(out, i);
        if (spec->cells[i]->class)
            write_leaf(batch, spec->cells[i], leaf, out, finite);
        else
            write_cells(batch, spec->cells[i], leaf, out, finite);
    }
    if (spec->class)
        write_leaf(batch, spec, leaf, out, finite);
    buffer_text(out, "]");
}

void batch_write_states(const struct batch *batch, struct buffer *out, bool *finite)
{
    size_t leaf = 0;
    write_cells(batch, batch->model->layer.stack.spec, &leaf, out, finite);
}
