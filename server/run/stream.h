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
    pthread_mutex_t lock; /* guards the fields below; taken while the lock of `all` is held; while it is held, only
                             locks of connections are taken */
    struct buffer text;   /* only the worker appends to it */
    size_t sent;          /* the bytes of `text` that the reader has taken */
    uint64_t taken;       /* the bytes that the reader has taken since the beginning */
    bool begun, ended;
    bool reader_waits; /* the connection is suspended until there is data */
    bool writer_waits; /* the prediction is set aside until there is room */
    bool reader_gone, writer_gone;
    int64_t last_ns; /* the time of the last write */
};

/* All streams of a server. */
struct streams {
    pthread_mutex_t lock; /* guards the list; while it is held, locks of streams and of the pool are taken */
    struct stream *first;
    atomic_size_t n;
};

void streams_init(struct streams *streams);
void streams_close(struct streams *streams);

/* The part of ns of the workers' time that streams leave to other requests. */
int64_t streams_leave(const struct streams *streams, int64_t ns);

/* Write a heartbeat into streams without a write since silent_since_ns. all: continue the predictions that are set
   aside, so that they can end. */
void streams_tick(struct streams *streams, int64_t silent_since_ns, bool all);

/* ---- the worker's side ---- */

/* Make the answer of a request a stream. Returns false with *failure set if out of memory, or if too many streams are
   open. */
bool stream_open(struct request *request, enum stream_form form, struct failure *failure);

/* Allow the head of the answer to be sent. From now on errors are events. */
void stream_begin(struct stream *stream);

/* The largest number of timesteps of row b in one event, which bounds the timesteps of a chunk. */
size_t stream_event_steps(const struct prediction *p, size_t b);

/* The vectors of one output. */
struct stream_part {
    const float *values;
    size_t n;
};

/* Write outputs of row b, from this timestep on, in the order of the model. Outputs without vectors are left out. Sets
   p->failure if they cannot be written. */
void stream_parts(struct prediction *p, size_t b, size_t timestep, const struct stream_part *parts, size_t n_parts);
/* The same for a model with one output: n vectors of batch->output.width floats. */
void stream_outputs(struct prediction *p, size_t b, size_t timestep, const float *values, size_t n);
/* Write all outputs of p, which are in its batch already, event by event. */
void stream_held_outputs(struct prediction *p);
/* Write the last event: the object that `write` appends to out, or the failure. */
void stream_done(struct prediction *p, void (*write)(struct prediction *p, struct buffer *out));

/* Whether too many bytes wait for the reader. */
bool stream_is_full(struct stream *stream);
/* The same; if it returns true, the request is queued again when there is room, perhaps at once, and the caller must
   not use the prediction any more. */
bool stream_waits(struct stream *stream);

/* The writer has finished. Returns true if the reader has left before; then the caller frees the request. */
bool stream_writer_leaves(struct stream *stream);

/* Whether the reader has left. gone looks at its socket. */
bool stream_is_deserted(struct stream *stream, bool (*gone)(struct request *request));

/* ---- the I/O thread's side ---- */

/* Copy up to `size` bytes to out. Returns 0 if there is no data yet: then `suspend` has been called, and the request's
   `wake` will be called. Returns a negative number at the end. */
ssize_t stream_read(struct stream *stream, char *out, size_t size, void (*suspend)(struct request *request));

/* The reader has left. Returns true if the worker has finished; then the caller frees the request. */
bool stream_reader_leaves(struct stream *stream);

/* Called by the code that frees the request. */
void stream_close(struct stream *stream);

#endif
