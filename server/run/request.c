/* Requests: their memory, and the answers that every handler may give. */
#include "request.h"

#include "admission.h"
#include "config/settings.h"
#include "models.h"
#include "server/base/clock.h"
#include "server/base/shared_text.h"
#include "server/codec/json_reader.h"
#include "services.h"
#include "stream.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct request *request_of_task(struct task *task)
{
    return (struct request *)((char *)task - offsetof(struct request, task));
}

bool request_init(struct request *request, const struct services *services, const char *target)
{
    *request = (struct request){.services = services, .answer = {.type = "application/json"}};
    request->memory.memory = services->memory;
    request->answer.buffer.limit = (size_t)services->settings->max_response_bytes;
    request->answer.buffer.share = &request->memory;
    request->timing.accepted = clock_ns();
    request->timeout_ms = services->settings->request_timeout_ms;
    request->head.target = strdup(target);
    if (!request->head.target)
        return false;
    char *query = strchr(request->head.target, '?');
    if (query)
        *query++ = 0;
    request->head.query = query ? query : "";
    return true;
}

void request_drop_body(struct request *request)
{
    free(request->body);
    memory_give(&request->memory, request->body_room);
    request->body = NULL;
    request->body_room = 0;
}

void request_close(struct request *request)
{
    admission_leave(request->services->admission, 0, 0, &request->work_ns);
    model_release(request->model);
    access_release(&request->access);
    stream_close(request->stream);
    buffer_close(&request->answer.buffer);
    shared_text_release(request->answer.shared);
    request_drop_body(request);
    free(request->head.target);
    *request = (struct request){0};
}

bool request_was_refused(const struct request *request)
{
    return request->prediction && request->answer.status == 503 && !request->timing.started;
}

bool request_was_limited(const struct request *request)
{
    return request->access.retry_s;
}

const char *request_timeout_source(const struct request *request)
{
    return request->timeout_ms < request->services->settings->request_timeout_ms ? "X-Request-Timeout-Ms"
                                                                                 : "limits.request_timeout_ms";
}

void answer_constant(struct request *request, const char *text, size_t bytes, const char *content_type)
{
    request->answer.status = 200;
    request->answer.code = NULL;
    request->answer.type = content_type;
    request->answer.text = text;
    request->answer.text_bytes = bytes;
}

void answer_shared(struct request *request, struct shared_text *text, const char *content_type)
{
    text->users++;
    request->answer.shared = text;
    answer_constant(request, text->text, text->bytes, content_type);
}

void answer_buffer(struct request *request, int status, const char *content_type)
{
    struct buffer *answer = &request->answer.buffer;
    if (answer->too_large) {
        answer_error(request, 413, "response_too_large",
                     "The answer would be larger than %zu bytes (limits.max_response_bytes); send fewer or shorter "
                     "sequences.",
                     answer->limit);
    } else if (answer->exhausted) {
        answer_overloaded(request);
    } else {
        request->answer.status = status;
        request->answer.code = NULL;
        request->answer.type = content_type;
        request->answer.text = answer->text;
        request->answer.text_bytes = answer->used;
    }
}

/* Escape text into out as the content of a JSON string; cut before it would not fit. What is no UTF-8 (a name that was
   cut in the middle of a character) becomes '?'. */
static void escape_json(const char *text, char *out, size_t size)
{
    size_t n = 0, length;
    for (; *text && n + 7 < size; text += length) {
        unsigned char c = (unsigned char)*text;
        length = c < 0x80 ? 1 : json_utf8_length((const unsigned char *)text);
        if (c == '"' || c == '\\') {
            n += (size_t)snprintf(out + n, size - n, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        } else if (length) {
            memcpy(out + n, text, length);
            n += length;
        } else {
            out[n++] = '?';
            length = 1;
        }
    }
    out[n] = 0;
}

size_t request_write_error(struct request *request, const struct failure *failure)
{
    char text[512], path[256];
    escape_json(failure->text, text, sizeof text);
    escape_json(failure->path, path, sizeof path);
    int n =
        snprintf(request->answer.error, sizeof request->answer.error, "{\"error\": \"%s\", \"code\": \"%s\"%s%s%s}\n",
                 text, failure->code, *path ? ", \"path\": \"" : "", path, *path ? "\"" : "");
    request->answer.code = failure->code;
    return (size_t)n;
}

void answer_failure(struct request *request, const struct failure *failure)
{
    request->answer.text_bytes = request_write_error(request, failure);
    buffer_close(&request->answer.buffer);
    request->answer.json_bytes = 0;
    request->answer.status = failure->status;
    request->answer.type = "application/json";
    request->answer.text = request->answer.error;
    request->answer.retry_later = failure->status == 503 || failure->status == 429;
}

void answer_overloaded(struct request *request)
{
    struct failure failure = {.status = 0};
    failure_overloaded(&failure);
    answer_failure(request, &failure);
}

void answer_error(struct request *request, int status, const char *code, const char *format, ...)
{
    struct failure failure = {.status = status, .code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(failure.text, sizeof failure.text, format, args);
    va_end(args);
    answer_failure(request, &failure);
}
