/* Replacing models while they serve: on a signal, or when their files change. */
#ifndef SERVER_RUN_RELOAD_H
#define SERVER_RUN_RELOAD_H

#include <stdbool.h>

struct reload;
struct models;

/* Start the thread that loads. Returns NULL if it cannot be started. The models are loaded, and exist until the thread
   has ended. loaded may be NULL; the thread calls it after loads, and again at its next check, when requests have
   released the old versions. */
struct reload *reload_start(struct models *models, void (*loaded)(void *context), void *context);

/* Load every model again, soon. Watched models are checked without this call. */
void reload_all(struct reload *reload);

/* End the thread. Returns false if a load takes longer than most_ms: then the thread continues, and the models must not
   be closed. reload may be NULL. */
bool reload_stop(struct reload *reload, int most_ms);

#endif
