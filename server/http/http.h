/* HTTP/1.1 by libmicrohttpd; only files of this folder include its header. */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include <stddef.h>

struct http;
struct services;

/* Listen on the settings' host and port, and where the admin listener is to be. The latter serves until the end. NULL with a sentence in error. */
struct http *http_start(const struct services *services, char *error, size_t error_size);

/* "http://127.0.0.1:8080" */
const char *http_url(const struct http *http);

/* The same of the admin listener; NULL: there is none. */
const char *http_admin_url(const struct http *http);

/* Cut connections past their deadline; to be called a few times a second. */
void http_reap(struct http *http);

/* Stop listening (what waits in the backlog is still taken) and cut idle connections. */
void http_drain(struct http *http);

/* Open connections. */
size_t http_connections(struct http *http);

/* The process ends at once, without http_stop: remove what would be left behind (a UNIX socket's file). */
void http_leave(const struct http *http);

/* End. No request may be queued or running. */
void http_stop(struct http *http);

#endif
