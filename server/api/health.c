/* Probes: alive, ready, and both as text. They need no worker and no model. */
#include "handlers.h"
#include "server/base/lifecycle.h"
#include "server/run/models.h"
#include "server/run/services.h"
#include "server/session/session_store.h"

#include <string.h>

static bool is_ready(const struct services *services)
{
    return services->lifecycle->state == SERVER_READY;
}

static const char *state_word(const struct services *services)
{
    enum server_state state = services->lifecycle->state;
    switch (state) {
    case SERVER_LOADING:
        return "loading models";
    case SERVER_READY:
        return "ok";
    case SERVER_DRAINING:
        return "draining";
    }
    return "";
}

static void answer_check(struct request *request, bool good, const char *word)
{
    buffer_printf(&request->answer.buffer, "%s\n", word);
    answer_buffer(request, good ? 200 : 503, "text/plain; charset=utf-8");
    request->answer.retry_later = !good;
}

void answer_livez(struct request *request)
{
    answer_check(request, true, "ok");
}

static bool is_verbose(const struct request *request)
{
    return !strcmp(request->head.query, "verbose") || !strcmp(request->head.query, "verbose=true");
}

/* Write the name of the model that is being loaded; nothing if all models are loaded. */
static void write_loading(struct request *request)
{
    const struct services *services = request->services;
    size_t now = services->models->loading, n = services->settings->n_models;
    if (now)
        buffer_printf(&request->answer.buffer, "[-]loading %s (%zu of %zu)\n",
                      model_entry_name(&services->settings->models[now - 1]), now, n);
}

void answer_readyz(struct request *request)
{
    if (is_verbose(request))
        write_loading(request);
    answer_check(request, is_ready(request->services), state_word(request->services));
}

void answer_healthz(struct request *request)
{
    const struct services *services = request->services;
    bool ready = is_ready(services);
    if (!is_verbose(request)) {
        answer_check(request, ready, state_word(services));
        return;
    }
    buffer_text(&request->answer.buffer, "[+]live ok\n");
    buffer_printf(&request->answer.buffer, "[%c]ready %s\n", ready ? '+' : '-', state_word(services));
    write_loading(request);
    const char *trouble = services->sessions ? session_store_trouble(services->sessions) : NULL;
    buffer_printf(&request->answer.buffer, "[%c]sessions %s\n", trouble ? '-' : '+', trouble ? trouble : "ok");
    answer_check(request, ready, ready ? "healthz check passed" : "healthz check failed");
}
