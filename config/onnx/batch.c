/* Follows the batch axis from recurrent nodes back to the inputs of the graph. */
#include "batch.h"
#include "node.h"

#include <string.h>

enum { MAX_STEPS = 4096, MAX_DEPTH = 16 };

/* The state of the search. */
struct trace {
    const json_t *producers; /* name -> node */
    json_t *batches;
    bool failed;
    unsigned steps; /* of the whole search */
};

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static const json_t *attribute(const json_t *node, const char *key)
{
    return json_object_get(json_object_get(node, "attributes"), key);
}

static bool is_one_of(const char *op, const char *const *names)
{
    for (; *names; names++)
        if (!strcmp(op, *names))
            return true;
    return false;
}

static void follow(struct trace *t, const char *name, size_t axis, size_t rank, unsigned depth);

/* The axes of a Squeeze or Unsqueeze, if they are an attribute. Returns their number; 0 if they are an operand (opset
   13). */
static size_t axes_of(const json_t *node, size_t rank, long *axes)
{
    const json_t *list = attribute(node, "axes");
    size_t n = json_array_size(list);
    if (n > 8)
        return 0;
    for (size_t i = 0; i < n; i++) {
        long axis = (long)json_integer_value(json_array_get(list, i));
        axes[i] = axis < 0 ? axis + (long)rank : axis;
    }
    return n;
}

/* The axis before the Unsqueeze. */
static void follow_unsqueeze(struct trace *t, const json_t *node, size_t axis, size_t rank, unsigned depth)
{
    long axes[8];
    size_t n = axes_of(node, rank, axes), before = 0;
    if (!n) { /* the axes are an operand: take one axis, 0 unless this is the wanted axis */
        n = 1;
        axes[0] = axis ? 0 : 1;
    }
    for (size_t i = 0; i < n; i++) {
        if (axes[i] == (long)axis)
            return;
        before += axes[i] >= 0 && axes[i] < (long)axis;
    }
    follow(t, node_operand(node, 0), axis - before, rank - n, depth);
}

static void follow_transpose(struct trace *t, const json_t *node, size_t axis, size_t rank, unsigned depth)
{
    const json_t *perm = attribute(node, "perm");
    size_t from = json_array_size(perm) ? (size_t)json_integer_value(json_array_get(perm, axis)) : rank - 1 - axis;
    if (from < rank)
        follow(t, node_operand(node, 0), from, rank, depth);
}

/* A Gather of one index removes an axis. The number of indices is unknown here, so one is assumed: exporters gather
   states by one index, and slice sequences. */
static void follow_gather(struct trace *t, const json_t *node, size_t axis, size_t rank, unsigned depth)
{
    const json_t *value = attribute(node, "axis");
    long at = (long)json_integer_value(value);
    if (at >= 0)
        follow(t, node_operand(node, 0), axis + ((long)axis >= at), rank + 1, depth);
}

static void follow_graph(struct trace *t, const json_t *node, const char *name, size_t axis, size_t rank,
                         unsigned depth)
{
    const json_t *out = json_object_get(node, "out");
    static const char *const branches[] = {"then_branch", "else_branch"};
    for (size_t i = 0; i < json_array_size(out); i++)
        for (size_t b = 0; b < 2; b++) {
            const char *given = json_string_value(json_array_get(out, i));
            const json_t *graph = json_object_get(attribute(node, branches[b]), "graph");
            const json_t *inner = json_array_get(json_object_get(graph, "outputs"), i);
            if (given && !strcmp(given, name) && inner)
                follow(t, text(inner, "name"), axis, rank, depth);
        }
}

/* Follow a name backwards. Names without a producer are inputs. The first axis found for a name stays. */
static void follow(struct trace *t, const char *name, size_t axis, size_t rank, unsigned depth)
{
    static const char *const same[] = {"Identity",  "Cast",     "Dropout",     "Relu",  "Tanh",  "Sigmoid",
                                       "LeakyRelu", "Elu",      "Selu",        "Slice", "Split", "Pad",
                                       "Expand",    "Softmax",  "Concat",      "Add",   "Sub",   "Mul",
                                       "Div",       "Pow",      "Sqrt",        "Clip",  "Gelu",  "LayerNormalization",
                                       "Softplus",  "Softsign", "HardSigmoid", "PRelu", "Where", NULL};
    static const char *const pair[] = {"Add", "Sub", "Mul", "Div", "Pow", "Where", NULL};
    static const char *const first[] = {"MatMul", "Conv", "BatchNormalization", "MaxPool", "AveragePool", NULL};
    const json_t *node = json_object_get(t->producers, name);
    if (t->steps++ > MAX_STEPS || depth > 200 || !*name || json_object_get(t->batches, name))
        return;
    t->failed |= json_object_set_new(t->batches, name, json_integer((json_int_t)axis)) != 0;
    if (!node)
        return;
    const char *op = text(node, "op");
    if (!strcmp(op, "Transpose"))
        follow_transpose(t, node, axis, rank, depth + 1);
    else if (!strcmp(op, "Unsqueeze"))
        follow_unsqueeze(t, node, axis, rank, depth + 1);
    else if (!strcmp(op, "Squeeze") && json_array_size(attribute(node, "axes")) == 1)
        follow(t, node_operand(node, 0),
               axis + ((json_int_t)axis >= json_integer_value(json_array_get(attribute(node, "axes"), 0))), rank + 1,
               depth + 1);
    else if (!strcmp(op, "Gather"))
        follow_gather(t, node, axis, rank, depth + 1);
    else if (!strcmp(op, "If"))
        follow_graph(t, node, name, axis, rank, depth + 1);
    else if (is_one_of(op, first) && (axis == 0 || !strcmp(op, "MatMul")))
        follow(t, node_operand(node, 0), axis, rank, depth + 1);
    else if (is_one_of(op, same))
        for (size_t i = 0; i < (is_one_of(op, pair)    ? 2
                                : strcmp(op, "Concat") ? 1
                                                       : json_array_size(json_object_get(node, "in")));
             i++)
            follow(t, node_operand(node, i), axis, rank, depth + 1);
}

/* Find the node that produces each name, in a graph and its subgraphs. */
static bool find_producers(const json_t *graph, json_t *producers, unsigned depth)
{
    const json_t *nodes = json_object_get(graph, "nodes");
    bool good = depth < MAX_DEPTH;
    for (size_t i = 0; good && i < json_array_size(nodes); i++) {
        json_t *node = json_array_get(nodes, i), *out = json_object_get(node, "out"), *value;
        const char *key;
        for (size_t k = 0; good && k < json_array_size(out); k++) {
            const char *name = json_string_value(json_array_get(out, k));
            good = !name || !*name || !json_object_set(producers, name, node);
        }
        json_object_foreach(json_object_get(node, "attributes"), key, value)
            if (good && json_object_get(value, "graph"))
                good = find_producers(json_object_get(value, "graph"), producers, depth + 1);
    }
    return good;
}

/* Follow every recurrent node of a graph and its subgraphs. */
static void trace_graph(struct trace *t, const json_t *graph, unsigned depth)
{
    static const char *const recurrent[] = {"LSTM", "GRU", "RNN", NULL};
    const json_t *nodes = json_object_get(graph, "nodes");
    for (size_t i = 0; i < json_array_size(nodes) && depth < MAX_DEPTH; i++) {
        const json_t *node = json_array_get(nodes, i);
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(node, "attributes"), key, value)
            if (json_object_get(value, "graph"))
                trace_graph(t, json_object_get(value, "graph"), depth + 1);
        if (!is_one_of(text(node, "op"), recurrent))
            continue;
        size_t axis = json_integer_value(attribute(node, "layout")) == 0;
        follow(t, node_operand(node, 0), axis, 3, 0);
        follow(t, node_operand(node, 5), axis, 3, 0);
        follow(t, node_operand(node, 6), axis, 3, 0);
    }
}

/* The name of the batch's size: the name of a known batch axis, else a name that begins with "batch", else the name of the
   first axis of an input; NULL if there is no name. */
static const char *batch_name(const json_t *inputs, const json_t *batches)
{
    const char *found = NULL, *first = NULL;
    for (size_t i = 0; i < json_array_size(inputs) && !found; i++) {
        const json_t *input = json_array_get(inputs, i), *shape = json_object_get(input, "shape"),
                     *axis = json_object_get(batches, text(input, "name"));
        if (axis)
            found = json_string_value(json_array_get(shape, (size_t)json_integer_value(axis)));
    }
    for (size_t i = 0; i < json_array_size(inputs) && !found; i++) {
        const json_t *shape = json_object_get(json_array_get(inputs, i), "shape");
        for (size_t k = 0; k < json_array_size(shape) && !found; k++) {
            const char *name = json_string_value(json_array_get(shape, k));
            found = name && !strncmp(name, "batch", 5) ? name : NULL;
            first = name && !k && !first ? name : first;
        }
    }
    return found ? found : first;
}

/* For inputs without a recurrent node: the batch is the axis whose size has the batch's name. */
static bool guess_inputs(const json_t *graph, json_t *batches)
{
    const json_t *inputs = json_object_get(graph, "inputs");
    const char *batch = batch_name(inputs, batches);
    for (size_t i = 0; batch && i < json_array_size(inputs); i++) {
        const json_t *input = json_array_get(inputs, i), *shape = json_object_get(input, "shape");
        if (json_object_get(batches, text(input, "name")))
            continue;
        for (size_t k = 0; k < json_array_size(shape); k++) {
            const char *name = json_string_value(json_array_get(shape, k));
            if (!name || strcmp(name, batch) != 0)
                continue;
            if (json_object_set_new(batches, text(input, "name"), json_integer((json_int_t)k)))
                return false;
            break;
        }
    }
    return true;
}

bool onnx_find_batches(const json_t *graph, json_t *batches)
{
    json_t *producers = json_object();
    struct trace t = {.producers = producers, .batches = batches};
    bool good = producers && find_producers(graph, producers, 0);
    if (good)
        trace_graph(&t, graph, 0);
    good = good && !t.failed && guess_inputs(graph, batches);
    json_decref(producers);
    return good;
}

size_t onnx_find_batch(const json_t *batches, const char *name)
{
    return (size_t)json_integer_value(json_object_get(batches, name));
}
