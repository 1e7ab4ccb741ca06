/* Loop and Scan nodes that are recurrent layers: if the body is a cell, the node becomes an LSTM, GRU or RNN node. */
#include "loop.h"

#include "convert.h"

#include <stdlib.h>
#include <string.h>

static const char *name_at(const json_t *list, size_t i)
{
    const json_t *element = json_array_get(list, i);
    const char *name = json_string_value(json_is_object(element) ? json_object_get(element, "name") : element);
    return name ? name : "";
}

static bool refuse(const struct onnx_call *call)
{
    return onnx_refuse(call,
                       "is a loop of single timesteps whose body is no LSTM, GRU or simple RNN cell that is served; "
                       "export the model with opset 15 or later and without unrolling, so that its recurrent layers "
                       "are LSTM, GRU or RNN nodes");
}

/* ---- the body's constants ---- */

/* Whether all operands of a node are known. */
static bool takes_constants(const struct loop *loop, const json_t *node)
{
    const json_t *in = json_object_get(node, "in");
    struct onnx_constant constant;
    for (size_t i = 0; i < json_array_size(in); i++)
        if (*name_at(in, i) && !loop_constant(loop, name_at(in, i), &constant))
            return false;
    return !json_object_get(json_object_get(node, "attributes"), "body");
}

/* Read the tensors of the body, and compute the nodes whose operands are known. Store all other nodes by the names of
   their outputs. */
static bool know_constants(struct loop *loop)
{
    const json_t *tensors = json_object_get(loop->body, "tensors"), *nodes = json_object_get(loop->body, "nodes");
    struct onnx_call inner = *loop->call;
    inner.scope = &loop->scope;
    const char *name;
    json_t *tensor;
    json_object_foreach((json_t *)tensors, name, tensor) {
        struct onnx_value value;
        if (!onnx_find_value(&inner, name, &value))
            return false;
    }
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        json_t *node = json_array_get(nodes, i);
        const json_t *in = json_object_get(node, "in"), *out = json_object_get(node, "out");
        for (size_t k = 0; k < json_array_size(in); k++) /* tensors of outer graphs are read when a node names them */
            if (*name_at(in, k) && onnx_is_outer_tensor(&inner, name_at(in, k))) {
                struct onnx_value value;
                if (!onnx_find_value(&inner, name_at(in, k), &value))
                    return false;
            }
        if (takes_constants(loop, node)) {
            if (!onnx_convert_node(&inner, &loop->scope, node))
                return false;
            continue;
        }
        for (size_t k = 0; k < json_array_size(out); k++)
            if (json_object_set(loop->nodes, name_at(out, k), node))
                return onnx_no_memory(loop->call);
    }
    return true;
}

/* ---- values carried from timestep to timestep ---- */

/* Whether a carried value is a counter that begins at 0 and increases by 1. */
static bool is_counter(const struct loop *loop, const struct onnx_value *start, const char *before, const char *after)
{
    const char *operands[2];
    struct onnx_constant one;
    if (start->kind != ONNX_CONSTANT || !start->constant.whole || !onnx_all(&start->constant, 0) ||
        !loop_is(loop, after, "Add", operands))
        return false;
    for (size_t i = 0; i < 2; i++)
        if (!strcmp(operands[i], before) && loop_constant(loop, operands[!i], &one) && onnx_all(&one, 1))
            return true;
    return false;
}

/* Read the carried values of a Loop: *counter is the name of the counter, *carried [LOOP_MAX_STATES] are the indices of
   the states. */
static bool read_carried(struct loop *loop, const char **counter, size_t *carried)
{
    const json_t *inputs = json_object_get(loop->body, "inputs"), *outputs = json_object_get(loop->body, "outputs");
    size_t n = loop->call->n_in - 2;
    *counter = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *before = name_at(inputs, 2 + i), *after = loop_follow(loop, name_at(outputs, 1 + i));
        if (!strcmp(before, after))
            continue;
        if (is_counter(loop, &loop->call->in[2 + i], before, after)) {
            *counter = before;
            continue;
        }
        if (loop->n_states == LOOP_MAX_STATES)
            return false;
        carried[loop->n_states] = i;
        loop->before[loop->n_states] = before;
        loop->after[loop->n_states++] = after;
    }
    return loop->n_states > 0;
}

/* Values that do not change in the loop are known in the body, under the body's names. */
static bool know_invariants(struct loop *loop)
{
    const json_t *inputs = json_object_get(loop->body, "inputs"), *outputs = json_object_get(loop->body, "outputs");
    for (size_t i = 2; i < loop->call->n_in; i++)
        if (!strcmp(name_at(inputs, i), name_at(outputs, i - 1)) && loop->call->in[i].kind == ONNX_CONSTANT &&
            !onnx_scope_set(&loop->scope, name_at(inputs, i), &loop->call->in[i]))
            return onnx_no_memory(loop->call);
    return true;
}

/* ---- the timesteps ---- */

/* Find Gather(sequence, counter) along the first axis: the name of the sequence, and the name of the timestep. */
static bool find_sequence(struct loop *loop, const char *counter, const char **sequence)
{
    const json_t *nodes = json_object_get(loop->body, "nodes"), *inputs = json_object_get(loop->body, "inputs");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i), *in = json_object_get(node, "in");
        const char *op = json_string_value(json_object_get(node, "op"));
        struct onnx_constant constant;
        if (!op || strcmp(op, "Gather") != 0 || loop_constant(loop, name_at(in, 0), &constant))
            continue;
        const char *index = loop_follow(loop, name_at(in, 1));
        if (json_integer_value(json_object_get(json_object_get(node, "attributes"), "axis")) ||
            (strcmp(index, name_at(inputs, 0)) != 0 && (!counter || strcmp(index, counter) != 0)))
            return false;
        *sequence = name_at(in, 0);
        loop->x_t = name_at(json_object_get(node, "out"), 0);
        n++;
    }
    return n == 1;
}

/* Whether a condition is "counter < this number of timesteps". */
static bool is_bound(const struct loop *loop, const char *name, struct onnx_number timesteps, unsigned depth)
{
    const char *operands[2];
    struct onnx_constant limit;
    if (depth > 8)
        return false;
    if (loop_is(loop, name, "And", operands))
        return is_bound(loop, operands[0], timesteps, depth + 1) || is_bound(loop, operands[1], timesteps, depth + 1);
    if (!loop_is(loop, name, "Less", operands) || !loop_constant(loop, operands[1], &limit) || limit.n != 1)
        return false;
    return limit.whole ? onnx_same(limit.wholes[0], timesteps)
                       : onnx_known(timesteps) && (double)limit.floats[0] == (double)timesteps.value;
}

/* Whether the loop has one iteration for each timestep of the sequence. */
static bool goes_through_all(const struct loop *loop, const struct onnx_tensor *sequence)
{
    const json_t *outputs = json_object_get(loop->body, "outputs");
    const struct onnx_constant *count = onnx_constant(loop->call, 0);
    struct onnx_number timesteps;
    if (sequence->rank != 3 || !onnx_axis_size(sequence, &sequence->axes[0], &timesteps))
        return false;
    if (count && count->whole && count->n == 1 && onnx_same(count->wholes[0], timesteps))
        return true;
    return is_bound(loop, name_at(outputs, 0), timesteps, 0);
}

/* ---- weights ---- */

/* [directions 1][gates * units][columns] from columns of matrices, one for each gate. */
static bool read_matrix(const struct loop *loop, const struct loop_cell *cell, enum loop_term_kind kind, size_t width,
                        float *out)
{
    for (size_t g = 0; g < cell->gates; g++) {
        const struct loop_gate *gate = &cell->gate[g];
        if (kind == TERM_STATE && cell->linear_before_reset && g == 2)
            gate = &cell->recurrent;
        for (size_t i = 0; i < gate->n; i++) {
            const struct loop_term *term = &gate->terms[i];
            size_t rows = (size_t)term->constant.sizes[term->transposed].value,
                   columns = (size_t)term->constant.sizes[!term->transposed].value;
            if (term->kind != kind)
                continue;
            const float *from = onnx_floats(loop->call, &term->constant);
            if (!from || rows != width || term->first + loop->units > columns)
                return false;
            for (size_t u = 0; u < loop->units; u++)
                for (size_t k = 0; k < width; k++)
                    out[(g * loop->units + u) * width + k] =
                        term->transposed ? from[(term->first + u) * width + k] : from[k * columns + term->first + u];
        }
    }
    return true;
}

/* The sum of a gate's vectors, in double. */
static bool add_vectors(const struct loop *loop, const struct loop_gate *gate, float *out)
{
    for (size_t u = 0; u < loop->units; u++) {
        double sum = 0;
        for (size_t i = 0; i < gate->n; i++) {
            const struct loop_term *term = &gate->terms[i];
            size_t elements, at = term->first + u;
            if (term->kind != TERM_CONSTANT)
                continue;
            if (!onnx_elements(&term->constant, &elements) || (elements != 1 && at >= elements))
                return false;
            sum += onnx_element(&term->constant, elements == 1 ? 0 : at);
        }
        out[u] = (float)sum;
    }
    return true;
}

static bool read_biases(const struct loop *loop, const struct loop_cell *cell, float *out)
{
    for (size_t g = 0; g < cell->gates; g++)
        if (!add_vectors(loop, &cell->gate[g], out + g * loop->units))
            return false;
    return !cell->linear_before_reset || add_vectors(loop, &cell->recurrent, out + (cell->gates + 2) * loop->units);
}

static float *weights(const struct loop *loop, struct onnx_value *value, size_t rank, size_t rows, size_t columns)
{
    struct onnx_constant *constant = &value->constant;
    *value = (struct onnx_value){.kind = ONNX_CONSTANT};
    float *numbers = onnx_memory(loop->call, rows * columns, sizeof *numbers);
    *constant = (struct onnx_constant){.rank = rank, .n = rows * columns, .floats = numbers};
    constant->sizes[0] = onnx_whole(1);
    constant->sizes[1] = onnx_whole((int64_t)rows);
    constant->sizes[2] = onnx_whole((int64_t)columns);
    return numbers;
}

/* W, R and B of the node. */
static bool read_weights(const struct loop *loop, const struct loop_cell *cell, size_t features, struct onnx_value *in)
{
    size_t n = cell->gates * loop->units;
    float *w = weights(loop, &in[1], 3, n, features), *r = weights(loop, &in[2], 3, n, loop->units);
    float *b = weights(loop, &in[3], 2, 2 * n, 1);
    return w && r && b && read_matrix(loop, cell, TERM_X, features, w) &&
           read_matrix(loop, cell, TERM_STATE, loop->units, r) && read_biases(loop, cell, b);
}

/* ---- the node ---- */

/* [batch, units] becomes [1, batch, units]; false where it is another tensor. */
static bool add_direction(struct onnx_value *value)
{
    if (value->kind == ONNX_TENSOR && value->tensor.rank == 2) {
        memmove(&value->tensor.axes[1], value->tensor.axes, 2 * sizeof *value->tensor.axes);
        value->tensor.axes[0] = (struct onnx_axis){.n = 0};
        value->tensor.rank = 3;
        return true;
    }
    if (value->kind != ONNX_CONSTANT || value->constant.rank != 2)
        return false;
    memmove(&value->constant.sizes[1], value->constant.sizes, 2 * sizeof *value->constant.sizes);
    value->constant.sizes[0] = onnx_whole(1);
    value->constant.rank = 3;
    return true;
}

/* Without the axis of the directions. */
static void take_direction(struct onnx_value *value, size_t axis)
{
    if (value->kind != ONNX_TENSOR)
        return;
    struct onnx_tensor *tensor = &value->tensor;
    memmove(&tensor->axes[axis], &tensor->axes[axis + 1], (tensor->rank - axis - 1) * sizeof *tensor->axes);
    tensor->rank--;
}

/* The activations of one timestep, in ONNX's order, and their parameters. */
static bool name_activations(const struct loop_cell *cell, json_t *attributes)
{
    static const size_t lstm[] = {2, 3}, gru[] = {1, 2}, rnn[] = {0};
    const size_t *gates = cell->gates == 4 ? lstm : cell->gates == 3 ? gru : rnn, n = cell->gates == 1 ? 1 : 2;
    json_t *names = json_array(), *alphas = json_array(), *betas = json_array();
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        const struct loop_gate *gate = &cell->gate[gates[i]];
        good = good && !json_array_append_new(names, json_string(gate->activation));
        if (gate->has_alpha)
            good = good && !json_array_append_new(alphas, json_real(gate->alpha)) &&
                   !json_array_append_new(betas, json_real(gate->beta));
    }
    if (cell->last)
        good = good && !json_array_append_new(names, json_string(cell->last));
    good &= !json_object_set_new(attributes, "activations", names);
    if (!json_array_size(alphas)) {
        json_decref(alphas);
        json_decref(betas);
        return good;
    }
    good &= !json_object_set_new(attributes, "activation_alpha", alphas);
    return good & !json_object_set_new(attributes, "activation_beta", betas);
}

/* Parameters are handed on of an activation that takes both. */
static bool has_other_parameters(const struct loop_cell *cell)
{
    for (size_t i = 0; i < cell->gates; i++)
        if (cell->gate[i].has_alpha && strcmp(cell->gate[i].activation, "HardSigmoid") != 0)
            return true;
    return false;
}

static json_t *node_of(const struct loop *loop, const struct loop_cell *cell, const size_t *carried, size_t sequence)
{
    const json_t *names = json_object_get(loop->call->node, "out");
    json_t *attributes = json_pack("{s:I, s:i}", "hidden_size", (json_int_t)loop->units, "linear_before_reset",
                                   (int)cell->linear_before_reset);
    if (!attributes || !name_activations(cell, attributes)) {
        json_decref(attributes);
        return NULL;
    }
    return json_pack("{s:s, s:[s, s, s], s:o}", "op", cell->op, "out",
                     sequence == SIZE_MAX ? "" : name_at(names, sequence), name_at(names, carried[cell->h]),
                     loop->n_states == 2 ? name_at(names, carried[cell->c]) : "", "attributes", attributes);
}

/* Which output of the loop has h of all timesteps; SIZE_MAX: none. False where another is wanted. */
static bool find_output(const struct loop *loop, const struct loop_cell *cell, size_t *sequence)
{
    const json_t *outputs = json_object_get(loop->body, "outputs");
    *sequence = SIZE_MAX;
    for (size_t i = loop->call->n_in - 2; i < loop->call->n_out; i++) {
        if (!onnx_wants(loop->call, i))
            continue;
        if (*sequence != SIZE_MAX || strcmp(loop_follow(loop, name_at(outputs, i + 1)), loop->after[cell->h]) != 0)
            return false;
        *sequence = i;
    }
    return true;
}

static bool run_cell(struct loop *loop, const struct loop_cell *cell, const struct onnx_tensor *x,
                     const size_t *carried)
{
    struct onnx_value in[7] = {{.kind = ONNX_TENSOR, .tensor = *x}}, out[3] = {{.kind = ONNX_NOTHING}};
    struct onnx_number features;
    size_t sequence;
    if (!find_output(loop, cell, &sequence) || !onnx_axis_size(x, &x->axes[2], &features) || !onnx_known(features) ||
        !read_weights(loop, cell, (size_t)features.value, in))
        return refuse(loop->call);
    in[5] = loop->call->in[2 + carried[cell->h]];
    if (loop->n_states == 2)
        in[6] = loop->call->in[2 + carried[cell->c]];
    json_t *node = node_of(loop, cell, carried, sequence);
    struct onnx_call call = *loop->call;
    call.node = node;
    call.op = cell->op;
    call.row = onnx_find_row(cell->op);
    call.in = in;
    call.out = out;
    call.n_in = loop->n_states == 2 ? 7 : 6;
    call.n_out = 3;
    bool good = node && call.row
                    ? add_direction(&in[5]) && (loop->n_states < 2 || add_direction(&in[6])) && call.row->read(&call)
                    : onnx_no_memory(loop->call);
    json_decref(node);
    if (!good)
        return refuse(loop->call);
    take_direction(&out[0], 1);
    take_direction(&out[1], 0);
    take_direction(&out[2], 0);
    if (sequence != SIZE_MAX)
        loop->call->out[sequence] = out[0];
    loop->call->out[carried[cell->h]] = out[1];
    if (loop->n_states == 2)
        loop->call->out[carried[cell->c]] = out[2];
    return true;
}

static bool set_units(struct loop *loop, size_t i)
{
    const struct onnx_value *start = &loop->call->in[2 + i];
    struct onnx_number size = onnx_whole(0);
    if (start->kind == ONNX_CONSTANT && start->constant.rank == 2)
        size = start->constant.sizes[1];
    else if (start->kind == ONNX_TENSOR && start->tensor.rank == 2)
        onnx_axis_size(&start->tensor, &start->tensor.axes[1], &size);
    loop->units = onnx_known(size) && size.value > 0 ? (size_t)size.value : 0;
    return loop->units > 0;
}

static bool read_body(struct loop *loop)
{
    const char *counter, *name;
    size_t carried[LOOP_MAX_STATES];
    struct loop_cell cell;
    struct onnx_value sequence;
    struct onnx_call inner = *loop->call;
    inner.scope = &loop->scope;
    if (!know_invariants(loop) || !know_constants(loop))
        return false;
    if (!read_carried(loop, &counter, carried) || !set_units(loop, carried[0]) ||
        !find_sequence(loop, counter, &name) || !onnx_find_value(&inner, name, &sequence) ||
        sequence.kind != ONNX_TENSOR || !goes_through_all(loop, &sequence.tensor) || !loop_find_cell(loop, &cell) ||
        has_other_parameters(&cell))
        return refuse(loop->call);
    return run_cell(loop, &cell, &sequence.tensor, carried);
}

static bool read_loop(struct onnx_call *call)
{
    const json_t *body = json_object_get(json_object_get(json_object_get(call->node, "attributes"), "body"), "graph");
    struct loop loop = {.call = call, .body = body, .scope = {.outer = call->scope, .graph = body}};
    if (!body || call->n_in < 3 || json_array_size(json_object_get(body, "inputs")) != call->n_in ||
        json_array_size(json_object_get(body, "outputs")) != call->n_out + 1)
        return refuse(call);
    loop.nodes = json_object();
    bool good = loop.nodes ? read_body(&loop) : onnx_no_memory(call);
    json_decref(loop.nodes);
    onnx_scope_close(&loop.scope);
    return good;
}

const struct onnx_row onnx_loop_operators[] = {
    {"Loop", read_loop, 0},
    {.op = NULL},
};
