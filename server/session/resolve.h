/* Resolves host names in a thread that may outlive its caller: a resolver may take minutes to answer. */
#ifndef SERVER_SESSION_RESOLVE_H
#define SERVER_SESSION_RESOLVE_H

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { RESOLVE_MOST = 8 };

/* Addresses as numbers in text, in the resolver's order. */
struct addresses {
    size_t n;
    char text[RESOLVE_MOST][NI_MAXHOST];
};

struct lookup;

enum resolve_result {
    RESOLVE_DONE,
    RESOLVE_FAILED,  /* *why is the reason */
    RESOLVE_PENDING, /* the lookup takes longer than wait_ms, or *ending was set; *pending continues, and the next call
                        uses its result */
};

/* Resolve a host name. *pending is NULL at first; the caller keeps it between calls. */
enum resolve_result resolve(struct lookup **pending, const char *host, int wait_ms, const atomic_bool *ending,
                            struct addresses *out, const char **why);

/* Release a pending lookup (may be NULL). Does not wait for the resolver. */
void resolve_abandon(struct lookup *pending);

#endif
