/* Makes rows from the tensors of a body. Compares ranks, features, lengths, masks and states with the model. */
#include "batch_bind.h"

#include "batch_memory.h"
#include "slide.h"

#include <stdio.h>
#include <string.h>

/* ---- inputs ---- */

/* A position in the body: a key, indices as text, and further indices. It is formatted only for an error. */
struct location {
    const char *key, *indices;
    size_t depth, at[2];
};

static const char *location_path(const struct location *location, char *path, size_t size)
{
    size_t n = (size_t)snprintf(path, size, "/%s%.70s", location->key, location->indices ? location->indices : "");
    for (size_t i = 0; i < location->depth && n < size; i++)
        n += (size_t)snprintf(path + n, size - n, "/%zu", location->at[i]);
    return path;
}

static bool wrong_shape(struct failure *failure, const struct location *location, const char *format, size_t a,
                        size_t b)
{
    char path[160];
    return failure_set(failure, 400, "wrong_shape", location_path(location, path, sizeof path), format, a, b);
}

static bool empty_input(struct failure *failure, const struct location *location, const char *what)
{
    char path[160];
    return failure_set(failure, 400, "empty_input", location_path(location, path, sizeof path), "%s", what);
}

/* Whether a row of the input is one list of numbers: a vector, a single timestep, or ids. */
static bool is_flat(const struct batch *batch)
{
    return batch->single || batch->model->graph.inputs[0].shape.ids || !batch->model->graph.inputs[0].shape.sequence;
}

/* The innermost list of the features of one timestep. */
static bool check_features(const struct batch *batch, const struct json_list *list, const struct location *location,
                           struct failure *failure)
{
    size_t features = batch->model->graph.inputs[0].shape.width;
    if (list->length == features && list->holds == LIST_OF_NUMBERS)
        return true;
    if (list->holds == LIST_OF_LISTS)
        return wrong_shape(failure, location, "Expected %zu numbers, the features of one timestep, found lists.",
                           features, 0);
    return wrong_shape(failure, location, "Expected %zu features, found %zu.", features, list->length);
}

/* A sequence of ids: one whole number for each timestep. */
static bool check_ids(const struct json_list *list, const struct location *location, struct failure *failure)
{
    if (!list->length)
        return empty_input(failure, location, "This sequence has no timesteps.");
    if (list->holds == LIST_OF_LISTS)
        return wrong_shape(failure, location, "Expected a list of whole numbers, one for each timestep; found lists.",
                           0, 0);
    return true;
}

/* The lists of instances come in preorder: the batch, then per sequence the sequence and its timesteps (with
   time_major: per timestep the timestep and its rows). */
static bool check_lists(const struct batch *batch, const struct json_tensor *inputs, const char *key,
                        struct failure *failure)
{
    const struct json_list *list = inputs->lists;
    bool time_major = batch->model->graph.time_major && !batch->single, ids = batch->model->graph.inputs[0].shape.ids;
    size_t outer = list++->length;
    for (size_t i = 0; i < outer; i++) {
        const struct location location = {.key = key, .depth = 1, .at = {i}};
        if (is_flat(batch)) {
            if (ids && !batch->single ? !check_ids(list++, &location, failure)
                                      : !check_features(batch, list++, &location, failure))
                return false;
            continue;
        }
        const struct json_list *inner = list++;
        if (!inner->length)
            return empty_input(failure, &location,
                               time_major ? "This timestep has no sequences." : "This sequence has no timesteps.");
        if (inner->holds != LIST_OF_LISTS)
            return wrong_shape(failure, &location,
                               "Expected a list of timesteps, each a list of %zu features; found numbers.",
                               batch->model->graph.inputs[0].shape.width, 0);
        if (time_major && inner->length != inputs->lists[1].length)
            return wrong_shape(failure, &location, "Expected %zu sequences as at the first timestep, found %zu.",
                               inputs->lists[1].length, inner->length);
        for (size_t k = 0; k < inner->length; k++)
            if (!check_features(batch, list++, &(struct location){.key = key, .depth = 2, .at = {i, k}}, failure))
                return false;
    }
    return true;
}

static bool check_limits(size_t rows, size_t longest, size_t longest_at, const char *key,
                         const struct batch_limits *limits, struct failure *failure)
{
    const struct location batch = {.key = key}, sequence = {.key = key, .depth = 1, .at = {longest_at}};
    char path[160];
    if (rows > limits->max_rows)
        return failure_set(failure, 413, "too_many_rows", location_path(&batch, path, sizeof path),
                           "Expected at most %zu sequences (limits.max_rows), found %zu.", limits->max_rows, rows);
    if (longest > limits->max_timesteps)
        return failure_set(failure, 413, "too_many_timesteps", location_path(&sequence, path, sizeof path),
                           "Expected at most %zu timesteps (limits.max_timesteps), found %zu.", limits->max_timesteps,
                           longest);
    return true;
}

/* Ids are indices into a table. Fractions are cut off, as in Keras. */
static bool check_vocabulary(const struct batch *batch, const struct json_tensor *inputs, const char *key,
                             struct failure *failure)
{
    size_t vocabulary = graph_vocabulary(&batch->model->graph, 0), at = 0;
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t t = 0; t < batch->rows[b].timesteps; t++) {
            double id = (double)inputs->values[at++];
            char path[160];
            if (id > -1 && id < (double)vocabulary)
                continue;
            const struct location location = {.key = key, .depth = 2, .at = {b, t}};
            return failure_set(failure, 400, "id_out_of_range", location_path(&location, path, sizeof path),
                               "Expected a whole number from 0 to %zu, a row of the Embedding, found %.9g.",
                               vocabulary - 1, id);
        }
    return true;
}

bool batch_bind_inputs(struct batch *batch, const struct json_tensor *inputs, const char *key,
                       const struct batch_limits *limits, struct failure *failure)
{
    const struct layer_shape *input = &batch->model->graph.inputs[0].shape;
    size_t features = input->width;
    bool time_major = batch->model->graph.time_major && !batch->single, flat = is_flat(batch);
    snprintf(batch->key, sizeof batch->key, "%s", key);
    if (!inputs->present)
        return failure_set(failure, 400, "missing_key", "", "The body needs \"%s\".", key);
    const struct json_list *lists = inputs->lists;
    if (!lists[0].length)
        return empty_input(failure, &(struct location){.key = key}, "There is nothing to predict: the list is empty.");
    if (lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, &(struct location){.key = key},
                           input->ids && !batch->single
                               ? "Expected [batch][timesteps], lists of whole numbers; found numbers."
                           : flat ? "Expected [batch][features], lists of %zu numbers; found numbers."
                                  : "Expected [batch][timesteps][features] with %zu features; found numbers.",
                           features, 0);
    if (!check_lists(batch, inputs, key, failure))
        return false;
    size_t n = time_major ? lists[1].length : lists[0].length, longest = 1, longest_at = 0;
    batch->n_rows = n;
    batch->rows = batch_take(batch, n, sizeof *batch->rows, failure);
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
    bool time_major = batch->model->graph.time_major;
    if (!mask->present)
        return true;
    if (!batch->model->graph.inputs[0].shape.sequence)
        return failure_set(failure, 400, "wrong_shape", "/mask", "This model takes vectors, which have no timesteps.");
    size_t outer = time_major ? batch->rows[0].timesteps : batch->n_rows;
    if (mask->lists[0].length != outer || mask->lists[0].holds != LIST_OF_LISTS)
        return wrong_shape(failure, &(struct location){.key = "mask"},
                           "Expected %zu lists, as many as instances has, found %zu elements.", outer,
                           mask->lists[0].length);
    for (size_t i = 0; i < outer; i++) {
        size_t expected = time_major ? batch->n_rows : batch->rows[i].timesteps;
        const struct json_list *list = &mask->lists[1 + i];
        if (list->length != expected || list->holds == LIST_OF_LISTS)
            return wrong_shape(failure, &(struct location){.key = "mask", .depth = 1, .at = {i}},
                               "Expected %zu values, one for each of instances, found %zu.", expected, list->length);
    }
    batch->mask_bytes = mask->n_values;
    batch->mask = batch_take(batch, mask->n_values, 1, failure);
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

/* A walk over the lists of a states tensor and over the cells of the model at the same time. */
struct states_walk {
    struct batch *batch;
    const struct json_tensor *tensor;
    const char *key;
    const struct graph_part *part;
    size_t list, value, leaf; /* the next cell in preorder; the index of the leaf within its part */
    struct failure *failure;
};

/* Copy one tensor [batch][units] into the rows' states at offset. */
static bool bind_state(struct states_walk *w, const char *indices, size_t units, size_t offset)
{
    struct batch *batch = w->batch;
    const struct json_list *lists = w->tensor->lists;
    size_t elems = batch->model->graph.state_elems;
    const struct json_list *head = &lists[w->list++];
    if (head->length != batch->n_rows || head->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, &(struct location){.key = w->key, .indices = indices},
                           "Expected [batch][units]: %zu lists, one for each sequence, found %zu elements.",
                           batch->n_rows, head->length);
    for (size_t b = 0; b < batch->n_rows; b++) {
        const struct json_list *row = &lists[w->list++];
        if (row->length != units || row->holds != LIST_OF_NUMBERS)
            return wrong_shape(w->failure, &(struct location){.key = w->key, .indices = indices, .depth = 1, .at = {b}},
                               "Expected %zu numbers, found %zu elements.", units, row->length);
        memcpy(batch->states + b * elems + offset, w->tensor->values + w->value, units * sizeof(float));
        w->value += units;
    }
    return true;
}

/* The entry of a leaf cell: [h, c] or [h]; a cell with one state also accepts the tensor without the list. */
static bool bind_leaf(struct states_walk *w, const struct rnn_cell_spec *spec, const char *indices)
{
    const struct json_list *lists = w->tensor->lists, *entry = &lists[w->list];
    size_t states = spec->class->states;
    size_t offset = w->part->state_offset + w->part->states.leaf_offsets[w->leaf++];
    bool bare = states == 1 && entry->holds == LIST_OF_LISTS && entry->length && entry[1].holds == LIST_OF_NUMBERS;
    if (bare)
        return bind_state(w, indices, spec->units, offset);
    if (entry->length != states || entry->holds != LIST_OF_LISTS)
        return wrong_shape(w->failure, &(struct location){.key = w->key, .indices = indices},
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
        return wrong_shape(w->failure, &(struct location){.key = w->key, .indices = indices},
                           "Expected a list of %zu entries, one for each cell, found %zu.", spec->n_cells,
                           head->length);
    w->list++;
    return bind_cells(w, spec, indices, 0);
}

/* The entries of the cells of a stack, or of a bare cell; they begin at index `first` of their list. */
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
    const struct graph *graph = &w->batch->model->graph;
    const struct json_list *head = &w->tensor->lists[w->list++];
    size_t entries = 0, first = 0;
    for (size_t p = 0; p < graph->n_parts; p++)
        entries += batch_part_entries(&graph->parts[p]);
    if (head->length != entries || (entries && head->holds != LIST_OF_LISTS))
        return wrong_shape(w->failure, &(struct location){.key = w->key},
                           "Expected a list of %zu entries, one for each cell, found %zu.", entries, head->length);
    for (size_t p = 0; p < graph->n_parts; p++) {
        w->part = &graph->parts[p];
        w->leaf = 0;
        if (!bind_cells(w, w->part->states.spec, "", first))
            return false;
        first += batch_part_entries(w->part);
    }
    return true;
}

bool batch_bind_states(struct batch *batch, const struct json_tensor *states, const char *key, struct failure *failure)
{
    struct states_walk walk = {.batch = batch, .tensor = states, .key = key, .failure = failure};
    if (!batch_zero_states(batch, batch->n_rows, failure))
        return false;
    for (size_t b = 0; batch->rows && b < batch->n_rows; b++)
        batch->rows[b].states = batch->states + b * batch->model->graph.state_elems;
    return !states->present || bind_parts(&walk);
}

void batch_bind_state(struct batch *batch, const struct batch_tensor *tensor, const float *values)
{
    size_t elems = batch->model->graph.state_elems;
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

/* If the model has a fixed length, whole sequences must have this length. */
static bool check_length(const struct batch *batch, size_t b, struct failure *failure)
{
    size_t fixed = batch->model->fixed_timesteps, found = batch->rows[b].timesteps;
    char path[64];
    if (!fixed || batch->any_length || found == fixed)
        return true;
    return failure_set(failure, 400, "wrong_shape", batch_row_path(batch, b, path, sizeof path),
                       "Expected %zu timesteps, the fixed length of this model, found %zu. Send a sequence in "
                       "parts only in a session, or with its states.",
                       fixed, found);
}

/* Compute the output shapes of row b, out [n_outputs], if its timesteps differ from those of the row before. scratch
   [n_values of the graph]. */
static bool row_outputs(const struct batch *batch, size_t b, struct layer_shape *scratch, struct layer_shape *out,
                        struct failure *failure)
{
    const struct graph *graph = &batch->model->graph;
    size_t timesteps[GRAPH_MAX_INPUTS], same = b > 0;
    struct rnn_error error = {{0}};
    char path[64];
    for (size_t k = 0; k < graph->n_inputs; k++) {
        const struct layer_view *views = k ? batch->more_inputs + (k - 1) * batch->n_rows : NULL;
        timesteps[k] = k ? views[b].timesteps : batch->rows[b].timesteps;
        same &= timesteps[k] == (k ? views[b - !!b].timesteps : batch->rows[b - !!b].timesteps);
    }
    if (same)
        return true;
    enum rnn_status status = graph_output_shapes(graph, timesteps, batch->sequences, scratch, out, &error);
    return !status ||
           failure_set(failure, 400, "wrong_shape",
                       batch->sequences == graph->return_sequences ? batch_row_path(batch, b, path, sizeof path)
                                                                   : "/return_sequences",
                       "This model does not accept these inputs: %s.", error.text);
}

/* Count the numbers of row b of an output; all windows are counted with the first row. Returns false if the answer
   would be too large. */
static bool add_floats(const struct batch *batch, size_t b, const struct layer_shape *shape,
                       const struct batch_limits *limits, size_t *floats)
{
    size_t part, times = !batch->slide ? 1 : b ? 0 : batch->slide->room;
    return batch->fleeting || (rnn_size_mul(shape->timesteps, shape->width, &part) &&
                               rnn_size_mul(part, times, &part) && rnn_size_add(*floats, part, floats) &&
                               *floats <= limits->max_response_bytes / 4); /* a number has at least 4 bytes: "0.0," */
}

static bool size_rows(struct batch *batch, const struct batch_limits *limits, struct layer_shape *scratch,
                      struct failure *failure)
{
    const struct graph *graph = &batch->model->graph;
    struct layer_shape own[GRAPH_MAX_INPUTS];
    size_t floats = 0;
    for (size_t b = 0; b < batch->n_rows; b++) {
        if (!check_length(batch, b, failure) || !row_outputs(batch, b, scratch, own, failure))
            return false;
        batch->output = own[0];
        if (batch->rolled)
            batch->output = (struct layer_shape){
                .sequence = true, .timesteps = batch->rolled, .width = batch->tokens ? 1 : batch->output.width};
        batch->steps[b] = batch->output.timesteps;
        if (!add_floats(batch, b, &batch->output, limits, &floats))
            return too_large(limits, failure);
        for (size_t o = 1; o < graph->n_outputs; o++) {
            struct batch_output *output = &batch->more_outputs[o - 1];
            output->shape = own[o];
            output->steps[b] = own[o].timesteps;
            if (!add_floats(batch, b, &own[o], limits, &output->n_floats))
                return too_large(limits, failure);
        }
    }
    batch->outputs_floats = floats;
    return true;
}

/* Compute the output shapes of every row, and the total number of floats. Small graphs have their shapes on the
   stack. */
static bool size_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure)
{
    enum { FEW_VALUES = 24 };
    struct layer_shape few[FEW_VALUES], *scratch = few;
    size_t n = batch->model->graph.n_values;
    if (n > FEW_VALUES && !(scratch = batch_take(batch, n, sizeof *scratch, failure)))
        return false;
    bool good = size_rows(batch, limits, scratch, failure);
    if (scratch != few)
        batch_give(batch, scratch, n, sizeof *scratch);
    return good;
}

/* Allocate the outputs after the first: the arrays for counting the rows, then the numbers. */
static bool open_more_outputs(struct batch *batch, struct failure *failure)
{
    size_t n = batch->model->graph.n_outputs - 1;
    if (!n)
        return true;
    batch->more_outputs = batch_take(batch, n, sizeof *batch->more_outputs, failure);
    if (!batch->more_outputs)
        return false;
    memset(batch->more_outputs, 0, n * sizeof *batch->more_outputs);
    for (size_t o = 0; o < n; o++) {
        struct batch_output *output = &batch->more_outputs[o];
        output->steps = batch_take(batch, batch->n_rows, sizeof *output->steps, failure);
        output->rows = batch_take(batch, batch->n_rows, sizeof *output->rows, failure);
        if (!output->steps || !output->rows)
            return false;
    }
    return true;
}

static bool place_more_outputs(struct batch *batch, struct failure *failure)
{
    for (size_t o = 0; o + 1 < batch->model->graph.n_outputs; o++) {
        struct batch_output *output = &batch->more_outputs[o];
        float *at = output->floats = batch_take(batch, output->n_floats, sizeof *output->floats, failure);
        if (!at) {
            output->n_floats = 0;
            return false;
        }
        for (size_t b = 0; b < batch->n_rows; b++) {
            output->rows[b] = at;
            at += output->steps[b] * output->shape.width;
        }
    }
    return true;
}

bool batch_bind_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure)
{
    batch->steps = batch_take(batch, batch->n_rows, sizeof *batch->steps, failure);
    batch->progress = batch_take(batch, batch->n_rows, sizeof *batch->progress, failure);
    if (!batch->steps || !batch->progress || !open_more_outputs(batch, failure) ||
        !size_outputs(batch, limits, failure) || !place_more_outputs(batch, failure))
        return false;
    batch_rewind(batch);
    return batch->fleeting ||
           batch_place_outputs(batch, batch->output.sequence && batch->model->graph.time_major, failure);
}
