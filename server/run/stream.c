/* Streams of events: text/event-stream (WHATWG HTML, 9.2) or lines of JSON. */
#include "stream.h"

#include "config/settings.h"
#include "pool.h"
#include "prediction.h"
#include "prediction_raw.h"
#include "server/base/clock.h"
#include "server/codec/labels.h"
#include "services.h"

#include <stdlib.h>
#include <string.h>

/* If more than HIGH bytes wait for the reader, the prediction is set aside until fewer than LOW bytes wait. */
enum { HIGH_BYTES = 1 << 18, LOW_BYTES = 1 << 16 };

/* The approximate maximum of numbers in one event. The first event of a row should be sent soon, so it has few
   timesteps. */
enum { EVENT_FLOATS = 4096, FIRST_EVENT_STEPS = 16 };

void streams_init(struct streams *streams)
{
    *streams = (struct streams){.first = NULL};
    pthread_mutex_init(&streams->lock, NULL);
}

void streams_close(struct streams *streams)
{
    pthread_mutex_destroy(&streams->lock);
}

/* Count a new stream. Returns false if limits.max_streams are open already. */
static bool count_in(struct request *request, struct failure *failure)
{
    size_t most = (size_t)request->services->settings->max_streams;
    if (atomic_fetch_add(&request->services->streams->n, 1) < most)
        return true;
    atomic_fetch_sub(&request->services->streams->n, 1);
    return failure_set(
        failure, 503, "stream_limit", "",
        "%zu streams are open already (limits.max_streams); try again, or send the request without a stream.", most);
}

bool stream_open(struct request *request, enum stream_form form, struct failure *failure)
{
    struct streams *all = request->services->streams;
    if (!count_in(request, failure))
        return false;
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        atomic_fetch_sub(&all->n, 1);
        return failure_overloaded(failure);
    }
    stream->all = all;
    stream->request = request;
    stream->form = form;
    stream->text.limit = SIZE_MAX / 4;
    stream->text.share = &request->memory;
    stream->last_ns = clock_ns();
    pthread_mutex_init(&stream->lock, NULL);
    pthread_mutex_lock(&all->lock);
    stream->next = all->first;
    stream->self = &all->first;
    if (all->first)
        all->first->self = &stream->next;
    all->first = stream;
    pthread_mutex_unlock(&all->lock);
    request->stream = stream;
    return true;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    pthread_mutex_lock(&stream->all->lock);
    *stream->self = stream->next;
    if (stream->next)
        stream->next->self = stream->self;
    pthread_mutex_unlock(&stream->all->lock);
    atomic_fetch_sub(&stream->all->n, 1);
    buffer_close(&stream->text);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

int64_t streams_leave(const struct streams *streams, int64_t ns)
{
    return streams->n ? ns / 2 : ns;
}

/* Under the lock: drop the bytes that the reader has taken. */
static void drop_sent(struct stream *stream)
{
    struct buffer *text = &stream->text;
    if (!stream->sent)
        return;
    memmove(text->text, text->text + stream->sent, text->used - stream->sent);
    text->used -= stream->sent;
    stream->sent = 0;
}

/* Under the lock: wake the reader. */
static void wake_reader(struct stream *stream)
{
    bool waits = stream->reader_waits;
    stream->reader_waits = false;
    if (waits && !stream->reader_gone)
        stream->request->wake(stream->request);
}

/* Under the lock: whether the prediction may continue. */
static bool writer_may_go(struct stream *stream, bool anyhow)
{
    bool go = stream->writer_waits && (anyhow || stream->text.used - stream->sent < LOW_BYTES);
    if (go)
        stream->writer_waits = false;
    return go;
}

static void queue_again(struct stream *stream)
{
    pool_add_again(stream->request->services->pool, &stream->request->task, POOL_SLICED);
}

void streams_tick(struct streams *streams, int64_t silent_since_ns, bool all)
{
    pthread_mutex_lock(&streams->lock);
    for (struct stream *stream = streams->first; stream; stream = stream->next) {
        pthread_mutex_lock(&stream->lock);
        bool go = all && writer_may_go(stream, true);
        /* a waiting reader has taken everything, so the buffer can be overwritten, and need not grow */
        if (stream->begun && !stream->ended && stream->reader_waits && stream->last_ns < silent_since_ns &&
            stream->text.room >= 8) {
            stream->text.used = stream->sent = 0;
            buffer_text(&stream->text, stream->form == STREAM_EVENTS ? ":\n\n" : "\n");
            stream->last_ns = clock_ns();
            wake_reader(stream);
        }
        pthread_mutex_unlock(&stream->lock);
        if (go)
            queue_again(stream);
    }
    pthread_mutex_unlock(&streams->lock);
}

/* ---- the worker's side ---- */

void stream_begin(struct stream *stream)
{
    struct request *request = stream->request;
    if (stream->begun) /* no other thread sets it */
        return;
    request->answer.status = 200;
    request->task.deadline_ns = INT64_MAX; /* the answer has begun before the deadline */
    request->answer.type = stream->form == STREAM_EVENTS ? "text/event-stream" : "application/x-ndjson";
    pthread_mutex_lock(&stream->lock);
    stream->begun = true;
    buffer_room(&stream->text, 8); /* for heartbeats */
    if (!stream->reader_gone)
        request->wake(request);
    pthread_mutex_unlock(&stream->lock);
}

/* Begin an event. Events are written under the lock; the reader takes the lock for each copy. Returns the position of
   the event. */
static size_t begin_event(struct stream *stream, const char *name)
{
    pthread_mutex_lock(&stream->lock);
    drop_sent(stream);
    stream->text.exhausted = false; /* memory may be available again */
    size_t begin = stream->text.used;
    if (stream->form == STREAM_EVENTS)
        buffer_printf(&stream->text, "event: %s\ndata: ", name);
    return begin;
}

static void end_event(struct stream *stream)
{
    stream->last_ns = clock_ns();
    wake_reader(stream);
    pthread_mutex_unlock(&stream->lock);
}

static const struct layer_shape *output_shape(const struct batch *batch, size_t o)
{
    return o ? &batch->more_outputs[o - 1].shape : &batch->output;
}

/* The most timesteps of one event: a timestep of all outputs may have many floats. */
static size_t event_steps(const struct batch *batch)
{
    size_t floats = batch->output.width;
    for (size_t o = 1; batch->more_outputs && o < batch->model->graph.n_outputs; o++)
        floats += output_shape(batch, o)->width;
    return EVENT_FLOATS / floats + 1;
}

/* Whether any output has a vector for each timestep. */
static bool gives_steps(const struct batch *batch)
{
    bool steps = batch->output.sequence;
    for (size_t o = 1; batch->more_outputs && o < batch->model->graph.n_outputs; o++)
        steps |= output_shape(batch, o)->sequence;
    return steps;
}

size_t stream_event_steps(const struct prediction *p, size_t b)
{
    const struct batch *batch = &p->batch;
    if (batch->rolled || !gives_steps(batch)) /* one output, for any number of vectors */
        return SIZE_MAX;
    size_t steps = event_steps(batch);
    return !batch->progress[b].done && steps > FIRST_EVENT_STEPS ? FIRST_EVENT_STEPS : steps;
}

/* Write the classes of these outputs, if they have labels. */
static void write_labels(const struct prediction *p, const float *values, size_t n, struct buffer *out)
{
    size_t width = p->batch.output.width;
    const struct transform *transform = prediction_transforms(p) ? p->request->model->transform : NULL;
    const struct transform_output *output = p->batch.tokens ? NULL : labels_of(transform, width);
    if (!output)
        return;
    buffer_text(out, ", \"predictions\": ");
    labels_write(output, values, n, (ptrdiff_t)width, true, width, out);
}

/* Write the vectors of output o. */
static void write_vectors(struct prediction *p, size_t o, const struct stream_part *part, struct buffer *out)
{
    const struct batch *batch = &p->batch;
    size_t width = output_shape(batch, o)->width;
    const float *shown = prediction_unscaled(p, o, part->values, part->n, width);
    buffer_text(out, "[");
    if (batch->tokens)
        buffer_tokens(out, part->values, part->n);
    for (size_t i = 0; shown && !batch->tokens && i < part->n; i++) {
        buffer_text(out, i ? "," : "");
        buffer_floats(out, shown + i * width, width, &p->finite);
    }
    buffer_text(out, "]");
}

static void write_named(struct prediction *p, const struct stream_part *parts, size_t n_parts, struct buffer *out)
{
    const char *comma = "";
    buffer_text(out, "{");
    for (size_t o = 0; o < n_parts; o++) {
        if (!parts[o].n)
            continue;
        buffer_printf(out, "%s\"", comma);
        buffer_escaped(out, p->request->model->graph.outputs[o].name);
        buffer_text(out, "\": ");
        write_vectors(p, o, &parts[o], out);
        comma = ", ";
    }
    buffer_text(out, "}");
}

void stream_parts(struct prediction *p, size_t b, size_t timestep, const struct stream_part *parts, size_t n_parts)
{
    struct stream *stream = p->request->stream;
    size_t begin = begin_event(stream, "outputs");
    struct buffer *out = &stream->text;
    buffer_printf(out, "{\"row\": %zu, \"timestep\": %zu, \"outputs\": ", b, timestep);
    if (n_parts > 1)
        write_named(p, parts, n_parts, out);
    else
        write_vectors(p, 0, parts, out);
    if (parts[0].n)
        write_labels(p, parts[0].values, parts[0].n, out);
    buffer_text(out, stream->form == STREAM_EVENTS ? "}\n\n" : "}\n");
    if (out->exhausted)
        failure_overloaded(&p->failure);
    if (!p->finite && !p->request->model->allow_nonfinite)
        prediction_nonfinite(p, b);
    if (p->failure.status) /* remove the event */
        out->used = begin;
    end_event(stream);
}

void stream_outputs(struct prediction *p, size_t b, size_t timestep, const float *values, size_t n)
{
    stream_parts(p, b, timestep, &(const struct stream_part){values, n}, 1);
}

/* Write timesteps t to t + n - 1 of row b. Outputs that are not sequences are written with the last timestep. */
static void hold_parts(struct prediction *p, size_t b, size_t t, size_t n, bool last)
{
    const struct batch *batch = &p->batch;
    size_t n_parts = batch->more_outputs ? batch->model->graph.n_outputs : 1;
    struct stream_part parts[GRAPH_MAX_INPUTS];
    for (size_t o = 0; o < n_parts; o++) {
        const struct layer_shape *shape = output_shape(batch, o);
        const float *row = o ? batch->more_outputs[o - 1].rows[b] : batch->rows[b].outputs;
        parts[o] = (struct stream_part){row + (shape->sequence ? t * shape->width : 0), shape->sequence ? n : last};
    }
    stream_parts(p, b, t, parts, n_parts);
}

void stream_held_outputs(struct prediction *p)
{
    const struct batch *batch = &p->batch;
    size_t most = event_steps(batch);
    stream_begin(p->request->stream);
    for (size_t b = 0; b < batch->n_rows; b++) {
        size_t steps = batch->steps[b];
        for (size_t o = 1; batch->more_outputs && o < batch->model->graph.n_outputs; o++)
            steps = batch->more_outputs[o - 1].steps[b] > steps ? batch->more_outputs[o - 1].steps[b] : steps;
        for (size_t t = 0, n; t < steps; t += n) {
            n = steps - t < most ? steps - t : most;
            hold_parts(p, b, t, n, t + n == steps);
        }
    }
}

void stream_done(struct prediction *p, void (*write)(struct prediction *p, struct buffer *out))
{
    struct stream *stream = p->request->stream;
    struct buffer *out = &p->request->answer.buffer;
    if (!p->failure.status) {
        write(p, out);
        if (!p->finite && !p->request->model->allow_nonfinite)
            prediction_nonfinite(p, SIZE_MAX);
        else if (out->too_large || out->exhausted)
            failure_overloaded(&p->failure);
    }
    size_t error_bytes = p->failure.status ? request_write_error(p->request, &p->failure) : 0;
    begin_event(stream, p->failure.status ? "error" : "done");
    if (p->failure.status)
        buffer_bytes(&stream->text, p->request->answer.error, error_bytes - 1); /* without the end of line */
    else
        buffer_bytes(&stream->text, out->text, out->used);
    buffer_text(&stream->text, stream->form == STREAM_EVENTS ? "\n\n" : "\n");
    stream->ended = true;
    end_event(stream);
}

/* Under the lock. */
static bool is_full(const struct stream *stream)
{
    return !stream->reader_gone && stream->text.used - stream->sent > HIGH_BYTES;
}

bool stream_is_full(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool full = is_full(stream);
    pthread_mutex_unlock(&stream->lock);
    return full;
}

bool stream_waits(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->writer_waits = is_full(stream);
    bool waits = stream->writer_waits;
    pthread_mutex_unlock(&stream->lock);
    return waits;
}

bool stream_writer_leaves(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->ended = stream->writer_gone = true;
    bool last = stream->reader_gone;
    wake_reader(stream);
    pthread_mutex_unlock(&stream->lock);
    return last;
}

bool stream_is_deserted(struct stream *stream, bool (*gone)(struct request *request))
{
    pthread_mutex_lock(&stream->lock);
    bool deserted = stream->reader_gone || gone(stream->request);
    pthread_mutex_unlock(&stream->lock);
    return deserted;
}

/* ---- the I/O thread's side ---- */

ssize_t stream_read(struct stream *stream, char *out, size_t size, void (*suspend)(struct request *request))
{
    pthread_mutex_lock(&stream->lock);
    size_t there = stream->text.used - stream->sent, n = there < size ? there : size;
    if (n) {
        memcpy(out, stream->text.text + stream->sent, n);
        stream->sent += n;
        stream->taken += n;
    } else if (!stream->ended) {
        stream->reader_waits = true;
        suspend(stream->request);
    }
    ssize_t result = n || !stream->ended ? (ssize_t)n : -1;
    bool go = writer_may_go(stream, false);
    pthread_mutex_unlock(&stream->lock);
    if (go)
        queue_again(stream);
    return result;
}

bool stream_reader_leaves(struct stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->reader_gone = true;
    bool last = stream->writer_gone, go = writer_may_go(stream, true);
    pthread_mutex_unlock(&stream->lock);
    if (go)
        queue_again(stream);
    return last;
}
