/* The data that requests share. */
#ifndef SERVER_RUN_SERVICES_H
#define SERVER_RUN_SERVICES_H

#include <stddef.h>

/**
 * Pointers to parts that have their own headers; a file includes the headers of the parts that it uses. struct server
 * (server.h) owns the parts and outlives every request; but the settings are the command's (cli/), the pages are
 * serve's, and the sessions are closed by serve. Constant while there are requests.
 */
struct services {
    const struct settings *settings;
    struct lifecycle *lifecycle;
    struct models *models;
    struct memory *memory;
    struct pool *pool;
    size_t n_workers;    /* of the pool, also before it is started */
    size_t n_io_threads; /* of http/ */
    struct admission *admission;
    struct turns *turns;
    struct streams *streams;
    struct tls *tls;                /* of http/; NULL: HTTP without TLS */
    struct access *access;          /* NULL: there are no keys */
    struct session_store *sessions; /* NULL outside a server */
    struct pages *pages;            /* of api/; likewise */
    struct metrics *metrics;
    struct counters *counters;
};

#endif
