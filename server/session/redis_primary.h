/* The connection to the Redis that takes writes: found by name, authenticated, tested. Errors have a kind (for metrics
   and decisions) and a text (for the log). After any error, except one of a single key, the connection is closed, so
   that no reply can be taken for the reply to another command. */
#ifndef SERVER_SESSION_REDIS_PRIMARY_H
#define SERVER_SESSION_REDIS_PRIMARY_H

#include "config/redis_url.h"
#include "redis_link.h"
#include "resolve.h"

struct redis_primary {
    struct redis_url url;
    const char *script;
    const char *probe_key;     /* the key that the test of the script deletes; it never exists */
    const atomic_bool *ending; /* the program ends: give up soon */
    size_t most_bytes;         /* the longest string in a reply */

    struct redis_link *link; /* NULL if not connected */
    char sha[41];            /* the SHA-1 of the script */
    struct lookup *lookup;   /* a lookup that has not ended yet */
    struct lookup *sentinel_lookups[REDIS_SENTINELS];
    size_t sentinel;         /* the Sentinel to ask first: the last one that named a primary that takes writes */
    enum redis_trouble kind; /* the kind of the last error */
    char words[160];         /* the text of the last error; printable */
};

/* Ask the Sentinels, if there are any, for the host. Resolve its name, and connect to the first address that takes
   writes. If it returns false, kind and words have the reason. */
bool redis_primary_open(struct redis_primary *primary);

/* Drop the connection because of a wrong answer. Returns false. */
bool redis_primary_fail(struct redis_primary *primary, enum redis_trouble kind, const char *words);

/* Drop the connection because the last call to its link has failed. Returns false. */
bool redis_primary_fail_link(struct redis_primary *primary);

/* Whether the connection is still open. Between rounds, only its end can be read. */
bool redis_primary_is_open(struct redis_primary *primary);

void redis_primary_close(struct redis_primary *primary);

#endif
