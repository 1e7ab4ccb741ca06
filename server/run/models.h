/* The models of a server: loading, sharing, and replacing them while they are in use. */
#ifndef SERVER_RUN_MODELS_H
#define SERVER_RUN_MODELS_H

#include "config/model.h"
#include "config/settings.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MODELS_READERS = 16 };

/* A configured model: the version that serves, and the result of the last attempt to replace it. */
struct slot {
    const struct model_entry *entry;
    struct model *current;         /* the slot's own use of it is one of its users */
    char stamp[MODEL_STAMP_BYTES]; /* of the files that were last loaded, or failed to load */
    uint64_t reloads, failures;
    const char *failure; /* why the last attempt failed: a constant text that clients may see; NULL if it succeeded */
    char failed_version[MODEL_VERSION_BYTES];
};

/* All zeros but the settings and the vector routines before models_load. */
struct models {
    const struct settings *settings;
    const struct vec_ops *vec;
    struct slot *slots; /* one for each model of the settings, in their order; the locks guard what is in them */
    size_t n_slots, default_slot;
    atomic_bool raw_values; /* a model has, or had, a transform */
    atomic_size_t loading;  /* the number of the model that is being loaded at start, from 1; 0: none */
    atomic_size_t changes;  /* versions that have taken another's place */
    /* Whoever reads the slots takes the lock of the thread, whoever changes them takes all, in order. So threads that read
       do not wait for each other, unless there are more of them than locks. No other lock is taken under these. */
    struct models_reader {
        _Alignas(64) pthread_mutex_t lock;
    } readers[MODELS_READERS];
};

/* Before models_load, and for tests that have no settings. */
void models_init(struct models *models);

/* To read the slots. */
void models_lock(struct models *models);
void models_unlock(struct models *models);

/* Load every model of the settings, and run one timestep of each; every problem is added. Then the pool's scratch size
   is known. models_close in any case. */
bool models_load(struct models *models, struct problems *problems, size_t *scratch_bytes);

/* Load a slot's files anew and put them in its model's place: those of a version, "" the highest. False with problems
   added, and the old version serves on, when that fails; the slot says it to clients. Called by one thread at a time. */
bool models_reload(struct models *models, struct slot *slot, const char *version, struct problems *problems);

/* The model with this name ("" is the default model), or NULL. The caller ends its use by model_release. */
struct model *models_acquire(struct models *models, const char *name);
/* End a use; NULL is fine. The last one frees the model. */
void model_release(struct model *model);

/* Bytes of the weights of all versions that serve, and of the largest scratch that one of them needs of a worker. */
void models_memory(struct models *models, size_t *weights, size_t *scratch);

void models_close(struct models *models);

#endif
