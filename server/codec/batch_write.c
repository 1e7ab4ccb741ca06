/* Writes outputs and states of rows as tensors of an answer: by name, as full arrays, or as JSON. */
#include "batch_write.h"

#include "batch_memory.h"
#include "slide.h"
#include "window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the answer's tensors ---- */

/* A walk over the states of a part; counts the states that are still to be skipped. */
struct state_search {
    size_t left;
    const struct graph_part *part;
    size_t leaf;
};

static bool find_state(const struct rnn_cell_spec *spec, const char *path, struct state_search *search,
                       struct batch_tensor *out)
{
    if (spec->class) {
        size_t s = search->left, offset = search->part->states.leaf_offsets[search->leaf++];
        if (s >= spec->class->states) {
            search->left -= spec->class->states;
            return false;
        }
        *out = (struct batch_tensor){
            .state = true, .offset = search->part->state_offset + offset + s * spec->units, .width = spec->units};
        snprintf(out->name, sizeof out->name, "state%s.%s", path, spec->class->state_names[s]);
        return true;
    }
    for (size_t i = 0; i < spec->n_cells; i++) {
        char deeper[BATCH_NAME_BYTES];
        snprintf(deeper, sizeof deeper, "%.80s.%zu", path, i);
        if (find_state(spec->cells[i], deeper, search, out))
            return true;
    }
    return false;
}

static size_t outputs_of(const struct graph *graph)
{
    return graph->two_outputs ? 2 : graph->n_outputs;
}

/* Output i. The output of a model with one output is always named "outputs". */
static void output_at(const struct graph *graph, size_t i, struct batch_tensor *out)
{
    size_t forward = graph->two_outputs ? graph->parts[graph->n_parts - 2].states.recurrence->stack.output_size : 0;
    const struct layer_shape *shape = &graph->outputs[graph->two_outputs ? 0 : i].shape;
    *out = (struct batch_tensor){
        .output = graph->two_outputs ? 0 : i, .width = shape->width, .rank = shape->rank, .scalar = shape->scalar};
    memcpy(out->dims, shape->dims, sizeof out->dims);
    if (graph->two_outputs) {
        out->offset = i ? forward : 0;
        out->width = i ? shape->width - forward : forward;
    }
    if (graph->n_outputs > 1)
        snprintf(out->name, sizeof out->name, "%s", graph->outputs[i].name);
    else
        snprintf(out->name, sizeof out->name, i ? "outputs_%zu" : "outputs", i);
}

bool batch_tensor_at(const struct graph *graph, size_t i, struct batch_tensor *out)
{
    size_t outputs = outputs_of(graph), entry = 0;
    if (i < outputs) {
        output_at(graph, i, out);
        return true;
    }
    struct state_search search = {.left = i - outputs};
    for (size_t p = 0; p < graph->n_parts; p++) {
        const struct rnn_cell_spec *spec = graph->parts[p].states.spec;
        search.part = &graph->parts[p];
        search.leaf = 0;
        for (size_t k = 0; k < batch_part_entries(search.part); k++, entry++) {
            char path[24];
            snprintf(path, sizeof path, ".%zu", entry);
            if (find_state(spec->class ? spec : spec->cells[k], path, &search, out))
                return true;
        }
    }
    return false;
}

/* The numbers of a tensor at timestep t of row b. */
static const float *vector_at(const struct batch *batch, const struct batch_tensor *tensor, size_t b, size_t t)
{
    if (tensor->state)
        return batch->states + b * batch->model->graph.state_elems + tensor->offset;
    if (tensor->output)
        return batch->more_outputs[tensor->output - 1].rows[b] + t * tensor->width;
    return batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride + tensor->offset;
}

/* Whether a tensor has an axis of timesteps, and whether this axis is the first. */
static bool has_timesteps(const struct batch *batch, const struct batch_tensor *tensor)
{
    const struct layer_shape *shape = tensor->output ? &batch->more_outputs[tensor->output - 1].shape : &batch->output;
    return !tensor->state && shape->sequence && !batch->single;
}

static size_t steps_of(const struct batch *batch, const struct batch_tensor *tensor, size_t b)
{
    return tensor->output ? batch->more_outputs[tensor->output - 1].steps[b] : batch->steps[b];
}

/* Write a timestep of n numbers as nested lists with these axes; *at is the next number. */
static void write_axes(struct buffer *out, const size_t *dims, size_t rank, const float **at, bool *finite)
{
    if (rank == 1) {
        buffer_floats(out, *at, dims[0], finite);
        *at += dims[0];
        return;
    }
    buffer_text(out, "[");
    for (size_t i = 0; i < dims[0]; i++) {
        buffer_text(out, i ? "," : "");
        write_axes(out, dims + 1, rank - 1, at, finite);
    }
    buffer_text(out, "]");
}

/* Write a single number: the text of a list with one number, without the brackets. */
static void write_scalar(struct buffer *out, const float *value, bool *finite)
{
    char text[64], *end = buffer_floats_at(text, value, 1, finite);
    buffer_bytes(out, text + 1, (size_t)(end - text) - 2);
}

static void write_vector(const struct batch_tensor *tensor, const float *vector, struct buffer *out, bool *finite)
{
    if (tensor->scalar)
        write_scalar(out, vector, finite);
    else if (tensor->rank > 1)
        write_axes(out, tensor->dims, tensor->rank, &vector, finite);
    else
        buffer_floats(out, vector, tensor->width, finite);
}

static bool timesteps_first(const struct batch *batch, const struct batch_tensor *tensor)
{
    return has_timesteps(batch, tensor) && batch->model->graph.time_major;
}

/* The largest number of windows of a sequence. */
static size_t most_windows(const struct batch *batch)
{
    size_t most = 0;
    for (size_t s = 0; s < batch->slide->n_sequences; s++)
        most = batch->slide->sequences[s].windows > most ? batch->slide->sequences[s].windows : most;
    return most;
}

size_t batch_tensor_shape(const struct batch *batch, const struct batch_tensor *tensor, size_t shape[BATCH_MAX_RANK])
{
    bool sequences = has_timesteps(batch, tensor), first = timesteps_first(batch, tensor);
    size_t longest = 0, rank = 0;
    if (batch->slide && !tensor->state) {
        shape[rank++] = batch->slide->n_sequences;
        shape[rank++] = most_windows(batch);
    }
    for (size_t b = 0; sequences && b < batch->n_rows; b++)
        longest = steps_of(batch, tensor, b) > longest ? steps_of(batch, tensor, b) : longest;
    if (!rank)
        shape[rank++] = first ? longest : batch->n_rows;
    if (sequences)
        shape[rank++] = first ? batch->n_rows : longest;
    if (tensor->rank < 2 && !tensor->scalar)
        shape[rank++] = tensor->width;
    for (size_t i = 0; tensor->rank > 1 && i < tensor->rank; i++)
        shape[rank++] = tensor->dims[i];
    return rank;
}

/* Fill up with zeros after the last window of sequences that have fewer windows. */
static bool copy_windows(const struct batch *batch, const struct batch_tensor *tensor, float *out)
{
    size_t most = most_windows(batch), each = slide_floats(batch, tensor->output);
    bool finite = true;
    for (size_t s = 0; s < batch->slide->n_sequences; s++) {
        const struct slide_sequence *sequence = &batch->slide->sequences[s];
        size_t n = sequence->windows * each;
        memcpy(out, slide_output(batch, tensor->output, sequence->first), n * sizeof *out);
        memset(out + n, 0, (most * each - n) * sizeof *out);
        for (size_t i = 0; i < n; i++)
            finite &= isfinite(out[i]) != 0;
        out += most * each;
    }
    return finite;
}

bool batch_copy_tensor(const struct batch *batch, const struct batch_tensor *tensor, float *out)
{
    size_t shape[BATCH_MAX_RANK];
    if (batch->slide && !tensor->state)
        return copy_windows(batch, tensor, out);
    batch_tensor_shape(batch, tensor, shape);
    size_t inner = has_timesteps(batch, tensor) ? shape[1] : 1;
    bool first = timesteps_first(batch, tensor), finite = true;
    for (size_t i = 0; i < shape[0]; i++)
        for (size_t k = 0; k < inner; k++, out += tensor->width) {
            size_t b = first ? k : i, t = first ? i : k;
            if (tensor->state || t < steps_of(batch, tensor, b))
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
    if (!tensor->state && !window_is_full(batch, b)) {
        buffer_text(out, "null");
        return;
    }
    if (!has_timesteps(batch, tensor)) {
        write_vector(tensor, vector_at(batch, tensor, b, 0), out, finite);
        return;
    }
    buffer_text(out, "[");
    for (size_t t = 0; t < steps_of(batch, tensor, b); t++) {
        comma(out, t);
        write_vector(tensor, vector_at(batch, tensor, b, t), out, finite);
    }
    buffer_text(out, "]");
}

/* A tensor of an answer that several threads write. Each thread writes some of the vectors, into its own part of the
   buffer. */
struct writing {
    const struct batch *batch;
    const struct batch_tensor *tensor;
    size_t vectors;
    char *base;
    size_t vector_bytes; /* the most bytes of a vector, including brackets and commas */
    size_t used[TEAM_MAX_SEATS], first[TEAM_MAX_SEATS], members;
    atomic_bool infinite;
};

/* Write vectors of rows, "[[1.0,2.0],[3.0,4.0]],[[…": each with the brackets and commas before it, and those after the
   last vector of a row. */
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

/* The estimated nanoseconds to write a number. */
enum { WRITE_NS = 15 };

/* Write all vectors of a tensor whose first axis is the rows. Returns false if there may be no contiguous memory for
   them. */
static bool write_together(const struct batch *batch, const struct batch_tensor *tensor, struct buffer *out,
                           bool *finite)
{
    struct writing w = {.batch = batch, .tensor = tensor, .vectors = batch->n_rows};
    if (has_timesteps(batch, tensor))
        w.vectors = batch->outputs_floats / batch->output.width;
    w.vector_bytes = buffer_floats_most(tensor->width) + 3;
    size_t most = w.vectors * w.vector_bytes; /* a multiple of the binary size */
    if (!batch->team || batch->window || tensor->output || tensor->rank > 1 || tensor->scalar ||
        most > out->limit - out->used || !buffer_try_room(out, most))
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

/* Write one window: a vector, or a vector for each of its timesteps. */
static void write_window(const struct batch *batch, const struct batch_tensor *tensor, size_t i, struct buffer *out,
                         bool *finite)
{
    const float *at = slide_output(batch, tensor->output, i) + tensor->offset;
    size_t stride = slide_floats(batch, tensor->output) / slide_steps(batch, tensor->output);
    if (!has_timesteps(batch, tensor)) {
        write_vector(tensor, at, out, finite);
        return;
    }
    buffer_text(out, "[");
    for (size_t t = 0; t < slide_steps(batch, tensor->output); t++, at += stride) {
        comma(out, t);
        write_vector(tensor, at, out, finite);
    }
    buffer_text(out, "]");
}

/* Write the windows of each sequence. */
static void write_windows(const struct batch *batch, const struct batch_tensor *tensor, struct buffer *out,
                          bool *finite)
{
    buffer_text(out, "[");
    for (size_t s = 0; s < batch->slide->n_sequences; s++) {
        const struct slide_sequence *sequence = &batch->slide->sequences[s];
        buffer_text(out, s ? ",[" : "[");
        for (size_t i = 0; i < sequence->empty; i++)
            buffer_text(out, i ? ",null" : "null");
        for (size_t i = 0; i < sequence->windows; i++) {
            comma(out, sequence->empty + i);
            write_window(batch, tensor, sequence->first + i, out, finite);
        }
        buffer_text(out, "]");
    }
    buffer_text(out, "]");
}

/* A Bidirectional that does not merge has two outputs, as in Keras. */
void batch_write_outputs(const struct batch *batch, struct buffer *out, bool *finite)
{
    const struct graph *graph = &batch->model->graph;
    struct batch_tensor tensor;
    if (batch->tokens) {
        buffer_text(out, "[");
        write_tokens(batch, out);
        buffer_text(out, "]");
        return;
    }
    bool named = graph->n_outputs > 1;
    buffer_text(out, graph->two_outputs ? "[" : named ? "{" : "");
    for (size_t i = 0; i < outputs_of(graph) && batch_tensor_at(graph, i, &tensor); i++) {
        comma(out, i);
        if (named) {
            buffer_text(out, "\"");
            buffer_escaped(out, tensor.name);
            buffer_text(out, "\": ");
        }
        if (batch->slide)
            write_windows(batch, &tensor, out, finite);
        else
            batch_write_tensor(batch, &tensor, out, finite);
    }
    buffer_text(out, graph->two_outputs ? "]" : named ? "}" : "");
}

/* The position of the next leaf cell's states. */
struct leaf_walk {
    const struct graph_part *part;
    size_t leaf;
};

static void write_leaf(const struct batch *batch, const struct rnn_cell_spec *spec, struct leaf_walk *walk,
                       struct buffer *out, bool *finite)
{
    struct batch_tensor tensor = {.state = true, .width = spec->units};
    tensor.offset = walk->part->state_offset + walk->part->states.leaf_offsets[walk->leaf++];
    buffer_text(out, "[");
    for (size_t s = 0; s < spec->class->states; s++, tensor.offset += spec->units) {
        comma(out, s);
        batch_write_tensor(batch, &tensor, out, finite);
    }
    buffer_text(out, "]");
}

/* Write the entries of a stack's cells, or of a bare cell. */
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
    const struct graph *graph = &batch->model->graph;
    buffer_text(out, "[");
    for (size_t p = 0; p < graph->n_parts; p++) {
        struct leaf_walk walk = {&graph->parts[p], 0};
        comma(out, p);
        write_cells(batch, walk.part->states.spec, &walk, out, finite);
    }
    buffer_text(out, "]");
}

/* Write "a", "b": the name of a part, once for each of its entries. */
void batch_write_state_layers(const struct batch *batch, struct buffer *out)
{
    const struct graph *graph = &batch->model->graph;
    size_t n = 0;
    buffer_text(out, "[");
    for (size_t p = 0; p < graph->n_parts; p++)
        for (size_t i = 0; i < batch_part_entries(&graph->parts[p]); i++) {
            comma(out, n++);
            buffer_text(out, "\"");
            buffer_escaped(out, graph->parts[p].name);
            buffer_text(out, "\"");
        }
    buffer_text(out, "]");
}
