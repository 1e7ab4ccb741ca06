/* Pickles written by Python, NumPy, scikit-learn, joblib and PyTorch, checked value by value, and pickles that call
   functions. tools/make_pickles.py made the files, which are also the seeds of the fuzz target. */
#include "config/files/pickle.h"
#include "tests/unit/unit.h"

static unsigned char bytes[1 << 16];
static struct pickle pickle;

static size_t load(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/pickle/%s", SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return n;
}

static const struct pickle_value *taken(const char *name)
{
    size_t n = load(name);
    if (!pickle_read(&pickle, bytes, n))
        fail_msg("%s: %s", name, pickle.error);
    assert_int_equal(pickle.used, n);
    return pickle.value;
}

static void refused(const char *name, const char *why)
{
    assert_false(pickle_read(&pickle, bytes, load(name)));
    if (!strstr(pickle.error, why))
        fail_msg("%s: %s", name, pickle.error);
    assert_null(pickle.value);
    pickle_close(&pickle);
}

static double number_of(const struct pickle_value *value)
{
    double number = NAN;
    assert_true(pickle_number(value, &number));
    return number;
}

static void check_plain(const struct pickle_value *v)
{
    const struct pickle_value *inner = pickle_get(v, "inner"), *text = pickle_get(v, "bytes");
    assert_int_equal(v->kind, PICKLE_DICT);
    assert_int_equal(pickle_get(v, "none")->kind, PICKLE_NONE);
    assert_int_equal(pickle_get(v, "yes")->kind, PICKLE_BOOL);
    assert_int_equal(pickle_get(v, "yes")->integer, 1);
    assert_int_equal(pickle_get(v, "no")->integer, 0);
    assert_int_equal(pickle_get(v, "small")->integer, 7);
    assert_int_equal(pickle_get(v, "negative")->integer, -2);
    assert_true(pickle_get(v, "wide")->integer == 1LL << 40);
    assert_true(pickle_get(v, "below")->integer == -(1LL << 40));
    assert_int_equal(pickle_get(v, "big")->kind, PICKLE_BIG_INT);
    assert_true(number_of(pickle_get(v, "real")) == -0.5);
    assert_true(number_of(pickle_get(v, "float")) == (double)INFINITY);
    assert_true(pickle_is(pickle_get(v, "text"), "gr\xc3\xbcn \xe2\x82\xac"));
    assert_true(pickle_is(pickle_get(v, "line"), "a\\b\n'\""));
    assert_int_equal(text->kind, PICKLE_BYTES);
    assert_int_equal(text->bytes, 3);
    assert_memory_equal(text->text, "\0\xff\x80", 3);
    assert_int_equal(pickle_at(pickle_at(pickle_get(v, "tuple"), 1), 1)->integer, 3);
    assert_int_equal(pickle_at(pickle_get(v, "tuple"), 2)->n, 0);
    assert_null(pickle_at(pickle_get(v, "tuple"), 3));
    assert_int_equal(pickle_at(pickle_at(pickle_get(v, "list"), 1), 0)->integer, 2);
    assert_int_equal(pickle_get(v, "set")->kind, PICKLE_SET);
    assert_int_equal(pickle_at(pickle_get(v, "set"), 0)->integer, 5);
    assert_int_equal(pickle_get(pickle_get(pickle_get(v, "dict"), "k"), "deep")->integer, 1);
    assert_true(pickle_is_object(inner, "nets.Inner"));
    assert_int_equal(pickle_get(inner, "size")->integer, 3);
    assert_true(pickle_is(pickle_at(pickle_get(inner, "names"), 1), "b"));
    assert_int_equal(pickle_get(v, "function")->kind, PICKLE_NAME);
    assert_true(pickle_is(pickle_get(v, "function"), "builtins.len"));
    assert_int_equal(pickle_get(pickle_get(v, "counter"), "a")->integer, 2);
    assert_int_equal(pickle_at(pickle_get(pickle_get(v, "default"), "x"), 0)->integer, 1);
    assert_true(number_of(pickle_get(pickle_get(v, "space"), "lr")) == 0.25);
    assert_null(pickle_get(v, "missing"));
}

static void every_protocol_gives_the_same(void **state)
{
    (void)state;
    for (char name[] = "plain_0"; name[6] <= '5'; name[6]++) {
        check_plain(taken(name));
        pickle_close(&pickle);
    }
    const struct pickle_value *v = taken("python2_string");
    assert_int_equal(pickle_get(v, "a")->bytes, 3);
    assert_memory_equal(pickle_get(v, "a")->text, "x\0y", 4);
    assert_int_equal(pickle_get(v, "q\x80\n")->integer, 1);
    pickle_close(&pickle);
}

static void check_array(const struct pickle_value *v, const char *key, char type, const char *shape, size_t n,
                        const double *numbers)
{
    struct pickle_array array;
    char text[64];
    const char *wrong = pickle_array_read(pickle_get(v, key), &array);
    if (wrong)
        fail_msg("%s %s", key, wrong);
    shape_text(array.shape, array.rank, text, sizeof text);
    assert_string_equal(text, shape);
    assert_int_equal(array.type, type);
    assert_int_equal(array.elements, n);
    for (size_t i = 0; i < n; i++)
        if (pickle_array_number(&array, i) != numbers[i])
            fail_msg("%s [%zu] is %g", key, i, pickle_array_number(&array, i));
    assert_true(isnan(pickle_array_number(&array, n)));
}

static void arrays_are_those_of_numpy(void **state)
{
    (void)state;
    static const char *const names[] = {"arrays_0", "arrays_2", "arrays_5", "joblib_arrays"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct pickle_value *v = taken(names[i]);
        struct pickle_array array;
        check_array(v, "f8", 'f', "[2, 2]", 4, (const double[]){1.5, -2, 3, 4});
        check_array(v, "f4", 'f', "[3]", 3, (const double[]){0, 1, 2});
        check_array(v, "f2", 'f', "[2]", 2, (const double[]){0.5, -1});
        check_array(v, "i8", 'i', "[2]", 2, (const double[]){-1, 2});
        check_array(v, "u1", 'u', "[1]", 1, (const double[]){255});
        check_array(v, "b", 'b', "[2]", 2, (const double[]){1, 0});
        check_array(v, "big", 'f', "[2]", 2, (const double[]){1, 2});
        check_array(v, "order", 'f', "[2, 3]", 6, (const double[]){1, 2, 3, 4, 5, 6});
        check_array(v, "scalar", 'f', "[]", 1, (const double[]){2.5});
        check_array(v, "empty", 'f', "[0, 2]", 0, NULL);
        check_array(v, "rank0", 'f', "[]", 1, (const double[]){3});
        assert_true(number_of(pickle_get(v, "rank0")) == 3);
        assert_null(pickle_array_read(pickle_get(v, "object"), &array));
        assert_int_equal(array.type, 'O');
        assert_true(pickle_is(pickle_at(array.items, 1), "b"));
        assert_null(pickle_array_read(pickle_get(v, "text"), &array));
        assert_int_equal(array.width, 8);
        assert_memory_equal(array.data, "a\0\0\0b\0\0\0c", 9);
        pickle_close(&pickle);
    }
}

static void scalers_are_objects(void **state)
{
    (void)state;
    static const char *const names[] = {"scaler_4", "joblib_scaler"};
    for (size_t i = 0; i < 2; i++) {
        const struct pickle_value *v = taken(names[i]);
        assert_true(pickle_is_object(v, "sklearn.preprocessing._data.StandardScaler"));
        check_array(v, "mean_", 'f', "[2]", 2, (const double[]){3, 20});
        assert_int_equal(pickle_get(v, "n_features_in_")->integer, 2);
        pickle_close(&pickle);
    }
}

static void tensors_and_modules_are_objects(void **state)
{
    (void)state;
    const struct pickle_value *v = taken("torch_state_dict"), *w = pickle_get(pickle_get(v, "model"), "weight");
    assert_int_equal(pickle_get(v, "epoch")->integer, 3);
    assert_true(pickle_is_object(w, "torch._utils._rebuild_tensor_v2"));
    const struct pickle_value *storage = pickle_at(w->args, 0);
    assert_int_equal(storage->kind, PICKLE_PERSISTENT);
    assert_true(pickle_is(pickle_at(storage->args, 1), "torch.FloatStorage"));
    assert_int_equal(pickle_at(storage->args, 4)->integer, 2);
    pickle_close(&pickle);
    const struct pickle_value *lstm = pickle_get(pickle_get(taken("torch_module"), "_modules"), "0");
    assert_true(pickle_is_object(lstm, "torch.nn.modules.rnn.LSTM"));
    assert_int_equal(pickle_get(lstm, "hidden_size")->integer, 3);
    assert_int_equal(pickle_get(lstm, "bidirectional")->integer, 1);
    pickle_close(&pickle);
}

/* A pickle may refer to a function. If the pickle calls it, the error names the function. */
static void calls_are_refused_by_name(void **state)
{
    (void)state;
    refused("calls_system_0", "calls posix.system");
    refused("calls_system_4", "calls posix.system");
    refused("calls_eval", "calls builtins.eval");
    refused("calls_getattr", "calls builtins.getattr");
    refused("calls_result", "calls what it has made itself");
    refused("makes_popen", "calls subprocess.Popen");
    refused("inst_system", "calls os.system");
    refused("obj_system", "calls os.system");
    refused("builds_name", "would change torch.nn.modules.rnn.LSTM");
    refused("extension", "extension registry");
    assert_true(pickle_is(pickle_get(taken("names_system"), "function"), "posix.system"));
    pickle_close(&pickle);
}

static void refused_text(const char *text, size_t n, const char *why)
{
    assert_false(pickle_read(&pickle, (const unsigned char *)text, n));
    if (!strstr(pickle.error, why))
        fail_msg("%s", pickle.error);
    pickle_close(&pickle);
}

#define REFUSED(text, why) refused_text(text, sizeof(text) - 1, why)

static void damaged_pickles_are_refused(void **state)
{
    (void)state;
    REFUSED("", "damaged or cut short (at byte 0)");
    REFUSED("N", "damaged or cut short (at byte 1)");
    REFUSED(".", "damaged");
    REFUSED("NN.", "damaged");
    REFUSED("(N.", "damaged");
    REFUSED("0", "damaged");
    REFUSED("(0N0.", "damaged");
    REFUSED("\x80\x06N.", "protocol 6; 0 to 5 are known");
    REFUSED("\xff", "0xff at byte 0 is no opcode");
    REFUSED("Nh\0.", "damaged");
    REFUSED("Nr\xff\xff\xff\xff.", "damaged");
    REFUSED("X\xff\xff\xff\xffx.", "damaged");
    REFUSED("\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", "damaged");
    REFUSED("}Nu.", "damaged");
    REFUSED("N(NNu.", "damaged");
    REFUSED("(Nd.", "damaged");
    REFUSED("Ia\n.", "damaged");
    REFUSED("S'\\q'\n.", "damaged");
    REFUSED("NNb.", "damaged");
    REFUSED("\x97.", "buffers are not in the file");
    REFUSED("c_codecs\nencode\nX\x03\0\0\0\xe2\x82\xacX\x06\0\0\0latin1\x86R.", "not in Latin 1");
    assert_true(pickle_read(&pickle, (const unsigned char *)").more", 6)); /* bytes after the pickle are left to the
                                                                              caller */
    assert_int_equal(pickle.used, 2);
    assert_int_equal(pickle.value->kind, PICKLE_TUPLE);
    pickle_close(&pickle);
    assert_true(pickle_read(&pickle, (const unsigned char *)"]q\0h\0a.", 7)); /* a list that contains itself */
    assert_ptr_equal(pickle_at(pickle.value, 0), pickle.value);
    pickle_close(&pickle);
}

/* Every file cut short at every byte is refused. */
static void pickles_cut_short_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"plain_0", "plain_2", "plain_5", "joblib_arrays", "torch_module"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t n = load(names[i]); n-- > 0;) {
            unsigned char *copy = malloc(n + !n);
            memcpy(copy, bytes, n);
            assert_false(pickle_read(&pickle, copy, n));
            assert_true(pickle.error[0]);
            pickle_close(&pickle);
            free(copy);
        }
}

/* A short pickle cannot allocate much memory, and a long one is stopped. */
static void sizes_of_pickles_are_bounded(void **state)
{
    (void)state;
    size_t n = (1 << 20) + 2;
    char *text = malloc(n);
    memset(text, 'N', n);
    refused_text(text, n, "stack of more than 1048576 values");
    memset(text, '(', n);
    refused_text(text, n, "stack of more than 1048576 values");
    free(text);
    n = 2 * ((1 << 22) + 2);
    text = malloc(n); /* push and pop, repeated */
    for (size_t i = 0; i < n; i += 2)
        memcpy(text + i, "N0", 2);
    refused_text(text, n, "more than 4194304 values");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_protocol_gives_the_same), cmocka_unit_test(arrays_are_those_of_numpy),
        cmocka_unit_test(scalers_are_objects),           cmocka_unit_test(tensors_and_modules_are_objects),
        cmocka_unit_test(calls_are_refused_by_name),     cmocka_unit_test(damaged_pickles_are_refused),
        cmocka_unit_test(pickles_cut_short_are_refused), cmocka_unit_test(sizes_of_pickles_are_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
