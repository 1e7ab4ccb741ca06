/* Made-up requests with a model's shapes: examples of the OpenAPI document, and of the command line. */
#ifndef SERVER_API_SAMPLE_H
#define SERVER_API_SAMPLE_H

#include <jansson.h>

struct graph;

/* {"instances": [one row]} with a few small numbers; NULL when out of memory. */
json_t *sample_request(const struct graph *graph);

/* The row alone: what an element of "instances" is, [T][F], [T] of ids, or [F]. */
json_t *sample_row(const struct graph *graph);

#endif
