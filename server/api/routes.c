/* Routing: exact matches of the target's path, which is decoded once. */
#include "routes.h"
#include "server/base/metrics.h"

#include "config/json_memory.h"
#include "config/settings.h"
#include "handlers.h"
#include "openapi_bodies.h"
#include "page.h"
#include "pages.h"
#include "server/base/clock.h"
#include "server/base/lifecycle.h"
#include "server/base/platform.h"
#include "server/codec/target.h"
#include "server/run/admission.h"
#include "server/run/models.h"
#include "server/run/pool.h"
#include "server/run/prediction_session.h"
#include "server/run/schedule.h"
#include "server/run/services.h"
#include "server/run/stream.h"
#include "server/session/turns.h"
#include "session_find.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
/* The first argument is the scope that a key needs. */
#define PROBE(scope, target, handler, summary, answer) \
    {"GET", target, target, ROUTE_PROBE, scope, handler, false, NULL, NULL, NULL, summary, NULL, answer}
#define INLINE(scope, method, target, handler, summary) \
    {method, target, target, ROUTE_INLINE, scope, handler, false, NULL, NULL, NULL, summary, NULL, "Object"}
#define PAGE(scope, kind, method, target, handler, summary, answer) \
    {method, target, target, kind, scope, handler, true, NULL, NULL, NULL, summary, NULL, answer}
#define WORKER(target, protocol, type, summary, body, answer) \
    {"POST", target, target, ROUTE_WORKER, SCOPE_PREDICT, NULL, false, protocol, type, NULL, summary, body, answer}
#define IN_SESSION(target, protocol, type, key, summary, body, answer) \
    {"POST", target, target, ROUTE_WORKER, SCOPE_PREDICT, NULL, false, protocol, type, key, summary, body, answer}
#define SESSION(method, protocol, summary, body) \
    {method, "/sessions/{id}", method " /sessions/{id}", ROUTE_WORKER, SCOPE_SESSIONS, NULL, false, protocol, NULL, "", summary, body, "Object"}
/* clang-format on */

static const struct route routes[] = {
    PROBE(ACCESS_ANY, "/", answer_root, "Name, liveness and links; a page for browsers", "Object"),
    PROBE(ACCESS_OPEN, "/livez", answer_livez, "Whether the process can serve at all", NULL),
    PROBE(ACCESS_OPEN, "/readyz", answer_readyz, "Whether every model is loaded", NULL),
    PROBE(SCOPE_METRICS, "/healthz", answer_healthz, "Both, in words", NULL),
    PAGE(SCOPE_METRICS, ROUTE_PROBE, "GET", "/metrics", answer_metrics, "Metrics in Prometheus's text format", NULL),
    PAGE(SCOPE_ADMIN, ROUTE_PROBE, "GET", "/debug", answer_debug, "What the server is doing", "Object"),
    IN_SESSION("/predict", &protocol_predict, "application/x-npy", "\"session\"",
               "Outputs and the states of every layer", openapi_predict_body, "Prediction"),
    SESSION("GET", &protocol_session_show, "States and age of a session", NULL),
    SESSION("PUT", &protocol_session_put, "Set the states of a session", openapi_session_body),
    SESSION("DELETE", &protocol_session_drop, "End a session", NULL),
    PAGE(ACCESS_ANY, ROUTE_INLINE, "GET", "/openapi.json", answer_openapi, "This description", "Object"),
    PAGE(SCOPE_PREDICT, ROUTE_INLINE, "GET", "/v1/models", answer_model_list, "Names of the models", "Object"),
    PAGE(SCOPE_PREDICT, ROUTE_INLINE, "GET", "/v1/models/{m}", answer_model_status, "Versions of a model", "Object"),
    PAGE(SCOPE_PREDICT, ROUTE_INLINE, "GET", "/v1/models/{m}/metadata", answer_model_metadata,
         "Signature, sizes and layers of a model", "Object"),
    WORKER("/v1/models/{m}:predict", &protocol_tf_serving, NULL, "TensorFlow Serving's predict", openapi_tf_body,
           "Predictions"),
    WORKER("/v1/models/{m}:initial_state", &protocol_initial_state, NULL, "Zero states", openapi_initial_state_body,
           "States"),
    IN_SESSION("/v1/models/{m}:step", &protocol_step, NULL, "\"session\"", "The cells once", openapi_step_body, "Step"),
    PROBE(ACCESS_ANY, "/v2", answer_v2_server, "The server, in the Open Inference Protocol", "Object"),
    PROBE(ACCESS_OPEN, "/v2/health/live", answer_v2_live, "Liveness", "Object"),
    PROBE(ACCESS_OPEN, "/v2/health/ready", answer_v2_ready, "Readiness", "Object"),
    PAGE(SCOPE_METRICS, ROUTE_INLINE, "GET", "/v2/models/stats", answer_v2_statistics, "Statistics of all models",
         "Object"),
    PAGE(SCOPE_PREDICT, ROUTE_INLINE, "GET", "/v2/models/{m}", answer_v2_model, "Inputs and outputs of a model",
         "Object"),
    INLINE(SCOPE_PREDICT, "GET", "/v2/models/{m}/ready", answer_v2_model_ready, "Readiness of a model"),
    PAGE(SCOPE_METRICS, ROUTE_INLINE, "GET", "/v2/models/{m}/stats", answer_v2_statistics, "Statistics of a model",
         "Object"),
    IN_SESSION("/v2/models/{m}/infer", &protocol_open_inference, "application/octet-stream", "\"sequence_id\"",
               "Inference in the Open Inference Protocol", openapi_infer_body, "Inference"),
    PAGE(SCOPE_PREDICT, ROUTE_INLINE, "POST", "/v2/repository/index", answer_v2_repository, "Models and their state",
         "List"),
    PROBE(ACCESS_OPEN, "/ping", answer_readyz, "Readiness, for SageMaker", NULL),
    WORKER("/invocations", &protocol_tf_serving, NULL, "The default model, for SageMaker", openapi_tf_body,
           "Predictions"),
    {"", "", "other", ROUTE_PROBE, ACCESS_ANY, NULL, false, NULL, NULL, NULL, NULL, NULL, NULL},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };
_Static_assert(sizeof routes / sizeof *routes <= METRICS_ROUTES + 0u, "a histogram for every route");

const struct route *route_at(size_t i)
{
    return i < N_ROUTES ? &routes[i] : NULL;
}

bool route_waits(const struct route *route)
{
    return route->page || route->kind == ROUTE_WORKER;
}

const struct route *route_none(void)
{
    return &routes[N_ROUTES - 1];
}

const struct route *route_find(const char *method, const char *pattern)
{
    const struct route *route = routes;
    while (strcmp(route->method, method) || strcmp(route->pattern, pattern))
        route++;
    return route;
}

size_t route_index(const struct route *route)
{
    return (size_t)(route - routes);
}

static size_t name_length(const char *at)
{
    return strcspn(at, ":/");
}

/* Does the target match? The model's name and version are left in the request's parts. */
static bool matches(const char *pattern, const char *target, const char **name, size_t *name_bytes,
                    const char **version, size_t *version_bytes)
{
    const char *place = strchr(pattern, '{');
    if (!place)
        return !strcmp(pattern, target);
    size_t before = (size_t)(place - pattern);
    if (strncmp(pattern, target, before))
        return false;
    *name = target + before;
    if (!strcmp(place, "{id}")) {
        *name_bytes = strlen(*name);
        return *name_bytes && !strchr(*name, '/');
    }
    *name_bytes = name_length(*name);
    const char *rest = *name + *name_bytes;
    *version_bytes = 0;
    if (!strncmp(rest, "/versions/", 10)) {
        *version = rest + 10;
        *version_bytes = name_length(*version);
        rest = *version + *version_bytes;
        if (!*version_bytes)
            return false;
    }
    return *name_bytes && !strcmp(place + 3, rest);
}

static bool not_found(struct request *request)
{
    answer_error(request, 404, "not_found", "There is nothing at this path; send predictions to POST /predict.");
    return false;
}

static bool keep_name(struct request *request, const char *name, size_t bytes)
{
    if (bytes >= sizeof request->name)
        return not_found(request);
    memcpy(request->name, name, bytes);
    request->name[bytes] = 0;
    return true;
}

/* Versions are numbers: leading zeros are ignored. */
static bool is_version(const struct model *model, const char *version, size_t bytes)
{
    for (; bytes > 1 && *version == '0'; bytes--)
        version++;
    return strlen(model->version) == bytes && !memcmp(model->version, version, bytes);
}

static bool find_model(struct request *request, const char *name, size_t bytes, const char *version,
                       size_t version_bytes)
{
    struct failure failure = {.status = 0};
    if (!keep_name(request, name, bytes))
        return false;
    if (request->services->lifecycle->state == SERVER_LOADING)
        return true; /* dispatch refuses */
    request->model = models_acquire(request->services->models, request->name);
    if (!request->model)
        answer_error(request, 404, "model_not_found", "There is no model named \"%s\"; GET /v1/models lists them.",
                     request->name);
    else if (!access_permits_model(request, request->model->name, &failure))
        answer_failure(request, &failure);
    else if (version_bytes && !is_version(request->model, version, version_bytes))
        answer_error(request, 404, "version_not_found", "Model \"%s\" is served only in version %s.", request->name,
                     request->model->version);
    return !request->answer.status;
}

/* Whether a model is named as the route's last segment: then the target is the model's page ("/v2/models/stats"). */
static bool hidden_by_model(const struct request *request, const struct route *route)
{
    static const char models[] = "/v2/models/";
    if (strncmp(route->pattern, models, sizeof models - 1) || strchr(route->pattern, '{') ||
        request->services->lifecycle->state == SERVER_LOADING)
        return false;
    struct model *model = models_acquire(request->services->models, route->pattern + sizeof models - 1);
    model_release(model);
    return model;
}

/* "GET, HEAD, PUT": the methods of a target. A 405 counts under the first route of the target. */
static void allow(struct request *request, const struct route *route)
{
    const char *method = route->method;
    size_t n = strlen(request->answer.allow);
    if (!n)
        request->route = route;
    snprintf(request->answer.allow + n, sizeof request->answer.allow - n, "%s%s", n ? ", " : "",
             strcmp(method, "GET") ? method : "GET, HEAD");
}

/* 0 to 15; -1 for what is no hexadecimal digit. */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* The character of an escape ("%3A"), if it is allowed in a path. An encoded slash would be a part of a name, and a
   control character could forge a log line. No name has either. */
static int unescape(const char *at)
{
    int high = hex_digit(at[1]), low = high < 0 ? -1 : hex_digit(at[2]), byte = 16 * high + low;
    return low < 0 || byte < 0x20 || byte == 0x7f || byte == '/' ? -1 : byte;
}

/* The target becomes its decoded path. */
static bool decode_path(struct request *request)
{
    const char *path = target_path(request->head.target);
    for (const char *at = path; (at = strchr(at, '%')); at++)
        if (unescape(at) < 0) {
            answer_error(request, 400, "bad_request",
                         "The path has \"%.3s\": no escape, or of a character that names "
                         "cannot have.",
                         at);
            return false;
        }
    char *out = request->head.target;
    while (*path) {
        bool escaped = *path == '%';
        *out++ = escaped ? (char)unescape(path) : *path;
        path += escaped ? 3 : 1;
    }
    *out = 0;
    return true;
}

/* If there is an admin listener, only it serves /metrics and routes with the scope admin. Both listeners serve
   health. */
static bool is_here(const struct request *request, const struct route *route)
{
    bool of_admin = route->scope == SCOPE_ADMIN || route->answer == answer_metrics;
    if (request->head.admin)
        return of_admin || route->scope == ACCESS_OPEN;
    return !of_admin || !settings_have_admin(request->services->settings);
}

bool route_request(struct request *request)
{
    const char *name = NULL, *version = "";
    size_t bytes = 0, version_bytes = 0;
    const char *method = strcmp(request->head.method, "HEAD") ? request->head.method : "GET";
    if (!decode_path(request))
        return false;
    const char *target = platform_target(request->head.target);
    for (size_t i = 0; i + 1 < N_ROUTES; i++) {
        const struct route *route = &routes[i];
        if (!matches(route->pattern, target, &name, &bytes, &version, &version_bytes) ||
            hidden_by_model(request, route) || !is_here(request, route))
            continue;
        if (strcmp(route->method, method)) {
            allow(request, route);
            continue;
        }
        *request->answer.allow = 0;
        request->route = route;
        request->protocol = route->protocol;
        request->prediction = route->kind == ROUTE_WORKER;
        /* The page itself has no data of models, and asks the user for the key. */
        if (!access_permits(request, page_is_wanted(request, target) ? ACCESS_OPEN : route->scope, target))
            return false;
        if (strstr(route->pattern, "{m}"))
            return find_model(request, name, bytes, version, version_bytes);
        return !strstr(route->pattern, "{id}") || keep_name(request, name, bytes);
    }
    if (!access_permits(request, route_none()->scope, target)) {
        *request->answer.allow = 0;
        return false;
    }
    if (!*request->answer.allow)
        return not_found(request);
    answer_error(request, 405, "method_not_allowed", "This path takes %s.", request->answer.allow);
    return false;
}

static void expire(struct task *task)
{
    struct request *request = request_of_task(task);
    struct failure failure = {.status = 0};
    if (request->services->lifecycle->cancel)
        failure_set(&failure, 503, "shutting_down", "", "The server is shutting down.");
    else
        failure_set(&failure, 504, "deadline_exceeded", "", "The request was not begun within %lld ms (%s).",
                    (long long)request->timeout_ms, request_timeout_source(request));
    if (request->waiting)
        prediction_abandon(request->waiting, &failure);
    turns_leave(request->services->turns, &request->turn);
    request->timing.queue = clock_ns() - request->timing.queued;
    if (!request->stream)
        answer_failure(request, &failure);
    request->done(request);
}

static bool queue_full(struct request *request)
{
    answer_error(request, 503, "queue_full", "%lld requests wait already (limits.max_queue); try again.",
                 (long long)request->services->settings->max_queue);
    return false;
}

bool route_admit(struct request *request, uint64_t bytes)
{
    const struct services *services = request->services;
    size_t queued, used = services->memory->used, limit = services->memory->limit;
    if (request->route->kind != ROUTE_WORKER || services->lifecycle->state == SERVER_LOADING)
        return true;
    pool_load(services->pool, &queued, NULL);
    if (queued >= (size_t)services->settings->max_queue)
        return queue_full(request);
    struct failure failure = {.status = 0};
    if (used > limit || bytes > limit - used)
        failure_overloaded(&failure);
    else if (!admission_enter(services->admission, bytes,
                              streams_leave(services->streams, request->timeout_ms * NS_PER_MS), &request->work_ns))
        failure_too_late(&failure);
    if (failure.status)
        answer_failure(request, &failure);
    return !failure.status;
}

/* Bodies, plain or compressed, that take about ten milliseconds to decode; and the time for which such a body waits for
   a worker without other requests, because the rows of other requests would have to wait meanwhile. */
enum { LARGE_BYTES = 1 << 22, LARGE_GZIP_BYTES = 1 << 15, LARGE_WAITS_MS = 100 };

static bool is_large(const struct request *request)
{
    return request->body_bytes >= (request->head.gzip ? LARGE_GZIP_BYTES : LARGE_BYTES);
}

void route_answer(struct request *request)
{
    json_memory_begin();
    request->route->answer(request);
    json_memory_end(); /* the answer has seen what has failed */
}

/* If the body shows its session, the request takes its position in the session's queue now. */
static void arrive_at_session(struct request *request)
{
    char id[SESSION_ID_BYTES], stored[SESSION_STORED_BYTES];
    request->turn.go = prediction_turn_came;
    request->turn.deadline_ns = request->task.deadline_ns;
    if (!session_find(request, id))
        return;
    session_stored_id(access_name(request), id, stored);
    turns_arrive(request->services->turns, &request->turn, stored);
}

bool route_dispatch(struct request *request)
{
    const struct services *services = request->services;
    request->memory.beyond = request->route->kind == ROUTE_PROBE;
    if (request->route->kind != ROUTE_PROBE && services->lifecycle->state == SERVER_LOADING) {
        answer_error(request, 503, "loading", "The server is still loading its models.");
        return false;
    }
    if (request->route->page) {
        bool asked = pages_ask(services->pages, request);
        if (!asked)
            answer_error(request, 503, "shutting_down", "The server is shutting down.");
        return asked;
    }
    if (request->route->kind != ROUTE_WORKER) {
        route_answer(request);
        return false;
    }
    request->task.run = schedule_run;
    request->task.expire = expire;
    request->timing.queued = clock_ns();
    request->task.idle_until_ns = is_large(request) ? request->timing.queued + LARGE_WAITS_MS * NS_PER_MS : 0;
    request->task.deadline_ns = request->timing.queued + request->timeout_ms * NS_PER_MS;
    arrive_at_session(request);
    if (pool_try_add(services->pool, &request->task))
        return true;
    turns_leave(services->turns, &request->turn);
    return queue_full(request);
}
