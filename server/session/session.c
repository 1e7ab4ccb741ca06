/* Sessions: the order of requests, checks of the step, and the states from the store into a batch and back. */
#include "session.h"

#include "server/codec/batch_write.h"
#include "server/codec/lasts.h"
#include "server/codec/window.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Replicas may step the same session at the same time. A request is computed again at most this often. */
enum { MOST_CONFLICTS = 16 };

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n < SESSION_ID_BYTES &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~:-") == n;
}

/* ---- the options of a request ---- */

void session_stored_id(const char *owner, const char *id, char out[SESSION_STORED_BYTES])
{
    snprintf(out, SESSION_STORED_BYTES, "%.63s%s%.255s", owner, *owner ? ":" : "", id);
}

static const char *stored_id(const struct session_use *session)
{
    return *session->stored ? session->stored : session->id;
}

bool session_name(struct session_use *session, const char *id)
{
    if (!strcmp(id, SESSION_UNSAID))
        return true;
    snprintf(session->id, sizeof session->id, "%s", id);
    if (session->owner && *session->owner)
        session_stored_id(session->owner, session->id, session->stored);
    if (session->forbidden)
        return failure_set(session->failure, 403, "forbidden", "/session",
                           "This needs a key with the scope sessions; the key \"%s\" does not have it.",
                           session->owner);
    return id_is_good(id) || failure_set(session->failure, 400, "invalid_session", "/session",
                                         "A session's id has 1 to 255 letters, digits, '.', '_', '~', ':' and '-'.");
}

bool session_check(struct session_use *session, const struct model *model, bool has_states)
{
    if (!*session->id) {
        if (session->reset >= 0)
            return failure_set(session->failure, 400, "missing_key", "/reset", "\"reset\" needs a \"session\".");
        if (session->step >= 0)
            return failure_set(session->failure, 400, "missing_key", "/step", "\"step\" needs a \"session\".");
        return true;
    }
    if (!session->store)
        return failure_set(session->failure, 400, "unsupported_key", "/session", "Sessions exist only in a server.");
    if (!model->graph.divisible && !model->window)
        return failure_set(session->failure, 400, "not_streamable", "/session",
                           "This model cannot go on from stored states: it has a layer (Bidirectional, go_backwards, "
                           "Flatten, pooling, …) that needs whole sequences.");
    if (has_states)
        return failure_set(session->failure, 400, "wrong_value", "/initial_state",
                           "A session has its states; PUT /sessions/{id} sets them, or leave initial_state out.");
    if (session->reset == 1 && session->step > 0)
        return failure_set(session->failure, 400, "wrong_value", "/step", "With \"reset\" the step can only be 0.");
    return true;
}

void session_write(const struct session_use *session, struct buffer *out)
{
    if (*session->id && session->record)
        buffer_printf(out, "\"session\": \"%.255s\", \"step\": %llu, ", session->id,
                      (unsigned long long)session->record->head.step);
}

/* ---- waiting ---- */

static void op_done(struct session_op *op)
{
    struct session_use *session = (struct session_use *)((char *)op - offsetof(struct session_use, op));
    session->user->resume(session);
}

/* Begin an operation of the store. `phase` handles its end. Returns true if it has ended already. */
static bool submit(struct session_use *session, int phase)
{
    session->phase = phase;
    session->op.id = stored_id(session);
    session->op.done = op_done;
    session->op.found = NULL;
    return session_submit(session->store, &session->op);
}

/* ---- the stored record ---- */

/* The forms of stored answers. */
enum { FORM_SEQUENCE = 1, FORM_TOKENS = 2, FORM_WHOLE = 4 };

/* Keep a record, which may be NULL, instead of the previous one. It counts as the request's memory even if the store
   also has it, because the store may release it meanwhile. */
static bool keep_record(struct session_use *session, struct session_record *record)
{
    session_record_release(session->record);
    if (session->held)
        memory_give(session->memory, session->held);
    session->record = record;
    session->held = 0;
    if (!record)
        return true;
    if (!memory_take(session->memory, sizeof *record + record->bytes))
        return failure_overloaded(session->failure);
    session->held = sizeof *record + record->bytes;
    return true;
}

/* Keep the record that the operation has found, if any. */
static bool keep_found(struct session_use *session)
{
    struct session_record *found = session->op.found;
    session->op.found = NULL;
    return keep_record(session, found);
}

static bool has_digest(const struct session_record *record, const struct model *model)
{
    return !memcmp(&record->head.digest, &model->digest, sizeof record->head.digest) &&
           record->head.state_floats == window_kept_floats(model);
}

static bool incompatible(struct session_use *session)
{
    return failure_set(session->failure, 409, "state_incompatible", "/session",
                       "The states of this session belong to another model or version (\"%.100s\"); start it again "
                       "with \"reset\": true, or DELETE it.",
                       session->record->head.model);
}

static bool conflict(struct session_use *session, const char *format, uint64_t have)
{
    return failure_set(session->failure, 409, "step_conflict", "/step", format, (unsigned long long)have);
}

/* Whether the step of a request is the next one; *again: it is the last one, whose answer is stored. */
static bool check_step(struct session_use *session, bool *again)
{
    const struct session_record *record = session->record;
    if (session->step < 0)
        return true;
    uint64_t step = (uint64_t)session->step, have = record ? record->head.step : 0;
    if (step == have)
        return true;
    if (!record)
        return conflict(
            session, "There is no such session, or it has expired: start again with step 0 (%llu steps are applied).",
            0);
    if (step > have)
        return conflict(session, "This step is not due yet: %llu steps are applied.", have);
    if (step + 1 < have)
        return conflict(session, "This step is long past: %llu are applied; GET /sessions/{id} shows the states.",
                        have);
    *again = record->head.has_answer;
    return *again || conflict(session,
                              "This step has been applied (%llu are), but by a request without \"step\", so its answer "
                              "was not kept.",
                              have);
}

/* The number of rows of the session. */
static size_t rows_of(const struct batch *batch)
{
    return batch->window ? batch->window->n_rows : batch->n_rows;
}

/* Whether the answer has more than one output for each row. Then it is stored as one list of numbers. */
static bool answers_whole(const struct batch *batch)
{
    return batch->slide || batch->more_outputs;
}

static void bind_states(struct session_use *session, struct session_record *record)
{
    struct batch *batch = session->batch;
    size_t elems = batch->model->graph.state_elems, kept = window_kept_floats(batch->model);
    bool windows = batch->model->window;
    if (!record || windows)
        memset(batch->states, 0, batch->n_rows * elems * sizeof *batch->states);
    for (size_t b = 0; record && !windows && b < batch->n_rows; b++)
        memcpy(batch->states + b * elems, session_record_states(record) + b * kept, elems * sizeof *batch->states);
    for (size_t b = 0; batch->progress && b < batch->n_rows; b++)
        batch->progress[b].stepped = !windows && record && session_record_stepped(record)[b];
}

/* Load the windows of the stored record, for an answer that is not computed. */
static bool show_windows(struct session_use *session, struct session_record *record)
{
    return !session->batch->model->window ||
           window_show(session->batch, session_record_states(record), session->failure);
}

/* Complete the inputs from the stored record: windows, or missing values. */
static bool load_inputs(struct session_use *session, struct session_record *record)
{
    struct batch *batch = session->batch;
    const float *kept = record ? session_record_states(record) : NULL;
    if (batch->window)
        return window_load(batch, kept, session->failure);
    return lasts_load(batch, kept ? kept + batch->model->graph.state_elems : NULL, window_kept_floats(batch->model),
                      session->failure);
}

/* Take the stored answer instead of computing one. */
static bool answer_again(struct session_use *session)
{
    struct session_record *record = session->record;
    const struct session_head *head = &record->head;
    bind_states(session, record);
    session->batch->tokens = head->answer_form & FORM_TOKENS;
    if (!show_windows(session, record))
        return false;
    if (!(head->answer_form & FORM_WHOLE) && !answers_whole(session->batch))
        return batch_bind_answer(session->batch, session_record_steps(record), session_record_answer(record),
                                 head->answer_floats, head->answer_width, head->answer_form & FORM_SEQUENCE,
                                 session->failure);
    return (head->answer_form & FORM_WHOLE && answers_whole(session->batch) &&
            batch_bind_whole(session->batch, session_record_steps(record), session_record_answer(record))) ||
           conflict(session,
                    "This step has been applied (%llu are) by a request with other inputs or options; repeat it as it "
                    "was.",
                    head->step);
}

/* Check the stored record for a request with outputs: whether the request may continue from it, or *again. */
static bool check_stored(struct session_use *session, bool *again)
{
    const struct session_record *record = session->record;
    if (session->reset == 1)
        return true;
    if (session->must_start && !record)
        return failure_set(session->failure, 400, "sequence_not_started", "/parameters/sequence_id",
                           "inference request for sequence %.100s must specify the START flag on the first request of "
                           "the sequence",
                           session->id);
    if (record && !has_digest(record, session->batch->model))
        return incompatible(session);
    if (record && record->head.rows != rows_of(session->batch))
        return failure_set(session->failure, 400, "wrong_shape", "/instances",
                           "Expected %llu sequences, as many as this session began with, found %zu.",
                           (unsigned long long)record->head.rows, rows_of(session->batch));
    return check_step(session, again);
}

static bool check_size(struct session_use *session)
{
    const size_t most = SESSION_ANSWER_BYTES / sizeof(float);
    if (session->step < 0 || batch_most_floats(session->batch) <= most)
        return true;
    return failure_set(session->failure, 413, "response_too_large", "/step",
                       "The outputs of a request with \"step\" are kept, so they can be of %zu numbers at most; send "
                       "fewer timesteps, or no \"step\".",
                       most);
}

/* ---- the new record ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Make a record of the batch's states, with one step more than `before`. */
static struct session_record *record_of(struct session_use *session, const struct session_record *before, uint64_t step)
{
    const struct batch *batch = session->batch;
    bool answer = session->action == SESSION_PREDICT && session->step >= 0, whole = answer && answers_whole(batch);
    struct session_head head = {.tag = session_tag(),
                                .step = step,
                                .used_ms = now_ms(),
                                .digest = batch->model->digest,
                                .rows = rows_of(batch),
                                .state_floats = window_kept_floats(batch->model),
                                .has_answer = answer,
                                .answer_form = (batch->output.sequence ? FORM_SEQUENCE : 0) |
                                               (batch->tokens ? FORM_TOKENS : 0) | (whole ? FORM_WHOLE : 0),
                                .answer_width = whole    ? 1
                                                : answer ? batch->output.width
                                                         : 0,
                                .answer_floats = answer ? batch_answer_floats(batch) : 0};
    head.created_ms = before ? before->head.created_ms : head.used_ms;
    snprintf(head.model, sizeof head.model, "%s", batch->model->name);
    struct session_record *record = session_record_new(&head);
    if (!record)
        return NULL;
    if (batch->window)
        window_store(batch, session_record_states(record));
    for (size_t b = 0; !batch->window && b < head.rows; b++) {
        size_t elems = batch->model->graph.state_elems;
        float *kept = session_record_states(record) + b * head.state_floats;
        memcpy(kept, batch->states + b * elems, elems * sizeof *kept);
        lasts_store(batch, b, kept + elems);
    }
    for (size_t b = 0; b < head.rows; b++) {
        session_record_steps(record)[b] = whole ? batch_whole_floats(batch, b) : answer ? batch->steps[b] : 0;
        session_record_stepped(record)[b] = batch->progress && !batch->window ? batch->progress[b].stepped : step > 0;
    }
    if (whole)
        batch_copy_whole(batch, session_record_answer(record));
    else if (answer)
        batch_copy_answer(batch, session_record_answer(record));
    session_record_seal(record, stored_id(session));
    return record;
}

static uint64_t tag_of(const struct session_record *record)
{
    return record ? record->head.tag : 0;
}

static enum session_verdict save(struct session_use *session)
{
    return submit(session, SESSION_KEPT) ? session_proceed(session) : SESSION_WAITS;
}

/* Store the new record. It replaces the record that the request started from. */
static enum session_verdict keep(struct session_use *session)
{
    struct session_record *next = NULL;
    if (session->action != SESSION_DROP && session->end != 1) {
        uint64_t step = session->reset == 1 || !session->record ? 0 : session->record->head.step;
        step = session->action == SESSION_PUT ? (uint64_t)(session->step < 0 ? 0 : session->step) : step + 1;
        next = record_of(session, session->record, step);
        if (!next) {
            failure_overloaded(session->failure);
            return SESSION_OVER;
        }
    }
    session->op.kind = SESSION_SAVE;
    session->op.expected = tag_of(session->record);
    session->op.record = next;
    if (!keep_record(session, next))
        return SESSION_OVER;
    if (session->action != SESSION_PREDICT)
        return save(session);
    session->phase = SESSION_ANSWERED;
    return SESSION_ANSWERS; /* an error is not stored */
}

/* A repeated step is a use of the session: store its record again, with the time of this use. The tag does not change,
   because the states do not. So a step that another replica computes from these states is not a conflict. The answer is
   valid even if storing fails. */
static enum session_verdict renew(struct session_use *session)
{
    struct session_record *renewed = session_record_used(session->record, now_ms(), stored_id(session));
    if (!renewed)
        return SESSION_REPLAYS;
    session->op.kind = SESSION_SAVE;
    session->op.expected = tag_of(renewed);
    session->op.record = renewed;
    if (!keep_record(session, renewed))
        return SESSION_OVER;
    return submit(session, SESSION_RENEWED) ? session_proceed(session) : SESSION_WAITS;
}

/* ---- the phases of a request ---- */

static enum session_verdict take(struct session_use *session)
{
    session->op.kind = SESSION_LOAD;
    return submit(session, SESSION_TAKEN) ? session_proceed(session) : SESSION_WAITS;
}

static enum session_verdict fail_store(struct session_use *session)
{
    const struct session_op *op = &session->op;
    if (op->result == SESSION_FULL)
        failure_set(session->failure, 429, "too_many_sessions", "/session",
                    "There is no room for more sessions (sessions.max, sessions.max_bytes; or the store is full); "
                    "try again, or DELETE some.");
    else if (op->result == SESSION_DAMAGED && *op->format)
        failure_set(session->failure, 409, "state_incompatible", "/session",
                    "This session was stored by another version of cellserve (format %s, which this one does not "
                    "read); start it again with \"reset\": true, PUT or DELETE it.",
                    op->format);
    else if (op->result == SESSION_DAMAGED)
        failure_set(
            session->failure, 409, "session_damaged", "/session",
            "The stored record of this session is damaged; start it again with \"reset\": true, PUT or DELETE it.");
    else
        failure_set(session->failure, 503, "session_store_unavailable", "/session",
                    "The store of the sessions does not answer; a step may have been applied or not, so repeat it with "
                    "the same \"step\".");
    return SESSION_OVER;
}

/* Whether the request does not need the stored record, so that it may replace an unreadable record. */
static bool replaces(const struct session_use *session)
{
    return session->action == SESSION_PUT || session->action == SESSION_DROP ||
           (session->action == SESSION_PREDICT && session->reset == 1);
}

bool session_show(struct session_use *session, const struct model *model)
{
    struct session_record *record = session->record;
    if (!model || !has_digest(record, model))
        return incompatible(session);
    *session->batch = (struct batch){.model = model, .share = session->memory};
    if (!batch_zero_states(session->batch, record->head.rows, session->failure))
        return false;
    bind_states(session, record);
    return show_windows(session, record);
}

/* Continue with the loaded record: run the rows from its states, or repeat its answer. A record that may be an old copy
   is only used to run rows. */
static enum session_verdict start(struct session_use *session)
{
    bool again = false, good = check_stored(session, &again) && (again || check_size(session));
    if (good && !again) {
        batch_rewind(session->batch);
        bind_states(session, session->reset == 1 ? NULL : session->record);
        if (!load_inputs(session, session->reset == 1 ? NULL : session->record))
            return SESSION_OVER;
        session->phase = SESSION_RAN;
        return SESSION_RUNS;
    }
    if (!session->op.fresh) {
        *session->failure = (struct failure){.status = 0};
        session->op.fresh = true;
        return take(session);
    }
    return again && answer_again(session) ? renew(session) : SESSION_OVER;
}

/* The stored record has been loaded. */
static enum session_verdict taken(struct session_use *session)
{
    if (session->user->stops(session))
        return SESSION_OVER;
    if (session->action == SESSION_PREDICT)
        return start(session);
    if (session->action == SESSION_PUT)
        return keep(session);
    if (!session->record && !session->op.replace)
        failure_set(session->failure, 404, "session_not_found", "", "There is no session \"%.100s\".", session->id);
    else if (session->action == SESSION_DROP)
        return keep(session);
    return SESSION_OVER;
}

enum session_verdict session_proceed(struct session_use *session)
{
    switch (session->phase) {
    case SESSION_COMES:
        session->op.fresh = session->action != SESSION_PREDICT;
        session->phase = SESSION_IN_TURN;
        return turns_take(session->turns, session->turn, stored_id(session)) ? take(session) : SESSION_WAITS;
    case SESSION_IN_TURN:
        return session->user->stops(session) ? SESSION_OVER : take(session);
    case SESSION_TAKEN:
        if (!keep_found(session))
            return SESSION_OVER;
        session->op.replace = session->op.result == SESSION_DAMAGED && replaces(session);
        return session->op.result == SESSION_DONE || session->op.replace ? taken(session) : fail_store(session);
    case SESSION_RAN:
        return keep(session);
    case SESSION_ANSWERED:
        return save(session);
    case SESSION_RENEWED:
        return SESSION_REPLAYS;
    case SESSION_KEPT:
        if (session->op.result == SESSION_DONE)
            return SESSION_OVER;
        session->op.replace = session->op.result == SESSION_DAMAGED && replaces(session);
        if (session->op.result != SESSION_CONFLICT && !session->op.replace)
            return fail_store(session);
        session->op.fresh = true;
        if (!keep_found(session))
            return SESSION_OVER;
        if (session->streams)
            session->conflicts = MOST_CONFLICTS;
        if (++session->conflicts <= MOST_CONFLICTS)
            return taken(session);
        failure_set(session->failure, 409, "session_conflict", "/session",
                    "Other clients keep changing this session; try again.");
        return SESSION_OVER;
    }
    return SESSION_OVER;
}

void session_close(struct session_use *session)
{
    keep_record(session, NULL);
    session_record_release(session->op.found); /* the request's deadline passed before the result was handled */
    session->op.found = NULL;
    turns_leave(session->turns, session->turn);
}
