/* A model that can be served: its files were found and read, and its layers built. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include "config/files/digest.h"
#include "config/transform/transform.h"
#include "core/rnn.h"
#include "model_parts.h"
#include "settings.h"

#include <stdatomic.h>

struct model {
    const char *name;                  /* the name in URLs and answers; it belongs to the entry, which outlives the
                                          model */
    char version[MODEL_VERSION_BYTES]; /* "1", or the number of its folder, without leading zeros */
    bool numbered;                     /* whether the model comes from a folder of numbered versions */
    char class_name[32], layer_name[64];
    struct digest digest; /* the digest of configuration, weights and precision: states belong to a digest */
    struct graph graph;
    bool allow_nonfinite;
    bool has_weights_file;       /* false: its weights come from initializers */
    struct transform *transform; /* of raw values, or NULL; owned */
    size_t window;               /* timesteps of the windows that sessions keep; 0: sessions keep states */
    size_t fixed_timesteps;      /* the length that whole sequences must have; 0: any length */
    int keras_major;
    double load_seconds;
    double row_step_ns;   /* the time of a timestep of a row beside other rows, as measured when the model was loaded */
    size_t scratch_bytes; /* the size of a worker's arena, for the largest batch */
    char apart[64];      /* `users` changes with each request, the fields above never: so they share no line of cache */
    atomic_size_t users; /* for the code that shares the model between threads */
};

/**
 * Load the model that an entry names: a .keras or .h5 file, a .json layer configuration, a folder with model.json
 * beside one file of weights (or with one model file), a folder of numbered versions (the highest is taken), or the
 * entry's inline layer. Files are recognized by their content.
 *
 * settings_file is for messages about inline layers. vec are the kernels for which weights are packed. The entry must
 * outlive the model. If loading fails, returns false with every problem added, and the model is empty. model_close
 * frees the model.
 */
bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model);
/* The same for one version of the entry's folder, by its number; "" is the highest. */
bool model_load_version(const struct model_entry *entry, const char *version, const char *settings_file,
                        const struct vec_ops *vec, struct problems *problems, struct model *model);
void model_close(struct model *model);

/* Whether a path leads to the files of one model. The files are not read. Returns false with a problem added. */
bool model_find(const char *path, struct problems *problems);

/* model_parts_stamp of the entry's path; "" for an inline layer. */
void model_stamp(const struct model_entry *entry, char out[MODEL_STAMP_BYTES]);

/* A draft of model.json for PyTorch's weights at path, as text (torch_describe.h). The caller calls free. Returns NULL
   with problems added. */
char *model_describe(const char *path, struct problems *problems);

/* The size of an entry's files, "2.1 MB"; "" if the entry has no files. */
void model_size_text(const struct model_entry *entry, char *out, size_t size);

/* The name of an entry's model: "default" if the entry has no name. */
const char *model_entry_name(const struct model_entry *entry);

#endif
