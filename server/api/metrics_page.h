/* The page of metrics, and what of a request is counted for it. */
#ifndef SERVER_API_METRICS_PAGE_H
#define SERVER_API_METRICS_PAGE_H

#include "server/base/metrics.h"
#include "server/codec/buffer.h"

struct request;
struct services;

/* Count a finished request. */
void metrics_count_request(struct metrics *metrics, const struct request *request);

/* Everything in Prometheus's text format. */
void metrics_page_write(const struct services *services, struct buffer *out);

#endif
