/* An answer that is sent while the model runs: a worker writes events, and the I/O thread reads them. The buffer
   between them is bounded: a worker sets a prediction aside if its reader is slow. */
#ifndef SERVER_RUN_STREAM_H
#define SERVER_RUN_STREAM_H

#include "server/base/failure.h"
#include "server/codec/buffer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

struct prediction;
struct request;

enum stream_form { STREAM_NONE, STREAM_EVENTS, STREAM_LINES }; /* text/event-stream, application/x-ndjson */

struct stream {
    struct streams *all;
    struct stream *next, **self;
    struct request *request;
    enum stream_form form;
    pthread_mutex_t lock; /* guards all below; taken under that of `all`; under it the connections' alone */
    struct buffer text;   /* only the worker lets it grow */
    size_t sent;          /* of it, which the reader has taken */
    uint64_t taken;       /* bytes, by the reader, since the beginning */
    bool begun, ended;
    bool reader_waits; /* the connection is suspended until something comes */
    bool writer_waits; /* the prediction is put aside until there is room */
    bool reader_gone, writer_gone;
    int64_t last_ns; /* when something was written */
};

/* Those of a server. */
struct streams {
    pthread_mutex_t lock; /* guards the list; under it a stream's and the pool's */
    struct stream *first;
    atomic_size_t n;
};

void streams_init(struct streams *streams);
void streams_close(struct streams *streams);

/* Of ns of workers' time, those that streams leave to the other requests. */
int64_t streams_leave(const struct streams *streams, int64_t ns);

/* Write a heartbeat where nothing was written since then; all: let those that are put aside go on, to their end. */
void streams_tick(struct streams *streams, int64_t silent_since_ns, bool all);

/* ---- the worker's side ---- */

/* Make the answer of a request a stream. Returns false with *failure set if out of memory, or if too many streams are
   open. */
bool stream_open(struct request *request, enum stream_form form, struct failure *failure);

/* The head of the answer can go out, if it has not; from now on errors are events. */
void stream_begin(struct stream *stream);

/* Timesteps of row b that one event may tell of: the most that a chunk should have of that row. */
size_t stream_event_steps(const struct prediction *p, size_t b);

/* Vectors of one of the outputs. */
struct stream_part {
    const float *values;
    size_t n;
};

/* Outputs of row b, from this timestep on, in the order of the model; those of which there are none are left out. p->failure
   is set where they cannot go. */
void stream_parts(struct prediction *p, size_t b, size_t timestep, const struct stream_part *parts, size_t n_parts);
/* The same of a model of one output: n vectors of batch->output.width floats. */
void stream_outputs(struct prediction *p, size_t b, size_t timestep, const float *values, size_t n);
/* All outputs of p, which its batch holds already, event by event. */
void stream_held_outputs(struct prediction *p);
/* The last event: what write puts into out, an object; or the failure. */
void stream_done(struct prediction *p, void (*write)(struct prediction *p, struct buffer *out));

/* Whether the reader is too far behind to write more now. */
bool stream_is_full(struct stream *stream);
/* The same, but then the request is queued again when it is not,
   perhaps at once, and its prediction must not be touched. */
bool stream_waits(struct stream *stream);

/* The writer has finished. Returns true if the reader has gone before; then the caller frees the request. */
bool stream_writer_leaves(struct stream *stream);

/* Whether there is no reader any more. gone: looks at its socket. */
bool stream_is_deserted(struct stream *stream, bool (*gone)(struct request *request));

/* ---- the I/O thread's side ---- */

/* Up to size bytes into out; 0: nothing is there yet, and `suspend` has been called, after which the request's `wake` will be;
   below 0: the end. */
ssize_t stream_read(struct stream *stream, char *out, size_t size, void (*suspend)(struct request *request));

/* The reader has gone. Returns true if the worker has finished; then the caller frees the request. */
bool stream_reader_leaves(struct stream *stream);

/* By whoever frees the request. */
void stream_close(struct stream *stream);

#endif
