/* Runs a graph: computes the memory for the rows of a group, and runs the nodes one after the other. */
#include "graph_plan.h"

#include <string.h>

/* ---- the memory for a group of rows ---- */

struct sizes {
    struct layer_shape *shapes; /* [n_values], of the last measured row */
    size_t *totals;             /* [n_values]: floats of all rows; then [n_nodes]: bytes of masks */
    size_t *places;             /* [places]: floats */
    size_t aux, states;         /* floats: work space of a node, and states that exist only during the run */
};

static size_t *masks_of(const struct graph *graph, const struct sizes *sizes)
{
    return sizes->totals + graph->n_values;
}

static size_t count_totals(const struct graph *graph)
{
    return graph->n_values + graph->n_nodes + graph->places;
}

/* The sizes are at the beginning of the arena of a run. The nodes use the rest of the arena. */
static size_t sizes_bytes(const struct graph *graph)
{
    return graph->n_values * sizeof(struct layer_shape) + count_totals(graph) * sizeof(size_t) + 2 * RNN_ALIGNMENT;
}

static void sizes_open(const struct graph *graph, struct arena *arena, struct sizes *sizes)
{
    size_t n = count_totals(graph);
    arena_reset(arena);
    sizes->shapes = arena_alloc(arena, graph->n_values, sizeof *sizes->shapes);
    sizes->totals = arena_alloc(arena, n, sizeof *sizes->totals);
    sizes->aux = sizes->states = 0;
    memset(sizes->totals, 0, n * sizeof *sizes->totals);
    sizes->places = masks_of(graph, sizes) + graph->n_nodes;
}

bool graph_scratch(const struct graph *graph, size_t rows, size_t *bytes)
{
    size_t most = 0, own;
    for (size_t i = 0; i < graph->n_layers; i++) {
        const struct layer *layer = &graph->layers[i];
        if (!layer->class->scratch || !layer->built)
            continue;
        if (!layer->class->scratch(layer, rows, &own))
            return false;
        most = own > most ? own : most;
    }
    return rnn_size_add(most, rnn_round_up(sizes_bytes(graph), RNN_ALIGNMENT), bytes);
}

static void raise(size_t *most, size_t value)
{
    if (value > *most)
        *most = value;
}

static bool add_product(size_t *sum, size_t a, size_t b)
{
    size_t product;
    return rnn_size_mul(a, b, &product) && rnn_size_add(*sum, product, sum);
}

/* Add the needs of one row. */
static bool add_row(const struct graph *graph, struct sizes *sizes)
{
    for (size_t v = 0; v < graph->n_values; v++)
        if (!add_product(&sizes->totals[v], sizes->shapes[v].timesteps, sizes->shapes[v].width))
            return false;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        size_t in = sizes->shapes[node->inputs[0]].timesteps, out = sizes->shapes[node->output].timesteps;
        if (graph->layers[node->layer].masks == MASKS_MADE &&
            !rnn_size_add(masks_of(graph, sizes)[i], in > out ? in : out, &masks_of(graph, sizes)[i]))
            return false;
    }
    return true;
}

/* The work space of node i for rows like the last measured row. */
static bool node_aux(const struct graph *graph, const struct sizes *sizes, size_t i, struct layer_aux *aux)
{
    const struct graph_node *node = &graph->nodes[i];
    const struct layer *layer = &graph->layers[node->layer];
    struct layer_shape in[GRAPH_MAX_INPUTS];
    *aux = (struct layer_aux){0};
    if (!layer->class->aux)
        return true;
    for (size_t k = 0; k < node->n_inputs; k++)
        in[k] = sizes->shapes[node->inputs[k]];
    return layer->class->aux(layer, in, aux);
}

/* Reserve the work space of this row times the number of rows: the rows of a group have similar lengths. */
static bool add_aux(const struct graph *graph, struct sizes *sizes, size_t rows)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct layer_aux aux;
        size_t floats;
        if (!node_aux(graph, sizes, i, &aux) || !rnn_size_mul(aux.row, rows, &floats) ||
            !rnn_size_add(floats, aux.once, &floats))
            return false;
        raise(&sizes->aux, floats);
    }
    return true;
}

/* Write the timesteps of the inputs of row b. Returns true if the row before had the same. */
static bool same_timesteps(const struct graph *graph, const struct rnn_row *rows, const struct layer_view *more,
                           size_t n, size_t b, size_t *timesteps)
{
    bool same = b > 0;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        size_t steps = i ? more[(i - 1) * n + b].timesteps : rows[b].timesteps;
        same = same && steps == timesteps[i];
        timesteps[i] = steps;
    }
    return same;
}

/* Whether the states of a node exist only during the run: they come from another node, or only another node reads
   them. */
static bool has_states_of_run(const struct graph_node *node)
{
    return node->initial != GRAPH_NONE || (node->states != GRAPH_NONE && node->state_offset == GRAPH_NONE);
}

/* Measure all rows. views (or NULL) get the timesteps and strides of every value. */
static bool measure(const struct graph *graph, const struct rnn_row *rows, const struct layer_view *more, size_t n,
                    bool sequences, struct sizes *sizes, struct layer_view *views)
{
    size_t timesteps[GRAPH_MAX_INPUTS];
    for (size_t b = 0; b < n; b++) {
        if (!same_timesteps(graph, rows, more, n, b, timesteps) &&
            (graph_shapes(graph, timesteps, sequences, graph->n_nodes, sizes->shapes, NULL) ||
             !add_aux(graph, sizes, n)))
            return false;
        if (!add_row(graph, sizes))
            return false;
        for (size_t v = 0; views && v < graph->n_values; v++)
            views[v * n + b] =
                (struct layer_view){.timesteps = sizes->shapes[v].timesteps, .stride = sizes->shapes[v].width};
    }
    for (size_t v = 0; v < graph->n_values; v++)
        if (graph->values[v].place != GRAPH_NONE)
            raise(&sizes->places[graph->values[v].place], sizes->totals[v]);
    for (size_t i = 0; i < graph->n_nodes; i++) {
        size_t floats;
        if (!has_states_of_run(&graph->nodes[i]))
            continue;
        if (!rnn_size_mul(n, layer_state_elems(&graph->layers[graph->nodes[i].layer]), &floats))
            return false;
        raise(&sizes->states, floats);
    }
    return true;
}

bool graph_work(const struct graph *graph, const struct rnn_row *rows, const struct layer_view *more_inputs, size_t n,
                bool sequences, struct arena *arena, struct graph_work *work)
{
    struct sizes sizes;
    size_t floats = 0, masks = 0, views = 0, bytes;
    sizes_open(graph, arena, &sizes);
    bool good = measure(graph, rows, more_inputs, n, sequences, &sizes, NULL) &&
                rnn_size_add(sizes.aux, sizes.states, &floats) && rnn_size_mul(graph->n_values + 1, n, &views) &&
                rnn_size_mul(views, sizeof(struct layer_view), &bytes);
    for (size_t p = 0; good && p < graph->places; p++)
        good = rnn_size_add(floats, sizes.places[p], &floats);
    for (size_t i = 0; good && i < graph->n_nodes; i++)
        good = rnn_size_add(masks, masks_of(graph, &sizes)[i], &masks);
    good = good && rnn_size_mul(floats, sizeof(float), &bytes);
    if (!good)
        return false;
    raise(&work->floats, floats);
    raise(&work->masks, masks);
    raise(&work->views, views);
    return true;
}

/* ---- the positions of the values in memory ---- */

/* The fields of a row that nodes change while they run. */
struct kept_row {
    float *states, *outputs;
    bool stepped;
};
/* The kept rows are stored behind the views of the values. */
_Static_assert(sizeof(struct kept_row) <= sizeof(struct layer_view), "a view has room for a kept row");

/* A run of n rows. */
struct pass {
    const struct graph *graph;
    const struct graph_run *run;
    struct rnn_row *rows;
    size_t n;
    struct sizes sizes;
    struct arena rest; /* the rest of the arena, for the nodes */
    float *aux, *states;
    unsigned char *masks;
    struct kept_row *kept; /* [n] */
};

static struct layer_view *views_of(const struct pass *pass, size_t value)
{
    return pass->run->views + value * pass->n;
}

static void place_input(struct pass *pass, size_t i)
{
    struct layer_view *views = views_of(pass, pass->graph->inputs[i].value);
    for (size_t b = 0; b < pass->n; b++) {
        const struct rnn_row *row = &pass->rows[b];
        if (i)
            views[b] = pass->run->more_inputs[(i - 1) * pass->n + b];
        else
            views[b] = (struct layer_view){.at = (float *)row->inputs,
                                           .timesteps = row->timesteps,
                                           .stride = row->input_stride,
                                           .mask = row->mask,
                                           .mask_stride = row->mask_stride};
    }
}

static void place_rows(struct pass *pass, size_t value, float *at)
{
    struct layer_view *views = views_of(pass, value);
    for (size_t b = 0; b < pass->n; b++) {
        views[b].at = at;
        at += views[b].timesteps * views[b].stride;
    }
}

static void place_output(struct pass *pass, size_t value, size_t o)
{
    struct layer_view *views = views_of(pass, value);
    for (size_t b = 0; b < pass->n; b++) {
        views[b].at = o ? pass->run->more_outputs[(o - 1) * pass->n + b] : pass->rows[b].outputs;
        if (pass->graph->time_major)
            views[b].stride = (size_t)pass->rows[b].output_stride;
    }
}

/* The memory contains the buffers one after the other, then the work space of a node, then the states that exist only
   during the run. */
static void place_values(struct pass *pass)
{
    const struct graph *graph = pass->graph;
    float *at = pass->run->floats;
    for (size_t i = 0; i < graph->n_inputs; i++)
        place_input(pass, i);
    for (size_t p = 0; p < graph->places; p++) {
        for (size_t v = 0; v < graph->n_values; v++)
            if (graph->values[v].place == p)
                place_rows(pass, v, at);
        at += pass->sizes.places[p];
    }
    for (size_t v = 0; v < graph->n_values; v++)
        if (graph->values[v].output != GRAPH_NONE)
            place_output(pass, v, graph->values[v].output);
    pass->aux = at;
    pass->states = at + pass->sizes.aux;
    pass->masks = pass->run->masks;
}

/* ---- nodes ---- */

/* Set the masks of a node's outputs, before the node runs. */
static void pass_masks(struct pass *pass, const struct graph_node *node)
{
    const struct layer *layer = &pass->graph->layers[node->layer];
    const struct layer_view *in = views_of(pass, node->inputs[0]);
    struct layer_view *out = views_of(pass, node->output);
    bool sequence = pass->sizes.shapes[node->output].sequence;
    for (size_t b = 0; b < pass->n; b++) {
        bool passes = layer->masks != MASKS_STOP && sequence && in[b].timesteps == out[b].timesteps;
        out[b].mask = passes ? in[b].mask : NULL;
        out[b].mask_stride = in[b].mask_stride;
    }
}

/* Make the output a view of the input. The stride stays the same, unless the layer changes the shape (class->view). */
static void show(struct pass *pass, const struct graph_node *node)
{
    const struct layer_view *in = views_of(pass, node->inputs[0]);
    struct layer_view *out = views_of(pass, node->output);
    bool view = pass->graph->layers[node->layer].class->view;
    for (size_t b = 0; b < pass->n; b++) {
        out[b].at = in[b].at;
        out[b].stride = view ? out[b].stride : in[b].stride;
    }
    pass_masks(pass, node);
}

/* Copy states that come from a value, so that the node does not change the value. */
static void begin_states(struct pass *pass, const struct graph_node *node)
{
    size_t elems = layer_state_elems(&pass->graph->layers[node->layer]);
    for (size_t b = 0; b < pass->n; b++) {
        struct rnn_row *row = &pass->rows[b];
        if (has_states_of_run(node)) {
            row->states = pass->states + b * elems;
            row->stepped = false;
            if (node->initial != GRAPH_NONE)
                memcpy(row->states, views_of(pass, node->initial)[b].at, elems * sizeof(float));
            else
                memset(row->states, 0, elems * sizeof(float));
        } else {
            row->states = node->state_offset == GRAPH_NONE ? NULL : row->states + node->state_offset;
        }
    }
}

static void end_states(struct pass *pass, const struct graph_node *node)
{
    size_t elems = layer_state_elems(&pass->graph->layers[node->layer]);
    for (size_t b = 0; b < pass->n; b++) {
        struct rnn_row *row = &pass->rows[b];
        if (node->states != GRAPH_NONE)
            memcpy(views_of(pass, node->states)[b].at, row->states, elems * sizeof(float));
        row->states = pass->kept[b].states;
        row->stepped = pass->kept[b].stepped;
    }
}

static bool run_node(struct pass *pass, size_t i)
{
    const struct graph *graph = pass->graph;
    const struct graph_node *node = &graph->nodes[i];
    const struct layer *layer = &graph->layers[node->layer];
    const struct layer_view *in[GRAPH_MAX_INPUTS];
    struct layer_shape shapes[GRAPH_MAX_INPUTS];
    struct layer_run run = {.in = in,
                            .in_shapes = shapes,
                            .out = views_of(pass, node->output),
                            .second = node->second == GRAPH_NONE ? NULL : views_of(pass, node->second),
                            .out_shape = &pass->sizes.shapes[node->output],
                            .n_inputs = node->n_inputs,
                            .n = pass->n,
                            .rows = pass->rows,
                            .order = pass->run->order,
                            .sequences = graph_gives_sequences(graph, i, pass->run->sequences),
                            .mask_of_layer = graph->values[node->inputs[0]].masked,
                            .masks = pass->masks,
                            .aux = pass->aux,
                            .arena = &pass->rest,
                            .team = pass->run->team,
                            .stop = pass->run->stop,
                            .stop_context = pass->run->stop_context};
    for (size_t k = 0; k < node->n_inputs; k++) {
        in[k] = views_of(pass, node->inputs[k]);
        shapes[k] = pass->sizes.shapes[node->inputs[k]];
    }
    for (size_t b = 0; b < pass->n; b++)
        run.vectors += in[0][b].timesteps;                       // cppcheck-suppress uninitvar ; a node has an input
    run.vectors *= shapes[0].width / layer_features(&shapes[0]); // cppcheck-suppress uninitvar
    pass_masks(pass, node);
    bool stateful = layer->class->states != NULL;
    if (stateful)
        begin_states(pass, node);
    bool whole = layer->class->run(layer, &run);
    if (stateful)
        end_states(pass, node);
    pass->masks += masks_of(graph, &pass->sizes)[i];
    return whole;
}

/* Copy outputs that are views of other memory. */
static void copy_outputs(const struct pass *pass)
{
    const struct graph *graph = pass->graph;
    for (size_t o = 0; o < graph->n_outputs; o++) {
        size_t value = graph->outputs[o].value;
        if (graph->values[graph->values[value].base].output == o)
            continue;
        const struct layer_view *views = views_of(pass, value);
        for (size_t b = 0; b < pass->n; b++) {
            float *to = o ? pass->run->more_outputs[(o - 1) * pass->n + b] : pass->kept[b].outputs;
            memcpy(to, views[b].at, views[b].timesteps * pass->sizes.shapes[value].width * sizeof *to);
        }
    }
}

bool graph_run(const struct graph *graph, const struct graph_run *run, struct rnn_row *rows, size_t n)
{
    struct pass pass = {.graph = graph, .run = run, .rows = rows, .n = n};
    sizes_open(graph, run->arena, &pass.sizes);
    pass.rest = (struct arena){run->arena->base + run->arena->used, run->arena->size - run->arena->used, 0};
    bool whole = measure(graph, rows, run->more_inputs, n, run->sequences, &pass.sizes, run->views);
    if (whole) {
        pass.kept = (struct kept_row *)(run->views + graph->n_values * n);
        for (size_t b = 0; b < n; b++)
            pass.kept[b] = (struct kept_row){rows[b].states, rows[b].outputs, rows[b].stepped};
        place_values(&pass);
    }
    for (size_t i = 0; whole && i < graph->n_nodes; i++) {
        if (graph->layers[graph->nodes[i].layer].class->run)
            whole = run_node(&pass, i);
        else
            show(&pass, &graph->nodes[i]);
    }
    if (whole)
        copy_outputs(&pass);
    return whole;
}
