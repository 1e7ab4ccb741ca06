#include "config/files/npy.h"
#include "tests/unit/unit.h"

static unsigned char file[512];

static const char *read_npy(const char *header, const void *data, size_t n, struct npy_array *array)
{
    size_t h = strlen(header);
    memcpy(file, "\x93NUMPY\1\0", 8);
    file[8] = (unsigned char)h;
    file[9] = 0;
    memcpy(file + 10, header, h);
    memcpy(file + 10 + h, data, n);
    assert_true(npy_is(file, 10 + h + n));
    return npy_read(file, 10 + h + n, array);
}

static void arrays_are_read(void **state)
{
    (void)state;
    struct npy_array array;
    float turned[6];
    static const float values[] = {1, 2, 3, 4, 5, 6}, in_rows[] = {1, 3, 5, 2, 4, 6};
    static const double wide[] = {0.1, -2};
    static const int64_t whole[] = {-7, 1};
    assert_null(read_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", values, sizeof values, &array));
    assert_int_equal(array.tensor.rank, 2);
    assert_int_equal(array.tensor.shape[1], 3);
    assert_false(array.fortran);
    assert_true(tensor_element(&array.tensor, 4) == 5);
    assert_null(read_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", values, sizeof values, &array));
    assert_true(array.fortran);
    npy_to_row_major(&array, (unsigned char *)turned);
    assert_memory_equal(turned, in_rows, sizeof turned);
    assert_null(read_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", wide, sizeof wide, &array));
    assert_true(tensor_element(&array.tensor, 0) == 0.1);
    assert_null(read_npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", whole, sizeof whole, &array));
    assert_true(tensor_element(&array.tensor, 0) == -7);
    assert_false(tensor_is_float(&array.tensor));
}

static void wrong_headers_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
        "{'descr': '<f4'}",
        "",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (x), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct npy_array array;
        assert_non_null(read_npy(headers[i], "abcd", 4, &array));
    }
    assert_false(npy_is((const unsigned char *)"NUMPY", 5));
}

/* Version 2 has a header whose length takes four bytes. */
static void long_headers_are_read(void **state)
{
    (void)state;
    static const char header[] = "{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }";
    struct npy_array array;
    size_t n = sizeof header - 1;
    memcpy(file, "\x93NUMPY\2\0", 8);
    memcpy(file + 8, (const unsigned char[]){(unsigned char)n, 0, 0, 0}, 4);
    memcpy(file + 12, header, n);
    memcpy(file + 12 + n, "\1\0", 2);
    assert_null(npy_read(file, 12 + n + 2, &array));
    assert_string_equal(array.tensor.type_name, "BOOL");
    assert_true(tensor_element(&array.tensor, 0) == 1 && tensor_element(&array.tensor, 1) == 0);
    file[11] = 1; /* 16 MB of header */
    assert_string_equal(npy_read(file, 12 + n + 2, &array), "its header is longer than the file");
    for (size_t i = 0; i < 12; i++) /* cut short within the first bytes */
        assert_non_null(npy_read(file, i, &array));
    assert_string_equal(npy_read((const unsigned char *)"PK\3\4"
                                                        "567890123",
                                 14, &array),
                        "this is no .npy array");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_are_read), cmocka_unit_test(wrong_headers_are_refused),
                                       cmocka_unit_test(long_headers_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
