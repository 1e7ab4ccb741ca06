/* Answers that grow with the number of models (metrics, lists, descriptions) are made by a thread of their own, so that the
   I/O thread has time for probes. All requests for one page that wait are answered with one making of it. */
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

/* False when there is no thread to be had. */
bool pages_start(struct pages *pages);

/* Have a request's route answer it; then its `done` is called. False after pages_stop. */
bool pages_ask(struct pages *pages, struct request *request);

/* Everything that waits is answered when it returns. */
void pages_stop(struct pages *pages);

#endif
