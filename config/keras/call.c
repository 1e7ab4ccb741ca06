/* References to tensors, in the spellings of Keras 2 ([name, node, tensor, {arguments}]) and Keras 3
   (__keras_tensor__ in args and kwargs). */
#include "call.h"

#include <string.h>

enum { MAX_DEPTH = 16 };

bool keras_tensor_read(const json_t *json, struct keras_tensor *out)
{
    const json_t *history = json_object_get(json_object_get(json, "config"), "keras_history");
    const json_t *list = history ? history : json;
    const char *name = json_string_value(json_array_get(list, 0));
    json_int_t use = json_integer_value(json_array_get(list, 1)), tensor = json_integer_value(json_array_get(list, 2));
    if (!json_is_array(list) || !name || !json_is_integer(json_array_get(list, 1)) ||
        !json_is_integer(json_array_get(list, 2)) || use < 0 || tensor < 0)
        return false;
    *out = (struct keras_tensor){name, (size_t)use, (size_t)tensor};
    return true;
}

/* Whether an argument of a call has any value that changes the call. */
static bool says_something(const json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value) && !(json_is_array(value) && !json_array_size(value));
}

/* The tensors of an argument, which may be nested lists. Returns false if the lists have other values. */
static bool add_tensors(const json_t *value, struct keras_tensor *list, size_t *n, int depth)
{
    struct keras_tensor tensor;
    if (keras_tensor_read(value, &tensor)) {
        if (*n == CALL_MAX_TENSORS)
            return false;
        list[(*n)++] = tensor;
        return true;
    }
    if (!json_is_array(value) || depth > MAX_DEPTH)
        return !says_something(value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_tensors(json_array_get(value, i), list, n, depth + 1))
            return false;
    return true;
}

/* Arguments that are tensors, in the order in which layers take them. */
static const char *const tensor_keys[] = {"inputs", "sequence", "query", "value", "key"};
enum { N_TENSOR_KEYS = sizeof tensor_keys / sizeof *tensor_keys };

static bool is_tensor_key(const char *key)
{
    for (size_t i = 0; i < N_TENSOR_KEYS; i++)
        if (!strcmp(key, tensor_keys[i]))
            return true;
    return false;
}

/* The mask of input i, which may be null. */
static bool add_mask(struct keras_call *call, size_t i, const json_t *value)
{
    if (!says_something(value))
        return true;
    if (i == CALL_MAX_MASKS || !keras_tensor_read(value, &call->masks[i]))
        return false;
    return call->masked[i] = call->masks_given = true;
}

/* One mask, of the first input, or a list of masks, one for each input. */
static bool add_masks(struct keras_call *call, const json_t *value)
{
    struct keras_tensor tensor;
    if (!json_is_array(value) || keras_tensor_read(value, &tensor))
        return add_mask(call, 0, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!add_mask(call, i, json_array_get(value, i)))
            return false;
    return true;
}

/* The arguments of attention layers that name a mask. */
static bool add_named_mask(struct keras_call *call, const char *key, const json_t *value, bool *good)
{
    static const char *const names[CALL_MAX_MASKS] = {"query_mask", "value_mask", "key_mask"};
    *good = true;
    for (size_t i = 0; i < CALL_MAX_MASKS; i++)
        if (!strcmp(key, names[i])) {
            *good = add_mask(call, i, value);
            return true;
        }
    if (!strcmp(key, "attention_mask") && says_something(value)) {
        *good = keras_tensor_read(value, &call->attention_mask);
        return call->has_attention_mask = *good;
    }
    return false;
}

static void add_keywords(struct keras_call *call, const json_t *arguments)
{
    const char *key;
    json_t *value;
    bool good;
    for (size_t i = 0; i < N_TENSOR_KEYS; i++)
        if (!add_tensors(json_object_get(arguments, tensor_keys[i]), call->inputs, &call->n_inputs, 0))
            call->argument = tensor_keys[i];
    json_object_foreach((json_t *)arguments, key, value) {
        if (is_tensor_key(key))
            continue;
        if (!strcmp(key, "initial_state")) {
            if (!add_tensors(value, call->states, &call->n_states, 0))
                call->argument = key;
        } else if (!strcmp(key, "mask")) {
            if (!add_masks(call, value))
                call->argument = key;
        } else if (add_named_mask(call, key, value, &good)) {
            if (!good)
                call->argument = key;
        } else if (!strcmp(key, "return_attention_scores") && json_is_boolean(value)) {
            call->scores = json_is_true(value);
        } else if (!strcmp(key, "use_causal_mask") && json_is_boolean(value)) {
            call->causal = json_is_true(value);
        } else if (says_something(value)) {
            call->argument = key;
        }
    }
}

/* Positional arguments: the input, then the initial states of a recurrent layer. */
static void add_positional(struct keras_call *call, const json_t *value, bool recurrent)
{
    struct keras_tensor all[CALL_MAX_TENSORS];
    size_t n = 0;
    if (!add_tensors(value, all, &n, 0))
        call->argument = "a value that is not an output of a layer";
    for (size_t i = 0; i < n; i++) {
        bool state = recurrent && call->n_inputs;
        if ((state ? call->n_states : call->n_inputs) == CALL_MAX_TENSORS)
            return;
        if (state)
            call->states[call->n_states++] = all[i];
        else
            call->inputs[call->n_inputs++] = all[i];
    }
}

void keras_call_read(const json_t *node, bool recurrent, struct keras_call *out)
{
    *out = (struct keras_call){.n_inputs = 0};
    if (json_is_object(node)) { /* Keras 3 */
        const json_t *args = json_object_get(node, "args");
        for (size_t i = 0; i < json_array_size(args); i++)
            add_positional(out, json_array_get(args, i), recurrent);
        add_keywords(out, json_object_get(node, "kwargs"));
        return;
    }
    struct keras_tensor lone;
    if (keras_tensor_read(node, &lone)) { /* Keras 2 may omit the list around a single input */
        out->inputs[out->n_inputs++] = lone;
        add_keywords(out, json_array_get(node, 3));
        return;
    }
    for (size_t i = 0; i < json_array_size(node); i++) {
        const json_t *one = json_array_get(node, i);
        add_positional(out, one, recurrent);
        add_keywords(out, json_array_get(one, 3));
    }
}

/* Visit the tensors, and decrease *left with each. */
static bool search(const json_t *json, size_t *left, struct keras_tensor *out, int depth)
{
    const char *key;
    json_t *value;
    size_t i;
    if (depth > MAX_DEPTH)
        return false;
    if (keras_tensor_read(json, out)) {
        if (!(*left)--)
            return true;
        if (json_is_object(json))
            return false;
    }
    if (json_is_array(json))
        json_array_foreach((json_t *)json, i, value)
            if (search(value, left, out, depth + 1))
                return true;
    if (json_is_object(json))
        json_object_foreach((json_t *)json, key, value)
            if (search(value, left, out, depth + 1))
                return true;
    return false;
}

bool keras_call_tensor(const json_t *node, size_t i, struct keras_tensor *out)
{
    return search(node, &i, out, 0);
}
