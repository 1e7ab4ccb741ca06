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
    /* options for outputs that are probabilities of tokens; -1: not given */
    double temperature;
    int64_t top_k, seed;
    struct body_span known_text; /* known features of future timesteps, by name */

    bool tokens;
    uint64_t random; /* the seed: the client's, or a random one */
    float
        *feedback;  /* [rows][features]: the next inputs (ids count as one feature), in the request's share of memory */
    float *largest; /* [top_k], in the request's share of memory */
    size_t feedback_floats;
    struct feature_source *sources; /* [features]: the source of each feature; not for tokens */
    struct json_tensor *known;      /* [features]: the known values, or NULL */
    struct raw_reading known_as;
};

/* For protocols, after the inputs are bound: check the options, and set up the batch. Returns true if the request has
   no roll-out. */
bool rollout_bind(struct prediction *p);

/* Take the i-th output of row b (the model's output.width floats); it becomes the row's next input. Returns the values
   for the client, batch->output.width floats: the same, or the sampled token. Returns NULL with p->failure set if the
   output is not a valid distribution. */
const float *rollout_take(struct prediction *p, size_t b, size_t i, const float *output);

void rollout_close(struct prediction *p);

#endif
