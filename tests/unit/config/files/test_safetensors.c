/* tensors.c and safetensors.c: valid files, every dtype, and files with wrong headers. */
#include "config/files/tensors.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

static struct problems problems;

static bool open_parts(struct tensor_set *set, const char *header, uint64_t length, const void *data, size_t n)
{
    unsigned char bytes[4096];
    size_t h = strlen(header);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, h);
    if (n)
        memcpy(bytes + 8 + h, data, n);
    const char *path = unit_file(".safetensors", bytes, 8 + h + n);
    bool good = safetensors_open(set, path, &problems);
    unlink(path);
    return good;
}

static void all_float_types_are_converted(void **state)
{
    (void)state;
    struct tensor_set set;
    static const unsigned char data[] = {0,    0,    0x80, 0x3f,                         /* F32 1 */
                                         0,    0,    0,    0,    0,    0,    0xf8, 0xbf, /* F64 -1.5 */
                                         0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc, 0xff, 0x7b, /* F16 1, 2^-24, -inf, 65504 */
                                         0x80, 0x3f, 0x49, 0x40};                        /* BF16 1, 3.140625 */
    const char *header = "{\"__metadata__\": {\"format\": \"pt\"}, \"a\": {\"dtype\": \"F32\", \"shape\": [1], "
                         "\"data_offsets\": [0, 4]}, "
                         "\"b\": {\"dtype\": \"F64\", \"shape\": [1, 1], \"data_offsets\": [4, 12]}, "
                         "\"c\": {\"dtype\": \"F16\", \"shape\": [2, 2], \"data_offsets\": [12, 20]}, "
                         "\"d\": {\"dtype\": \"BF16\", \"shape\": [2], \"data_offsets\": [20, 24]}}";
    if (!open_parts(&set, header, strlen(header), data, sizeof data))
        fail_msg("%s", problems.errors[0]);
    assert_int_equal(set.n, 4);
    float x[4];
    tensor_to_floats(tensor_set_find(&set, "a"), x);
    assert_true(x[0] == 1);
    tensor_to_floats(tensor_set_find(&set, "b"), x);
    assert_true(x[0] == -1.5f);
    tensor_to_floats(tensor_set_find(&set, "c"), x);
    assert_true(x[0] == 1 && x[1] == 0x1p-24f && x[2] == -INFINITY && x[3] == 65504);
    size_t first = 9;
    assert_int_equal(tensor_nonfinite(tensor_set_find(&set, "b"), &first), 0);
    assert_int_equal(tensor_nonfinite(tensor_set_find(&set, "c"), &first), 1);
    assert_int_equal(first, 2);
    tensor_to_floats(tensor_set_find(&set, "d"), x);
    assert_true(x[0] == 1 && x[1] == 3.140625f);
    assert_null(tensor_set_find(&set, "e"));
    tensor_set_close(&set);
}

static void files_with_wrong_headers_are_refused(void **state)
{
    (void)state;
    static const char four[4] = {0};
    static const struct {
        const char *header;
        uint64_t length; /* 0: the header's true length */
        size_t data;
        const char *line;
    } rows[] = {
        {"{", 5000000000, 0, "no JSON header"},
        {"{}", 1000, 0, "no JSON header"},
        {" {}", 0, 0, "no JSON header"},
        {"{\"a\"", 0, 0, "header: "},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 0, 0, "beyond the end"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0, 3]}}", 0, 3, "do not span"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 4]}}", 0, 4, "do not span"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [-1], \"data_offsets\": [0, 4]}}", 0, 4, "no size"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [4294967296, 4294967296, 4294967296], \"data_offsets\": [0, 4]}}", 0,
         4, "too large"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [4, 0]}}", 0, 4, "expected data_offsets"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [0]}}", 0, 4, "expected data_offsets"},
        {"{\"a\": {\"dtype\": \"F31\", \"shape\": [1], \"data_offsets\": [0, 4]}}", 0, 4, "unknown dtype"},
        {"{\"a\": {\"dtype\": \"F32\", \"shape\": 1, \"data_offsets\": [0, 4]}}", 0, 4, "expected a shape"},
        {"{\"a\": 3}", 0, 0, "unknown dtype"},
        {"{\"a\": {\"dtype\": \"U8\", \"shape\": [2], \"data_offsets\": [0, 2]}, \"b\": {\"dtype\": \"U8\", \"shape\": "
         "[2], \"data_offsets\": [1, 3]}}",
         0, 3, "overlap, leave holes"},
        {"{\"a\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [0, 1]}}", 0, 3, "overlap, leave holes"},
        {"{\"a\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [1, 2]}}", 0, 2, "overlap, leave holes"},
        {"{\"a\": {\"dtype\": \"U8\", \"shape\": [0], \"data_offsets\": [0, 0]}, \"a\": {\"dtype\": \"U8\", \"shape\": "
         "[0], \"data_offsets\": [0, 0]}}",
         0, 0, "header: duplicate"},
        {"{\"__metadata__\": {\"a\": [1, 2]}}", 0, 0, "header: expected a text in __metadata__"},
        {"{\"__metadata__\": {\"a\": \"b\", \"a\": \"c\"}}", 0, 0, "header: duplicate"},
        {"{\"__metadata__\": {}, \"__metadata__\": {}}", 0, 0, "header: duplicate"},
        {"{\"__metadata__\": []}", 0, 0, "header: expected an object"},
        {"{}}", 0, 0, "header: something stands behind"},
        {"{\"a\" 1}", 0, 0, "header: expected ':'"},
        {"{1: 1}", 0, 0, "header: expected a name"},
        {"{\"a\": 1 \"b\": 2}", 0, 0, "tensor \"a\": unknown dtype"},
        {"{\"__metadata__\": {} \"b\": 2}", 0, 0, "header: expected ',' or '}'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensor_set set;
        bool good = open_parts(&set, rows[i].header, rows[i].length ? rows[i].length : strlen(rows[i].header), four,
                               rows[i].data);
        if (good || !strstr(problems.errors[0], rows[i].line))
            fail_msg("%s: expected \"%s\", found \"%s\"", rows[i].header, rows[i].line,
                     good ? "no error" : problems.errors[0]);
        problems_close(&problems);
    }
    struct tensor_set set;
    const char *path = unit_file(".safetensors", "1234567", 7);
    assert_false(safetensors_open(&set, path, &problems));
    unlink(path);
    assert_false(safetensors_open(&set, "/nowhere/at.all", &problems));
    problems_close(&problems);
}

/* Allocated bytes of the heap. */
static size_t used(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* A header of many megabytes is refused before memory is allocated for its content. */
static void large_headers_take_little_memory(void **state)
{
    (void)state;
    enum { BYTES = 30000000 };
    static const char entry[] = "\"%07zu\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},";
    char *text = malloc(BYTES + 200);
    size_t n = 9, at = 0;
    text[8] = '{';
    for (; n < BYTES; at++)
        n += (size_t)sprintf(text + n, entry, at);
    text[n - 1] = '}';
    for (size_t i = 0; i < 8; i++)
        text[i] = (char)((n - 8) >> 8 * i & 255);
    struct tensor_set set = {.n = 0};
    size_t before = used();
    assert_false(safetensors_parse(&set, (unsigned char *)text, n, "f", &problems));
    assert_non_null(strstr(problems.errors[0], "more tensors than are read (at byte 386"));
    assert_true(used() < before + (1 << 20));
    problems_close(&problems);
    n = 9 + (size_t)sprintf(text + 9, "\"__metadata__\":{\"config\":[");
    memset(text + n, '[', BYTES - n);
    assert_false(safetensors_parse(&set, (unsigned char *)text, BYTES, "f", &problems));
    assert_true(used() < before + (1 << 20));
    problems_close(&problems);
    free(text);
}

static void damaged_headers_do_no_harm(void **state)
{
    (void)state;
    char good[512];
    const char *header = "{\"a\": {\"dtype\": \"F32\", \"shape\": [2, 1], \"data_offsets\": [0, 8]}, \"b\": "
                         "{\"dtype\": \"F16\", \"shape\": [1], "
                         "\"data_offsets\": [8, 10]}}";
    size_t n = strlen(header);
    memset(good, 0, sizeof good);
    good[0] = (char)n;
    memcpy(good + 8, header, n);
    n += 8 + 10;
    for (size_t i = 0; i < n; i++)
        for (int kind = 0; kind < 9; kind++) {
            char bytes[512];
            struct tensor_set set;
            memcpy(bytes, good, n);
            if (kind < 8)
                bytes[i] = (char)(bytes[i] ^ 1 << kind);
            const char *path = unit_file(".safetensors", bytes, kind < 8 ? n : i);
            if (safetensors_open(&set, path, &problems))
                tensor_set_close(&set);
            unlink(path);
            problems_close(&problems);
        }
}

static void whole_numbers_are_read_as_elements(void **state)
{
    (void)state;
    static const unsigned char data[] = {0xff, 0xff, 0xff, 0xff,             /* I32 -1 */
                                         2,    0,    0,    0,    0, 0, 0, 1, /* I64 2^56 + 2 */
                                         200,  1,    7,    7};               /* U8, BOOL, I16 */
    const char *header = "{\"a\": {\"dtype\": \"I32\", \"shape\": [1], \"data_offsets\": [0, 4]}, "
                         "\"b\": {\"dtype\": \"I64\", \"shape\": [], \"data_offsets\": [4, 12]}, "
                         "\"c\": {\"dtype\": \"U8\", \"shape\": [1], \"data_offsets\": [12, 13]}, "
                         "\"d\": {\"dtype\": \"BOOL\", \"shape\": [1], \"data_offsets\": [13, 14]}, "
                         "\"e\": {\"dtype\": \"I16\", \"shape\": [1], \"data_offsets\": [14, 16]}}";
    static const double values[] = {-1, 72057594037927938.0, 200, 1, NAN};
    struct tensor_set set;
    if (!open_parts(&set, header, strlen(header), data, sizeof data))
        fail_msg("%s", problems.errors[0]);
    for (size_t i = 0; i < 5; i++) {
        double value = tensor_element(&set.tensors[i], 0);
        assert_true(value == values[i] || (isnan(value) && isnan(values[i])));
        assert_false(tensor_is_float(&set.tensors[i]));
        assert_null(tensor_floats_in_place(&set.tensors[i]));
    }
    tensor_set_close(&set);
}

static void shapes_are_shown(void **state)
{
    (void)state;
    static const struct {
        size_t rank, size;
        const char *text;
    } rows[] = {{0, 64, "[]"}, {1, 64, "[3]"}, {3, 64, "[3, 0, 12]"}, {3, 5, "[3, "}};
    static const size_t shape[] = {3, 0, 12};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[64];
        shape_text(shape, rows[i].rank, text, rows[i].size);
        assert_string_equal(text, rows[i].text);
    }
}

/* Errors for files that cannot be read or mapped, for a header that is cut within a text, and for too many texts. */
static void read_errors_are_reported(void **state)
{
    (void)state;
    struct tensor_set set;
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_false(safetensors_read(&set, fd, "f", &problems));
    assert_false(safetensors_map(&set, fd, "f", &problems));
    close(fd);
    assert_string_equal(problems.errors[0], "f: not a safetensors file: shorter than its first 8 bytes");
    assert_string_equal(problems.errors[1], problems.errors[0]);
    problems_close(&problems);
    const char *path = unit_file(".safetensors", "0123456789", 10);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_false(safetensors_read(&set, fd, "f", &problems));
    assert_false(safetensors_map(&set, fd, "f", &problems));
    close(fd);
    unlink(path);
    assert_string_equal(problems.errors[0], "f: Bad file descriptor");
    assert_string_equal(problems.errors[1], "f: cannot map it: Permission denied");
    problems_close(&problems);
    static const char cut[] = "{\"__metadata__\": {\"a\": \"b}}";
    assert_false(open_parts(&set, cut, strlen(cut), NULL, 0));
    unit_has_error(&problems, cut, "header: ");
    problems_close(&problems);
    char *text = malloc(100000);
    size_t n = 8 + (size_t)sprintf(text + 8, "{\"__metadata__\": {");
    for (int i = 0; i < 4098; i++)
        n += (size_t)sprintf(text + n, "%s\"%d\": \"\"", i ? ", " : "", i);
    n += (size_t)sprintf(text + n, "}}");
    for (size_t i = 0; i < 8; i++)
        text[i] = (char)((n - 8) >> 8 * i & 255);
    set = (struct tensor_set){.n = 0};
    assert_false(safetensors_parse(&set, (unsigned char *)text, n, "f", &problems));
    unit_has_error(&problems, "texts", "more texts in __metadata__ than are read");
    problems_close(&problems);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_float_types_are_converted),
                                       cmocka_unit_test(files_with_wrong_headers_are_refused),
                                       cmocka_unit_test(large_headers_take_little_memory),
                                       cmocka_unit_test(damaged_headers_do_no_harm),
                                       cmocka_unit_test(whole_numbers_are_read_as_elements),
                                       cmocka_unit_test(shapes_are_shown),
                                       cmocka_unit_test(read_errors_are_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
