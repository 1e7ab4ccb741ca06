/* Sample requests: the shapes are the model's, the values are arbitrary. */
#include "sample.h"

#include "config/model.h"
#include "config/transform/transform.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLE_STEPS = 4 }; /* if the model takes any number of timesteps */

/* The numbers of an input. */
struct sample_numbers {
    bool ids;
    size_t vocabulary;               /* ids are below it; 0: not known */
    const struct rnn_scaler *scaler; /* of raw values, or NULL */
};

/* From -1 to 1 in steps of an eighth, which text and float32 have exactly. */
static double value_at(size_t place)
{
    return (double)(place % 17) / 8 - 1;
}

/* A raw value with four digits: within the range of a MinMaxScaler, within one deviation of a StandardScaler's mean. */
static double raw_value(const struct rnn_scaler *scaler, size_t column, double value)
{
    char text[32];
    bool ranged = scaler->form == SCALER_MULTIPLIES && scaler->least && scaler->most;
    double raw = ranged ? scaler->least[column] + (value + 1) / 2 * (scaler->most[column] - scaler->least[column])
                        : rnn_scaler_invert(scaler, column, value);
    snprintf(text, sizeof text, "%.4g", raw);
    return isfinite(raw) ? strtod(text, NULL) : value;
}

static json_t *number(const struct sample_numbers *numbers, size_t place, size_t column)
{
    if (numbers->ids)
        return json_integer((json_int_t)((place + 1) % (numbers->vocabulary ? numbers->vocabulary : 1)));
    double value = value_at(place);
    const struct rnn_scaler *scaler = numbers->scaler;
    return json_real(scaler && column < scaler->n ? raw_value(scaler, column, value) : value);
}

/* A tensor with these axes; an open axis (0) has SAMPLE_STEPS. index is the position in the axis above, and place
   varies with the positions in all axes. */
static json_t *tensor(const size_t *axes, size_t n, size_t place, size_t index, const struct sample_numbers *numbers)
{
    if (!n)
        return number(numbers, place, index);
    json_t *list = json_array();
    for (size_t i = 0; i < (*axes ? *axes : SAMPLE_STEPS); i++)
        json_array_append_new(list, tensor(axes + 1, n - 1, numbers->ids ? i : 7 * place + 3 * i, i, numbers));
    return list;
}

static json_t *sample_input(const struct model *model, size_t input)
{
    size_t axes[LAYER_MAX_AXES];
    const struct layer_shape *shape = &model->graph.inputs[input].shape;
    const struct transform *transform = model->transform;
    struct sample_numbers numbers = {.ids = shape->ids};
    size_t n = layer_axes(shape, axes);
    if (shape->ids) {
        numbers.vocabulary = graph_vocabulary(&model->graph, input);
        n -= n > 1; /* a token has no axis */
    } else if (transform && input < transform->n_inputs && transform->inputs[input].scaler.n) {
        numbers.scaler = &transform->inputs[input].scaler;
    }
    return tensor(axes, n, 0, 0, &numbers);
}

static json_t *sample_row(const struct model *model)
{
    const struct graph *graph = &model->graph;
    if (graph->n_inputs == 1)
        return sample_input(model, 0);
    json_t *row = json_object();
    for (size_t i = 0; i < graph->n_inputs; i++)
        json_object_set_new(row, graph->inputs[i].name, sample_input(model, i));
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

json_t *sample_request(const struct model *model)
{
    json_t *row = sample_row(model);
    return json_pack("{s:o}", "instances", model->graph.time_major ? time_first(row) : json_pack("[o]", row));
}
