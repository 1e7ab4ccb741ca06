/* Predictions: from a request that a worker has taken to its answer. */
#include "prediction.h"

#include "admission.h"
#include "config/settings.h"
#include "models.h"
#include "pool.h"
#include "prediction_inputs.h"
#include "prediction_raw.h"
#include "prediction_session.h"
#include "server/base/clock.h"
#include "server/base/lifecycle.h"
#include "server/codec/gzip.h"
#include "server/codec/slide.h"
#include "server/session/turns.h"
#include "services.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

/* Looking at the socket is a system call, so it is not done at every chunk of timesteps. */
enum { LOOK_EVERY_NS = 2000000 };

struct batch_limits prediction_limits(const struct prediction *p)
{
    const struct settings *s = p->request->services->settings;
    return (struct batch_limits){(size_t)s->max_rows, (size_t)s->max_timesteps, (size_t)s->max_response_bytes};
}

static bool expand(struct request *request, struct failure *failure)
{
    size_t bytes, room;
    if (!request->head.gzip)
        return true;
    char *plain = gzip_expand(request->body, request->body_bytes, (size_t)request->services->settings->max_body_bytes,
                              &request->memory, &bytes, &room, failure);
    if (!plain)
        return false;
    request_drop_body(request);
    request->body = plain;
    request->body_bytes = bytes;
    request->body_room = room;
    return true;
}

bool prediction_read(struct prediction *p, const struct body_key *keys, size_t bytes)
{
    struct request *request = p->request;
    struct json_body body = {.text = request->body ? request->body : "", .bytes = bytes, .share = &request->memory};
    char behind = 0;
    if (request->body) { /* the reader wants a NUL byte where the JSON ends */
        behind = request->body[bytes];
        request->body[bytes] = 0;
    }
    bool good = prediction_read_raw(p, &body, keys);
    if (request->model && (good || strcmp(p->failure.code, "invalid_json")))
        good = prediction_read_named(p, &body, keys, good);
    if (request->body)
        request->body[bytes] = behind;
    if (body.nonfinite_at && !(request->model && request->model->allow_nonfinite) &&
        (good || strcmp(p->failure.code, "invalid_json"))) {
        p->failure = body.nonfinite;
        return false;
    }
    if (!good && !request->model && prediction_failed_at_names(p, keys)) {
        p->failure = (struct failure){.status = 0};
        good = true;
    }
    if (good && !request->model)
        return failure_set(&p->failure, 404, "model_not_found", "/model",
                           "There is no model named \"%.100s\"; GET /v1/models lists them.", p->model);
    return good;
}

bool prediction_bind(struct prediction *p, const char *inputs, const char *states, bool single, bool sequences)
{
    const struct batch_limits limits = prediction_limits(p);
    p->batch = (struct batch){.model = p->request->model,
                              .share = &p->request->memory,
                              .single = single,
                              .any_length = single || *p->session.id || p->states.present || p->rollout.steps >= 0,
                              .sequences = sequences,
                              .fleeting = p->request->stream && p->session.step < 0};
    return session_check(&p->session, p->request->model, p->states.present) && prediction_bind_inputs(p, inputs) &&
           batch_bind_states(&p->batch, &p->states, states, &p->failure) && rollout_bind(p) &&
           batch_bind_outputs(&p->batch, &limits, &p->failure);
}

bool prediction_in_pieces(const struct prediction *p)
{
    return p->batch.rolled || p->request->stream;
}

void prediction_stream(struct prediction *p)
{
    if (p->request->stream)
        stream_begin(p->request->stream);
}

bool prediction_stops(struct prediction *p)
{
    struct request *request = p->request;
    const struct services *services = request->services;
    int64_t now = clock_ns();
    bool streams = request->stream && request->stream->begun;
    if (services->lifecycle->cancel)
        return !failure_set(&p->failure, 503, "shutting_down", "", "The server is shutting down.");
    if (now > request->task.deadline_ns)
        return !failure_set(&p->failure, 504, "deadline_exceeded", "", "The answer was not ready within %lld ms (%s).",
                            (long long)request->timeout_ms, request_timeout_source(request));
    if (!request->gone || now - p->looked_ns < LOOK_EVERY_NS)
        return false;
    p->looked_ns = now;
    return (streams ? stream_is_deserted(request->stream, request->gone) : request->gone(request)) &&
           !failure_set(&p->failure, 499, "client_gone", "", "The client has closed the connection.");
}

void prediction_hand_back(struct request *request, struct worker *worker)
{
    pool_done(worker);
    request->done(request);
}

size_t prediction_values(const struct prediction *p)
{
    return p->batch.outputs_floats + p->batch.n_rows * p->batch.model->graph.state_elems;
}

/* The approximate nanoseconds to write a value of the answer. */
enum { ENCODE_NS = 15 };

/* Call when rows and timesteps are known. Returns false if there is not enough time for them. */
static bool admit(struct prediction *p)
{
    struct request *request = p->request;
    const struct batch *batch = &p->batch;
    if (!batch->rows)
        return true;
    double work = (double)(batch->timesteps + batch->n_rows * batch->rolled) * batch->model->row_step_ns +
                  (double)prediction_values(p) * ENCODE_NS;
    if (request->stream) /* other requests do not wait for it */
        work = 0;
    int64_t left_ns = streams_leave(request->services->streams, request->task.deadline_ns - clock_ns());
    return admission_refine(request->services->admission, work, left_ns, &request->work_ns) ||
           failure_too_late(&p->failure);
}

/* A key without access to this model gets no information about it, not even about errors in the body. */
static bool permitted(struct prediction *p, bool decoded)
{
    struct failure failure = {.status = 0};
    const struct model *model = p->request->model;
    if (!model || access_permits_model(p->request, model->name, &failure))
        return decoded;
    p->failure = failure;
    return false;
}

struct prediction *prediction_begin(struct request *request, struct worker *worker)
{
    struct prediction *p = calloc(1, sizeof *p);
    request->timing.started = clock_ns();
    request->timing.queue = request->timing.started - request->timing.queued;
    if (!p) {
        turns_leave(request->services->turns, &request->turn);
        answer_overloaded(request);
        prediction_hand_back(request, worker);
        return NULL;
    }
    *p = (struct prediction){.request = request,
                             .worker = worker,
                             .finite = true,
                             .return_sequences = -1,
                             .slide = -1,
                             .return_windows = -1,
                             .raw = -1,
                             .rollout = {.steps = -1, .temperature = -1, .top_k = -1, .seed = -1}};
    p->session = prediction_session(p);
    bool good =
        !prediction_stops(p) && expand(request, &p->failure) && permitted(p, request->protocol->decode(p)) && admit(p);
    request_drop_body(request);
    if (!*p->session.id)
        turns_leave(request->services->turns, &request->turn);
    p->decoded_ns = clock_ns();
    request->timing.decode = p->decoded_ns - request->timing.started;
    if (good && (p->batch.rows || *p->session.id)) {
        request->rows = p->batch.slide ? p->batch.slide->room : p->batch.n_rows;
        request->timesteps = p->batch.timesteps;
        request->waiting = p;
        return p;
    }
    prediction_end(p);
    return NULL;
}

/* From this number of values on, idle workers help. */
enum { MANY_NUMBERS = 8192 };

static void encode(struct prediction *p)
{
    struct pool *pool = p->worker->pool;
    struct team team;
    bool help = pool && pool->n_workers > 1 && p->batch.outputs_floats >= MANY_NUMBERS;
    if (help) {
        team_open(&team, &pool->host, pool->n_workers);
        p->batch.team = &team;
    }
    prediction_unscale(p);
    p->request->protocol->encode(p);
    if (help)
        team_close(&team);
}

/* Small answers fit one or two packets anyway. */
enum { GZIP_LEAST_BYTES = 4096 };

static void compress(struct request *request)
{
    struct buffer *answer = &request->answer.buffer;
    size_t bytes, room;
    if (!request->head.accepts_gzip || request->answer.status != 200 || answer->used < GZIP_LEAST_BYTES)
        return;
    char *packed = gzip_compress(answer->text, answer->used, &request->memory, &bytes, &room);
    if (!packed)
        return;
    buffer_close(answer);
    answer->text = packed;
    answer->used = bytes;
    answer->room = room;
    request->answer.text = packed;
    request->answer.text_bytes = bytes;
    request->answer.gzip = true;
}

/* Drop a stream that has not begun: the answer becomes an ordinary one. */
static void drop_stream(struct request *request)
{
    stream_close(request->stream);
    request->stream = NULL;
}

void prediction_nonfinite(struct prediction *p, size_t row)
{
    char path[64] = "";
    if (row == SIZE_MAX && p->batch.states)
        row = batch_nonfinite_row(&p->batch);
    if (row < batch_sequences(&p->batch))
        batch_row_path(&p->batch, row, path, sizeof path);
    failure_set(&p->failure, 500, "nonfinite_output", path,
                "%s has NaN or Infinity, which JSON cannot represent; set allow_nonfinite for this model to get them "
                "(request %.64s).",
                *path ? "The answer for this row" : "The answer", p->request->head.id);
}

/* NaN and Infinity are sent only for models with allow_nonfinite. */
static void answer(struct prediction *p)
{
    struct request *request = p->request;
    if (request->stream && request->stream->begun) {
        encode(p);
        return;
    }
    drop_stream(request);
    if (!p->failure.status)
        encode(p);
    if (!p->finite && !(request->model && request->model->allow_nonfinite))
        prediction_nonfinite(p, SIZE_MAX);
    if (p->failure.status)
        answer_failure(request, &p->failure);
    else
        answer_buffer(request, 200, request->answer.type);
    compress(request);
}

static void drop(struct prediction *p)
{
    struct request *request = p->request;
    if (request->protocol->close)
        request->protocol->close(p);
    session_close(&p->session);
    rollout_close(p);
    batch_close(&p->batch);
    prediction_close_named(p);
    json_tensor_close(&p->inputs, &request->memory);
    free(p->unscaled);
    memory_give(&request->memory, p->unscaled_floats * sizeof *p->unscaled);
    json_tensor_close(&p->states, &request->memory);
    json_tensor_close(&p->mask, &request->memory);
    free(p);
}

void prediction_abandon(struct prediction *p, const struct failure *failure)
{
    struct request *request = p->request;
    p->failure = *failure;
    if (request->stream && request->stream->begun)
        request->protocol->encode(p);
    else
        drop_stream(request);
    drop(p);
    request->waiting = NULL;
}

void prediction_answer(struct prediction *p)
{
    struct request *request = p->request;
    int64_t now = clock_ns();
    if (p->batch.rows)
        request->timing.compute = now - p->decoded_ns;
    answer(p);
    request->timing.encode = clock_ns() - now;
    p->answered = true;
}

struct request *prediction_finish(struct prediction *p)
{
    struct request *request = p->request;
    if (!p->answered || p->failure.status)
        prediction_answer(p);
    double took = (double)(request->timing.decode + request->timing.encode) + p->cost_ns;
    bool telling = p->finished && !prediction_in_pieces(p); /* the size of a body does not show the length of a
                                                               roll-out */
    admission_leave(request->services->admission, telling ? request->body_bytes : 0, took, &request->work_ns);
    drop(p);
    request->waiting = NULL;
    return request;
}

void prediction_end(struct prediction *p)
{
    struct worker *worker = p->worker;
    prediction_hand_back(prediction_finish(p), worker);
}
