/* Roll-out: a model's output is its next input. */
#ifndef SERVER_RUN_ROLLOUT_H
#define SERVER_RUN_ROLLOUT_H

#include "server/codec/json_reader.h"
#include "server/codec/raw_values.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prediction;
struct feature_source;

/* The options of a roll-out, and its state. */
struct rollout {
    int64_t steps; /* -1: none */
    /* where outputs are probabilities of tokens; -1: not said */
    double temperature;
    int64_t top_k, seed;
    struct body_span known_text; /* features of the future, by name */

    bool tokens;
    uint64_t random; /* the seed, the client's or one of ours */
    float *
        feedback; /* [rows][features] the next inputs (ids count as one feature), held by the request's share of memory */
    float *largest; /* [top_k], likewise */
    size_t feedback_floats;
    struct feature_source *sources; /* [features] where each comes from; of numbers alone */
    struct json_tensor *known;      /* [features] likewise, or NULL */
    struct raw_reading known_as;
};

/* For protocols, after the inputs are bound: check the options, and set up the batch. Returns true if the request has
   no roll-out. */
bool rollout_bind(struct prediction *p);

/* The i-th output of row b has come (the model's output.width floats): it becomes the row's next input. Returns what the
   client gets, batch->output.width floats: the same, or the token that was sampled. NULL with p->failure set when there are
   no such probabilities. */
const float *rollout_take(struct prediction *p, size_t b, size_t i, const float *output);

void rollout_close(struct prediction *p);

#endif
