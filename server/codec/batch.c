/* Tensors of a body become rows: ranks, features, lengths, masks and states are checked against the model. */
#include "batch.h"

#include <math.h>
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
    size_t state_floats = batch->model ? batch->n_rows * batch->model->chain.state_elems : 0;
    give(batch, batch->rows, batch->n_rows, sizeof *batch->rows);
    give(batch, batch->mask, batch->mask_bytes, 1);
    give(batch, batch->states, state_floats, sizeof *batch->states);
    give(batch, batch->steps, batch->n_rows, sizeof *batch->steps);
    give(batch, batch->progress, batch->n_rows, sizeof *batch->progress);
    give(batch, batch->outputs, batch->outputs_floats, sizeof *batch->outputs);
    *batch = (struct batch){0};
}

/* ---- inputs ---- */

/* Where something stands: under a key, at indices that are text already, and at some more. Written out only when it is
   wrong. */
struct spot {
    const char *key, *indices;
    size_t depth, at[2];
};

static const char *spot_path(const struct spot *spot, char *path, size_t size)
{
    size_t n = (size_t)snprintf(path, size, "/%s%.70s", spot->key, spot->indices ? spot->indices : "");
    for (size_t i = 0; i < spot->depth && n < size; i++)
        n += (size_t)snprintf(path + n, size - n, "/%zu", spot->at[i]);
    return path;
}

static bool wrong_shape(struct failure *failure, const struct spot *spot, const char *format, size_t a, size_t b)
{
    char path[160];
    return failure_set(failure, 400, "wrong_shape", spot_path(spot, path, sizeof path), format, a, b);
}

static bool empty_input(struct failure *failure, const struct spot *spot, const char *what)
{
    char path[160];
    return failure_set(failure, 400, "empty_input", spot_path(spot, path, sizeof path), "%s", what);
}

/* Whether a row of the input is one list of numbers: a vector, a single timestep, or ids. */
static bool is_flat(const struct batch *batch)
{
    return batch->single || batch->model->chain.input.ids || !batch->model->chain.input.sequence;
}

/* The innermost list of the features of one timestep. */
static bool check_features(const struct batch *batch, const struct json_list *list, const struct spot *spot,
                           struct failure *failure)
{
    size_t features = batch->model->chain.input.width;
    if (list->length == features && list->holds == LIST_OF_NUMBERS)
        return true;
    if (list->holds == LIST_OF_LISTS)
        return wrong_shape(failure, spot, "Expected %zu numbers, the features of one timestep, found lists.", features,
                           0);
    return wrong_shape(failure, spot, "Expected %zu features, found %zu.", features, list->length);
}

/* A sequence of ids: whole numbers, as many as there are timesteps. */
static bool check_ids(const struct json_list *list, const struct spot *spot, struct failure *failure)
{
    if (!list->length)
        return empty_input(failure, spot, "This sequence has no timesteps.");
    if (list->holds == LIST_OF_LISTS)
        return wrong_shape(failure, spot, "Expected a list of whole numbers, one for each timestep; found lists.", 0,
                           0);
    return true;
}

/* The lists of instances come in preorder: the batch, then per sequence the sequence and its timesteps (with
   time_major: per timestep the timestep and its rows). */
static bool check_lists(const struct batch *batch, const struct json_tensor *inputs, const char *key,
                        struct failure *failure)
{
    const struct json_list *list = inputs->lists;
    bool time_major = batch->model->chain.time_major && !batch->single, ids = batch->model->chain.input.ids;
    size_t outer = list++->length;
    for (size_t i = 0; i < outer; i++) {
        const struct spot spot = {.key = key, .depth = 1, .at = {i}};
        if (is_flat(batch)) {
            if (ids && !batch->single ? !check_ids(list++, &spot, failure)
                                      : !check_features(batch, list++, &spot, failure))
                return false;
            continue;
        }
        const struct json_list *inner = list++;
        if (!inner->length)
            return empty_input(failure, &spot,
                               time_major ? "This timestep has no sequences." : "This sequence has no timesteps.");
        if (inner->holds != LIST_OF_LISTS)
            return wrong_shape(failure, &spot,
                               "Expected a list of timesteps, each a list of %zu features; found numbers.",
                               batch->model->chain.input.width, 0);
        if (time_major && inner->length != inputs->lists[1].length)
            return wrong_shape(failure, &spot, "Expected %zu sequences as at the first timestep, found %zu.",
                               inputs->lists[1].length, inner->length);
        for (size_t k = 0; k < inner->length; k++)
            if (!check_features(batch, list++, &(struct spot){.key = key, .depth = 2, .at = {i, k}}, failure))
                return false;
    }
    return true;
}

static bool check_limits(size_t rows, size_t longest, size_t longest_at, const char *key,
                         const struct batch_limits *limits, struct failure *failure)
{
    const struct spot batch = {.key = key}, sequence = {.key = key, .depth = 1, .at = {longest_at}};
    char path[160];
    if (rows > limits->max_rows)
        return failure_set(failure, 413, "too_many_rows", spot_path(&batch, path, sizeof path),
                           "Expected at most %zu sequences (limits.max_rows), found %zu.", limits->max_rows, rows);
    if (longest > limits->max_timesteps)
        return failure_set(failure, 413, "too_many_timesteps", spot_path(&sequence, path, sizeof path),
                           "Expected at most %zu timesteps (limits.max_timesteps), found %zu.", limits->max_timesteps,
                           longest);
    return true;
}

/* Ids name rows of a table; they are cut to whole numbers, as Keras does. */
static bool check_vocabulary(const struct batch *batch, const struct json_tensor *inputs, const char *key,
                             struct failure *failure)
{
    size_t vocabulary = rnn_model_vocabulary(&batch->model->chain), at = 0;
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t t = 0; t < batch->rows[b].timesteps; t++) {
            double id = (double)inputs->values[at++];
            char path[160];
            if (id > -1 && id < (double)vocabulary)
                continue;
            const struct spot spot = {.key = key, .depth = 2, .at = {b, t}};
            return failure_set(failure, 400, "id_out_of_range", spot_path(&spot, path, sizeof path),
                               "Expected a whole number from 0 to %zu, a row of the Embedding, found %.9g.",
                               vocabulary - 1, id);
        }
    return true;
}

bool batch_bind_inputs(struct batch *batch, const struct json_tensor *inputs, const char *key,
                       const struct batch_limits *limits, struct failure *failure)
{
    const struct layer_shape *input = &batch->model->chain.input;
    size_t features = input->width;
    bool time_major = batch->model->chain.time_major && !batch->single, flat = is_flat(batch);
    snprintf(batch->key, sizeof batch->key, "%s", key);
    if (!inputs->present)
        return failure_set(failure, 400, "missing_key", "", "The body needs \"%s\".", key);
    const struct json_list *lists = inputs->lists;
    if (!lists[0].length)
        return empty_input(failure, &(struct spot){.key = key}, "There is nothing to predict: the list is empty.");
    if (lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, &(struct spot){.key = key},
                           input->ids && !batch->single
                               ? "Expected [batch][timesteps], lists of whole numbers; found numbers."
                           : flat ? "Expected [batch][features], lists of %zu numbers; found numbers."
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
        size_t timesteps = flat ? lists[list].length / features : time_major ? lists[0].length : lists[list].length;
        batch->rows[b] = (struct rnn_row){.inputs = time_major ? inputs->values + b * features : values,
                                          .timesteps = timesteps,
                                          .input_stride = time_major ? n * features : features};
        values += timesteps * features;
        list += flat ? 1 : 1 + timesteps;
        batch->timesteps += timesteps;
        if (timesteps > longest) {
            longest = timesteps;
            longest_at = b;
        }
    }
    return check_limits(n, longest, longest_at, key, limits, failure) &&
           (!input->ids || check_vocabulary(batch, inputs, key, failure));
}

/* ---- mask ---- */

bool batch_bind_mask(struct batch *batch, const struct json_tensor *mask, struct failure *failure)
{
    bool time_major = batch->model->chain.time_major;
    if (!mask->present)
        return true;
    if (!batch->model->chain.input.sequence)
        return failure_set(failure, 400, "wrong_shape", "/mask", "This model takes vectors, which have no timesteps.");
    size_t outer = time_major ? batch->rows[0].timesteps : batch->n_rows;
    if (mask->lists[0].length != outer || mask->lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, &(struct spot){.key = "mask"},
                           "Expected %zu lists, as many as instances has, found %zu elements.", outer,
                           mask->lists[0].length);
    for (size_t i = 0; i < outer; i++) {
        size_t expected = time_major ? batch->n_rows : batch->rows[i].timesteps;
        const struct json_list *list = &mask->lists[1 + i];
        if (list->length != expected || list->holds == LIST_OF_LISTS)
            return wrong_shape(failure, &(struct spot){.key = "mask", .depth = 1, .at = {i}},
                               "Expected %zu values, one for each of instances, found %zu.", expected, list->length);
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

/* A walk over the lists of a states tensor beside the cells of the model. */
struct states_walk {
    struct batch *batch;
    const struct json_tensor *tensor;
    const char *key;
    const struct model_part *part;
    size_t list, value, leaf; /* next in preorder; the leaf within its part */
    struct failure *failure;
};

/* Entries of a part in the list of states: a bare cell counts as a stack of one. */
static size_t part_entries(const struct model_part *part)
{
    const struct rnn_cell_spec *spec = part->layer->stack.spec;
    return spec->class ? 1 : spec->n_cells;
}

/* One tensor [batch][units] into the rows' states at offset. */
static bool bind_state(struct states_walk *w, const char *indices, size_t units, size_t offset)
{
    struct batch *batch = w->batch;
    const struct json_list *lists = w->tensor->lists;
    size_t elems = batch->model->chain.state_elems;
    const struct json_list *head = &lists[w->list++];
    if (head->length != batch->n_rows || head->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, &(struct spot){.key = w->key, .indices = indices},
                           "Expected [batch][units]: %zu lists, one for each sequence, found %zu elements.",
                           batch->n_rows, head->length);
    for (size_t b = 0; b < batch->n_rows; b++) {
        const struct json_list *row = &lists[w->list++];
        if (row->length != units || row->holds != LIST_OF_NUMBERS)
            return wrong_shape(w->failure, &(struct spot){.key = w->key, .indices = indices, .depth = 1, .at = {b}},
                               "Expected %zu numbers, found %zu elements.", units, row->length);
        memcpy(batch->states + b * elems + offset, w->tensor->values + w->value, units * sizeof(float));
        w->value += units;
    }
    return true;
}

/* The entry of a leaf cell: [h, c] or [h]; for a cell with one state also the tensor itself. */
static bool bind_leaf(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices)
{
    const struct json_list *lists = w->tensor->lists, *entry = &lists[w->list];
    size_t states = spec->class->states;
    size_t offset = w->part->state_offset + w->part->layer->stack.state_offsets[w->leaf++];
    bool bare = states == 1 && entry->holds == LIST_OF_LISTS && entry->length && entry[1].holds == LIST_OF_NUMBERS;
    if (bare)
        return bind_state(w, indices, spec->units, offset);
    if (entry->length != states || entry->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, &(struct spot){.key = w->key, .indices = indices},
                           "Expected a list of the %zu states of this cell, found %zu.", states, entry->length);
    w->list++;
    for (size_t s = 0; s < states; s++) {
        char deeper[100];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", indices, s);
        if (!bind_state(w, deeper, spec->units, offset + s * spec->units))
            return false;
    }
    return true;
}

static bool bind_cells(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices, size_t first);

/* A list of one entry for each cell. */
static bool bind_stack(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices)
{
    const struct json_list *head = &w->tensor->lists[w->list];
    if (head->length != spec->n_cells || head->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, &(struct spot){.key = w->key, .indices = indices},
                           "Expected a list of %zu entries, one for each cell, found %zu.", spec->n_cells,
                           head->length);
    w->list++;
    return bind_cells(w, spec, indices, 0);
}

/* The entries of the cells of a stack, or of a bare cell; the first is the first-th of the list they stand in. */
static bool bind_cells(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices, size_t first)
{
    for (size_t i = 0; i < (spec->class ? 1 : spec->n_cells); i++) {
        char deeper[100];
        const struct rnn_cell_spec *cell = spec->class ? spec : spec->cells[i];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", indices, first + i);
        if (!(cell->class ? bind_leaf(w, cell, deeper) : bind_stack(w, cell, deeper)))
            return false;
    }
    return true;
}

/* One list for the whole model: the entries of its parts one after the other. */
static bool bind_parts(struct states_walk *w)
{
    const struct rnn_model *chain = &w->batch->model->chain;
    const struct json_list *head = &w->tensor->lists[w->list++];
    size_t entries = 0, first = 0;
    for (size_t p = 0; p < chain->n_parts; p++)
        entries += part_entries(&chain->parts[p]);
    if (head->length != entries || (entries && head->holds != LIST_OF_LISTS))
        return wrong_shape(w->failure, &(struct spot){.key = w->key},
                           "Expected a list of %zu entries, one for each cell, found %zu.", entries, head->length);
    for (size_t p = 0; p < chain->n_parts; p++) {
        w->part = &chain->parts[p];
        w->leaf = 0;
        if (!bind_cells(w, w->part->layer->stack.spec, "", first))
            return false;
        first += part_entries(w->part);
    }
    return true;
}

bool batch_zero_states(struct batch *batch, size_t n, struct failure *failure)
{
    size_t floats;
    batch->n_rows = n;
    if (!rnn_size_mul(n, batch->model->chain.state_elems, &floats))
        return failure_set(failure, 413, "too_many_rows", "", "Too many rows.");
    batch->states = take(batch, floats, sizeof *batch->states, failure);
    if (!batch->states)
        return false;
    memset(batch->states, 0, floats * sizeof *batch->states);
    return true;
}

bool batch_bind_states(struct batch *batch, const struct json_tensor *states, const char *key, struct failure *failure)
{
    struct states_walk walk = {.batch = batch, .tensor = states, .key = key, .failure = failure};
    if (!batch_zero_states(batch, batch->n_rows, failure))
        return false;
    for (size_t b = 0; batch->rows && b < batch->n_rows; b++)
        batch->rows[b].states = batch->states + b * batch->model->chain.state_elems;
    return !states->present || bind_parts(&walk);
}

void batch_bind_state(struct batch *batch, const struct batch_tensor *tensor, const float *values)
{
    size_t elems = batch->model->chain.state_elems;
    for (size_t b = 0; b < batch->n_rows; b++, values += tensor->width)
        memcpy(batch->states + b * elems + tensor->offset, values, tensor->width * sizeof *values);
}

size_t batch_rows_of_states(const struct json_tensor *states)
{
    size_t list = 0;
    while (list < states->n_lists && states->lists[list].holds != LIST_OF_NUMBERS)
        list++;
    return list && list < states->n_lists ? states->lists[list - 1].length : 0;
}

/* ---- outputs ---- */

static bool too_large(const struct batch_limits *limits, struct failure *failure)
{
    return failure_set(failure, 413, "response_too_large", "",
                       "The answer would be larger than %zu bytes (limits.max_response_bytes); send fewer or shorter "
                       "sequences.",
                       limits->max_response_bytes);
}

/* Sequences that are whole have the length that the model was made for, where that is fixed. */
static bool check_length(const struct batch *batch, size_t b, struct failure *failure)
{
    size_t fixed = batch->model->fixed_timesteps, found = batch->rows[b].timesteps;
    char path[64];
    if (!fixed || batch->in_parts || found == fixed)
        return true;
    return failure_set(failure, 400, "wrong_shape", batch_row_path(batch, b, path, sizeof path),
                       "Expected %zu timesteps, the length that this model was made for, found %zu. A sequence goes in "
                       "parts in a session, or with its states.",
                       fixed, found);
}

/* What comes out of every row, and how many numbers that is in all. */
static bool size_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure)
{
    const struct rnn_model *chain = &batch->model->chain;
    struct rnn_error error = {{0}};
    size_t floats = 0, part;
    char path[64];
    for (size_t b = 0; b < batch->n_rows; b++) {
        if (!check_length(batch, b, failure))
            return false;
        if (rnn_model_output(chain, batch->rows[b].timesteps, batch->sequences, &batch->output, &error))
            return failure_set(failure, 400, "wrong_shape",
                               batch->sequences == chain->return_sequences ? batch_row_path(batch, b, path, sizeof path)
                                                                           : "/return_sequences",
                               "This model does not take that: %s.", error.text);
        if (batch->rolled)
            batch->output = (struct layer_shape){
                .sequence = true, .timesteps = batch->rolled, .width = batch->tokens ? 1 : batch->output.width};
        batch->steps[b] = batch->output.timesteps;
        if (!batch->fleeting && (!rnn_size_mul(batch->output.timesteps, batch->output.width, &part) ||
                                 !rnn_size_add(floats, part, &floats) ||
                                 floats > limits->max_response_bytes / 4)) /* a number takes 4 bytes at least: "0.0," */
            return too_large(limits, failure);
    }
    batch->outputs_floats = floats;
    return true;
}

/* Memory for batch->outputs_floats, and every row's place in it. */
static bool place_outputs(struct batch *batch, bool interleaved, struct failure *failure)
{
    size_t width = batch->output.width;
    float *outputs = take(batch, batch->outputs_floats, sizeof *outputs, failure);
    if (!outputs) {
        batch->outputs_floats = 0;
        return false;
    }
    batch->outputs = outputs;
    float *at = batch->outputs;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct rnn_row *row = &batch->rows[b];
        row->outputs = interleaved ? batch->outputs + b * width : at;
        row->output_stride = (ptrdiff_t)(interleaved ? batch->n_rows * width : width);
        at += batch->steps[b] * width;
    }
    return true;
}

bool batch_bind_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure)
{
    batch->steps = take(batch, batch->n_rows, sizeof *batch->steps, failure);
    batch->progress = take(batch, batch->n_rows, sizeof *batch->progress, failure);
    if (!batch->steps || !batch->progress || !size_outputs(batch, limits, failure))
        return false;
    batch_rewind(batch);
    return batch->fleeting || place_outputs(batch, batch->output.sequence && batch->model->chain.time_major, failure);
}

void batch_rewind(struct batch *batch)
{
    memset(batch->progress, 0, batch->n_rows * sizeof *batch->progress);
}

bool batch_row_is_done(const struct batch *batch, size_t b)
{
    return batch->progress[b].done == batch->rows[b].timesteps && batch->progress[b].given >= batch->rolled;
}

void batch_copy_answer(const struct batch *batch, float *out)
{
    size_t width = batch->output.width;
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t t = 0; t < batch->steps[b]; t++, out += width)
            memcpy(out, batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, width * sizeof *out);
}

bool batch_bind_answer(struct batch *batch, const uint64_t *steps, const float *outputs, size_t floats, size_t width,
                       bool sequence, struct failure *failure)
{
    give(batch, batch->outputs, batch->outputs_floats, sizeof *batch->outputs);
    batch->outputs = NULL;
    batch->outputs_floats = floats;
    batch->output.width = width;
    batch->output.sequence = sequence;
    for (size_t b = 0; b < batch->n_rows; b++)
        batch->steps[b] = steps[b];
    if (!place_outputs(batch, false, failure))
        return false;
    memcpy(batch->outputs, outputs, floats * sizeof *outputs);
    return true;
}

static bool all_finite(const float *values, size_t n)
{
    bool finite = true;
    for (size_t i = 0; i < n; i++)
        finite &= isfinite(values[i]) != 0;
    return finite;
}

bool batch_is_finite(const struct batch *batch)
{
    return all_finite(batch->states, batch->n_rows * batch->model->chain.state_elems) &&
           all_finite(batch->outputs, batch->outputs_floats);
}

static bool row_is_finite(const struct batch *batch, size_t b)
{
    size_t elems = batch->model->chain.state_elems;
    bool finite = all_finite(batch->states + b * elems, elems);
    for (size_t t = 0; finite && batch->outputs && t < batch->steps[b]; t++)
        finite = all_finite(batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, batch->output.width);
    return finite;
}

size_t batch_nonfinite_row(const struct batch *batch)
{
    size_t b = 0;
    while (b < batch->n_rows && row_is_finite(batch, b))
        b++;
    return b;
}

const char *batch_row_path(const struct batch *batch, size_t b, char *out, size_t size)
{
    bool time_first = batch->model && batch->model->chain.time_major && !batch->single;
    *out = 0;
    if (*batch->key)
        snprintf(out, size, "/%s%s/%zu", batch->key, time_first ? "/0" : "", b);
    return out;
}

/* ---- the answer's tensors ---- */

/* A walk over the states of a part: the number of those still to be passed. */
struct find {
    size_t left;
    const struct model_part *part;
    size_t leaf;
};

static bool find_state(const struct rnn_cell_spec *spec, const char *path, struct find *find, struct batch_tensor *out)
{
    if (spec->class) {
        size_t s = find->left, offset = find->part->layer->stack.state_offsets[find->leaf++];
        if (s >= spec->class->states) {
            find->left -= spec->class->states;
            return false;
        }
        *out = (struct batch_tensor){
            .state = true, .offset = find->part->state_offset + offset + s * spec->units, .width = spec->units};
        snprintf(out->name, sizeof out->name, "state%s.%s", path, spec->class->state_names[s]);
        return true;
    }
    for (size_t i = 0; i < spec->n_cells; i++) {
        char deeper[BATCH_NAME_BYTES];
        snprintf(deeper, sizeof deeper, "%.80s.%zu", path, i);
        if (find_state(spec->cells[i], deeper, find, out))
            return true;
    }
    return false;
}

static size_t outputs_of(const struct rnn_model *chain)
{
    return chain->two_outputs ? 2 : 1;
}

bool batch_tensor_at(const struct rnn_model *chain, size_t i, struct batch_tensor *out)
{
    size_t width = chain->output.width, outputs = outputs_of(chain), entry = 0;
    if (i < outputs) {
        size_t forward = chain->two_outputs ? chain->parts[chain->n_parts - 2].layer->stack.output_size : width;
        *out = (struct batch_tensor){.offset = i ? forward : 0, .width = i ? width - forward : forward};
        snprintf(out->name, sizeof out->name, i ? "outputs_%zu" : "outputs", i);
        return true;
    }
    struct find find = {.left = i - outputs};
    for (size_t p = 0; p < chain->n_parts; p++) {
        const struct rnn_cell_spec *spec = chain->parts[p].layer->stack.spec;
        find.part = &chain->parts[p];
        find.leaf = 0;
        for (size_t k = 0; k < part_entries(find.part); k++, entry++) {
            char path[24];
            snprintf(path, sizeof path, ".%zu", entry);
            if (find_state(spec->class ? spec : spec->cells[k], path, &find, out))
                return true;
        }
    }
    return false;
}

/* The numbers of a tensor at timestep t of row b. */
static const float *vector_at(const struct batch *batch, const struct batch_tensor *tensor, size_t b, size_t t)
{
    if (tensor->state)
        return batch->states + b * batch->model->chain.state_elems + tensor->offset;
    return batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride + tensor->offset;
}

/* Whether a tensor has an axis of timesteps, and whether that comes first. */
static bool has_timesteps(const struct batch *batch, const struct batch_tensor *tensor)
{
    return !tensor->state && batch->output.sequence && !batch->single;
}

static bool timesteps_first(const struct batch *batch, const struct batch_tensor *tensor)
{
    return has_timesteps(batch, tensor) && batch->model->chain.time_major;
}

size_t batch_tensor_shape(const struct batch *batch, const struct batch_tensor *tensor, size_t shape[3])
{
    bool sequences = has_timesteps(batch, tensor), first = timesteps_first(batch, tensor);
    size_t longest = 0;
    for (size_t b = 0; sequences && b < batch->n_rows; b++)
        longest = batch->steps[b] > longest ? batch->steps[b] : longest;
    shape[0] = first ? longest : batch->n_rows;
    shape[1] = !sequences ? tensor->width : first ? batch->n_rows : longest;
    shape[2] = tensor->width;
    return sequences ? 3 : 2;
}

bool batch_copy_tensor(const struct batch *batch, const struct batch_tensor *tensor, float *out)
{
    size_t shape[3], rank = batch_tensor_shape(batch, tensor, shape), inner = rank == 3 ? shape[1] : 1;
    bool first = timesteps_first(batch, tensor), finite = true;
    for (size_t i = 0; i < shape[0]; i++)
        for (size_t k = 0; k < inner; k++, out += tensor->width) {
            size_t b = first ? k : i, t = first ? i : k;
            if (tensor->state || t < batch->steps[b])
                memcpy(out, vector_at(batch, tensor, b, t), tensor->width * sizeof *out);
            else
                memset(out, 0, tensor->width * sizeof *out);
            for (size_t j = 0; j < tensor->width; j++)
                finite &= isfinite(out[j]) != 0;
        }
    return finite;
}

static void comma(struct buffer *out, size_t i)
{
    if (i)
        buffer_text(out, ",");
}

void batch_write_row(const struct batch *batch, const struct batch_tensor *tensor, size_t b, struct buffer *out,
                     bool *finite)
{
    if (!has_timesteps(batch, tensor)) {
        buffer_floats(out, vector_at(batch, tensor, b, 0), tensor->width, finite);
        return;
    }
    buffer_text(out, "[");
    for (size_t t = 0; t < batch->steps[b]; t++) {
        comma(out, t);
        buffer_floats(out, vector_at(batch, tensor, b, t), tensor->width, finite);
    }
    buffer_text(out, "]");
}

/* A tensor of an answer that several threads write: each some of its vectors, to a place of its own in the buffer. */
struct writing {
    const struct batch *batch;
    const struct batch_tensor *tensor;
    size_t vectors;
    char *base;
    size_t vector_bytes; /* most that a vector takes, with what stands around it */
    size_t used[TEAM_MAX_SEATS], first[TEAM_MAX_SEATS], members;
    atomic_bool infinite;
};

/* "[[1.0,2.0],[3.0,4.0]],[[…": vectors of rows, each with the brackets and commas that stand before it, and after the last
   of a row. */
static void write_vectors(void *argument, struct team_member *me)
{
    struct writing *w = argument;
    const struct batch *batch = w->batch;
    bool sequences = has_timesteps(batch, w->tensor), finite = true;
    size_t first = w->vectors * me->index / me->members, end = w->vectors * (me->index + 1) / me->members;
    size_t b = 0, t = first;
    for (; sequences ? t >= batch->steps[b] : t > 0; b++)
        t -= sequences ? batch->steps[b] : 1;
    char *base = w->base + first * w->vector_bytes, *out = base;
    for (size_t i = first; i < end; i++) {
        if (i)
            *out++ = ',';
        if (sequences && !t)
            *out++ = '[';
        out = buffer_floats_at(out, vector_at(batch, w->tensor, b, t), w->tensor->width, &finite);
        bool last = !sequences || ++t == batch->steps[b];
        if (sequences && last)
            *out++ = ']';
        b += last;
        t = last ? 0 : t;
    }
    w->first[me->index] = first;
    w->used[me->index] = (size_t)(out - base);
    if (me->index == 0)
        w->members = me->members;
    if (!finite)
        atomic_store(&w->infinite, true);
}

/* Nanoseconds that a number takes, roughly. */
enum { WRITE_NS = 15 };

/* All vectors of a tensor whose rows come first. False when there may be no room for them in one piece. */
static bool write_together(const struct batch *batch, const struct batch_tensor *tensor, struct buffer *out,
                           bool *finite)
{
    struct writing w = {.batch = batch, .tensor = tensor, .vectors = batch->n_rows};
    if (has_timesteps(batch, tensor))
        w.vectors = batch->outputs_floats / batch->output.width;
    w.vector_bytes = buffer_floats_most(tensor->width) + 3;
    size_t most = w.vectors * w.vector_bytes; /* some times what lies in memory already */
    if (!batch->team || most > out->limit - out->used || !buffer_try_room(out, most))
        return false;
    w.base = out->text + out->used;
    team_run(batch->team, (double)(w.vectors * tensor->width) * WRITE_NS, write_vectors, &w);
    char *end = w.base;
    for (size_t i = 0; i < w.members; i++) {
        memmove(end, w.base + w.first[i] * w.vector_bytes, w.used[i]);
        end += w.used[i];
    }
    out->used = (size_t)(end - out->text);
    if (w.infinite)
        *finite = false;
    return true;
}

void batch_write_tensor(const struct batch *batch, const struct batch_tensor *tensor, struct buffer *out, bool *finite)
{
    bool first = timesteps_first(batch, tensor);
    buffer_text(out, "[");
    bool written = !first && write_together(batch, tensor, out, finite);
    for (size_t i = 0; !written && i < (first ? batch->steps[0] : batch->n_rows); i++) {
        comma(out, i);
        if (!first) {
            batch_write_row(batch, tensor, i, out, finite);
            continue;
        }
        buffer_text(out, "[");
        for (size_t b = 0; b < batch->n_rows; b++) {
            comma(out, b);
            buffer_floats(out, vector_at(batch, tensor, b, i), tensor->width, finite);
        }
        buffer_text(out, "]");
    }
    buffer_text(out, "]");
}

static void write_tokens(const struct batch *batch, struct buffer *out)
{
    for (size_t b = 0; b < batch->n_rows; b++) {
        buffer_text(out, b ? ",[" : "[");
        buffer_tokens(out, batch->rows[b].outputs, batch->steps[b]);
        buffer_text(out, "]");
    }
}

/* A Bidirectional that does not merge has two outputs, as in Keras. */
void batch_write_outputs(const struct batch *batch, struct buffer *out, bool *finite)
{
    const struct rnn_model *chain = &batch->model->chain;
    struct batch_tensor tensor;
    if (batch->tokens) {
        buffer_text(out, "[");
        write_tokens(batch, out);
        buffer_text(out, "]");
        return;
    }
    if (chain->two_outputs)
        buffer_text(out, "[");
    for (size_t i = 0; i < outputs_of(chain) && batch_tensor_at(chain, i, &tensor); i++) {
        comma(out, i);
        batch_write_tensor(batch, &tensor, out, finite);
    }
    if (chain->two_outputs)
        buffer_text(out, "]");
}

/* Where the next leaf cell's states stand. */
struct leaf_walk {
    const struct model_part *part;
    size_t leaf;
};

static void write_leaf(const struct batch *batch, const struct rnn_cell_spec *spec, struct leaf_walk *walk,
                       struct buffer *out, bool *finite)
{
    struct batch_tensor tensor = {.state = true, .width = spec->units};
    tensor.offset = walk->part->state_offset + walk->part->layer->stack.state_offsets[walk->leaf++];
    buffer_text(out, "[");
    for (size_t s = 0; s < spec->class->states; s++, tensor.offset += spec->units) {
        comma(out, s);
        batch_write_tensor(batch, &tensor, out, finite);
    }
    buffer_text(out, "]");
}

/* The entries of a stack's cells, or of a bare cell. */
static void write_cells(const struct batch *batch, const struct rnn_cell_spec *spec, struct leaf_walk *walk,
                        struct buffer *out, bool *finite)
{
    for (size_t i = 0; i < (spec->class ? 1 : spec->n_cells); i++) {
        const struct rnn_cell_spec *cell = spec->class ? spec : spec->cells[i];
        comma(out, i);
        if (cell->class) {
            write_leaf(batch, cell, walk, out, finite);
        } else {
            buffer_text(out, "[");
            write_cells(batch, cell, walk, out, finite);
            buffer_text(out, "]");
        }
    }
}

void batch_write_states(const struct batch *batch, struct buffer *out, bool *finite)
{
    const struct rnn_model *chain = &batch->model->chain;
    buffer_text(out, "[");
    for (size_t p = 0; p < chain->n_parts; p++) {
        struct leaf_walk walk = {&chain->parts[p], 0};
        comma(out, p);
        write_cells(batch, walk.part->layer->stack.spec, &walk, out, finite);
    }
    buffer_text(out, "]");
}

/* "a", "b": a part's name for each of its entries. */
void batch_write_state_layers(const struct batch *batch, struct buffer *out)
{
    const struct rnn_model *chain = &batch->model->chain;
    size_t n = 0;
    buffer_text(out, "[");
    for (size_t p = 0; p < chain->n_parts; p++)
        for (size_t i = 0; i < part_entries(&chain->parts[p]); i++) {
            comma(out, n++);
            buffer_text(out, "\"");
            buffer_escaped(out, chain->parts[p].name);
            buffer_text(out, "\"");
        }
    buffer_text(out, "]");
}
