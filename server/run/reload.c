/* One thread that loads new versions beside the old ones. It checks watched files once a second. It loads changed files
   only after they have stayed the same between two checks, because they may still be being copied. */
#include "reload.h"
#include "models.h"

#include "server/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_SECONDS = 1 };

/* The result of the last check of a watched model. */
struct seen {
    char stamp[MODEL_STAMP_BYTES];
    bool gone, given_up; /* the folder of the current version has been removed, and there was no other version to
                            load */
};

struct reload {
    struct models *models;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the three fields below; no other lock is taken while it is held */
    pthread_cond_t changed;
    bool all, ending, ended;
    struct seen *seen; /* one for each slot */
    void (*loaded)(void *context);
    void *context;
    int calls; /* the number of calls of `loaded` that are due */
};

static void log_failure(const struct slot *slot, const struct problems *problems)
{
    char more[40] = "";
    if (problems->all_errors > 1)
        snprintf(more, sizeof more, " (and %zu more)", problems->all_errors - 1);
    log_line(LOG_ERROR, "model %s: version %s cannot be loaded, version %s serves on: %s%s",
             model_entry_name(slot->entry), slot->failed_version, slot->current->version,
             problems->n_errors ? problems->errors[0] : slot->failure, more);
}

/* "" is the highest version. */
static bool load_version(struct reload *reload, struct slot *slot, const char *version)
{
    const char *name = model_entry_name(slot->entry);
    struct problems problems = {.n_errors = 0};
    bool good = models_reload(reload->models, slot, version, &problems);
    reload->calls = reload->loaded ? 2 : 0;
    for (size_t i = 0; i < problems.n_warnings; i++)
        log_line(LOG_WARN, "model %s: %s", name, problems.warnings[i]);
    if (good)
        log_line(LOG_INFO, "model %s: version %s is loaded and serves now", name, slot->current->version);
    else
        log_failure(slot, &problems);
    problems_close(&problems);
    return good;
}

static bool is_gone(const struct slot *slot)
{
    return slot->current->numbered && !model_version_exists(slot->entry->path, slot->current->version);
}

/* Load the highest version. If this fails and the current version has been removed, load the next lower version that
   can be loaded. */
static void load_slot(struct reload *reload, struct slot *slot)
{
    char version[MODEL_VERSION_BYTES] = "";
    if (load_version(reload, slot, "") || !is_gone(slot) || !model_version_below(slot->entry->path, "", version))
        return;
    while (model_version_below(slot->entry->path, version, version) && !load_version(reload, slot, version))
        ;
}

/* Files that are new, changed, removed or unreadable: each change is tried once, and the result is logged. */
static void look_at_files(struct reload *reload)
{
    for (size_t i = 0; i < reload->models->n_slots; i++) {
        struct slot *slot = &reload->models->slots[i];
        struct seen *seen = &reload->seen[i];
        char stamp[MODEL_STAMP_BYTES];
        if (!slot->entry->watch)
            continue;
        model_stamp(slot->entry, stamp);
        bool gone = is_gone(slot), settled = gone == seen->gone && !strcmp(stamp, seen->stamp);
        memcpy(seen->stamp, stamp, sizeof stamp);
        seen->gone = gone;
        seen->given_up &= gone;
        if (!settled || (!strcmp(stamp, slot->stamp) && (!gone || seen->given_up)))
            continue;
        load_slot(reload, slot);
        seen->given_up = is_gone(slot);
    }
}

/* Wait for a request to reload, or for the next check. */
static void wait_for_order(struct reload *reload)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_SECONDS;
    while (!reload->all && !reload->ending)
        if (pthread_cond_timedwait(&reload->changed, &reload->lock, &until))
            return;
}

static void *load_when_asked(void *argument)
{
    struct reload *reload = argument;
    pthread_mutex_lock(&reload->lock);
    while (!reload->ending) {
        bool all = reload->all;
        reload->all = false;
        pthread_mutex_unlock(&reload->lock);
        for (size_t i = 0; all && i < reload->models->n_slots; i++)
            load_slot(reload, &reload->models->slots[i]);
        look_at_files(reload);
        if (reload->calls && reload->calls--)
            reload->loaded(reload->context);
        pthread_mutex_lock(&reload->lock);
        wait_for_order(reload);
    }
    reload->ended = true;
    pthread_cond_broadcast(&reload->changed);
    pthread_mutex_unlock(&reload->lock);
    return NULL;
}

struct reload *reload_start(struct models *models, void (*loaded)(void *context), void *context)
{
    struct reload *reload = calloc(1, sizeof *reload);
    pthread_condattr_t monotonic;
    if (!reload)
        return NULL;
    reload->models = models;
    reload->loaded = loaded;
    reload->context = context;
    reload->seen = calloc(models->n_slots + 1, sizeof *reload->seen);
    pthread_mutex_init(&reload->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&reload->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (reload->seen && !pthread_create(&reload->thread, NULL, load_when_asked, reload))
        return reload;
    free(reload->seen);
    free(reload);
    return NULL;
}

void reload_all(struct reload *reload)
{
    pthread_mutex_lock(&reload->lock);
    reload->all = true;
    pthread_cond_broadcast(&reload->changed);
    pthread_mutex_unlock(&reload->lock);
}

bool reload_stop(struct reload *reload, int most_ms)
{
    struct timespec until;
    if (!reload)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += most_ms / 1000;
    until.tv_nsec += most_ms % 1000 * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&reload->lock);
    reload->ending = true;
    pthread_cond_broadcast(&reload->changed);
    while (!reload->ended && !pthread_cond_timedwait(&reload->changed, &reload->lock, &until))
        ;
    bool ended = reload->ended;
    pthread_mutex_unlock(&reload->lock);
    if (!ended) {
        pthread_detach(reload->thread); /* the process ends without it */
        return false;
    }
    pthread_join(reload->thread, NULL);
    pthread_cond_destroy(&reload->changed);
    pthread_mutex_destroy(&reload->lock);
    free(reload->seen);
    free(reload);
    return true;
}
