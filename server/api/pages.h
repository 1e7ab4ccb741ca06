/* A separate thread writes answers that grow with the number of models (metrics, lists, descriptions), so that the I/O
   thread has time for probes. All waiting requests for one page get the same text. */
#ifndef SERVER_API_PAGES_H
#define SERVER_API_PAGES_H

#include "server/base/shared_text.h"

#include <pthread.h>
#include <stdbool.h>

struct request;
struct task;

struct pages {
    pthread_t thread;
    pthread_mutex_t lock; /* guards first, last and ending; no other lock is taken under it */
    pthread_cond_t asked;
    struct task *first, **last;
    bool started, ending;
    struct shared_text *description; /* of the API; the thread's alone */
    size_t described;                /* server.changes when it was made */
};

/* Returns false if no thread can be started. */
bool pages_start(struct pages *pages);

/* Queue a request for its route's handler. Afterwards its `done` is called. Returns false from pages_stop to
   pages_close. */
bool pages_ask(struct pages *pages, struct request *request);

/* End the thread. When it returns, all waiting requests are answered, and later ones are refused. */
void pages_stop(struct pages *pages);

/* After the end of the I/O threads, which may call pages_ask until then. Fine for pages that were not started. */
void pages_close(struct pages *pages);

#endif
