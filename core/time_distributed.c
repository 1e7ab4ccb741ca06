/* The timesteps of all rows become rows of the inner graph, GROUP at a time. Source:
   keras/layers/rnn/time_distributed.py. */
#include "time_distributed.h"

#include "core/layers/embedding.h"
#include "core/layers/masking.h"
#include "graph_plan.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUP = 16 }; /* timesteps that run together */

/* ---- shapes ---- */

bool time_distributed_timestep(const struct layer_shape *in, struct layer_shape *out)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    if (in->ids) {
        *out = (struct layer_shape){.sequence = true, .scalar = true, .ids = true, .timesteps = in->width, .width = 1};
        return n == 2;
    }
    return n > 1 && layer_shape_of(n - 1, axes + 1, out);
}

/* A copy of the inner graph, with another shape of its input. */
static struct graph with_input(const struct time_distributed *own, struct graph_port ports[GRAPH_MAX_INPUTS],
                               const struct layer_shape *shape)
{
    struct graph graph = own->graph;
    memcpy(ports, graph.inputs, graph.n_inputs * sizeof *ports);
    ports[0].shape = *shape;
    graph.inputs = ports;
    return graph;
}

/* Whether a mask that an inner layer makes would leave the inner graph and apply to later layers. */
static bool lets_masks_out(const struct time_distributed *own, const struct layer_shape *out)
{
    bool made = false;
    for (size_t i = 0; i < own->graph.n_layers; i++) {
        const struct layer *layer = &own->graph.layers[i];
        made |= layer->class == &layer_masking ||
                (layer->class == &layer_embedding && ((const struct embedding *)layer->own)->mask_zero);
    }
    return made && (out->sequence || graph_last_layer(&own->graph, 0)->class == &layer_masking);
}

static bool same_axes(const struct layer_shape *a, const struct layer_shape *b)
{
    size_t x[LAYER_MAX_AXES], y[LAYER_MAX_AXES], n = layer_axes(a, x);
    return layer_axes(b, y) == n && !memcmp(x, y, n * sizeof *x);
}

static enum rnn_status td_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                struct layer_shape *out, struct rnn_error *err)
{
    const struct time_distributed *own = layer->own;
    struct layer_shape shape, inner;
    struct graph_port ports[GRAPH_MAX_INPUTS];
    size_t axes[LAYER_MAX_AXES] = {in->timesteps}, more[LAYER_MAX_AXES];
    (void)sequences;
    if (!time_distributed_timestep(in, &shape))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (TimeDistributed) takes a sequence, not one vector",
                        layer->name);
    const struct graph graph = with_input(own, ports, &shape);
    enum rnn_status status = RNN_OK;
    if (layer->built && same_axes(&shape, &own->graph.inputs[0].shape))
        inner = own->graph.outputs[0].shape; /* runs call this function: no allocation */
    else
        status = graph_output_shapes(&graph, NULL, graph.return_sequences, NULL, &inner, err);
    if (status)
        return status;
    if (lets_masks_out(own, &inner))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (TimeDistributed): its inner layer makes a mask, which cannot apply to layers "
                        "outside; move the layers that use the mask into the TimeDistributed",
                        layer->name);
    size_t n = layer_axes(&inner, more);
    if (n >= LAYER_MAX_AXES)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (TimeDistributed) gives more axes than %d", layer->name,
                        LAYER_MAX_AXES);
    memcpy(axes + 1, more, n * sizeof *more);
    if (inner.sequence && !inner.timesteps)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (TimeDistributed): the output size of its inner layer is unknown", layer->name);
    if (n && !layer_shape_of(n + 1, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    if (!n)
        *out = (struct layer_shape){.sequence = true, .scalar = true, .timesteps = in->timesteps, .width = 1};
    return RNN_OK;
}

/* ---- weights ---- */

static const struct layer_shape no_shapes[GRAPH_MAX_INPUTS];

bool time_distributed_find(const struct time_distributed *own, size_t i, size_t *layer, size_t *tensor)
{
    struct layer_tensor t;
    for (int frozen = 0; frozen < 2; frozen++)
        for (*layer = 0; *layer < own->graph.n_layers; ++*layer)
            for (*tensor = 0; layer_tensor_at(&own->graph.layers[*layer], no_shapes, *tensor, &t); ++*tensor)
                if (t.frozen == frozen && !i--)
                    return true;
    return false;
}

bool time_distributed_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out)
{
    const struct time_distributed *own = layer->own;
    struct layer_shape shape, inner_in[GRAPH_MAX_INPUTS] = {{0}};
    struct layer_tensor t;
    struct graph_port ports[GRAPH_MAX_INPUTS];
    size_t inner, tensor;
    if (!time_distributed_find(own, i, &inner, &tensor))
        return false;
    if (time_distributed_timestep(in, &shape)) {
        const struct graph graph = with_input(own, ports, &shape);
        size_t node = graph_node_of(&graph, inner);
        if (node < graph.n_nodes)
            graph_node_shapes(&graph, node, NULL, inner_in, NULL, NULL);
    }
    layer_tensor_at(&own->graph.layers[inner], inner_in, tensor, &t);
    *out = t;
    snprintf(out->name, sizeof out->name, "%.90s%.36s", own->names[inner].tensors, t.name);
    return true;
}

/* The tensors of inner layer `inner`, in its own order. */
static const float **tensors_of(const struct time_distributed *own, size_t inner, const float *const *tensors)
{
    const float **mine = NULL;
    size_t layer, tensor, n = 0;
    for (size_t i = 0; time_distributed_find(own, i, &layer, &tensor); i++)
        n += layer == inner;
    mine = calloc(n + 1, sizeof *mine);
    for (size_t i = 0; mine && time_distributed_find(own, i, &layer, &tensor); i++)
        if (layer == inner)
            mine[tensor] = tensors[i];
    return mine;
}

static enum rnn_status build_inner(struct layer *layer, size_t inner, const float *const *tensors,
                                   struct rnn_error *err)
{
    struct time_distributed *own = layer->own;
    struct layer_shape in[GRAPH_MAX_INPUTS];
    size_t node = graph_node_of(&own->graph, inner);
    if (node == own->graph.n_nodes)
        return RNN_OK;
    enum rnn_status status = graph_node_shapes(&own->graph, node, NULL, in, NULL, err);
    const float **mine = status ? NULL : tensors_of(own, inner, tensors);
    if (!status && !mine)
        status = rnn_fail(err, RNN_ENOMEM, "out of memory");
    own->graph.layers[inner].format = layer->format;
    if (!status)
        status = layer_build(&own->graph.layers[inner], in, mine, layer->vec, err);
    free(mine);
    return status;
}

/* Compute the memory for a group of timesteps. */
static enum rnn_status measure_group(struct layer *layer, struct rnn_error *err)
{
    struct time_distributed *own = layer->own;
    struct rnn_row rows[GROUP];
    struct arena arena = {0};
    size_t bytes;
    for (size_t i = 0; i < GROUP; i++)
        rows[i] = (struct rnn_row){.timesteps = own->graph.inputs[0].shape.timesteps};
    own->work = (struct graph_work){.floats = 0};
    bool fits = graph_scratch(&own->graph, GROUP, &bytes), reserved = fits && arena_reserve(&arena, bytes);
    fits = fits &&
           (!reserved || graph_work(&own->graph, rows, NULL, GROUP, own->graph.return_sequences, &arena, &own->work));
    arena_close(&arena);
    if (!fits)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": the size of its work space overflows", layer->name);
    return reserved ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory");
}

enum rnn_status time_distributed_layers(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                        struct rnn_error *err)
{
    struct time_distributed *own = layer->own;
    time_distributed_timestep(in, &own->graph.inputs[0].shape);
    enum rnn_status status = RNN_OK;
    for (size_t i = 0; i < own->graph.n_layers && !status; i++)
        status = build_inner(layer, i, tensors, err);
    return status ? status : graph_finish(&own->graph, err);
}

static enum rnn_status td_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                struct rnn_error *err)
{
    enum rnn_status status = time_distributed_layers(layer, in, tensors, err);
    return status ? status : measure_group(layer, err);
}

static void td_close(void *own)
{
    struct time_distributed *td = own;
    graph_close(&td->graph);
    free(td->names);
}

static size_t td_bytes(const struct layer *layer)
{
    return graph_bytes(&((const struct time_distributed *)layer->own)->graph);
}

static bool td_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    (void)rows;
    return graph_scratch(&((const struct time_distributed *)layer->own)->graph, GROUP, bytes);
}

/* ---- running ---- */

/* The memory of a group, in layer_run.aux. */
struct group {
    float *floats, *states;
    struct layer_view *views;
    struct rnn_row *rows, **order;
    unsigned char *masks;
};

/* Returns the bytes of a group. Unless base is NULL, sets *out to the arrays in this memory. */
static size_t lay_out(const struct time_distributed *own, char *base, struct group *out)
{
    size_t states = GROUP * own->graph.state_elems * sizeof(float), at = 0;
    const size_t sizes[] = {own->work.views * sizeof(struct layer_view),
                            GROUP * sizeof(struct rnn_row),
                            GROUP * sizeof(struct rnn_row *),
                            own->work.floats * sizeof(float),
                            states,
                            own->work.masks};
    char *parts[6];
    for (size_t i = 0; i < 6; i++) {
        parts[i] = base ? base + at : NULL;
        at += rnn_round_up(sizes[i], RNN_ALIGNMENT);
    }
    if (base)
        *out = (struct group){.views = (void *)parts[0],
                              .rows = (void *)parts[1],
                              .order = (void *)parts[2],
                              .floats = (void *)parts[3],
                              .states = (void *)parts[4],
                              .masks = (void *)parts[5]};
    return at;
}

static bool td_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    (void)in;
    aux->once = (lay_out(layer->own, NULL, NULL) + RNN_ALIGNMENT) / sizeof(float);
    return true;
}

static bool run_group(const struct time_distributed *own, const struct layer_run *outer, const struct group *group,
                      size_t n, const float *x, float *out)
{
    const struct graph *graph = &own->graph;
    const struct layer_shape *in = &graph->inputs[0].shape, *given = &graph->outputs[0].shape;
    const struct graph_run run = {.sequences = graph->return_sequences,
                                  .work = own->work,
                                  .floats = group->floats,
                                  .masks = group->masks,
                                  .views = group->views,
                                  .order = group->order,
                                  .arena = outer->arena,
                                  .stop = outer->stop,
                                  .stop_context = outer->stop_context};
    memset(group->states, 0, n * graph->state_elems * sizeof(float));
    for (size_t i = 0; i < n; i++)
        group->rows[i] = (struct rnn_row){.inputs = x + i * in->timesteps * in->width,
                                          .timesteps = in->timesteps,
                                          .input_stride = in->width,
                                          .states = group->states + i * graph->state_elems,
                                          .outputs = out + i * given->timesteps * given->width,
                                          .output_stride = (ptrdiff_t)given->width};
    return graph_run(graph, &run, group->rows, n);
}

/* The timesteps of all rows are contiguous. */
static bool td_run(const struct layer *layer, struct layer_run *run)
{
    const struct time_distributed *own = layer->own;
    const struct layer_shape *in = &own->graph.inputs[0].shape, *given = &own->graph.outputs[0].shape;
    struct group group;
    uintptr_t base = (uintptr_t)run->aux;
    lay_out(own, (char *)run->aux + (-base & (RNN_ALIGNMENT - 1)), &group);
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    size_t left = 0;
    for (size_t b = 0; b < run->n; b++)
        left += run->in[0][b].timesteps;
    while (left) {
        size_t n = left < GROUP ? left : GROUP;
        if (!run_group(own, run, &group, n, x, out))
            return false;
        x += n * in->timesteps * in->width;
        out += n * given->timesteps * given->width;
        left -= n;
    }
    return true;
}

/* 0: the inner graph takes no ids. */
static size_t td_vocabulary(const struct layer *layer)
{
    const struct time_distributed *own = layer->own;
    return graph_vocabulary(&own->graph, 0);
}

const struct layer_class layer_time_distributed = {
    .size = sizeof(struct time_distributed),
    .masks = MASKS_PASS,
    .pointwise = true,
    .close = td_close,
    .bytes = td_bytes,
    .tensor = time_distributed_tensor,
    .shape = td_shape,
    .build = td_build,
    .scratch = td_scratch,
    .aux = td_aux,
    .vocabulary = td_vocabulary,
    .run = td_run,
};
