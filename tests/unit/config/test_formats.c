/* Recognition of file formats by content: one row for each format, with a part of the error message for it. */
#include "config/formats.h"
#include "config/model_parts.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static const struct row {
    const char *name;  /* name of the format */
    const char *bytes; /* the first bytes of the file */
    size_t n;
    const char *sentence; /* a part of the error message; NULL: the file can be read */
} rows[] = {
#define ROW(name, bytes, sentence)                                                                                     \
    {                                                                                                                  \
        name, bytes, sizeof(bytes) - 1, sentence                                                                       \
    }
    ROW("an empty file", "", "the file is empty"),
    ROW("HDF5", "\x89HDF\r\n\x1a\n........", NULL),
    ROW("a zip archive", "PK\3\4\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.npy", NULL),
    ROW("a .keras file", "PK\3\4\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0d\0\0\0metadata.json", NULL),
    ROW("an office document", "PK\3\4\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xml",
        "an office document"),
    ROW("safetensors", "\x02\0\0\0\0\0\0\0{}", NULL),
    ROW("JSON", " \n{\"class_name\": \"LSTM\"}", NULL),
    ROW("JSON", "\xef\xbb\xbf{}", NULL),
    ROW("a TensorFlow Lite model", "\x1c\0\0\0TFL3\x14\0\0\0", "a TensorFlow Lite model"),
    ROW("a Git LFS pointer",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca"
        "24d17e2393\nsize 2097152\n",
        "this is a Git LFS pointer of 2.1 MB; run git lfs pull"),
    ROW("a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\nsize 812\n", "pointer of 812 bytes;"),
    ROW("a PyTorch file before 1.6", "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02", NULL),
    ROW("a pickle",
        "\x80\x03"
        "csklearn",
        NULL),
    ROW("a pickle", "\x80\x04\x95\x10", NULL),
    ROW("zlib", "\x78\x9c\x01\x02", "joblib.dump"),
    ROW("a PNG image", "\x89PNG\r\n\x1a\n", "a PNG image, no model"),
    ROW("a JPEG image", "\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image, no model"),
    ROW("a GIF image", "GIF89a\1\0", "a GIF image, no model"),
    ROW("a sound or video file", "RIFF\x24\x08\0\0WAVEfmt ", "a sound, image or video file"),
    ROW("gzip", "\x1f\x8b\x08\0\0\0\0\0", "packed by gzip; unpack it first"),
    ROW("bzip2", "BZh91AY&SY", "packed by bzip2"),
    ROW("xz",
        "\xfd"
        "7zXZ\0\0\x04",
        "packed by xz"),
    ROW("Zstandard", "\x28\xb5\x2f\xfd\x24\0", "packed by Zstandard"),
    ROW("7z", "7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
    ROW("RAR", "Rar!\x1a\x07\x01\0", "a RAR archive"),
    ROW("PDF", "%PDF-1.7\n", "a PDF document"),
    ROW("NumPy array", "\x93NUMPY\1\0\x76\0{'descr': '<f4'", "numpy.savez(\"weights.npz\", *model.get_weights())"),
    ROW("a program",
        "\x7f"
        "ELF\2\1\1\0",
        "a program or library"),
    ROW("a MATLAB file", "MATLAB 5.0 MAT-file, Platform: GLNXA64", "exportONNXNetwork"),
    ROW("UTF-16 text", "\xff\xfe{\0}\0", "save it as UTF-8"),
    ROW("a web page", "\n<!DOCTYPE html>\n<html lang=\"en\">", "a web page, not the file itself"),
    ROW("a web page", "<HTML><HEAD>", "a web page, not the file itself"),
    ROW("PMML", "<?xml version=\"1.0\"?>\n<PMML version=\"4.4\">", "a PMML model"),
    ROW("XML", "<?xml version=\"1.0\"?>\n<net name=\"x\">", "an XML document"),
    ROW("saved_model.pb", "\x08\x01\x12\xc8\xab\x7d\x0a\x8c\x01\x0a\x12", "give the folder that it lies in"),
    ROW("a Core ML model",
        "\x08\x04\x12\x9a\x02\x0a\x1c\x0a\x05"
        "input",
        "a Core ML model"),
    ROW("an ONNX model",
        "\x08\x06\x12\x07pytorch\x1a\x03"
        "1.9:",
        NULL),
    ROW("an ONNX model", "\x08\x08\x12\x0akeras2onnx\x1a", NULL),
    ROW("a frozen graph", "\x0a\x2c\x0a\x05input\x12\x0bPlaceholder*", "a frozen graph of TensorFlow 1"),
    ROW("a model in YAML", "backend: tensorflow\nclass_name: Sequential\nconfig:\n", "model_from_yaml(text).to_json()"),
    ROW("a Python program", "# a model\nimport tensorflow as tf\n", "run it, then save the model"),
    ROW("a table", "date,open,close\n2020-01-01,1.5,2\n", "a table of values (CSV)"),
    ROW("a text", "hello\n", "a text that is no JSON"),
    ROW("an unknown format", "\1\2\3\4\5\6\7", "it begins with 01 02 03 04"),
#undef ROW
};

static const char *write_row(const struct row *row)
{
    return unit_file(".bin", row->bytes, row->n);
}

static void every_kind_of_file_has_its_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = open(write_row(&rows[i]), O_RDONLY);
        const struct format *format = format_of(fd);
        char sentence[400];
        if (strcmp(format->name, rows[i].name))
            fail_msg("row %zu: expected %s, found %s", i, rows[i].name, format->name);
        assert_int_equal(format->reader == READ_NOTHING, rows[i].sentence != NULL);
        format_sentence(format, fd, sentence, sizeof sentence);
        if (rows[i].sentence && !strstr(sentence, rows[i].sentence))
            fail_msg("%s: no \"%s\" in \"%s\"", rows[i].name, rows[i].sentence, sentence);
        close(fd);
    }
}

/* The error message depends on the content of the file, not on its name. */
static void a_foreign_file_is_refused_by_its_sentence(void **state)
{
    (void)state;
    struct model_parts *parts = malloc(sizeof *parts);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct problems problems = {.n_errors = 0};
        bool found = model_parts_find(write_row(&rows[i]), "", parts, &problems);
        if (rows[i].sentence) {
            assert_false(found);
            unit_has_error(&problems, rows[i].name, rows[i].sentence);
            assert_non_null(problems.reason);
        } else if (strcmp(rows[i].name, "safetensors")) {
            assert_true(found);
        }
        problems_close(&problems);
    }
    free(parts);
}

/* Every format of the table has a row in this test. */
static void every_row_is_tested(void **state)
{
    (void)state;
    size_t kinds = 0;
    for (const struct format *format = formats; format->name; format++) {
        bool met = !strcmp(format->name, "tar") || !strcmp(format->name, "a TensorFlow checkpoint"); /* in the next
                                                                                                        test */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            met |= !strcmp(rows[i].name, format->name);
        if (!met)
            fail_msg("no row for %s", format->name);
        kinds += format->reader == READ_NOTHING;
    }
    assert_true(kinds >= 30);
}

static void formats_with_marks_further_on_are_known(void **state)
{
    (void)state;
    char bytes[600] = "model/";
    memcpy(bytes + 257, "ustar", 5);
    int fd = open(unit_file(".tar", bytes, sizeof bytes), O_RDONLY);
    assert_string_equal(format_of(fd)->name, "tar");
    close(fd);
    memset(bytes, 1, sizeof bytes);
    memcpy(bytes + sizeof bytes - 8, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    fd = open(unit_file(".index", bytes, sizeof bytes), O_RDONLY);
    assert_string_equal(format_of(fd)->name, "a TensorFlow checkpoint");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_file_has_its_sentence),
        cmocka_unit_test(a_foreign_file_is_refused_by_its_sentence),
        cmocka_unit_test(every_row_is_tested),
        cmocka_unit_test(formats_with_marks_further_on_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
