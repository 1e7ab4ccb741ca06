/* A request in three parts: the head, which http/ has read; the fields that run/ needs to compute; and the answer,
   which http/ sends. The connection is in http/exchange.h. */
#ifndef SERVER_RUN_REQUEST_H
#define SERVER_RUN_REQUEST_H

#include "access.h"
#include "pool.h"
#include "server/base/failure.h"
#include "server/base/memory.h"
#include "server/codec/buffer.h"
#include "server/session/turns.h"

struct services;
struct prediction;
struct stream;
struct model;
struct protocol;
struct route;
struct shared_text;

enum { REQUEST_TRACE_BYTES = 56, REQUEST_ID_BYTES = 129, REQUEST_NAME_BYTES = 256 };

/* Nanoseconds that each stage took, as Server-Timing and the log line tell them. */
struct request_timing {
    int64_t accepted, queued, started, queue, decode, compute, encode;
};

/* What http/ has read of a request before the body; constant from then on, but for the target, which is decoded. */
struct request_head {
    char method[16];
    char *target; /* without the query; as sent until it is routed, then the decoded path */
    const char *query;
    char id[REQUEST_ID_BYTES];
    char trace[REQUEST_TRACE_BYTES]; /* traceresponse: the client's trace, and a span of ours; "": there is none */
    char content_type[80];
    bool gzip;           /* Content-Encoding of the body */
    bool has_json_bytes; /* Inference-Header-Content-Length */
    size_t json_bytes;
    bool accepts_gzip, wants_npy, wants_html;
    bool admin;      /* it came to the admin listener */
    int stream_form; /* enum stream_form, as the client wants it */
};

/* A header field of an answer. */
struct answer_field {
    const char *name, *value;
};

/* What goes back to http/. */
struct answer {
    int status;
    const char *text; /* of text_bytes, in buffer, shared, error or static */
    size_t text_bytes;
    struct buffer buffer;
    struct shared_text *shared; /* the answer is a user of this text */
    char error[1024];           /* errors need no memory of the account */
    const char *code;           /* of the error, also of one that a stream ends with; or NULL */
    const char *type;           /* Content-Type */
    char allow[32];             /* of a 405 */
    const char *authenticate;   /* WWW-Authenticate of a 401 */
    bool retry_later;           /* Retry-After */
    bool close;                 /* end the connection */
    bool gzip;                  /* Content-Encoding */
    size_t json_bytes;          /* Inference-Header-Content-Length, where binary tensors follow the JSON */
    /* Further fields, constants, up to a NULL name; or NULL. */
    const struct answer_field *fields;
};

/**
 * One request. The I/O thread owns it until it is queued, a worker until it is done, then the I/O thread again.
 */
struct request {
    const struct services *services;
    struct task task;
    struct turn turn;                      /* of a request of a session */
    size_t named_at;                       /* where in its body a session may be named, counted from 1; 0: nowhere */
    struct prediction *waiting;            /* its prediction, while it waits for its session */
    void (*done)(struct request *request); /* called by the thread that has finished a queued request */
    void (*wake)(struct request *request); /* of a stream: there is something for the I/O thread to do */
    bool (*gone)(struct request *request); /* whether the client has closed its side */

    struct request_head head;
    const struct route *route;       /* set and read only by http/ and api/ */
    const struct protocol *protocol; /* of a prediction: the route's */
    char name[REQUEST_NAME_BYTES];   /* of the model, or the session, in the target */
    struct access_use access;        /* its key */
    struct model *model;             /* once known: the request's own use of it, which request_close ends */

    char *body; /* followed by a NUL byte */
    size_t body_bytes, body_room;
    struct memory_share memory;
    double work_ns; /* what admission has counted for it */

    struct stream *stream; /* the answer goes out while it is made */
    struct answer answer;
    bool prediction;        /* Server-Timing is sent */
    size_t rows, timesteps; /* for the log and metrics */
    struct request_timing timing;
    int64_t timeout_ms; /* from when it is queued; the client may have asked for less than the server's */
};

/* The request that a task is part of. */
struct request *request_of_task(struct task *task);

/* Ready for a target; false when out of memory. */
bool request_init(struct request *request, const struct services *services, const char *target);
void request_close(struct request *request);

/* Free the body, of which nothing but its length is needed any more. */
void request_drop_body(struct request *request);

/* Whether it was a prediction that no worker took up, for want of room or time. */
bool request_was_refused(const struct request *request);

/* Whether its key exceeded its rate. */
bool request_was_limited(const struct request *request);

/* Where its timeout_ms comes from, for messages. */
const char *request_timeout_source(const struct request *request);

/* The answer is what has been written into request->answer.buffer; 413 or 503 where it did not fit. */
void answer_buffer(struct request *request, int status, const char *content_type);

/* The answer, status 200, is a constant of the program. */
void answer_constant(struct request *request, const char *text, size_t bytes, const char *content_type);

/* The answer, status 200, becomes a use of this text. */
void answer_shared(struct request *request, struct shared_text *text, const char *content_type);

/* Write a failure into answer.error, followed by an end of line. Returns its length. */
size_t request_write_error(struct request *request, const struct failure *failure);

/* Errors. Each replaces the answer so far. */
void answer_failure(struct request *request, const struct failure *failure);
void answer_overloaded(struct request *request);
void answer_error(struct request *request, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
