/* Checks of a request's head against request smuggling and nonsense. */
#include "http_check.h"

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

static bool is_target(const char *text)
{
    if (*text != '/' && strcmp(text, "*"))
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

static bool refuse(struct failure *failure, const char *sentence)
{
    return failure_set(failure, 400, "bad_request", "", "%s", sentence);
}

static bool check_length(const struct head_field *field, uint64_t max_body_bytes, struct head_body *body,
                         struct failure *failure)
{
    uint64_t length = 0;
    bool beyond = false;
    if (body->has_length)
        return refuse(failure, "The request has more than one Content-Length.");
    if (!field->value_bytes)
        return refuse(failure, "Content-Length must be digits alone.");
    for (size_t i = 0; i < field->value_bytes; i++) {
        char c = field->value[i];
        if (c < '0' || c > '9')
            return refuse(failure, "Content-Length must be digits alone.");
        length = length * 10 + (uint64_t)(c - '0');
        beyond |= length > max_body_bytes;
        if (beyond)
            length = max_body_bytes + 1;
    }
    body->has_length = true;
    body->length = length;
    return true;
}

static bool check_field(const struct head_field *field, uint64_t max_body_bytes, struct head_body *body, bool *has_host,
                        struct failure *failure)
{
    if (!is_token(field->name, field->name_bytes))
        return refuse(failure, "A header name has characters that names cannot have.");
    if (!is_field_value(field->value, field->value_bytes))
        return refuse(failure, "A header value has control characters.");
    if (named(field, "Content-Length"))
        return check_length(field, max_body_bytes, body, failure);
    if (named(field, "Host")) {
        if (*has_host)
            return refuse(failure, "The request has more than one Host.");
        *has_host = true;
    } else if (named(field, "Transfer-Encoding")) {
        if (body->chunked || !has_value(field, "chunked"))
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
    }
    return true;
}

bool http_check_head(const struct head *head, uint64_t max_body_bytes, struct head_body *body, struct failure *failure)
{
    bool version11 = !strcmp(head->version, "HTTP/1.1"), has_host = false;
    *body = (struct head_body){.length = 0};
    if (!version11 && strcmp(head->version, "HTTP/1.0"))
        return refuse(failure, "The HTTP version must be 1.0 or 1.1.");
    if (!is_token(head->method, strlen(head->method)))
        return refuse(failure, "The method has characters that methods cannot have.");
    if (!is_target(head->target))
        return refuse(failure, "The target must be a path of visible ASCII characters.");
    for (size_t i = 0; i < head->n_fields; i++)
        if (!check_field(&head->fields[i], max_body_bytes, body, &has_host, failure))
            return false;
    if (version11 && !has_host)
        return refuse(failure, "An HTTP/1.1 request needs a Host.");
    if (body->chunked && body->has_length)
        return refuse(failure, "The request has both Content-Length and Transfer-Encoding.");
    if (body->chunked && !version11)
        return refuse(failure, "HTTP/1.0 has no Transfer-Encoding.");
    if (body->length > max_body_bytes)
        return failure_set(failure, 413, "body_too_large", "",
                           "The body is larger than %llu bytes (limits.max_body_bytes).",
                           (unsigned long long)max_body_bytes);
    if (!strcmp(head->method, "POST") && !body->has_length && !body->chunked)
        return failure_set(failure, 411, "length_required", "",
                           "A POST needs a Content-Length or Transfer-Encoding: chunked.");
    return true;
}
