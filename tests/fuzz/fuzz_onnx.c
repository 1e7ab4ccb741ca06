/* Fuzz target: ONNX files, from their bytes to a built model: protobuf, graph, folding, layers. */
#include "fuzz.h"
#include "tests/handover.h"

#include "config/files/onnx_file.h"
#include "config/onnx/onnx_model.h"
#include "config/weights.h"

#include <stdlib.h>
#include <string.h>

/* Make the tensors that the server would read from the handover. */
static void take(const struct handover *out, struct tensor_set *set)
{
    static const struct {
        const char *name;
        enum tensor_type type;
    } types[] = {{"F32", TENSOR_F32}, {"F64", TENSOR_F64}, {"F16", TENSOR_F16}, {"BF16", TENSOR_BF16},
                 {"I32", TENSOR_I32}, {"I64", TENSOR_I64}, {"U8", TENSOR_U8}};
    set->tensors = calloc(out->n + 1, sizeof *set->tensors);
    for (; set->tensors && set->n < out->n; set->n++) {
        const struct handover_tensor *from = &out->tensors[set->n];
        struct named_tensor *to = &set->tensors[set->n];
        *to = (struct named_tensor){.name = from->name, .type_name = (char *)(uintptr_t)from->type, .rank = from->rank};
        to->data = from->data;
        to->elements = 1;
        memcpy(to->shape, from->shape, sizeof to->shape);
        for (size_t i = 0; i < to->rank; i++)
            to->elements *= to->shape[i];
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            if (!strcmp(types[i].name, from->type))
                to->type = types[i].type;
    }
}

static void build(const struct handover *out)
{
    struct tensor_set set = {.n = 0}, converted;
    struct problems problems = {.n_errors = 0};
    struct keras_model config;
    struct onnx_memory memory;
    struct digest digest = {{0}};
    json_t *constants = json_pack("{s:i}", "sr", 16000), *states = json_pack("{s:s}", "state", "stateN");
    const char *text = json_string_value(json_object_get(out->metadata, "onnx"));
    json_t *json = json_pack("{s:o}", "onnx", text ? json_loads(text, 0, NULL) : NULL);
    take(out, &set);
    for (int tied = 0; json && tied < 2; tied++) {
        const struct onnx_options options = {
            .constants = constants, .states = tied ? states : NULL, .input_size = 8, .where = ""};
        bool good = onnx_model_read(json, "f", &set, &options, &problems, &config, &converted, &memory);
        if (good) {
            good = weights_build(&config, &converted, NAMED_BY_PATH, 0, 0, &vec_c, &digest, (struct place){"f", NULL},
                                 &problems);
            keras_model_close(&config);
            tensor_set_close(&converted);
            onnx_memory_free(&memory);
        }
        if (!good && !problems.n_errors)
            abort(); /* a refusal must have an error message */
        problems_close(&problems);
    }
    free(set.tensors);
    json_decref(json);
    json_decref(constants);
    json_decref(states);
}

int fuzz_onnx(const unsigned char *data, size_t size)
{
    struct handover out = {.limit = 1 << 20};
    unsigned char *copy = malloc(size + !size); /* of the exact size, so that sanitizers detect a read beyond its end */
    if (size)
        memcpy(copy, data, size);
    bool good = onnx_read(&out, copy, size);
    if (good != !out.error[0])
        abort();
    if (good)
        build(&out);
    handover_release(&out);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_onnx)
