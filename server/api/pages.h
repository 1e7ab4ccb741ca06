/* Answers that grow with the number of models (metrics, lists, descriptions) are made by a thread of their own, so that the
   I/O thread has time for probes. All requests for one page that wait are answered with one making of it. */
#ifndef SERVER_API_PAGES_H
#define SERVER_API_PAGES_H

#include "server/run/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct request;

/* A text that many answers share. */
struct shared_text {
    atomic_size_t users;
    size_t bytes;
    char text[];
};

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

/* A copy, and an end of line, with one use, the caller's; NULL when out of memory. */
struct shared_text *shared_text_make(const char *text);

/* The answer of a request, status 200, becomes a use of this text. */
void answer_shared(struct request *request, struct shared_text *text, const char *content_type);

/* End a use; NULL is fine. The last one frees the text. */
void shared_text_release(struct shared_text *text);

#endif
