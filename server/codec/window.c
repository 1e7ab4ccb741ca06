/* The memory of a row has the stored timesteps first and then the new ones, so that the newest window is at its end. */
#include "window.h"

#include "batch_memory.h"
#include "lasts.h"
#include "raw_values.h"
#include "slide.h"

#include <string.h>

size_t window_kept_floats(const struct model *model)
{
    return model->window ? (model->window - 1) * model->graph.inputs[0].shape.width + 1
                         : model->graph.state_elems + lasts_floats(model);
}

void window_close(struct batch *batch)
{
    struct batch_window *window = batch->window;
    if (!window)
        return;
    batch_give(batch, window->steps, window->floats, sizeof *window->steps);
    batch_give(batch, window->rows, window->n_rows, sizeof *window->rows);
    batch_give(batch, window, 1, sizeof *window);
    batch->window = NULL;
}

/* Make a window for each row. fresh [n_rows] are the numbers of new timesteps; NULL means none. */
static bool make(struct batch *batch, const struct rnn_row *fresh, struct failure *failure)
{
    const struct model *model = batch->model;
    struct batch_window *window = batch_take(batch, 1, sizeof *window, failure);
    size_t steps = 0;
    if (!window)
        return false;
    batch->window = window;
    *window = (struct batch_window){
        .size = model->window, .width = model->graph.inputs[0].shape.width, .n_rows = batch->n_rows};
    window->rows = batch_take(batch, window->n_rows, sizeof *window->rows, failure);
    if (!window->rows)
        return false;
    for (size_t b = 0; b < window->n_rows; b++) {
        size_t n = fresh ? fresh[b].timesteps : 0;
        window->rows[b] = (struct window_row){.n_fresh = n};
        if (fresh) {
            window->rows[b].fresh = fresh[b].inputs;
            window->rows[b].fresh_stride = fresh[b].input_stride;
        }
        if (!rnn_size_add(steps, window->size - 1 + n, &steps))
            return failure_overloaded(failure);
    }
    if (!rnn_size_mul(steps, window->width, &window->floats) ||
        !(window->steps = batch_take(batch, window->floats, sizeof *window->steps, failure))) {
        window->floats = 0;
        return failure_overloaded(failure);
    }
    float *at = window->steps;
    for (size_t b = 0; b < window->n_rows; b++) {
        window->rows[b].steps = at;
        at += (window->size - 1 + window->rows[b].n_fresh) * window->width;
    }
    memset(window->steps, 0, window->floats * sizeof *window->steps);
    return true;
}

bool window_bind(struct batch *batch, const struct window_options *options, struct failure *failure)
{
    if (!make(batch, batch->rows, failure))
        return false;
    struct batch_window *window = batch->window;
    window->last_for_missing = options->last_for_missing;
    if (options->most_rows)
        return slide_bind_kept(batch, window->size, options->most_rows, failure);
    batch->timesteps = window->n_rows * window->size;
    for (size_t b = 0; b < window->n_rows; b++) {
        const struct window_row *row = &window->rows[b];
        batch->rows[b].inputs = row->steps + (row->n_fresh - 1) * window->width;
        batch->rows[b].input_stride = window->width;
        batch->rows[b].timesteps = window->size;
    }
    return true;
}

bool window_bind_kept(struct batch *batch, const struct json_tensor *timesteps, const char *key,
                      struct failure *failure)
{
    size_t width = batch->model->graph.inputs[0].shape.width, most = batch->model->window - 1;
    const struct json_list *list = timesteps->lists;
    const float *values = timesteps->values;
    if (!make(batch, NULL, failure))
        return false;
    for (size_t b = 0; b < batch->n_rows; b++) {
        const struct json_list *row = ++list;
        bool good = row->length <= most && row->holds != LIST_OF_NUMBERS;
        for (size_t t = 0; good && t < row->length; t++)
            good = (++list)->length == width && list->holds == LIST_OF_NUMBERS;
        if (!good)
            return failure_set(failure, 400, "wrong_shape", key,
                               "Expected [batch][up to %zu timesteps][%zu features], the kept part of each window.",
                               most, width);
        struct window_row *kept = &batch->window->rows[b];
        kept->filled = row->length;
        if (row->length)
            memcpy(kept->steps + (most - row->length) * width, values, row->length * width * sizeof *values);
        values += row->length * width;
    }
    return true;
}

/* Copy the new timesteps behind the stored ones. */
static bool copy_fresh(const struct batch *batch, size_t b, struct failure *failure)
{
    const struct batch_window *window = batch->window;
    const struct window_row *row = &window->rows[b];
    size_t width = window->width;
    float *to = row->steps + (window->size - 1) * width;
    bool kept = row->filled > 0;
    for (size_t t = 0; t < row->n_fresh; t++, to += width)
        for (size_t i = 0; i < width; i++) {
            to[i] = row->fresh[t * row->fresh_stride + i];
            if (!window->last_for_missing || !raw_is_missing_float(to[i]))
                continue;
            if (!t && !kept)
                return raw_nothing_before(batch, b, i, failure);
            memcpy(to + i, to + i - width, sizeof *to);
        }
    return true;
}

/* A row whose window is not full does not run, and its outputs are zeros. */
static void count_as_run(struct batch *batch, size_t b)
{
    const struct graph *graph = &batch->model->graph;
    batch->progress[b].done = batch->rows[b].timesteps;
    for (size_t t = 0; batch->outputs && t < batch->steps[b]; t++)
        memset(batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, 0,
               batch->output.width * sizeof *batch->outputs);
    for (size_t o = 0; batch->more_outputs && o + 1 < graph->n_outputs; o++) {
        const struct batch_output *output = &batch->more_outputs[o];
        memset(output->rows[b], 0, output->steps[b] * output->shape.width * sizeof *output->floats);
    }
}

/* In the memory of the outputs, windows that are not full come last. */
static void clear_places(struct batch *batch)
{
    const struct slide *slide = batch->slide;
    for (size_t o = 0; o < batch->model->graph.n_outputs; o++)
        memset((float *)(uintptr_t)slide_output(batch, o, slide->windows), 0,
               (slide->room - slide->windows) * slide_floats(batch, o) * sizeof *batch->outputs);
}

bool window_load(struct batch *batch, const float *kept, struct failure *failure)
{
    struct batch_window *window = batch->window;
    size_t floats = (window->size - 1) * window->width;
    for (size_t b = 0; b < window->n_rows; b++) {
        struct window_row *row = &window->rows[b];
        row->filled = kept ? (size_t)kept[b * (floats + 1)] : 0;
        if (kept)
            memcpy(row->steps, kept + b * (floats + 1) + 1, floats * sizeof *kept);
        else
            memset(row->steps, 0, floats * sizeof *row->steps);
        if (row->n_fresh && !copy_fresh(batch, b, failure))
            return false;
        size_t before = row->filled < window->size ? row->filled : window->size - 1;
        row->filled = before + row->n_fresh < window->size ? before + row->n_fresh : window->size;
        if (batch->slide) {
            size_t empty = window->size - 1 - before;
            empty = empty < row->n_fresh ? empty : row->n_fresh;
            slide_full(batch, b, row->steps + empty * window->width, empty, row->n_fresh - empty);
        } else if (batch->progress && row->filled < window->size) {
            count_as_run(batch, b);
        }
    }
    if (batch->slide) {
        clear_places(batch);
        slide_restart(batch);
    }
    return true;
}

void window_store(const struct batch *batch, float *kept)
{
    const struct batch_window *window = batch->window;
    size_t floats = (window->size - 1) * window->width;
    for (size_t b = 0; b < window->n_rows; b++, kept += floats + 1) {
        const struct window_row *row = &window->rows[b];
        kept[0] = (float)row->filled;
        memcpy(kept + 1, row->steps + row->n_fresh * window->width, floats * sizeof *kept);
    }
}

bool window_show(struct batch *batch, const float *kept, struct failure *failure)
{
    struct batch_window *window = batch->window;
    size_t floats;
    if (!window && !make(batch, NULL, failure))
        return false;
    window = batch->window;
    floats = (window->size - 1) * window->width;
    for (size_t b = 0; b < window->n_rows; b++, kept += floats + 1) {
        window->rows[b].filled = (size_t)kept[0];
        memcpy(window->rows[b].steps, kept + 1, floats * sizeof *kept);
    }
    return true;
}

size_t window_rows_idle(const struct batch *batch)
{
    size_t n = 0;
    for (size_t b = 0; batch->window && b < batch->n_rows; b++)
        n += batch_row_is_done(batch, b);
    return n;
}
