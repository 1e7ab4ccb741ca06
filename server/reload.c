/* One thread that loads new versions beside the old ones. It looks at watched files once a second, and takes them when
   they have stayed the same between two looks: what is still being copied is left alone. */
#include "reload.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_SECONDS = 1 };

struct reload {
    struct server *server;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two below; no other lock is taken under it */
    pthread_cond_t asked;
    bool all, ending;
    char (*seen)[MODEL_STAMP_BYTES]; /* of each slot, at the last look */
};

static void load(struct reload *reload, struct slot *slot)
{
    const char *name = model_entry_name(slot->entry);
    if (server_reload(reload->server, slot))
        log_line(LOG_INFO, "model %s: version %s is loaded and serves now", name, slot->current->version);
    else
        log_line(LOG_ERROR, "model %s: version %s cannot be loaded, version %s serves on: %s", name,
                 slot->failed_version, slot->current->version, slot->failure);
}

/* New files, or changed ones, of watched models. */
static void look(struct reload *reload)
{
    for (size_t i = 0; i < reload->server->n_slots; i++) {
        struct slot *slot = &reload->server->slots[i];
        char stamp[MODEL_STAMP_BYTES];
        if (!slot->entry->watch)
            continue;
        model_stamp(slot->entry, stamp);
        bool settled = !strcmp(stamp, reload->seen[i]);
        memcpy(reload->seen[i], stamp, sizeof stamp);
        if (*stamp && settled && strcmp(stamp, slot->stamp))
            load(reload, slot);
    }
}

/* Wait to be asked, or for the next look. */
static void wait(struct reload *reload)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOOK_SECONDS;
    while (!reload->all && !reload->ending)
        if (pthread_cond_timedwait(&reload->asked, &reload->lock, &until))
            return;
}

static void *run(void *argument)
{
    struct reload *reload = argument;
    pthread_mutex_lock(&reload->lock);
    while (!reload->ending) {
        bool all = reload->all;
        reload->all = false;
        pthread_mutex_unlock(&reload->lock);
        for (size_t i = 0; all && i < reload->server->n_slots; i++)
            load(reload, &reload->server->slots[i]);
        look(reload);
        pthread_mutex_lock(&reload->lock);
        wait(reload);
    }
    pthread_mutex_unlock(&reload->lock);
    return NULL;
}

struct reload *reload_start(struct server *server)
{
    struct reload *reload = calloc(1, sizeof *reload);
    if (!reload)
        return NULL;
    reload->server = server;
    reload->seen = calloc(server->n_slots + 1, sizeof *reload->seen);
    pthread_mutex_init(&reload->lock, NULL);
    pthread_cond_init(&reload->asked, NULL);
    if (reload->seen && !pthread_create(&reload->thread, NULL, run, reload))
        return reload;
    free(reload->seen);
    free(reload);
    return NULL;
}

void reload_all(struct reload *reload)
{
    pthread_mutex_lock(&reload->lock);
    reload->all = true;
    pthread_cond_signal(&reload->asked);
    pthread_mutex_unlock(&reload->lock);
}

void reload_stop(struct reload *reload)
{
    if (!reload)
        return;
    pthread_mutex_lock(&reload->lock);
    reload->ending = true;
    pthread_cond_signal(&reload->asked);
    pthread_mutex_unlock(&reload->lock);
    pthread_join(reload->thread, NULL);
    pthread_cond_destroy(&reload->asked);
    pthread_mutex_destroy(&reload->lock);
    free(reload->seen);
    free(reload);
}
