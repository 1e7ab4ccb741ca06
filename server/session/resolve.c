/* Lookups. A lookup has two users, its thread and its caller; the last one frees it. */
#include "resolve.h"

#include "server/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct lookup {
    char host[NI_MAXHOST];
    atomic_int users;
    atomic_bool done;
    int error; /* the result of getaddrinfo; valid once done, like addresses */
    struct addresses addresses;
};

enum { POLL_MS = 5 };

static void release_lookup(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->users, 1) == 1)
        free(lookup);
}

void resolve_abandon(struct lookup *pending)
{
    if (pending)
        release_lookup(pending);
}

static int look_up(const char *host, int flags, struct addresses *out)
{
    const struct addrinfo hints = {.ai_flags = flags, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = getaddrinfo(host, NULL, &hints, &list);
    out->n = 0;
    for (const struct addrinfo *at = error ? NULL : list; at && out->n < RESOLVE_MOST; at = at->ai_next)
        if (!getnameinfo(at->ai_addr, at->ai_addrlen, out->text[out->n], sizeof *out->text, NULL, 0, NI_NUMERICHOST))
            out->n++;
    if (list)
        freeaddrinfo(list);
    return error ? error : out->n ? 0 : EAI_NONAME;
}

static void *look_up_in_thread(void *argument)
{
    struct lookup *lookup = argument;
    lookup->error = look_up(lookup->host, 0, &lookup->addresses);
    lookup->done = true;
    release_lookup(lookup);
    return NULL;
}

/* Returns NULL if there is no memory or no thread for the lookup. */
static struct lookup *start_lookup(const char *host)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    pthread_attr_t detached;
    pthread_t thread;
    if (!lookup)
        return NULL;
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    lookup->users = 2;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool started = !pthread_create(&thread, &detached, look_up_in_thread, lookup);
    pthread_attr_destroy(&detached);
    if (started)
        return lookup;
    free(lookup);
    return NULL;
}

enum resolve_result resolve(struct lookup **pending, const char *host, int wait_ms, const atomic_bool *ending,
                            struct addresses *out, const char **why)
{
    const struct timespec pause = {0, POLL_MS * (long)NS_PER_MS};
    int64_t end = clock_ns() + wait_ms * (int64_t)NS_PER_MS;
    if (!look_up(host, AI_NUMERICHOST, out)) /* does not ask a name server */
        return RESOLVE_DONE;
    if (!*pending && !(*pending = start_lookup(host))) {
        *why = "no thread could be started to resolve its name";
        return RESOLVE_FAILED;
    }
    while (!(*pending)->done) {
        if (*ending || clock_ns() > end)
            return RESOLVE_PENDING;
        nanosleep(&pause, NULL);
    }
    int error = (*pending)->error;
    *out = (*pending)->addresses;
    release_lookup(*pending);
    *pending = NULL;
    *why = error ? gai_strerror(error) : "";
    return error ? RESOLVE_FAILED : RESOLVE_DONE;
}
