/* The table of routes and their handlers. */
#ifndef SERVER_API_ROUTES_H
#define SERVER_API_ROUTES_H

#include "server/run/request.h"

struct json_t;
struct protocol;
struct graph;

/* When a handler runs. */
enum route_kind {
    ROUTE_PROBE,  /* immediately, always, and without limits: health and metrics */
    ROUTE_INLINE, /* immediately, once the models are loaded */
    ROUTE_WORKER, /* queued for a worker */
};

struct route {
    const char *method; /* "GET" (HEAD too), "POST", "PUT" or "DELETE" */
    const char
        *pattern;     /* the target; {m} stands for a model name, an optional /versions/{v} may follow it; {id} at the
                            end for a session */
    const char *name; /* in metrics and logs */
    enum route_kind kind;
    unsigned scope; /* the scope that a key needs: see access.h; 0 (a row that forgets the scope) is admin */
    void (*answer)(struct request *request); /* probe, inline */
    bool page; /* in the thread of pages (pages.h), because the answer grows with the models; otherwise in the I/O
                  thread */
    const struct protocol *protocol; /* worker */
    const char *binary_type;         /* a Content-Type that it takes beside JSON, or NULL */
    const char
        *session_key; /* the quoted key of a session's id in the body; "": the id is in the target; NULL: no session */
    /* In the OpenAPI document: a sentence; the schema of the body (NULL: none), and the name of the answer's (NULL: text) */
    const char *summary;
    struct json_t *(*body)(const struct graph *graph);
    const char *answer_schema;
};

/* Whether another thread than the I/O thread answers its requests. */
bool route_waits(const struct route *route);

/* The i-th route, NULL past the last. */
const struct route *route_at(size_t i);
/* The last row. It is for requests that were refused before they had a route, and for unknown targets. */
const struct route *route_none(void);
size_t route_index(const struct route *route);

/* The route of a method and a pattern of the table. */
const struct route *route_find(const char *method, const char *pattern);

/* Find request->route by method and target, and the model's name in it. False with an error answered: 404, or
   405 with Allow (the route is then one of the target, of another method). */
bool route_request(struct request *request);

/* Check a request before its body of the given size (0: not known) is read. Returns false with a 503 answered if the
   request would be refused later, because the queue or the memory is full, or because too little time is left. */
bool route_admit(struct request *request, uint64_t bytes);

/* Let the route answer, where no worker does. */
void route_answer(struct request *request);

/* Call it when the request is complete. It answers the request, or queues it and returns true; then `done` will be
   called. */
bool route_dispatch(struct request *request);

#endif
