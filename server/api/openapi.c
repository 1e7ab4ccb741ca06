/* GET /openapi.json: every row of the table of routes, with the shapes of the models that are loaded. Source: OpenAPI 3.0.3. */
#include "answer_json.h"
#include "config/json_memory.h"
#include "handlers.h"
#include "openapi_bodies.h"
#include "openapi_schemas.h"
#include "pages.h"
#include "routes.h"
#include "sample.h"
#include "server/base/version.h"
#include "server/run/models.h"
#include "server/run/services.h"

#include <stdio.h>
#include <string.h>

/* The operation id and the tag of a route. answer: a more precise schema than the route's own. */
static const struct operation {
    const char *method, *pattern, *id, *tag, *answer;
} operations[] = {
    {"GET", "/", "index", "Server", "Index"},
    {"GET", "/livez", "livez", "Server", NULL},
    {"GET", "/readyz", "readyz", "Server", NULL},
    {"GET", "/healthz", "healthz", "Server", NULL},
    {"GET", "/metrics", "metrics", "Server", NULL},
    {"GET", "/debug", "debug", "Server", NULL},
    {"GET", "/openapi.json", "openapi", "Server", NULL},
    {"POST", "/predict", "predict", "Predictions", NULL},
    {"POST", "/v1/models/{m}:step", "step", "Predictions", NULL},
    {"POST", "/v1/models/{m}:initial_state", "initial_state", "Predictions", NULL},
    {"GET", "/sessions/{id}", "get_session", "Sessions", "Session"},
    {"PUT", "/sessions/{id}", "put_session", "Sessions", "Session"},
    {"DELETE", "/sessions/{id}", "delete_session", "Sessions", "Session"},
    {"GET", "/v1/models", "list_models", "Models", "ModelList"},
    {"GET", "/v1/models/{m}", "model_status", "Models", "ModelStatus"},
    {"GET", "/v1/models/{m}/metadata", "model_metadata", "Models", "ModelMetadata"},
    {"POST", "/v1/models/{m}:predict", "tf_predict", "TensorFlow Serving", NULL},
    {"GET", "/v2", "v2_server", "Open Inference Protocol", NULL},
    {"GET", "/v2/health/live", "v2_live", "Open Inference Protocol", NULL},
    {"GET", "/v2/health/ready", "v2_ready", "Open Inference Protocol", NULL},
    {"GET", "/v2/models/stats", "v2_statistics", "Open Inference Protocol", NULL},
    {"GET", "/v2/models/{m}", "v2_model", "Open Inference Protocol", NULL},
    {"GET", "/v2/models/{m}/ready", "v2_model_ready", "Open Inference Protocol", NULL},
    {"GET", "/v2/models/{m}/stats", "v2_model_statistics", "Open Inference Protocol", NULL},
    {"POST", "/v2/models/{m}/infer", "v2_infer", "Open Inference Protocol", NULL},
    {"POST", "/v2/repository/index", "v2_repository", "Open Inference Protocol", NULL},
    {"GET", "/ping", "ping", "Platforms", NULL},
    {"POST", "/invocations", "invocations", "Platforms", NULL},
    {NULL, NULL, NULL, "Other", NULL},
};

static const struct operation *operation_of(const struct route *route)
{
    const struct operation *row = operations;
    while (row->method && (strcmp(row->method, route->method) || strcmp(row->pattern, route->pattern)))
        row++;
    return row;
}

static bool is_predict(const struct route *route)
{
    return !strcmp(route->pattern, "/predict");
}

/* ---- paths ---- */

static json_t *binary(void)
{
    return json_pack("{s:s, s:s}", "type", "string", "format", "binary");
}

static json_t *text(void)
{
    return json_pack("{s:s}", "type", "string");
}

/* schema is taken */
static json_t *answer_of(const char *description, const char *type, json_t *schema)
{
    return json_pack("{s:s, s:{s:{s:o}}}", "description", description, "content", type, "schema", schema);
}

/* Add one more form of an answer or a body. Takes ownership of schema. */
static void add_form(json_t *of, const char *type, json_t *schema)
{
    json_object_set_new(json_object_get(of, "content"), type, json_pack("{s:o}", "schema", schema));
}

static json_t *good_answer(const struct route *route, const char *schema)
{
    json_t *good = answer_of("The answer", schema ? "application/json" : "text/plain",
                             schema ? openapi_reference(schema) : text());
    if (is_predict(route)) {
        add_form(good, "application/x-ndjson", openapi_reference("StreamEvent"));
        add_form(good, "text/event-stream", text());
    }
    if (route->binary_type)
        add_form(good, route->binary_type, binary());
    if (!strcmp(route->pattern, "/"))
        add_form(good, "text/html", text());
    return good;
}

static json_t *answers(const struct route *route)
{
    static const char *const statuses[] = {"400", "401", "403", "404", "408", "409", "411", "413",
                                           "415", "417", "429", "431", "500", "503", "504"};
    const struct operation *named = operation_of(route);
    const char *schema = named->answer ? named->answer : route->answer_schema;
    json_t *all = json_pack("{s:o}", "200", good_answer(route, schema));
    for (size_t k = 0; k < sizeof statuses / sizeof *statuses; k++)
        json_object_set_new(all, statuses[k], answer_of("Why not", "application/json", openapi_reference("Error")));
    if (!schema) /* a failed probe answers with text */
        json_object_set_new(all, "503", answer_of("Not ready", "text/plain", text()));
    return all;
}

/* If the model has a transform, rows may be texts, timesteps may be objects and values may be null. A schema of tensors
   cannot say this. */
static void allow_raw_values(json_t *properties, const char *key)
{
    if (json_object_get(properties, key))
        json_object_set_new(properties, key,
                            json_pack("{s:s, s:{}, s:i, s:s}", "type", "array", "items", "minItems", 1, "description",
                                      "Raw values, as the transform of the model takes them: see its metadata."));
}

/* The body of a request, with an example. Takes ownership of schema. */
static json_t *request_body(const struct route *route, json_t *schema, const struct model *model)
{
    if (model->transform && model->graph.n_inputs == 1 && strstr(route->pattern, "{m}")) {
        json_t *properties = json_object_get(schema, "properties");
        allow_raw_values(properties, "instances");
        if (!strstr(route->pattern, "/infer")) /* which lists tensors */
            allow_raw_values(properties, "inputs");
    }
    json_t *body = json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json", "schema", schema);
    json_t *form = json_object_get(json_object_get(body, "content"), "application/json");
    if (is_predict(route) || strstr(route->pattern, ":predict") || !strcmp(route->pattern, "/invocations"))
        json_object_set_new(form, "example", sample_request(model));
    if (route->binary_type)
        add_form(body, route->binary_type, binary());
    return body;
}

/* schema is taken */
static json_t *parameter(const char *name, const char *in, const char *description, json_t *schema)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "in", in, "required", !strcmp(in, "path"),
                     "description", description, "schema", schema);
}

static json_t *parameters(const struct route *route)
{
    json_t *list = json_array();
    if (strstr(route->pattern, "{id}"))
        json_array_append_new(list, parameter("id", "path", "The session", openapi_session_id()));
    if (is_predict(route)) {
        static const char of_npy[] = "With a body of application/x-npy: as the key of the same name in a JSON body";
        static const char *const names[][2] = {
            {"model", "string"}, {"return_sequences", "boolean"}, {"step", "integer"}, {"reset", "boolean"}};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            json_array_append_new(list,
                                  parameter(names[i][0], "query", of_npy, json_pack("{s:s}", "type", names[i][1])));
        json_array_append_new(list, parameter("session", "query", of_npy, openapi_session_id()));
    } else if (route->binary_type) {
        json_array_append_new(list, parameter("Inference-Header-Content-Length", "header",
                                              "The length of the JSON before binary tensors",
                                              json_pack("{s:s, s:i}", "type", "integer", "minimum", 0)));
    }
    return list;
}

/* name: that of the model in the path, or "". */
static json_t *operation(const struct route *route, const char *name, const struct model *model)
{
    const struct operation *named = operation_of(route);
    json_t *op =
        json_pack("{s:s, s:[s], s:o}", "summary", route->summary, "tags", named->tag, "responses", answers(route));
    char id[REQUEST_NAME_BYTES + 64];
    snprintf(id, sizeof id, "%s%s%s", named->id ? named->id : "", *name ? "_" : "", name);
    if (named->id)
        json_object_set_new(op, "operationId", json_string(id));
    json_t *known = parameters(route);
    if (json_array_size(known))
        json_object_set(op, "parameters", known);
    json_decref(known);
    if (route->body)
        json_object_set_new(
            op, "requestBody",
            request_body(route, is_predict(route) ? openapi_reference("PredictRequest") : route->body(&model->graph),
                         model));
    return op;
}

static void add_path(json_t *paths, const char *path, const struct route *route, const char *name,
                     const struct model *model)
{
    static const char *const methods[][2] = {{"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"DELETE", "delete"}};
    json_t *at = json_object_get(paths, path);
    if (!at)
        json_object_set_new(paths, path, at = json_object());
    for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
        if (!strcmp(methods[k][0], route->method))
            json_object_set_new(at, methods[k][1], operation(route, name, model));
}

/* Add a path for each model if the target names a model. */
static void add_route(json_t *paths, const struct services *services, const struct route *route)
{
    const char *place = strstr(route->pattern, "{m}");
    struct model *first = models_acquire(services->models, "");
    for (size_t s = 0; place && s < services->models->n_slots; s++) {
        char path[REQUEST_NAME_BYTES + 64];
        struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[s].entry));
        if (!model)
            continue;
        snprintf(path, sizeof path, "%.*s%s%s", (int)(place - route->pattern), route->pattern, model->name, place + 3);
        add_path(paths, path, route, model->name, model);
        model_release(model);
    }
    if (!place && first)
        add_path(paths, route->pattern, route, "", first);
    model_release(first);
}

/* ---- the body of POST /predict: that of one of the models ---- */

static json_t *predict_schema(const struct model *model, bool is_default)
{
    json_t *schema = openapi_predict_body(&model->graph);
    json_t *properties = json_object_get(schema, "properties");
    json_object_set_new(properties, "raw",
                        json_pack("{s:s, s:s}", "type", "boolean", "description", "Skip the transform."));
    if (model->transform) {
        allow_raw_values(properties, "instances");
        json_object_set_new(json_object_get(json_object_get(properties, "rollout"), "properties"), "known",
                            json_pack("{s:s}", "type", "object"));
    }
    if (model->window || model->graph.inputs[0].shape.timesteps)
        json_object_set_new(json_object_get(schema, "properties"), "slide",
                            json_pack("{s:s, s:s}", "type", "boolean", "description",
                                      "Run longer sequences as windows, one output for each."));
    if (model->window)
        json_object_set_new(properties, "return_windows",
                            json_pack("{s:s, s:s}", "type", "boolean", "description",
                                      "In a session, an output for each new timestep."));
    json_object_set_new(json_object_get(schema, "properties"), "model",
                        json_pack("{s:s, s:[s]}", "type", "string", "enum", model->name));
    if (model->graph.n_inputs > 1) { /* by rows, or by columns: neither is required */
        json_object_set_new(
            properties, "inputs",
            json_pack("{s:s, s:s}", "type", "object", "description", "Tensors by the names of inputs."));
        json_array_clear(json_object_get(schema, "required"));
    }
    if (!is_default)
        json_array_append_new(json_object_get(schema, "required"), json_string("model"));
    if (!json_array_size(json_object_get(schema, "required")))
        json_object_del(schema, "required"); /* an empty list is not allowed */
    return schema;
}

/* PredictRequest is any of PredictRequest.NAME. */
static void add_predict_schemas(json_t *schemas, const struct services *services)
{
    json_t *any = json_array();
    struct model *first = models_acquire(services->models, "");
    for (size_t s = 0; s < services->models->n_slots; s++) {
        char name[REQUEST_NAME_BYTES + 32];
        struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[s].entry));
        if (!model)
            continue;
        snprintf(name, sizeof name, "PredictRequest.%s", model->name);
        json_object_set_new(schemas, name, predict_schema(model, model == first));
        json_array_append_new(any, openapi_reference(name));
        model_release(model);
    }
    model_release(first);
    json_object_set_new(schemas, "PredictRequest", json_pack("{s:o}", "anyOf", any));
}

static json_t *tags(void)
{
    json_t *list = json_array();
    const char *before = "";
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (strcmp(operations[i].tag, before))
            json_array_append_new(list, json_pack("{s:s}", "name", operations[i].tag));
        before = operations[i].tag;
    }
    return list;
}

/* NULL when out of memory. */
static struct shared_text *describe(const struct services *services)
{
    json_t *paths = json_object(), *schemas = openapi_schemas();
    const struct route *route;
    for (size_t r = 0; (route = route_at(r)) && route != route_none(); r++)
        add_route(paths, services, route);
    add_predict_schemas(schemas, services);
    json_t *all =
        json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:o, s:{s:o}}", "openapi", "3.0.3", "info", "title", "cellserve",
                  "version", CELLSERVE_VERSION, "description",
                  "Recurrent models over HTTP. Paths and bodies show the models that are loaded. A version can stand "
                  "behind a model's name in every path: /v1/models/NAME/versions/1:predict.",
                  "tags", tags(), "paths", paths, "components", "schemas", schemas);
    char *dumped = all ? json_dumps(all, 0) : NULL;
    bool whole = !json_memory_failed() && dumped;
    struct shared_text *shared = whole ? shared_text_make(dumped) : NULL;
    json_memory_free(dumped);
    json_decref(all);
    return shared;
}

/* The document is made on request, and again if models have changed since. */
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
