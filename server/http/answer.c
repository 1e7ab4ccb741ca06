/* Makes responses of libmicrohttpd from answers: heads, texts, and streams. */
#include "access_log.h"
#include "exchange.h"
#include "server/base/lifecycle.h"
#include "server/run/services.h"
#include "server/run/stream.h"

#include <stdio.h>
#include <string.h>

/* Without one of its fields, a head could describe the body wrongly. Such an answer is not sent. */
void exchange_add_header(struct exchange *x, struct MHD_Response *response, const char *name, const char *value)
{
    if (value && *value && MHD_add_response_header(response, name, value) != MHD_YES)
        x->head_lacks = true;
}

/* A name and milliseconds with three decimals: "queue;dur=0.012". printf is not used for heads, because a call takes
   half a microsecond. */
static char *put_timing(char *out, const char *name, int64_t ns)
{
    uint64_t us = ns > 0 ? ((uint64_t)ns + 500) / 1000 : 0;
    char digits[24], *first = digits + sizeof digits;
    for (int n = 0; n < 4 || us; n++, us /= 10) {
        if (n == 3)
            *--first = '.';
        *--first = (char)('0' + us % 10);
    }
    out = stpcpy(stpcpy(out, name), ";dur=");
    return (char *)mempcpy(out, first, (size_t)(digits + sizeof digits - first));
}

static void add_timing(struct exchange *x, struct MHD_Response *response)
{
    const struct request_timing *t = &x->request.timing;
    char text[160], *out = put_timing(text, "queue", t->queue);
    out = put_timing(stpcpy(out, ", "), "decode", t->decode);
    out = put_timing(stpcpy(out, ", "), "compute", t->compute);
    out = put_timing(stpcpy(out, ", "), "encode", t->encode);
    *out = 0;
    exchange_add_header(x, response, "Server-Timing", text);
}

static enum MHD_Result queue_answer(struct exchange *x, struct MHD_Response *response)
{
    enum MHD_Result result =
        x->head_lacks ? MHD_NO : MHD_queue_response(x->mhd, (unsigned)x->request.answer.status, response);
    MHD_destroy_response(response);
    x->answered = result == MHD_YES;
    return result;
}

static void suspend_reader(struct request *request)
{
    struct exchange *x = exchange_of(request);
    connection_stage(&x->http->connections, x->connection, STAGE_WAIT, 0);
    x->idle = true;
    MHD_suspend_connection(x->mhd);
}

/* The library asks for more of a stream. */
static ssize_t read_stream(void *cls, uint64_t position, char *out, size_t size)
{
    struct exchange *x = cls;
    (void)position;
    ssize_t n = stream_read(x->request.stream, out, size, suspend_reader);
    if (n > 0 && x->idle)
        connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, (uint64_t)n);
    x->idle = x->idle && n <= 0;
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

void exchange_end_library_timeout(struct exchange *x)
{
    if (!x->untimed)
        MHD_set_connection_option(x->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    x->untimed = true;
}

/* The worker may be writing already, so only fields that were set before are read. */
static enum MHD_Result answer_stream(struct exchange *x)
{
    enum { BLOCK_BYTES = 16384 };
    struct request *request = &x->request;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, x, NULL);
    if (!response)
        return MHD_NO;
    exchange_add_header(x, response, "Content-Type", request->answer.type);
    exchange_add_header(x, response, "X-Request-Id", request->head.id);
    exchange_add_header(x, response, "Cache-Control", "no-cache");
    exchange_add_header(x, response, "X-Accel-Buffering", "no"); /* nginx: pass it on as it comes */
    if (request->answer.close || request->services->lifecycle->state == SERVER_DRAINING)
        exchange_add_header(x, response, "Connection", "close");
    connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, UINT64_MAX);
    x->idle = true;
    exchange_end_library_timeout(x);
    log_stream(request);
    exchange_add_access(x, response);
    return queue_answer(x, response);
}

enum MHD_Result exchange_answer(struct exchange *x)
{
    struct request *request = &x->request;
    if (x->crowded)
        return exchange_answer_crowded(x);
    if (request->stream)
        return answer_stream(x);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        request->answer.text_bytes, (void *)(uintptr_t)request->answer.text, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    exchange_add_header(x, response, "Content-Type", request->answer.type);
    exchange_add_header(x, response, "X-Request-Id", request->head.id);
    exchange_add_header(x, response, "Allow", request->answer.allow);
    for (const struct answer_field *field = request->answer.fields; field && field->name; field++)
        exchange_add_header(x, response, field->name, field->value);
    if (request->answer.gzip)
        exchange_add_header(x, response, "Content-Encoding", "gzip");
    if (request->prediction)
        exchange_add_header(x, response, "Vary", "Accept-Encoding");
    if (request->answer.json_bytes) {
        char bytes[24];
        snprintf(bytes, sizeof bytes, "%zu", request->answer.json_bytes);
        exchange_add_header(x, response, "Inference-Header-Content-Length", bytes);
    }
    if (request->answer.retry_later && !request->access.retry_s)
        exchange_add_header(x, response, "Retry-After", "1");
    if (request->prediction)
        add_timing(x, response);
    if (request->answer.close || request->services->lifecycle->state == SERVER_DRAINING)
        exchange_add_header(x, response, "Connection", "close");
    if (x->connection->tls && strcmp(request->head.method, "HEAD"))
        tls_output_answer(&x->connection->output, request->answer.text_bytes);
    connection_stage(&x->http->connections, x->connection, STAGE_ANSWER, request->answer.text_bytes);
    exchange_end_library_timeout(x);
    exchange_add_access(x, response);
    return queue_answer(x, response);
}
