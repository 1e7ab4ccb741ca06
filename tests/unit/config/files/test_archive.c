#include "config/files/archive.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

static struct problems problems;
static const char path[] = "/tmp/cellserve-archive-test";

static bool read_archive(const char *file, struct tensor_set *set)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool good = archive_open(set, fd, "f", &problems);
    close(fd);
    return good;
}

static void refused(const char *line)
{
    struct tensor_set set;
    assert_false(read_archive(path, &set));
    assert_int_equal(problems.n_errors, 1);
    if (!strstr(problems.errors[0], line))
        fail_msg("no \"%s\" but \"%s\"", line, problems.errors[0]);
    problems_close(&problems);
}

static void write_bytes(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, n, file);
    fclose(file);
}

/* A zip archive of entries, each a name and n bytes. */
struct entry {
    const char *name;
    const void *bytes;
    size_t n;
};

static void write_zip(const struct entry *entries, size_t n)
{
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    for (size_t i = 0; i < n; i++)
        assert_true(zip_file_add(zip, entries[i].name, zip_source_buffer(zip, entries[i].bytes, entries[i].n, 0), 0) >=
                    0);
    assert_int_equal(zip_close(zip), 0);
}

static void keras_files_become_named_tensors(void **state)
{
    (void)state;
    struct tensor_set set;
    assert_true(read_archive(SOURCE_DIR "/tests/fixtures/file_keras3_keras_rnn_stacked/model.keras", &set));
    assert_string_equal(tensor_set_text(&set, "naming"), "group");
    assert_string_equal(tensor_set_text(&set, "keras_version"), "3.15.1");
    assert_non_null(strstr(tensor_set_text(&set, "config"), "StackedRNNCells"));
    const struct named_tensor *kernel = tensor_set_find(&set, "layers/rnn/cell/cells/lstm_cell/vars/0");
    assert_non_null(kernel);
    assert_int_equal(kernel->shape[0], 4);
    assert_non_null(tensor_floats_in_place(kernel));
    tensor_set_close(&set);
    assert_true(read_archive(SOURCE_DIR "/tests/fixtures/file_keras2_h5_rnn_stacked/model.h5", &set));
    assert_string_equal(tensor_set_text(&set, "naming"), "position");
    assert_string_equal(tensor_set_text(&set, "keras_version"), "2.15.0");
    assert_non_null(strstr(set.tensors[0].name, "000000 rnn"));
    tensor_set_close(&set);
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static const char json[] = "{}";
    enum { BOMB = 100000000 };
    unsigned char *zeros = calloc(BOMB, 1);
    write_bytes("hello", 5);
    refused("f: it is neither an HDF5 file nor a zip archive");
    write_bytes("", 0);
    refused("f: it is empty");
    write_bytes("PK\3\4 and nothing else", 22);
    refused("f: the archive is damaged or cut short");
    write_bytes("\x89HDF\r\n\x1a\n and nothing else", 25);
    refused("f: the HDF5 library cannot open it");
    write_zip((struct entry[]){{"x/data.pkl", json, 2}}, 1);
    refused("its pickle is damaged: 0x7b at byte 0 is no opcode");
    write_zip((struct entry[]){{"config.json", json, 2}, {"metadata.json", json, 2}}, 2);
    refused("the archive has no model.weights.h5");
    write_zip((struct entry[]){{"config.json", json, 2}, {"metadata.json", json, 2}, {"model.weights.npz", json, 2}},
              3);
    refused("its weights are pickled");
    write_zip((struct entry[]){{"config.json", json, 2}, {"metadata.json", json, 2}, {"model.weights.h5", zeros, BOMB}},
              3);
    refused("its entry model.weights.h5 unpacks to 100000000 bytes; at most ");
    free(zeros);
    write_zip((struct entry[]){{"a.txt", json, 2}}, 1);
    refused("its entry a.txt is no array");
}

/* Hostile files: a group that contains itself, an external link, and a tensor of a terabyte without stored data. */
static void hostile_hdf5_is_refused(void **state)
{
    (void)state;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t layers = H5Gcreate2(file, "layers", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "layers", layers, "again", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(file, "layers", layers, "and_again", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    H5Gclose(layers);
    refused("its groups lie too deep");
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    layers = H5Gcreate2(file, "layers", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("/etc/passwd", "/", layers, "out", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(layers);
    H5Fclose(file);
    refused("layers/out is no hard link");
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    layers = H5Gcreate2(file, "layers", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t vars = H5Gcreate2(layers, "vars", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, (hsize_t[]){1 << 20, 1 << 20}, NULL);
    H5Pset_chunk(list, 2, (hsize_t[]){1024, 1024});
    hid_t dataset = H5Dcreate2(vars, "0", H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Pclose(list);
    H5Gclose(vars);
    H5Gclose(layers);
    H5Fclose(file);
    refused("tensor layers/vars/0 is far larger than the file");
    file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    refused("this HDF5 file holds no weights of Keras");
}

static void a_helper_that_fails_is_reported(void **state)
{
    (void)state;
    write_bytes("x", 1);
    archive_set_program("/nonexistent/cellserve");
    refused("the process that reads it cannot be started");
    refused("/nonexistent/cellserve is not there; mount /proc");
    archive_set_program("/bin/true"); /* exits with 0, and writes nothing */
    refused("not a safetensors file");
    archive_set_program("/bin/ls"); /* rejects the argument */
    refused("the process that read it ended with status 2");
    archive_set_program(BINARY);
}

/* Replaces the helper with a shell script: "#!/bin/sh\n", then `script`. */
static const char *write_program(const char *script, int mode)
{
    static char program[128];
    char text[512];
    int n = snprintf(text, sizeof text, "#!/bin/sh\n%s\n", script);
    snprintf(program, sizeof program, "%s", unit_file("-helper", text, (size_t)n));
    assert_int_equal(chmod(program, (mode_t)mode), 0);
    archive_set_program(program);
    return program;
}

static void the_end_of_a_helper_is_explained(void **state)
{
    (void)state;
    static const struct {
        const char *script, *line;
    } rows[] = {
        {"kill -SEGV $$", "the process that read it crashed: the file may be damaged (signal 11)"},
        {"kill -ABRT $$", "the process that read it crashed: the file may be damaged (signal 6)"},
        {"kill -XCPU $$", "reading it took more processor time than a file of its size may"},
        {"kill -SYS $$", "the process that read it asked the kernel for what it may not: the file may be made to do"},
        {"kill -KILL $$", "the process that read it was killed, as happens where memory is short; nothing is known"},
        {"kill -TERM $$", "the process that read it was ended from outside; nothing is known of the file (signal 15)"},
        {"printf 'a\\001\\377b'; exit 1", "f: a??b"},
        {"exit 1", "f: "},
        {"exit 7", "the process that read it ended with status 7"},
    };
    write_bytes("x", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *program = write_program(rows[i].script, 0700);
        refused(rows[i].line);
        unlink(program);
    }
    const char *program = write_program("exit 0", 0600);
    refused("the process that reads it cannot be started: Permission denied");
    unlink(program);
    program = write_program("exit 0", 0700);
    signal(SIGCHLD, SIG_IGN); /* the kernel then drops the exit status of a child */
    refused("the end of the process that read it was not seen; nothing is known of the file");
    signal(SIGCHLD, SIG_DFL);
    unlink(program);
    archive_set_program(BINARY);
}

/* The warning is given once, not for every file. */
static void a_helper_that_is_less_confined_is_a_warning(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\": {\"unconfined\": \"landlock\"}}";
    char file[sizeof header + 8] = {sizeof header - 1}, script[256], handed[128];
    memcpy(file + 8, header, sizeof header - 1);
    snprintf(handed, sizeof handed, "%s", unit_file(".safetensors", file, 8 + sizeof header - 1));
    snprintf(script, sizeof script, "exec cat %s", handed);
    const char *program = write_program(script, 0700);
    struct tensor_set set;
    write_bytes("x", 1);
    for (int i = 0; i < 2; i++) {
        assert_true(read_archive(path, &set));
        assert_int_equal(set.n, 0);
        tensor_set_close(&set);
    }
    assert_int_equal(problems.all_warnings, 1);
    assert_string_equal(problems.warnings[0],
                        "this kernel lacks landlock: model files are read by a process that is less confined");
    problems_close(&problems);
    unlink(program);
    unlink(handed);
    archive_set_program(BINARY);
}

static int clean(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    archive_set_program(BINARY);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_helper_that_is_less_confined_is_a_warning), /* first, because the warning is given once in a
                                                                          process */
        cmocka_unit_test(keras_files_become_named_tensors),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(hostile_hdf5_is_refused),
        cmocka_unit_test(a_helper_that_fails_is_reported),
        cmocka_unit_test(the_end_of_a_helper_is_explained)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
