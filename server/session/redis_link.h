/* A connection to Redis with its protocol RESP2: commands are collected and sent at once, and replies come one after
   the other. hiredis is not used, because version 0.14 of Debian 12 aborts the process when an allocation fails. */
#ifndef SERVER_SESSION_REDIS_LINK_H
#define SERVER_SESSION_REDIS_LINK_H

#include "redis_trouble.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum redis_type { REDIS_STATUS, REDIS_ERROR, REDIS_STRING, REDIS_NIL, REDIS_OTHER };

/* str is followed by a NUL byte, and is valid until the next redis_link_reply. */
struct redis_reply {
    enum redis_type type;
    const char *str;
    size_t len;
};

struct tls_client;
struct tls_client_files;

struct redis_link {
    int fd;
    struct tls_client *tls; /* NULL: a socket without TLS */
    char *out;              /* the commands that are still to be sent */
    size_t out_used, out_room;
    char *in; /* the received bytes; the next reply begins at in_at */
    size_t in_at, in_used, in_room;
    size_t most_bytes;       /* the longest reply */
    enum redis_trouble kind; /* the kind of `error` */
    char error[256];         /* the reason why the last call failed */
};

/* Make a link that is not connected. Returns NULL if out of memory. */
struct redis_link *redis_link_new(size_t most_bytes);

/* Connect to a numeric address, or to the path of a socket (port 0), within connect_ms. Later calls fail if no byte is
   sent or received for operation_ms. */
bool redis_link_connect(struct redis_link *link, const char *address, int port, int connect_ms, int operation_ms);

/* Make the TLS handshake on the connected link. The certificate must be for this host. */
bool redis_link_secure(struct redis_link *link, const char *host, const struct tls_client_files *files);

/* link may be NULL. */
void redis_link_close(struct redis_link *link);

/* Add a command to the commands to be sent. If bytes is NULL, the arguments are texts. Returns false if out of
   memory. */
bool redis_link_append(struct redis_link *link, size_t n, const char *const *arguments, const size_t *bytes);

/* Send all commands before the deadline (clock_ns). Returns false if the connection cannot be used any more. */
bool redis_link_send(struct redis_link *link, int64_t deadline_ns);

/* Read the next reply. Returns false after an error, a time-out, or malformed bytes: then the connection cannot be used
   any more. */
bool redis_link_reply(struct redis_link *link, struct redis_reply *reply, int64_t deadline_ns);

/* Whether the connection is open and has no unexpected bytes. Frees memory of a large round. */
bool redis_link_idles(struct redis_link *link);

#endif
