/* W3C trace context: the trace that a request is part of. */
#ifndef SERVER_HTTP_TRACE_H
#define SERVER_HTTP_TRACE_H

#include "head_access.h"
#include "server/run/request.h"

/* The traceresponse for a valid traceparent: the client's trace and a new span; span is any number. It is "" if
   traceparent is not valid. */
void trace_continue(const struct head_text *traceparent, uint64_t span, char out[REQUEST_TRACE_BYTES]);

#endif
