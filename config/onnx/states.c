/* Gives each number of the states an identity, and follows the identities through the graph by folding. */
#include "states.h"

#include "batch.h"
#include "fold.h"
#include "scope.h"

#include <string.h>

/* The identities of initial states begin at 0; those of final states at this offset. */
enum { FINAL = 1 << 28, MAX_STATES = 1 << 24, FEW_OPERANDS = 16 };

/* The state of a search. */
struct probe {
    struct onnx_call *call;
    json_t *tied;
    struct onnx_number *next; /* [n] of each number of the states: the final state that has to become it; 0: not seen */
    size_t n;                 /* numbers of all states */
    int64_t final;            /* the identities used for final states */
    bool fits;
};

static const char *name_at(const json_t *list, size_t i)
{
    const char *name = json_string_value(json_array_get(list, i));
    return name ? name : "";
}

/* Make identities from `first` on. Returns false if out of memory. */
static bool count_from(struct onnx_call *call, int64_t first, size_t rank, const struct onnx_number *sizes,
                       struct onnx_constant *out)
{
    float *floats;
    struct onnx_number *wholes;
    if (!onnx_new_constant(call, true, rank, sizes, out, &floats, &wholes))
        return false;
    for (size_t i = 0; i < out->n; i++)
        wholes[i] = onnx_whole(first + (int64_t)i);
    return true;
}

/* The sizes of a state input, with a batch of 1. */
static bool add_state(struct probe *p, const json_t *info)
{
    const json_t *shape = json_object_get(info, "shape");
    const char *name = json_string_value(json_object_get(info, "name"));
    size_t batch = onnx_find_batch(p->call->c->batches, name);
    struct onnx_number sizes[ONNX_MAX_RANK];
    struct onnx_value value = {.kind = ONNX_CONSTANT};
    for (size_t i = 0; i < json_array_size(shape); i++) {
        json_int_t size = i == batch ? 1 : json_integer_value(json_array_get(shape, i));
        p->fits &= size > 0 && size < MAX_STATES;
        sizes[i] = onnx_whole(size);
    }
    if (!p->fits || !count_from(p->call, (int64_t)p->n, json_array_size(shape), sizes, &value.constant))
        return p->fits = false;
    p->n += value.constant.n;
    p->fits = p->n < MAX_STATES;
    return onnx_scope_set(p->call->scope, name, &value) || onnx_no_memory(p->call);
}

/* Give the final states of a recurrent node new identities. */
static bool give_final(struct probe *p, struct onnx_call *node, size_t output, size_t first)
{
    const struct onnx_constant *r = onnx_constant(node, 2);
    bool layout = onnx_int(node, "layout", 0);
    const struct onnx_number one = onnx_whole(1),
                             sizes[] = {layout ? one : r->sizes[0], layout ? r->sizes[0] : one, r->sizes[2]};
    node->out[output] = (struct onnx_value){.kind = ONNX_CONSTANT};
    return count_from(p->call, FINAL + p->final + (int64_t)first, 3, sizes, &node->out[output].constant);
}

/* A recurrent node whose initial states are identities, in any order: they must become its final states. */
static bool probe_recurrent(struct probe *p, struct onnx_call *node, const char *first_output)
{
    const struct onnx_constant *r = onnx_constant(node, 2);
    size_t kinds = strcmp(node->op, "LSTM") ? 1 : 2, n = 0;
    if (!r || r->rank != 3)
        return true;
    for (size_t kind = 0; kind < kinds; kind++) {
        const struct onnx_constant *initial = onnx_constant(node, 5 + kind);
        if (!initial || !initial->whole || initial->uniform)
            return true;
        n = initial->n;
    }
    for (size_t kind = 0; kind < kinds; kind++) {
        const struct onnx_constant *initial = onnx_constant(node, 5 + kind);
        for (size_t i = 0; i < initial->n; i++) {
            int64_t from = initial->wholes[i].value;
            if (from < 0 || from >= (int64_t)p->n || p->next[from].value || initial->n != n)
                return true;
            p->next[from] = onnx_whole(FINAL + p->final + (int64_t)(kind * n + i));
        }
        if (kind + 1 < node->n_out && !give_final(p, node, kind + 1, kind * n))
            return false;
    }
    p->final += (int64_t)(kinds * n);
    return !json_object_set_new(p->tied, first_output, json_true()) || onnx_no_memory(p->call);
}

static void find(struct onnx_call *call, const char *name, struct onnx_value *out)
{
    const struct onnx_value *found = onnx_scope_find(call->scope, name);
    const json_t *tensor = json_object_get(json_object_get(call->scope->graph, "tensors"), name);
    if (found)
        *out = *found;
    else if (tensor && onnx_load(call, tensor, &out->constant))
        out->kind = ONNX_CONSTANT;
}

/* Fold a node if possible; other nodes have no result. */
static bool probe_node(struct probe *p, const json_t *json)
{
    static const char *const moves[] = {"Identity", "Squeeze", "Unsqueeze", "Reshape",  "Transpose", "Slice",
                                        "Gather",   "Concat",  "Split",     "Constant", NULL};
    const json_t *in = json_object_get(json, "in"), *out = json_object_get(json, "out");
    struct onnx_value inputs[FEW_OPERANDS] = {{.kind = ONNX_NOTHING}}, outputs[FEW_OPERANDS] = {{.kind = ONNX_NOTHING}};
    struct onnx_call node = *p->call;
    const char *op = json_string_value(json_object_get(json, "op"));
    bool known = true, move = false, good = true;
    node.node = json;
    node.op = op ? op : "";
    node.in = inputs;
    node.out = outputs;
    node.n_in = json_array_size(in);
    node.n_out = json_array_size(out);
    if (node.n_in > FEW_OPERANDS || node.n_out > FEW_OPERANDS)
        return true;
    for (size_t i = 0; i < node.n_in; i++) {
        find(&node, name_at(in, i), &inputs[i]);
        known &= !*name_at(in, i) || inputs[i].kind == ONNX_CONSTANT;
    }
    for (size_t i = 0; moves[i]; i++)
        move |= !strcmp(moves[i], node.op);
    if (!strcmp(node.op, "LSTM") || !strcmp(node.op, "GRU") || !strcmp(node.op, "RNN")) {
        const char *first = *name_at(out, 0) ? name_at(out, 0) : *name_at(out, 1) ? name_at(out, 1) : name_at(out, 2);
        good = probe_recurrent(p, &node, first);
    } else if (known && move) {
        good = onnx_fold(&node) != ONNX_NOT_FOLDABLE;
    }
    for (size_t i = 0; good && i < node.n_out; i++)
        if (outputs[i].kind == ONNX_CONSTANT && *name_at(out, i))
            good = onnx_scope_set(p->call->scope, name_at(out, i), &outputs[i]) || onnx_no_memory(p->call);
    return good;
}

/* Check that each number of an output has the identity that was recorded for its position. */
static bool check_output(struct probe *p, const char *name, size_t first)
{
    struct onnx_value value = {.kind = ONNX_NOTHING};
    find(p->call, name, &value);
    if (value.kind != ONNX_CONSTANT || !value.constant.whole || value.constant.uniform ||
        value.constant.n > p->n - first)
        return false;
    for (size_t i = 0; i < value.constant.n; i++)
        if (!p->next[first + i].value || !onnx_same(value.constant.wholes[i], p->next[first + i]))
            return false;
    return true;
}

static bool probe_graph(struct probe *p, const json_t *states)
{
    const json_t *graph = p->call->scope->graph, *inputs = json_object_get(graph, "inputs"),
                 *nodes = json_object_get(graph, "nodes");
    size_t first = 0;
    for (size_t i = 0; p->fits && i < json_array_size(inputs); i++) {
        const json_t *info = json_array_get(inputs, i);
        const char *name = json_string_value(json_object_get(info, "name"));
        if (name && json_object_get(states, name) && !add_state(p, info))
            return false;
    }
    p->next = p->fits ? onnx_memory(p->call, p->n, sizeof *p->next) : NULL;
    for (size_t i = 0; p->next && i < json_array_size(nodes); i++)
        if (!probe_node(p, json_array_get(nodes, i)))
            return false;
    for (size_t i = 0; p->next && i < json_array_size(inputs); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(inputs, i), "name"));
        const char *output = name ? json_string_value(json_object_get(states, name)) : NULL;
        const struct onnx_value *state = output ? onnx_scope_find(p->call->scope, name) : NULL;
        if (!state)
            continue;
        if (!check_output(p, output, first))
            return false;
        first += state->constant.n;
    }
    return p->next && first == p->n;
}

bool onnx_tie_states(struct onnx_call *call, const json_t *states, json_t *tied)
{
    struct onnx_scope scope = {.graph = call->scope->graph};
    struct problems ignored = {.n_errors = 0}, *problems = call->c->reader.problems;
    struct onnx_call probing = *call;
    struct probe p = {.call = &probing, .tied = tied, .fits = true};
    bool failed = false, *kept = call->c->reader.failed;
    probing.scope = &scope;
    call->c->reader.problems = &ignored; /* an identity that cannot be followed is not an error here */
    call->c->reader.failed = &failed;
    bool good = probe_graph(&p, states);
    call->c->reader.problems = problems;
    call->c->reader.failed = kept;
    problems_close(&ignored);
    onnx_scope_close(&scope);
    if (call->c->no_memory) /* nothing is known: the states must not become another layer's for want of memory */
        return onnx_no_memory(call);
    return good;
}
