/* Fuzz target: the bytes that a compromised load helper could hand to the server (tensors and configuration), up to a
   built model. */
#include "fuzz.h"

#include "config/torch/torch_model.h"
#include "config/weights.h"

#include <stdlib.h>

static void build(struct tensor_set *set, const json_t *json, struct problems *problems)
{
    struct tensor_set converted = {.n = 0};
    struct digest digest = {{0}};
    struct keras_model config;
    bool torch = torch_is(json);
    bool good = torch ? torch_model_read(json, "f", set, "f", problems, &config, &converted)
                      : keras_model_read(json, "f", "", tensor_set_text(set, "keras_version"), problems, &config);
    if (good) {
        good = weights_build(&config, torch ? &converted : set, torch ? NAMED_BY_PATH : tensor_naming_of(set), 0, 0,
                             &vec_c, &digest, (struct place){"f", NULL}, problems);
        if (good && (!config.model.outputs[0].shape.width || graph_parameters(&config.model) > 1 << 24))
            abort(); /* more weights than the file can contain */
        keras_model_close(&config);
    }
    if (!good && !problems->n_errors)
        abort();
    tensor_set_close(&converted);
}

int fuzz_handover(const unsigned char *data, size_t size)
{
    struct tensor_set set = {.n = 0};
    struct problems problems = {.n_errors = 0};
    if (safetensors_parse(&set, data, size, "f", &problems)) {
        const char *text = tensor_set_text(&set, "config");
        json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
        if (json)
            build(&set, json, &problems);
        json_decref(json);
        tensor_set_close(&set);
    }
    problems_close(&problems);
    return 0;
}

FUZZ_TARGET(fuzz_handover)
