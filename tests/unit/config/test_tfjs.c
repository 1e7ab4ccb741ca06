/* Models of TensorFlow.js: shards, quantized weights, the order of layers, and what is refused. */
#include "config/tfjs.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static char folder[] = "/tmp/cellserve-tfjs-XXXXXX";

static void write_shard(const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Read a model.json with this manifest and the layers z and a, in this order. */
static json_t *read_model(const char *manifest, const char *more, struct tensor_set *set, struct problems *problems)
{
    char text[2000], path[256];
    snprintf(text, sizeof text,
             "{'modelTopology': {'class_name': 'Sequential', 'keras_version': 'tfjs-layers 4.0', 'config': {'layers': ["
             "{'class_name': 'Dense', 'config': {'name': 'z'}}, {'class_name': 'Dense', 'config': {'name': 'a'}}]}}, "
             "'weightsManifest': %s%s}",
             manifest, more);
    json_t *json = unit_json(text);
    assert_true(tfjs_is(json));
    snprintf(path, sizeof path, "%s/model.json", folder);
    json_t *model = tfjs_read(json, path, set, problems);
    json_decref(json);
    return model;
}

static void assert_floats(const struct named_tensor *tensor, const char *name, const float *want, size_t n)
{
    assert_string_equal(tensor->name, name);
    assert_int_equal(tensor->elements, n);
    const float *got = tensor_floats_in_place(tensor);
    assert_non_null(got);
    for (size_t i = 0; i < n; i++)
        assert_near((double)got[i], (double)want[i], 0);
}

/* Groups are in alphabetical order, a weight spans two shards, and uint8, uint16 and float16 become float32. */
static void weights_come_in_the_order_of_the_layers(void **state)
{
    (void)state;
    struct problems problems = {.n_errors = 0};
    struct tensor_set set;
    const float plain[] = {1, 2, 3, 4};
    write_shard("s1.bin", plain, 10);
    write_shard("s2.bin", (const char *)plain + 10, 6);
    write_shard("q.bin", "\x00\xff\x01\x01\x00\x3c\x00\xc0", 8);
    json_t *model = read_model(
        "[{'paths': ['s1.bin', 's2.bin'], 'weights': [{'name': 'a/kernel', 'shape': [2, 2], 'dtype': 'float32'}]}, "
        "{'paths': ['q.bin'], 'weights': [{'name': 'z/kernel', 'shape': [2], 'dtype': 'float32', 'quantization': "
        "{'dtype': 'uint8', 'scale': 0.5, 'min': -1}}, {'name': 'z/bias', 'shape': [1], 'dtype': 'float32', "
        "'quantization': {'dtype': 'uint16', 'scale': 2, 'min': 1}}, {'name': 'z/half', 'shape': [2], 'dtype': "
        "'float32', 'quantization': {'dtype': 'float16'}}]}]",
        "", &set, &problems);
    assert_non_null(model);
    assert_int_equal(problems.all_errors, 0);
    assert_null(json_object_get(json_object_get(model, "config"), "modelTopology"));
    assert_string_equal(tensor_set_text(&set, "naming"), "position");
    assert_int_equal(set.n, 4);
    assert_floats(&set.tensors[0], "z/kernel", (const float[]){-1, 126.5f}, 2);
    assert_floats(&set.tensors[1], "z/bias", (const float[]){515}, 1);
    assert_floats(&set.tensors[2], "z/half", (const float[]){1, -2}, 2);
    assert_floats(&set.tensors[3], "a/kernel", plain, 4);
    tensor_set_close(&set);
    json_decref(model);
}

static void refused(const char *manifest, const char *more, const char *line)
{
    struct problems problems = {.n_errors = 0};
    struct tensor_set set;
    assert_null(read_model(manifest, more, &set, &problems));
    assert_null(set.tensors);
    unit_has_error(&problems, manifest, line);
    problems_close(&problems);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    write_shard("s.bin", "12345678", 8);
#define ONE(more) "[{'paths': ['s.bin'], 'weights': [{'name': 'a/kernel', " more "}]}]"
    refused(ONE("'shape': [2], 'dtype': 'float32'"), ", 'format': 'graph-model'", "a graph model of TensorFlow.js");
    refused(ONE("'shape': [3], 'dtype': 'float32'"), "", "the shards are shorter than their weights");
    refused(ONE("'shape': [1], 'dtype': 'float32'"), "", "the shards are longer than their weights");
    refused(ONE("'shape': [4294967296, 4294967296], 'dtype': 'float32'"), "", "expected weights with a name, a shape");
    refused(ONE("'shape': [-1], 'dtype': 'float32'"), "", "expected weights with a name, a shape");
    refused(ONE("'shape': [2], 'dtype': 'int32'"), "", "expected weights with a name, a shape, and the dtype float32");
    refused(ONE("'shape': 2, 'dtype': 'float32'"), "", "expected weights with a name, a shape");
    refused("[{'paths': ['s.bin'], 'weights': [{'name': 'b/kernel', 'shape': [2], 'dtype': 'float32'}]}]", "",
            "a weight has a name that no layer's name begins");
    refused("[{'paths': ['none.bin'], 'weights': [{}]}]", "", "none.bin: No such file or directory");
    refused("[{'paths': ['../s.bin'], 'weights': [{}]}]", "", "expected shards in the folder of model.json");
    refused("[{'paths': [1], 'weights': [{}]}]", "", "expected names of shards");
    refused("[{'weights': [{}]}]", "", "expected a list \"paths\" of shards");
    refused("[]", "", "expected a list of groups of weights");
    refused("7", "", "expected a list of groups of weights");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(weights_come_in_the_order_of_the_layers),
                                       cmocka_unit_test(what_does_not_fit_is_refused)};
    char command[64];
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) || failed;
}
