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
    /* fields of the reporting thread */
    bool said_down, full; /* as the last lines of the log say */
    enum redis_trouble said_kind;
    int64_t said_ns, said_damaged_ns; /* the times of the last lines */

    pthread_mutex_t lock;         /* guards the fields below; no other lock is taken while it is held */
    enum redis_trouble down_kind; /* the reason */
    uint64_t damaged, errors[TROUBLE_KINDS];
};

void redis_health_open(struct redis_health *health);
void redis_health_close(struct redis_health *health);

/* One thread calls these functions to report events. */
void redis_health_up(struct redis_health *health);
void redis_health_down(struct redis_health *health, enum redis_trouble kind, const char *words);
void redis_health_error(struct redis_health *health, enum redis_trouble kind); /* an error that leaves Redis up */
void redis_health_full(struct redis_health *health, const char *words);        /* the reason, or NULL if Redis has
                                                                                  room */
void redis_health_damaged(struct redis_health *health, const char *what);      /* the stored record of a session is
                                                                                  damaged */

/* "redis: readonly", or NULL while Redis is up. It has only the kind of the error: the text of an error may contain
   names and addresses, and any client may read the health page. */
const char *redis_health_trouble(struct redis_health *health);

void redis_health_metrics(struct redis_health *health, struct buffer *out);

#endif
