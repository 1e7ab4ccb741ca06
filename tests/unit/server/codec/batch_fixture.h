/* Fixture of the tests of batch_bind.c and batch_write.c: a model, a body, and the batch made from both. */
#ifndef TESTS_BATCH_FIXTURE_H
#define TESTS_BATCH_FIXTURE_H

#include "server/codec/batch_bind.h"
#include "server/codec/batch_write.h"
#include "server/codec/json_reader.h"
#include "tests/unit/unit.h"

#include <jansson.h>

/* Over 2 features: SimpleRNN(1), then a stack of LSTM(2) and GRU(1). */
#define NESTED                                                                                                         \
    "{'class_name': 'RNN', 'config': {'return_sequences': true, 'cell': ["                                             \
    "{'class_name': 'SimpleRNNCell', 'config': {'units': 1}}, {'class_name': 'StackedRNNCells', 'config': {'cells': [" \
    "{'class_name': 'LSTMCell', 'config': {'units': 2}}, {'class_name': 'GRUCell', 'config': {'units': 1}}]}}]}}"
#define LSTM "{'class_name': 'LSTM', 'config': {'units': 2, 'return_sequences': true}}"
#define GRU "{'class_name': 'GRU', 'config': {'units': 2, 'return_sequences': false}}"
#define TIME_MAJOR                                                                                                     \
    "{'class_name': 'RNN', 'config': {'time_major': true, 'return_sequences': true, 'cell': "                          \
    "{'class_name': 'SimpleRNNCell', 'config': {'units': 2}}}}"
#define SEQUENTIAL(layers) "{'class_name': 'Sequential', 'config': {'name': 's', 'layers': [" layers "]}}"
#define INPUT(shape) "{'class_name': 'InputLayer', 'config': {'batch_input_shape': " shape "}}, "
#define DENSE SEQUENTIAL(INPUT("[null, 3]") "{'class_name': 'Dense', 'config': {'name': 'd', 'units': 2}}")
/* A vocabulary of 5. */
#define IDS                                                                                                            \
    SEQUENTIAL(INPUT("[null, null]") "{'class_name': 'Embedding', 'config': {'name': 'e', 'input_dim': 5, "            \
                                     "'output_dim': 3}}, {'class_name': 'SimpleRNN', 'config': {'name': 'r', "         \
                                     "'units': 2}}")
/* A GRU(2), then LSTM(1) forward and LSTM(1) backward with separate outputs. */
#define TWO_OUTPUTS                                                                                                    \
    SEQUENTIAL(INPUT(                                                                                                  \
        "[null, null, 2]") "{'class_name': 'GRU', 'config': {'name': 'g', 'units': 2, 'return_sequences': true}}, "    \
                           "{'class_name': 'Bidirectional', 'config': {'name': 'b\\\"', 'merge_mode': null, 'layer': " \
                           "{'class_name': 'LSTM', 'config': {'name': 'l', 'units': 1, 'return_sequences': true}}}}")

struct batch_fixture {
    struct memory memory;
    struct memory_share share;
    struct model model;
    struct json_tensor inputs, mask, states;
    struct batch batch; /* batch_fixture_bind keeps fields that the test has set */
    struct batch_limits limits;
    struct failure failure;
    const char *key; /* key of the inputs */
    json_t *layer;
    struct model_entry entry;
};

/* A copy of the text with " for its '. */
static inline char *batch_fixture_quotes(const char *text)
{
    char *copy = strdup(text);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return copy;
}

static inline void batch_fixture_open(struct batch_fixture *f, const char *text, size_t features)
{
    char *quoted = batch_fixture_quotes(text);
    struct problems problems = {.n_errors = 0};
    *f = (struct batch_fixture){.memory = {.limit = 1 << 24}, .limits = {8, 100, 1 << 16}, .key = "instances"};
    f->share.memory = &f->memory;
    f->layer = json_loads(quoted, 0, NULL);
    free(quoted);
    assert_non_null(f->layer);
    f->entry = (struct model_entry){
        .name = (char *)"m", .layer = f->layer, .where = (char *)"", .input_size = features, .seed = 1};
    if (!model_load(&f->entry, NULL, &vec_c, &problems, &f->model))
        fail_msg("%s", problems.errors[0]);
    problems_close(&problems);
    f->batch.sequences = f->model.graph.return_sequences;
}

/* Drop the body; asserts that all its memory was released. */
static inline void batch_fixture_clear(struct batch_fixture *f)
{
    batch_close(&f->batch);
    json_tensor_close(&f->inputs, &f->share);
    json_tensor_close(&f->mask, &f->share);
    json_tensor_close(&f->states, &f->share);
    assert_int_equal(f->share.bytes, 0);
    f->batch.sequences = f->model.graph.return_sequences;
    f->failure = (struct failure){.status = 0};
}

static inline void batch_fixture_close(struct batch_fixture *f)
{
    batch_fixture_clear(f);
    model_close(&f->model);
    json_decref(f->layer);
}

/* Read {"x": …, "mask": …, "initial_state": …}; x are the inputs. */
static inline void batch_fixture_read(struct batch_fixture *f, const char *text)
{
    const struct body_key keys[] = {{"x", BODY_NUMBERS, &f->inputs},
                                    {"mask", BODY_BOOLEANS, &f->mask},
                                    {"initial_state", BODY_NUMBERS, &f->states},
                                    {NULL, BODY_TEXT, NULL}};
    char *quoted = batch_fixture_quotes(text);
    struct json_body body = {.text = quoted, .bytes = strlen(quoted), .share = &f->share};
    if (!json_body_read(&body, keys, &f->failure))
        fail_msg("%s: %s", text, f->failure.text);
    free(quoted);
}

/* Bind the body as a prediction does. */
static inline bool batch_fixture_bind(struct batch_fixture *f, const char *text)
{
    batch_fixture_read(f, text);
    f->batch.model = &f->model;
    f->batch.share = &f->share;
    return batch_bind_inputs(&f->batch, &f->inputs, f->key, &f->limits, &f->failure) &&
           batch_bind_mask(&f->batch, &f->mask, &f->failure) &&
           batch_bind_states(&f->batch, &f->states, "initial_state", &f->failure) &&
           batch_bind_outputs(&f->batch, &f->limits, &f->failure);
}

static inline void batch_fixture_must_bind(struct batch_fixture *f, const char *text)
{
    if (!batch_fixture_bind(f, text))
        fail_msg("%s: %s at \"%s\": %s", text, f->failure.code, f->failure.path, f->failure.text);
}

#endif
