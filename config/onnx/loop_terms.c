/* The terms of the values in the body of a loop. */
#include "loop.h"
#include "node.h"

#include <math.h>
#include <string.h>

const json_t *loop_node(const struct loop *loop, const char *name)
{
    return json_object_get(loop->nodes, name);
}

const char *loop_follow(const struct loop *loop, const char *name)
{
    const json_t *node = loop_node(loop, name);
    for (size_t i = 0; i < 32 && node && (node_is(node, "Identity") || node_is(node, "Cast")); i++) {
        name = node_operand(node, 0);
        node = loop_node(loop, name);
    }
    return name;
}

bool loop_is(const struct loop *loop, const char *name, const char *op, const char *operands[2])
{
    const json_t *node = loop_node(loop, loop_follow(loop, name));
    if (!node || !node_is(node, op) || json_array_size(json_object_get(node, "in")) != 2)
        return false;
    for (size_t i = 0; i < 2; i++)
        operands[i] = loop_follow(loop, node_operand(node, i));
    return true;
}

bool loop_constant(const struct loop *loop, const char *name, struct onnx_constant *out)
{
    for (const struct onnx_scope *scope = &loop->scope; scope; scope = scope->outer) {
        const struct onnx_value *value = onnx_scope_find(scope, name);
        if (!value)
            continue;
        *out = value->constant;
        return value->kind == ONNX_CONSTANT;
    }
    return false;
}

size_t loop_state(const struct loop *loop, const char *name)
{
    size_t i = 0;
    while (i < loop->n_states && strcmp(loop->before[i], name) != 0)
        i++;
    return i < loop->n_states ? i : LOOP_MAX_STATES;
}

/* ---- parts of the last axis ---- */

static bool is_last_axis(long axis)
{
    return axis == 1 || axis == -1;
}

/* Output `name` of a Split into parts of one gate each. */
static bool split_part(const struct loop *loop, const json_t *node, const char *name, size_t *first)
{
    const json_t *out = json_object_get(node, "out"), *attributes = json_object_get(node, "attributes");
    const json_t *sizes = json_object_get(attributes, "split");
    struct onnx_constant given = {.n = 0};
    bool constant =
        json_array_size(json_object_get(node, "in")) > 1 && loop_constant(loop, node_operand(node, 1), &given);
    if (!is_last_axis((long)json_integer_value(json_object_get(attributes, "axis"))))
        return false;
    for (size_t i = 0; i < json_array_size(out); i++) {
        const char *own = json_string_value(json_array_get(out, i));
        size_t size = loop->units;
        if (own && !strcmp(own, name))
            return true;
        if (json_is_array(sizes))
            size = (size_t)json_integer_value(json_array_get(sizes, i));
        else if (constant && i < given.n)
            size = (size_t)onnx_element(&given, i);
        *first += size;
    }
    return false;
}

/* The start of a Slice on the last axis; it must keep all other axes whole. */
static bool slice_part(const struct loop *loop, const json_t *node, size_t *first)
{
    static const char *const keys[] = {"starts", "axes"};
    double values[2][2] = {{0}};
    size_t n = 0;
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(json_object_get(node, "attributes"), keys[k]);
        struct onnx_constant constant = {.n = 0};
        if (!list && !loop_constant(loop, node_operand(node, k ? 3 : 1), &constant))
            return false;
        n = list ? json_array_size(list) : constant.n;
        if (n > 2)
            return false;
        for (size_t i = 0; i < n; i++)
            values[k][i] = list ? json_number_value(json_array_get(list, i)) : onnx_element(&constant, i);
    }
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (values[0][i] < 0 || (!is_last_axis((long)values[1][i]) && values[0][i] > 0))
            return false;
        if (is_last_axis((long)values[1][i])) {
            *first += (size_t)values[0][i];
            found = true;
        }
    }
    return found;
}

/* ---- terms ---- */

static bool add_term(struct loop_gate *out, const struct loop_term *term)
{
    if (out->n == LOOP_MAX_TERMS)
        return false;
    out->terms[out->n++] = *term;
    return true;
}

/* A value multiplied by columns of a constant matrix. */
static bool product_term(const struct loop *loop, const char *left, const char *right, bool transposed, size_t first,
                         struct loop_gate *out)
{
    struct loop_term term = {.kind = TERM_X, .first = first, .transposed = transposed};
    const char *factors[2];
    left = loop_follow(loop, left);
    if (!loop_constant(loop, loop_follow(loop, right), &term.constant) || term.constant.rank != 2)
        return false;
    term.state = loop_state(loop, left);
    if (term.state < LOOP_MAX_STATES) {
        term.kind = TERM_STATE;
    } else if (loop_is(loop, left, "Mul", factors)) {
        size_t at = loop_state(loop, factors[1]) < LOOP_MAX_STATES;
        term.kind = TERM_PRODUCT;
        term.state = loop_state(loop, factors[at]);
        term.other = factors[!at];
        if (term.state == LOOP_MAX_STATES)
            return false;
    } else if (strcmp(left, loop->x_t) != 0) {
        return false;
    }
    return add_term(out, &term);
}

/* The terms of the same part of a node's operand. */
static bool terms_of_operand(const struct loop *loop, const json_t *node, size_t i, struct loop_part part,
                             struct loop_gate *out)
{
    part.name = node_operand(node, i);
    part.depth++;
    return loop_terms_of(loop, part, out);
}

static bool gemm_terms(const struct loop *loop, const json_t *node, struct loop_part part, struct loop_gate *out)
{
    const json_t *attributes = json_object_get(node, "attributes"), *alpha = json_object_get(attributes, "alpha"),
                 *beta = json_object_get(attributes, "beta");
    if ((alpha && json_number_value(alpha) != 1) || (beta && json_number_value(beta) != 1) ||
        json_integer_value(json_object_get(attributes, "transA")))
        return false;
    return product_term(loop, node_operand(node, 0), node_operand(node, 1),
                        json_integer_value(json_object_get(attributes, "transB")) != 0, part.first, out) &&
           (!*node_operand(node, 2) || terms_of_operand(loop, node, 2, part, out));
}

bool loop_terms_of(const struct loop *loop, struct loop_part part, struct loop_gate *out)
{
    const char *name = loop_follow(loop, part.name);
    const json_t *node = loop_node(loop, name);
    struct loop_term term = {.kind = TERM_CONSTANT, .first = part.first, .other = name};
    if (part.depth > LOOP_MAX_DEPTH)
        return false;
    if (loop_constant(loop, name, &term.constant))
        return add_term(out, &term);
    if (node && node_is(node, "Add"))
        return terms_of_operand(loop, node, 0, part, out) && terms_of_operand(loop, node, 1, part, out);
    if (node && node_is(node, "Split"))
        return split_part(loop, node, name, &part.first) && terms_of_operand(loop, node, 0, part, out);
    if (node && node_is(node, "Slice"))
        return slice_part(loop, node, &part.first) && terms_of_operand(loop, node, 0, part, out);
    if (node && node_is(node, "MatMul"))
        return product_term(loop, node_operand(node, 0), node_operand(node, 1), false, part.first, out);
    if (node && node_is(node, "Gemm"))
        return gemm_terms(loop, node, part, out);
    term.kind = TERM_OTHER;
    return add_term(out, &term);
}

/* Clip(x + 3, 0, 6) / 6, as Keras 3 computes its hard sigmoid: the name of x. */
static const char *hard_sigmoid_of(const struct loop *loop, const char *name)
{
    const char *factors[2], *summands[2];
    struct onnx_constant number;
    for (size_t i = 0; loop_is(loop, name, "Mul", factors) && i < 2; i++) {
        const json_t *clip = loop_node(loop, factors[!i]);
        if (!loop_constant(loop, factors[i], &number) || number.n != 1 ||
            fabs(onnx_element(&number, 0) - 1.0 / 6) > 1e-7 || !clip || !node_is(clip, "Clip") ||
            !loop_constant(loop, node_operand(clip, 1), &number) || !onnx_all(&number, 0) ||
            !loop_constant(loop, node_operand(clip, 2), &number) || !onnx_all(&number, 6) ||
            !loop_is(loop, node_operand(clip, 0), "Add", summands))
            continue;
        for (size_t k = 0; k < 2; k++)
            if (loop_constant(loop, summands[k], &number) && number.n == 1 && onnx_all(&number, 3))
                return summands[!k];
    }
    return NULL;
}

bool loop_gate_of(const struct loop *loop, const char *name, struct loop_gate *out)
{
    static const char *const activations[] = {"Sigmoid", "Tanh",     "Relu",      "HardSigmoid",
                                              "Elu",     "Softsign", "LeakyRelu", "Softplus"};
    const json_t *node = loop_node(loop, loop_follow(loop, name));
    const json_t *attributes = json_object_get(node, "attributes");
    const char *hard = hard_sigmoid_of(loop, name);
    *out = (struct loop_gate){.n = 0};
    if (hard) {
        *out = (struct loop_gate){.activation = "HardSigmoid", .has_alpha = true, .alpha = 1.0 / 6, .beta = 0.5};
        return loop_terms_of(loop, (struct loop_part){.name = hard}, out);
    }
    for (size_t i = 0; node && i < sizeof activations / sizeof *activations; i++)
        if (node_is(node, activations[i]))
            out->activation = activations[i];
    if (!out->activation)
        return false;
    out->has_alpha = json_object_get(attributes, "alpha") || json_object_get(attributes, "beta");
    out->alpha = json_number_value(json_object_get(attributes, "alpha"));
    out->beta = json_number_value(json_object_get(attributes, "beta"));
    return loop_terms_of(loop, (struct loop_part){.name = node_operand(node, 0)}, out);
}
