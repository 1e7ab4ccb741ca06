/* Which session a request is of, as far as its bytes show that before anything is decoded: for the I/O thread, so it is a
   matter of microseconds. */
#ifndef SERVER_API_SESSION_FIND_H
#define SERVER_API_SESSION_FIND_H

#include "server/session/session_store.h"

struct request;

/* A gzip body is expanded so far to look for the key. */
enum { SESSION_FIND_GZIP_BYTES = 8192 };

/* When more of a body has come: where it has the key, quoted as bodies have it; NULL: nowhere yet. */
const char *session_find_key(const char *body, size_t before, size_t bytes, const char *key);

/* The id behind a key of a text; false where there is none that a body could mean. */
bool session_find_id(const char *text, size_t bytes, const char *key, char id[SESSION_ID_BYTES]);

/* The whole request is here. True: it is of this session, unless its decoding shows another. */
bool session_find(const struct request *request, char id[SESSION_ID_BYTES]);

#endif
