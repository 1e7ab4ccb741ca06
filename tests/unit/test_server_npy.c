#include "server/npy.h"
#include "unit.h"

static json_t *read_npy(const char *header, const void *data, size_t n, const char **wrong)
{
    char bytes[512];
    size_t h = strlen(header);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (char)h;
    bytes[9] = 0;
    memcpy(bytes + 10, header, h);
    memcpy(bytes + 10 + h, data, n);
    assert_true(npy_is(bytes, 10 + h + n));
    return npy_to_json(bytes, 10 + h + n, wrong);
}

static void arrays_become_lists(void **state)
{
    (void)state;
    const char *wrong;
    static const float values[] = {1, 2, 3, 4, 5, 6};
    static const double wide[] = {0.1, -2};
    json_t *c = read_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", values, sizeof values, &wrong);
    json_t *f = read_npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", values, sizeof values, &wrong);
    json_t *d = read_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", wide, sizeof wide, &wrong);
    char *text = json_dumps(c, JSON_COMPACT);
    assert_string_equal(text, "[[1.0,2.0,3.0],[4.0,5.0,6.0]]");
    free(text);
    text = json_dumps(f, JSON_COMPACT);
    assert_string_equal(text, "[[1.0,3.0,5.0],[2.0,4.0,6.0]]");
    free(text);
    assert_true(json_real_value(json_array_get(d, 0)) == 0.1);
    json_decref(c);
    json_decref(f);
    json_decref(d);
}

static void lying_headers_are_refused(void **state)
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
        const char *wrong = NULL;
        assert_null(read_npy(headers[i], "abcd", 4, &wrong));
        assert_non_null(wrong);
    }
    assert_false(npy_is("NUMPY", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(arrays_become_lists),
                                       cmocka_unit_test(lying_headers_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
