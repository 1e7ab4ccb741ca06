/* The library's memory of a connection has to hold the head of a request, what was read after it, and the head of the
   answer. Where no room for an answer is left, the library closes the connection without one; so the request is refused
   before it is computed, and the refusal goes to the socket without the library. */
#include "client.h"
#include "exchange.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    FIELD_BYTES = 64,  /* that the library keeps of a field, an argument of the target or a cookie, besides its text */
    READ_BYTES = 1500, /* the least that the library reads at a time */
    ANSWER_BYTES = 3072, /* the largest head of an answer: that of the page, with all fields of CORS */
};

/* Where this many bytes of text and other memory are in use: the library's buffer is half of its memory at first. It
   grows by an eighth of the rest when less than READ_BYTES of it are free. */
static bool leaves_room(size_t text, size_t other)
{
    if (text > HTTP_HEAD_BYTES)
        return false;
    size_t buffer = text + READ_BYTES;
    buffer += (HTTP_MEMORY_BYTES - buffer) / 8;
    if (buffer < HTTP_MEMORY_BYTES / 2)
        buffer = HTTP_MEMORY_BYTES / 2;
    return buffer + other + ANSWER_BYTES <= HTTP_MEMORY_BYTES;
}

static bool refuse(struct exchange *x)
{
    x->crowded = true;
    if (!x->request.answer.status)
        answer_error(&x->request, 431, "too_many_headers",
                     "The head of the request is too large: it may have %d bytes, fewer with many fields.",
                     HTTP_HEAD_BYTES);
    return false;
}

bool exchange_head_fits(struct exchange *x)
{
    const enum MHD_ValueKind kinds = (enum MHD_ValueKind)(MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND);
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *cookie = MHD_lookup_connection_value(x->mhd, MHD_HEADER_KIND, "Cookie"); /* the library copies it */
    x->head_text = info ? info->header_size : 0;
    x->head_other = (size_t)MHD_get_connection_values(x->mhd, kinds, NULL, NULL) * FIELD_BYTES +
                    (cookie ? strlen(cookie) + FIELD_BYTES : 0);
    return leaves_room(x->head_text, x->head_other) || refuse(x);
}

static enum MHD_Result add_trailer(void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct exchange *x = cls;
    (void)kind;
    x->head_text += strlen(name) + (value ? strlen(value) : 0) + sizeof ": \r\n";
    x->head_other += FIELD_BYTES;
    return MHD_YES;
}

bool exchange_trailers_fit(struct exchange *x)
{
    if (!x->head.chunked || MHD_get_connection_values(x->mhd, MHD_FOOTER_KIND, add_trailer, x) <= 0)
        return true;
    return leaves_room(x->head_text, x->head_other) || refuse(x);
}

enum MHD_Result exchange_answer_crowded(struct exchange *x)
{
    const struct request *request = &x->request;
    const struct answer *answer = &request->answer;
    bool has_body = strcmp(request->head.method, "HEAD") != 0;
    char text[sizeof answer->error + 512];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Request-Id: %s\r\nConnection: close\r\n"
                     "Content-Length: %zu\r\n\r\n%.*s",
                     answer->status, MHD_get_reason_phrase_for((unsigned)answer->status), answer->type,
                     request->head.id, answer->text_bytes, has_body ? (int)answer->text_bytes : 0, answer->text);
    x->connection->unread = true;
    x->answered = n > 0 && (size_t)n < sizeof text;
    pthread_mutex_lock(&x->connection->table->lock); /* the reaper may send a 408 */
    if (x->answered)
        client_send(x->connection, text, (size_t)n);
    pthread_mutex_unlock(&x->connection->table->lock);
    return MHD_NO; /* the library closes the connection */
}
