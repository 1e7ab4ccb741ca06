/* HDF5 files read in this process, without the helper: fixtures, files made here, and damaged bytes. */
#include "config/files/hdf5_file.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <hdf5.h>

/* The reader frees nothing, because its process ends after it has read the file. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static struct handover out;
static unsigned char *image; /* of the file that is read */
static size_t image_bytes;

/* ---- files made in memory ---- */

static hid_t create(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    assert_true(H5Pset_fapl_core(access, 1 << 16, 0) >= 0);
    hid_t file = H5Fcreate("made", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    assert_true(file >= 0);
    return file;
}

static hid_t group(hid_t in, const char *name)
{
    return H5Gcreate2(in, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}

/* A dataset [rows, columns]; written where there are numbers. */
static void dataset_with(hid_t in, const char *name, hid_t type, hid_t options, const float *numbers, hsize_t rows,
                         hsize_t columns)
{
    hid_t space = H5Screate_simple(2, (hsize_t[]){rows, columns}, NULL);
    hid_t set = H5Dcreate2(in, name, type, space, H5P_DEFAULT, options, H5P_DEFAULT);
    assert_true(set >= 0);
    if (numbers)
        assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void dataset(hid_t in, const char *name, hid_t type, const float *numbers, hsize_t rows, hsize_t columns)
{
    dataset_with(in, name, type, H5P_DEFAULT, numbers, rows, columns);
}

/* Strings of a width; 0: of any length. */
static void strings(hid_t object, const char *name, const char *const *texts, size_t n, size_t width)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, (hsize_t[]){n}, NULL);
    char fixed[8][64] = {""};
    H5Tset_size(type, width ? width : H5T_VARIABLE);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0 && n <= 8 && width <= 64);
    for (size_t i = 0; i < n && width; i++)
        memcpy(&fixed[0][0] + i * width, texts[i], strnlen(texts[i], width));
    assert_true(H5Awrite(attribute, type, width ? (const void *)fixed : (const void *)texts) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void text(hid_t object, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(value) + 1);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* ---- reading ---- */

static bool read_image(void)
{
    out = (struct handover){.limit = 1 << 22};
    bool good = hdf5_read(&out, image, image_bytes);
    assert_int_equal(good, !out.error[0]);
    return good;
}

/* The reader leaves all HDF5 objects open until its process ends. */
static void forget(void)
{
    handover_release(&out);
    H5close();
    hdf5_prepare();
}

/* Copy a file that was made in memory to `image`. */
static void take(hid_t file)
{
    assert_true(H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0);
    ssize_t n = H5Fget_file_image(file, NULL, 0);
    assert_true(n > 0);
    image = malloc((size_t)n);
    image_bytes = (size_t)n;
    assert_int_equal(H5Fget_file_image(file, image, (size_t)n), n);
    H5close();
    hdf5_prepare();
}

static void read_made(hid_t file)
{
    take(file);
    if (!read_image())
        fail_msg("%s", out.error);
}

static void refused(hid_t file, const char *line)
{
    take(file);
    if (read_image() || !strstr(out.error, line))
        fail_msg("no \"%s\" but \"%s\"", line, out.error);
    forget();
    free(image);
}

static const struct handover_tensor *tensor_of(const char *name)
{
    for (size_t i = 0; i < out.n; i++)
        if (!strcmp(out.tensors[i].name, name))
            return &out.tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void assert_numbers(const char *name, const float *numbers)
{
    float data[64];
    const struct handover_tensor *tensor = tensor_of(name);
    assert_string_equal(tensor->type, "F32");
    assert_true(tensor->bytes <= sizeof data && out.read(tensor, data));
    assert_memory_equal(data, numbers, tensor->bytes);
}

static const char *text_of(const char *key)
{
    return json_string_value(json_object_get(out.metadata, key));
}

static const float numbers[] = {1, -2, 3.5f, 4, 5, 6};

/* ---- Keras 3 ---- */

static void groups_become_paths(void **state)
{
    (void)state;
    static const char *const roots[] = {"layers", "_layer_checkpoint_dependencies"};
    for (size_t i = 0; i < 2; i++) {
        hid_t file = create(), layers = group(file, roots[i]), dense = group(layers, "dense"),
              vars = group(dense, "vars"), bits = H5Tcreate(H5T_OPAQUE, 2);
        dataset(vars, "0", H5T_IEEE_F32LE, numbers, 2, 3);
        dataset(vars, "1", H5T_IEEE_F64LE, numbers, 1, 6); /* handed over as float32 */
        dataset(vars, "2", H5T_STD_U32LE, NULL, 1, 2);     /* the seeds of a Dropout */
        dataset(vars, "3", bits, NULL, 1, 2);              /* bfloat16 */
        dataset(vars, "name", H5T_IEEE_F32LE, numbers, 1, 1);
        dataset(dense, "4", H5T_IEEE_F32LE, numbers, 1, 1); /* not read, because it is not in vars */
        read_made(file);
        assert_int_equal(out.n, 3);
        assert_string_equal(text_of("naming"), "group");
        assert_null(text_of("config"));
        assert_numbers("layers/dense/vars/0", numbers);
        assert_numbers("layers/dense/vars/1", numbers);
        const struct handover_tensor *opaque = tensor_of("layers/dense/vars/3");
        unsigned char data[4];
        assert_string_equal(opaque->type, "BF16");
        assert_int_equal(opaque->bytes, 4);
        assert_true(out.read(opaque, data));
        forget();
        free(image);
    }
}

static void links_are_hard_and_few(void **state)
{
    (void)state;
    hid_t file = create(), layers = group(file, "layers");
    H5Lcreate_soft("/layers", layers, "soft", H5P_DEFAULT, H5P_DEFAULT);
    refused(file, "layers/soft is no hard link");
    /* 320 links to a group of 320 links: more than the reader follows */
    file = create();
    layers = group(file, "layers");
    hid_t inner = group(layers, "0"), last = group(inner, "0");
    for (int i = 1; i < 320; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        assert_true(H5Lcreate_hard(layers, "0", layers, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
        assert_true(H5Lcreate_hard(inner, "0", inner, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    }
    (void)last;
    refused(file, "it has more than 100000 links");
    file = create();
    inner = group(file, "layers");
    for (int i = 0; i < 30; i++)
        inner = group(inner, "deeper");
    refused(file, "its groups lie too deep");
    file = create();
    H5Lcreate_soft("/elsewhere", file, "layers", H5P_DEFAULT, H5P_DEFAULT);
    refused(file, "this HDF5 file holds no weights of Keras");
    file = create();
    dataset(file, "layers", H5T_IEEE_F32LE, numbers, 1, 1);
    refused(file, "its group layers cannot be read");
}

static void other_storage_is_refused(void **state)
{
    (void)state;
    static const char line[] = "tensor layers/vars/0 is stored in a way that Keras does not write";
    hid_t file = create(), vars = group(group(file, "layers"), "vars"), options = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(options, "/etc/passwd", 0, 24);
    dataset_with(vars, "0", H5T_IEEE_F32LE, options, NULL, 2, 3);
    refused(file, line);
    file = create();
    vars = group(group(file, "layers"), "vars");
    options = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(options, 2, (hsize_t[]){2, 3});
    H5Pset_scaleoffset(options, H5Z_SO_FLOAT_DSCALE, 2);
    dataset_with(vars, "0", H5T_IEEE_F32LE, options, numbers, 2, 3);
    refused(file, line);
    file = create();
    vars = group(group(file, "layers"), "vars");
    hid_t space = H5Screate_simple(9, (hsize_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, NULL);
    assert_true(H5Dcreate2(vars, "0", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    refused(file, line);
    file = create(); /* HDF5's own compression is supported */
    vars = group(group(file, "layers"), "vars");
    options = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(options, 2, (hsize_t[]){2, 3});
    H5Pset_shuffle(options);
    H5Pset_deflate(options, 4);
    H5Pset_fletcher32(options);
    dataset_with(vars, "0", H5T_IEEE_F32LE, options, numbers, 2, 3);
    read_made(file);
    assert_numbers("layers/vars/0", numbers);
    forget();
    free(image);
}

/* ---- Keras 2 ---- */

/* A layer's group with one weight in it, "w/kernel:0". */
static void add_layer(hid_t in, const char *name)
{
    static const char *const names[] = {"w/kernel:0"};
    hid_t layer = group(in, name), inner = group(layer, "w");
    strings(layer, "weight_names", names, 1, 0);
    dataset(inner, "kernel:0", H5T_IEEE_F32LE, numbers, 2, 3);
}

static void lists_become_positions(void **state)
{
    (void)state;
    static const char *const layers[] = {"b", "a"}, *const first[] = {"b"}, *const second[] = {"a"};
    for (size_t width = 0; width < 3; width++) { /* names of variable length; of one character; in two attributes */
        hid_t file = create();
        add_layer(file, "a");
        add_layer(file, "b");
        if (width < 2) {
            strings(file, "layer_names", layers, 2, width);
        } else {
            strings(file, "layer_names0", first, 1, 1);
            strings(file, "layer_names1", second, 1, 1);
        }
        read_made(file);
        assert_string_equal(text_of("naming"), "position");
        assert_int_equal(out.n, 2);
        assert_string_equal(out.tensors[0].name, "000000 w/kernel:0");
        assert_string_equal(out.tensors[1].name, "000001 w/kernel:0");
        assert_numbers("000001 w/kernel:0", numbers);
        forget();
        free(image);
    }
}

static void whole_models_have_a_configuration(void **state)
{
    (void)state;
    static const char *const layers[] = {"a"};
    hid_t file = create(), weights = group(file, "model_weights");
    text(file, "model_config", "{\"class_name\": \"Sequential\"}");
    text(file, "keras_version", "2.15.0");
    strings(weights, "layer_names", layers, 1, 8);
    add_layer(weights, "a");
    read_made(file);
    assert_string_equal(text_of("config"), "{\"class_name\": \"Sequential\"}");
    assert_string_equal(text_of("keras_version"), "2.15.0");
    assert_numbers("000000 w/kernel:0", numbers);
    forget();
    free(image);
    file = create();
    strings(file, "model_config", (const char *const[]){"a", "b"}, 2, 0);
    refused(file, "its attribute model_config is no text of at most 16 MiB");
    file = create();
    hid_t space = H5Screate(H5S_SCALAR);
    assert_true(H5Acreate2(file, "keras_version", H5T_NATIVE_INT, space, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    refused(file, "its attribute keras_version is no text");
}

static void listed_layers_and_weights_must_exist(void **state)
{
    (void)state;
    static const char *const missing[] = {"a"}, *const slashes[] = {"//w//kernel:0"}, *const no_group[] = {"0/1"};
    hid_t file = create();
    strings(file, "layer_names", missing, 1, 0);
    refused(file, "the weights of layer a cannot be read");
    file = create();
    group(file, "a");
    strings(file, "layer_names", missing, 1, 0);
    refused(file, "its attribute weight_names is missing");
    file = create();
    strings(file, "layer_names", missing, 1, 0);
    strings(group(file, "a"), "weight_names", missing, 1, 0);
    refused(file, "tensor a is missing");
    file = create(); /* a path that continues below a dataset */
    strings(file, "layer_names", missing, 1, 0);
    hid_t layer = group(file, "a");
    strings(layer, "weight_names", no_group, 1, 0);
    dataset(layer, "0", H5T_IEEE_F32LE, numbers, 1, 1);
    refused(file, "tensor 0/1 is missing");
    file = create(); /* a weight of whole numbers */
    strings(file, "layer_names", missing, 1, 0);
    layer = group(file, "a");
    strings(layer, "weight_names", missing, 1, 0);
    dataset(layer, "a", H5T_STD_I32LE, NULL, 1, 1);
    refused(file, "tensor 000000 a is stored in a way that Keras does not write");
    file = create(); /* empty parts of a path are skipped */
    strings(file, "layer_names", missing, 1, 0);
    layer = group(file, "a");
    strings(layer, "weight_names", slashes, 1, 0);
    dataset(group(layer, "w"), "kernel:0", H5T_IEEE_F32LE, numbers, 2, 3);
    read_made(file);
    assert_numbers("000000 //w//kernel:0", numbers);
    forget();
    free(image);
    file = create();
    group(file, "model_weights");
    refused(file, "its attribute layer_names is missing");
}

/* ---- fixtures, whole and damaged ---- */

static void read_fixture(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/tests/fixtures/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    image = malloc(1 << 20);
    image_bytes = fread(image, 1, 1 << 20, file);
    fclose(file);
}

static void fixtures_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *file, *naming, *tensor;
        bool config;
    } rows[] = {
        {"file_keras2_h5_rnn_stacked/model.h5", "position", "000000 rnn", true},
        {"file_keras3_h5_masked_lstm_dense/model.h5", "position", "000000 ", true},
        {"model2_h5_compressed/model.h5", "position", "000000 ", true},
        {"file_keras3_weights_h5_rnn_stacked/model.weights.h5", "group", "layers/rnn/cell/", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        read_fixture(rows[i].file);
        if (!read_image())
            fail_msg("%s: %s", rows[i].file, out.error);
        assert_string_equal(text_of("naming"), rows[i].naming);
        assert_true(out.n > 0);
        assert_int_equal(strncmp(out.tensors[0].name, rows[i].tensor, strlen(rows[i].tensor)), 0);
        assert_int_equal(text_of("config") != NULL, rows[i].config);
        for (size_t k = 0; k < out.n; k++) {
            float *data = malloc(out.tensors[k].bytes + 1);
            assert_true(out.read(&out.tensors[k], data));
            for (size_t x = 0; x < out.tensors[k].bytes / sizeof *data; x++)
                assert_true(fabsf(data[x]) < 100);
            free(data);
        }
        forget();
        free(image);
    }
}

/* A file that is cut short, or that lacks its first bytes, gives an error message. (Changed bytes can crash the HDF5
   library. The helper is a separate process for this reason, and tests/e2e/test_damaged.c tests it.) */
static void files_cut_short_are_refused(void **state)
{
    (void)state;
    read_fixture("file_keras2_h5_rnn_stacked/model.h5");
    size_t whole = image_bytes;
    for (size_t i = 0; i < 60; i++) {
        image_bytes = i * whole / 60;
        assert_false(read_image());
        assert_non_null(strstr(out.error, "the HDF5 library cannot open it: it is damaged or cut short"));
        forget();
    }
    image_bytes = whole;
    for (size_t i = 0; i < 9; i++) { /* the signature, and the version of the superblock */
        image[i] ^= 0x55;
        assert_false(read_image());
        forget();
        image[i] ^= 0x55;
    }
    assert_true(read_image());
    forget();
    free(image);
}

static void files_are_known_by_their_first_bytes(void **state)
{
    (void)state;
    assert_true(hdf5_is((const unsigned char *)"\x89HDF\r\n\x1a\n", 8));
    assert_false(hdf5_is((const unsigned char *)"\x89HDF\r\n\x1a\n", 7));
    assert_false(hdf5_is((const unsigned char *)"\x89HDF\r\n\x1a ", 8));
}

int main(void)
{
    hdf5_prepare();
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups_become_paths),
                                       cmocka_unit_test(links_are_hard_and_few),
                                       cmocka_unit_test(other_storage_is_refused),
                                       cmocka_unit_test(lists_become_positions),
                                       cmocka_unit_test(whole_models_have_a_configuration),
                                       cmocka_unit_test(listed_layers_and_weights_must_exist),
                                       cmocka_unit_test(fixtures_are_read),
                                       cmocka_unit_test(files_cut_short_are_refused),
                                       cmocka_unit_test(files_are_known_by_their_first_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
