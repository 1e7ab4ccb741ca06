/* Logs "cellserve 0.2.0 is ready at http://127.0.0.1:8080 (1 model: digits 1; 2 workers, one per CPU (affinity);
   …)". */
#include "ready_line.h"

#include "config/settings.h"
#include "server/base/log.h"
#include "server/base/version.h"
#include "server/run/allowance.h"
#include "server/run/server.h"

#include <stdio.h>

enum { MOST_NAMED = 12 }; /* models */

static void add(char *out, size_t size, size_t *used, const char *text)
{
    int n = snprintf(out + *used, size - *used, "%s", text);
    *used += n > 0 && (size_t)n < size - *used ? (size_t)n : 0;
}

/* "digits 1, seed 1 and 3 more" */
static void name_models(const struct models *models, char *out, size_t size)
{
    size_t used = 0;
    char text[200];
    for (size_t i = 0; i < models->n_slots && i < MOST_NAMED; i++) {
        const struct model *model = models->slots[i].current;
        snprintf(text, sizeof text, "%s%s%s%s", i ? ", " : "",
                 model ? model->name : model_entry_name(models->slots[i].entry), model ? " " : "",
                 model ? model->version : "");
        add(out, size, &used, text);
    }
    snprintf(text, sizeof text, " and %zu more", models->n_slots - MOST_NAMED);
    if (models->n_slots > MOST_NAMED)
        add(out, size, &used, text);
}

void log_ready(const struct server *server, const char *url, const struct allowance *allowance)
{
    const struct services *services = &server->services;
    const struct settings *settings = services->settings;
    char names[1000] = "", why[96] = "as set";
    name_models(&server->models, names, sizeof names);
    if (!settings->workers)
        snprintf(why, sizeof why, "one for each CPU (%s)", allowance->cpus_from);
    log_line(LOG_READY,
             "cellserve %s is ready at %s (%zu model%s: %s; %zu worker%s, %s; %s kernels; memory of requests at most "
             "%llu MiB, "
             "of sessions %llu MiB)",
             CELLSERVE_VERSION, url, server->models.n_slots, server->models.n_slots == 1 ? "" : "s", names,
             services->n_workers, services->n_workers == 1 ? "" : "s", why, server->models.vec->name,
             (unsigned long long)(services->memory->limit >> 20),
             (unsigned long long)settings->session_max_bytes >> 20);
}
