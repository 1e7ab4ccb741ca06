/* Families of metrics as text. */
#include "metrics_text.h"

void metrics_text_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP cellserve_%s %s\n# TYPE cellserve_%s %s\n", name, help, name, type);
}

void metrics_text_value(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    metrics_text_head(out, name, type, help);
    buffer_printf(out, "cellserve_%s %.9g\n", name, value);
}

void metrics_text_histogram(struct buffer *out, const char *name, const char *label, const struct histogram *histogram)
{
    uint64_t total = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        total += histogram->counts[i];
        buffer_printf(out, "cellserve_%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, *label ? "," : "",
                      histogram->bounds[i], (unsigned long long)total);
    }
    total += histogram->counts[METRICS_BUCKETS];
    buffer_printf(out, "cellserve_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, *label ? "," : "",
                  (unsigned long long)total);
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    buffer_printf(out, "cellserve_%s_sum%s%s%s %.9g\n", name, open, label, close, histogram->sum);
    buffer_printf(out, "cellserve_%s_count%s%s%s %llu\n", name, open, label, close, (unsigned long long)total);
}
