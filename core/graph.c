/* A chain of layers: shapes, states, and the run of a group of rows. */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layer *graph_add(struct graph *graph)
{
    if (graph->n_layers == GRAPH_MAX_LAYERS)
        return NULL;
    if (!graph->layers && !(graph->layers = calloc(GRAPH_MAX_LAYERS, sizeof *graph->layers)))
        return NULL;
    struct layer *layer = &graph->layers[graph->n_layers++];
    layer->class = &layer_identity;
    return layer;
}

void graph_close(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_layers; i++)
        layer_close(&graph->layers[i]);
    free(graph->layers);
    free(graph->parts);
    *graph = (struct graph){.n_layers = 0};
}

size_t graph_parameters(const struct graph *graph)
{
    size_t count = 0;
    for (size_t i = 0; i < graph->n_layers; i++)
        count += layer_parameters(&graph->layers[i]);
    return count;
}

size_t graph_bytes(const struct graph *graph)
{
    size_t bytes = 0;
    for (size_t i = 0; i < graph->n_layers; i++)
        bytes += layer_bytes(&graph->layers[i]);
    return bytes;
}

double graph_step_ns(const struct graph *graph, size_t rows)
{
    double ns = 0;
    for (size_t i = 0; i < graph->n_parts; i++)
        ns += rnn_stack_step_ns(&graph->parts[i].layer->stack, rows);
    return ns;
}

size_t graph_vocabulary(const struct graph *graph)
{
    for (size_t i = 0; graph->input.ids && i < graph->n_layers; i++)
        if (layer_takes_ids(&graph->layers[i]))
            return graph->layers[i].class->vocabulary(&graph->layers[i]);
    return 0;
}

/* ---- shapes ---- */

/* The option of layer i: of the last recurrent layer it may be asked for (once it is known which that is), of the others
   it is their own. */
static bool gives_sequences(const struct graph *graph, size_t i, bool sequences)
{
    const struct rnn_recurrence *part = layer_part(&graph->layers[i], 0);
    return graph->parts && i == graph->last_recurrent ? sequences : part && part->return_sequences;
}

static enum rnn_status walk(const struct graph *graph, size_t end, size_t timesteps, bool sequences,
                            struct layer_shape *out, struct rnn_error *err)
{
    struct layer_shape in = graph->input;
    if (in.sequence && timesteps)
        in.timesteps = timesteps;
    *out = in;
    for (size_t i = 0; i < end; i++, in = *out) {
        enum rnn_status status = layer_output(&graph->layers[i], &in, gives_sequences(graph, i, sequences), out, err);
        if (status)
            return status;
    }
    return RNN_OK;
}

enum rnn_status graph_output(const struct graph *graph, size_t timesteps, bool sequences, struct layer_shape *out,
                             struct rnn_error *err)
{
    enum rnn_status status = walk(graph, graph->n_layers, timesteps, sequences, out, err);
    if (!status && out->width != graph->output.width)
        return rnn_fail(err, RNN_ESHAPE, "expected %zu timesteps, for which the model was made",
                        graph->input.timesteps);
    return status;
}

enum rnn_status graph_shape_before(const struct graph *graph, size_t i, struct layer_shape *out, struct rnn_error *err)
{
    return walk(graph, i, 0, graph->return_sequences, out, err);
}

/* ---- the whole ---- */

static enum rnn_status find_parts(struct graph *graph, struct rnn_error *err)
{
    static const char *const directions[] = {"/forward", "/backward"};
    graph->parts = calloc(graph->n_layers * LAYER_MAX_PARTS + 1, sizeof *graph->parts);
    if (!graph->parts)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    graph->last_recurrent = graph->n_layers;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer *layer = &graph->layers[i];
        size_t n = layer_parts(layer);
        for (size_t p = 0; p < n; p++) {
            struct graph_part *part = &graph->parts[graph->n_parts++];
            part->layer = layer_part(layer, p);
            part->state_offset = graph->state_elems;
            snprintf(part->name, sizeof part->name, "%s%s", layer->name, n > 1 ? directions[p] : "");
            graph->state_elems += part->layer->stack.state_elems;
            graph->last_recurrent = i;
        }
    }
    return RNN_OK;
}

/* What only some models can be: a layer with time first, a Bidirectional with two outputs. */
static enum rnn_status check_alone(struct graph *graph, struct rnn_error *err)
{
    size_t computing = 0;
    graph->streamable = true;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer *layer = &graph->layers[i];
        size_t n_parts = layer_parts(layer);
        computing += layer->class->run != NULL;
        graph->streamable &= layer->class->pointwise || n_parts == 1;
        graph->time_major |= n_parts && layer_part(layer, 0)->time_major;
        bool two = layer->class->two_outputs && layer->class->two_outputs(layer);
        if (graph->two_outputs && layer->class->run)
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" comes after a Bidirectional with merge_mode null, which has "
                            "two outputs",
                            layer->name);
        graph->two_outputs |= two;
        if (two && layer_part(layer, 0)->time_major)
            return rnn_fail(err, RNN_EINVAL, "layer \"%s\": time_major is served in a lone RNN layer", layer->name);
    }
    if (!computing)
        return rnn_fail(err, RNN_EINVAL, "there is no layer that computes anything");
    if (graph->time_major && (computing > 1 || graph->n_parts != 1))
        return rnn_fail(err, RNN_EINVAL, "time_major is served only in a model of one RNN layer; transpose the data");
    return RNN_OK;
}

static size_t last_computing(const struct graph *graph)
{
    size_t last = graph->n_layers - 1;
    while (!graph->layers[last].class->run)
        last--;
    return last;
}

/* How rows may be cut and where their data may lie: recurrent layers go row by row, others take all rows as one. */
static void find_freedom(struct graph *graph)
{
    const struct layer *first = graph->layers;
    size_t computing = 0;
    while (!first->class->run)
        first++;
    graph->divisible = graph->streamable;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer *layer = &graph->layers[i];
        computing += layer->class->run != NULL;
        graph->divisible &= !(layer_part(layer, 0) && layer_part(layer, 0)->go_backwards);
    }
    graph->inputs_anywhere = first->class->inputs_anywhere;
    graph->outputs_anywhere = computing == 1 && layer_parts(first) == 1;
}

enum rnn_status graph_finish(struct graph *graph, struct rnn_error *err)
{
    enum rnn_status status = find_parts(graph, err);
    if (!status)
        status = check_alone(graph, err);
    if (status)
        return status;
    if (graph->last_recurrent < graph->n_layers)
        graph->return_sequences = layer_part(&graph->layers[graph->last_recurrent], 0)->return_sequences;
    find_freedom(graph);
    status = walk(graph, graph->n_layers, 0, graph->return_sequences, &graph->output, err);
    if (!status && !graph->output.width)
        return rnn_fail(err, RNN_ESHAPE,
                        "the number of timesteps is not known, and with it the size of the output; give the input "
                        "layer a shape with timesteps");
    return status;
}

bool graph_scratch(const struct graph *graph, size_t rows, size_t *bytes)
{
    size_t most = 0, own;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer *layer = &graph->layers[i];
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
static bool add_row(const struct graph *graph, size_t last, size_t timesteps, bool sequences, size_t *floats,
                    size_t *vectors)
{
    struct layer_shape in = graph->input, out;
    size_t size;
    if (in.sequence && timesteps)
        in.timesteps = timesteps;
    for (size_t i = 0; i <= last; i++, in = out) {
        if (layer_output(&graph->layers[i], &in, gives_sequences(graph, i, sequences), &out, NULL) ||
            !rnn_size_mul(out.timesteps, out.width, &size) || !rnn_size_add(floats[i], size, &floats[i]) ||
            !rnn_size_add(vectors[i], in.timesteps, &vectors[i]))
            return false;
    }
    return true;
}

bool graph_work(const struct graph *graph, const struct rnn_row *rows, size_t n, bool sequences,
                struct graph_work *work)
{
    size_t last = last_computing(graph), floats[GRAPH_MAX_LAYERS], vectors[GRAPH_MAX_LAYERS], total, size;
    memset(floats, 0, (last + 1) * sizeof *floats);
    memset(vectors, 0, (last + 1) * sizeof *vectors);
    for (size_t b = 0; b < n; b++)
        if (!add_row(graph, last, rows[b].timesteps, sequences, floats, vectors))
            return false;
    for (size_t i = 0; i <= last; i++) {
        const struct layer *layer = &graph->layers[i];
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
static bool run_layer(const struct layer *layer, bool sequences, const struct graph_run *run, struct rnn_row *rows,
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

bool graph_run(const struct graph *graph, const struct graph_run *run, struct rnn_row *rows, size_t n)
{
    size_t last = last_computing(graph), passes = 0, states_at = 0;
    struct layer_shape common = graph->input;
    float *final = rows[0].outputs;
    bool whole = true;
    for (size_t i = 0; whole && i <= last; i++) {
        const struct layer *layer = &graph->layers[i];
        if (!layer->class->run)
            continue;
        float *out = i < last ? run->floats + (passes % 2) * run->work.floats : passes ? final : NULL;
        passes++;
        move_states(rows, n, (ptrdiff_t)states_at);
        whole = run_layer(layer, gives_sequences(graph, i, run->sequences), run, rows, n, out, &common);
        move_states(rows, n, -(ptrdiff_t)states_at);
        for (size_t p = 0; layer_part(layer, p); p++)
            states_at += layer_part(layer, p)->stack.state_elems;
    }
    return whole;
}
