/* GET /openapi.json: every row of the table of routes, with the shapes of the models that are loaded. Source: OpenAPI 3.0.3. */
#include "answer_json.h"
#include "config/json_memory.h"
#include "handlers.h"
#include "openapi_bodies.h"
#include "pages.h"
#include "routes.h"
#include "server/base/version.h"
#include "server/run/models.h"
#include "server/run/services.h"

#include <string.h>

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

static json_t *reference(const char *name)
{
    char text[80];
    snprintf(text, sizeof text, "#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *answer_of(const char *description, const char *type, const char *schema)
{
    return json_pack("{s:s, s:{s:{s:o}}}", "description", description, "content", type, "schema",
                     strcmp(schema, "text") ? reference(schema) : json_pack("{s:s}", "type", "string"));
}

static json_t *answers(const struct route *route)
{
    static const char *const statuses[] = {"400", "404", "408", "409", "411", "413", "415",
                                           "417", "429", "431", "500", "503", "504"};
    const char *schema = route->answer_schema;
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

static json_t *operation(const struct route *route, const struct graph *graph)
{
    json_t *op = json_pack("{s:s, s:o}", "summary", route->summary, "responses", answers(route));
    if (strstr(route->pattern, "{id}"))
        json_object_set_new(op, "parameters",
                            json_pack("[{s:s, s:s, s:b, s:o}]", "name", "id", "in", "path", "required", 1, "schema",
                                      openapi_session_id()));
    if (route->body)
        json_object_set_new(op, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", "application/json", "schema",
                                      route->body(graph)));
    return op;
}

static void add_path(json_t *paths, const char *path, const struct route *route, const struct graph *graph)
{
    static const char *const methods[][2] = {{"GET", "get"}, {"POST", "post"}, {"PUT", "put"}, {"DELETE", "delete"}};
    json_t *at = json_object_get(paths, path);
    if (!at)
        json_object_set_new(paths, path, at = json_object());
    for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
        if (!strcmp(methods[k][0], route->method))
            json_object_set_new(at, methods[k][1], operation(route, graph));
}

/* A path for each model where the target names one. */
static void add_route(json_t *paths, const struct services *services, const struct route *route)
{
    const char *place = strstr(route->pattern, "{m}");
    struct model *first = models_acquire(services->models, "");
    for (size_t s = 0; place && s < services->models->n_slots; s++) {
        char path[256];
        struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[s].entry));
        if (!model)
            continue;
        snprintf(path, sizeof path, "%.*s%s%s", (int)(place - route->pattern), route->pattern, model->name, place + 3);
        add_path(paths, path, route, &model->graph);
        model_release(model);
    }
    if (!place && first)
        add_path(paths, route->pattern, route, &first->graph);
    model_release(first);
}

/* NULL when out of memory. */
static struct shared_text *describe(const struct services *services)
{
    json_t *paths = json_object();
    const struct route *route;
    for (size_t r = 0; (route = route_at(r)) && route != route_none(); r++)
        add_route(paths, services, route);
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
