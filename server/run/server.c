/* The models of a server: loading, sharing, and replacing them while they are in use. */
#include "server.h"

#include "server/base/clock.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Some timesteps: pages are touched, what cannot run is found before clients find it, and it is seen how long they take:
   the better of two runs, for the first one meets cold caches. False with a problem added. */
static bool warm(struct model *model, size_t rows, struct place place, struct problems *problems)
{
    enum { ROWS = 4, TIMESTEPS = 4 };
    size_t batch = rows < ROWS ? rows : ROWS;
    struct trial trial = {.chain = NULL};
    bool good = rnn_model_scratch(&model->chain, rows, &model->scratch_bytes) &&
                trial_open(&trial, &model->chain, batch, TIMESTEPS, rows);
    for (int run = 0; good && run < 2; run++) {
        int64_t began = clock_ns();
        trial_run(&trial, NULL);
        double ns = (double)(clock_ns() - began) / (double)(batch * trial.fresh[0].timesteps);
        model->row_step_ns = run && model->row_step_ns < ns ? model->row_step_ns : ns;
    }
    if (!good) {
        problem_error(problems, place, "out of memory for %zu rows at a time", rows);
    } else if (!model->allow_nonfinite && !trial_is_finite(&trial)) {
        good = false;
        problem_reason(problems, "a trial of it gives outputs that are not finite");
        problem_error(problems, place,
                      "outputs of %zu made-up timesteps (inputs in -1..1) are not finite: its weights may be damaged; "
                      "\"allow_nonfinite\" in the model's entry serves it all the same",
                      trial.fresh[0].timesteps);
    }
    trial_close(&trial);
    return good;
}

/* A model with one user, or NULL with problems added. version: "" is the highest. */
static struct model *load(const struct server *server, const struct model_entry *entry, const char *version,
                          struct problems *problems)
{
    struct place place = {entry->path, NULL};
    if (!entry->path)
        place = (struct place){server->settings->file, entry->where};
    struct model *model = calloc(1, sizeof *model);
    if (!model) {
        problem_error(problems, place, "out of memory");
        return NULL;
    }
    if (model_load_version(entry, version, server->settings->file, server->vec, problems, model)) {
        if (warm(model, (size_t)server->settings->max_batch_rows, place, problems)) {
            model->users = 1;
            return model;
        }
        model_close(model);
    }
    free(model);
    return NULL;
}

bool server_load(struct server *server, struct problems *problems, size_t *scratch_bytes)
{
    const struct settings *settings = server->settings;
    bool good = true;
    *scratch_bytes = 0;
    pthread_mutex_init(&server->models_lock, NULL);
    server->slots = calloc(settings->n_models + 1, sizeof *server->slots);
    if (!server->slots) {
        problem_error(problems, (struct place){settings->file, NULL}, "out of memory");
        return false;
    }
    for (; server->n_slots < settings->n_models; server->n_slots++) {
        struct slot *slot = &server->slots[server->n_slots];
        slot->entry = &settings->models[server->n_slots];
        if (slot->entry->is_default)
            server->default_slot = server->n_slots;
        model_stamp(slot->entry, slot->stamp);
        slot->current = load(server, slot->entry, "", problems);
        good &= slot->current != NULL;
        if (slot->current && slot->current->scratch_bytes > *scratch_bytes)
            *scratch_bytes = slot->current->scratch_bytes;
    }
    return good;
}

/* The number at the beginning of a stamp, or the number itself. */
static void keep_failure(struct slot *slot, const char *version, const char *reason)
{
    slot->failures++;
    slot->failure = reason ? reason : "it cannot be loaded";
    snprintf(slot->failed_version, sizeof slot->failed_version, "%.*s", (int)strcspn(version, " "), version);
}

bool server_reload(struct server *server, struct slot *slot, const char *version, struct problems *problems)
{
    char stamp[MODEL_STAMP_BYTES];
    model_stamp(slot->entry, stamp); /* before: what changes while it is loaded is seen again */
    struct model *fresh = load(server, slot->entry, version, problems), *old = NULL;
    pthread_mutex_lock(&server->models_lock);
    memcpy(slot->stamp, stamp, sizeof stamp);
    if (fresh) {
        old = slot->current;
        slot->current = fresh;
        slot->reloads++;
        server->changes++;
        if (!*version) /* a lower one does not mend the highest */
            slot->failure = NULL;
    } else {
        keep_failure(slot, *version ? version : stamp, problems->reason);
    }
    pthread_mutex_unlock(&server->models_lock);
    server_release(old);
    return fresh != NULL;
}

struct model *server_acquire(struct server *server, const char *name)
{
    size_t i = 0;
    while (i < server->n_slots && strcmp(model_entry_name(server->slots[i].entry), name))
        i++;
    if (i == server->n_slots && (!*name || !strcmp(name, "default")))
        i = server->default_slot;
    if (i >= server->n_slots)
        return NULL;
    pthread_mutex_lock(&server->models_lock);
    struct model *model = server->slots[i].current;
    if (model)
        model->users++;
    pthread_mutex_unlock(&server->models_lock);
    return model;
}

void server_release(struct model *model)
{
    if (model && atomic_fetch_sub(&model->users, 1) == 1) {
        model_close(model);
        free(model);
    }
}

void server_close(struct server *server)
{
    for (size_t i = 0; i < server->n_slots; i++)
        server_release(server->slots[i].current);
    if (server->slots)
        pthread_mutex_destroy(&server->models_lock);
    free(server->slots);
    server->slots = NULL;
    server->n_slots = 0;
}
