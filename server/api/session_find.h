/* Finds the session of a request in its bytes, before the request is decoded. The I/O thread calls it, so it takes only
   microseconds. */
#ifndef SERVER_API_SESSION_FIND_H
#define SERVER_API_SESSION_FIND_H

#include "server/session/session_store.h"

struct request;

/* The number of bytes of a gzip body that are decompressed to look for the key. */
enum { SESSION_FIND_GZIP_BYTES = 8192 };

/* Call it when more of a body has come. Returns the position of the quoted key, or NULL. */
const char *session_find_key(const char *body, size_t before, size_t bytes, const char *key);

/* The id after a key in a text. Returns false if there is no valid id. */
bool session_find_id(const char *text, size_t bytes, const char *key, char id[SESSION_ID_BYTES]);

/* Call it when the request is complete. Returns true if the request names this session; decoding may still find another
   one. */
bool session_find(const struct request *request, char id[SESSION_ID_BYTES]);

#endif
