/* What a strict HTTP/1.1 server refuses in a request's head and libmicrohttpd lets through: RFC 9112 sections 2 to 7. */
#ifndef SERVER_HTTP_HTTP_CHECK_H
#define SERVER_HTTP_HTTP_CHECK_H

#include "head_access.h"
#include "server/base/failure.h"

#include <stddef.h>
#include <stdint.h>

struct head_field {
    const char *name, *value;
    size_t name_bytes, value_bytes;
};

struct head {
    const char *method, *target, *version;
    const struct head_field *fields;
    size_t n_fields;
};

/* What the head says of the body, and of the answer that is wanted. */
struct head_body {
    bool has_length, chunked;
    uint64_t length;
    bool gzip;
    uint64_t timeout_ms; /* X-Request-Timeout-Ms; 0: not said */
    bool has_json_bytes; /* Inference-Header-Content-Length: the JSON before binary tensors */
    uint64_t json_bytes;
    bool accepts_gzip, wants_npy, wants_events, wants_lines, wants_html; /* Accept-Encoding, Accept */
    struct head_access access;
};

/* Check a head; false with *failure set: 400 bad_request, 411, 413, 415 or 417. max_body_bytes bounds Content-Length. */
bool http_check_head(const struct head *head, uint64_t max_body_bytes, struct head_body *body, struct failure *failure);

#endif
