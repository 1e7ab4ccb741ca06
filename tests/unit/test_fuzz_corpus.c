/* Run every input of the fuzz corpora: seeds, and inputs that once caused a crash. */
#include "tests/fuzz/fuzz.h"
#include "unit.h"

#include <dirent.h>

static void replay(const char *name, int (*target)(const unsigned char *data, size_t size))
{
    char folder[512], path[1024];
    size_t files = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", SOURCE_DIR, name);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        static unsigned char bytes[1 << 16];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        assert_int_equal(target(bytes, n), 0);
        files++;
    }
    closedir(dir);
    assert_true(files >= 3);
}

static void bodies_pass(void **state)
{
    (void)state;
    replay("body", fuzz_body);
}

static void inferences_pass(void **state)
{
    (void)state;
    replay("inference", fuzz_inference);
}

static void safetensors_pass(void **state)
{
    (void)state;
    replay("safetensors", fuzz_safetensors);
}

static void configurations_pass(void **state)
{
    (void)state;
    replay("config", fuzz_config);
}

static void handovers_pass(void **state)
{
    (void)state;
    replay("handover", fuzz_handover);
}

static void tensorflow_js_models_pass(void **state)
{
    (void)state;
    replay("tfjs", fuzz_tfjs);
}

static void bundles_pass(void **state)
{
    (void)state;
    replay("bundle", fuzz_bundle);
}

static void protobufs_pass(void **state)
{
    (void)state;
    replay("protobuf", fuzz_protobuf);
}

static void pickles_pass(void **state)
{
    (void)state;
    replay("pickle", fuzz_pickle);
}

static void key_files_pass(void **state)
{
    (void)state;
    replay("keys", fuzz_keys);
}

static void transforms_pass(void **state)
{
    (void)state;
    replay("transform", fuzz_transform);
}

static void torch_files_pass(void **state)
{
    (void)state;
    replay("torch", fuzz_torch);
}

static void onnx_files_pass(void **state)
{
    (void)state;
    replay("onnx", fuzz_onnx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bodies_pass),
                                       cmocka_unit_test(inferences_pass),
                                       cmocka_unit_test(safetensors_pass),
                                       cmocka_unit_test(configurations_pass),
                                       cmocka_unit_test(handovers_pass),
                                       cmocka_unit_test(protobufs_pass),
                                       cmocka_unit_test(tensorflow_js_models_pass),
                                       cmocka_unit_test(bundles_pass),
                                       cmocka_unit_test(pickles_pass),
                                       cmocka_unit_test(key_files_pass),
                                       cmocka_unit_test(transforms_pass),
                                       cmocka_unit_test(torch_files_pass),
                                       cmocka_unit_test(onnx_files_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
