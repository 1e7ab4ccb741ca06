/* Made-up requests: shapes are the model's, values say nothing. */
#include "sample.h"

#include "config/model.h"

enum { SAMPLE_STEPS = 4 }; /* where the model leaves the number of timesteps open */

/* From -1 to 1 in steps of an eighth, which text and float32 have exactly. */
static double value_at(size_t place)
{
    return (double)(place % 17) / 8 - 1;
}

/* A tensor of these axes, an open one (0) of SAMPLE_STEPS. place: which number in the axis above. ids below vocabulary. */
static json_t *tensor(const size_t *axes, size_t n, size_t place, bool ids, size_t vocabulary)
{
    if (!n)
        return ids ? json_integer((json_int_t)((place + 1) % (vocabulary ? vocabulary : 1)))
                   : json_real(value_at(place));
    json_t *list = json_array();
    for (size_t i = 0; i < (*axes ? *axes : SAMPLE_STEPS); i++)
        json_array_append_new(list, tensor(axes + 1, n - 1, ids ? i : 7 * place + 3 * i, ids, vocabulary));
    return list;
}

static json_t *sample_input(const struct graph *graph, size_t input)
{
    size_t axes[LAYER_MAX_AXES];
    const struct layer_shape *shape = &graph->inputs[input].shape;
    size_t n = layer_axes(shape, axes);
    if (shape->ids && n > 1) /* a token has no axis */
        n--;
    return tensor(axes, n, 0, shape->ids, shape->ids ? graph_vocabulary(graph, input) : 0);
}

json_t *sample_row(const struct graph *graph)
{
    if (graph->n_inputs == 1)
        return sample_input(graph, 0);
    json_t *row = json_object();
    for (size_t i = 0; i < graph->n_inputs; i++)
        json_object_set_new(row, graph->inputs[i].name, sample_input(graph, i));
    return row;
}

/* [T][F] as [T][1][F]. */
static json_t *time_first(json_t *row)
{
    json_t *steps = json_array(), *step;
    size_t t;
    json_array_foreach(row, t, step)
        json_array_append_new(steps, json_pack("[O]", step));
    json_decref(row);
    return steps;
}

json_t *sample_request(const struct graph *graph)
{
    json_t *row = sample_row(graph);
    return json_pack("{s:o}", "instances", graph->time_major ? time_first(row) : json_pack("[o]", row));
}
