/* The steps of a request in a session: its states are loaded before its rows run, and stored afterwards. */
#ifndef SERVER_SESSION_SESSION_H
#define SERVER_SESSION_SESSION_H

#include "server/base/failure.h"
#include "server/base/memory.h"
#include "server/codec/batch.h"
#include "session_store.h"
#include "turns.h"

struct session_use;

/* The functions that a session calls for its request. */
struct session_user {
    /* The awaited event has happened: another thread must call session_proceed again. */
    void (*resume)(struct session_use *session);
    /* Whether the request should stop; the failure says why. */
    bool (*stops)(struct session_use *session);
};

/* The largest answer that is stored with a session, so that its step can be repeated. */
enum { SESSION_ANSWER_BYTES = 1 << 20 };

/* The session of a prediction; without an id if the prediction has no session. */
struct session_use {
    /* the prediction's, borrowed */
    const struct session_user *user;
    struct session_store *store; /* NULL outside a server */
    struct turns *turns;
    struct turn *turn; /* the caller sets go and deadline_ns */
    struct memory_share *memory;
    struct batch *batch;
    struct failure *failure;
    const char *owner; /* the name of the request's key, which has its own sessions; "" without keys */
    bool forbidden;    /* the key does not have the scope sessions */
    bool streams;      /* the answer is a stream, so parts of it may have been sent */

    char id[SESSION_ID_BYTES];         /* "" if there is none */
    char stored[SESSION_STORED_BYTES]; /* the id with the owner, for the store and for turns */
    enum { SESSION_PREDICT, SESSION_SHOW, SESSION_PUT, SESSION_DROP } action;
    int reset;       /* 1: reset the states to zeros */
    int64_t step;    /* the number of steps that the client expects to be applied; -1 if not given */
    bool must_start; /* a new session requires reset, as sequences of the Open Inference Protocol do */
    int end;         /* 1: the session ends with this request */

    /* the phase of the request */
    enum {
        SESSION_COMES,
        SESSION_IN_TURN,
        SESSION_TAKEN,
        SESSION_RAN,
        SESSION_ANSWERED,
        SESSION_KEPT,
        SESSION_RENEWED
    } phase;
    struct session_record *record; /* a use of the stored record: the one before the step, after storing the new one */
    size_t held;                   /* the bytes of `record` in the request's share of memory */
    struct session_op op;
    unsigned conflicts;
};

enum session_verdict {
    SESSION_RUNS,    /* the caller runs the rows from the batch's states, and then calls session_proceed again */
    SESSION_ANSWERS, /* the caller writes the answer before its states are stored, and then calls session_proceed
                        again */
    SESSION_WAITS,   /* user->resume will be called, perhaps already; the caller must not use the prediction any more */
    SESSION_REPLAYS, /* finished: the stored answer is in the batch */
    SESSION_OVER,    /* finished: the answer or the failure can be written */
};

/* Advance a prediction with a session until it must wait or run. If it returns SESSION_RUNS or SESSION_REPLAYS a second
   time, the earlier answer is invalid, because a step of another replica was stored first. */
enum session_verdict session_proceed(struct session_use *session);

/* Call when the prediction has ended, successfully or not. */
void session_close(struct session_use *session);

/* The id of a session for the store and for turns: it begins with the owner's name. */
void session_stored_id(const char *owner, const char *id, char out[SESSION_STORED_BYTES]);

/* For protocols. Initialises the session buffer, a char[SESSION_ID_BYTES], into which "session" is read. */
#define SESSION_UNSAID "\1"
bool session_name(struct session_use *session, const char *id);
/* Check the session buffer after the body has been read. has_states: the request has initial states. */
bool session_check(struct session_use *session, const struct model *model, bool has_states);

/* Load the record of SESSION_SHOW into the batch's states. model is the model with the record's name, or NULL. */
bool session_show(struct session_use *session, const struct model *model);

/* Write '"session": …, "step": …, ' into an answer, if there is a session. */
void session_write(const struct session_use *session, struct buffer *out);

#endif
