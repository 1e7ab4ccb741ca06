/* Scaler files of several versions of scikit-learn: results equal those of scikit-learn, to the bit. */
#include "config/files/archive.h"
#include "config/transform/scaler.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <unistd.h>

static double number_of(const json_t *rows, size_t b, size_t i)
{
    const json_t *value = json_array_get(json_array_get(rows, b), i);
    return json_is_null(value) ? NAN : json_number_value(value);
}

static void same(const char *path, double got, double want)
{
    if (got != want && !(isnan(got) && isnan(want)))
        fail_msg("%s: %.17g, scikit-learn gives %.17g", path, got, want);
}

/* Compare every number of a case; returns their count. */
static size_t check_case(const char *folder, const json_t *one)
{
    struct problems problems = {.n_errors = 0};
    struct rnn_scaler scaler;
    char path[600];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/%s", folder, json_string_value(json_object_get(one, "file")));
    json_t *json = scaler_file_read(path, &problems);
    if (!json || !scaler_read(json, (struct place){path, NULL}, &problems, &scaler))
        fail_msg("%s: %s", path, problems.n_errors ? problems.errors[0] : "");
    assert_string_equal(scaler_class(json), json_string_value(json_object_get(one, "class_name")));
    const json_t *raw = json_object_get(one, "raw"), *scaled = json_object_get(one, "scaled");
    for (size_t b = 0; b < json_array_size(raw); b++)
        for (size_t i = 0; i < scaler.n; i++, n++)
            same(path, (double)(float)rnn_scaler_apply(&scaler, i, number_of(raw, b, i)), number_of(scaled, b, i));
    const json_t *outputs = json_object_get(one, "outputs"), *inverse = json_object_get(one, "inverse");
    for (size_t b = 0; b < json_array_size(outputs); b++)
        for (size_t i = 0; i < scaler.n; i++, n++)
            same(path, rnn_scaler_invert(&scaler, i, number_of(outputs, b, i)), number_of(inverse, b, i));
    rnn_scaler_close(&scaler);
    json_decref(json);
    problems_close(&problems);
    return n;
}

static void numbers_are_those_of_scikit_learn(void **state)
{
    (void)state;
    DIR *dir = opendir(SOURCE_DIR "/tests/fixtures/scalers");
    const struct dirent *entry;
    size_t versions = 0, numbers = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char folder[400], path[500];
        if (strchr("0123456789", *entry->d_name) == NULL)
            continue;
        snprintf(folder, sizeof folder, SOURCE_DIR "/tests/fixtures/scalers/%s", entry->d_name);
        snprintf(path, sizeof path, "%s/expected.json", folder);
        json_t *cases = json_load_file(path, 0, NULL);
        assert_int_equal(json_array_size(cases), 4);
        for (size_t i = 0; i < 4; i++)
            numbers += check_case(folder, json_array_get(cases, i));
        json_decref(cases);
        versions++;
    }
    closedir(dir);
    assert_int_equal(versions, 7);
    assert_int_equal(numbers, versions * 4 * (9 + 5) * 4);
}

static size_t read_bytes(const char *path, unsigned char *out, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(out, 1, size, file);
    fclose(file);
    return n;
}

/* A file that is cut short is an error. */
static void truncated_files_are_errors(void **state)
{
    (void)state;
    static const char *const files[] = {SOURCE_DIR "/tests/fixtures/scalers/1.9.1/robust.zlib.joblib",
                                        SOURCE_DIR "/tests/fixtures/scalers/0.22.2.post1/maxabs.pkl"};
    unsigned char bytes[1024];
    for (size_t f = 0; f < 2; f++) {
        size_t n = read_bytes(files[f], bytes, sizeof bytes);
        for (size_t cut = 1; cut < n; cut += 7) {
            struct problems problems = {.n_errors = 0};
            const char *path = unit_file(".pkl", bytes, cut);
            assert_null(scaler_file_read(path, &problems));
            assert_int_equal(problems.n_errors, 1);
            unlink(path);
            problems_close(&problems);
        }
    }
}

static void refused(const char *suffix, const void *bytes, size_t n, const char *why)
{
    struct problems problems = {.n_errors = 0};
    struct rnn_scaler scaler;
    const char *path = unit_file(suffix, bytes, n);
    json_t *json = scaler_file_read(path, &problems);
    if (json)
        assert_false(scaler_read(json, (struct place){path, NULL}, &problems, &scaler));
    unit_has_error(&problems, why, why);
    json_decref(json);
    unlink(path);
    problems_close(&problems);
}

/* Pickles of protocol 0 and 2, written by hand. */
static void other_classes_are_named(void **state)
{
    (void)state;
    static const char pipeline[] = "\x80\x02"
                                   "csklearn.pipeline\nPipeline\n)\x81}X\x05\x00\x00\x00stepsK\x01sb.";
    refused(".pkl", pipeline, sizeof pipeline - 1, "a Pipeline is not supported");
    refused(".pkl", pipeline, sizeof pipeline - 1, "json.dump(d, open('scaler.json', 'w')");
    static const char own[] = "\x80\x02"
                              "cmine\nStandardScaler\n)\x81}X\x05\x00\x00\x00mean_K\x01sb.";
    refused(".pkl", own, sizeof own - 1, "a mine.StandardScaler is not supported");
    static const char call[] = "\x80\x02"
                               "cos\nsystem\nX\x02\x00\x00\x00id\x85R.";
    refused(".pkl", call, sizeof call - 1, "os.system");
    refused(".pkl", "BZh91AY&SY", 10, "compressed with bz2");
    refused(".txt", "hello, world", 12, "it is no file of a scaler");
}

static void npz_files_hold_attributes(void **state)
{
    (void)state;
    struct problems problems = {.n_errors = 0};
    struct rnn_scaler scaler;
    json_t *json = scaler_file_read(SOURCE_DIR "/tests/fixtures/scalers/minmax.npz", &problems);
    assert_true(json && scaler_read(json, (struct place){"minmax.npz", NULL}, &problems, &scaler));
    assert_string_equal(scaler_class(json), "MinMaxScaler");
    assert_true(scaler.n == 2 && scaler.scale[0] == 0.25 && scaler.offset[1] == -1.5);
    rnn_scaler_close(&scaler);
    json_decref(json);
}

int main(void)
{
    archive_set_program(BINARY);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_scikit_learn), cmocka_unit_test(truncated_files_are_errors),
        cmocka_unit_test(other_classes_are_named), cmocka_unit_test(npz_files_hold_attributes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
