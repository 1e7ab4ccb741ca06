/* The state of reading a transform, which transform*.c share. */
#ifndef CONFIG_TRANSFORM_READING_H
#define CONFIG_TRANSFORM_READING_H

#include "transform.h"

#include <limits.h>

struct reading {
    struct transform *out;
    const struct transform_place *place;
    const struct transform_ports *ports;
    struct problems *problems;
    const char *key;
    json_t *shown;
    bool good;
};

/* The place of the current key, for problems; path is work space. */
struct place transform_place_of(const struct reading *r, char path[200]);

/* Each of these functions adds a problem and returns false. what replaces the %s of the sentence. */
bool transform_fail(struct reading *r, const char *sentence, const char *what);
bool transform_out_of_memory(struct reading *r);

/* Report two sizes that differ. what, found and ours make one sentence: "the scaler has" 3 "columns". */
bool transform_misfit(struct reading *r, const char *what, size_t found, const char *ours,
                      const struct transform_port *port, size_t wanted);

/* Convert a path within the folder to a path that can be opened. */
bool transform_path(struct reading *r, const char *path, char out[PATH_MAX]);

/* ---- keys in files of their own ---- */

void transform_read_tokenizer(struct reading *r, const json_t *value);
void transform_read_pad(struct reading *r, const json_t *value);
void transform_read_feedback(struct reading *r, const json_t *value);

#endif
