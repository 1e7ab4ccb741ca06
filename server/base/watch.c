/* Checks the files twice a second. If two files are replaced one after the other, the change counts when both are
   new. */
#include "watch.h"

#include "log.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { LOOK_MS = 500 };

/* The stamp of a file, which changes with its content. */
struct stamp {
    uint64_t inode, bytes;
    int64_t s, ns;
};

struct group {
    char *paths[WATCH_PATHS];
    struct stamp taken[WATCH_PATHS], seen[WATCH_PATHS];
    void (*changed)(void *cls);
    void *cls;
};

struct watch {
    pthread_t thread;
    pthread_mutex_t lock; /* guards now and ending; no other lock is taken under it */
    pthread_cond_t woken;
    bool started, now, ending;
    struct group groups[WATCH_GROUPS];
    size_t n;
};

/* Zeros for a file that does not exist. */
static void look_at(const struct group *group, struct stamp out[WATCH_PATHS])
{
    memset(out, 0, WATCH_PATHS * sizeof *out);
    for (size_t i = 0; i < WATCH_PATHS; i++) {
        struct stat info;
        if (group->paths[i] && !stat(group->paths[i], &info))
            out[i] = (struct stamp){(uint64_t)info.st_ino, (uint64_t)info.st_size, (int64_t)info.st_mtim.tv_sec,
                                    info.st_mtim.tv_nsec};
    }
}

/* A pipe, such as "/dev/fd/63" of a shell's <(command), has its text once. A second reader waits for a writer, perhaps for
   ever, and the process could not end. */
static bool can_be_read_again(const struct group *group)
{
    for (size_t i = 0; i < WATCH_PATHS; i++) {
        struct stat info;
        if (!group->paths[i] || stat(group->paths[i], &info) || !S_ISFIFO(info.st_mode))
            continue;
        log_line(LOG_WARN, "%s is a pipe: it is not read again, what was read stays in force", group->paths[i]);
        return false;
    }
    return true;
}

/* Stamps are taken before the files are read, so that a change in between is noticed at the next check. */
static void look(struct group *group, bool now)
{
    struct stamp found[WATCH_PATHS];
    look_at(group, found);
    bool settled = !memcmp(found, group->seen, sizeof found), same = !memcmp(found, group->taken, sizeof found);
    memcpy(group->seen, found, sizeof found);
    if (!now && (same || !settled))
        return;
    memcpy(group->taken, found, sizeof found);
    if (can_be_read_again(group))
        group->changed(group->cls);
}

static void *look_at_files(void *argument)
{
    struct watch *watch = argument;
    pthread_mutex_lock(&watch->lock);
    while (!watch->ending) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        while (!watch->now && !watch->ending)
            if (pthread_cond_timedwait(&watch->woken, &watch->lock, &until))
                break;
        bool now = watch->now, ending = watch->ending;
        watch->now = false;
        pthread_mutex_unlock(&watch->lock);
        for (size_t i = 0; i < watch->n && !ending; i++)
            look(&watch->groups[i], now);
        pthread_mutex_lock(&watch->lock);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

struct watch *watch_new(void)
{
    struct watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t monotonic;
    if (!watch)
        return NULL;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->woken, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return watch;
}

void watch_files(struct watch *watch, const char *const paths[WATCH_PATHS], void (*changed)(void *cls), void *cls)
{
    if (watch->n == WATCH_GROUPS)
        return;
    struct group *group = &watch->groups[watch->n++];
    for (size_t i = 0; i < WATCH_PATHS; i++)
        if (paths[i] && *paths[i])
            group->paths[i] = strdup(paths[i]);
    group->changed = changed;
    group->cls = cls;
    look_at(group, group->taken);
    memcpy(group->seen, group->taken, sizeof group->seen);
}

bool watch_start(struct watch *watch)
{
    watch->started = watch->n && !pthread_create(&watch->thread, NULL, look_at_files, watch);
    return watch->started || !watch->n;
}

void watch_now(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->now = true;
    pthread_cond_signal(&watch->woken);
    pthread_mutex_unlock(&watch->lock);
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->ending = true;
    pthread_cond_signal(&watch->woken);
    pthread_mutex_unlock(&watch->lock);
    if (watch->started)
        pthread_join(watch->thread, NULL);
    for (size_t i = 0; i < watch->n; i++)
        for (size_t k = 0; k < WATCH_PATHS; k++)
            free(watch->groups[i].paths[k]);
    pthread_cond_destroy(&watch->woken);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
