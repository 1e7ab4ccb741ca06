/* Fuzz target: a request of the Open Inference Protocol or of TensorFlow Serving, or a NumPy array, up to the
   computation, and its answer. The first byte gives the kind, and the length of the JSON. */
#include "fuzz.h"
#include "model.h"

#include "server/api/handlers.h"
#include "server/api/predict_npy.h"
#include "server/run/prediction_inputs.h"
#include "server/run/prediction_session.h"
#include "server/run/services.h"

#include <stdlib.h>
#include <string.h>

int fuzz_inference(const unsigned char *data, size_t size)
{
    static const struct settings settings = {
        .max_rows = 64, .max_timesteps = 64, .max_response_bytes = 1 << 16, .max_body_bytes = 1 << 16};
    static struct memory memory = {.limit = 1 << 20};
    static const struct services services = {.settings = &settings, .memory = &memory};
    const unsigned char kind = size ? data[0] : 0;
    if (size) {
        data++;
        size--;
    }
    struct model *model = (struct model *)(uintptr_t)fuzz_model();
    struct request request = {.services = &services, .head = {.query = ""}, .model = model};
    request.memory.memory = &memory;
    request.answer.buffer = (struct buffer){.limit = 1 << 16, .share = &request.memory};
    request.body = malloc(size + 1);
    memcpy(request.body, data, size);
    request.body[size] = 0;
    request.body_bytes = size;
    request.head.has_json_bytes = kind & 4;
    request.head.json_bytes = kind >> 3 < 31 ? (size_t)(kind >> 3) * 8 : size;
    struct prediction p = {.request = &request, .finite = true, .return_sequences = -1};
    p.session = prediction_session(&p);
    const struct protocol *protocol = kind & 1 ? &protocol_tf_serving : &protocol_open_inference;
    bool good;
    if (kind & 2)
        good = predict_npy_read(&p) && prediction_bind(&p, "instances", "", false, kind & 1);
    else
        good = protocol->decode(&p);
    if (!good && (!p.failure.status || !p.failure.code || !p.failure.text[0]))
        abort(); /* a failure must have a status, a code and a text */
    if (good && p.batch.outputs_floats) {
        memset(p.batch.outputs, 0, p.batch.outputs_floats * sizeof *p.batch.outputs);
        if (kind & 2)
            predict_npy_write(&p);
        else
            protocol->encode(&p);
    }
    if (protocol->close)
        protocol->close(&p);
    batch_close(&p.batch);
    prediction_close_named(&p);
    json_tensor_close(&p.inputs, &request.memory);
    json_tensor_close(&p.states, &request.memory);
    json_tensor_close(&p.mask, &request.memory);
    buffer_close(&request.answer.buffer);
    free(request.body);
    if (request.memory.bytes || memory.used)
        abort(); /* memory was not released */
    return 0;
}

FUZZ_TARGET(fuzz_inference)
