/* Sessions: whose turn it is, what the step allows, and the states from the store into a batch and back. */
#include "session.h"

#include "server/api/session_find.h"
#include "server/base/clock.h"
#include "server/run/prediction.h"
#include "server/run/server.h"

#include <string.h>

/* Replicas may want the same session at the same time; this often a request is computed anew. */
enum { MOST_CONFLICTS = 16 };

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n < SESSION_ID_BYTES &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~:-") == n;
}

/* ---- the request's side ---- */

bool session_name(struct prediction *p, const char *id)
{
    if (!strcmp(id, SESSION_UNSAID))
        return true;
    snprintf(p->session.id, sizeof p->session.id, "%s", id);
    return id_is_good(id) || failure_set(&p->failure, 400, "invalid_session", "/session",
                                         "A session's id has 1 to 255 letters, digits, '.', '_', '~', ':' and '-'.");
}

bool session_check(struct prediction *p)
{
    struct session_use *session = &p->session;
    if (!*session->id) {
        if (session->reset >= 0)
            return failure_set(&p->failure, 400, "missing_key", "/reset", "\"reset\" needs a \"session\".");
        if (session->step >= 0)
            return failure_set(&p->failure, 400, "missing_key", "/step", "\"step\" needs a \"session\".");
        return true;
    }
    if (!p->request->server->sessions)
        return failure_set(&p->failure, 400, "unsupported_key", "/session", "There are sessions in a server alone.");
    if (!p->request->model->chain.divisible)
        return failure_set(&p->failure, 400, "not_streamable", "/session",
                           "This model cannot go on from stored states: it has a layer (Bidirectional, go_backwards, "
                           "Flatten, pooling, …) that needs whole sequences.");
    if (p->states.present)
        return failure_set(&p->failure, 400, "wrong_value", "/initial_state",
                           "A session has its states; PUT /sessions/{id} sets them, or leave initial_state out.");
    if (session->reset == 1 && session->step > 0)
        return failure_set(&p->failure, 400, "wrong_value", "/step", "With \"reset\" the step can only be 0.");
    return true;
}

void session_write(const struct prediction *p, struct buffer *out)
{
    if (*p->session.id && p->session.record)
        buffer_printf(out, "\"session\": \"%.255s\", \"step\": %llu, ", p->session.id,
                      (unsigned long long)p->session.record->head.step);
}

/* ---- waiting ---- */

static void go_on(struct request *request)
{
    pool_add_again(&request->server->pool, &request->task, POOL_QUEUE);
}

static void turn_came(struct turn *turn)
{
    go_on((struct request *)((char *)turn - offsetof(struct request, turn)));
}

static void op_done(struct session_op *op)
{
    struct session_use *session = (struct session_use *)((char *)op - offsetof(struct session_use, op));
    go_on(((struct prediction *)((char *)session - offsetof(struct prediction, session)))->request);
}

static void set_turn(struct request *request)
{
    request->turn.go = turn_came;
    request->turn.deadline_ns = request->task.deadline_ns;
}

void session_arrive(struct request *request)
{
    char id[SESSION_ID_BYTES];
    if (!session_find(request, id))
        return;
    set_turn(request);
    turns_arrive(&request->server->turns, &request->turn, id);
}

/* Begin an operation whose end is handled in `phase`. True: it has ended. */
static bool submit(struct prediction *p, int phase)
{
    struct session_use *session = &p->session;
    session->phase = phase;
    session->op.id = session->id;
    session->op.done = op_done;
    session->op.found = NULL;
    return session_submit(p->request->server->sessions, &session->op);
}

/* ---- what is stored ---- */

/* Of the answers that are kept. */
enum { FORM_SEQUENCE = 1, FORM_TOKENS = 2 };

/* Keep a record, which may be NULL, in place of the one before. It counts as the request's memory, also where the store
   has it too: the store may let go of it meanwhile. */
static bool keep_record(struct prediction *p, struct session_record *record)
{
    struct session_use *session = &p->session;
    session_record_release(session->record);
    if (session->held)
        memory_give(&p->request->memory, session->held);
    session->record = record;
    session->held = 0;
    if (!record)
        return true;
    if (!memory_take(&p->request->memory, sizeof *record + record->bytes))
        return failure_overloaded(&p->failure);
    session->held = sizeof *record + record->bytes;
    return true;
}

/* The record that the operation has found, or none. */
static bool keep_found(struct prediction *p)
{
    struct session_record *found = p->session.op.found;
    p->session.op.found = NULL;
    return keep_record(p, found);
}

static bool has_digest(const struct session_record *record, const struct model *model)
{
    return !memcmp(&record->head.digest, &model->digest, sizeof record->head.digest) &&
           record->head.state_floats == model->chain.state_elems;
}

static bool incompatible(struct prediction *p)
{
    return failure_set(&p->failure, 409, "state_incompatible", "/session",
                       "The states of this session belong to another model or version (\"%.100s\"); start it again "
                       "with \"reset\": true, or DELETE it.",
                       p->session.record->head.model);
}

static bool conflict(struct prediction *p, const char *format, uint64_t have)
{
    return failure_set(&p->failure, 409, "step_conflict", "/step", format, (unsigned long long)have);
}

/* Whether the step that a request carries is the next one; *again: it is the one before, whose answer is kept. */
static bool check_step(struct prediction *p, bool *again)
{
    struct session_use *session = &p->session;
    const struct session_record *record = session->record;
    if (session->step < 0)
        return true;
    uint64_t step = (uint64_t)session->step, have = record ? record->head.step : 0;
    if (step == have)
        return true;
    if (!record)
        return conflict(p, "There is no such session, it may have expired: begin again with step 0 (%llu are applied).",
                        0);
    if (step > have)
        return conflict(p, "This step is not there yet: %llu are applied.", have);
    if (step + 1 < have)
        return conflict(p, "This step is long past: %llu are applied; GET /sessions/{id} shows the states.", have);
    *again = record->head.has_answer;
    return *again || conflict(p,
                              "This step has been applied (%llu are), but by a request without \"step\", so its answer "
                              "was not kept.",
                              have);
}

static void bind_states(struct prediction *p, struct session_record *record)
{
    struct batch *batch = &p->batch;
    size_t floats = batch->n_rows * batch->model->chain.state_elems;
    if (record)
        memcpy(batch->states, session_record_states(record), floats * sizeof *batch->states);
    else
        memset(batch->states, 0, floats * sizeof *batch->states);
    for (size_t b = 0; batch->progress && b < batch->n_rows; b++)
        batch->progress[b].stepped = record && session_record_stepped(record)[b];
}

/* The stored answer in place of one that would be computed. */
static bool answer_again(struct prediction *p)
{
    struct session_record *record = p->session.record;
    const struct session_head *head = &record->head;
    bind_states(p, record);
    p->batch.tokens = head->answer_form & FORM_TOKENS;
    return batch_bind_answer(&p->batch, session_record_steps(record), session_record_answer(record),
                             head->answer_floats, head->answer_width, head->answer_form & FORM_SEQUENCE, &p->failure);
}

/* The stored answer, event by event. */
static void stream_again(struct prediction *p)
{
    const struct batch *batch = &p->batch;
    size_t most = STREAM_EVENT_FLOATS / batch->output.width + 1;
    prediction_stream(p);
    for (size_t b = 0; b < batch->n_rows; b++)
        for (size_t t = 0, n; t < batch->steps[b]; t += n) {
            n = batch->steps[b] - t < most ? batch->steps[b] - t : most;
            stream_outputs(p, b, t, batch->rows[b].outputs + t * batch->output.width, n);
        }
}

/* What a request with outputs finds: whether it may go on from there, or *again. */
static bool check_stored(struct prediction *p, bool *again)
{
    const struct session_use *session = &p->session;
    const struct session_record *record = session->record;
    if (session->reset == 1)
        return true;
    if (session->must_start && !record)
        return failure_set(&p->failure, 400, "sequence_not_started", "/parameters/sequence_id",
                           "inference request for sequence %.100s must specify the START flag on the first request of "
                           "the sequence",
                           session->id);
    if (record && !has_digest(record, p->request->model))
        return incompatible(p);
    if (record && record->head.rows != p->batch.n_rows)
        return failure_set(&p->failure, 400, "wrong_shape", "/instances",
                           "Expected %llu sequences, as many as this session began with, found %zu.",
                           (unsigned long long)record->head.rows, p->batch.n_rows);
    return check_step(p, again);
}

static bool check_size(struct prediction *p)
{
    const size_t most = SESSION_ANSWER_BYTES / sizeof(float);
    if (p->session.step < 0 || p->batch.outputs_floats <= most)
        return true;
    return failure_set(&p->failure, 413, "response_too_large", "/step",
                       "The outputs of a request with \"step\" are kept, so they can be of %zu numbers at most; send "
                       "fewer timesteps, or no \"step\".",
                       most);
}

/* ---- what is to be stored ---- */

/* A record of the batch's states, after one more step than `before`. */
static struct session_record *record_of(struct prediction *p, const struct session_record *before, uint64_t step)
{
    const struct batch *batch = &p->batch;
    bool answer = p->session.action == SESSION_PREDICT && p->session.step >= 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct session_head head = {.tag = session_tag(),
                                .step = step,
                                .used_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                .digest = batch->model->digest,
                                .rows = batch->n_rows,
                                .state_floats = batch->model->chain.state_elems,
                                .has_answer = answer,
                                .answer_form =
                                    (batch->output.sequence ? FORM_SEQUENCE : 0) | (batch->tokens ? FORM_TOKENS : 0),
                                .answer_width = answer ? batch->output.width : 0,
                                .answer_floats = answer ? batch->outputs_floats : 0};
    head.created_ms = before ? before->head.created_ms : head.used_ms;
    snprintf(head.model, sizeof head.model, "%s", batch->model->name);
    struct session_record *record = session_record_new(&head);
    if (!record)
        return NULL;
    memcpy(session_record_states(record), batch->states, head.rows * head.state_floats * sizeof(float));
    for (size_t b = 0; b < head.rows; b++) {
        session_record_steps(record)[b] = answer ? batch->steps[b] : 0;
        session_record_stepped(record)[b] = batch->progress ? batch->progress[b].stepped : step > 0;
    }
    if (answer)
        batch_copy_answer(batch, session_record_answer(record));
    session_record_seal(record, p->session.id);
    return record;
}

static uint64_t tag_of(const struct session_record *record)
{
    return record ? record->head.tag : 0;
}

/* Store what follows the record that was taken; it then takes that one's place here. */
static enum session_verdict keep(struct prediction *p)
{
    struct session_use *session = &p->session;
    struct session_record *next = NULL;
    if (session->action == SESSION_PREDICT && !p->request->model->allow_nonfinite && !batch_is_finite(&p->batch)) {
        prediction_nonfinite(p, SIZE_MAX);
        return SESSION_OVER;
    }
    if (session->action != SESSION_DROP && session->end != 1) {
        uint64_t step = session->reset == 1 || !session->record ? 0 : session->record->head.step;
        step = session->action == SESSION_PUT ? (uint64_t)(session->step < 0 ? 0 : session->step) : step + 1;
        next = record_of(p, session->record, step);
        if (!next) {
            failure_overloaded(&p->failure);
            return SESSION_OVER;
        }
    }
    session->op.kind = SESSION_SAVE;
    session->op.expected = tag_of(session->record);
    session->op.record = next;
    if (!keep_record(p, next))
        return SESSION_OVER;
    if (session->action == SESSION_PREDICT && !p->request->stream) {
        prediction_answer(p); /* while the store is at work; an error is not kept */
        if (p->request->status != 200)
            return SESSION_OVER;
    }
    return submit(p, SESSION_KEPT) ? session_proceed(p) : SESSION_WAITS;
}

/* ---- the way of a request ---- */

static enum session_verdict take(struct prediction *p)
{
    struct session_use *session = &p->session;
    session->op.kind = SESSION_LOAD;
    return submit(p, SESSION_TAKEN) ? session_proceed(p) : SESSION_WAITS;
}

static enum session_verdict fail_store(struct prediction *p)
{
    const struct session_op *op = &p->session.op;
    if (op->result == SESSION_FULL)
        failure_set(&p->failure, 429, "too_many_sessions", "/session",
                    "There is no room for more sessions (sessions.max, sessions.max_bytes; or the store is full); "
                    "try again, or DELETE some.");
    else if (op->result == SESSION_DAMAGED && *op->format)
        failure_set(&p->failure, 409, "state_incompatible", "/session",
                    "This session was stored by another version of cellserve (format %s, which this one does not "
                    "read); start it again with \"reset\": true, PUT or DELETE it.",
                    op->format);
    else if (op->result == SESSION_DAMAGED)
        failure_set(
            &p->failure, 409, "session_damaged", "/session",
            "What is stored for this session is damaged; start it again with \"reset\": true, PUT or DELETE it.");
    else
        failure_set(&p->failure, 503, "session_store_unavailable", "/session",
                    "The store of the sessions does not answer; a step may have been applied or not, so repeat it with "
                    "the same \"step\".");
    return SESSION_OVER;
}

/* Whether the request needs nothing of what is stored, so that it may take the place of what cannot be read. */
static bool replaces(const struct session_use *session)
{
    return session->action == SESSION_PUT || session->action == SESSION_DROP ||
           (session->action == SESSION_PREDICT && session->reset == 1);
}

/* A stored session, as GET shows it: with the model that its states belong to. */
static bool show(struct prediction *p)
{
    struct session_record *record = p->session.record;
    struct request *request = p->request;
    request->model = server_acquire(request->server, record->head.model);
    if (!request->model || !has_digest(record, request->model))
        return incompatible(p);
    p->batch = (struct batch){.model = request->model, .share = &request->memory};
    if (!batch_zero_states(&p->batch, record->head.rows, &p->failure))
        return false;
    bind_states(p, record);
    return true;
}

/* Rows run from what is stored; or the answer is there. What may be an old copy is good for the former alone. */
static enum session_verdict start(struct prediction *p)
{
    struct session_use *session = &p->session;
    bool again = false, good = check_stored(p, &again) && (again || check_size(p));
    if (good && !again) {
        batch_rewind(&p->batch);
        bind_states(p, session->reset == 1 ? NULL : session->record);
        p->admitted = p->finished = 0;
        session->phase = SESSION_RAN;
        return SESSION_RUNS;
    }
    if (!session->op.fresh) {
        p->failure = (struct failure){.status = 0};
        session->op.fresh = true;
        return take(p);
    }
    if (again && answer_again(p) && p->request->stream)
        stream_again(p);
    return SESSION_OVER;
}

/* It is known what is stored. */
static enum session_verdict taken(struct prediction *p)
{
    struct session_use *session = &p->session;
    if (prediction_stops(p))
        return SESSION_OVER;
    if (session->action == SESSION_PREDICT)
        return start(p);
    if (session->action == SESSION_PUT)
        return keep(p);
    if (!session->record && !session->op.replace)
        failure_set(&p->failure, 404, "session_not_found", "", "There is no session \"%.100s\".", session->id);
    else if (session->action == SESSION_DROP)
        return keep(p);
    else
        show(p);
    return SESSION_OVER;
}

enum session_verdict session_proceed(struct prediction *p)
{
    struct session_use *session = &p->session;
    struct request *request = p->request;
    switch (session->phase) {
    case SESSION_COMES:
        set_turn(request);
        session->op.fresh = session->action != SESSION_PREDICT;
        session->phase = SESSION_IN_TURN;
        return turns_take(&request->server->turns, &request->turn, session->id) ? take(p) : SESSION_WAITS;
    case SESSION_IN_TURN:
        return prediction_stops(p) ? SESSION_OVER : take(p);
    case SESSION_TAKEN:
        if (!keep_found(p))
            return SESSION_OVER;
        session->op.replace = session->op.result == SESSION_DAMAGED && replaces(session);
        return session->op.result == SESSION_DONE || session->op.replace ? taken(p) : fail_store(p);
    case SESSION_RAN:
        return keep(p);
    case SESSION_KEPT:
        if (session->op.result == SESSION_DONE)
            return SESSION_OVER;
        session->op.replace = session->op.result == SESSION_DAMAGED && replaces(session);
        if (session->op.result != SESSION_CONFLICT && !session->op.replace)
            return fail_store(p);
        session->op.fresh = true;
        p->answered = false;
        buffer_close(&p->request->answer);
        if (!keep_found(p))
            return SESSION_OVER;
        if (p->request->stream) /* what has been sent cannot be taken back */
            session->conflicts = MOST_CONFLICTS;
        if (++session->conflicts <= MOST_CONFLICTS)
            return taken(p);
        failure_set(&p->failure, 409, "session_conflict", "/session",
                    "Others change this session all the time; try again.");
        return SESSION_OVER;
    }
    return SESSION_OVER;
}

void session_close(struct prediction *p)
{
    keep_record(p, NULL);
    session_record_release(p->session.op.found); /* the request's time was over before that was looked at */
    p->session.op.found = NULL;
    turns_leave(&p->request->server->turns, &p->request->turn);
}
