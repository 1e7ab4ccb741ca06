/* Transposes and reorders PyTorch's tensors. Source: the documentation of torch.nn.LSTM, GRU, RNN, Linear, Conv1d. */
#include "torch_weights.h"

#include "core/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 400 };

static void problem(const struct torch_weights *w, const char *name, const char *text)
{
    *w->failed = true;
    problem_reason(w->problems, "its weights do not fit its configuration");
    problem_error(w->problems, (struct place){w->file, NULL}, "tensor %.300s%s", name, text);
}

static void no_memory(const struct torch_weights *w, const char *name)
{
    *w->failed = true;
    problem_error(w->problems, (struct place){w->file, NULL}, "tensor %.300s: out of memory", name);
}

/* The most floats that are made from a tensor: as many as it has, except for projections, which become products. */
static bool count(const struct named_tensor *tensor, size_t *floats)
{
    size_t product = 0;
    bool projection = tensor->rank == 2 && strstr(tensor->name, "weight_hr_l");
    if (projection &&
        (!rnn_size_mul(tensor->shape[1], tensor->shape[1], &product) ||
         __builtin_add_overflow(product, tensor->elements, &product) || !rnn_size_mul(product, 4, &product)))
        return false;
    return !__builtin_add_overflow(*floats, tensor->elements, floats) &&
           !__builtin_add_overflow(*floats, product, floats);
}

bool torch_weights_open(struct torch_weights *w)
{
    bool good = true;
    w->left = 0;
    for (size_t i = 0; good && i < w->from->n; i++)
        good = count(&w->from->tensors[i], &w->left);
    w->to->memory = w->next = good ? rnn_alloc(w->left, sizeof *w->next) : NULL;
    w->to->tensors = calloc(w->from->n + 1, sizeof *w->to->tensors);
    if (w->to->memory && w->to->tensors)
        return true;
    *w->failed = true;
    problem_error(w->problems, (struct place){w->file, NULL}, "out of memory for its weights");
    return false;
}

static void full_name(const char *prefix, const char *name, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%s%s%s", prefix, *prefix ? "." : "", name);
}

const struct named_tensor *torch_weights_find(const struct torch_weights *w, const char *prefix, const char *name)
{
    char full[NAME_BYTES];
    full_name(prefix, name, full);
    struct named_tensor *found = tensor_set_find(w->from, full);
    if (found)
        found->used = true;
    return found;
}

float *torch_weights_read(const struct torch_weights *w, const char *prefix, const char *name, size_t rank,
                          const size_t *shape)
{
    char full[NAME_BYTES], want[100], have[200], text[400];
    const struct named_tensor *found = torch_weights_find(w, prefix, name);
    full_name(prefix, name, full);
    shape_text(shape, rank, want, sizeof want);
    if (!found) {
        snprintf(text, sizeof text, " is missing, expected with shape %s", want);
        problem(w, full, text);
        return NULL;
    }
    shape_text(found->shape, found->rank, have, sizeof have);
    if (!tensor_is_float(found) || found->rank != rank || memcmp(found->shape, shape, rank * sizeof *shape) != 0) {
        snprintf(text, sizeof text, " is %s %s, expected F32, F64, F16 or BF16 %s", found->type_name, have, want);
        problem(w, full, text);
        return NULL;
    }
    float *floats = rnn_alloc(found->elements, sizeof *floats);
    if (floats)
        tensor_to_floats(found, floats);
    else
        no_memory(w, full);
    return floats;
}

float *torch_weights_add(struct torch_weights *w, const char *name, size_t rank, const size_t *shape)
{
    size_t elements = 1;
    bool fits = w->to->n < w->from->n;
    for (size_t i = 0; i < rank; i++)
        fits = fits && rnn_size_mul(elements, shape[i], &elements);
    if (!fits || elements > w->left) {
        problem(w, name, ": a module is named twice; one that is used twice is not served");
        return NULL;
    }
    struct named_tensor *tensor = &w->to->tensors[w->to->n++];
    *tensor = (struct named_tensor){.name = strdup(name),
                                    .type_name = strdup("F32"),
                                    .type = TENSOR_F32,
                                    .rank = rank,
                                    .elements = elements,
                                    .data = (const unsigned char *)w->next};
    memcpy(tensor->shape, shape, rank * sizeof *shape);
    if (!tensor->name || !tensor->type_name)
        no_memory(w, name);
    float *at = w->next;
    w->next += elements;
    w->left -= elements;
    return tensor->name && tensor->type_name ? at : NULL;
}

bool torch_weights_copy(struct torch_weights *w, const char *prefix, const char *from, const char *to, size_t elements,
                        bool optional)
{
    if (optional && !torch_weights_find(w, prefix, from))
        return true;
    float *floats = torch_weights_read(w, prefix, from, 1, &elements);
    float *out = floats ? torch_weights_add(w, to, 1, &elements) : NULL;
    if (out)
        memcpy(out, floats, elements * sizeof *out);
    free(floats);
    return out != NULL;
}

bool torch_weights_turn(struct torch_weights *w, const char *prefix, const char *from, const char *to, size_t rows,
                        size_t columns)
{
    float *floats = torch_weights_read(w, prefix, from, 2, (const size_t[]){rows, columns});
    float *out = floats ? torch_weights_add(w, to, 2, (const size_t[]){columns, rows}) : NULL;
    for (size_t r = 0; out && r < rows; r++)
        for (size_t c = 0; c < columns; c++)
            out[c * rows + r] = floats[r * columns + c];
    free(floats);
    return out != NULL;
}

/* [gates hidden, width] becomes [width, gates hidden] in Keras's order of gates. */
static bool add_matrix(struct torch_weights *w, const struct torch_gates *gates, const float *from, size_t width,
                       size_t h, const char *path, const char *name)
{
    char full[NAME_BYTES];
    snprintf(full, sizeof full, "%s.%s", path, name);
    float *to = torch_weights_add(w, full, 2, (const size_t[]){width, gates->n * h});
    for (size_t g = 0; to && g < gates->n; g++)
        for (size_t u = 0; u < h; u++)
            for (size_t i = 0; i < width; i++)
                to[i * gates->n * h + g * h + u] = from[(gates->order[g] * h + u) * width + i];
    return to != NULL;
}

/* Two biases: a row each, or their sum. */
static bool add_biases(struct torch_weights *w, const struct torch_gates *gates, const float *ih, const float *hh,
                       size_t h, const char *path)
{
    char full[NAME_BYTES];
    size_t columns = gates->n * h;
    snprintf(full, sizeof full, "%s.bias", path);
    float *to = gates->two_biases ? torch_weights_add(w, full, 2, (const size_t[]){2, columns})
                                  : torch_weights_add(w, full, 1, &columns);
    for (size_t g = 0; to && g < gates->n; g++)
        for (size_t u = 0; u < h; u++) {
            size_t from = gates->order[g] * h + u, at = g * h + u;
            to[at] = gates->two_biases ? ih[from] : (float)((double)ih[from] + (double)hh[from]);
            if (gates->two_biases)
                to[columns + at] = hh[from];
        }
    return to != NULL;
}

/* Replace weight_hh by the product weight_hh weight_hr [rows, hidden]; the old weight_hh is freed. Returns NULL with a
   problem added. */
static float *multiply(const struct torch_weights *w, const struct torch_cell *cell, float *hh, size_t rows)
{
    char name[64];
    size_t p = cell->projected, h = cell->hidden, elements;
    snprintf(name, sizeof name, "weight_hr%s", cell->suffix);
    float *hr = torch_weights_read(w, cell->prefix, name, 2, (const size_t[]){p, h});
    float *product = hr && rnn_size_mul(rows, h, &elements) ? rnn_alloc(elements, sizeof *product) : NULL;
    for (size_t r = 0; product && r < rows; r++)
        for (size_t i = 0; i < h; i++) {
            double sum = 0;
            for (size_t k = 0; k < p; k++)
                sum += (double)hh[r * p + k] * (double)hr[k * h + i];
            product[r * h + i] = (float)sum;
        }
    if (hr && !product)
        no_memory(w, name);
    free(hr);
    free(hh);
    return product;
}

bool torch_weights_cell(struct torch_weights *w, const struct torch_cell *cell, const char *path)
{
    const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const struct torch_gates *gates = &cell->gates;
    size_t h = cell->hidden, rows = gates->n * h;
    const size_t shapes[][2] = {
        {rows, cell->width}, {rows, cell->projected ? cell->projected : h}, {rows, 0}, {rows, 0}};
    float *parts[4] = {NULL};
    char name[64];
    bool good = true;
    for (size_t i = 0; i < (cell->bias ? 4 : 2); i++) {
        snprintf(name, sizeof name, "%s%s", names[i], cell->suffix);
        parts[i] = torch_weights_read(w, cell->prefix, name, i < 2 ? 2 : 1, shapes[i]);
        good &= parts[i] != NULL;
    }
    if (good && cell->projected)
        good = (parts[1] = multiply(w, cell, parts[1], rows)) != NULL;
    good = good && add_matrix(w, gates, parts[0], cell->width, h, path, "kernel") &&
           add_matrix(w, gates, parts[1], h, h, path, "recurrent_kernel") &&
           (!cell->bias || add_biases(w, gates, parts[2], parts[3], h, path));
    for (size_t i = 0; i < 4; i++)
        free(parts[i]);
    return good;
}

bool torch_weights_projection(struct torch_weights *w, const struct torch_cell *cells, size_t n, const char *name)
{
    size_t p = cells->projected, h = cells->hidden;
    float *out = torch_weights_add(w, name, 2, (const size_t[]){n * h, n * p});
    for (size_t d = 0; out && d < n; d++) {
        char from[64];
        snprintf(from, sizeof from, "weight_hr%s", cells[d].suffix);
        float *hr = torch_weights_read(w, cells[d].prefix, from, 2, (const size_t[]){p, h});
        if (!hr)
            return false;
        for (size_t i = 0; i < h; i++)
            for (size_t k = 0; k < n * p; k++)
                out[(d * h + i) * n * p + k] = k / p == d ? hr[k % p * h + i] : 0;
        free(hr);
    }
    return out != NULL;
}
