/* Schemas of answers: the components of the OpenAPI document. */
#ifndef SERVER_API_OPENAPI_SCHEMAS_H
#define SERVER_API_OPENAPI_SCHEMAS_H

#include <jansson.h>

/* All of them by name; NULL when out of memory. */
json_t *openapi_schemas(void);

/* {"$ref": "#/components/schemas/NAME"} */
json_t *openapi_reference(const char *name);

#endif
