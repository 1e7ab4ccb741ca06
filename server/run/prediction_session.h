/* Predictions with a session: the part of run/. */
#ifndef SERVER_RUN_PREDICTION_SESSION_H
#define SERVER_RUN_PREDICTION_SESSION_H

#include "prediction.h"

/* The session of a new prediction, without an id yet. */
struct session_use prediction_session(struct prediction *p);

/* Advance a prediction with a session until it must wait or run: SESSION_RUNS, SESSION_WAITS or SESSION_OVER. */
enum session_verdict prediction_proceed(struct prediction *p);

/* turn->go of a request: its turn has come. */
void prediction_turn_came(struct turn *turn);

#endif
