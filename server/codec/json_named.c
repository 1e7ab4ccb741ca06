/* Reads named tensors: the keys are the names of the model's inputs. */
#include "json_named.h"

#include "json_scan.h"

#include <stdio.h>
#include <string.h>

/* The keys of an object of tensors. */
struct named {
    struct body_key keys[GRAPH_MAX_INPUTS + 1];
    const struct graph *graph;
    struct json_tensor *tensors;
    const char *key;
    size_t rows;
};

static void set_keys(struct named *named, enum body_key_type type)
{
    for (size_t k = 0; k < named->graph->n_inputs; k++)
        named->keys[k] = (struct body_key){named->graph->inputs[k].name, type, &named->tensors[k]};
}

/* A model with one input accepts any name. */
static void take_any_name(struct named *named, const char *text, const char *end, char name[BODY_TEXT_BYTES])
{
    const char *quote = memchr(text, '"', (size_t)(end - text));
    size_t n = 0;
    while (quote && quote + 1 + n < end && quote[1 + n] != '"' && quote[1 + n] != '\\' && n + 1 < BODY_TEXT_BYTES)
        n++;
    if (!quote || named->graph->n_inputs > 1)
        return;
    memcpy(name, quote + 1, n);
    name[n] = 0;
    named->keys[0].name = name;
}

/* Check that every earlier row has a tensor for each input. */
static bool check_rows(const struct named *named, struct failure *failure)
{
    char path[160];
    for (size_t k = 0; k < named->graph->n_inputs; k++) {
        const struct json_tensor *tensor = &named->tensors[k];
        if (tensor->present && tensor->lists[0].length == named->rows)
            continue;
        snprintf(path, sizeof path, "/%.60s/%zu", named->key, named->rows - 1);
        return failure_set(failure, 400, "missing_key", path, "This row has no input \"%s\".",
                           named->graph->inputs[k].name);
    }
    return true;
}

static const struct body_key *next_row(void *context, size_t i, struct failure *failure)
{
    struct named *named = context;
    bool complete = !i || check_rows(named, failure);
    named->rows = i + 1;
    return complete ? named->keys : NULL;
}

bool json_named_read(const struct json_body *body, struct body_span span, const char *key, enum body_key_type type,
                     const struct graph *graph, bool *rows, struct json_tensor *tensors, struct failure *failure)
{
    struct named named = {.graph = graph, .tensors = tensors, .key = key};
    struct body_list list = {next_row, &named};
    char name[BODY_TEXT_BYTES], path[100];
    struct json_body part = {.text = span.text, .bytes = span.bytes, .share = body->share};
    *rows = *span.text == '[';
    set_keys(&named, *rows ? (type == BODY_BOOLEANS ? BODY_BOOLEAN_ROW : BODY_NUMBER_ROW) : type);
    take_any_name(&named, span.text, span.text + span.bytes, name);
    snprintf(path, sizeof path, "/%.90s", key);
    const struct body_key whole = {path, *rows ? BODY_LIST : BODY_OBJECT, *rows ? (void *)&list : (void *)named.keys};
    return json_value_read(&part, &whole, path, failure) && (!*rows || !named.rows || check_rows(&named, failure));
}
