/* Archives read in this process without the helper: fixtures, archives that the test makes, and damaged ones. */
#include "config/files/hdf5_file.h"
#include "config/files/zip_file.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <hdf5.h>
#include <zip.h>

/* The reader frees nothing, because its process ends after it has read the archive. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* The bytes of a file, or of an archive that the test made. */
struct bytes {
    unsigned char *at;
    size_t n;
};

static struct bytes read_fixture(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/tests/fixtures/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct bytes bytes = {malloc(1 << 20), 0};
    bytes.n = fread(bytes.at, 1, 1 << 20, file);
    assert_true(bytes.n > 0 && bytes.n < 1 << 20);
    fclose(file);
    return bytes;
}

struct entry {
    const char *name;
    const void *data;
    size_t n;
    bool deflated;
};

static struct bytes make_zip(const struct entry *entries, size_t n)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_source_keep(source);
    zip_t *zip = zip_open_from_source(source, ZIP_TRUNCATE, &error);
    assert_non_null(zip);
    for (size_t i = 0; i < n; i++) {
        zip_int64_t index =
            zip_file_add(zip, entries[i].name, zip_source_buffer(zip, entries[i].data, entries[i].n, 0), 0);
        assert_int_equal(
            zip_set_file_compression(zip, (zip_uint64_t)index, entries[i].deflated ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0),
            0);
    }
    assert_int_equal(zip_close(zip), 0);
    zip_stat_t info;
    zip_source_stat(source, &info);
    struct bytes bytes = {malloc(info.size), info.size};
    zip_source_open(source);
    assert_int_equal(zip_source_read(source, bytes.at, bytes.n), bytes.n);
    zip_source_close(source);
    zip_source_free(source);
    return bytes;
}

static struct handover out;

/* The reader keeps the data of the tensors until its process ends; in this test, until forget(). */
static bool read_zip(const struct bytes *bytes)
{
    out = (struct handover){.limit = 1 << 22};
    return zip_read(&out, bytes->at, bytes->n);
}

static void forget(struct bytes *bytes)
{
    handover_release(&out);
    H5close();
    hdf5_prepare();
    free(bytes->at);
}

static void refused(const struct entry *entries, size_t n, const char *line)
{
    struct bytes bytes = make_zip(entries, n);
    if (read_zip(&bytes) || !strstr(out.error, line))
        fail_msg("no \"%s\" but \"%s\"", line, out.error);
    forget(&bytes);
}

static const struct handover_tensor *tensor_of(const char *name)
{
    for (size_t i = 0; i < out.n; i++)
        if (!strcmp(out.tensors[i].name, name))
            return &out.tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static const char *text_of(const char *key)
{
    return json_string_value(json_object_get(out.metadata, key));
}

/* A .npy file of `shape` with float32 numbers. */
static size_t make_npy(char *to, const char *shape, const char *fortran, const float *numbers, size_t n)
{
    size_t length = (size_t)sprintf(to + 10, "{'descr': '<f4', 'fortran_order': %s, 'shape': %s, }", fortran, shape);
    memcpy(to, "\x93NUMPY\1\0", 8);
    to[8] = (char)length;
    to[9] = 0;
    memcpy(to + 10 + length, numbers, n * sizeof *numbers);
    return 10 + length + n * sizeof *numbers;
}

static const float numbers[] = {1, 2, 3, 4, 5, 6};

static void keras_archives_are_read(void **state)
{
    (void)state;
    struct bytes bytes = read_fixture("file_keras3_keras_rnn_stacked/model.keras");
    if (!read_zip(&bytes))
        fail_msg("%s", out.error);
    assert_string_equal(text_of("naming"), "group");
    assert_string_equal(text_of("keras_version"), "3.15.1");
    assert_non_null(strstr(text_of("config"), "StackedRNNCells"));
    const struct handover_tensor *kernel = tensor_of("layers/rnn/cell/cells/lstm_cell/vars/0");
    assert_int_equal(kernel->rank, 2);
    assert_int_equal(kernel->shape[0], 4);
    float *data = malloc(kernel->bytes);
    assert_true(out.read(kernel, data));
    for (size_t i = 0; i < kernel->bytes / sizeof *data; i++)
        assert_true(fabsf(data[i]) < 10);
    free(data);
    forget(&bytes);
}

static void npz_arrays_keep_their_names(void **state)
{
    (void)state;
    char rows[256], columns[256];
    size_t n = make_npy(rows, "(2, 3)", "False", numbers, 6), m = make_npy(columns, "(2, 3)", "True", numbers, 6);
    struct bytes bytes = make_zip((struct entry[]){{"a.npy", rows, n, false}, {"b/c.npy", columns, m, true}}, 2);
    if (!read_zip(&bytes))
        fail_msg("%s", out.error);
    static const float turned[] = {1, 3, 5, 2, 4, 6};
    float data[6];
    assert_string_equal(text_of("naming"), "names");
    assert_true(out.read(tensor_of("a"), data));
    assert_memory_equal(data, numbers, sizeof data);
    assert_true(out.read(tensor_of("b/c"), data));
    assert_memory_equal(data, turned, sizeof data);
    assert_string_equal(tensor_of("a")->type, "F32");
    forget(&bytes);
}

static void npz_arrays_go_by_position(void **state)
{
    (void)state;
    char files[12][256];
    struct entry entries[12];
    for (size_t i = 0; i < 12; i++) { /* in reverse order; arr_10 comes after arr_9, not after arr_1 */
        static char names[12][16];
        snprintf(names[i], sizeof names[i], "arr_%zu.npy", 11 - i);
        entries[i] = (struct entry){names[i], files[i],
                                    make_npy(files[i], "(1,)", "False", &(float){(float)(11 - i)}, 1), false};
    }
    struct bytes bytes = make_zip(entries, 12);
    if (!read_zip(&bytes))
        fail_msg("%s", out.error);
    assert_string_equal(text_of("naming"), "position");
    for (size_t i = 0; i < 12; i++) {
        float number;
        assert_true(out.read(&out.tensors[i], &number));
        assert_true(number == (float)i);
    }
    forget(&bytes);
    entries[11].name = "arr_x.npy"; /* if one name has no number, all tensors go by name */
    bytes = make_zip(entries, 12);
    assert_true(read_zip(&bytes));
    assert_string_equal(text_of("naming"), "names");
    assert_string_equal(out.tensors[0].name, "arr_11");
    forget(&bytes);
    refused((struct entry[]){entries[0], entries[1]}, 2, "the archive has no arr_0.npy");
}

static void other_archives_are_refused(void **state)
{
    (void)state;
    static const char json[] = "{}";
    char npy[256];
    size_t n = make_npy(npy, "(2, 3)", "False", numbers, 6);
    refused((struct entry[]){{"a.npy", npy, n - 1, false}}, 1, "its array a: its data does not fill its shape");
    refused((struct entry[]){{"a.npy", "no array at all", 15, false}}, 1, "its array a: this is no .npy array");
    refused((struct entry[]){{"a.npy", "", 0, false}}, 1, "its array a: this is no .npy array");
    refused((struct entry[]){{"a.npy", npy, n, false}, {"a.txt", json, 2, false}}, 2,
            "its entry a.txt is no array; expected a .keras or .npz archive");
    refused((struct entry[]){{".npy", npy, n, false}}, 1, "its entry .npy is no array");
    refused((struct entry[]){{"config.json", json, 2, false}}, 1, "the archive has no metadata.json");
    refused((struct entry[]){{"config.json", json, 2, false}, {"metadata.json", json, 2, false}}, 2,
            "the archive has no model.weights.h5");
    refused((struct entry[]){{"config.json", json, 2, false},
                             {"metadata.json", "no JSON", 7, false},
                             {"model.weights.h5", "x", 1, false}},
            3, "the HDF5 library cannot open it");
    refused((struct entry[]){{"config.json", "\xff", 1, false},
                             {"metadata.json", json, 2, false},
                             {"model.weights.h5", "x", 1, false}},
            3, "its config is no UTF-8 text");
    refused((struct entry[]){{"m/data.pkl", json, 2, false}}, 1, "its pickle is damaged: 0x7b at byte 0 is no opcode");
    struct bytes empty = {calloc(22, 1), 22};
    memcpy(empty.at, "PK\5\6", 4);
    assert_false(read_zip(&empty));
    assert_string_equal(out.error, "the archive has 0 entries");
    forget(&empty);
}

/* Set a byte of a header field, in the local header and in the central directory. */
static void set_field(struct bytes *bytes, size_t in_entry, size_t in_directory, unsigned char value)
{
    for (size_t i = 0; i + 4 <= bytes->n; i++) {
        if (!memcmp(bytes->at + i, "PK\3\4", 4))
            bytes->at[i + in_entry] = value;
        if (!memcmp(bytes->at + i, "PK\1\2", 4))
            bytes->at[i + in_directory] = value;
    }
}

/* libzip 1.11 reports wrong sizes of such an entry before the reader checks the compression method. */
static void other_ways_of_packing_are_refused(void **state)
{
    static const char newer[] = "the archive is damaged or cut short (Zip archive inconsistent: entry 0: ";
    (void)state;
    char npy[256];
    size_t n = make_npy(npy, "(2, 3)", "False", numbers, 6);
    static const struct {
        size_t in_entry, in_directory;
        unsigned char value;
        const char *line;
    } rows[] = {
        {8, 10, 12, "its entry a.npy is encrypted, or neither stored nor deflated"}, /* bzip2 */
        {6, 8, 1, "its entry a.npy is encrypted, or neither stored nor deflated"},
        {14, 16, 1, "its entry a.npy is damaged"}, /* a wrong byte in the checksum */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes bytes = make_zip((struct entry[]){{"a.npy", npy, n, false}}, 1);
        set_field(&bytes, rows[i].in_entry, rows[i].in_directory, rows[i].value);
        if (read_zip(&bytes) || !(strstr(out.error, rows[i].line) || strstr(out.error, newer)))
            fail_msg("no \"%s\" but \"%s\"", rows[i].line, out.error);
        forget(&bytes);
    }
    char *zeros = calloc(1 << 23, 1);
    refused((struct entry[]){{"a.npy", zeros, 1 << 23, true}}, 1, "its entry a.npy unpacks to 8388608 bytes; at most ");
    free(zeros);
}

/* Cut a small archive at every byte, and change every byte: the archive is read, or refused with an error message. */
static void damaged_archives_do_no_harm(void **state)
{
    (void)state;
    char npy[256];
    size_t n = make_npy(npy, "(2, 3)", "False", numbers, 6), good = 0;
    struct bytes whole = make_zip((struct entry[]){{"a.npy", npy, n, true}, {"b.npy", npy, n, false}}, 2);
    for (size_t i = 0; i < whole.n; i++)
        for (int kind = 0; kind < 3; kind++) {
            struct bytes bytes = {malloc(whole.n), kind ? whole.n : i};
            memcpy(bytes.at, whole.at, whole.n);
            if (kind)
                bytes.at[i] ^= (unsigned char)(kind == 1 ? 1 : 0x80);
            bool read = read_zip(&bytes);
            assert_int_equal(read, !out.error[0]);
            good += read;
            for (size_t k = 0; read && k < out.n; k++) {
                float data[6];
                assert_true(out.tensors[k].bytes <= sizeof data && out.read(&out.tensors[k], data));
            }
            for (size_t k = 0; k < out.n; k++)
                free(out.tensors[k].name);
            free(out.tensors);
            json_decref(out.metadata);
            free(bytes.at);
        }
    assert_true(good < whole.n); /* a change of a time stamp, for example, is not noticed */
    free(whole.at);
    out = (struct handover){.limit = 0};
    struct bytes fixture = read_fixture("file_keras3_keras_rnn_stacked/model.keras");
    for (size_t length = 4; length < fixture.n; length += 997) {
        struct bytes bytes = {fixture.at, length};
        assert_false(read_zip(&bytes));
        assert_non_null(strstr(out.error, "the archive is damaged or cut short ("));
    }
    free(fixture.at);
}

static void archives_are_known_by_their_first_bytes(void **state)
{
    (void)state;
    assert_true(zip_is((const unsigned char *)"PK\3\4", 4));
    assert_false(zip_is((const unsigned char *)"PK\3\4", 3));
    assert_false(zip_is((const unsigned char *)"PK\5\6", 4)); /* an empty archive */
}

int main(void)
{
    hdf5_prepare();
    const struct CMUnitTest tests[] = {cmocka_unit_test(keras_archives_are_read),
                                       cmocka_unit_test(npz_arrays_keep_their_names),
                                       cmocka_unit_test(npz_arrays_go_by_position),
                                       cmocka_unit_test(other_archives_are_refused),
                                       cmocka_unit_test(other_ways_of_packing_are_refused),
                                       cmocka_unit_test(damaged_archives_do_no_harm),
                                       cmocka_unit_test(archives_are_known_by_their_first_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
