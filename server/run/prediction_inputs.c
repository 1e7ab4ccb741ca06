/* Inputs by name. The model of a body is known only after the body has been read. If the model or the form of the body
   needs names, the body is read again without its inputs, and then the inputs are read by the model's names. */
#include "prediction_inputs.h"

#include "prediction_raw.h"
#include "server/codec/batch_named.h"
#include "server/codec/json_named.h"

#include <stdlib.h>
#include <string.h>

/* Whether a value is an object of columns, or of "instances" a list of objects. */
static bool has_names(const struct body_key *key)
{
    const struct json_tensor *tensor = key->target;
    bool rows = !strcmp(key->name, "instances");
    if (!tensor->text || !tensor->bytes || rows != (*tensor->text == '['))
        return false;
    size_t at = *tensor->text == '[' ? 1 + strspn(tensor->text + 1, " \t\r\n") : 0;
    return tensor->text[at] == '{';
}

/* Whether the first problem of the body is within the value of this key. */
static bool failed_in(const struct prediction *p, const char *key)
{
    size_t n = strlen(key);
    const char *path = p->failure.path;
    return p->failure.status && *path == '/' && !strncmp(path + 1, key, n) && (path[1 + n] == '/' || !path[1 + n]);
}

bool prediction_failed_at_names(const struct prediction *p, const struct body_key *keys)
{
    for (; keys->name; keys++)
        if (keys->type == BODY_INPUTS && has_names(keys) && failed_in(p, keys->name))
            return true;
    return false;
}

/* The inputs that a body gives by name, or NULL. */
static const struct body_key *named_key(const struct prediction *p, const struct body_key *keys)
{
    size_t n = p->request->model->graph.n_inputs;
    for (; keys->name; keys++)
        if (keys->type == BODY_INPUTS && has_names(keys) && (n > 1 || failed_in(p, keys->name)))
            return keys;
    return NULL;
}

/* A model with several inputs needs all of them by name. */
static bool check_plain(struct prediction *p, const struct body_key *keys)
{
    const struct graph *graph = &p->request->model->graph;
    char path[64];
    for (; graph->n_inputs > 1 && keys->name; keys++) {
        const struct json_tensor *tensor = keys->target;
        if (keys->type != BODY_INPUTS || !tensor->text)
            continue;
        snprintf(path, sizeof path, "/%s", keys->name);
        p->failure = (struct failure){.status = 0};
        return failure_set(&p->failure, 400, "wrong_shape", path,
                           "This model has %zu inputs (\"%.60s\", \"%.60s\"%s): give each by its name.",
                           graph->n_inputs, graph->inputs[0].name, graph->inputs[1].name,
                           graph->n_inputs > 2 ? ", …" : "");
    }
    return true;
}

/* Read the body once more, without inputs and masks that are objects: these are known to be JSON. */
static bool read_others(struct prediction *p, struct json_body *body, const struct body_key *keys)
{
    const struct failure nonfinite = body->nonfinite;
    const char *nonfinite_at = body->nonfinite_at;
    for (const struct body_key *key = keys; key->name; key++) {
        struct json_tensor *tensor = key->target;
        if (!body_key_has_tensor(key))
            continue;
        bool skipped = key->type != BODY_NUMBERS && has_names(key);
        const struct body_span span = {tensor->text, tensor->bytes};
        json_tensor_forget(tensor, &p->request->memory);
        tensor->skipped = skipped;
        tensor->text = skipped ? span.text : NULL;
        tensor->bytes = skipped ? span.bytes : 0;
    }
    p->failure = (struct failure){.status = 0};
    bool good = json_body_read(body, keys, &p->failure);
    body->nonfinite = nonfinite; /* also in the skipped inputs */
    body->nonfinite_at = nonfinite_at;
    return good;
}

struct named_inputs *prediction_open_named(struct prediction *p)
{
    const struct model *model = p->request->model;
    struct named_inputs *named = p->named = calloc(1, sizeof *p->named);
    if (named) {
        named->n = model->graph.n_inputs;
        named->tensors = calloc(named->n, sizeof *named->tensors);
        named->masks = calloc(named->n, sizeof *named->masks);
        named->readings = calloc(named->n, sizeof *named->readings);
    }
    if (!named || !named->tensors || !named->masks || !named->readings) {
        failure_overloaded(&p->failure);
        return NULL;
    }
    for (size_t k = 0; prediction_transforms(p) && k < named->n; k++)
        if (raw_reading_of(model, k, &named->readings[k]))
            named->tensors[k].raw = &named->readings[k];
    return named;
}

static bool read_masks(struct prediction *p, const struct json_body *body, const struct body_key *keys,
                       struct named_inputs *named)
{
    bool rows;
    for (; keys->name; keys++) {
        const struct json_tensor *tensor = keys->target;
        if (keys->type == BODY_BOOLEANS && tensor->skipped && tensor->text)
            return json_named_read(body, (struct body_span){tensor->text, tensor->bytes}, keys->name, BODY_BOOLEANS,
                                   &p->request->model->graph, &rows, named->masks, &p->failure);
    }
    return true;
}

bool prediction_read_named(struct prediction *p, struct json_body *body, const struct body_key *keys, bool good)
{
    const struct body_key *key = named_key(p, keys);
    if (!key)
        return good ? check_plain(p, keys) : good;
    struct named_inputs *named = read_others(p, body, keys) ? prediction_open_named(p) : NULL;
    if (!named)
        return false;
    struct json_tensor *tensor = key->target;
    tensor->present = true;
    named->key = key->name;
    return json_named_read(body, (struct body_span){tensor->text, tensor->bytes}, key->name, BODY_VALUES,
                           &p->request->model->graph, &named->rows, named->tensors, &p->failure) &&
           read_masks(p, body, keys, named);
}

static bool bind_one(struct prediction *p, struct json_tensor *inputs, const char *key,
                     const struct batch_limits *limits)
{
    return prediction_scale(p, inputs, key) && batch_bind_inputs(&p->batch, inputs, key, limits, &p->failure) &&
           prediction_fill_missing(p, inputs) && prediction_bind_window(p, inputs) &&
           batch_bind_mask(&p->batch, &p->mask, &p->failure) && prediction_slide(p);
}

bool prediction_bind_inputs(struct prediction *p, const char *key)
{
    const struct batch_limits limits = prediction_limits(p);
    const struct graph *graph = &p->request->model->graph;
    struct named_inputs *named = p->named;
    struct json_tensor *tensors = named ? named->tensors : &p->inputs;
    if (named)
        key = named->key;
    if (!batch_needs_named(graph))
        return bind_one(p, tensors, key, &limits);
    for (size_t k = 0; k < (named ? named->n : 1); k++)
        if (!prediction_takes_missing(p, &tensors[k], key) || !prediction_scale(p, &tensors[k], key))
            return false;
    if (!named && graph->n_inputs > 1)
        return failure_set(&p->failure, 400, "missing_key", "", "The body needs the inputs of the model by name.");
    if (p->slide == 1 || p->return_windows == 1)
        return failure_set(&p->failure, 400, "unsupported_key", p->slide == 1 ? "/slide" : "/return_windows",
                           "Windows are for models of one input, [batch][timesteps][features].");
    return batch_bind_named(&p->batch, tensors, key, named && named->rows, &limits, &p->failure) &&
           batch_bind_named_masks(&p->batch, named ? named->masks : &p->mask, &p->failure);
}

void prediction_close_named(struct prediction *p)
{
    struct named_inputs *named = p->named;
    if (!named)
        return;
    for (size_t k = 0; named->tensors && named->masks && k < named->n; k++) {
        json_tensor_close(&named->tensors[k], &p->request->memory);
        json_tensor_close(&named->masks[k], &p->request->memory);
    }
    free(named->tensors);
    free(named->masks);
    free(named->readings);
    free(named);
}
