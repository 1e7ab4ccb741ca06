/* One request on its connection. The files of this folder that use libmicrohttpd share this header. */
#ifndef SERVER_HTTP_EXCHANGE_H
#define SERVER_HTTP_EXCHANGE_H

#include "acceptor.h"
#include "connections.h"
#include "http.h"
#include "http_check.h"
#include "linger.h"
#include "origin.h"
#include "server/run/request.h"

#include <microhttpd.h>

/* How strict the library is. 1 refuses what can smuggle; 2 would refuse an empty line before a request, which RFC 9112
   (2.2) wants skipped. Before 0.9.77 strictness is two checks that http_check.c makes too (Host, spaces in the target),
   and the library's answer to a missing Host has two heads. Those releases also take chunks and trailers that end where
   no other reader ends them, so a connection ends with the answer to a chunked request. */
#if MHD_VERSION >= 0x00097701
#define HTTP_STRICTNESS MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1
enum { HTTP_CHUNKS_ARE_STRICT = true };
#else
#define HTTP_STRICTNESS MHD_OPTION_STRICT_FOR_CLIENT, 0
enum { HTTP_CHUNKS_ARE_STRICT = false };
#endif

/* The time after which an idle connection ends. Proxies keep idle connections for a shorter time. */
enum { HTTP_IDLE_TIMEOUT_MS = 65000 };

enum {
    HTTP_HEAD_BYTES = 24576,   /* most of a request's head */
    HTTP_MEMORY_BYTES = 32768, /* the library's memory of a connection; see head_memory.c. With more it calls mmap */
};

struct io_counters;
struct services;
struct settings;

/* One thread of libmicrohttpd, and its connections. */
struct io_thread {
    _Alignas(64) struct http *http;
    struct MHD_Daemon *daemon;
    size_t index; /* of its table in the connections, too */
    struct io_counters *counters;
    uint64_t next_id;    /* only the thread itself counts */
    atomic_size_t given; /* given by the acceptor, but not yet received by the thread */
    int mark;            /* of a drain: the other end of the last connection that was given; -1: it has arrived */
};

/* Where it listens. */
struct http_place {
    const char *host;
    int64_t port;
    int mode; /* of a UNIX socket's file; 0: the usual one */
    size_t n_io;
    bool admin;
};

struct http {
    const struct services *services;
    struct http_place place;
    struct tls *tls;    /* NULL: none */
    struct http *admin; /* of the main one: the admin listener, or NULL */
    struct origin_rules origin;
    struct connections connections;
    struct lingerers *linger;
    char url[128], admin_path[128];
    int listener;
    bool quiesced; /* nobody accepts any more */
    uint64_t id_seed;
    struct io_thread *io;
    struct io_counters *counters;
    size_t n_io;
    struct acceptor_target target;
    struct acceptor *acceptor; /* NULL before the start, and in a drain */
};

/* A connection that the acceptor gave to an I/O thread has arrived, or is lost. */
static inline void io_thread_arrived(struct io_thread *io)
{
    size_t given = io->given;
    while (given && !atomic_compare_exchange_weak(&io->given, &given, given - 1))
        ;
}

/* One request on its connection. */
struct exchange {
    struct request request;
    struct http *http;
    struct io_thread *io;
    struct MHD_Connection *mhd;
    struct connection *connection;
    struct head_body head;
    bool begun, whole, answered, untimed, suspended;
    bool interim;   /* HTTP/1.1: it may be sent interim answers */
    bool permitted; /* it comes from a page of one of cors.origins */
    bool preflight;
    int64_t asked_ns;
    bool idle;                    /* of a stream: nothing is being sent */
    bool head_lacks;              /* a field of the answer's head: there was no memory for it */
    bool crowded;                 /* the library has no memory for an answer */
    size_t head_text, head_other; /* the library's memory that the request takes: its text, and all else */
};

static inline struct exchange *exchange_of(struct request *request)
{
    return (struct exchange *)((char *)request - offsetof(struct exchange, request));
}

/* The library's timeout for all connections but those that are being answered: it looks at connections with a timeout of
   their own in every turn of its loop, so that hundreds of them would slow it down. Bodies are the reaper's to cut. */
unsigned http_library_timeout_s(const struct settings *settings);

/* request_head.c: everything that can be refused before the body is read; false with an error answered. */
bool exchange_check_head(struct exchange *x, const char *method, const char *version);

/* head_memory.c: whether the library has memory for an answer; false with an error answered. And the answer without. */
bool exchange_head_fits(struct exchange *x);
bool exchange_trailers_fit(struct exchange *x);
enum MHD_Result exchange_answer_crowded(struct exchange *x);

/* answer_origin.c: whether Host is one of the server's names, and whether the request's page may do what the route does;
   false with a 403 answered. And preflights: true with a 204 or 403 answered. */
bool origin_check_host(struct exchange *x);
bool origin_check_page(struct exchange *x);
bool origin_answer_preflight(struct exchange *x);
void exchange_add_origin(struct exchange *x, struct MHD_Response *response);

/* request_body.c: whether a body whose length is known may be held; false with a 503 answered. */
bool exchange_has_room(struct exchange *x);
/* A part of the body. What cannot be kept is read to its end (within reason) and answered then: the library does not
   let an answer go out in the middle. */
enum MHD_Result exchange_take_body(struct exchange *x, const char *data, size_t *bytes);

/* answer.c: hand the answer to the library, or a stream's head. The text lives in the request until the library has
   sent all of it. */
enum MHD_Result exchange_answer(struct exchange *x);
void exchange_add_header(struct exchange *x, struct MHD_Response *response, const char *name, const char *value);
/* answer_access.c: fields that tell of keys, their rates, origins and traces. */
void exchange_add_access(struct exchange *x, struct MHD_Response *response);
/* From here on the reaper alone cuts: the library does not see what a slow reader takes out of the kernel. And when a
   connection without a timeout is resumed, the library asks for the answer before it reads, so that it does not close
   a connection whose client has closed its side. */
void exchange_end_library_timeout(struct exchange *x);

/* callbacks.c: what the library calls. cls is the struct io_thread. */
void *on_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *upload, size_t *upload_bytes, void **context);
void on_completed(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code);
void on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                   enum MHD_ConnectionNotificationCode code);

#endif
