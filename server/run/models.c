/* Models in use. */
#include "models.h"

#include "server/base/clock.h"
#include "server/base/thread_number.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Run some timesteps: this touches the pages of the model, finds errors before clients do, and measures the time of a
   timestep. The better of two runs counts, because the first run has cold caches. Returns false with a problem
   added. */
static bool try_model(struct model *model, size_t rows, struct place place, struct problems *problems)
{
    enum { ROWS = 4, TIMESTEPS = 4 };
    size_t batch = rows < ROWS ? rows : ROWS;
    struct trial trial = {.graph = NULL};
    struct rnn_error err;
    size_t timesteps = trial_timesteps(&model->graph, TIMESTEPS, &err);
    if (!timesteps) {
        problem_error(problems, place, "no number of timesteps fits all its layers: %s", err.text);
        return false;
    }
    bool good = graph_scratch(&model->graph, rows, &model->scratch_bytes) &&
                trial_open(&trial, &model->graph, batch, timesteps, rows);
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
        problem_reason(problems, "its outputs for a trial batch are not finite");
        problem_error(
            problems, place,
            "its outputs for %zu random timesteps (inputs in -1..1) are not finite: its weights may be damaged; "
            "set \"allow_nonfinite\" in the model's entry to serve it anyway",
            trial.fresh[0].timesteps);
    }
    trial_close(&trial);
    return good;
}

/* Load a model with one user. version "" is the highest. Returns NULL with problems added. */
static struct model *load_model(struct models *models, const struct model_entry *entry, const char *version,
                                struct problems *problems)
{
    struct place place = {entry->path, NULL};
    if (!entry->path)
        place = (struct place){models->settings->file, entry->where};
    struct model *model = calloc(1, sizeof *model);
    if (!model) {
        problem_error(problems, place, "out of memory");
        return NULL;
    }
    if (model_load_version(entry, version, models->settings->file, models->vec, problems, model)) {
        if (try_model(model, (size_t)models->settings->max_batch_rows, place, problems)) {
            model->users = 1;
            if (model->transform)
                atomic_store(&models->raw_values, true);
            return model;
        }
        model_close(model);
    }
    free(model);
    return NULL;
}

void models_init(struct models *models)
{
    for (size_t i = 0; i < MODELS_READERS; i++)
        pthread_mutex_init(&models->readers[i].lock, NULL);
}

void models_lock(struct models *models)
{
    struct models_reader *reader = &models->readers[thread_number() % MODELS_READERS];
    pthread_mutex_lock(&reader->lock);
}

void models_unlock(struct models *models)
{
    struct models_reader *reader = &models->readers[thread_number() % MODELS_READERS];
    pthread_mutex_unlock(&reader->lock);
}

static void lock_all(struct models *models)
{
    for (size_t i = 0; i < MODELS_READERS; i++)
        pthread_mutex_lock(&models->readers[i].lock);
}

static void unlock_all(struct models *models)
{
    for (size_t i = 0; i < MODELS_READERS; i++)
        pthread_mutex_unlock(&models->readers[i].lock);
}

bool models_load(struct models *models, struct problems *problems, size_t *scratch_bytes)
{
    const struct settings *settings = models->settings;
    bool good = true;
    *scratch_bytes = 0;
    models_init(models);
    models->slots = calloc(settings->n_models + 1, sizeof *models->slots);
    if (!models->slots) {
        problem_error(problems, (struct place){settings->file, NULL}, "out of memory");
        return false;
    }
    for (; models->n_slots < settings->n_models; models->n_slots++) {
        struct slot *slot = &models->slots[models->n_slots];
        slot->entry = &settings->models[models->n_slots];
        if (slot->entry->is_default)
            models->default_slot = models->n_slots;
        models->loading = models->n_slots + 1;
        model_stamp(slot->entry, slot->stamp);
        slot->current = load_model(models, slot->entry, "", problems);
        good &= slot->current != NULL;
        if (slot->current && slot->current->scratch_bytes > *scratch_bytes)
            *scratch_bytes = slot->current->scratch_bytes;
    }
    models->loading = 0;
    return good;
}

/* The number at the beginning of a stamp, or the number itself. */
static void keep_failure(struct slot *slot, const char *version, const char *reason)
{
    slot->failures++;
    slot->failure = reason ? reason : "it cannot be loaded";
    snprintf(slot->failed_version, sizeof slot->failed_version, "%.*s", (int)strcspn(version, " "), version);
}

bool models_reload(struct models *models, struct slot *slot, const char *version, struct problems *problems)
{
    char stamp[MODEL_STAMP_BYTES];
    model_stamp(slot->entry, stamp); /* before loading, so that later changes of the files are noticed */
    struct model *fresh = load_model(models, slot->entry, version, problems), *old = NULL;
    lock_all(models);
    memcpy(slot->stamp, stamp, sizeof stamp);
    if (fresh) {
        old = slot->current;
        slot->current = fresh;
        slot->reloads++;
        models->changes++;
        if (!*version) /* loading a lower version does not clear the error of the highest */
            slot->failure = NULL;
    } else {
        keep_failure(slot, *version ? version : stamp, problems->reason);
    }
    unlock_all(models);
    model_release(old);
    return fresh != NULL;
}

struct model *models_acquire(struct models *models, const char *name)
{
    size_t i = 0;
    while (i < models->n_slots && strcmp(model_entry_name(models->slots[i].entry), name))
        i++;
    if (i == models->n_slots && (!*name || !strcmp(name, "default")))
        i = models->default_slot;
    if (i >= models->n_slots)
        return NULL;
    models_lock(models);
    struct model *model = models->slots[i].current;
    if (model)
        model->users++;
    models_unlock(models);
    return model;
}

void model_release(struct model *model)
{
    if (model && atomic_fetch_sub(&model->users, 1) == 1) {
        model_close(model);
        free(model);
    }
}

void models_memory(struct models *models, size_t *weights, size_t *scratch)
{
    *weights = *scratch = 0;
    models_lock(models);
    for (size_t i = 0; i < models->n_slots; i++) {
        const struct model *model = models->slots[i].current;
        *weights += graph_bytes(&model->graph);
        *scratch = model->scratch_bytes > *scratch ? model->scratch_bytes : *scratch;
    }
    models_unlock(models);
}

void models_close(struct models *models)
{
    for (size_t i = 0; i < models->n_slots; i++)
        model_release(models->slots[i].current);
    for (size_t i = 0; models->slots && i < MODELS_READERS; i++)
        pthread_mutex_destroy(&models->readers[i].lock);
    free(models->slots);
    models->slots = NULL;
    models->n_slots = 0;
}
