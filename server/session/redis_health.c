/* Records whether Redis is up, down or full, and counts damaged records. */
#include "redis_health.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/codec/metrics_text.h"

#include <stdio.h>
#include <string.h>

/* The same error is not logged again within this time. */
enum { QUIET_MS = 10000 };

void redis_health_open(struct redis_health *health)
{
    *health = (struct redis_health){.down = false};
    pthread_mutex_init(&health->lock, NULL);
}

void redis_health_close(struct redis_health *health)
{
    pthread_mutex_destroy(&health->lock);
}

void redis_health_error(struct redis_health *health, enum redis_trouble kind)
{
    pthread_mutex_lock(&health->lock);
    health->errors[kind]++;
    pthread_mutex_unlock(&health->lock);
}

static bool is_quiet(int64_t said_ns, int64_t now_ns)
{
    return said_ns && now_ns - said_ns < QUIET_MS * (int64_t)NS_PER_MS;
}

/* Do not log every attempt, and not every change of a state that changes often. */
void redis_health_down(struct redis_health *health, enum redis_trouble kind, const char *words)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&health->lock);
    health->down = true;
    health->down_kind = kind;
    health->errors[kind]++;
    pthread_mutex_unlock(&health->lock);
    bool same = health->said_ns && health->said_kind == kind;
    if (same && (health->said_down || is_quiet(health->said_ns, now)))
        return;
    health->said_down = true;
    health->said_kind = kind;
    health->said_ns = now;
    log_line(LOG_WARN, "sessions: redis: %s; requests with a session get 503 until Redis takes writes again", words);
}

void redis_health_up(struct redis_health *health)
{
    health->down = false;
    if (health->said_down)
        log_line(LOG_INFO, "sessions: redis answers and takes writes");
    health->said_down = false;
}

void redis_health_full(struct redis_health *health, const char *words)
{
    if (words && !health->full)
        log_line(LOG_WARN, "sessions: redis: %.160s; steps are refused with 429 until it has room", words);
    else if (!words && health->full)
        log_line(LOG_INFO, "sessions: redis has room again");
    health->full = words != NULL;
}

void redis_health_damaged(struct redis_health *health, const char *what)
{
    int64_t now = clock_ns();
    pthread_mutex_lock(&health->lock);
    health->damaged++;
    pthread_mutex_unlock(&health->lock);
    if (is_quiet(health->said_damaged_ns, now))
        return;
    health->said_damaged_ns = now;
    log_line(LOG_WARN, "sessions: redis: the stored record of a session is %s; reset, PUT or DELETE replaces it", what);
}

const char *redis_health_trouble(struct redis_health *health)
{
    static _Thread_local char text[40];
    pthread_mutex_lock(&health->lock);
    bool down = health->down;
    snprintf(text, sizeof text, "redis: %s", redis_trouble_name(health->down_kind));
    pthread_mutex_unlock(&health->lock);
    return down ? text : NULL;
}

void redis_health_metrics(struct redis_health *health, struct buffer *out)
{
    uint64_t errors[TROUBLE_KINDS];
    pthread_mutex_lock(&health->lock);
    bool up = !health->down;
    uint64_t damaged = health->damaged;
    memcpy(errors, health->errors, sizeof errors);
    pthread_mutex_unlock(&health->lock);
    metrics_text_value(out, "session_store_up", "gauge", "1 while Redis answers and takes writes.", up);
    metrics_text_value(out, "session_store_damaged_total", "counter", "Stored sessions that could not be read.",
                       (double)damaged);
    metrics_text_head(out, "session_store_errors_total", "counter",
                      "Errors of Redis and of the connection to Redis, by kind.");
    for (size_t i = 0; i < TROUBLE_KINDS; i++)
        buffer_printf(out, "cellserve_session_store_errors_total{kind=\"%s\"} %llu\n",
                      redis_trouble_name((enum redis_trouble)i), (unsigned long long)errors[i]);
}
