/* Made-up requests: shapes are the model's, values say nothing. */
#include "sample.h"

#include "config/model.h"

enum { SAMPLE_STEPS = 4 }; /* where the model leaves the number of timesteps open */

/* From -0.9 to 0.9 in steps of a tenth. */
static double value_at(size_t timestep, size_t feature)
{
    return (double)((7 * timestep + 3 * feature) % 19) / 10 - 0.9;
}

static json_t *vector(size_t timestep, size_t width)
{
    json_t *values = json_array();
    for (size_t f = 0; f < width; f++)
        json_array_append_new(values, json_real(value_at(timestep, f)));
    return values;
}

json_t *sample_row(const struct graph *graph)
{
    const struct layer_shape *input = &graph->input;
    size_t steps = input->timesteps ? input->timesteps : SAMPLE_STEPS, vocabulary = graph_vocabulary(graph);
    if (!input->sequence)
        return vector(0, input->width);
    json_t *row = json_array();
    for (size_t t = 0; t < steps; t++)
        json_array_append_new(row, input->ids ? json_integer((json_int_t)((t + 1) % (vocabulary ? vocabulary : 1)))
                                              : vector(t, input->width));
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
