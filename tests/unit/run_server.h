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

/* Serve a model: `units` numbers, each the sum of all inputs so far (a linear SimpleRNN); it takes one feature. backwards:
   it starts at the last timestep, so its rows cannot run in chunks. */
struct model *run_server_sums(struct run_server *s, const char *name, size_t units, bool backwards);

/* Serve a model of four tokens, whose probabilities for the next one are softmax(scores[token]). */
struct model *run_server_tokens(struct run_server *s, const char *name, const float scores[4][4]);

/* A request, and what has become of it. */
struct run_request {
    struct request request;
    atomic_int done, wakes;
    size_t n_outputs; /* of which the first RUN_OUTPUTS are kept */
    float outputs[RUN_OUTPUTS];
};

/* A POST of this body: {"instances": …, "model": …, "return_sequences": …, "rollout": {…}}. */
void run_request_open(struct run_request *r, struct run_server *s, const char *body);
void run_request_close(struct run_request *r);

/* Decode it; the test fails where there is nothing to run. */
struct prediction *run_request_decode(struct run_request *r, struct run_server *s);

/* {"instances": [rows of ones, of these lengths], "return_sequences": …}; the caller frees it. */
char *run_body_of_ones(size_t n, const size_t *lengths, bool sequences);

/* The code of the error that was answered, or "". */
const char *run_error(const struct run_request *r);

#endif
