/* Files of torch.save, written by PyTorch 1.13 and by a current version (tools/make_torch_files.py), read by the load
   helper. */
#include "config/files/archive.h"
#include "config/files/torch_file.h"
#include "config/files/zip_file.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static const char *const versions[] = {"1.13", "new"};
static struct problems problems;

static bool read_file(const char *name, const char *version, struct tensor_set *set)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/torch/files/%s-%s.pt", SOURCE_DIR, name, version);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool good = archive_open(set, fd, name, &problems);
    close(fd);
    return good;
}

static void taken(const char *name, const char *version, struct tensor_set *set)
{
    if (!read_file(name, version, set))
        fail_msg("%s", problems.errors[0]);
}

static void refused(const char *name, const char *version, const char *line)
{
    struct tensor_set set;
    assert_false(read_file(name, version, &set));
    unit_has_error(&problems, name, line);
    problems_close(&problems);
}

/* The tensors, whose names begin with `prefix`, have the numbers 0, 1, 2, … / 16 in their order. */
static size_t check_state(const struct tensor_set *set, const char *prefix, const char *type)
{
    static const struct {
        const char *name, *shape;
    } rows[] = {{"lstm.weight_ih_l0", "[12, 2]"}, {"lstm.weight_hh_l0", "[12, 3]"}, {"lstm.bias_ih_l0", "[12]"},
                {"lstm.bias_hh_l0", "[12]"},      {"fc.weight", "[2, 3]"},          {"fc.bias", "[2]"}};
    enum { N = sizeof rows / sizeof *rows };
    size_t n = 0;
    for (size_t i = 0; i < N; i++) {
        char name[64], shape[64];
        snprintf(name, sizeof name, "%s%s", prefix, rows[i].name);
        const struct named_tensor *tensor = tensor_set_find(set, name);
        if (!tensor)
            fail_msg("no %s", name);
        shape_text(tensor->shape, tensor->rank, shape, sizeof shape);
        assert_string_equal(shape, rows[i].shape);
        assert_string_equal(tensor->type_name, type);
        for (size_t k = 0; k < tensor->elements; k++, n++)
            assert_true(tensor_element(tensor, k) == (double)n / 16);
    }
    return N;
}

static void state_dicts_become_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *about;
    } rows[] = {
        {"state", "F32", "{\"kind\":\"state dict\"}"},
        {"state_legacy", "F32", "{\"kind\":\"state dict\"}"},
        {"checkpoint", "F32", "{\"key\":\"model_state_dict\",\"kind\":\"state dict\"}"},
        {"parallel", "F32", "{\"kind\":\"state dict\"}"},
        {"f16", "F16", "{\"kind\":\"state dict\"}"},
        {"f16_legacy", "F16", "{\"kind\":\"state dict\"}"},
        {"bf16", "BF16", "{\"kind\":\"state dict\"}"},
        {"bf16_legacy", "BF16", "{\"kind\":\"state dict\"}"},
        {"f64", "F64", "{\"kind\":\"state dict\"}"},
        {"f64_legacy", "F64", "{\"kind\":\"state dict\"}"},
    };
    for (size_t v = 0; v < 2; v++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            struct tensor_set set;
            taken(rows[i].name, versions[v], &set);
            assert_int_equal(check_state(&set, "", rows[i].type), set.n);
            json_t *about = json_loads(tensor_set_text(&set, "torch"), 0, NULL),
                   *want = json_loads(rows[i].about, 0, NULL);
            assert_true(json_equal(about, want));
            json_decref(about);
            json_decref(want);
            tensor_set_close(&set);
        }
}

static void several_models_keep_their_keys(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        struct tensor_set set;
        taken("two", versions[v], &set);
        assert_int_equal(check_state(&set, "encoder.", "F32") + check_state(&set, "decoder.", "F32"), set.n);
        tensor_set_close(&set);
    }
}

static void check_numbers(const struct tensor_set *set, const char *name, const char *shape, size_t n,
                          const double *numbers)
{
    char text[64];
    const struct named_tensor *tensor = tensor_set_find(set, name);
    assert_non_null(tensor);
    shape_text(tensor->shape, tensor->rank, text, sizeof text);
    assert_string_equal(text, shape);
    assert_int_equal(tensor->elements, n);
    for (size_t i = 0; i < n; i++)
        assert_true(tensor_element(tensor, i) == numbers[i]);
}

static void views_are_read_by_their_strides(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++)
        for (int legacy = 0; legacy < 2; legacy++) {
            struct tensor_set set;
            taken(legacy ? "views_legacy" : "views", versions[v], &set);
            double turned[12], steps[] = {100 / 16., 103 / 16., 106 / 16., 109 / 16.}, matrix[6], one[5];
            for (size_t i = 0; i < 12; i++)
                turned[i] = (double)(i % 3 * 4 + i / 3) / 16;
            for (size_t i = 0; i < 6; i++)
                matrix[i] = (double)((2 + i / 3) * 16 + 5 + i % 3) / 16;
            for (size_t i = 0; i < 5; i++)
                one[i] = 7 / 16.;
            check_numbers(&set, "turned", "[4, 3]", 12, turned);
            check_numbers(&set, "steps", "[4]", 4, steps);
            if (!legacy) {
                check_numbers(&set, "one", "[5]", 5, one);
                check_numbers(&set, "matrix", "[2, 3]", 6, matrix);
                check_numbers(&set, "empty", "[0]", 0, NULL);
                check_numbers(&set, "number", "[]", 1, (const double[]){9 / 16.});
                check_numbers(&set, "long", "[3]", 3, (const double[]){0, 1, 2});
            }
            tensor_set_close(&set);
        }
}

static void modules_give_their_tree(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++)
        for (int legacy = 0; legacy < 2; legacy++) {
            struct tensor_set set;
            taken(legacy ? "module_legacy" : "module", versions[v], &set);
            assert_int_equal(check_state(&set, "", "F32"), set.n);
            json_t *about = json_loads(tensor_set_text(&set, "torch"), 0, NULL);
            const json_t *tree = json_object_get(about, "module"), *modules = json_object_get(tree, "modules");
            const json_t *lstm = json_object_get(modules, "lstm"), *own = json_object_get(lstm, "attributes");
            assert_string_equal(json_string_value(json_object_get(about, "kind")), "module");
            assert_string_equal(json_string_value(json_object_get(tree, "class")), "nets.Net");
            assert_string_equal(json_string_value(json_object_get(lstm, "class")), "torch.nn.modules.rnn.LSTM");
            assert_int_equal(json_integer_value(json_object_get(own, "hidden_size")), 3);
            assert_true(json_is_true(json_object_get(own, "batch_first")));
            assert_int_equal(json_object_size(modules), 2);
            json_decref(about);
            tensor_set_close(&set);
        }
}

static void files_without_a_model_are_refused(void **state)
{
    (void)state;
    for (size_t v = 0; v < 2; v++) {
        refused("nothing", versions[v],
                "it holds no state dict and no module; save model.state_dict() with torch.save");
        refused("quantized", versions[v], "it is quantized (torch.qint8)");
        refused("script", versions[v], "this is a TorchScript file (torch.jit.save), whose program is not read");
    }
}

/* ---- in this process ---- */

static unsigned char bytes[1 << 16];

static size_t load(const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", SOURCE_DIR, path);
    FILE *file = fopen(full, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return n;
}

static bool read_here(const unsigned char *from, size_t n, char error[400])
{
    struct handover out = {.limit = 1 << 20};
    bool good = zip_is(from, n) ? zip_read(&out, from, n) : torch_stream_read(&out, from, n);
    assert_true(good || out.error[0]);
    memcpy(error, out.error, sizeof out.error);
    handover_release(&out);
    return good;
}

/* A file that is cut short at any byte is refused with an error message, and not read beyond its end. */
static void streams_cut_short_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"state_legacy-1.13", "views_legacy-new", "module_legacy-1.13"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128], error[400];
        snprintf(path, sizeof path, "tests/torch/files/%s.pt", names[i]);
        size_t n = load(path);
        assert_true(torch_stream_is(bytes, n));
        assert_true(read_here(bytes, n, error));
        while (n-- > 0) {
            unsigned char *copy = malloc(n + !n);
            memcpy(copy, bytes, n);
            assert_false(read_here(copy, n, error));
            free(copy);
        }
    }
}

static void other_pickles_are_refused_by_name(void **state)
{
    (void)state;
    char error[400];
    assert_true(torch_stream_is((const unsigned char *)"sys_info", 9));
    assert_false(read_here((const unsigned char *)"sys_info\0\0", 10, error));
    assert_non_null(strstr(error, "a file of torch.save before PyTorch 0.1.10, a tar archive"));
    assert_false(torch_stream_is((const unsigned char *)"sys_infos", 9));
    assert_false(read_here(bytes, load("tests/fuzz/corpus/pickle/calls_system_4"), error));
    assert_non_null(strstr(error, "its pickle calls posix.system"));
    assert_false(read_here(bytes, load("tests/fuzz/corpus/pickle/scaler_4"), error));
    assert_non_null(strstr(error, "a Python pickle of sklearn.preprocessing._data.StandardScaler, no model file"));
}

/* A tensor whose size and strides reach beyond its storage is refused. */
static void tensors_stay_within_their_storages(void **state)
{
    (void)state;
    char error[400];
    size_t n = load("tests/torch/files/views_legacy-1.13.pt");
    unsigned char *steps = memmem(bytes, n, "Kd\x4b\x04\x85", 5); /* offset 100, size 4 */
    assert_non_null(steps);
    steps[1] = 250; /* 250 + 3 * 3 is beyond 256 */
    assert_false(read_here(bytes, n, error));
    assert_non_null(strstr(error, "its tensor steps reaches beyond its storage"));
}

int main(void)
{
    archive_set_program(BINARY);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_dicts_become_tensors),        cmocka_unit_test(several_models_keep_their_keys),
        cmocka_unit_test(views_are_read_by_their_strides),   cmocka_unit_test(modules_give_their_tree),
        cmocka_unit_test(files_without_a_model_are_refused), cmocka_unit_test(streams_cut_short_are_refused),
        cmocka_unit_test(other_pickles_are_refused_by_name), cmocka_unit_test(tensors_stay_within_their_storages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
