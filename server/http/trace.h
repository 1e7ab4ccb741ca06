/* W3C trace context: the trace that a request is part of. */
#ifndef SERVER_HTTP_TRACE_H
#define SERVER_HTTP_TRACE_H

#include "head_access.h"
#include "server/run/request.h"

/* What traceresponse says where traceparent can be read: the client's trace and a span of ours, span being any number; "" where
   it cannot. */
void trace_continue(const struct head_text *traceparent, uint64_t span, char out[REQUEST_TRACE_BYTES]);

#endif
