/* The ids of an Embedding. Exporters of Keras 3 write Python's rule before a Gather: negative indices count from the end. Ids
   of a request are never negative, so the rule has no effect. */
#include "ids.h"
#include "node.h"

#include <string.h>

/* A graph, with its nodes by the names that they produce. */
struct givers {
    const struct onnx_call *call;
    const json_t *graph;
    json_t *nodes; /* {NAME: node} */
};

/* The name of the value before casts. */
static const char *follow(const struct givers *g, const char *name)
{
    const json_t *node = json_object_get(g->nodes, name);
    for (size_t i = 0; i < 16 && node && node_is(node, "Cast"); i++) {
        name = node_operand(node, 0);
        node = json_object_get(g->nodes, name);
    }
    return name;
}

/* The node that produces a name, before casts, if the node has this operator. */
static const json_t *node_of(const struct givers *g, const char *name, const char *op)
{
    const json_t *node = json_object_get(g->nodes, follow(g, name));
    return node && node_is(node, op) ? node : NULL;
}

static bool is_zero(const struct givers *g, const char *name)
{
    const json_t *tensor = json_object_get(json_object_get(g->graph, "tensors"), name);
    const json_t *node = node_of(g, name, "Constant"), *attributes = json_object_get(node, "attributes");
    const json_t *number = json_object_get(attributes, "value_int");
    struct onnx_constant constant;
    if (!tensor && node)
        tensor = json_object_get(json_object_get(attributes, "value"), "tensor");
    if (number)
        return json_is_integer(number) && !json_integer_value(number);
    return json_is_string(tensor) && onnx_load(g->call, tensor, &constant) && onnx_all(&constant, 0);
}

/* Less(x, 0): the name of x. */
static const char *below_zero(const struct givers *g, const char *name)
{
    const json_t *node = node_of(g, name, "Less");
    return node && is_zero(g, node_operand(node, 1)) ? follow(g, node_operand(node, 0)) : NULL;
}

/* Whether a name is Add(x, n) or Add(n, x). */
static bool is_shifted(const struct givers *g, const char *name, const char *x)
{
    const json_t *node = node_of(g, name, "Add");
    return node && (!strcmp(follow(g, node_operand(node, 0)), x) || !strcmp(follow(g, node_operand(node, 1)), x));
}

/* Where(x < 0, x + n, x). */
static const char *chosen(const struct givers *g, const char *name)
{
    const json_t *node = node_of(g, name, "Where");
    const char *x = node ? below_zero(g, node_operand(node, 0)) : NULL;
    return x && is_shifted(g, node_operand(node, 1), x) && !strcmp(follow(g, node_operand(node, 2)), x) ? x : NULL;
}

/* Mul(a, b) as (x < 0) * (x + n): the name of x. */
static const char *negative_part(const struct givers *g, const char *name)
{
    const json_t *node = node_of(g, name, "Mul");
    for (size_t i = 0; node && i < 2; i++) {
        const char *x = below_zero(g, node_operand(node, i));
        if (x && is_shifted(g, node_operand(node, !i), x))
            return x;
    }
    return NULL;
}

/* Mul(a, b) as (not x < 0) * x. */
static bool is_other_part(const struct givers *g, const char *name, const char *x)
{
    const json_t *node = node_of(g, name, "Mul");
    for (size_t i = 0; node && i < 2; i++) {
        const json_t *other = node_of(g, node_operand(node, i), "Not");
        const char *inner = other ? below_zero(g, node_operand(other, 0)) : NULL;
        if (inner && !strcmp(inner, x) && !strcmp(follow(g, node_operand(node, !i)), x))
            return true;
    }
    return false;
}

/* (x < 0) * (x + n) + (not x < 0) * x. */
static const char *mixed(const struct givers *g, const char *name)
{
    const json_t *node = node_of(g, name, "Add");
    for (size_t i = 0; node && i < 2; i++) {
        const char *x = negative_part(g, node_operand(node, i));
        if (x && is_other_part(g, node_operand(node, !i), x))
            return x;
    }
    return NULL;
}

bool onnx_plain_ids(const struct onnx_call *call, const json_t *graph)
{
    const json_t *nodes = json_object_get(graph, "nodes"), *tensors = json_object_get(graph, "tensors");
    struct givers g = {.call = call, .graph = graph, .nodes = json_object()};
    bool good = g.nodes != NULL;
    for (size_t i = 0; good && i < json_array_size(nodes); i++) {
        json_t *node = json_array_get(nodes, i), *in = json_object_get(node, "in");
        const json_t *out = json_object_get(node, "out");
        for (size_t k = 0; good && k < json_array_size(out); k++) {
            const char *name = json_string_value(json_array_get(out, k));
            good = name && !json_object_set(g.nodes, name, node);
        }
        if (!good || !node_is(node, "Gather") || !json_object_get(tensors, node_operand(node, 0)))
            continue;
        const char *x = chosen(&g, node_operand(node, 1));
        x = x ? x : mixed(&g, node_operand(node, 1));
        if (x)
            good = !json_array_set_new(in, 1, json_string(x));
    }
    json_decref(g.nodes);
    return good;
}
