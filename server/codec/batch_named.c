/* Checks lists of any depth against the axes of an input, and gives each row a view of its numbers. */
#include "batch_named.h"

#include "batch_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A walk over the lists of a tensor, in preorder. */
struct walk {
    const struct batch *batch;
    const struct json_tensor *tensor;
    const struct graph_port *port;
    const char *key;
    bool rows, several;
    size_t list, values; /* the next list */
    size_t axes[LAYER_MAX_AXES], n_axes;
    size_t row;
    struct failure *failure;
};

__attribute__((format(printf, 3, 4))) static bool fail(const struct walk *w, const char *code, const char *format, ...)
{
    char path[160], text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (w->several && w->rows)
        snprintf(path, sizeof path, "/%s/%zu/%s", w->key, w->row, w->port->name);
    else if (w->several)
        snprintf(path, sizeof path, "/%s/%s/%zu", w->key, w->port->name, w->row);
    else
        snprintf(path, sizeof path, "/%s/%zu", w->key, w->row);
    return failure_set(w->failure, strcmp(code, "too_many_timesteps") ? 400 : 413, code, path, "%s", text);
}

/* Check the list of an axis and all lists below it; *first is its length. */
static bool walk_axis(struct walk *w, size_t axis, size_t *first)
{
    const struct json_list *list = &w->tensor->lists[w->list++];
    bool last = axis + 1 == w->n_axes;
    size_t below;
    *first = list->length;
    if (!list->length)
        return fail(w, "empty_input", "%s",
                    axis ? "A list of this input is empty." : "This sequence has no timesteps.");
    if (w->axes[axis] && list->length != w->axes[axis])
        return fail(w, "wrong_shape", "Expected %zu elements along axis %zu of this input.", w->axes[axis], axis + 1);
    if (list->holds != (last ? LIST_OF_NUMBERS : LIST_OF_LISTS))
        return fail(w, "wrong_shape",
                    last ? "Expected numbers %zu lists deep; found lists." : "Expected lists %zu deep; found numbers.",
                    w->n_axes);
    if (last)
        w->values += list->length;
    for (size_t i = 0; !last && i < list->length; i++)
        if (!walk_axis(w, axis + 1, &below))
            return false;
    return true;
}

/* Ids are indices into a table. Fractions are cut off, as in Keras. */
static bool check_ids(const struct walk *w, size_t vocabulary, size_t first)
{
    for (size_t i = first; vocabulary && i < w->values; i++) {
        double id = (double)w->tensor->values[i];
        if (!(id > -1 && id < (double)vocabulary))
            return fail(w, "id_out_of_range", "Expected whole numbers from 0 to %zu, rows of the Embedding.",
                        vocabulary - 1);
    }
    return true;
}

/* The shape of one row of an input. */
static struct layer_shape row_shape(const struct batch *batch, const struct graph_port *port)
{
    struct layer_shape shape = port->shape;
    if (batch->single || batch->any_length)
        shape.timesteps = shape.sequence ? 0 : shape.timesteps;
    if (batch->single)
        shape.sequence = false;
    return shape;
}

static bool walk_row(struct walk *w, size_t vocabulary, size_t most, struct layer_view *out)
{
    size_t first = w->values, length = 1;
    *out = (struct layer_view){.at = w->tensor->values + first, .timesteps = 1, .stride = w->port->shape.width};
    if (w->n_axes ? !walk_axis(w, 0, &length) : !++w->values)
        return false;
    if (w->port->shape.sequence && !w->batch->single)
        out->timesteps = length;
    if (out->timesteps > most)
        return fail(w, "too_many_timesteps", "Expected at most %zu timesteps (limits.max_timesteps), found %zu.", most,
                    out->timesteps);
    return check_ids(w, vocabulary, first);
}

/* Bind all rows of input k. */
static bool bind_input(struct batch *batch, size_t k, struct walk *w, const struct batch_limits *limits)
{
    const struct graph *graph = &batch->model->graph;
    const struct json_list *outer = w->tensor->lists;
    struct layer_shape shape = row_shape(batch, w->port);
    size_t vocabulary = graph_vocabulary(graph, k);
    w->n_axes = layer_axes(&shape, w->axes);
    w->list = 1;
    if (outer->length && outer->holds != (w->n_axes ? LIST_OF_LISTS : LIST_OF_NUMBERS))
        return fail(w, "wrong_shape", "Expected lists of [batch] and %zu more axes, found another number of axes.",
                    w->n_axes);
    if (outer->length != batch->n_rows)
        return fail(w, "wrong_shape", "Expected %zu rows, as in the first input, found %zu.", batch->n_rows,
                    (size_t)outer->length);
    for (w->row = 0; w->row < batch->n_rows; w->row++) {
        struct layer_view view;
        if (!walk_row(w, vocabulary, limits->max_timesteps, &view))
            return false;
        batch->timesteps += view.timesteps;
        if (k)
            batch->more_inputs[(k - 1) * batch->n_rows + w->row] = view;
        else
            batch->rows[w->row] =
                (struct rnn_row){.inputs = view.at, .timesteps = view.timesteps, .input_stride = view.stride};
    }
    return true;
}

bool batch_needs_named(const struct graph *graph)
{
    const struct layer_shape *first = &graph->inputs[0].shape;
    return graph->n_inputs > 1 || first->rank > 1 || (first->scalar && !first->ids) || (first->ids && first->width > 1);
}

bool batch_bind_named(struct batch *batch, const struct json_tensor *tensors, const char *key, bool rows,
                      const struct batch_limits *limits, struct failure *failure)
{
    const struct graph *graph = &batch->model->graph;
    bool several = graph->n_inputs > 1;
    char path[160];
    snprintf(batch->key, sizeof batch->key, "%s", several && !rows ? "" : key);
    for (size_t k = 0; k < graph->n_inputs; k++)
        if (!tensors[k].present)
            return failure_set(failure, 400, "missing_key", "", "The body needs the input \"%s\" in \"%s\".",
                               graph->inputs[k].name, key);
    size_t n = tensors[0].lists[0].length;
    snprintf(path, sizeof path, "/%s", key);
    if (!n)
        return failure_set(failure, 400, "empty_input", path, "There is nothing to predict: the list is empty.");
    if (n > limits->max_rows)
        return failure_set(failure, 413, "too_many_rows", path,
                           "Expected at most %zu sequences (limits.max_rows), found %zu.", limits->max_rows, n);
    batch->n_rows = n;
    batch->rows = batch_take(batch, n, sizeof *batch->rows, failure);
    batch->more_inputs = batch_take(batch, n * (graph->n_inputs - 1), sizeof *batch->more_inputs, failure);
    if (!batch->rows || !batch->more_inputs)
        return false;
    memset(batch->rows, 0, n * sizeof *batch->rows);
    for (size_t k = 0; k < graph->n_inputs; k++) {
        struct walk walk = {.batch = batch,
                            .tensor = &tensors[k],
                            .port = &graph->inputs[k],
                            .key = key,
                            .rows = rows,
                            .several = several,
                            .failure = failure};
        if (!bind_input(batch, k, &walk, limits))
            return false;
    }
    return true;
}

/* ---- masks ---- */

/* Bind the mask of input k: [rows][timesteps]. */
static bool bind_mask(struct batch *batch, size_t k, const struct json_tensor *mask, unsigned char *out,
                      struct failure *failure)
{
    const char *name = batch->model->graph.inputs[k].name;
    const struct json_list *lists = mask->lists;
    if (lists->length != batch->n_rows || lists->holds != LIST_OF_LISTS)
        return failure_set(failure, 400, "wrong_shape", "/mask",
                           "Expected %zu lists for \"%s\", as many as it has rows.", batch->n_rows, name);
    for (size_t i = 0; i < mask->n_values; i++)
        out[i] = mask->values[i] != 0;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct layer_view *view = k ? &batch->more_inputs[(k - 1) * batch->n_rows + b] : NULL;
        size_t timesteps = view ? view->timesteps : batch->rows[b].timesteps;
        if (lists[1 + b].length != timesteps || lists[1 + b].holds == LIST_OF_LISTS)
            return failure_set(failure, 400, "wrong_shape", "/mask", "Expected %zu values for row %zu of \"%s\".",
                               timesteps, b, name);
        if (view) {
            view->mask = out;
            view->mask_stride = 1;
        } else {
            batch->rows[b].mask = out;
            batch->rows[b].mask_stride = 1;
        }
        out += timesteps;
    }
    return true;
}

bool batch_bind_named_masks(struct batch *batch, const struct json_tensor *masks, struct failure *failure)
{
    size_t bytes = 0;
    for (size_t k = 0; k < batch->model->graph.n_inputs; k++)
        bytes += masks[k].present ? masks[k].n_values : 0;
    batch->mask_bytes = bytes;
    batch->mask = batch_take(batch, bytes, 1, failure);
    if (!batch->mask)
        return false;
    unsigned char *at = batch->mask;
    for (size_t k = 0; k < batch->model->graph.n_inputs; k++) {
        if (!masks[k].present)
            continue;
        if (!batch->model->graph.inputs[k].shape.sequence)
            return failure_set(failure, 400, "wrong_shape", "/mask", "The input \"%s\" has no timesteps.",
                               batch->model->graph.inputs[k].name);
        if (!bind_mask(batch, k, &masks[k], at, failure))
            return false;
        at += masks[k].n_values;
    }
    return true;
}
