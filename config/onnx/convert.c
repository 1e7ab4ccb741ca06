/* Converts the nodes of a graph one after the other: computes constants, and makes layers of the other nodes. */
#include "convert.h"
#include "batch.h"
#include "call.h"
#include "config/keras/input_shape.h"
#include "ids.h"
#include "onnx_model.h"
#include "scope.h"
#include "states.h"
#include "stepping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_TENSORS = 32 };
static const char *const more_domains[] = {"", "ai.onnx", NULL};

/* ---- needed nodes ---- */

static const char *name_at(const json_t *list, size_t i)
{
    const char *name = json_string_value(json_array_get(list, i));
    return name ? name : "";
}

static bool mark(json_t *set, const char *name)
{
    return !*name || !json_object_set_new(set, name, json_true());
}

/* Whether a recurrent layer stores the state that begins with this operand or ends with this output. */
static bool is_tied(const struct onnx_convert *c, const json_t *node, size_t operand)
{
    const json_t *out = json_object_get(node, "out");
    bool tied = false;
    for (size_t i = 0; c->native && (operand == 5 || operand == 6) && i < json_array_size(out); i++)
        tied |= json_object_get(c->tied, name_at(out, i)) != NULL;
    return tied;
}

static bool is_state_output(const struct onnx_convert *c, const char *name)
{
    const char *key;
    json_t *output;
    bool is = false;
    json_object_foreach((json_t *)c->states, key, output)
        is |= json_string_value(output) && !strcmp(json_string_value(output), name);
    return is;
}

/* Count every name that a graph and its inner graphs take. */
static bool mark_graph(const struct onnx_convert *c, const json_t *graph, unsigned depth)
{
    json_t *set = c->needed;
    const json_t *nodes = json_object_get(graph, "nodes"), *outputs = json_object_get(graph, "outputs");
    bool good = depth < 16;
    for (size_t i = 0; good && i < json_array_size(outputs); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(outputs, i), "name"));
        bool skip = !depth && c->native && name && is_state_output(c, name);
        good = skip || mark(set, name ? name : "");
    }
    for (size_t i = json_array_size(nodes); good && i-- > 0;) {
        const json_t *node = json_array_get(nodes, i), *in = json_object_get(node, "in"),
                     *out = json_object_get(node, "out");
        bool taken = depth > 0;
        for (size_t k = 0; k < json_array_size(out); k++)
            taken |= json_object_get(set, name_at(out, k)) != NULL;
        if (!taken)
            continue;
        for (size_t k = 0; good && k < json_array_size(in); k++)
            good = is_tied(c, node, k) || mark(set, name_at(in, k));
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(node, "attributes"), key, value)
            if (good && json_object_get(value, "graph"))
                good = mark_graph(c, json_object_get(value, "graph"), depth + 1);
    }
    return good;
}

/* Count how many nodes take each name. Nodes that use only its shape do not count. */
static bool count_uses(json_t *uses, const json_t *graph, unsigned depth)
{
    const json_t *nodes = json_object_get(graph, "nodes"), *outputs = json_object_get(graph, "outputs");
    bool good = depth < 16;
    for (size_t i = 0; good && i < json_array_size(outputs); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(outputs, i), "name"));
        json_int_t before = name ? json_integer_value(json_object_get(uses, name)) : 0;
        good = name && !json_object_set_new(uses, name, json_integer(before + (depth ? 1 : 2)));
    }
    for (size_t i = 0; good && i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i), *in = json_object_get(node, "in");
        const char *op = json_string_value(json_object_get(node, "op")), *key;
        for (size_t k = 0; good && op && strcmp(op, "Shape") != 0 && k < json_array_size(in); k++) {
            const char *name = name_at(in, k);
            json_int_t before = json_integer_value(json_object_get(uses, name));
            good = !json_object_set_new(uses, name, json_integer(before + 1));
        }
        json_t *value;
        json_object_foreach(json_object_get(node, "attributes"), key, value)
            if (good && json_object_get(value, "graph"))
                good = count_uses(uses, json_object_get(value, "graph"), depth + 1);
    }
    return good;
}

/* ---- names ---- */

bool onnx_find_value(struct onnx_call *call, const char *name, struct onnx_value *out)
{
    for (struct onnx_scope *scope = call->scope; scope; scope = scope->outer) {
        const struct onnx_value *found = onnx_scope_find(scope, name);
        const json_t *tensor = found ? NULL : json_object_get(json_object_get(scope->graph, "tensors"), name);
        if (found) {
            *out = *found;
            if (out->kind == ONNX_TENSOR && json_integer_value(json_object_get(call->c->uses, name)) > 1)
                out->tensor.layer = GRAPH_NONE; /* a value that other nodes also take is not changed */
            return true;
        }
        if (tensor) {
            *out = (struct onnx_value){.kind = ONNX_CONSTANT};
            if (!onnx_load(call, tensor, &out->constant))
                return false;
            return onnx_scope_set(scope, name, out) || onnx_no_memory(call);
        }
    }
    return onnx_refuse(call, "takes \"%.100s\", which nothing before it gives", name);
}

/* ---- nodes ---- */

const struct onnx_row *onnx_find_row(const char *op)
{
    static const struct onnx_row *const tables[] = {
        onnx_recurrent_operators, onnx_dense_operators,  onnx_shape_operators,
        onnx_math_operators,      onnx_window_operators, onnx_normalize_operators,
        onnx_pad_operators,       onnx_loop_operators,   onnx_reduce_operators};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct onnx_row *row = tables[t]; row->op; row++)
            if (!strcmp(row->op, op))
                return row;
    return NULL;
}

static bool refuse_operator(const struct onnx_call *call)
{
    if (!strcmp(call->op, "Loop") || !strcmp(call->op, "Scan"))
        return onnx_refuse(call, "is a loop of single timesteps; export the model with opset 15 or later and without "
                                 "unrolling, so that its recurrent layers are LSTM, GRU or RNN nodes");
    return onnx_refuse(call, "is an operator that is not served; put its work into the data, or export the model "
                             "without it");
}

static bool run_node(struct onnx_call *call)
{
    const char *domain = json_string_value(json_object_get(call->node, "domain"));
    bool known = !domain;
    for (size_t i = 0; domain && more_domains[i]; i++)
        known |= !strcmp(domain, more_domains[i]);
    if (!known)
        return onnx_refuse(call, "is of the domain %.60s; operators of ONNX's own domain are served alone", domain);
    if (!strcmp(call->op, "If")) {
        const struct onnx_constant *condition = onnx_constant(call, 0);
        if (!condition || condition->n < 1 || (condition->whole && !onnx_known(condition->wholes[0])))
            return onnx_refuse(call, "has a condition that depends on the model's input; fix the input that it depends "
                                     "on: \"constants\" in the model's entry");
        const char *key = onnx_element(condition, 0) != 0 ? "then_branch" : "else_branch";
        const json_t *branch =
            json_object_get(json_object_get(json_object_get(call->node, "attributes"), key), "graph");
        return branch ? onnx_run_graph(call, branch) : onnx_refuse(call, "has no %s", key);
    }
    enum onnx_folded folded = onnx_fold(call);
    if (folded != ONNX_NOT_FOLDED)
        return folded == ONNX_IS_FOLDED;
    call->row = onnx_find_row(call->op);
    if (!call->row)
        return refuse_operator(call);
    return call->row->read(call) || onnx_refuse(call, "is used in a way that is not served");
}

bool onnx_convert_node(struct onnx_call *outer, struct onnx_scope *scope, const json_t *node)
{
    const json_t *in = json_object_get(node, "in"), *out = json_object_get(node, "out");
    const char *op = json_string_value(json_object_get(node, "op")),
               *name = json_string_value(json_object_get(node, "name"));
    struct onnx_call call = {.c = outer->c,
                             .scope = scope,
                             .node = node,
                             .op = op ? op : "",
                             .name = name && *name ? name : name_at(out, 0),
                             .n_in = json_array_size(in),
                             .n_out = json_array_size(out)};
    bool wanted = false;
    for (size_t i = 0; i < call.n_out; i++)
        wanted |= *name_at(out, i) && json_object_get(call.c->needed, name_at(out, i));
    if (!wanted)
        return true;
    if (call.n_in > ONNX_MAX_OPERANDS || call.n_out > ONNX_MAX_OPERANDS)
        return onnx_refuse(&call, "has more than %d inputs or outputs", ONNX_MAX_OPERANDS);
    call.in = calloc(call.n_in + 1, sizeof *call.in);
    call.out = calloc(call.n_out + 1, sizeof *call.out);
    bool good = (call.in && call.out) || onnx_no_memory(&call);
    for (size_t i = 0; good && i < call.n_in; i++)
        good = !*name_at(in, i) || is_tied(call.c, node, i) || onnx_find_value(&call, name_at(in, i), &call.in[i]);
    good = good && run_node(&call);
    for (size_t i = 0; good && i < call.n_out; i++)
        if (call.out[i].kind != ONNX_NOTHING && *name_at(out, i))
            good = onnx_scope_set(scope, name_at(out, i), &call.out[i]) || onnx_no_memory(&call);
    free(call.in);
    free(call.out);
    return good;
}

static bool convert_nodes(struct onnx_call *call, struct onnx_scope *scope)
{
    const json_t *nodes = json_object_get(scope->graph, "nodes");
    bool good = true;
    for (size_t i = 0; good && i < json_array_size(nodes); i++)
        good = onnx_convert_node(call, scope, json_array_get(nodes, i));
    return good;
}

bool onnx_run_graph(struct onnx_call *call, const json_t *graph)
{
    struct onnx_scope scope = {.outer = call->scope, .graph = graph};
    const json_t *outputs = json_object_get(graph, "outputs");
    struct onnx_call inner = *call;
    inner.scope = &scope;
    bool good = convert_nodes(call, &scope);
    for (size_t i = 0; good && i < json_array_size(outputs) && i < call->n_out; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(outputs, i), "name"));
        good = onnx_find_value(&inner, name ? name : "", &call->out[i]);
    }
    onnx_scope_close(&scope);
    return good;
}

/* ---- inputs ---- */

/* The elements of a constant in the model's entry: a number, or a list of numbers. */
static bool take_constant(const struct onnx_call *call, const json_t *json, bool whole, struct onnx_constant *out)
{
    size_t n = json_is_array(json) ? json_array_size(json) : 1;
    struct onnx_number *wholes = onnx_memory(call, n, sizeof *wholes);
    float *floats = onnx_memory(call, n, sizeof *floats);
    *out = (struct onnx_constant){.whole = whole, .n = n, .wholes = wholes, .floats = floats};
    if (json_is_array(json))
        out->sizes[out->rank++] = onnx_whole((int64_t)n);
    for (size_t i = 0; wholes && floats && i < n; i++) {
        const json_t *value = json_is_array(json) ? json_array_get(json, i) : json;
        double number = json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
        if (!json_is_number(value) && !json_is_boolean(value))
            return onnx_refuse(call,
                               "is fixed by \"constants\" in the model's entry, which gives it no number; give it a "
                               "number, or a list of numbers");
        wholes[i] = onnx_whole((int64_t)number);
        floats[i] = (float)number;
    }
    return wholes && floats;
}

/* The size of an axis of an input: a number, or a symbol for each name. */
static struct onnx_number input_size(const struct onnx_call *call, json_t *symbols, const json_t *size)
{
    const char *name = json_string_value(size);
    if (json_is_integer(size))
        return onnx_whole((int64_t)json_integer_value(size));
    const json_t *known = name ? json_object_get(symbols, name) : NULL;
    if (known)
        return onnx_symbol((unsigned char)json_integer_value(known));
    struct onnx_number symbol = onnx_unknown(call);
    if (name)
        json_object_set_new(symbols, name, json_integer(symbol.symbols[0]));
    return symbol;
}

/* The shape of an input of the model. Only the timesteps may be open. */
static bool input_shape(const struct onnx_call *call, const struct onnx_options *options, size_t n,
                        struct onnx_number *sizes, struct layer_shape *out)
{
    size_t axes[LAYER_MAX_AXES];
    if (n == 1 && !onnx_known(sizes[0]) && options->input_size)
        sizes[0] = onnx_whole((int64_t)options->input_size);
    for (size_t i = 0; i < n; i++) {
        bool open = !onnx_known(sizes[i]);
        if (i && open)
            return onnx_refuse(call, "has an open size behind its first axis after the batch; export the model with "
                                     "that size fixed");
        if (!open && (sizes[i].value < 1 || sizes[i].value > 1 << 24))
            return onnx_refuse(call, "has an axis of %lld", (long long)sizes[i].value);
        axes[i] = open ? 0 : (size_t)sizes[i].value;
    }
    if (n == 1 && !axes[0])
        *out = (struct layer_shape){.sequence = true, .scalar = true, .width = 1};
    else if (!layer_shape_of(n, axes, out))
        return onnx_refuse(call, "is too large");
    return true;
}

/* Add one input of the model that has no initializer. */
static bool read_input(struct onnx_call *call, const struct onnx_options *options, const json_t *info, json_t *symbols)
{
    const json_t *shape = json_object_get(info, "shape"), *fixed = json_object_get(options->constants, call->name);
    long type = (long)json_integer_value(json_object_get(info, "type"));
    bool whole = type == 6 || type == 7 || type == 9 || type == 2;
    struct onnx_value value = {.kind = ONNX_CONSTANT};
    struct onnx_number sizes[ONNX_MAX_RANK];
    struct layer_shape port;
    size_t rank = json_array_size(shape), n = 0, batch = onnx_find_batch(call->c->batches, call->name);
    call->op = "input";
    if (fixed)
        return take_constant(call, fixed, whole, &value.constant) &&
               (onnx_scope_set(call->scope, call->name, &value) || onnx_no_memory(call));
    if (!rank)
        return onnx_refuse(
            call, "has no axis for the batch; fix it: \"constants\": {\"%.60s\": …} in the model's entry", call->name);
    if (rank - 1 > LAYER_MAX_DIMS || batch >= rank)
        return onnx_refuse(call, "has %zu axes; one for the batch and up to four others are served", rank);
    for (size_t i = 0; i < rank; i++)
        if (i != batch)
            sizes[n++] = input_size(call, symbols, json_array_get(shape, i));
    if (json_is_integer(json_array_get(shape, batch)))
        call->c->batch = (long)json_integer_value(json_array_get(shape, batch));
    if (!input_shape(call, options, n, sizes, &port))
        return false;
    size_t input = graph_input(&call->c->out->model, call->name, &port);
    value = (struct onnx_value){.kind = ONNX_TENSOR,
                                .tensor = onnx_tensor_of(input, n, sizes, (struct onnx_batch){.axis = batch})};
    value.tensor.whole = whole;
    if (input == GRAPH_NONE && call->c->out->model.n_inputs == GRAPH_MAX_INPUTS)
        return onnx_refuse(call, "is one of more than %d inputs", GRAPH_MAX_INPUTS);
    return (input != GRAPH_NONE && onnx_scope_set(call->scope, call->name, &value)) || onnx_no_memory(call);
}

/* Add the states after the other inputs. */
static bool read_inputs(struct onnx_call *call, const struct onnx_options *options)
{
    const json_t *graph = call->scope->graph, *inputs = json_object_get(graph, "inputs");
    json_t *symbols = json_object();
    size_t n = json_array_size(inputs);
    bool good = symbols || onnx_no_memory(call);
    for (size_t i = 0; good && i < 2 * n; i++) {
        const json_t *info = json_array_get(inputs, i % n);
        struct onnx_call input = *call;
        input.name = json_string_value(json_object_get(info, "name"));
        bool state = input.name && json_object_get(call->c->states, input.name);
        if (input.name && state == (i >= n) && !(state && call->c->native) &&
            !json_object_get(json_object_get(graph, "tensors"), input.name))
            good = read_input(&input, options, info, symbols);
    }
    json_decref(symbols);
    return good;
}

/* ---- outputs ---- */

static bool read_output(struct onnx_call *call)
{
    struct onnx_value value;
    struct graph *graph = &call->c->out->model;
    call->op = "output";
    if (!onnx_find_value(call, call->name, &value))
        return false;
    if (value.kind != ONNX_TENSOR)
        return onnx_refuse(call, "does not depend on the model's input");
    if (!onnx_order(call, &value.tensor))
        return false;
    size_t at = value.tensor.value;
    bool again = graph->values[at].node == GRAPH_NONE;
    for (size_t o = 0; o < graph->n_outputs; o++)
        again |= graph->outputs[o].value == at;
    if (again) /* an output that is an input, or that has a second name, needs memory of its own */
        at = onnx_layer(call, &layer_identity, "Identity") ? onnx_node(call, &at, 1) : GRAPH_NONE;
    if (at != GRAPH_NONE && graph->n_outputs == GRAPH_MAX_INPUTS)
        return onnx_refuse(call, "is one of more than %d outputs", GRAPH_MAX_INPUTS);
    return at != GRAPH_NONE && (graph_output(graph, call->name, at) || onnx_no_memory(call));
}

/* Add the next states after the other outputs, in the order of the inputs. */
static bool read_next_states(struct onnx_call *call)
{
    const json_t *inputs = json_object_get(call->scope->graph, "inputs");
    bool good = true;
    for (size_t i = 0; good && !call->c->native && i < json_array_size(inputs); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(inputs, i), "name"));
        struct onnx_call output = *call;
        output.name = name ? json_string_value(json_object_get(call->c->states, name)) : NULL;
        good = !output.name || read_output(&output);
    }
    return good;
}

static bool read_outputs(struct onnx_call *call)
{
    const json_t *outputs = json_object_get(call->scope->graph, "outputs");
    bool good = true;
    for (size_t i = 0; good && i < json_array_size(outputs); i++) {
        struct onnx_call output = *call;
        output.name = json_string_value(json_object_get(json_array_get(outputs, i), "name"));
        good = output.name && (is_state_output(call->c, output.name) || read_output(&output));
    }
    return good && read_next_states(call);
}

/* Check that every state of the entry is an input, and that its next value is an output. */
static bool check_states(struct onnx_call *call)
{
    static const char *const lists[2] = {"inputs", "outputs"};
    const char *key;
    json_t *output;
    json_object_foreach((json_t *)call->c->states, key, output) {
        const char *names[2] = {key, json_string_value(output)};
        for (size_t l = 0; l < 2; l++) {
            const json_t *list = json_object_get(call->scope->graph, lists[l]);
            bool found = false;
            for (size_t i = 0; i < json_array_size(list); i++) {
                const char *name = json_string_value(json_object_get(json_array_get(list, i), "name"));
                found |= name && names[l] && !strcmp(name, names[l]);
            }
            if (!found)
                return onnx_refuse(call,
                                   "has no %.6s \"%.100s\", which \"states\" in the model's entry names; name inputs "
                                   "and outputs of the graph there",
                                   lists[l], names[l] ? names[l] : "");
        }
    }
    return true;
}

/* ---- the whole model ---- */

bool onnx_model_is(const json_t *json)
{
    return json_is_object(json_object_get(json, "onnx"));
}

/* The version of ONNX's own operators. */
static long opset_of(const json_t *model)
{
    const json_t *opset = json_object_get(model, "opset"), *own = json_object_get(opset, "");
    if (!own)
        own = json_object_get(opset, "ai.onnx");
    return own ? (long)json_integer_value(own) : 1;
}

static bool convert(struct onnx_call *call, const struct onnx_options *options)
{
    const json_t *graph = call->scope->graph;
    if (!onnx_plain_ids(call, graph) || !onnx_find_batches(graph, call->c->batches) || !check_states(call))
        return onnx_no_memory(call);
    call->c->native = options->states && onnx_tie_states(call, options->states, call->c->tied);
    if (call->c->no_memory || !mark_graph(call->c, graph, 0) || !count_uses(call->c->uses, graph, 0))
        return onnx_no_memory(call);
    if (!read_inputs(call, options) || !convert_nodes(call, call->scope) || !read_outputs(call))
        return false;
    if (!call->c->out->model.n_inputs || !call->c->out->model.n_outputs)
        return onnx_refuse(call, "has no %s", call->c->out->model.n_inputs ? "outputs" : "inputs");
    keras_find_ids(&call->c->out->model);
    return !options->states || call->c->native || onnx_step(call, json_object_size(options->states));
}

bool onnx_model_read(const json_t *json, const char *file, struct tensor_set *set, const struct onnx_options *options,
                     struct problems *problems, struct keras_model *out, struct tensor_set *to,
                     struct onnx_memory *memory)
{
    bool failed = false;
    const json_t *model = json_object_get(json, "onnx");
    struct onnx_convert c = {
        .reader = {.file = file, .keras_major = 3, .problems = problems, .failed = &failed},
        .from = set,
        .to = to,
        .out = out,
        .opset = opset_of(model),
        .n_symbols = ONNX_BATCH,
        .uses = json_object(),
        .needed = json_object(),
        .batches = json_object(),
        .states = options->states,
        .tied = json_object(),
    };
    struct onnx_scope scope = {.graph = json_object_get(model, "graph")};
    struct onnx_call call = {.c = &c, .scope = &scope, .op = "graph", .name = ""};
    *out = (struct keras_model){.is_chain = true};
    *to = (struct tensor_set){.n = 0};
    snprintf(out->class_name, sizeof out->class_name, "ONNX");
    snprintf(out->name, sizeof out->name, "onnx");
    to->tensors = calloc(FIRST_TENSORS, sizeof *to->tensors); /* also if the model has no weights */
    c.to_room = to->tensors ? FIRST_TENSORS : 0;
    bool good =
        (to->tensors && c.uses && c.needed && c.batches && c.tied && convert(&call, options)) || onnx_no_memory(&call);
    onnx_scope_close(&scope);
    json_decref(c.uses);
    json_decref(c.needed);
    json_decref(c.batches);
    json_decref(c.tied);
    *memory = (struct onnx_memory){.blocks = c.memory, .n = c.n_memory};
    if (good && !failed)
        return true;
    keras_model_close(out);
    tensor_set_close(to);
    onnx_memory_free(memory);
    return false;
}
