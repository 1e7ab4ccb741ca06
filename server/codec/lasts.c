/* If values are missing from the first timestep on, their number is stored, so that they can be filled again when the
   rows run again from other states. */
#include "lasts.h"

#include "batch_memory.h"
#include "raw_values.h"

#include <string.h>

struct lasts {
    size_t n, width;
    size_t leading[]; /* [n][width]: the number of timesteps before the first given value */
};

size_t lasts_floats(const struct model *model)
{
    const struct layer_shape *input = &model->graph.inputs[0].shape;
    bool plain = model->graph.n_inputs == 1 && input->rank <= 1 && !input->ids && !input->scalar;
    return plain && !model->window && model->transform && model->transform->missing == MISSING_LAST ? input->width : 0;
}

void lasts_close(struct batch *batch)
{
    if (batch->lasts)
        batch_give(batch, batch->lasts, 1,
                   sizeof *batch->lasts + batch->lasts->n * batch->lasts->width * sizeof(size_t));
    batch->lasts = NULL;
}

/* Value i of row b at timestep t; the row's inputs are the tensor's. */
static float *value_at(const struct batch *batch, size_t b, size_t t, size_t i)
{
    const struct rnn_row *row = &batch->rows[b];
    return (float *)(uintptr_t)row->inputs + t * row->input_stride + i;
}

/* Fill the missing values of one feature. Returns the number of timesteps before the first given value. */
static size_t fill(struct batch *batch, size_t b, size_t i)
{
    size_t timesteps = batch->rows[b].timesteps, t = 0;
    while (t < timesteps && raw_is_missing_float(*value_at(batch, b, t, i)))
        t++;
    size_t leading = t;
    for (; t < timesteps; t++)
        if (raw_is_missing_float(*value_at(batch, b, t, i)))
            memcpy(value_at(batch, b, t, i), value_at(batch, b, t - 1, i), sizeof(float));
    return leading;
}

bool lasts_bind(struct batch *batch, struct failure *failure)
{
    size_t width = lasts_floats(batch->model), n;
    if (!rnn_size_mul(batch->n_rows, width, &n) || n > (SIZE_MAX - sizeof *batch->lasts) / sizeof(size_t))
        return failure_overloaded(failure);
    struct lasts *lasts = batch_take(batch, 1, sizeof *lasts + n * sizeof(size_t), failure);
    if (!lasts)
        return false;
    lasts->n = batch->n_rows;
    lasts->width = width;
    batch->lasts = lasts;
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t i = 0; i < width; i++)
            lasts->leading[b * width + i] = fill(batch, b, i);
    return true;
}

bool lasts_load(struct batch *batch, const float *kept, size_t stride, struct failure *failure)
{
    const struct lasts *lasts = batch->lasts;
    for (size_t b = 0; lasts && b < lasts->n; b++)
        for (size_t i = 0; i < lasts->width; i++) {
            size_t leading = lasts->leading[b * lasts->width + i];
            if (leading && (!kept || raw_is_missing_float(kept[b * stride + i])))
                return raw_nothing_before(batch, b, i, failure);
            for (size_t t = 0; t < leading; t++)
                memcpy(value_at(batch, b, t, i), kept + b * stride + i, sizeof *kept);
        }
    return true;
}

void lasts_store(const struct batch *batch, size_t b, float *kept)
{
    const float none = raw_missing_float();
    for (size_t i = 0; i < lasts_floats(batch->model); i++) {
        const float *last = batch->lasts ? value_at(batch, b, batch->rows[b].timesteps - 1, i) : &none;
        memcpy(kept + i, last, sizeof *kept);
    }
}
