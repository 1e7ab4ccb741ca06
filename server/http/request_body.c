/* The body of a request: memory for it, and the session that it names. */
#include "config/settings.h"
#include "exchange.h"
#include "server/api/routes.h"
#include "server/api/session_find.h"
#include "server/run/services.h"

#include <string.h>

enum { BODY_BYTES = 1 << 18 }; /* room for a body that says its length, at first; a longer one grows */

static bool body_refused(struct request *request)
{
    request_drop_body(request); /* what comes of it yet is not kept */
    answer_error(request, 503, "overloaded",
                 "The bodies that arrive from your address take half of limits.max_inflight_bytes; try again.");
    return false;
}

bool exchange_has_room(struct exchange *x)
{
    return !x->head.has_length ||
           connection_may_hold(&x->http->connections, x->connection, (size_t)x->head.length,
                               x->request.memory.memory) ||
           body_refused(&x->request);
}

/* False with a 503 answered, and nothing of the body kept, where there is no room. */
static bool grow_body(struct exchange *x, size_t needed)
{
    struct request *request = &x->request;
    size_t room = request->body_room ? request->body_room : x->head.has_length ? BODY_BYTES : 4096;
    while (room < needed)
        room *= 2;
    if (x->head.has_length && room > x->head.length + 1)
        room = (size_t)x->head.length + 1; /* the length was checked against the limit */
    if (!connection_may_hold(&x->http->connections, x->connection, room, request->memory.memory))
        return body_refused(request);
    char *grown = memory_realloc(&request->memory, request->body, request->body_room, room);
    if (!grown) {
        request_drop_body(request);
        answer_overloaded(request);
        return false;
    }
    request->body = grown;
    request->body_room = room;
    connection_holds(&x->http->connections, x->connection, room);
    return true;
}

/* In what has come since there were `before` bytes. */
static void look_for_session(struct request *request, size_t before)
{
    const char *key = request->route->session_key;
    const char *at = *key ? session_find_key(request->body, before, request->body_bytes, key) : NULL;
    request->named_at = at ? (size_t)(at - request->body) + 1 : 0;
}

enum MHD_Result exchange_take_body(struct exchange *x, const char *data, size_t *bytes)
{
    struct request *request = &x->request;
    size_t limit = (size_t)request->services->settings->max_body_bytes, n = *bytes;
    *bytes = 0;
    connection_progress(&x->http->connections, x->connection, n);
    request->body_bytes += n;
    if (request->answer.status)
        return request->body_bytes > 2 * limit ? MHD_NO : MHD_YES;
    if (request->body_bytes > limit) {
        request->answer.close = true;
        answer_error(request, 413, "body_too_large", "The body is larger than %zu bytes (limits.max_body_bytes).",
                     limit);
    } else if (request->body_bytes + 1 <= request->body_room || grow_body(x, request->body_bytes + 1)) {
        memcpy(request->body + request->body_bytes - n, data, n);
        request->body[request->body_bytes] = 0;
        if (!request->named_at && request->route->session_key)
            look_for_session(request, request->body_bytes - n);
    }
    return MHD_YES;
}
