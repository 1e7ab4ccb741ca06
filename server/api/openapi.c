/* GET /openapi.json: every route, with the shapes of the models that are loaded. Source: OpenAPI 3.0.3. */
#include "answer_json.h"
#include "config/json_memory.h"
#include "handlers.h"
#include "pages.h"
#include "routes.h"
#include "server/base/version.h"
#include "server/codec/batch.h"
#include "server/run/models.h"
#include "server/run/services.h"

#include <string.h>

/* ---- schemas ---- */

static json_t *reference(const char *name)
{
    char text[80];
    snprintf(text, sizeof text, "#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

/* A list of at least one element, of exactly n where n is not 0. */
static json_t *list_of(json_t *items, size_t n)
{
    json_t *list = json_pack("{s:s, s:o, s:I}", "type", "array", "items", items, "minItems", (json_int_t)(n ? n : 1));
    if (n)
        json_object_set_new(list, "maxItems", json_integer((json_int_t)n));
    return list;
}

/* float32 goes further, but a sum of such numbers does not. */
static json_t *number(void)
{
    return json_pack("{s:s, s:s, s:f, s:f}", "type", "number", "format", "float", "minimum", -1e6, "maximum", 1e6);
}

/* What one row of a tensor is. */
static json_t *row_schema(const struct layer_shape *shape, size_t vocabulary)
{
    if (shape->ids)
        return list_of(
            json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t)vocabulary - 1), 0);
    json_t *vector = list_of(number(), shape->width);
    return shape->sequence ? list_of(vector, 0) : vector;
}

static json_t *rows_schema(const struct rnn_model *chain)
{
    return list_of(row_schema(&chain->input, rnn_model_vocabulary(chain)), 0);
}

/* An object with these properties (taken), those named required. */
static json_t *object(json_t *properties, const char *required)
{
    json_t *schema =
        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (required)
        json_object_set_new(schema, "required", json_pack("[s]", required));
    return schema;
}

/* Lists nest to any depth: states, and outputs that may be sequences. */
static json_t *nested(void)
{
    return json_pack("{s:s, s:{}}", "type", "array", "items");
}

/* ---- bodies, by route ---- */

static json_t *session_id(void)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9._~:-]{1,255}$");
}

static json_t *count(void)
{
    return json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
}

/* A body's properties and those that name a session. */
static json_t *in_session(json_t *properties)
{
    json_object_set_new(properties, "session", session_id());
    json_object_set_new(properties, "reset", typed("boolean"));
    json_object_set_new(properties, "step", count());
    return properties;
}

static json_t *rollout(void)
{
    return object(json_pack("{s:o, s:{s:s, s:i, s:i}, s:o, s:o}", "steps", count(), "temperature", "type", "number",
                            "minimum", 0, "maximum", 1000, "top_k", count(), "seed", count()),
                  "steps");
}

static json_t *predict_body(const struct rnn_model *chain)
{
    json_t *properties = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "instances", rows_schema(chain), "initial_state",
                                   nested(), "mask", nested(), "return_sequences", typed("boolean"), "return_state",
                                   typed("boolean"), "rollout", rollout());
    return object(in_session(properties), "instances");
}

static json_t *session_body(const struct rnn_model *chain)
{
    (void)chain;
    return object(json_pack("{s:o, s:o, s:o}", "states", nested(), "model", typed("string"), "step", count()),
                  "states");
}

static json_t *tf_body(const struct rnn_model *chain)
{
    return object(json_pack("{s:o, s:{s:s, s:[s]}}", "instances", rows_schema(chain), "signature_name", "type",
                            "string", "enum", "serving_default"),
                  "instances");
}

static json_t *step_body(const struct rnn_model *chain)
{
    return object(in_session(json_pack("{s:o, s:o}", "inputs", list_of(list_of(number(), chain->input.width), 0),
                                       "states", nested())),
                  "inputs");
}

static json_t *initial_state_body(const struct rnn_model *chain)
{
    (void)chain;
    return object(json_pack("{s:{s:s, s:i, s:i}}", "batch_size", "type", "integer", "minimum", 1, "maximum", 64),
                  "batch_size");
}

static json_t *infer_body(const struct rnn_model *chain)
{
    (void)chain;
    json_t *input = json_pack(
        "{s:s, s:{s:{s:s}, s:{s:s, s:{s:s, s:i}}, s:{s:s, s:[s, s, s, s, s, s, s]}, s:{s:s, s:{}}}, s:[s, s, s, s]}",
        "type", "object", "properties", "name", "type", "string", "shape", "type", "array", "items", "type", "integer",
        "minimum", 1, "datatype", "type", "string", "enum", "FP32", "FP64", "FP16", "INT32", "INT64", "UINT8", "BOOL",
        "data", "type", "array", "items", "required", "name", "shape", "datatype", "data");
    json_t *output = json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "name", "type", "string",
                               "required", "name");
    return object(json_pack("{s:{s:s}, s:{s:s}, s:o, s:{s:s, s:o}}", "id", "type", "string", "parameters", "type",
                            "object", "inputs", list_of(input, 0), "outputs", "type", "array", "items", output),
                  "inputs");
}

/* What a route takes and gives, by its name. */
static const struct {
    const char *route, *summary;
    json_t *(*body)(const struct rnn_model *chain);
    const char *answer; /* the schema of its answer; NULL: plain text */
} described[] = {
    {"/", "Name and liveness, as KServe's first protocol asks for it", NULL, "Object"},
    {"/livez", "Whether the process can serve at all", NULL, NULL},
    {"/readyz", "Whether every model is loaded", NULL, NULL},
    {"/healthz", "Both, in words", NULL, NULL},
    {"/metrics", "Metrics in Prometheus's text format", NULL, NULL},
    {"/ping", "Readiness, for SageMaker", NULL, NULL},
    {"/predict", "Outputs and the states of every layer", predict_body, "Prediction"},
    {"GET /sessions/{id}", "States and age of a session", NULL, "Object"},
    {"PUT /sessions/{id}", "Set the states of a session", session_body, "Object"},
    {"DELETE /sessions/{id}", "End a session", NULL, "Object"},
    {"/invocations", "The default model, for SageMaker", tf_body, "Predictions"},
    {"/openapi.json", "This description", NULL, "Object"},
    {"/v1/models", "Names of the models", NULL, "Object"},
    {"/v1/models/{m}", "Versions of a model", NULL, "Object"},
    {"/v1/models/{m}/metadata", "Signature, sizes and layers of a model", NULL, "Object"},
    {"/v1/models/{m}:predict", "TensorFlow Serving's predict", tf_body, "Predictions"},
    {"/v1/models/{m}:initial_state", "Zero states", initial_state_body, "States"},
    {"/v1/models/{m}:step", "The cells once", step_body, "Step"},
    {"/v2", "The server, in the Open Inference Protocol", NULL, "Object"},
    {"/v2/health/live", "Liveness", NULL, "Object"},
    {"/v2/health/ready", "Readiness", NULL, "Object"},
    {"/v2/models/stats", "Statistics of all models", NULL, "Object"},
    {"/v2/models/{m}", "Inputs and outputs of a model", NULL, "Object"},
    {"/v2/models/{m}/ready", "Readiness of a model", NULL, "Object"},
    {"/v2/models/{m}/stats", "Statistics of a model", NULL, "Object"},
    {"/v2/models/{m}/infer", "Inference in the Open Inference Protocol", infer_body, "Inference"},
    {"/v2/repository/index", "Models and their state", NULL, "List"},
};
enum { N_DESCRIBED = sizeof described / sizeof *described };

static json_t *schemas(void)
{
    return json_pack("{s:{s:s}, s:{s:s, s:{s:s}}, s:{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}}, s:[s, s]},"
                     " s:{s:s, s:[s, s, s]}, s:{s:s, s:[s]}, s:{s:s, s:[s]}, s:{s:s, s:[s, s]}, s:{s:s, s:[s, s, s]}}",
                     "Object", "type", "object", "List", "type", "array", "items", "type", "object", "Error", "type",
                     "object", "properties", "error", "type", "string", "code", "type", "string", "path", "type",
                     "string", "required", "error", "code", "Prediction", "type", "object", "required", "model",
                     "version", "outputs", "Predictions", "type", "object", "required", "predictions", "States", "type",
                     "object", "required", "states", "Step", "type", "object", "required", "outputs", "states",
                     "Inference", "type", "object", "required", "model_name", "model_version", "outputs");
}

/* ---- paths ---- */

static json_t *answer_of(const char *description, const char *type, const char *schema)
{
    return json_pack("{s:s, s:{s:{s:o}}}", "description", description, "content", type, "schema",
                     strcmp(schema, "text") ? reference(schema) : typed("string"));
}

static json_t *answers(size_t i)
{
    static const char *const statuses[] = {"400", "404", "408", "409", "411", "413", "415",
                                           "417", "429", "431", "500", "503", "504"};
    const char *schema = described[i].answer;
    json_t *all = json_object();
    json_object_set_new(all, "200",
                        schema ? answer_of("The answer", "application/json", schema)
                               : answer_of("The answer", "text/plain", "text"));
    for (size_t k = 0; k < sizeof statuses / sizeof *statuses; k++)
        json_object_set_new(all, statuses[k], answer_of("Why not", "application/json", "Error"));
    if (!schema) /* a probe that fails says so in words */
        json_object_set_new(all, "503", answer_of("Not ready", "text/plain", "text"));
    return all;
}

static json_t *operation(size_t i, const struct rnn_model *chain)
{
    json_t *op = json_pack("{s:s, s:o}", "summary", described[i].summary, "responses", answers(i));
    if (strstr(described[i].route, "{id}"))
        json_object_set_new(
            op, "parameters",
            json_pack("[{s:s, s:s, s:b, s:o}]", "name", "id", "in", "path", "required", 1, "schema", session_id()));
    if (described[i].body)
        json_object_set_new(op, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json", "schema",
                                      described[i].body(chain)));
    return op;
}

static void add_path(json_t *paths, const char *path, const struct route *route, size_t i,
                     const struct rnn_model *chain)
{
    static const char *const methods[][2] = {{"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"DELETE", "delete"}};
    json_t *at = json_object_get(paths, path);
    if (!at)
        json_object_set_new(paths, path, at = json_object());
    for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
        if (!strcmp(methods[k][0], route->method))
            json_object_set_new(at, methods[k][1], operation(i, chain));
}

/* A path for each model where the target names one. */
static void add_route(json_t *paths, const struct services *services, const struct route *route, size_t i)
{
    const char *place = strstr(route->pattern, "{m}");
    struct model *first = models_acquire(services->models, "");
    for (size_t s = 0; place && s < services->models->n_slots; s++) {
        char path[256];
        struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[s].entry));
        if (!model)
            continue;
        snprintf(path, sizeof path, "%.*s%s%s", (int)(place - route->pattern), route->pattern, model->name, place + 3);
        add_path(paths, path, route, i, &model->chain);
        model_release(model);
    }
    if (!place && first)
        add_path(paths, route->pattern, route, i, &first->chain);
    model_release(first);
}

/* NULL when out of memory. */
static struct shared_text *describe(const struct services *services)
{
    json_t *paths = json_object();
    const struct route *route;
    for (size_t r = 0; (route = route_at(r)) && route != route_none(); r++)
        for (size_t i = 0; i < N_DESCRIBED; i++)
            if (!strcmp(described[i].route, route->name))
                add_route(paths, services, route, i);
    json_t *all = json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.3", "info", "title", "cellserve",
                            "version", CELLSERVE_VERSION, "paths", paths, "components", "schemas", schemas());
    char *text = all ? json_dumps(all, 0) : NULL;
    bool whole = !json_memory_failed() && text;
    struct shared_text *shared = whole ? shared_text_make(text) : NULL;
    json_memory_free(text);
    json_decref(all);
    return shared;
}

/* It is made when it is asked for and models have changed since it was. */
void answer_openapi(struct request *request)
{
    struct pages *pages = request->services->pages;
    size_t changes = request->services->models->changes;
    if (!pages->description || pages->described != changes) {
        shared_text_release(pages->description);
        pages->description = describe(request->services);
        pages->described = changes;
    }
    if (pages->description)
        answer_shared(request, pages->description, "application/json");
    else
        answer_overloaded(request);
}
