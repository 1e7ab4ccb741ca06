/* A server without HTTP for the tests of server/run: small models in memory, and a protocol that keeps the outputs. */
#ifndef TESTS_RUN_SERVER_H
#define TESTS_RUN_SERVER_H

#include "server/base/clock.h"
#include "server/run/prediction.h"
#include "server/run/server.h"
#include "server/run/stream.h"
#include "tests/unit/unit.h"

enum { RUN_MODELS = 2, RUN_OUTPUTS = 64 };

struct run_server {
    struct settings settings;
    struct server server;
    struct model_entry entries[RUN_MODELS];
    struct worker worker; /* for tests that run chunks themselves */
};

void run_server_open(struct run_server *s);
void run_server_close(struct run_server *s);

/* Serve a model of one feature, a linear SimpleRNN: each of its `units` outputs is the sum of all inputs so far. If
   `backwards`, it starts at the last timestep, so its rows cannot run in chunks. */
struct model *run_server_sums(struct run_server *s, const char *name, size_t units, bool backwards);

/* Serve a model of four tokens. The probabilities of the next token are softmax(scores[token]). */
struct model *run_server_tokens(struct run_server *s, const char *name, const float scores[4][4]);

/* A request and its result. */
struct run_request {
    struct request request;
    atomic_int done, wakes;
    size_t n_outputs; /* `outputs` has the first RUN_OUTPUTS of them */
    float outputs[RUN_OUTPUTS];
};

/* The run_request that contains the request. */
struct run_request *run_request_of(struct request *request);

/* Initialises a POST with this body: {"instances": …, "model": …, "return_sequences": …, "rollout": {…}}. */
void run_request_open(struct run_request *r, struct run_server *s, const char *body);
void run_request_close(struct run_request *r);

/* Decodes the request; the test fails if it cannot be run. */
struct prediction *run_request_decode(struct run_request *r, struct run_server *s);

/* Returns {"instances": [rows of ones, of these lengths], "return_sequences": …}; the caller frees the text. */
char *run_body_of_ones(size_t n, const size_t *lengths, bool sequences);

/* The error code of the answer, or "". */
const char *run_error(const struct run_request *r);

#endif
