/* Checks Host and Origin of requests of web pages, and answers preflights. Source: the Fetch standard, 3.2. */
#include "exchange.h"
#include "server/api/routes.h"
#include "server/run/services.h"

#include "config/settings.h"

#include <string.h>

static const char methods[] = "GET, HEAD, POST, PUT, DELETE";

static bool has_cors(const struct exchange *x)
{
    return *x->http->origin.origins != 0;
}

bool origin_check_host(struct exchange *x)
{
    const struct head_text *host = &x->head.access.host;
    x->permitted = has_cors(x) && origin_is_permitted(&x->http->origin, &x->head.access.origin);
    if (origin_knows_host(&x->http->origin, host))
        return true;
    answer_error(&x->request, 403, "unknown_host",
                 "\"%.*s\" is not one of the names of this server; the setting hosts lists those that it may have.",
                 (int)(host->bytes < 100 ? host->bytes : 100), host->text);
    return false;
}

static bool refuse_page(struct exchange *x)
{
    const struct head_text *origin = &x->head.access.origin;
    answer_error(&x->request, 403, "forbidden_origin",
                 "Pages of \"%.*s\" may not use this server; the setting cors.origins lists those that may.",
                 (int)(origin->bytes < 100 ? origin->bytes : 100), origin->text);
    return false;
}

/* Of a page elsewhere: only what computes or changes nothing, which the page cannot read. */
bool origin_check_page(struct exchange *x)
{
    const struct head_access *access = &x->head.access;
    const struct request *request = &x->request;
    if (!access->origin.text)
        return true;
    bool reads = request->route->kind != ROUTE_WORKER &&
                 (!strcmp(request->head.method, "GET") || !strcmp(request->head.method, "HEAD"));
    return x->permitted || reads || !origin_is_foreign(&access->origin, &access->host) || refuse_page(x);
}

bool origin_answer_preflight(struct exchange *x)
{
    struct request *request = &x->request;
    const struct head_access *access = &x->head.access;
    if (!has_cors(x) || strcmp(request->head.method, "OPTIONS"))
        return false;
    if (access->origin.text && !x->permitted && origin_is_foreign(&access->origin, &access->host))
        return !refuse_page(x);
    x->preflight = true;
    request->answer.status = 204;
    request->answer.type = "";
    request->answer.text = "";
    if (!access->asked_method.text)
        snprintf(request->answer.allow, sizeof request->answer.allow, "%s", methods);
    return true;
}

/* Fields that clients of the protocols send, and those that they read. */
static void add_preflight(struct exchange *x, struct MHD_Response *response)
{
    exchange_add_header(x, response, "Access-Control-Allow-Methods", methods);
    exchange_add_header(x, response, "Access-Control-Allow-Headers",
                        "Authorization, X-API-Key, Content-Type, Content-Encoding, Accept, X-Request-Id, "
                        "X-Request-Timeout-Ms, Inference-Header-Content-Length, traceparent, tracestate");
    exchange_add_header(x, response, "Access-Control-Max-Age", "600");
    if (x->head.access.asked_network.text)
        exchange_add_header(x, response, "Access-Control-Allow-Private-Network", "true");
}

void exchange_add_origin(struct exchange *x, struct MHD_Response *response)
{
    const struct head_text *origin = &x->head.access.origin;
    char text[300];
    if (!has_cors(x))
        return;
    exchange_add_header(x, response, "Vary", "Origin");
    if (!x->permitted || origin->bytes >= sizeof text)
        return;
    *(char *)mempcpy(text, origin->text, origin->bytes) = 0;
    exchange_add_header(x, response, "Access-Control-Allow-Origin", text);
    exchange_add_header(x, response, "Access-Control-Expose-Headers",
                        "X-Request-Id, Server-Timing, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate, "
                        "Inference-Header-Content-Length, traceresponse");
    if (x->preflight)
        add_preflight(x, response);
}
