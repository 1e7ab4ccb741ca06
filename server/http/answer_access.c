/* Fields of an answer about keys and their rates. */
#include "exchange.h"

#include <math.h>
#include <stdio.h>

/* Source: draft-ietf-httpapi-ratelimit-headers-08. The window is the time in which a used-up key may send all again. */
static void add_rate(struct exchange *x, struct MHD_Response *response)
{
    const struct access_use *use = &x->request.access;
    char text[96];
    double window_s = ceil(use->burst / use->per_s), left = floor(use->left);
    snprintf(text, sizeof text, "\"key\";q=%.0f;w=%.0f", use->burst, window_s);
    exchange_add_header(x, response, "RateLimit-Policy", text);
    snprintf(text, sizeof text, "\"key\";r=%.0f;t=%.0f", left, ceil((left + 1 - use->left) / use->per_s));
    exchange_add_header(x, response, "RateLimit", text);
    if (use->retry_s) {
        snprintf(text, sizeof text, "%u", use->retry_s);
        exchange_add_header(x, response, "Retry-After", text);
    }
}

void exchange_add_access(struct exchange *x, struct MHD_Response *response)
{
    exchange_add_header(x, response, "WWW-Authenticate", x->request.answer.authenticate);
    exchange_add_header(x, response, "traceresponse", x->request.head.trace);
    if (x->request.access.per_s > 0)
        add_rate(x, response);
    exchange_add_origin(x, response);
}
