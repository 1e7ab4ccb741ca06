/* Fuzz target: transforms. Reads the JSON for several kinds of models, and applies the transform to numbers and
   texts. */
#include "fuzz.h"

#include "config/json_memory.h"
#include "config/transform/transform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct transform_port inputs[] = {
    {.name = "history", .width = 2, .timesteps = 3, .sequence = true},
    {.name = "words", .width = 1, .vocabulary = 100, .sequence = true},
};
static const struct transform_port outputs[] = {
    {.name = "y", .width = 1, .sigmoid = true, .probability = true},
    {.name = "classes", .width = 2},
};

static void use(const struct transform *t, const char *text, size_t bytes)
{
    volatile double sum = 0;
    double ids[8];
    for (size_t i = 0; i < t->n_inputs; i++)
        for (size_t k = 0; k < t->inputs[i].scaler.n; k++)
            sum += rnn_scaler_apply(&t->inputs[i].scaler, k, 0.5) + rnn_scaler_invert(&t->inputs[i].scaler, k, 0.5);
    if (t->tokenizer.n && tokenizer_ids(&t->tokenizer, text, bytes, ids, 8))
        for (size_t i = 0; i < 8; i++)
            sum += tokenizer_word(&t->tokenizer, (uint32_t)i)[0];
    if (!t->shown || sum == 0.123456789)
        abort();
}

/* The first byte chooses the inputs and outputs of the model. */
int fuzz_transform(const unsigned char *data, size_t size)
{
    const struct transform_place place = {{"transform.json", NULL}, "/nonexistent"};
    if (!size)
        return 0;
    const struct transform_ports ports = {inputs + (data[0] & 1), outputs + (data[0] >> 1 & 1),
                                          1 + ((data[0] & 5) == 4), 1 + ((data[0] & 10) == 8)};
    json_t *json = json_memory_load((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    struct problems problems = {.n_errors = 0};
    struct transform transform;
    if (json && transform_read(json, &place, &ports, &problems, &transform)) {
        if (problems.all_errors)
            abort();
        use(&transform, (const char *)data, size);
        transform_close(&transform);
    } else if (json && !problems.all_errors) {
        abort(); /* a refusal must have an error message */
    }
    json_decref(json);
    problems_close(&problems);
    return 0;
}

FUZZ_TARGET(fuzz_transform)
