/* A chain of 128-bit XXH3 hashes: each step hashes the previous hash together with the hash of the next bytes. */
#include "digest.h"

#include "config/json_memory.h"

#include <string.h>
#include <xxhash.h>

_Static_assert(sizeof(XXH128_canonical_t) == DIGEST_BYTES, "a digest is one hash");

void digest_add(struct digest *digest, const void *bytes, size_t n)
{
    XXH128_canonical_t both[2];
    memcpy(&both[0], digest->bytes, sizeof both[0]);
    XXH128_canonicalFromHash(&both[1], XXH3_128bits(bytes, n));
    XXH128_canonicalFromHash(&both[0], XXH3_128bits(both, sizeof both));
    memcpy(digest->bytes, &both[0], sizeof both[0]);
}

bool digest_add_json(struct digest *digest, const json_t *json)
{
    char *text = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        digest_add(digest, text, strlen(text));
    json_memory_free(text);
    return text != NULL;
}
