/* The digest of a model: models with the same configuration and weights have the same one, on every machine. */
#ifndef CONFIG_FILES_DIGEST_H
#define CONFIG_FILES_DIGEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_BYTES = 16 };

/* Initially all zeros. */
struct digest {
    unsigned char bytes[DIGEST_BYTES];
};

void digest_add(struct digest *digest, const void *bytes, size_t n);
/* Add a configuration. The order of its keys and the white space do not matter. Returns false if out of memory. */
bool digest_add_json(struct digest *digest, const json_t *json);

#endif
