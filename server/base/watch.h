/* A thread that looks at files of keys and certificates, and tells when they have changed. */
#ifndef SERVER_BASE_WATCH_H
#define SERVER_BASE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct watch;

enum { WATCH_PATHS = 3, WATCH_GROUPS = 4 };

/* Nothing is watched yet. NULL when out of memory. */
struct watch *watch_new(void);

/* Files that change together; NULL and "" are none. changed is called in the watch's thread once they have changed and
   stayed the same between two looks, and after watch_now. Before watch_start. */
void watch_files(struct watch *watch, const char *const paths[WATCH_PATHS], void (*changed)(void *cls), void *cls);

/* Begin to look, where there is something to look at. False without a thread. */
bool watch_start(struct watch *watch);

/* Call every `changed`, soon: SIGHUP. */
void watch_now(struct watch *watch);

/* NULL is fine. */
void watch_stop(struct watch *watch);

#endif
