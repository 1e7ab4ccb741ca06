/* POST /predict, :step and :initial_state: read, bind, compute, write; in a worker. */
#include "batch.h"
#include "clock.h"
#include "gzip.h"
#include "handlers.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

/* The keys of the bodies of the three. */
struct prediction {
    char model[BODY_TEXT_BYTES];
    struct json_tensor inputs, states, mask;
    int return_sequences, return_state;
    int64_t batch_size;
    struct batch batch;
    struct failure failure;
};

static void close_prediction(struct prediction *p, struct request *request)
{
    batch_close(&p->batch);
    json_tensor_close(&p->inputs, &request->memory);
    json_tensor_close(&p->states, &request->memory);
    json_tensor_close(&p->mask, &request->memory);
}

static struct batch_limits limits_of(const struct server *server)
{
    const struct settings *s = server->settings;
    return (struct batch_limits){(size_t)s->max_rows, (size_t)s->max_timesteps, (size_t)s->max_response_bytes};
}

/* Rows that are run side by side. */
static size_t group_of(const struct server *server)
{
    return (size_t)server->settings->max_batch_rows;
}

static bool expand(struct request *request, struct failure *failure)
{
    size_t bytes, room;
    if (!request->gzip)
        return true;
    char *plain = gzip_expand(request->body, request->body_bytes, (size_t)request->server->settings->max_body_bytes,
                              &request->memory, &bytes, &room, failure);
    if (!plain)
        return false;
    free(request->body);
    memory_give(&request->memory, request->body_room);
    request->body = plain;
    request->body_bytes = bytes;
    request->body_room = room;
    return true;
}

/* Read the body and find its model (that of the target, if it names one). */
static bool read_body(struct request *request, struct prediction *p, const struct body_key *keys)
{
    if (!expand(request, &p->failure))
        return false;
    struct json_body body = {
        .text = request->body ? request->body : "", .bytes = request->body_bytes, .share = &request->memory};
    bool good = json_body_read(&body, keys, &p->failure);
    if (!request->model && (good || strcmp(p->failure.code, "invalid_json")))
        request->model = server_acquire(request->server, p->model);
    if (body.nonfinite_at && !(request->model && request->model->allow_nonfinite) &&
        (good || strcmp(p->failure.code, "invalid_json"))) {
        p->failure = body.nonfinite;
        return false;
    }
    if (good && !request->model)
        return failure_set(&p->failure, 404, "model_not_found", "/model",
                           "There is no model named \"%.100s\"; GET /v1/models lists them.", p->model);
    return good;
}

/* Why a computation should stop, or NULL. */
static bool should_stop(struct request *request, struct failure *failure)
{
    const struct server *server = request->server;
    if (server->cancel)
        return !failure_set(failure, 503, "shutting_down", "", "The server is shutting down.");
    if (clock_ns() > request->task.deadline_ns)
        return !failure_set(failure, 504, "deadline_exceeded", "",
                            "The answer was not ready within %lld ms (limits.request_timeout_ms).",
                            (long long)server->settings->request_timeout_ms);
    if (request->gone && request->gone(request))
        return !failure_set(failure, 499, "client_gone", "", "The client has closed the connection.");
    return false;
}

/* Whether a run should stop, as core asks it. */
struct watch {
    struct request *request;
    struct failure *failure;
};

static bool stop_asked(void *context)
{
    const struct watch *watch = context;
    return should_stop(watch->request, watch->failure);
}

/* Run all rows, max_batch_rows side by side. Between chunks of timesteps it is seen whether anyone still waits. */
static bool compute(struct request *request, struct prediction *p, struct worker *worker)
{
    struct batch *batch = &p->batch;
    const struct rnn_model *chain = &batch->model->chain;
    struct watch watch = {request, &p->failure};
    struct pool *pool = worker->pool;
    struct team team, *helpers = NULL;
    /* the model may have been loaded after the worker was started */
    if (!arena_reserve(&worker->arena, batch->model->scratch_bytes))
        return failure_overloaded(&p->failure);
    if (pool && pool->n_workers > 1) {
        team_open(&team, &pool->host, pool->n_workers);
        helpers = &team;
    }
    size_t most = group_of(request->server);
    const struct model_run run = {.sequences = batch->sequences,
                                  .work = batch->work,
                                  .floats = batch->work_floats,
                                  .masks = batch->work_masks,
                                  .order = batch->order,
                                  .arena = &worker->arena,
                                  .team = helpers,
                                  .stop = stop_asked,
                                  .stop_context = &watch};
    bool whole = true;
    for (size_t first = 0; whole && first < batch->n_rows; first += most) {
        size_t n = batch->n_rows - first < most ? batch->n_rows - first : most;
        metrics_batch(&request->server->metrics, n);
        whole = !should_stop(request, &p->failure) && rnn_model_run(chain, &run, batch->rows + first, n);
    }
    if (helpers)
        team_close(helpers);
    return whole;
}

static void lap(int64_t *since, int64_t *part)
{
    int64_t now = clock_ns();
    *part = now - *since;
    *since = now;
}

/* The answer, or the failure. NaN and Infinity go out only for models that say so. */
static void finish(struct request *request, struct prediction *p, bool good, bool finite)
{
    if (good && !finite && !(request->model && request->model->allow_nonfinite))
        good = failure_set(&p->failure, 500, "nonfinite_output", "",
                           "The answer has NaN or Infinity, which JSON has not; set allow_nonfinite for this model to "
                           "get them (request %.64s).",
                           request->id);
    if (good)
        answer_buffer(request, 200, "application/json");
    else
        answer_failure(request, &p->failure);
    close_prediction(p, request);
}

void answer_predict(struct request *request, struct worker *worker)
{
    struct prediction p = {.return_sequences = -1, .return_state = -1};
    static char no_sessions[] = "Sessions are not available in this version; send the states back as initial_state.";
    const struct body_key keys[] = {
        {"instances", BODY_NUMBERS, &p.inputs},
        {"model", BODY_TEXT, p.model},
        {"initial_state", BODY_NUMBERS, &p.states},
        {"mask", BODY_BOOLEANS, &p.mask},
        {"return_sequences", BODY_BOOL, &p.return_sequences},
        {"return_state", BODY_BOOL, &p.return_state},
        {"session", BODY_REFUSED, no_sessions},
        {"reset", BODY_REFUSED, no_sessions},
        {"step", BODY_REFUSED, no_sessions},
        {NULL, BODY_TEXT, NULL},
    };
    const struct batch_limits limits = limits_of(request->server);
    int64_t since = request->timing.started;
    bool finite = true, good = !should_stop(request, &p.failure) && read_body(request, &p, keys);
    if (good) {
        const struct rnn_model *chain = &request->model->chain;
        p.batch = (struct batch){.model = request->model,
                                 .share = &request->memory,
                                 .sequences = p.return_sequences < 0 ? chain->return_sequences : p.return_sequences};
        good = batch_bind_inputs(&p.batch, &p.inputs, "instances", &limits, &p.failure) &&
               batch_bind_mask(&p.batch, &p.mask, &p.failure) &&
               batch_bind_states(&p.batch, &p.states, "initial_state", &p.failure) &&
               batch_bind_outputs(&p.batch, group_of(request->server), &limits, &p.failure);
    }
    lap(&since, &request->timing.decode);
    if (good) {
        request->rows = p.batch.n_rows;
        request->timesteps = p.batch.timesteps;
        good = compute(request, &p, worker);
        lap(&since, &request->timing.compute);
    }
    if (good) {
        struct buffer *out = &request->answer;
        buffer_printf(out, "{\"model\": \"%s\", \"version\": \"%s\", \"outputs\": ", request->model->name,
                      request->model->version);
        batch_write_outputs(&p.batch, out, &finite);
        if (p.return_state) {
            buffer_text(out, ", \"states\": ");
            batch_write_states(&p.batch, out, &finite);
            if (request->model->chain.n_parts > 1) {
                buffer_text(out, ", \"state_layers\": ");
                batch_write_state_layers(&p.batch, out);
            }
        }
        buffer_text(out, "}\n");
        lap(&since, &request->timing.encode);
    }
    finish(request, &p, good, finite);
}

/* StackedRNNCells.call: the cells once, without the layer's options; for a model of several layers, the whole chain. */
void answer_step(struct request *request, struct worker *worker)
{
    struct prediction p = {.return_sequences = 0};
    const struct body_key keys[] = {
        {"inputs", BODY_NUMBERS, &p.inputs},
        {"states", BODY_NUMBERS, &p.states},
        {NULL, BODY_TEXT, NULL},
    };
    const struct batch_limits limits = limits_of(request->server);
    int64_t since = request->timing.started;
    bool finite = true, good = !should_stop(request, &p.failure) && read_body(request, &p, keys);
    if (good && !request->model->chain.streamable)
        good = failure_set(&p.failure, 400, "not_streamable", "",
                           "This model cannot go one timestep at a time: it has a layer (Bidirectional, Flatten, "
                           "pooling, …) that needs whole sequences.");
    if (good) {
        p.batch = (struct batch){.model = request->model,
                                 .share = &request->memory,
                                 .sequences = request->model->chain.return_sequences,
                                 .single = true};
        good = batch_bind_inputs(&p.batch, &p.inputs, "inputs", &limits, &p.failure) &&
               batch_bind_states(&p.batch, &p.states, "states", &p.failure) &&
               batch_bind_outputs(&p.batch, group_of(request->server), &limits, &p.failure);
    }
    lap(&since, &request->timing.decode);
    if (good) {
        request->rows = request->timesteps = p.batch.n_rows;
        good = compute(request, &p, worker);
        lap(&since, &request->timing.compute);
    }
    if (good) {
        buffer_text(&request->answer, "{\"outputs\": ");
        batch_write_outputs(&p.batch, &request->answer, &finite);
        buffer_text(&request->answer, ", \"states\": ");
        batch_write_states(&p.batch, &request->answer, &finite);
        buffer_text(&request->answer, "}\n");
        lap(&since, &request->timing.encode);
    }
    finish(request, &p, good, finite);
}

/* StackedRNNCells.get_initial_state. */
void answer_initial_state(struct request *request, struct worker *worker)
{
    (void)worker;
    struct prediction p = {.batch_size = -1};
    const struct body_key keys[] = {{"batch_size", BODY_COUNT, &p.batch_size}, {NULL, BODY_TEXT, NULL}};
    const struct batch_limits limits = limits_of(request->server);
    bool finite = true, good = read_body(request, &p, keys);
    if (good && p.batch_size < 0)
        good = failure_set(&p.failure, 400, "missing_key", "", "The body needs \"batch_size\".");
    if (good && !p.batch_size)
        good = failure_set(&p.failure, 400, "empty_input", "/batch_size", "Expected at least 1.");
    if (good && (size_t)p.batch_size > limits.max_rows)
        good = failure_set(&p.failure, 413, "too_many_rows", "/batch_size", "Expected at most %zu (limits.max_rows).",
                           limits.max_rows);
    if (good) {
        p.batch = (struct batch){.model = request->model, .share = &request->memory};
        good = batch_zero_states(&p.batch, (size_t)p.batch_size, &p.failure);
    }
    if (good) {
        buffer_text(&request->answer, "{\"states\": ");
        batch_write_states(&p.batch, &request->answer, &finite);
        buffer_text(&request->answer, "}\n");
    }
    finish(request, &p, good, finite);
}
