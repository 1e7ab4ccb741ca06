/* Schemas of the bodies that routes take; the table of routes (routes.c) names one in each row. */
#ifndef SERVER_API_OPENAPI_BODIES_H
#define SERVER_API_OPENAPI_BODIES_H

struct json_t;
struct graph;

/* NULL when out of memory, and then json_memory_failed. The caller owns what is returned. */
struct json_t *openapi_predict_body(const struct graph *graph);
struct json_t *openapi_session_body(const struct graph *graph);
struct json_t *openapi_tf_body(const struct graph *graph);
struct json_t *openapi_step_body(const struct graph *graph);
struct json_t *openapi_initial_state_body(const struct graph *graph);
struct json_t *openapi_infer_body(const struct graph *graph);

/* What ids of sessions look like. */
struct json_t *openapi_session_id(void);

#endif
