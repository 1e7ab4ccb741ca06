/* The state of Redis for health and metrics. Each change is one line of the log. */
#ifndef SERVER_SESSION_REDIS_HEALTH_H
#define SERVER_SESSION_REDIS_HEALTH_H

#include "redis_trouble.h"
#include "server/codec/buffer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct redis_health {
    atomic_bool down;
    /* of the thread that reports */
    bool said_down, full;         /* the log's last lines say so */
    enum redis_trouble said_kind; /* of the last line */
    int64_t said_ns, said_damaged_ns;

    pthread_mutex_t lock;         /* guards all below; no other lock is taken under it */
    enum redis_trouble down_kind; /* why */
    uint64_t damaged, errors[TROUBLE_KINDS];
};

void redis_health_open(struct redis_health *health);
void redis_health_close(struct redis_health *health);

/* Reports, by one thread. */
void redis_health_up(struct redis_health *health);
void redis_health_down(struct redis_health *health, enum redis_trouble kind, const char *words);
void redis_health_error(struct redis_health *health, enum redis_trouble kind); /* that leaves it up */
void redis_health_full(struct redis_health *health, const char *words);        /* NULL: it has room */
void redis_health_damaged(struct redis_health *health, const char *what);      /* what is stored for a session */

/* "redis: readonly", or NULL while Redis is up. Only the kind of the error: its text may have names and addresses, and
   any client may read health. */
const char *redis_health_trouble(struct redis_health *health);

void redis_health_metrics(struct redis_health *health, struct buffer *out);

#endif
