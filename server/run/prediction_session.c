/* Runs predictions with a session, as session_proceed requires. */
#include "prediction_session.h"

#include "pool.h"
#include "server/codec/window.h"
#include "services.h"
#include "stream.h"

#include <string.h>

static void queue_again(struct request *request)
{
    pool_add_again(request->services->pool, &request->task, POOL_QUEUE);
}

void prediction_turn_came(struct turn *turn)
{
    queue_again((struct request *)((char *)turn - offsetof(struct request, turn)));
}

static struct prediction *prediction_of(struct session_use *session)
{
    return (struct prediction *)((char *)session - offsetof(struct prediction, session));
}

static void resume(struct session_use *session)
{
    queue_again(prediction_of(session)->request);
}

static bool stops(struct session_use *session)
{
    return prediction_stops(prediction_of(session));
}

static const struct session_user user = {resume, stops};

struct session_use prediction_session(struct prediction *p)
{
    struct request *request = p->request;
    return (struct session_use){.user = &user,
                                .store = request->services->sessions,
                                .turns = request->services->turns,
                                .owner = access_name(request),
                                .forbidden = !access_has(request, SCOPE_SESSIONS),
                                .turn = &request->turn,
                                .memory = &request->memory,
                                .batch = &p->batch,
                                .failure = &p->failure,
                                .reset = -1,
                                .step = -1,
                                .end = -1};
}

/* Call when the rows have run. Returns true if there is an answer, so that the states can be stored. */
static bool answer(struct prediction *p)
{
    if (!p->request->model->allow_nonfinite && !batch_is_finite(&p->batch)) {
        prediction_nonfinite(p, SIZE_MAX);
        return false;
    }
    if (p->request->stream)
        return true;
    prediction_answer(p);
    return p->request->answer.status == 200 ||
           (p->failure.code && !strcmp(p->failure.code, "window_not_filled")); /* the timesteps are stored */
}

/* A step of another replica was stored first, so the answer is dropped. */
static void withdraw_answer(struct prediction *p)
{
    if (p->answered)
        buffer_close(&p->request->answer.buffer);
    p->answered = false;
}

enum session_verdict prediction_proceed(struct prediction *p)
{
    p->session.streams = p->request->stream;
    enum session_verdict verdict = session_proceed(&p->session);
    if (verdict == SESSION_ANSWERS)
        verdict = answer(p) ? session_proceed(&p->session) : SESSION_OVER;
    if (verdict == SESSION_RUNS || verdict == SESSION_REPLAYS)
        withdraw_answer(p);
    if (verdict == SESSION_RUNS) {
        p->admitted = 0;
        p->finished = window_rows_idle(&p->batch); /* these rows do not run */
    }
    if (verdict != SESSION_REPLAYS)
        return verdict;
    if (p->request->stream)
        stream_held_outputs(p);
    return SESSION_OVER;
}
