/* GET /: the page for browsers, or an index with links for programs. */
#include "page.h"

#include "answer_json.h"
#include "config/settings.h"
#include "handlers.h"
#include "server/base/version.h"
#include "server/run/services.h"

#include <string.h>

/* The page can send requests only to this server. No other page can put it into a frame or open it. */
static const struct answer_field page_fields[] = {
    {"Content-Security-Policy", page_policy},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-cache"},
    {"Vary", "Accept"},
    {NULL, NULL},
};
static const struct answer_field index_fields[] = {{"Vary", "Accept"}, {NULL, NULL}};

/* The first three keys are KServe's first protocol, which asks for liveness here. */
static void answer_index(struct request *request)
{
    answer_json(request,
                json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s}}", "name", "cellserve", "version",
                          CELLSERVE_VERSION, "status", "alive", "links", "predict", "/predict", "models", "/v1/models",
                          "openapi", "/openapi.json", "ready", "/readyz", "metrics", "/metrics"));
}

bool page_is_wanted(const struct request *request, const char *target)
{
    return request->services->settings->page && request->head.wants_html && !strcmp(target, "/");
}

void answer_root(struct request *request)
{
    bool has_page = request->services->settings->page;
    if (has_page && request->head.wants_html)
        answer_constant(request, (const char *)page_html, page_html_bytes, "text/html; charset=utf-8");
    else
        answer_index(request);
    if (has_page)
        request->answer.fields = request->head.wants_html ? page_fields : index_fields;
}
