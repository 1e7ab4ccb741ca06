/* The steps of a request in a session: its states are loaded before its rows run, and stored afterwards. */
#ifndef SERVER_SESSION_SESSION_H
#define SERVER_SESSION_SESSION_H

#include "server/base/failure.h"
#include "server/base/memory.h"
#include "server/codec/batch.h"
#include "session_store.h"
#include "turns.h"

struct session_use;

/* Callbacks of a session to the request that uses it. */
struct session_user {
    /* The awaited event has happened: another thread must call session_proceed again. */
    void (*resume)(struct session_use *session);
    /* Whether the request should stop; the failure says why. */
    bool (*stops)(struct session_use *session);
};

/* Largest answer that is kept with a session, so that its step can be repeated. */
enum { SESSION_ANSWER_BYTES = 1 << 20 };

/* Of a prediction; without an id where the prediction has none. */
struct session_use {
    /* the prediction's, borrowed */
    const struct session_user *user;
    struct session_store *store; /* NULL: there are no sessions */
    struct turns *turns;
    struct turn *turn; /* its go and deadline_ns are set */
    struct memory_share *memory;
    struct batch *batch;
    struct failure *failure;
    const char *owner; /* name of the request's key, whose sessions are its own; "": there are no keys */
    bool forbidden;    /* that key may have no sessions */
    bool streams;      /* the answer goes out as it is made: it cannot be taken back */

    char id[SESSION_ID_BYTES];         /* "": none */
    char stored[SESSION_STORED_BYTES]; /* where there is an owner: the id for the store and for turns */
    enum { SESSION_PREDICT, SESSION_SHOW, SESSION_PUT, SESSION_DROP } action;
    int reset;       /* 1: start again from zeros */
    int64_t step;    /* requests that the client knows to be applied; -1: it does not say */
    bool must_start; /* a new session has to be asked for with reset: sequences of the Open Inference Protocol */
    int end;         /* 1: it is over with this request */

    /* how far it is */
    enum {
        SESSION_COMES,
        SESSION_IN_TURN,
        SESSION_TAKEN,
        SESSION_RAN,
        SESSION_ANSWERED,
        SESSION_KEPT,
        SESSION_RENEWED
    } phase;
    struct session_record *record; /* what was stored before; once it is kept, what is now; a use */
    size_t held;                   /* bytes of it, of the request's share of memory */
    struct session_op op;
    unsigned conflicts;
};

enum session_verdict {
    SESSION_RUNS,    /* the rows are to run from the batch's states; call session_proceed again afterwards */
    SESSION_ANSWERS, /* the answer is to be written, before its states are stored; then call session_proceed again */
    SESSION_WAITS,   /* user->resume will be called; it may be already, so the prediction must not be touched */
    SESSION_REPLAYS, /* over: the stored answer is in the batch */
    SESSION_OVER,    /* the answer, or the failure, is ready to be written */
};

/* Advance a prediction with a session until it must wait or run. If SESSION_RUNS or SESSION_REPLAYS comes again, the
   earlier answer is void: another replica's step came first. */
enum session_verdict session_proceed(struct session_use *session);

/* The prediction has ended, successfully or not. */
void session_close(struct session_use *session);

/* The id of a session for the store and for turns: the owner's name comes first. */
void session_stored_id(const char *owner, const char *id, char out[SESSION_STORED_BYTES]);

/* For protocols. Initialises the session buffer, a char[SESSION_ID_BYTES], into which "session" is read. */
#define SESSION_UNSAID "\1"
bool session_name(struct session_use *session, const char *id);
/* Once it has been filled: check it. has_states: the request brings initial states of its own. */
bool session_check(struct session_use *session, const struct model *model, bool has_states);

/* The record of SESSION_SHOW becomes the batch's states; model: the one of the record's name, or NULL. */
bool session_show(struct session_use *session, const struct model *model);

/* Write '"session": …, "step": …, ' of an answer, where there is a session. */
void session_write(const struct session_use *session, struct buffer *out);

#endif
