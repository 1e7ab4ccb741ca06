/* ONNX files, read by the load helper and in this process: graphs, tensors of every type, damaged files. */
#include "config/files/archive.h"
#include "config/files/onnx_file.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static struct problems problems;

/* ---- protobuf, written by hand ---- */

struct bytes {
    unsigned char at[2048];
    size_t n;
};

static void put(struct bytes *b, uint64_t value)
{
    for (; value >= 128; value >>= 7)
        b->at[b->n++] = (unsigned char)(value | 128);
    b->at[b->n++] = (unsigned char)value;
}

static void put_number(struct bytes *b, unsigned field, uint64_t value)
{
    put(b, field << 3);
    put(b, value);
}

static void put_bytes(struct bytes *b, unsigned field, const void *data, size_t n)
{
    put(b, field << 3 | 2);
    put(b, n);
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static void put_text(struct bytes *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

/* A model with one initializer and without nodes. */
static void model_of(const struct bytes *tensor, struct bytes *out)
{
    struct bytes graph = {.n = 0}, opset = {.n = 0};
    put_bytes(&graph, 5, tensor->at, tensor->n);
    put_number(&opset, 2, 15);
    *out = (struct bytes){.n = 0};
    put_number(out, 1, 8);
    put_text(out, 2, "test");
    put_bytes(out, 7, graph.at, graph.n);
    put_bytes(out, 8, opset.at, opset.n);
}

/* ---- tensors ---- */

/* Two numbers of each type: raw, or in the typed field. */
static void tensors_of_every_type_are_read(void **state)
{
    static const struct {
        unsigned type, field;
        const char *name;
        size_t width;
        unsigned char raw[16];
        uint64_t numbers[2]; /* the same as varints */
    } rows[] = {
        {1, 0, "F32", 4, {0, 0, 128, 63, 0, 0, 0, 64}, {0}},
        {10, 5, "F16", 2, {0, 60, 0, 64}, {0x3c00, 0x4000}},
        {16, 5, "BF16", 2, {128, 63, 0, 64}, {0x3f80, 0x4000}},
        {7, 7, "I64", 8, {1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, {1, UINT64_MAX}},
        {6, 5, "I32", 4, {1, 0, 0, 0, 255, 255, 255, 255}, {1, UINT64_MAX}},
        {9, 5, "U8", 1, {1, 0}, {1, 0}},
        {11, 0, "F64", 8, {0, 0, 0, 0, 0, 0, 240, 63, 0, 0, 0, 0, 0, 0, 0, 64}, {0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int raw = 0; raw < 2; raw++) {
            struct bytes tensor = {.n = 0}, model, packed = {.n = 0};
            struct handover out = {.limit = 1 << 16};
            if (!raw && !rows[i].field)
                continue;
            put_number(&tensor, 1, 2);
            put_number(&tensor, 2, rows[i].type);
            put_text(&tensor, 8, "t");
            put(&packed, rows[i].numbers[0]);
            put(&packed, rows[i].numbers[1]);
            if (raw)
                put_bytes(&tensor, 9, rows[i].raw, 2 * rows[i].width);
            else
                put_bytes(&tensor, rows[i].field, packed.at, packed.n);
            model_of(&tensor, &model);
            if (!onnx_read(&out, model.at, model.n))
                fail_msg("%s: %s", rows[i].name, out.error);
            assert_int_equal(out.n, 1);
            assert_string_equal(out.tensors[0].type, rows[i].name);
            assert_int_equal(out.tensors[0].bytes, 2 * rows[i].width);
            assert_memory_equal(out.tensors[0].data, rows[i].raw, 2 * rows[i].width);
            handover_release(&out);
        }
}

static void refuse_tensor(const struct bytes *tensor, const char *sentence)
{
    struct bytes model;
    struct handover out = {.limit = 1 << 16};
    model_of(tensor, &model);
    assert_false(onnx_read(&out, model.at, model.n));
    if (!strstr(out.error, sentence))
        fail_msg("no \"%s\" in \"%s\"", sentence, out.error);
    handover_release(&out);
}

static void tensors_that_do_not_fit_their_shape_are_refused(void **state)
{
    struct bytes few = {.n = 0}, large = {.n = 0}, deep = {.n = 0};
    (void)state;
    put_number(&few, 1, 3);
    put_number(&few, 2, 1);
    put_bytes(&few, 9, "12345678", 8);
    refuse_tensor(&few, "has not as many numbers as its shape says");
    put_number(&large, 1, UINT64_MAX / 2);
    put_number(&large, 2, 1);
    refuse_tensor(&large, "is too large");
    for (int i = 0; i < 9; i++)
        put_number(&deep, 1, 1);
    refuse_tensor(&deep, "more than 8 axes");
}

/* A tensor of strings, or of another type that is not read, becomes null. A node that uses it is refused later. */
static void other_types_are_left_out(void **state)
{
    struct bytes tensor = {.n = 0}, model;
    struct handover out = {.limit = 1 << 16};
    (void)state;
    put_number(&tensor, 2, 8);
    put_text(&tensor, 8, "t");
    model_of(&tensor, &model);
    assert_true(onnx_read(&out, model.at, model.n));
    assert_int_equal(out.n, 0);
    assert_non_null(strstr(json_string_value(json_object_get(out.metadata, "onnx")), "\"t\":null"));
    handover_release(&out);
}

/* ---- the helper ---- */

static size_t read_fixture(const char *name, unsigned char *out, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/fixtures/onnx/%s.onnx", SOURCE_DIR, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size);
    assert_true(n > 0);
    close(fd);
    return (size_t)n;
}

static bool read_by_helper(const unsigned char *bytes, size_t n, struct tensor_set *set)
{
    int fd = open(unit_file(".onnx", bytes, n), O_RDONLY | O_CLOEXEC);
    bool good = archive_open(set, fd, "m.onnx", &problems);
    close(fd);
    return good;
}

static void a_file_of_pytorch_is_read_by_the_helper(void **state)
{
    static unsigned char bytes[1 << 16];
    struct tensor_set set;
    (void)state;
    size_t n = read_fixture("torch_lstm_last", bytes, sizeof bytes);
    if (!read_by_helper(bytes, n, &set))
        fail_msg("%s", problems.errors[0]);
    json_t *model = unit_json(tensor_set_text(&set, "onnx")), *graph = json_object_get(model, "graph");
    const json_t *nodes = json_object_get(graph, "nodes");
    size_t recurrent = 0;
    for (size_t i = 0; i < json_array_size(nodes); i++)
        recurrent += !strcmp(json_string_value(json_object_get(json_array_get(nodes, i), "op")), "LSTM");
    assert_int_equal(recurrent, 1);
    assert_string_equal(json_string_value(json_object_get(model, "producer")), "pytorch");
    assert_int_equal(json_array_size(json_object_get(graph, "inputs")), 1);
    assert_true(set.n > 3);
    json_decref(model);
    tensor_set_close(&set);
}

/* Every damaged file is read, or refused with an error message. The helper neither crashes nor hangs. */
static void damaged_files_are_refused_or_read(void **state)
{
    static unsigned char bytes[1 << 16], copy[1 << 16];
    size_t n = read_fixture("torch_lstm_both_sequences", bytes, sizeof bytes);
    unsigned random = 7;
    (void)state;
    for (size_t i = 0; i < 60; i++) {
        size_t left = i % 3 ? n : n * (i + 1) / 61;
        struct tensor_set set;
        memcpy(copy, bytes, n);
        for (size_t k = 0; i % 3 && k < i / 3 + 1; k++) {
            random = random * 1664525 + 1013904223;
            copy[4 + (random >> 8) % (n - 4)] ^= (unsigned char)(1U << (random >> 28) % 8);
        }
        bool good = read_by_helper(copy, left, &set);
        if (good)
            tensor_set_close(&set);
        else if (!problems.n_errors || strstr(problems.errors[0], "signal") || strstr(problems.errors[0], "status"))
            fail_msg("damage %zu: %s", i, problems.n_errors ? problems.errors[0] : "no sentence");
        problems_close(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_of_every_type_are_read),
        cmocka_unit_test(tensors_that_do_not_fit_their_shape_are_refused), cmocka_unit_test(other_types_are_left_out),
        cmocka_unit_test(a_file_of_pytorch_is_read_by_the_helper), cmocka_unit_test(damaged_files_are_refused_or_read)};
    archive_set_program(BINARY);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
