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
    struct model *current;         /* the slot itself has a use of it */
    char stamp[MODEL_STAMP_BYTES]; /* the stamp of the files that were last loaded, or failed to load */
    uint64_t reloads, failures;
    const char *failure; /* the reason why the last attempt failed, a constant text that clients may see; NULL if it
                            succeeded */
    char failed_version[MODEL_VERSION_BYTES];
};

/* Before models_load, all fields except settings and vec are zeros. */
struct models {
    const struct settings *settings;
    const struct vec_ops *vec;
    struct slot *slots; /* one for each model of the settings, in their order; the locks guard their contents */
    size_t n_slots, default_slot;
    atomic_bool raw_values; /* a model has or had a transform */
    atomic_size_t loading;  /* the number of the model that is being loaded at start, from 1; 0 if none */
    atomic_size_t changes;  /* the number of versions that have replaced another */
    /* A thread that reads the slots takes its own lock. A thread that changes them takes all locks, in order. So
       readers do not wait for each other, unless there are more threads than locks. No other lock is taken while these
       are held. */
    struct models_reader {
        _Alignas(64) pthread_mutex_t lock;
    } readers[MODELS_READERS];
};

/* Call before models_load; also for tests without settings. */
void models_init(struct models *models);

/* Lock and unlock the slots for reading. */
void models_lock(struct models *models);
void models_unlock(struct models *models);

/* Load every model of the settings, and run one timestep of each. Adds all problems. Afterwards the pool's scratch size
   is known. Call models_close in any case. */
bool models_load(struct models *models, struct problems *problems, size_t *scratch_bytes);

/* Load a version of a slot's model ("" is the highest), and replace the current model. If this fails, returns false
   with problems added, the old model keeps serving, and the slot has the reason for clients. Called by one thread at a
   time. */
bool models_reload(struct models *models, struct slot *slot, const char *version, struct problems *problems);

/* The model with this name ("" is the default model), or NULL. The caller ends its use with model_release. */
struct model *models_acquire(struct models *models, const char *name);
/* End a use; the last one frees the model. model may be NULL. */
void model_release(struct model *model);

/* The bytes of the weights of all current versions, and the largest scratch that one of them needs in a worker. */
void models_memory(struct models *models, size_t *weights, size_t *scratch);

void models_close(struct models *models);

#endif
