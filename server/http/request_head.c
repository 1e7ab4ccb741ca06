/* Reads the head of a request: refuses what can be refused before the body is read, and notes options of the answer. */
#include "config/settings.h"
#include "exchange.h"
#include "server/api/routes.h"
#include "server/run/services.h"
#include "server/run/stream.h"
#include "trace.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD_FIELDS = 205 }; /* one more than a head may have */

struct field_list {
    struct head_field fields[HEAD_FIELDS];
    size_t n;
};

static enum MHD_Result add_field(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_bytes,
                                 const char *value, size_t value_bytes)
{
    struct field_list *list = cls;
    (void)kind;
    if (list->n == HEAD_FIELDS)
        return MHD_NO;
    list->fields[list->n++] = (struct head_field){name, value ? value : "", name_bytes, value ? value_bytes : 0};
    return MHD_YES;
}

/* As much of a text as fits. */
static void copy_text(char *to, size_t size, const char *from)
{
    *(char *)mempcpy(to, from, strnlen(from, size - 1)) = 0;
}

/* 16 hexadecimal digits. */
static void make_id(char *out, uint64_t number)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = "0123456789abcdef"[number >> shift & 15];
    *out = 0;
}

/* A number that no other request has. */
static uint64_t next_number(struct exchange *x)
{
    return x->http->id_seed + (x->io->next_id++ * x->http->n_io + x->io->index) * 0x9e3779b97f4a7c15u;
}

/* The client's own id if it is visible ASCII of at most 128 characters, otherwise a new id. */
static void set_request_id(struct exchange *x)
{
    struct request *request = &x->request;
    const char *own = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "X-Request-Id");
    size_t n = own ? strlen(own) : 0;
    while (n && (own[n - 1] == ' ' || own[n - 1] == '\t'))
        n--;
    bool usable = n > 0 && n < sizeof request->head.id;
    for (size_t i = 0; usable && i < n; i++)
        usable = own[i] > 0x20 && own[i] < 0x7f;
    if (usable)
        *(char *)mempcpy(request->head.id, own, n) = 0;
    else
        make_id(request->head.id, next_number(x));
}

/* JSON, nothing, or the default of curl -d. */
static bool check_content_type(struct request *request)
{
    const char *const taken[] = {"", "application/json", "application/x-www-form-urlencoded",
                                 request->route->binary_type ? request->route->binary_type : ""};
    size_t n = strcspn(request->head.content_type, "; \t");
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strlen(taken[i]) == n && !strncasecmp(taken[i], request->head.content_type, n))
            return true;
    answer_error(request, 415, "unsupported_media_type", "Content-Type must be application/json%s%s.",
                 request->route->binary_type ? " or " : "",
                 request->route->binary_type ? request->route->binary_type : "");
    return false;
}

/* Beyond the connections that are served, only probes are answered, one on each. */
static bool may_be_served(struct exchange *x)
{
    struct connections *connections = &x->http->connections;
    struct request *request = &x->request;
    if (!connection_is_spare(connections, x->connection))
        return true;
    request->answer.close = true;
    if (request->route->kind != ROUTE_PROBE)
        answer_error(request, 503, "too_many_connections",
                     "More than %zu connections are open (limits.max_connections); try again.",
                     connections->limits.most);
    return !request->answer.status;
}

/* The memory is the library's, and nobody reads these fields again. So no dump of the process shows a key. */
static void wipe(struct head_text field)
{
    if (field.text)
        memset((char *)(uintptr_t)field.text, '*', field.bytes);
}

/* Whose request it is, where keys are needed. */
static void find_key(struct exchange *x)
{
    struct access *access = x->request.services->access;
    if (!access)
        return;
    struct head_text key = head_access_key(&x->head.access);
    if (key.text)
        access_find(access, key.text, key.bytes, &x->request.access);
    wipe(x->head.access.authorization);
    wipe(x->head.access.api_key);
}

bool exchange_check_head(struct exchange *x, const char *method, const char *version)
{
    struct request *request = &x->request;
    const struct services *services = request->services;
    struct failure failure = {.status = 0};
    struct field_list list; /* not zeroed: 6 KiB */
    list.n = 0;
    copy_text(request->head.method, sizeof request->head.method, method);
    set_request_id(x);
    int n = MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, add_field, &list);
    if (n >= HEAD_FIELDS)
        answer_error(request, 431, "too_many_headers", "The request has more than %d header fields.", HEAD_FIELDS - 1);
    if (!exchange_head_fits(x) || n >= HEAD_FIELDS) {
        request->answer.close = true;
        return false;
    }
    struct head head = {method, request->head.target, version, list.fields, list.n};
    if (!http_check_head(&head, (uint64_t)services->settings->max_body_bytes, &x->head, &failure)) {
        request->answer.close = true; /* where the body begins and ends is not certain */
        answer_failure(request, &failure);
        return false;
    }
    request->answer.close = x->head.chunked && !HTTP_CHUNKS_ARE_STRICT;
    request->head.gzip = x->head.gzip;
    request->head.has_json_bytes = x->head.has_json_bytes;
    request->head.json_bytes = (size_t)x->head.json_bytes;
    request->head.accepts_gzip = x->head.accepts_gzip;
    request->head.wants_npy = x->head.wants_npy;
    request->head.wants_html = x->head.wants_html;
    request->head.stream_form = x->head.wants_events ? STREAM_EVENTS : x->head.wants_lines ? STREAM_LINES : STREAM_NONE;
    if (x->head.timeout_ms && x->head.timeout_ms < (uint64_t)request->timeout_ms)
        request->timeout_ms = (int64_t)x->head.timeout_ms;
    const char *type = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "Content-Type");
    copy_text(request->head.content_type, sizeof request->head.content_type, type ? type : "");
    if (x->head.access.traceparent.text)
        trace_continue(&x->head.access.traceparent, next_number(x), request->head.trace);
    if (!origin_check_host(x))
        return false;
    find_key(x);
    if (origin_answer_preflight(x) || !route_request(request) || !origin_check_page(x))
        return false;
    return may_be_served(x) &&
           (request->route->kind != ROUTE_WORKER ||
            (check_content_type(request) && route_admit(request, x->head.has_length ? x->head.length : 0) &&
             exchange_has_room(x)));
}
