/* Tensors of an ONNX model in files beside it: what is read, and which files are not. Linked with --wrap: a file may
   shrink just before it is read. */
#include "config/onnx/onnx_external.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NUMBERS = 16 };

static char root[] = "/tmp/cellserve-external-XXXXXX";
static struct problems problems;

/* "%s" of root and a name. */
static const char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static const char *shrinking; /* a file that is cut before the next read */

ssize_t __real_pread(int fd, void *out, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *out, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *out, size_t n, off_t at); /* its other name */
ssize_t __wrap_pread(int fd, void *out, size_t n, off_t at)
{
    if (shrinking)
        assert_int_equal(truncate(shrinking, 12), 0);
    return __real_pread(fd, out, n, at);
}

ssize_t __wrap_pread64(int fd, void *out, size_t n, off_t at)
{
    return __wrap_pread(fd, out, n, at);
}

/* The numbers 0, 1, 2, … as floats. */
static void write_numbers(const char *name)
{
    float numbers[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++)
        numbers[i] = (float)i;
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(numbers, sizeof *numbers, NUMBERS, file), NUMBERS);
    fclose(file);
}

/* root/model/m.onnx and data: w, below/w, in.link; files and links outside, and a FIFO. */
static int make_files(void **state)
{
    static const char *const links[][2] = {{"w", "model/in.link"},
                                           {"../outside", "model/out.link"},
                                           {"..", "model/up"},
                                           {"/dev/zero", "model/device.link"},
                                           {"../blobs/1", "snapshot/m.onnx"},
                                           {"../blobs/2", "snapshot/w"}};
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_int_equal(mkdir(path_of("model"), 0700) + mkdir(path_of("model/below"), 0700) +
                         mkdir(path_of("snapshot"), 0700) + mkdir(path_of("blobs"), 0700),
                     0);
    write_numbers("model/w");
    write_numbers("model/below/w");
    write_numbers("model/shrinks");
    write_numbers("outside");
    write_numbers("blobs/1");
    write_numbers("blobs/2");
    assert_int_equal(mkfifo(path_of("model/fifo"), 0600), 0);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        assert_int_equal(symlink(links[i][0], path_of(links[i][1])), 0);
    return 0;
}

static int remove_files(void **state)
{
    static const char *const names[] = {"model/w",
                                        "model/below/w",
                                        "model/shrinks",
                                        "outside",
                                        "blobs/1",
                                        "blobs/2",
                                        "model/fifo",
                                        "model/in.link",
                                        "model/up",
                                        "model/out.link",
                                        "model/device.link",
                                        "snapshot/m.onnx",
                                        "snapshot/w",
                                        "model/below",
                                        "model",
                                        "snapshot",
                                        "blobs",
                                        ""};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(path_of(names[i]));
    return 0;
}

static bool read_json(json_t *json, const char *model, struct tensor_set *set)
{
    *set = (struct tensor_set){.n = 0};
    return onnx_external_read(json, set, path_of(model), &problems);
}

/* {"location": …} as the reader of ONNX files gives it. */
static json_t *entry_of(const char *location, const char *offset, const char *length, const char *shape)
{
    json_t *entry = unit_json(shape);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "location", location, "offset", offset, "length", length, "type",
                     "F32", "shape", entry);
}

static json_t *model_of(json_t *entry)
{
    return json_pack("{s:{s:{s:{s:o}}}}", "onnx", "graph", "tensors", "weight", entry);
}

static void numbers_are(const char *model, const char *location, const char *offset, const char *length, size_t first)
{
    struct tensor_set set;
    json_t *json = model_of(entry_of(location, offset, length, "[2, 3]"));
    if (!read_json(json, model, &set))
        fail_msg("%s: %s", location, problems.errors[0]);
    const json_t *tensors = json_object_get(json_object_get(json_object_get(json, "onnx"), "graph"), "tensors");
    const char *name = json_string_value(json_object_get(tensors, "weight"));
    const struct named_tensor *tensor = name ? tensor_set_find(&set, name) : NULL;
    assert_non_null(tensor);
    assert_int_equal(tensor->rank, 2);
    assert_int_equal(tensor->elements, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(tensor_element(tensor, i) == (double)(first + i));
    tensor_set_close(&set);
    json_decref(json);
}

static void numbers_are_read_from_their_place(void **state)
{
    (void)state;
    numbers_are("model/m.onnx", "w", "", "", 0);
    numbers_are("model/m.onnx", "w", "8", "24", 2);
    numbers_are("model/m.onnx", "w", "40", "24", 10); /* up to the end of the file */
    numbers_are("model/m.onnx", "below/w", "4", "", 1);
    numbers_are("model/m.onnx", "./w", "0", "24", 0);
    numbers_are("model/m.onnx", "in.link", "4", "24", 1);
    numbers_are("snapshot/m.onnx", "w", "8", "24", 2); /* links of a cache of downloads */
}

static void files_and_places_that_are_not_read_say_why(void **state)
{
    static const struct {
        const char *location, *offset, *length, *shape, *line;
    } rows[] = {
        {"w", "44", "24", "[2, 3]", "\"w\" is cut short: a tensor reaches beyond the end of the file"},
        {"w", "65", "24", "[2, 3]", "is cut short"},
        {"w", "0", "68", "[17]", "is cut short"},
        {"w", "18446744073709551612", "24", "[2, 3]", "is cut short"},
        {"w", "18446744073709551616", "24", "[2, 3]", "has an offset that is no number of bytes"},
        {"w", "-4", "24", "[2, 3]", "has an offset that is no number of bytes"},
        {"w", "0x10", "24", "[2, 3]", "has an offset that is no number of bytes"},
        {"w", "0", "20", "[2, 3]", "has a length that does not fit its tensor's shape"},
        {"w", "0", "-24", "[2, 3]", "has a length that does not fit"},
        {"w", "0", "18446744073709551640", "[2, 3]", "has a length that does not fit"},
        {"w", "0", "24 ", "[2, 3]", "has a length that does not fit"},
        {"w", "0", "", "[4294967296, 4294967296]", "is too large"},
        {"w", "0", "", "[1099511627776]", "is too large"},
        {"w", "0", "", "[-1]", "is too large"},
        {"w", "0", "", "[1, 1, 1, 1, 1, 1, 1, 1, 1]", "has a type that is not read, or more than 8 axes"},
        {"", "0", "24", "[2, 3]", "lies outside the model's folder"},
        {"/etc/hostname", "0", "24", "[2, 3]", "lies outside the model's folder"},
        {"../outside", "0", "24", "[2, 3]", "lies outside the model's folder"},
        {"below/../../outside", "0", "24", "[2, 3]", "lies outside the model's folder"},
        {"out.link", "0", "24", "[2, 3]", "is a link that leaves the model's folder"},
        {"up/outside", "0", "24", "[2, 3]", "is a link that leaves the model's folder"},
        {"device.link", "0", "24", "[2, 3]", "is a link that leaves the model's folder"},
        {"fifo", "0", "24", "[2, 3]", "expected a regular file, found a FIFO"},
        {"below", "0", "24", "[2, 3]", "expected a regular file, found a folder"},
        {"missing", "0", "24", "[2, 3]", "model/missing: No such file or directory"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensor_set set;
        json_t *json = model_of(entry_of(rows[i].location, rows[i].offset, rows[i].length, rows[i].shape));
        if (read_json(json, "model/m.onnx", &set))
            fail_msg("row %zu (%s) is read", i, rows[i].location);
        unit_has_error(&problems, rows[i].location, rows[i].line);
        problems_close(&problems);
        tensor_set_close(&set);
        json_decref(json);
    }
}

static void a_type_of_no_width_is_refused(void **state)
{
    struct tensor_set set;
    json_t *entry = entry_of("w", "0", "", "[1000000]"), *json = model_of(entry);
    (void)state;
    json_object_set_new(entry, "type", json_string("F8"));
    assert_false(read_json(json, "model/m.onnx", &set));
    unit_has_error(&problems, "F8", "has a type that is not read");
    problems_close(&problems);
    tensor_set_close(&set);
    json_decref(json);
}

static void a_file_that_shrinks_meanwhile_is_refused(void **state)
{
    struct tensor_set set;
    json_t *json = model_of(entry_of("shrinks", "0", "24", "[2, 3]"));
    (void)state;
    shrinking = path_of("model/shrinks");
    bool good = read_json(json, "model/m.onnx", &set);
    shrinking = NULL;
    assert_false(good);
    unit_has_error(&problems, "shrinks", "\"shrinks\" was cut short while it was read");
    problems_close(&problems);
    tensor_set_close(&set);
    json_decref(json);
}

/* Two initializers of these names are no place of a tensor. */
static void names_of_tensors_are_no_places(void **state)
{
    struct tensor_set set;
    json_t *json = unit_json(
               "{'onnx': {'graph': {'tensors': {'location': 'location', 'shape': 'shape', 'type': 'type'}}}}"),
           *before = json_deep_copy(json);
    (void)state;
    assert_true(read_json(json, "model/m.onnx", &set));
    assert_true(json_equal(json, before));
    assert_int_equal(set.n, 0);
    tensor_set_close(&set);
    json_decref(json);
    json_decref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_from_their_place),
        cmocka_unit_test(files_and_places_that_are_not_read_say_why), cmocka_unit_test(a_type_of_no_width_is_refused),
        cmocka_unit_test(a_file_that_shrinks_meanwhile_is_refused), cmocka_unit_test(names_of_tensors_are_no_places)};
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
