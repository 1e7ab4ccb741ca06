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

/* The nanoseconds of each stage, for Server-Timing and the log. */
struct request_timing {
    int64_t accepted, queued, started, queue, decode, compute, encode;
};

/* The head of a request, which http/ has read before the body. Constant from then on, except for the target, which is
   decoded. */
struct request_head {
    char method[16];
    char *target; /* without the query; the raw path until the request is routed, then the decoded path */
    const char *query;
    char id[REQUEST_ID_BYTES];
    char trace[REQUEST_TRACE_BYTES]; /* traceresponse: the client's trace and a span of this server; "" if there is
                                        none */
    char content_type[80];
    bool gzip;           /* Content-Encoding of the body */
    bool has_json_bytes; /* Inference-Header-Content-Length */
    size_t json_bytes;
    bool accepts_gzip, wants_npy, wants_html;
    bool admin;      /* the request came to the admin listener */
    int stream_form; /* enum stream_form, as the client asked */
};

/* A header field of an answer. */
struct answer_field {
    const char *name, *value;
};

/* The answer, which http/ sends. */
struct answer {
    int status;
    const char *text; /* the text of text_bytes, in buffer, shared, error or static memory */
    size_t text_bytes;
    struct buffer buffer;
    struct shared_text *shared; /* the answer has a use of this text */
    char error[1024];           /* the text of an error, which needs no memory of the account */
    const char *code;           /* the code of the error, also of an error that ends a stream; or NULL */
    const char *type;           /* Content-Type */
    char allow[32];             /* of a 405 */
    const char *authenticate;   /* WWW-Authenticate of a 401 */
    bool retry_later;           /* Retry-After */
    bool close;                 /* close the connection */
    bool gzip;                  /* Content-Encoding */
    size_t json_bytes;          /* Inference-Header-Content-Length, if binary tensors follow the JSON */
    /* Further fields, constants, up to a NULL name; or NULL. */
    const struct answer_field *fields;
};

/**
 * One request. The I/O thread owns it until it is queued, a worker until it is done, then the I/O thread again.
 */
struct request {
    const struct services *services;
    struct task task;
    struct turn turn;                      /* the turn of a request with a session */
    size_t named_at;                       /* the position in the body that may name a session, counted from 1; 0 if
                                              there is none */
    struct prediction *waiting;            /* the prediction, while it waits for its session */
    void (*done)(struct request *request); /* the thread that has finished a queued request calls it */
    void (*wake)(struct request *request); /* of a stream: wakes the I/O thread */
    bool (*gone)(struct request *request); /* whether the client has closed its side */

    struct request_head head;
    const struct route *route;       /* only http/ and api/ set and read these fields */
    const struct protocol *protocol; /* of a prediction: the protocol of the route */
    char name[REQUEST_NAME_BYTES];   /* the name of the model or of the session, in the target */
    struct access_use access;        /* its key */
    struct model *model;             /* a use of the model, once known; request_close ends it */

    char *body; /* followed by a NUL byte */
    size_t body_bytes, body_room;
    struct memory_share memory;
    double work_ns; /* the work that admission has counted for the request */

    struct stream *stream; /* the stream, if the answer is sent while the model runs */
    struct answer answer;
    bool prediction;        /* send Server-Timing */
    size_t rows, timesteps; /* for the log and metrics */
    struct request_timing timing;
    int64_t timeout_ms; /* from the time when it is queued; the client may have asked for a shorter limit than the
                           server's */
};

/* The request that contains the task. */
struct request *request_of_task(struct task *task);

/* Initialise a request, without its target. Returns false if out of memory. */
bool request_init(struct request *request, const struct services *services, const char *target);
void request_close(struct request *request);

/* Free the body; afterwards only its length is needed. */
void request_drop_body(struct request *request);

/* Whether it was a prediction that no worker began, because there was no room or no time. */
bool request_was_refused(const struct request *request);

/* Whether its key exceeded its rate. */
bool request_was_limited(const struct request *request);

/* The name of the setting or header that gave timeout_ms, for messages. */
const char *request_timeout_source(const struct request *request);

/* Answer with the text in request->answer.buffer; with 413 or 503 if the text did not fit. */
void answer_buffer(struct request *request, int status, const char *content_type);

/* Answer with status 200 and a constant text. */
void answer_constant(struct request *request, const char *text, size_t bytes, const char *content_type);

/* Answer with status 200 and a use of this text. */
void answer_shared(struct request *request, struct shared_text *text, const char *content_type);

/* Write a failure into answer.error, followed by an end of line. Returns its length. */
size_t request_write_error(struct request *request, const struct failure *failure);

/* Answer with an error. Each function replaces the answer so far. */
void answer_failure(struct request *request, const struct failure *failure);
void answer_overloaded(struct request *request);
void answer_error(struct request *request, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
