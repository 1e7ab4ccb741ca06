/* What a head says of who asks: the key, the page that the request comes from, the trace that it is part of. */
#ifndef SERVER_HTTP_HEAD_ACCESS_H
#define SERVER_HTTP_HEAD_ACCESS_H

#include "server/base/failure.h"

#include <stdbool.h>
#include <stddef.h>

struct head_text {
    const char *text; /* NULL: the head has no such field */
    size_t bytes;
};

/* Values of fields; the library's memory. */
struct head_access {
    struct head_text host, origin, authorization, api_key, traceparent;
    struct head_text asked_method, asked_network; /* of a preflight */
};

/* Keep the value of a field that is one of these. False with a 400 where it is there twice: two readers could take
   different ones. */
bool head_access_keep(const char *name, size_t name_bytes, struct head_text value, struct head_access *access,
                      struct failure *failure);

/* The key that was sent: behind "Bearer", else X-API-Key; text NULL: none. */
struct head_text head_access_key(const struct head_access *access);

#endif
