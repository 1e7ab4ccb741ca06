/* Sample requests with a model's shapes: examples in the OpenAPI document, and of the command line. */
#ifndef SERVER_API_SAMPLE_H
#define SERVER_API_SAMPLE_H

#include <jansson.h>

struct model;

/* {"instances": [one row]} with a few small numbers, raw ones if the model has a scaler. NULL when out of memory. */
json_t *sample_request(const struct model *model);

#endif
