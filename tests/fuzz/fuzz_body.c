/* Fuzz target: a body of /predict is read and bound to a nested model, as a worker does before it computes. `make fuzz`
   runs it with libFuzzer; test_fuzz_corpus runs it on the corpus. */
#include "fuzz.h"
#include "model.h"

#include "server/codec/batch_bind.h"
#include "server/codec/batch_write.h"
#include "server/codec/json_reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int fuzz_body(const unsigned char *data, size_t size)
{
    struct memory memory = {.limit = 1 << 20};
    struct memory_share share = {.memory = &memory};
    struct json_tensor inputs = {.values = NULL}, states = {.values = NULL}, mask = {.values = NULL};
    char name[BODY_TEXT_BYTES] = "", session[BODY_TEXT_BYTES] = "", *text = malloc(size + 1);
    int flag = -1;
    int64_t count = -1;
    struct failure failure = {.status = 0};
    const struct body_key keys[] = {{"instances", BODY_NUMBERS, &inputs}, {"initial_state", BODY_NUMBERS, &states},
                                    {"mask", BODY_BOOLEANS, &mask},       {"model", BODY_TEXT, name},
                                    {"return_state", BODY_BOOL, &flag},   {"batch_size", BODY_COUNT, &count},
                                    {"session", BODY_ID, session},        {NULL, BODY_TEXT, NULL}};
    const struct batch_limits limits = {64, 64, 1 << 16};
    struct batch batch = {.model = fuzz_model(), .share = &share, .sequences = flag > 0};
    memcpy(text, data, size);
    text[size] = 0;
    struct json_body body = {.text = text, .bytes = size, .share = &share};
    if (json_body_read(&body, keys, &failure) && batch_bind_inputs(&batch, &inputs, "instances", &limits, &failure) &&
        batch_bind_mask(&batch, &mask, &failure) && batch_bind_states(&batch, &states, "initial_state", &failure) &&
        batch_bind_outputs(&batch, &limits, &failure)) {
        bool finite = true;
        struct buffer out = {.limit = 1 << 20, .share = &share};
        batch_write_states(&batch, &out, &finite);
        if (!body.nonfinite_at && !finite)
            abort(); /* JSON has only finite numbers */
        buffer_close(&out);
    } else if (!failure.status || !failure.code || !failure.text[0]) {
        abort(); /* a failure must have a status, a code and a text */
    }
    batch_close(&batch);
    json_tensor_close(&inputs, &share);
    json_tensor_close(&states, &share);
    json_tensor_close(&mask, &share);
    free(text);
    if (share.bytes || memory.used)
        abort(); /* memory was not released */
    return 0;
}

FUZZ_TARGET(fuzz_body)
