/* A server with models for tests of sessions, and helpers that read its answers. */
#ifndef TESTS_E2E_SESSIONS_H
#define TESTS_E2E_SESSIONS_H

#include "e2e.h"

/* Models with cells of every class, with masks from the request and from a layer, and with several recurrent layers. */
static const char models[] =
    "{\"models\": ["
    "{\"name\": \"simple\", \"input_size\": 2, \"layer\": {\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 3}}},"
    "{\"name\": \"lstm\", \"input_size\": 2, \"layer\": {\"class_name\": \"RNN\", \"config\": {\"cell\": "
    "{\"class_name\": "
    "\"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 5}}, "
    "{\"class_name\": \"GRUCell\", \"config\": {\"units\": 4}}]}}}}},"
    "{\"name\": \"zeros\", \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 4, "
    "\"zero_output_for_mask\": true, \"return_sequences\": true}}},"
    "{\"name\": \"chain\", \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": "
    "\"InputLayer\", \"config\": {\"batch_input_shape\": [null, null, 2]}}, {\"class_name\": \"Masking\", \"config\": "
    "{\"mask_value\": 0.5}}, {\"class_name\": \"LSTM\", \"config\": {\"units\": 4, \"return_sequences\": true}}, "
    "{\"class_name\": \"GRU\", \"config\": {\"units\": 3}}, {\"class_name\": \"Dense\", \"config\": {\"units\": "
    "2}}]}}},"
    "{\"name\": \"rare\", \"precision\": \"bf16\", \"input_size\": 2, \"layer\": {\"class_name\": \"RNN\", \"config\": "
    "{\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": \"PeepholeLSTMCell\", "
    "\"config\": {\"units\": 3}}, {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": "
    "\"LayerNormLSTMCell\", \"config\": {\"units\": 4}}, {\"class_name\": \"GRUCell\", \"config\": {\"units\": 5, "
    "\"reset_after\": false}}]}}]}}}}},"
    "{\"name\": \"both\", \"input_size\": 2, \"layer\": {\"class_name\": \"Bidirectional\", \"config\": {\"layer\": "
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}}}}]%s}";

static void start(struct daemon *server, const char *more)
{
    static char config[4096];
    snprintf(config, sizeof config, models, more);
    daemon_start(server, config, NULL);
}

/* The part of an answer from a key to its end: states, or outputs and states. */
static const char *from_key(const struct reply *reply, const char *key)
{
    const char *at = reply->body ? strstr(reply->body, key) : NULL;
    if (reply->status != 200 || !at)
        fail_msg("status %ld: %.300s", reply->status, reply->body ? reply->body : "");
    return at;
}

#endif
