/* A model as it is served: found on disk, read, built. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include "config/files/digest.h"
#include "config/transform/transform.h"
#include "core/rnn.h"
#include "model_parts.h"
#include "settings.h"

#include <stdatomic.h>

struct model {
    const char *name;                  /* in URLs and answers; the entry's, which outlives the model */
    char version[MODEL_VERSION_BYTES]; /* "1", or the number of its folder, without leading zeros */
    bool numbered;                     /* from such a folder */
    char class_name[32], layer_name[64];
    struct digest digest; /* of configuration, weights and precision: states belong to these */
    struct graph graph;
    bool allow_nonfinite;
    bool has_weights_file;       /* or its weights come from initializers */
    struct transform *transform; /* of raw values, or NULL; owned */
    size_t window;               /* timesteps of the windows that its sessions keep; 0: they keep states */
    size_t fixed_timesteps;      /* the one length that whole sequences may have; 0: any */
    int keras_major;
    double load_seconds;
    double row_step_ns; /* what a timestep of a row takes a worker beside other rows, as measured when it was loaded */
    size_t scratch_bytes; /* of a worker's arena, for as many rows as the server runs side by side */
    atomic_size_t users;  /* for whoever shares the model between threads */
};

/**
 * Load what an entry names: a .keras or .h5 model, a .json layer configuration, a folder with model.json beside one
 * weights file (or with one model file), a folder of numbered versions (the highest is taken), or the entry's inline
 * layer. Files are known by their content.
 *
 * settings_file is for messages about inline layers; vec are the kernels to build for. The entry outlives the model.
 * False with every problem added; the model is empty then. model_close frees it.
 */
bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model);
/* The same of a version of the entry's folder, by its number; "" is the highest. */
bool model_load_version(const struct model_entry *entry, const char *version, const char *settings_file,
                        const struct vec_ops *vec, struct problems *problems, struct model *model);
void model_close(struct model *model);

/* Whether a path leads to the files of one model, which are not read; false with a problem added. */
bool model_find(const char *path, struct problems *problems);

/* model_parts_stamp of where an entry points; "" for an inline layer. */
void model_stamp(const struct model_entry *entry, char out[MODEL_STAMP_BYTES]);

/* A first model.json for PyTorch's weights at path, as text (torch_describe.h), to be free()d; NULL with problems
   added. */
char *model_describe(const char *path, struct problems *problems);

/* The size of an entry's files, "2.1 MB"; "" where there are none. */
void model_size_text(const struct model_entry *entry, char *out, size_t size);

/* How an entry's model is called: "default" where it has no name. */
const char *model_entry_name(const struct model_entry *entry);

#endif
