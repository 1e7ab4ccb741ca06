/* Names of hosts to addresses, by a thread that may be left behind: a resolver can take minutes to answer. */
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
    RESOLVE_FAILED, /* *why says why */
    RESOLVE_PENDING, /* it takes longer than wait_ms, or *ending was set; *pending goes on and is asked again next time */
};

/* The addresses of a host. *pending is NULL at first and is kept between calls. */
enum resolve_result resolve(struct lookup **pending, const char *host, int wait_ms, const atomic_bool *ending,
                            struct addresses *out, const char **why);

/* Let go of a lookup that is pending; NULL is fine. Does not wait for the resolver. */
void resolve_abandon(struct lookup *pending);

#endif
