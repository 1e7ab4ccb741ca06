/* traceparent is version-trace-span-flags in lower-case hexadecimal. Source: W3C Trace Context, levels 1 and 2. */
#include "trace.h"

#include <stdio.h>
#include <string.h>

enum { TRACE_AT = 3, TRACE_DIGITS = 32, SPAN_AT = 36, SPAN_DIGITS = 16, FLAGS_AT = 53, WHOLE = 55 };

static bool is_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] != '0')
            return false;
    return true;
}

/* Later versions may have more behind a further dash; "ff" is none. */
static bool is_good(const struct head_text *field)
{
    const char *t = field->text;
    if (!t || field->bytes < WHOLE || t[2] != '-' || t[SPAN_AT - 1] != '-' || t[FLAGS_AT - 1] != '-')
        return false;
    bool first = t[0] == '0' && t[1] == '0';
    if (field->bytes > WHOLE && (first || t[WHOLE] != '-'))
        return false;
    return is_hex(t, 2) && memcmp(t, "ff", 2) && is_hex(t + TRACE_AT, TRACE_DIGITS) &&
           is_hex(t + SPAN_AT, SPAN_DIGITS) && is_hex(t + FLAGS_AT, 2) && !is_zero(t + TRACE_AT, TRACE_DIGITS) &&
           !is_zero(t + SPAN_AT, SPAN_DIGITS);
}

void trace_continue(const struct head_text *traceparent, uint64_t span, char out[REQUEST_TRACE_BYTES])
{
    *out = 0;
    if (!is_good(traceparent))
        return;
    bool sampled = strchr("13579bdf", traceparent->text[FLAGS_AT + 1]) != NULL;
    snprintf(out, REQUEST_TRACE_BYTES, "00-%.32s-%016llx-%s", traceparent->text + TRACE_AT,
             (unsigned long long)(span ? span : 1), sampled ? "01" : "00");
}
