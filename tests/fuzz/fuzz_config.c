/* Fuzz target: configurations of models: layers, graphs, cells. Tensors of an accepted model have a name and a rank. */
#include "fuzz.h"

#include "config/keras/model.h"
#include "config/keras/text.h"

#include <stdlib.h>
#include <string.h>

static const char *some_words(const void *context, const char *layer)
{
    (void)context;
    return strchr(layer, '1') ? NULL : "\n[UNK]\nthe";
}

int fuzz_config(const unsigned char *data, size_t size)
{
    struct keras_model config;
    struct problems problems = {.n_errors = 0};
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    json_t *transform = NULL;
    if (json && keras_text_take(json, (struct place){"f", ""}, some_words, NULL, &problems, &transform) &&
        keras_model_read(json, "f", "", NULL, &problems, &config)) {
        if (!config.model.n_layers)
            abort();
        struct layer_shape shapes[GRAPH_MAX_INPUTS], out;
        for (size_t i = 0; i < config.model.n_layers; i++) {
            struct layer_tensor tensor;
            const size_t node = graph_node_of(&config.model, i);
            if (node == config.model.n_nodes) /* no output depends on this layer */
                continue;
            if (graph_node_shapes(&config.model, node, NULL, shapes, &out, NULL))
                break;
            for (size_t t = 0; layer_tensor_at(&config.model.layers[i], shapes, t, &tensor); t++)
                if (!tensor.rank || !tensor.name[0])
                    abort();
        }
        keras_model_close(&config);
    } else if (json && !problems.n_errors) {
        abort(); /* a refusal must have an error message */
    }
    json_decref(transform);
    json_decref(json);
    problems_close(&problems);
    return 0;
}

FUZZ_TARGET(fuzz_config)
