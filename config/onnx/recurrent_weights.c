/* W, R, B and P in ONNX's order of gates (LSTM i o f c, GRU z r h, peepholes i o f) become ours (LSTM i f c o). */
#include "recurrent_weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { W = 1, R = 2, B = 3, P = 7 };

const struct onnx_recurrent_kind onnx_recurrent_kinds[] = {
    {&cell_lstm, "LSTM", 4, 2, 3, {0, 2, 3, 1}, {"Sigmoid", "Tanh", "Tanh"}},
    {&cell_gru, "GRU", 3, 1, 2, {0, 1, 2, 0}, {"Sigmoid", "Tanh", NULL}},
    {&cell_simple_rnn, "SimpleRNN", 1, 1, 1, {0, 0, 0, 0}, {"Tanh", NULL, NULL}},
};

/* ---- sizes ---- */

/* Whether a constant of floats has these sizes. */
static bool has_sizes(const struct onnx_constant *constant, size_t rank, const size_t *sizes)
{
    bool same = constant && !constant->whole && constant->rank == rank;
    for (size_t i = 0; same && i < rank; i++)
        same = onnx_is_whole(constant->sizes[i], (int64_t)sizes[i]);
    return same;
}

bool onnx_recurrent_sizes(struct onnx_recurrent *r)
{
    const struct onnx_constant *w = onnx_constant(r->call, W), *recurrent = onnx_constant(r->call, R);
    size_t gates = r->kind->gates;
    if (!w || !recurrent || w->rank != 3 || recurrent->rank != 3)
        return onnx_refuse(r->call, "is served with weights W and R that are constants of three axes");
    r->features = (size_t)w->sizes[2].value;
    r->units = (size_t)recurrent->sizes[2].value;
    const size_t w_sizes[] = {r->directions, gates * r->units, r->features},
                 r_sizes[] = {r->directions, gates * r->units, r->units}, b_sizes[] = {r->directions, 2 * r_sizes[1]},
                 p_sizes[] = {r->directions, 3 * r->units};
    if (r->units > 1 << 20 || !r->units || !has_sizes(w, 3, w_sizes) || !has_sizes(recurrent, 3, r_sizes) ||
        onnx_int(r->call, "hidden_size", (long)r->units) != (long)r->units)
        return onnx_refuse(r->call, "has weights W and R whose shapes do not fit each other or hidden_size");
    if (onnx_given(r->call, B) && !has_sizes(onnx_constant(r->call, B), 2, b_sizes))
        return onnx_refuse(r->call, "has a bias B that is no constant of %zu numbers for each direction", b_sizes[1]);
    if (onnx_given(r->call, P) && !has_sizes(onnx_constant(r->call, P), 2, p_sizes))
        return onnx_refuse(r->call, "has peepholes P that are no constant of %zu numbers for each direction",
                           p_sizes[1]);
    return true;
}

/* ---- activations ---- */

/* ONNX's names, the functions of core, and ONNX's defaults. */
static const struct name {
    const char *onnx, *own;
    bool has_alpha, has_beta;
    double alpha, beta;
} names[] = {
    {"Tanh", "tanh", false, false, 0, 0},
    {"Sigmoid", "sigmoid", false, false, 0, 0},
    {"Relu", "relu", false, false, 0, 0},
    {"Softsign", "softsign", false, false, 0, 0},
    {"Softplus", "softplus", false, false, 0, 0},
    {"LeakyRelu", "leaky_relu", true, false, 0.01, 0},
    {"Elu", "elu", true, false, 1, 0},
    {"ThresholdedRelu", "threshold", true, false, 1, 0},
    {"HardSigmoid", "hard_sigmoid", true, true, 0.2, 0.5},
    {"Affine", "linear", true, true, 1, 0},
    {"ScaledTanh", "tanh", true, true, 1, 1},
};

/* The function of a name with its numbers. HardSigmoid is clip(alpha x + beta, 0, 1), Affine alpha x + beta, ScaledTanh
   alpha tanh(beta x). */
static struct activation function_of(const struct name *name, double alpha, double beta)
{
    struct activation out = activation_find(name->own)->activation;
    if (!strcmp(name->onnx, "HardSigmoid"))
        out.kind = beta != 0.5                    ? ACT_CLIPPED_LINE
                   : fabs(alpha - 0.2) < 1e-6     ? ACT_HARD_SIGMOID
                   : fabs(alpha - 1.0 / 6) < 1e-6 ? ACT_HARD_SIGMOID_V3
                                                  : ACT_CLIPPED_LINE;
    else if (!strcmp(name->onnx, "Affine"))
        out.kind = ACT_LINE;
    else if (!strcmp(name->onnx, "ScaledTanh"))
        out.kind = ACT_SCALED_TANH;
    if (name->has_alpha)
        out.alpha = out.threshold = (float)alpha;
    out.value = (float)beta;
    return out;
}

/* The functions with a parameter take the numbers of the node's list, one after the other. */
static double next_number(const struct onnx_call *call, const char *key, size_t *used, double otherwise)
{
    const json_t *list = json_object_get(json_object_get(call->node, "attributes"), key);
    const json_t *value = json_array_get(list, (*used)++);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* Function `index` of the node's list. */
static bool read_function(const struct onnx_recurrent *r, size_t index, size_t *alphas, size_t *betas,
                          struct activation *out)
{
    const json_t *list = json_object_get(json_object_get(r->call->node, "attributes"), "activations");
    const char *given = json_string_value(json_array_get(list, index));
    const char *name = given ? given : r->kind->defaults[index % r->kind->functions];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcasecmp(names[i].onnx, name) != 0)
            continue;
        double alpha = names[i].has_alpha ? next_number(r->call, "activation_alpha", alphas, names[i].alpha) : 0;
        double beta = names[i].has_beta ? next_number(r->call, "activation_beta", betas, names[i].beta) : 0;
        *out = function_of(&names[i], alpha, beta);
        return true;
    }
    return onnx_refuse(r->call, "has activation \"%.40s\", which is not served", name);
}

static bool same_function(const struct activation *a, const struct activation *b)
{
    return a->kind == b->kind && a->alpha == b->alpha && a->value == b->value;
}

/* LSTM: f g h; GRU: f g; RNN: f. In LSTM and GRU, f is the activation of the gates. */
static bool read_functions(const struct onnx_recurrent *r, size_t direction, size_t *alphas, size_t *betas,
                           struct rnn_cell_spec *cell)
{
    struct activation functions[3] = {{.kind = ACT_LINEAR}};
    size_t n = r->kind->functions;
    for (size_t i = 0; i < n; i++)
        if (!read_function(r, direction * n + i, alphas, betas, &functions[i]))
            return false;
    cell->has_output_activation = n == 3 && !same_function(&functions[1], &functions[2]);
    cell->output_activation = functions[2];
    cell->activation = functions[n > 1];
    cell->recurrent_activation = functions[0];
    return true;
}

/* ---- weights ---- */

/* The positions of the tensors of one direction. */
static const char *tensor_name(const struct onnx_recurrent *r, size_t direction, const char *name, char out[100])
{
    static const char *const sides[] = {"forward.", "backward."};
    snprintf(out, 100, "%scells.0.%s", r->directions == 2 ? sides[direction] : "", name);
    return out;
}

/* Convert [gates * units, depth] of one direction to [depth, gates * units]. */
static bool turn(const struct onnx_recurrent *r, size_t operand, size_t direction, const char *name, size_t depth)
{
    char full[100];
    size_t units = r->units, columns = r->kind->gates * units;
    const size_t shape[] = {depth, columns};
    const float *from = onnx_floats(r->call, onnx_constant(r->call, operand));
    float *to = from ? onnx_weights(r->call, tensor_name(r, direction, name, full), 2, shape) : NULL;
    if (!to)
        return false;
    from += direction * columns * depth;
    for (size_t g = 0; g < r->kind->gates; g++)
        for (size_t u = 0; u < units; u++)
            for (size_t i = 0; i < depth; i++)
                to[i * columns + g * units + u] = from[(r->kind->order[g] * units + u) * depth + i];
    return true;
}

/* The two biases are added, except in a GRU that applies the reset gate after the product. */
static bool set_bias(const struct onnx_recurrent *r, size_t direction, bool apart)
{
    char full[100];
    size_t units = r->units, columns = r->kind->gates * units;
    const size_t together[] = {columns}, both[] = {2, columns};
    const float *from = onnx_floats(r->call, onnx_constant(r->call, B));
    float *to =
        from ? onnx_weights(r->call, tensor_name(r, direction, "bias", full), apart ? 2 : 1, apart ? both : together)
             : NULL;
    if (!to)
        return false;
    from += direction * 2 * columns;
    for (size_t g = 0; g < r->kind->gates; g++)
        for (size_t u = 0; u < units; u++) {
            double w = from[r->kind->order[g] * units + u], h = from[columns + r->kind->order[g] * units + u];
            to[g * units + u] = (float)(apart ? w : w + h);
            if (apart)
                to[columns + g * units + u] = (float)h;
        }
    return true;
}

static bool set_peepholes(const struct onnx_recurrent *r, size_t direction)
{
    static const char *const gates[] = {"input_gate_peephole_weights", "output_gate_peephole_weights",
                                        "forget_gate_peephole_weights"};
    char full[100];
    const struct onnx_constant *p = onnx_constant(r->call, P);
    const float *from = p ? onnx_floats(r->call, p) : NULL;
    for (size_t i = 0; i < 3; i++) {
        float *to = onnx_weights(r->call, tensor_name(r, direction, gates[i], full), 1, &r->units);
        if (!to || (p && !from))
            return false;
        if (from)
            memcpy(to, from + (direction * 3 + i) * r->units, r->units * sizeof *to);
    }
    return true;
}

/* ---- the layer ---- */

static struct rnn_cell_spec *new_cell(const struct onnx_recurrent *r, bool peepholes)
{
    struct rnn_cell_spec *cell = rnn_cell_spec_new(peepholes ? &cell_peephole_lstm : r->kind->cell);
    if (!cell) {
        onnx_no_memory(r->call);
        return NULL;
    }
    cell->units = r->units;
    cell->use_bias = onnx_given(r->call, B);
    cell->reset_after = r->kind->cell == &cell_gru && onnx_int(r->call, "linear_before_reset", 0);
    return cell;
}

static bool set_weights(const struct onnx_recurrent *r, size_t direction, bool apart, bool peepholes)
{
    return turn(r, W, direction, "kernel", r->features) && turn(r, R, direction, "recurrent_kernel", r->units) &&
           (!onnx_given(r->call, B) || set_bias(r, direction, apart)) && (!peepholes || set_peepholes(r, direction));
}

bool onnx_recurrent_layer(const struct onnx_recurrent *r, bool sequences, size_t *layer)
{
    const struct onnx_constant *p = onnx_constant(r->call, P);
    bool peepholes = p && r->kind->states == 2 && !onnx_all(p, 0);
    size_t alphas = 0, betas = 0;
    struct layer *out =
        onnx_layer(r->call, &layer_recurrent, r->directions == 2 ? "Bidirectional" : r->kind->class_name);
    if (!out)
        return false;
    struct recurrent *own = recurrent_of(out);
    *layer = r->call->c->out->model.n_layers - 1;
    own->n_parts = r->directions;
    for (size_t d = 0; d < r->directions; d++) {
        own->parts[d].return_sequences = sequences;
        own->parts[d].zero_output_for_mask = r->lengths;
        own->parts[d].go_backwards = d == 1 || r->reverse;
        own->cells[d] = new_cell(r, peepholes);
        if (!own->cells[d] || !read_functions(r, d, &alphas, &betas, own->cells[d]))
            return false;
        bool two = own->cells[d]->has_output_activation; /* only a cell with peepholes can have them */
        if (two)
            own->cells[d]->class = &cell_peephole_lstm;
        if (!set_weights(r, d, own->cells[d]->reset_after, peepholes || two))
            return false;
    }
    return true;
}
