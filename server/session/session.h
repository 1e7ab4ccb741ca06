/* What a request does with a session: its states are taken before its rows run, and put back afterwards. */
#ifndef SERVER_SESSION_SESSION_H
#define SERVER_SESSION_SESSION_H

#include "server/base/failure.h"
#include "session_store.h"

struct prediction;
struct request;

/* Largest answer that is kept with a session, so that its step can be repeated. */
enum { SESSION_ANSWER_BYTES = 1 << 20 };

/* Of a prediction; all zeros where it has none. */
struct session_use {
    char id[SESSION_ID_BYTES]; /* "": none */
    enum { SESSION_PREDICT, SESSION_SHOW, SESSION_PUT, SESSION_DROP } action;
    int reset;       /* 1: start again from zeros */
    int64_t step;    /* requests that the client knows to be applied; -1: it does not say */
    bool must_start; /* a new session has to be asked for with reset: sequences of the Open Inference Protocol */
    int end;         /* 1: it is over with this request */

    /* how far it is */
    enum { SESSION_COMES, SESSION_IN_TURN, SESSION_TAKEN, SESSION_RAN, SESSION_KEPT } phase;
    struct session_record *record; /* what was stored before; once it is kept, what is now; a use */
    size_t held;                   /* bytes of it, of the request's share of memory */
    struct session_op op;
    unsigned conflicts;
};

enum session_verdict {
    SESSION_RUNS,  /* the rows are to run; call session_proceed again afterwards */
    SESSION_WAITS, /* its task will be queued again; it may be already, so the prediction must not be touched */
    SESSION_OVER,  /* the answer, or p->failure, is ready to be written */
};

/* Take a prediction with a session as far as it goes now. */
enum session_verdict session_proceed(struct prediction *p);

/* The prediction is over, whatever has become of it. */
void session_close(struct prediction *p);

/* For the I/O thread, when a request is whole: if it shows which session it is of, it comes before those of that session
   which follow. */
void session_arrive(struct request *request);

/* For protocols. What stands where "session" will be read to, a char[SESSION_ID_BYTES]; then what has been read there. */
#define SESSION_UNSAID "\1"
bool session_name(struct prediction *p, const char *id);
/* Once p->session has been filled: check it. */
bool session_check(struct prediction *p);

/* Write '"session": …, "step": …, ' of an answer, where there is a session. */
void session_write(const struct prediction *p, struct buffer *out);

#endif
