/* Innermost lists are timesteps: column i of the scaler applies to element i of a timestep. */
#include "raw_values.h"

#include "core/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool raw_is_missing(double value)
{
    const double missing = raw_missing();
    return !memcmp(&value, &missing, sizeof value);
}

bool raw_is_missing_float(float value)
{
    const float missing = raw_missing_float();
    return !memcmp(&value, &missing, sizeof value);
}

bool raw_reading_of(const struct model *model, size_t i, struct raw_reading *out)
{
    const struct transform *transform = model ? model->transform : NULL;
    if (!transform || i >= transform->n_inputs)
        return false;
    const struct layer_shape *shape = &model->graph.inputs[i].shape;
    *out = (struct raw_reading){transform, &transform->inputs[i], shape->ids ? 1 : shape->width,
                                shape->sequence && !model->graph.time_major};
    return true;
}

/* ---- scaling ---- */

/* "/instances/0/3/1": the path of element i of list number `list`. */
static const char *path_of(const struct json_tensor *tensor, size_t list, size_t i, const char *key, char *out,
                           size_t size)
{
    size_t at[TENSOR_MAX_DEPTH], left[TENSOR_MAX_DEPTH], depth = 0, n;
    for (size_t l = 0; l < list; l++) {
        const struct json_list *one = &tensor->lists[l];
        if (one->holds == LIST_OF_LISTS && one->length) {
            at[depth] = 0;
            left[depth++] = one->length;
            continue;
        }
        while (depth && ++at[depth - 1] == left[depth - 1])
            depth--;
    }
    n = (size_t)snprintf(out, size, "/%s", key);
    for (size_t d = 0; d < depth && n < size; d++)
        n += (size_t)snprintf(out + n, size - n, "/%zu", at[d]);
    if (n < size)
        snprintf(out + n, size - n, "/%zu", i);
    return out;
}

static bool beyond(const struct json_tensor *tensor, size_t list, size_t i, const char *key, struct failure *failure)
{
    char path[160];
    return failure_set(failure, 400, "number_out_of_range", path_of(tensor, list, i, key, path, sizeof path),
                       "Scaled, this number is beyond the range of float32.");
}

/* Scale one timestep of n numbers from x to out, which may be the same memory. weight: see drift_count. Returns the
   index of the first number that does not fit a float32, or SIZE_MAX. */
static size_t scale_timestep(const struct raw_reading *raw, double weight, const double *x, size_t n, float *out)
{
    const struct rnn_scaler *scaler = &raw->input->scaler;
    size_t wrong = SIZE_MAX;
    if (raw->input->drift)
        drift_count(raw->input->drift, scaler, x, n, weight);
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, x + i, sizeof value);
        if (raw_is_missing(value)) {
            if (raw->transform->missing != MISSING_NUMBER) {
                const float mark = raw_missing_float();
                memcpy(out + i, &mark, sizeof mark);
                continue;
            }
            value = raw->transform->missing_value;
        }
        double scaled = i < scaler->n ? rnn_scaler_apply(scaler, i, value) : value;
        float single = (float)scaled;
        if (isinf(single) && !isinf(value) && wrong == SIZE_MAX)
            wrong = i;
        memcpy(out + i, &single, sizeof single);
    }
    return wrong;
}

/* drift: the counter for mean and variance, or NULL. */
static bool scale_each(struct json_tensor *tensor, struct drift *drift, const char *key, struct failure *failure)
{
    const double *x = tensor->raw_values;
    float *out = (float *)(void *)tensor->raw_values;
    size_t timestep = 0;
    for (size_t l = 0; l < tensor->n_lists; l++) {
        const struct json_list *list = &tensor->lists[l];
        if (list->holds != LIST_OF_NUMBERS)
            continue;
        bool ids = tensor->raw->input->tokens; /* then a list is a whole sequence */
        size_t n = list->length, wrong = SIZE_MAX;
        bool seen = drift && (timestep < DRIFT_ALL || timestep % DRIFT_EACH == 0);
        double weight = seen ? drift_weight(drift) : 0;
        timestep++;
        if (!ids || tensor->missing)
            wrong = scale_timestep(tensor->raw, weight, x, n, out);
        for (size_t i = 0; ids && !tensor->missing && i < n; i++) {
            const float id = (float)x[i];
            memcpy(out + i, &id, sizeof id);
        }
        if (wrong != SIZE_MAX)
            return beyond(tensor, l, wrong, key, failure);
        x += n;
        out += n;
    }
    return true;
}

static bool scale_lists(struct json_tensor *tensor, const char *key, struct failure *failure)
{
    struct drift *drift = tensor->raw->input->drift;
    bool counts = drift && drift_begin(drift), good = scale_each(tensor, counts ? drift : NULL, key, failure);
    if (counts)
        drift_end(drift);
    tensor->values = (float *)(void *)tensor->raw_values;
    return good;
}

void raw_to_plain(struct json_tensor *tensor)
{
    float *out = (float *)(void *)tensor->raw_values;
    for (size_t i = 0; i < tensor->n_values; i++) {
        double value;
        memcpy(&value, tensor->raw_values + i, sizeof value);
        const float single = (float)value;
        memcpy(out + i, &single, sizeof single);
    }
    tensor->values = out;
}

void raw_from_elements(struct json_tensor *tensor, const struct named_tensor *elements)
{
    const double missing = raw_missing();
    bool takes = tensor->raw->transform->missing != MISSING_REFUSED;
    for (size_t i = 0; i < elements->elements; i++) {
        double value = tensor_element(elements, i);
        bool none = takes && isnan(value);
        tensor->missing |= none;
        tensor->raw_values[i] = none ? missing : value;
    }
    tensor->n_values = elements->elements;
}

bool raw_is_finite(const struct json_tensor *tensor)
{
    bool finite = true;
    for (size_t i = 0; i < tensor->n_values; i++)
        finite &= isfinite(tensor->raw_values[i]) || raw_is_missing(tensor->raw_values[i]);
    return finite;
}

/* ---- padding ---- */

/* The number of rows of a tensor whose rows have ids or timesteps of `width` numbers; 0 for other tensors. */
static size_t rows_to_pad(const struct json_tensor *tensor, bool ids)
{
    const struct json_list *list = tensor->lists;
    size_t rows = tensor->n_lists && list->holds == LIST_OF_LISTS ? list++->length : 0;
    for (size_t b = 0; b < rows; b++) {
        if (ids ? list->holds == LIST_OF_LISTS : list->holds == LIST_OF_NUMBERS)
            return 0;
        size_t steps = ids ? 0 : list->length;
        list++;
        for (size_t t = 0; t < steps; t++, list++)
            if (list->holds != LIST_OF_NUMBERS || list->length != (list - t)->length)
                return 0;
    }
    return rows;
}

/* Pad or cut one row of `steps` timesteps to pad->length timesteps. */
static void pad_row(const struct transform_pad *pad, const float *from, size_t steps, size_t width, float *to)
{
    size_t kept = steps < pad->length ? steps : pad->length, padded = pad->length - kept;
    if (!pad->cut_after)
        from += (steps - kept) * width;
    float *padding = pad->after ? to + kept * width : to;
    memcpy(pad->after ? to : to + padded * width, from, kept * width * sizeof *to);
    for (size_t i = 0; i < padded * width; i++)
        padding[i] = (float)pad->value;
}

/* The value of padding is in the model's units, as in a pipeline that pads after scaling. */
static bool pad_rows(struct json_tensor *tensor, struct memory_share *share, struct failure *failure)
{
    const struct transform_pad *pad = &tensor->raw->transform->pad;
    bool ids = tensor->raw->input->tokens;
    size_t width = tensor->raw->width, rows = tensor->raw->sequence ? rows_to_pad(tensor, ids) : 0, total, bytes;
    if (!pad->length || !rows)
        return true;
    float *values = rnn_size_mul(rows, pad->length, &total) && rnn_size_mul(total, width, &total) &&
                            rnn_size_mul(total, sizeof *values, &bytes)
                        ? memory_realloc(share, NULL, 0, bytes)
                        : NULL;
    if (!values)
        return failure_overloaded(failure);
    const struct json_list *list = tensor->lists + 1;
    const float *from = tensor->values;
    for (size_t b = 0; b < rows; b++) {
        size_t steps = list->length;
        if (!ids && steps && list[1].length != width) { /* batch_bind reports a wrong number of features */
            free(values);
            memory_give(share, bytes);
            return true;
        }
        pad_row(pad, from, steps, width, values + b * pad->length * width);
        from += steps * width;
        list += ids ? 1 : 1 + steps;
    }
    free(tensor->raw_values);
    memory_give(share, tensor->values_room * sizeof *tensor->raw_values);
    tensor->raw_values = NULL;
    tensor->values = values;
    tensor->values_room = tensor->n_values = total;
    const size_t shape[3] = {rows, pad->length, width};
    return json_tensor_reshape(tensor, shape, ids ? 2 : 3, share) || failure_overloaded(failure);
}

bool raw_to_values(struct json_tensor *tensor, const char *key, struct memory_share *share, struct failure *failure)
{
    return !tensor->raw || !tensor->present || (scale_lists(tensor, key, failure) && pad_rows(tensor, share, failure));
}

/* ---- missing values ---- */

bool raw_nothing_before(const struct batch *batch, size_t b, size_t i, struct failure *failure)
{
    char row[100], path[128];
    snprintf(path, sizeof path, "%s/0/%zu", batch_row_path(batch, b, row, sizeof row), i);
    return failure_set(
        failure, 400, "missing_value", path,
        "The first value of a sequence is missing (null), and there is no previous value to replace it.");
}

bool raw_fill_missing(const struct batch *batch, size_t width, const float *before, struct failure *failure)
{
    for (size_t b = 0; b < batch->n_rows; b++) {
        const struct rnn_row *row = &batch->rows[b];
        const float *last = before ? before + b * width : NULL;
        for (size_t t = 0; t < row->timesteps; t++) {
            float *x = (float *)(uintptr_t)row->inputs + t * row->input_stride; /* the tensor owns the values */
            for (size_t i = 0; i < width; i++) {
                if (!raw_is_missing_float(x[i]))
                    continue;
                if (!last || raw_is_missing_float(last[i]))
                    return raw_nothing_before(batch, b, i, failure);
                x[i] = last[i];
            }
            last = x;
        }
    }
    return true;
}

/* ---- outputs ---- */

bool raw_has_outputs(const struct model *model)
{
    for (size_t i = 0; model->transform && i < model->transform->n_outputs; i++)
        if (model->transform->outputs[i].scaler.n)
            return true;
    return false;
}

void raw_outputs(const struct model *model, size_t output, float *vectors, size_t n, size_t width)
{
    const struct rnn_scaler *scaler = &model->transform->outputs[output].scaler;
    for (size_t v = 0; v < n; v++, vectors += width)
        for (size_t i = 0; i < scaler->n && i < width; i++)
            vectors[i] = (float)rnn_scaler_invert(scaler, i, (double)vectors[i]);
}
