/* The data that all requests share. */
#include "server.h"

void server_init(struct server *server, const struct settings *settings, const struct vec_ops *vec, size_t n_workers)
{
    *server = (struct server){.models = {.settings = settings, .vec = vec},
                              .memory = {.limit = (size_t)settings->max_inflight_bytes}};
    server->services = (struct services){.settings = settings,
                                         .lifecycle = &server->lifecycle,
                                         .models = &server->models,
                                         .memory = &server->memory,
                                         .pool = &server->pool,
                                         .n_workers = n_workers,
                                         .n_io_threads = 1,
                                         .admission = &server->admission,
                                         .turns = &server->turns,
                                         .streams = &server->streams,
                                         .metrics = &server->metrics,
                                         .counters = &server->counters};
    admission_init(&server->admission, n_workers);
    turns_init(&server->turns);
    streams_init(&server->streams);
    metrics_init(&server->metrics);
}

void server_close(struct server *server)
{
    pool_close(&server->pool);
    models_close(&server->models);
    metrics_close(&server->metrics);
    streams_close(&server->streams);
    turns_close(&server->turns);
}
