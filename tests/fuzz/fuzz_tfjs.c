/* Fuzz target: models of TensorFlow.js. The input is a model.json, a zero byte, and the bytes of the shard "s" beside
   it. */
#include "fuzz.h"

#include "config/json_memory.h"
#include "config/tfjs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/cellserve-fuzz-XXXXXX";

static void remove_folder(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/s", folder);
    remove(path);
    remove(folder);
}

/* Write the shard; `path` is that of a model.json beside it. */
static void write_shard(const unsigned char *data, size_t size, char *path, size_t path_size)
{
    static bool made;
    if (!made && (!mkdtemp(folder) || atexit(remove_folder)))
        abort();
    made = true;
    snprintf(path, path_size, "%s/s", folder);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        abort();
    snprintf(path, path_size, "%s/model.json", folder);
}

static void use(const struct tensor_set *set)
{
    float sum = 0;
    for (size_t i = 0; i < set->n; i++) {
        const float *floats = tensor_floats_in_place(&set->tensors[i]);
        if (!floats || !set->tensors[i].name)
            abort();
        for (size_t k = 0; k < set->tensors[i].elements; k++)
            sum += floats[k];
    }
    if (sum == 0.123456789f)
        abort();
}

int fuzz_tfjs(const unsigned char *data, size_t size)
{
    const unsigned char *end = memchr(data, 0, size);
    size_t text = end ? (size_t)(end - data) : size, shard = end ? size - text - 1 : 0;
    json_t *json = json_memory_load((const char *)data, text, JSON_REJECT_DUPLICATES, NULL);
    struct problems problems = {.n_errors = 0};
    struct tensor_set set;
    char path[64];
    if (json && tfjs_is(json)) {
        write_shard(end ? end + 1 : data, shard, path, sizeof path);
        json_t *model = tfjs_read(json, path, &set, &problems);
        if (!model && !problems.all_errors)
            abort(); /* a refusal must have an error message */
        if (model) {
            use(&set);
            tensor_set_close(&set);
        }
        json_decref(model);
    }
    json_decref(json);
    problems_close(&problems);
    return 0;
}

FUZZ_TARGET(fuzz_tfjs)
