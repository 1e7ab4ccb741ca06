/* Checks of a request's head against request smuggling and nonsense. */
#include "http_check.h"

#include "server/codec/target.h"

#include <string.h>
#include <strings.h>

/* tchar of RFC 9110 */
static bool is_token(const char *text, size_t n)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (!c || !strchr(marks, c)))
            return false;
    }
    return n > 0;
}

/* origin-form, absolute-form or "*". Source: RFC 9112, 3.2. */
static bool is_target(const char *text)
{
    if (*target_path(text) != '/' && strcmp(text, "*"))
        return false;
    for (; *text; text++)
        if ((unsigned char)*text < 0x21 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

static bool is_field_value(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool named(const struct head_field *field, const char *name)
{
    return field->name_bytes == strlen(name) && !strncasecmp(field->name, name, field->name_bytes);
}

static bool has_value(const struct head_field *field, const char *value)
{
    return field->value_bytes == strlen(value) && !strncasecmp(field->value, value, field->value_bytes);
}

/* libmicrohttpd 0.9.75 leaves the white space after a value on it. */
static struct head_field trimmed(struct head_field field)
{
    const char *end = field.value + field.value_bytes;
    while (end > field.value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    field.value_bytes = (size_t)(end - field.value);
    return field;
}

static bool refuse(struct failure *failure, const char *sentence)
{
    return failure_set(failure, 400, "bad_request", "", "%s", sentence);
}

/* Digits alone; what is larger than most counts as most + 1. */
static bool read_digits(const struct head_field *field, uint64_t most, uint64_t *out, struct failure *failure)
{
    uint64_t value = 0;
    bool beyond = false, digits = field->value_bytes > 0;
    for (size_t i = 0; digits && i < field->value_bytes; i++) {
        char c = field->value[i];
        digits = c >= '0' && c <= '9';
        value = value * 10 + (uint64_t)(c - '0');
        beyond |= value > most;
        if (beyond)
            value = most + 1;
    }
    *out = value;
    return digits || failure_set(failure, 400, "bad_request", "", "%.*s must be digits alone.", (int)field->name_bytes,
                                 field->name);
}

static bool check_length(const struct head_field *field, uint64_t max_body_bytes, struct head_body *body,
                         struct failure *failure)
{
    if (body->has_length)
        return refuse(failure, "The request has more than one Content-Length.");
    body->has_length = true;
    return read_digits(field, max_body_bytes, &body->length, failure);
}

/* Whether a list of a header ("gzip;q=0.8, br") has an element, and not with the weight 0. Source: RFC 9110, 12.4.2. */
static bool lists(const struct head_field *field, const char *element)
{
    const char *at = field->value, *end = at + field->value_bytes;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        size_t n = 0;
        while (at + n < stop && !strchr("; \t", at[n]))
            n++;
        const char *weight = memchr(at, '=', (size_t)(stop - at));
        bool none = weight && (stop - weight) > 1 && weight[1] == '0' &&
                    strspn(weight + 1, "0.") >= (size_t)(stop - weight - 1);
        if (n == strlen(element) && !strncasecmp(at, element, n) && !none)
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}

static bool check_field(const struct head_field *sent, uint64_t max_body_bytes, struct head_body *body,
                        struct failure *failure)
{
    const struct head_field whole = trimmed(*sent), *field = &whole;
    if (!is_token(field->name, field->name_bytes))
        return refuse(failure, "A header name has characters that names cannot have.");
    if (!is_field_value(field->value, field->value_bytes))
        return refuse(failure, "A header value has control characters.");
    if (named(field, "Content-Length"))
        return check_length(field, max_body_bytes, body, failure);
    if (named(field, "Transfer-Encoding")) {
        if (body->chunked || !has_value(sent, "chunked")) /* as the library compares the value */
            return refuse(failure, "Transfer-Encoding must be chunked, once.");
        body->chunked = true;
    } else if (named(field, "Expect")) {
        if (!has_value(field, "100-continue"))
            return failure_set(failure, 417, "expectation_failed", "", "Expect can only be 100-continue.");
    } else if (named(field, "Content-Encoding")) {
        if (has_value(field, "gzip") || has_value(field, "x-gzip"))
            body->gzip = true;
        else if (!has_value(field, "identity"))
            return failure_set(failure, 415, "unsupported_encoding", "", "Content-Encoding can be gzip or identity.");
    } else if (named(field, "X-Request-Timeout-Ms")) {
        return read_digits(field, UINT32_MAX, &body->timeout_ms, failure) &&
               (body->timeout_ms || refuse(failure, "X-Request-Timeout-Ms must be at least 1."));
    } else if (named(field, "Inference-Header-Content-Length")) {
        body->has_json_bytes = true;
        return read_digits(field, max_body_bytes, &body->json_bytes, failure);
    } else if (named(field, "Accept-Encoding")) {
        body->accepts_gzip = lists(field, "gzip");
    } else if (named(field, "Accept")) {
        body->wants_npy = lists(field, "application/x-npy");
        body->wants_events = lists(field, "text/event-stream");
        body->wants_lines = lists(field, "application/x-ndjson");
        body->wants_html = lists(field, "text/html");
    } else {
        const struct head_text value = {field->value, field->value_bytes};
        return head_access_keep(field->name, field->name_bytes, value, &body->access, failure);
    }
    return true;
}

bool http_check_head(const struct head *head, uint64_t max_body_bytes, struct head_body *body, struct failure *failure)
{
    bool version11 = !strcmp(head->version, "HTTP/1.1");
    *body = (struct head_body){.length = 0};
    if (!version11 && strcmp(head->version, "HTTP/1.0"))
        return refuse(failure, "The HTTP version must be 1.0 or 1.1.");
    if (!is_token(head->method, strlen(head->method)))
        return refuse(failure, "The method has characters that methods cannot have.");
    if (!is_target(head->target))
        return refuse(failure, "The target must be a path, or an http URL, of visible ASCII characters.");
    for (size_t i = 0; i < head->n_fields; i++)
        if (!check_field(&head->fields[i], max_body_bytes, body, failure))
            return false;
    if (version11 && !body->access.host.text)
        return refuse(failure, "An HTTP/1.1 request needs a Host.");
    if (body->chunked && body->has_length)
        return refuse(failure, "The request has both Content-Length and Transfer-Encoding.");
    if (body->chunked && !version11)
        return refuse(failure, "HTTP/1.0 has no Transfer-Encoding.");
    if (body->length > max_body_bytes)
        return failure_set(failure, 413, "body_too_large", "",
                           "The body is larger than %llu bytes (limits.max_body_bytes).",
                           (unsigned long long)max_body_bytes);
    if ((!strcmp(head->method, "POST") || !strcmp(head->method, "PUT")) && !body->has_length && !body->chunked)
        return failure_set(failure, 411, "length_required", "",
                           "A %s needs a Content-Length or Transfer-Encoding: chunked.", head->method);
    return true;
}
