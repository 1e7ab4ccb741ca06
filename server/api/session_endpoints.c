/* GET, PUT and DELETE /sessions/{id}. */
#include "handlers.h"
#include "server/codec/batch_write.h"
#include "server/codec/window.h"
#include "server/run/models.h"
#include "server/run/prediction.h"
#include "server/run/services.h"

#include <time.h>

static bool name(struct prediction *p, int action)
{
    p->session.action = action;
    return session_name(&p->session, p->request->name);
}

static bool decode_show(struct prediction *p)
{
    return name(p, SESSION_SHOW);
}

static double seconds_since(int64_t then_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9 - (double)then_ms * 1e-3;
}

/* The timesteps that are kept of each row, in the model's units. */
static void write_window(struct prediction *p, struct buffer *out)
{
    const struct batch_window *window = p->batch.window;
    buffer_printf(out, "\"window\": {\"size\": %zu, \"filled\": [", window->size);
    for (size_t b = 0; b < window->n_rows; b++)
        buffer_printf(out, "%s%zu", b ? "," : "", window->rows[b].filled);
    buffer_text(out, "], \"timesteps\": [");
    for (size_t b = 0; b < window->n_rows; b++) {
        const struct window_row *row = &window->rows[b];
        size_t most = window->size - 1, kept = row->filled < most ? row->filled : most;
        buffer_text(out, b ? ",[" : "[");
        for (size_t t = most - kept; t < most; t++) {
            buffer_text(out, t > most - kept ? "," : "");
            buffer_floats(out, row->steps + t * window->width, window->width, &p->finite);
        }
        buffer_text(out, "]");
    }
    buffer_text(out, "]}");
}

/* What PUT takes, too. */
static void write_session(struct prediction *p)
{
    const struct model *model = p->request->model;
    const struct session_head *head = &p->session.record->head;
    struct buffer *out = &p->request->answer.buffer;
    buffer_text(out, "{");
    session_write(&p->session, out);
    buffer_printf(out,
                  "\"model\": \"%s\", \"version\": \"%s\", \"batch_size\": %llu, \"age_s\": %.3f, \"idle_s\": %.3f, ",
                  model->name, model->version, (unsigned long long)head->rows, seconds_since(head->created_ms),
                  seconds_since(head->used_ms));
    if (model->window) {
        write_window(p, out);
    } else {
        buffer_text(out, "\"states\": ");
        batch_write_states(&p->batch, out, &p->finite);
    }
    buffer_text(out, "}\n");
}

/* With the model that its states belong to. */
static void encode_show(struct prediction *p)
{
    struct request *request = p->request;
    request->model = models_acquire(request->services->models, p->session.record->head.model);
    if (request->model && !access_permits_model(request, request->model->name, &p->failure))
        return;
    if (session_show(&p->session, request->model))
        write_session(p);
}

const struct protocol protocol_session_show = {decode_show, encode_show, NULL};

/* As GET has shown it, "timesteps" of each row. */
static bool put_window(struct prediction *p)
{
    const struct batch_limits limits = prediction_limits(p);
    if (!p->inputs.present || (p->inputs.lists[0].length && p->inputs.lists[0].holds != LIST_OF_LISTS))
        return failure_set(&p->failure, 400, "missing_key", "/window",
                           "Sessions of this model keep windows: the body needs \"window\": {\"timesteps\": "
                           "[batch][timesteps][features]}.");
    if (!session_check(&p->session, p->request->model, false))
        return false;
    p->batch =
        (struct batch){.model = p->request->model, .share = &p->request->memory, .n_rows = p->inputs.lists[0].length};
    if (!p->batch.n_rows)
        return failure_set(&p->failure, 400, "empty_input", "/window/timesteps", "The window has no sequence.");
    if (p->batch.n_rows > limits.max_rows)
        return failure_set(&p->failure, 413, "too_many_rows", "/window/timesteps",
                           "Expected at most %zu sequences (limits.max_rows).", limits.max_rows);
    return batch_zero_states(&p->batch, p->batch.n_rows, &p->failure) &&
           window_bind_kept(&p->batch, &p->inputs, "/window/timesteps", &p->failure);
}

static bool decode_put(struct prediction *p)
{
    const struct batch_limits limits = prediction_limits(p);
    const struct body_key window[] = {{"size", BODY_ANY, NULL},
                                      {"filled", BODY_ANY, NULL},
                                      {"timesteps", BODY_NUMBERS, &p->inputs},
                                      {NULL, BODY_TEXT, NULL}};
    const struct body_key keys[] = {
        {"states", BODY_NUMBERS, &p->states},
        {"model", BODY_TEXT, p->model},
        {"step", BODY_COUNT, &p->session.step},
        {"session", BODY_ANY, NULL}, /* what GET has shown beside them */
        {"version", BODY_ANY, NULL},
        {"batch_size", BODY_ANY, NULL},
        {"age_s", BODY_ANY, NULL},
        {"idle_s", BODY_ANY, NULL},
        {"window", BODY_OBJECT, (void *)(uintptr_t)window},
        {NULL, BODY_TEXT, NULL},
    };
    if (!name(p, SESSION_PUT) || !prediction_read(p, keys, p->request->body_bytes))
        return false;
    if (p->request->model->window)
        return put_window(p);
    if (!p->states.present)
        return failure_set(&p->failure, 400, "missing_key", "", "The body needs \"states\".");
    if (!session_check(&p->session, p->request->model, false)) /* they are no initial states beside a session's */
        return false;
    p->batch = (struct batch){
        .model = p->request->model, .share = &p->request->memory, .n_rows = batch_rows_of_states(&p->states)};
    if (p->batch.n_rows > limits.max_rows)
        return failure_set(&p->failure, 413, "too_many_rows", "/states",
                           "Expected states of at most %zu sequences (limits.max_rows).", limits.max_rows);
    if (!p->batch.n_rows)
        return failure_set(&p->failure, 400, "empty_input", "/states", "The states have no sequence.");
    return batch_bind_states(&p->batch, &p->states, "states", &p->failure);
}

const struct protocol protocol_session_put = {decode_put, write_session, NULL};

static bool decode_drop(struct prediction *p)
{
    return name(p, SESSION_DROP);
}

static void encode_drop(struct prediction *p)
{
    buffer_printf(&p->request->answer.buffer, "{\"session\": \"%s\", \"deleted\": true}\n", p->session.id);
}

const struct protocol protocol_session_drop = {decode_drop, encode_drop, NULL};
