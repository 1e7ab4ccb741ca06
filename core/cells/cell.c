/* Functions for all cells: the table of classes, specs, weight tensors, packing of the kernel. */
#include "cell.h"

#include "core/arena.h"

#include <stdlib.h>
#include <string.h>

static const struct cell_class *const classes[] = {&cell_simple_rnn, &cell_lstm, &cell_gru, &cell_peephole_lstm,
                                                   &cell_layer_norm_lstm};

const struct cell_class *cell_class_at(size_t i)
{
    return i < sizeof classes / sizeof *classes ? classes[i] : NULL;
}

const struct cell_class *cell_class_find(const char *name, bool *is_layer)
{
    const struct cell_class *class;
    for (size_t i = 0; (class = cell_class_at(i)); i++) {
        bool layer = class->layer_name && !strcmp(name, class->layer_name);
        if (layer || !strcmp(name, class->keras_name)) {
            if (is_layer)
                *is_layer = layer;
            return class;
        }
    }
    return NULL;
}

struct rnn_cell_spec *rnn_cell_spec_new(const struct cell_class *class)
{
    struct rnn_cell_spec *spec = calloc(1, sizeof *spec);
    if (!spec)
        return NULL;
    *spec = (struct rnn_cell_spec){
        .class = class,
        .activation = activation_find("tanh")->activation,
        .recurrent_activation = activation_find("sigmoid")->activation,
        .use_bias = true,
        .unit_forget_bias = true,
        .reset_after = true,
        .kernel_initializer = initializer_find("glorot_uniform")->initializer,
        .recurrent_initializer = initializer_find("orthogonal")->initializer,
        .bias_initializer = initializer_find("zeros")->initializer,
        .gamma_initializer = initializer_find("ones")->initializer,
        .beta_initializer = initializer_find("zeros")->initializer,
        .epsilon = 1e-3,
    };
    return spec;
}

void rnn_cell_spec_free(struct rnn_cell_spec *spec)
{
    if (!spec)
        return;
    for (size_t i = 0; i < spec->n_cells; i++)
        rnn_cell_spec_free(spec->cells[i]);
    free(spec->cells);
    free(spec->name);
    free(spec);
}

size_t cell_tensors(const struct rnn_cell_spec *spec, size_t input_size, struct cell_tensor out[CELL_MAX_TENSORS])
{
    size_t columns, rows = spec->class->bias_rows ? spec->class->bias_rows(spec) : 0;
    rnn_size_mul(spec->class->gates, spec->units, &columns);
    size_t n = 0;
    out[n++] = (struct cell_tensor){"kernel", CELL_KERNEL, 2, {input_size, columns}, &spec->kernel_initializer};
    out[n++] = (struct cell_tensor){
        "recurrent_kernel", CELL_RECURRENT_KERNEL, 2, {spec->units, columns}, &spec->recurrent_initializer};
    if (spec->use_bias)
        out[n++] = (struct cell_tensor){
            "bias", CELL_BIAS, rows ? 2 : 1, {rows ? rows : columns, rows ? columns : 0}, &spec->bias_initializer};
    return n + (spec->class->more_tensors ? spec->class->more_tensors(spec, out + n) : 0);
}

bool cell_tensor_elements(const struct cell_tensor *tensor, size_t *elements)
{
    return rnn_size_mul(tensor->shape[0], tensor->rank == 2 ? tensor->shape[1] : 1, elements);
}

size_t cell_parameters(const struct rnn_cell_spec *spec, size_t input_size)
{
    struct cell_tensor tensors[CELL_MAX_TENSORS];
    size_t n = cell_tensors(spec, input_size, tensors), count = 0, elements;
    for (size_t t = 0; t < n; t++) {
        cell_tensor_elements(&tensors[t], &elements);
        count += elements;
    }
    return count;
}

enum rnn_status cell_tensor_initialize(const struct rnn_cell_spec *spec, const struct cell_tensor *tensor,
                                       uint64_t seed, const char *path, float *out, struct rnn_error *err)
{
    bool matrix = tensor->rank == 2;
    enum rnn_status status = initializer_fill(tensor->initializer, seed, path, matrix ? tensor->shape[0] : 0,
                                              tensor->shape[matrix], out, err);
    /* keras/layers/rnn/lstm.py: i from the initializer, ones for f, the rest from the initializer */
    if (!status && tensor->initializer == &spec->bias_initializer && spec->class->has_unit_forget_bias &&
        spec->unit_forget_bias)
        for (size_t u = 0; u < spec->units; u++)
            out[spec->units + u] = 1;
    return status;
}

enum rnn_status rnn_cell_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, size_t input_size,
                              const float *const tensors[CELL_MAX_TENSORS], const struct vec_ops *vec,
                              enum packed_format format, struct rnn_error *err)
{
    const struct cell_class *class = spec->class;
    *cell = (struct rnn_cell){
        .class = class,
        .vec = vec,
        .input_size = input_size,
        .units = spec->units,
        .gates = class->gates,
        .format = format,
        .padded_units = rnn_round_up(spec->units, 16),
        .activation = spec->activation,
        .recurrent_activation = spec->recurrent_activation,
        .residuals = spec->residuals,
    };
    if (!spec->units || !input_size)
        return rnn_fail(err, RNN_EINVAL, "%s: units and features must be at least 1", class->keras_name);
    if (spec->residuals && spec->units != input_size)
        return rnn_fail(err, RNN_ESHAPE, "ResidualWrapper: its cell gives %zu numbers for %zu features; they are added",
                        spec->units, input_size);
    enum rnn_status status = packed_init(&cell->kernel, tensors[CELL_KERNEL], input_size, class->gates * spec->units, 0,
                                         class->gates, spec->units, vec->lanes, format, err);
    if (status)
        goto fail;
    cell->start = packed_row(&cell->kernel, tensors[CELL_BIAS]);
    if (!cell->start) {
        status = rnn_fail(err, RNN_ENOMEM, "out of memory for the bias of %zu units", spec->units);
        goto fail;
    }
    if (class->own_bytes && !(cell->own = calloc(1, class->own_bytes))) {
        status = rnn_fail(err, RNN_ENOMEM, "out of memory for a cell");
        goto fail;
    }
    status = class->init(cell, spec, tensors, err);
    if (!status)
        return RNN_OK;
fail:
    rnn_cell_close(cell);
    return status;
}

void rnn_cell_close(struct rnn_cell *cell)
{
    packed_close(&cell->kernel);
    packed_close(&cell->recurrent);
    free(cell->start);
    if (cell->own && cell->class->close)
        cell->class->close(cell->own);
    free(cell->own);
    *cell = (struct rnn_cell){0};
}

size_t rnn_cell_bytes(const struct rnn_cell *cell)
{
    return packed_bytes(&cell->kernel) + packed_bytes(&cell->recurrent) +
           packed_columns(&cell->kernel) * sizeof(float) + (cell->class->bytes ? cell->class->bytes(cell) : 0);
}

enum rnn_status cell_pack_recurrent(const struct rnn_cell *cell, struct packed *packed, const float *const *tensors,
                                    size_t first_gate, size_t gates, struct rnn_error *err)
{
    return packed_init(packed, tensors[CELL_RECURRENT_KERNEL], cell->units, cell->gates * cell->units, first_gate,
                       gates, cell->units, cell->vec->lanes, cell->format, err);
}

bool cell_activates(const struct rnn_cell *cell)
{
    return vec_activates(&cell->activation) &&
           (!cell->class->has_recurrent_activation || vec_activates(&cell->recurrent_activation));
}

struct vec_step cell_vec_step(const struct rnn_cell *cell, const struct cell_step *step)
{
    return (struct vec_step){.u = &cell->recurrent,
                             .rows = step->rows,
                             .h_prev = step->h_prev,
                             .z = step->z,
                             .z_stride = packed_columns(&cell->kernel),
                             .c = step->c,
                             .h = step->h,
                             .reset_h = step->scratch,
                             .stride = cell->padded_units,
                             .activation = &cell->activation,
                             .recurrent_activation = &cell->recurrent_activation};
}

void cell_accumulate(const struct rnn_cell *cell, const struct packed *u, size_t rows, const float *x, float *z)
{
    cell->vec->product(u, vec_all(u), rows, x, cell->padded_units, z, packed_columns(u), z);
}

float *cell_copy(const float *const *tensors, const size_t *elements, size_t n, struct rnn_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += tensors[i] ? elements[i] : 0;
    float *copy = rnn_alloc(total, sizeof *copy), *at = copy;
    if (!copy)
        rnn_fail(err, RNN_ENOMEM, "out of memory for %zu weights", total);
    for (size_t i = 0; copy && i < n; i++) {
        if (!tensors[i])
            continue;
        memcpy(at, tensors[i], elements[i] * sizeof *at);
        at += elements[i];
    }
    return copy;
}

void cell_gate(const struct packed *shape, const float *z, size_t gate, float *out)
{
    for (size_t first = 0; first < shape->units; first += shape->lanes) {
        size_t n = shape->units - first < shape->lanes ? shape->units - first : shape->lanes;
        memcpy(out + first, z + packed_column(shape, gate, first), n * sizeof *out);
    }
}
