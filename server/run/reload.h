/* Replacing models while they serve: on a signal, or when their files change. */
#ifndef SERVER_RUN_RELOAD_H
#define SERVER_RUN_RELOAD_H

#include <stdbool.h>

struct reload;
struct models;

/* Start the thread that loads. Returns NULL if it cannot be started. The models are loaded and outlive it. loaded:
   called by this thread after loads, and at its next look once more, when requests have let go of the versions before;
   may be NULL. */
struct reload *reload_start(struct models *models, void (*loaded)(void *context), void *context);

/* Load every model again, soon. Watched models are checked without this call. */
void reload_all(struct reload *reload);

/* End the thread. False when it is in the middle of a load that takes longer than most_ms: it runs on then, and the
   models must not be closed under it. NULL is fine. */
bool reload_stop(struct reload *reload, int most_ms);

#endif
