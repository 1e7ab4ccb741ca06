/* The table of routes: what can be asked, and who answers. */
#ifndef SERVER_API_ROUTES_H
#define SERVER_API_ROUTES_H

#include "server/run/request.h"

struct json_t;
struct protocol;
struct graph;

/* When a handler runs. */
enum route_kind {
    ROUTE_PROBE,  /* at once, always, uncounted by limits: health and metrics */
    ROUTE_INLINE, /* at once, when the models are loaded */
    ROUTE_WORKER, /* queued for a worker */
};

struct route {
    const char *method; /* "GET" (HEAD too), "POST", "PUT" or "DELETE" */
    const char
        *pattern;     /* the target; {m} stands for a model name, an optional /versions/{v} may follow it; {id} at the
                            end for a session */
    const char *name; /* in metrics and logs */
    enum route_kind kind;
    unsigned scope; /* that its key needs: see access.h; 0, of a row that forgets it, is admin */
    void (*answer)(struct request *request); /* probe, inline */
    bool page; /* in the thread of pages (pages.h), since its answer grows with the models; else in the I/O thread */
    const struct protocol *protocol; /* worker */
    const char *binary_type;         /* a Content-Type that it takes beside JSON, or NULL */
    const char
        *session_key; /* what a body has that names a session, quoted; "": the target does; NULL: there are none */
    /* In the OpenAPI document: a sentence; the schema of the body (NULL: none), and the name of the answer's (NULL: text) */
    const char *summary;
    struct json_t *(*body)(const struct graph *graph);
    const char *answer_schema;
};

/* Whether its requests are answered by another thread than that of I/O. */
bool route_waits(const struct route *route);

/* The i-th route, NULL past the last. */
const struct route *route_at(size_t i);
/* The last one: it stands for requests that were refused before they had a route, and for targets that are none. */
const struct route *route_none(void);
size_t route_index(const struct route *route);

/* The route of a method and a pattern of the table. */
const struct route *route_find(const char *method, const char *pattern);

/* Find request->route by method and target, and the model's name in it. False with an error answered: 404, or
   405 with Allow (the route is then one of the target, of another method). */
bool route_request(struct request *request);

/* Before its body of so many bytes (0: not known) is read: false with a 503 answered where it would be refused later, for
   want of room in the queue, of memory, or of time. */
bool route_admit(struct request *request, uint64_t bytes);

/* Let the route answer, where no worker does. */
void route_answer(struct request *request);

/* Once the request is whole: answer it, or (true) it has been queued and `done` will be called. */
bool route_dispatch(struct request *request);

#endif
