/* A thread that checks the files of keys and certificates, and calls back when they have changed. */
#ifndef SERVER_BASE_WATCH_H
#define SERVER_BASE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct watch;

enum { WATCH_PATHS = 3, WATCH_GROUPS = 4 };

/* Nothing is watched yet. NULL when out of memory. */
struct watch *watch_new(void);

/* Add files that change together (NULL and "" are skipped). changed is called in the watch's thread after the files
   have changed and then stayed the same between two checks, and after watch_now; not if one of them is a pipe. Call it
   before watch_start. */
void watch_files(struct watch *watch, const char *const paths[WATCH_PATHS], void (*changed)(void *cls), void *cls);

/* Start the thread, if files were added. Returns false if no thread can be started. */
bool watch_start(struct watch *watch);

/* Call every `changed`, soon: SIGHUP. */
void watch_now(struct watch *watch);

/* NULL is fine. */
void watch_stop(struct watch *watch);

#endif
