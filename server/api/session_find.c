/* Looks for a session's id in targets, queries and bodies. */
#include "session_find.h"

#include "config/model.h"
#include "predict_npy.h"
#include "routes.h"
#include "server/codec/gzip.h"
#include "server/run/request.h"

#include <stdio.h>
#include <string.h>

/* Blanks within a pair of a body, and bytes behind the first key, that are looked at: bodies that clients make have the id
   right there. */
enum { MOST_BLANKS = 64, MOST_BYTES = 65536 };

/* By its quote: bodies of numbers have few, and a single character is looked for many times as fast. */
const char *session_find_key(const char *body, size_t before, size_t bytes, const char *key)
{
    size_t n = strlen(key);
    const char *at = body + (before < n ? 0 : before - n), *end = body + bytes;
    while ((at = memchr(at, *key, (size_t)(end - at))) && (size_t)(end - at) >= n) {
        if (!memcmp(at, key, n))
            return at;
        at++;
    }
    return NULL;
}

static const char *skip_blanks(const char *at, const char *end)
{
    for (int i = 0; i < MOST_BLANKS && at < end && strchr(" \t\r\n", *at) && *at; i++)
        at++;
    return at;
}

/* The value of a pair, after its colon: a text without escapes, or a whole number. */
static bool read_id(const char *at, const char *end, char id[SESSION_ID_BYTES])
{
    size_t n = 0;
    at = skip_blanks(at, end);
    if (at == end || *at != ':')
        return false;
    at = skip_blanks(at + 1, end);
    bool quoted = at < end && *at == '"';
    for (at += quoted; at < end && n + 1 < SESSION_ID_BYTES; at++) {
        bool digit = *at >= '0' && *at <= '9';
        if (!digit && !(quoted && (unsigned char)*at > ' ' && *at != '"' && *at != '\\'))
            break;
        id[n++] = *at;
    }
    id[n] = 0;
    return n && at < end && (!quoted || *at == '"');
}

bool session_find_id(const char *text, size_t bytes, const char *key, char id[SESSION_ID_BYTES])
{
    const char *end = text + bytes;
    size_t n = strlen(key);
    for (const char *at = text; (at = session_find_key(at, 0, (size_t)(end - at), key)); at += n)
        if (read_id(at + n, end, id))
            return true;
    return false;
}

/* Look in the body, or in the beginning of the decompressed body. */
static bool find_in_body(const struct request *request, char id[SESSION_ID_BYTES])
{
    const char *key = request->route->session_key;
    size_t bytes = request->body_bytes;
    if (request->head.gzip) {
        char head[SESSION_FIND_GZIP_BYTES];
        return session_find_id(head, gzip_head(request->body, bytes, head, sizeof head), key, id);
    }
    if (!request->named_at)
        return false;
    size_t at = request->named_at - 1, end = bytes - at < MOST_BYTES ? bytes : at + MOST_BYTES;
    return session_find_id(request->body + at, end - at, key, id);
}

bool session_find(const struct request *request, char id[SESSION_ID_BYTES])
{
    const char *key = request->route->session_key;
    char found[SESSION_ID_BYTES];
    if (!key)
        return false;
    if (!*key)
        return snprintf(id, SESSION_ID_BYTES, "%s", request->name) > 0;
    if (*request->head.query && predict_npy_query(request->head.query, "session", id, SESSION_ID_BYTES))
        return true;
    if (!find_in_body(request, found))
        return false;
    /* routes that name a model have its sessions: see name_sequence of open_inference.c */
    bool own = !strcmp(key, "\"sequence_id\"");
    int n = own && request->model ? snprintf(id, SESSION_ID_BYTES, "%.255s:%.255s", request->model->name, found)
                                  : snprintf(id, SESSION_ID_BYTES, "%s", found);
    return n < SESSION_ID_BYTES;
}
