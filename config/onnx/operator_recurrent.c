/* LSTM, GRU and RNN nodes become recurrent layers. Source: onnx/docs/Operators.md. */
#include "recurrent_weights.h"

#include "core/layers/arithmetic.h"
#include "core/layers/dense.h"
#include "core/layers/get_item.h"
#include "core/layers/masking.h"
#include "core/layers/merge.h"
#include "core/layers/pooling.h"
#include "core/layers/reshape.h"
#include "core/layers/slice.h"

#include <stdio.h>
#include <string.h>

enum { X, SEQUENCE_LENS = 4, INITIAL_H = 5, INITIAL_C = 6, PEEPHOLES = 7 };

/* ---- options ---- */

static bool read_direction(struct onnx_recurrent *r)
{
    const char *direction = onnx_text(r->call, "direction", "forward");
    r->directions = strcmp(direction, "bidirectional") ? 1 : 2;
    r->reverse = !strcmp(direction, "reverse");
    return r->directions == 2 || r->reverse || !strcmp(direction, "forward") ||
           onnx_refuse(r->call, "has direction \"%.40s\"", direction);
}

/* Check for options that no cell of cellserve supports. */
static bool check_options(const struct onnx_recurrent *r)
{
    if (onnx_has(r->call, "clip"))
        return onnx_refuse(r->call,
                           "has \"clip\", which is not served; export the model without clipping of its cells");
    if (onnx_int(r->call, "input_forget", 0))
        return onnx_refuse(r->call, "has \"input_forget\", which is not served; export an LSTM with a forget gate of "
                                    "its own");
    return true;
}

/* Read lengths that depend on the input: one number for each row. */
static bool set_lengths(struct onnx_recurrent *r)
{
    struct onnx_tensor *given = onnx_operand(r->call, SEQUENCE_LENS);
    struct onnx_tensor lengths;
    if (!given)
        return false;
    lengths = *given;
    if (lengths.rank != 1 || !onnx_batch_at(r->call, &lengths, 0) || !onnx_order(r->call, &lengths))
        return onnx_refuse(r->call, "takes sequence_lens [batch], and the batch of what comes to it stands elsewhere");
    struct layer *layer = onnx_layer(r->call, &layer_set_length, "SetLength");
    if (!layer)
        return false;
    layer->masks = MASKS_MADE;
    const size_t inputs[2] = {r->x, lengths.value};
    r->x = onnx_node(r->call, inputs, 2);
    r->lengths = true;
    return r->x != GRAPH_NONE;
}

/* Mask the timesteps beyond the lengths. Lengths equal to the whole sequence have no effect. */
static bool read_lengths(struct onnx_recurrent *r)
{
    const struct onnx_constant *lengths = onnx_constant(r->call, SEQUENCE_LENS);
    bool whole = lengths && lengths->whole;
    if (!onnx_given(r->call, SEQUENCE_LENS))
        return true;
    if (!lengths)
        return set_lengths(r);
    for (size_t i = 0; whole && i < lengths->n; i++)
        whole = onnx_same(lengths->wholes[i], r->timesteps);
    return whole || onnx_refuse(r->call, "has constant sequence_lens that differ from the number of timesteps; make "
                                         "them an input, or leave them out and send sequences of their own lengths");
}

/* The input as [timesteps, features]. */
static bool read_x(struct onnx_recurrent *r)
{
    const struct onnx_tensor *given = onnx_operand(r->call, X);
    struct onnx_number features;
    if (!given)
        return false;
    struct onnx_tensor x = *given;
    size_t time = r->layout ? 1 : 0;
    if (x.rank != 3 || !onnx_batch_at(r->call, &x, 1 - time))
        return onnx_refuse(r->call, "takes a tensor [%s, features], and the batch of its input stands elsewhere",
                           r->layout ? "batch, timesteps" : "timesteps, batch");
    const struct onnx_axis axes[2] = {x.axes[time], x.axes[2]};
    if (!onnx_axis_size(&x, &axes[0], &r->timesteps) || !onnx_axis_size(&x, &axes[1], &features))
        return false;
    if (!onnx_is_whole(features, (int64_t)r->features))
        return onnx_refuse(r->call, "has weights for %zu features, and another number comes to it", r->features);
    r->x = onnx_arrange(r->call, &x, 2, axes);
    return r->x != GRAPH_NONE;
}

/* ---- initial states ---- */

static bool is_zero(const struct onnx_call *call, size_t operand)
{
    const struct onnx_constant *constant = onnx_constant(call, operand);
    return !onnx_given(call, operand) || (constant && onnx_all(constant, 0));
}

static size_t one_layer(const struct onnx_call *call, const struct layer_class *class, const char *name, size_t value)
{
    return value != GRAPH_NONE && onnx_layer(call, class, name) ? onnx_node(call, &value, 1) : GRAPH_NONE;
}

/* Make a vector of zeros with the shape of another vector. */
static size_t zeros_like(const struct onnx_call *call, size_t value)
{
    size_t out = one_layer(call, &layer_function, "ZerosLike", value);
    if (out != GRAPH_NONE)
        ((struct function *)call->c->out->model.layers[call->c->out->model.n_layers - 1].own)->kind = FUNCTION_ZERO;
    return out;
}

static size_t reshape_to(const struct onnx_call *call, size_t value, size_t rank, size_t first, size_t second)
{
    size_t out = one_layer(call, &layer_reshape, "Reshape", value);
    if (out != GRAPH_NONE)
        *(struct reshape *)call->c->out->model.layers[call->c->out->model.n_layers - 1].own =
            (struct reshape){.rank = rank, .target = {first, second}};
    return out;
}

/* Initial states in the file are equal for every row. A Dense layer with zero weights returns them as its bias. */
static size_t constant_states(const struct onnx_recurrent *r, const struct onnx_constant *constant)
{
    size_t n = r->directions * r->units, elements;
    const size_t shape[] = {r->features, n};
    size_t batch_axis = r->layout ? 0 : 1;
    const float *numbers = onnx_elements(constant, &elements) ? onnx_floats(r->call, constant) : NULL;
    if (!numbers || elements % n || constant->rank != 3 || !onnx_known(constant->sizes[batch_axis]))
        return onnx_refuse(r->call, "has initial states of another shape"), GRAPH_NONE;
    size_t rows = elements / n, last = one_layer(r->call, &layer_last_timestep, "LastTimestep", r->x);
    size_t out = one_layer(r->call, &layer_dense, "Dense", last);
    if (out == GRAPH_NONE)
        return out;
    struct dense *own = r->call->c->out->model.layers[r->call->c->out->model.n_layers - 1].own;
    own->units = n;
    own->use_bias = true;
    float *bias = onnx_weights(r->call, "kernel", 2, shape) ? onnx_weights(r->call, "bias", 1, &n) : NULL;
    for (size_t i = 0; bias && i < elements; i++) {
        size_t direction = r->layout ? i % n / r->units : i / (rows * r->units), unit = i % r->units;
        size_t row = r->layout ? i / n : i / r->units % rows;
        if (row && numbers[i] != bias[direction * r->units + unit])
            return onnx_refuse(r->call, "has initial states that differ from row to row"), GRAPH_NONE;
        bias[direction * r->units + unit] = numbers[i];
    }
    return bias ? out : GRAPH_NONE;
}

/* Convert an operand to [directions * units]. */
static size_t state_vector(const struct onnx_recurrent *r, size_t operand)
{
    const struct onnx_constant *constant = onnx_constant(r->call, operand);
    const struct onnx_tensor *given = constant ? NULL : onnx_operand(r->call, operand);
    struct onnx_number size;
    if (constant)
        return constant_states(r, constant);
    if (!given)
        return GRAPH_NONE;
    struct onnx_tensor state = *given;
    if (state.rank != 3 || !onnx_batch_at(r->call, &state, r->layout ? 0 : 1))
        return onnx_refuse(r->call,
                           "takes initial states [%s, units], and the batch of what comes to it stands "
                           "elsewhere",
                           r->layout ? "batch, directions" : "directions, batch"),
               GRAPH_NONE;
    const struct onnx_axis *directions = &state.axes[r->layout ? 1 : 0];
    struct onnx_axis all = *directions;
    for (size_t i = 0; i < state.axes[2].n && all.n < ONNX_MAX_ATOMS; i++)
        all.atoms[all.n++] = state.axes[2].atoms[i];
    if (!onnx_axis_size(&state, &all, &size) || !onnx_is_whole(size, (int64_t)(r->directions * r->units)))
        return onnx_refuse(r->call, "has initial states of another size than its units"), GRAPH_NONE;
    return onnx_arrange(r->call, &state, 1, &all);
}

/* Join h and c of each direction, one after the other. */
static size_t join_states(const struct onnx_recurrent *r, size_t h, size_t c)
{
    size_t both[2] = {h, c}, joined;
    if (r->directions == 2) {
        both[0] = reshape_to(r->call, h, 2, 2, r->units);
        both[1] = reshape_to(r->call, c, 2, 2, r->units);
    }
    struct layer *layer = onnx_layer(r->call, &layer_concatenate, "Concatenate");
    if (!layer)
        return GRAPH_NONE;
    ((struct concatenate *)layer->own)->axis = -1;
    joined = onnx_node(r->call, both, 2);
    return r->directions == 2 ? reshape_to(r->call, joined, 1, 4 * r->units, 0) : joined;
}

/* *out is GRAPH_NONE if the states are zeros. */
static bool read_initial(const struct onnx_recurrent *r, size_t *out)
{
    bool h_zero = is_zero(r->call, INITIAL_H), c_zero = r->kind->states < 2 || is_zero(r->call, INITIAL_C);
    size_t h = GRAPH_NONE, c = GRAPH_NONE;
    *out = GRAPH_NONE;
    if (h_zero && c_zero)
        return true;
    if ((!h_zero && (h = state_vector(r, INITIAL_H)) == GRAPH_NONE) ||
        (!c_zero && (c = state_vector(r, INITIAL_C)) == GRAPH_NONE))
        return false;
    if (r->kind->states < 2) {
        *out = h;
        return true;
    }
    h = h_zero ? zeros_like(r->call, c) : h;
    c = c_zero ? zeros_like(r->call, h) : c;
    *out = h == GRAPH_NONE || c == GRAPH_NONE ? GRAPH_NONE : join_states(r, h, c);
    return *out != GRAPH_NONE;
}

/* ---- outputs ---- */

/* Axes [directions, batch, units], or with the batch first; timesteps stand before the directions where there are such. */
static void give(const struct onnx_recurrent *r, size_t output, size_t value, bool sequence)
{
    struct onnx_value *out = &r->call->out[output];
    struct onnx_tensor *t = &out->tensor;
    const struct onnx_axis batch = {.n = 1, .atoms = {ONNX_OF_BATCH}};
    struct onnx_axis time = {.n = 0};
    *out = (struct onnx_value){.kind = ONNX_TENSOR};
    *t = (struct onnx_tensor){.value = value, .layer = GRAPH_NONE};
    if (sequence) {
        t->sizes[t->n_sizes++] = r->timesteps;
        time = onnx_new_axis(t, r->timesteps);
    }
    t->sizes[t->n_sizes++] = onnx_whole((int64_t)(r->directions * r->units));
    struct onnx_axis directions = onnx_new_axis(t, onnx_whole((int64_t)r->directions));
    struct onnx_axis units = onnx_new_axis(t, onnx_whole((int64_t)r->units));
    if (r->layout)
        t->axes[t->rank++] = batch;
    if (sequence)
        t->axes[t->rank++] = time;
    t->axes[t->rank++] = directions;
    if (!r->layout)
        t->axes[t->rank++] = batch;
    t->axes[t->rank++] = units;
}

/* The final states of one kind (0 is h, 1 is c), [directions * units]. */
static size_t final_states(const struct onnx_recurrent *r, size_t output, size_t kind)
{
    size_t value = graph_states(&r->call->c->out->model, output), states = r->kind->states;
    if (value == GRAPH_NONE)
        return onnx_no_memory(r->call), GRAPH_NONE;
    if (states == 1)
        return value;
    if (r->directions == 2)
        value = reshape_to(r->call, value, 2, 2, states * r->units);
    struct layer *layer = value == GRAPH_NONE ? NULL : onnx_layer(r->call, &layer_slice, "Slice");
    if (!layer)
        return GRAPH_NONE;
    *(struct slice *)layer->own = (struct slice){.first = kind * r->units, .n = r->units};
    value = onnx_node(r->call, &value, 1);
    return r->directions == 2 ? reshape_to(r->call, value, 1, 2 * r->units, 0) : value;
}

/* A layer that goes backwards returns its outputs in the order of processing; ONNX returns them in the order of
   time. */
static size_t in_order_of_time(const struct onnx_recurrent *r, size_t value)
{
    struct layer *layer = r->reverse ? onnx_layer(r->call, &layer_get_item, "Reverse") : NULL;
    if (!r->reverse)
        return value;
    if (!layer)
        return GRAPH_NONE;
    struct get_item *own = layer->own;
    own->batch = true;
    own->n = own->n_first = 2;
    own->picks[1] = (struct pick){.how = PICK_SLICE, .step = -1};
    return onnx_node(r->call, &value, 1);
}

static bool give_outputs(const struct onnx_recurrent *r, size_t value, size_t layer, bool sequences)
{
    bool want[3] = {onnx_wants(r->call, 0), onnx_wants(r->call, 1), onnx_wants(r->call, 2)};
    if (want[0]) {
        size_t y = in_order_of_time(r, value);
        if (y == GRAPH_NONE)
            return false;
        give(r, 0, y, true);
        if (!want[1] && !want[2] && r->directions == 1 && !r->reverse && !r->lengths)
            r->call->out[0].tensor.layer = layer;
    }
    for (size_t kind = 0; kind < 2; kind++) {
        if (!want[kind + 1])
            continue;
        size_t state = !kind && !sequences && !r->lengths ? value : final_states(r, value, kind);
        if (state == GRAPH_NONE)
            return false;
        give(r, kind + 1, state, false);
    }
    return true;
}

/* ---- the whole node ---- */

static bool read_recurrent(struct onnx_call *call)
{
    struct onnx_recurrent r = {
        .call = call, .kind = &onnx_recurrent_kinds[call->row->which], .layout = onnx_int(call, "layout", 0) != 0};
    size_t initial, layer;
    bool sequences = onnx_wants(call, 0);
    if (!check_options(&r) || !read_direction(&r) || !onnx_recurrent_sizes(&r) || !read_x(&r) ||
        !read_initial(&r, &initial) || !read_lengths(&r) || !onnx_recurrent_layer(&r, sequences, &layer))
        return false;
    size_t value = onnx_node(call, &r.x, 1);
    if (value == GRAPH_NONE)
        return false;
    if (initial != GRAPH_NONE)
        graph_initial(&call->c->out->model, value, initial);
    return give_outputs(&r, value, layer, sequences);
}

const struct onnx_row onnx_recurrent_operators[] = {
    {"LSTM", read_recurrent, 0},
    {"GRU", read_recurrent, 1},
    {"RNN", read_recurrent, 2},
    {NULL, NULL, 0},
};
