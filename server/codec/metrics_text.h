/* Prometheus's text format 0.0.4. Names follow Prometheus's conventions: base units, _total for counters; "cellserve_" is put
   before each. */
#ifndef SERVER_CODEC_METRICS_TEXT_H
#define SERVER_CODEC_METRICS_TEXT_H

#include "buffer.h"
#include "server/base/metrics.h"

/* Write the lines before the values of a family. type: "counter", "gauge" or "histogram". */
void metrics_text_head(struct buffer *out, const char *name, const char *type, const char *help);

/* Write a family with one value. */
void metrics_text_value(struct buffer *out, const char *name, const char *type, const char *help, double value);

/* Write the buckets, the sum and the count of a histogram. label: `route="/predict"`, or "". */
void metrics_text_histogram(struct buffer *out, const char *name, const char *label, const struct histogram *histogram);

#endif
