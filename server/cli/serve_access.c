/* Loads keys and certificates before serve listens, so that no request is accepted without them. */
#include "serve_access.h"

#include "config/settings.h"
#include "server/base/counters.h"
#include "server/base/watch.h"
#include "server/http/tls.h"
#include "server/run/access.h"
#include "server/run/services.h"

static struct watch *files;

bool serve_access_open(struct services *services, struct problems *problems)
{
    const struct settings *settings = services->settings;
    files = watch_new();
    if (!files) {
        problem_error(problems, (struct place){NULL, NULL}, "out of memory");
        return false;
    }
    if (*settings->tls_certificate) {
        const char *const paths[WATCH_PATHS] = {settings->tls_certificate, settings->tls_key, settings->tls_client_ca};
        services->tls = tls_open(settings, services->counters, problems);
        if (!services->tls)
            return false;
        watch_files(files, paths, tls_reload, services->tls);
    }
    if (*settings->auth_keys) {
        services->access = access_open(settings, problems);
        if (!services->access)
            return false;
        watch_files(files, (const char *const[WATCH_PATHS]){settings->auth_keys}, access_reload, services->access);
    }
    if (!watch_start(files))
        problem_error(problems, (struct place){NULL, NULL}, "cannot start a thread");
    return !problems->all_errors;
}

void serve_access_again(void)
{
    watch_now(files);
}

void serve_access_close(struct services *services)
{
    watch_stop(files);
    files = NULL;
    access_close(services->access);
    services->access = NULL;
    tls_close(services->tls);
    services->tls = NULL;
}

bool serve_access_check(const struct settings *settings, struct problems *problems)
{
    struct counters counters = {.n_io = 0};
    size_t before = problems->all_errors;
    if (*settings->tls_certificate)
        tls_close(tls_open(settings, &counters, problems));
    if (*settings->auth_keys)
        access_close(access_open(settings, problems));
    return problems->all_errors == before;
}
