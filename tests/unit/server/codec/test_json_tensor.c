/* Tensors of request bodies: accepted values, errors with their place, and lack of memory. */
#include "server/codec/json_reader.h"
#include "tests/unit/unit.h"

static struct memory memory = {.limit = 1 << 20};

struct read {
    struct memory_share share;
    struct json_tensor x, mask, values;
    struct failure failure;
    const char *nonfinite_at;
};

static bool read_body(struct read *r, const char *text, const char *unwrap)
{
    *r = (struct read){.share = {.memory = &memory}, .x = {.unwrap = unwrap}};
    const struct body_key keys[] = {{"x", BODY_NUMBERS, &r->x},
                                    {"mask", BODY_BOOLEANS, &r->mask},
                                    {"values", BODY_VALUES, &r->values},
                                    {NULL, BODY_TEXT, NULL}};
    struct json_body body = {.text = text, .bytes = strlen(text), .share = &r->share};
    bool good = json_body_read(&body, keys, &r->failure);
    r->nonfinite_at = body.nonfinite_at;
    return good;
}

static void close_read(struct read *r)
{
    json_tensor_close(&r->x, &r->share);
    json_tensor_close(&r->mask, &r->share);
    json_tensor_close(&r->values, &r->share);
    assert_int_equal(r->share.bytes, 0);
    assert_int_equal(memory.used, 0);
}

static void numbers_and_words_become_values(void **state)
{
    (void)state;
    struct read r;
    assert_true(read_body(&r,
                          "{\"x\": [-0.5, 1e2 ,3\t,\n4,5], \"mask\": [true,false, 1 ,0, 1.0, -0], \"values\": [[true, "
                          "2.5], [false, -1]]}",
                          NULL));
    static const float x[] = {-0.5f, 100, 3, 4, 5}, mask[] = {1, 0, 1, 0, 1, 0}, values[] = {1, 2.5f, 0, -1};
    assert_true(r.x.n_values == 5 && r.mask.n_values == 6 && r.values.n_values == 4);
    assert_memory_equal(r.x.values, x, sizeof x);
    for (size_t i = 0; i < 6; i++)
        assert_true(r.mask.values[i] == mask[i]);
    assert_memory_equal(r.values.values, values, sizeof values);
    assert_true(!r.x.booleans && r.mask.booleans && r.values.booleans);
    assert_true(r.x.n_lists == 1 && r.x.lists[0].length == 5 && r.x.lists[0].holds == LIST_OF_NUMBERS);
    close_read(&r);
    /* more numbers than the first blocks hold, with and without blanks */
    enum { N = 3000 };
    char *text = malloc(16 * N), *p = text + sprintf(text, "{\"x\": [[0]");
    for (int i = 1; i < N; i++)
        p += sprintf(p, i % 7 ? ",[%d, %d]" : ",[%d ,\n%d]", i, -i);
    strcpy(p, "]}");
    assert_true(read_body(&r, text, NULL));
    assert_true(r.x.n_values == 2 * N - 1 && r.x.n_lists == N + 1 && r.x.lists[0].length == N);
    for (size_t i = 1; i < N; i++)
        assert_true(r.x.values[2 * i - 1] == (float)i && r.x.values[2 * i] == -(float)i &&
                    r.x.lists[1 + i].length == 2);
    close_read(&r);
    free(text);
}

static void nonfinite_words_are_told(void **state)
{
    (void)state;
    struct read r;
    static const char text[] = "{\"x\": [1, Infinity, -Infinity, NaN]}";
    assert_true(read_body(&r, text, NULL));
    assert_ptr_equal(r.nonfinite_at, strstr(text, "Infinity"));
    assert_true(r.x.values[1] == INFINITY && r.x.values[2] == -INFINITY && isnan(r.x.values[3]));
    close_read(&r);
}

static void wrong_elements_are_shown_by_their_place(void **state)
{
    (void)state;
    static const char type[] = "wrong_type", shape[] = "wrong_shape", json[] = "invalid_json";
    static const char one_key[] = "Expected an object with the one key \"x\".";
    static const struct {
        const char *body, *unwrap, *code, *path, *text;
    } rows[] = {
        {"{\"x\": 5}", NULL, type, "/x", "Expected a list, found a number."},
        {"{\"x\": \"a\"}", NULL, type, "/x", "Expected a list, found a text."},
        {"{\"x\": true}", NULL, type, "/x", "Expected a list, found true or false."},
        {"{\"x\": {}}", NULL, type, "/x", "Expected a list, found an object."},
        {"{\"x\": [1, [2]]}", NULL, shape, "/x/1", "Expected a number, like the elements before it."},
        {"{\"x\": [[1], 2]}", NULL, shape, "/x/1", "Expected a list, like the elements before it."},
        {"{\"x\": [[1, 2], [3, \"a\"]]}", NULL, type, "/x/1/1", "Expected a number, found a text."},
        {"{\"x\": [null]}", NULL, type, "/x/0", "Expected a number, found null."},
        {"{\"x\": [{}]}", NULL, type, "/x/0", "Expected a number, found an object."},
        {"{\"x\": [1, true]}", NULL, type, "/x/1", "Expected a number, found true or false."},
        {"{\"x\": [0, 1e39]}", NULL, "number_out_of_range", "/x/1", "This number is beyond the range of float32."},
        {"{\"x\": [-1e999]}", NULL, "number_out_of_range", "/x/0", "This number is beyond the range of float32."},
        {"{\"x\": [[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}", NULL, shape,
         "/x/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0", "Lists are nested deeper than any tensor."},
        {"{\"mask\": [2]}", NULL, type, "/mask/0", "Expected true, false, 1 or 0, found a number."},
        {"{\"mask\": [1, NaN]}", NULL, type, "/mask/1", "Expected true, false, 1 or 0, found a number."},
        {"{\"mask\": [1, \"a\"]}", NULL, type, "/mask/1", "Expected true, false, 1 or 0, found a text."},
        {"{\"values\": [1, null]}", NULL, type, "/values/1", "Expected a number, found null."},
        {"{\"x\": {\"y\": [1]}}", "x", "unknown_key", "/x", one_key},
        {"{\"x\": {\"x\": [1], \"y\": 2}}", "x", "unknown_key", "/x", one_key},
        {"{\"x\": [{\"x\": [1]}, {\"x\": [2], \"y\": 2}]}", "x", "unknown_key", "/x/1", one_key},
        {"{\"x\": [{\"x\": [[1, 2]], \"y\": 2}]}", "x", "unknown_key", "/x/0", one_key},
        {"{\"x\": [{\"x\": [1]}, {\"y\": 2}]}", "x", "unknown_key", "/x/1", one_key},
        {"{\"x\": {\"x\": 5}}", "x", type, "/x", "Expected a list, found an object."},
        {"{\"mask\": [tru]}", NULL, json, "", NULL},
        {"{\"x\": [1 2]}", NULL, json, "", NULL},
        {"{\"x\": [1, ]}", NULL, json, "", NULL},
        {"{\"x\": [01]}", NULL, json, "", NULL},
        {"{\"x\": [", NULL, json, "", NULL},
        {"{\"x\": nul}", NULL, json, "", NULL},
        {"{\"x\": {1}}", NULL, json, "", NULL},
        {"{\"x\": [\"a}", NULL, json, "", NULL},
        {"{\"x\": {\"x\" [1]}}", "x", json, "", NULL},
        {"{\"x\": [{\"x\" [1]}]}", "x", json, "", NULL},
        {"{\"x\": {\"x\": [1]", "x", json, "", NULL},
        /* a wrong shape, then invalid JSON */
        {"{\"x\": [[1], 2, [3}]}", NULL, json, "", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct read r;
        if (read_body(&r, rows[i].body, rows[i].unwrap))
            fail_msg("%s is taken", rows[i].body);
        assert_int_equal(r.failure.status, 400);
        if (strcmp(r.failure.code, rows[i].code) || (rows[i].path && strcmp(r.failure.path, rows[i].path)) ||
            (rows[i].text && strcmp(r.failure.text, rows[i].text)))
            fail_msg("%s: %s at \"%s\": %s", rows[i].body, r.failure.code, r.failure.path, r.failure.text);
        close_read(&r);
    }
}

/* With any limit below the memory that is needed, the error is 503 and all memory is released. Invalid JSON is reported
   as such, because this needs no memory. */
static void memory_may_end_anywhere(void **state)
{
    (void)state;
    struct read r;
    char text[8192], *p = text + sprintf(text, "{\"x\": [[0]");
    for (int i = 0; i < 600; i++)
        p += sprintf(p, ",[%d]", i);
    strcpy(p, "]}");
    assert_true(read_body(&r, text, NULL));
    size_t most = r.share.bytes;
    close_read(&r);
    for (size_t limit = 0; limit < most; limit += 512) {
        memory.limit = limit;
        assert_false(read_body(&r, text, NULL));
        assert_int_equal(r.failure.status, 503);
        assert_string_equal(r.failure.code, "overloaded");
        close_read(&r);
        p[1] = ']';
        assert_false(read_body(&r, text, NULL));
        assert_string_equal(r.failure.code, "invalid_json");
        close_read(&r);
        p[1] = '}';
    }
    memory.limit = most;
    assert_true(read_body(&r, text, NULL));
    close_read(&r);
    memory.limit = 1 << 20;
}

static void room_is_reserved(void **state)
{
    (void)state;
    struct memory_share share = {.memory = &memory};
    struct json_tensor tensor = {.n_values = 0};
    assert_false(json_tensor_reserve(&tensor, SIZE_MAX / 2, &share));
    assert_false(json_tensor_reserve(&tensor, 1 << 19, &share)); /* more than the memory limit */
    assert_true(!tensor.values && !tensor.values_room);
    assert_true(json_tensor_reserve(&tensor, 0, &share));
    assert_int_equal(share.bytes, sizeof(float));
    json_tensor_close(&tensor, &share);
    assert_true(json_tensor_reserve(&tensor, 100, &share));
    assert_true(tensor.values_room == 100 && tensor.n_values == 0 && share.bytes == 400);
    /* a shape with too many dimensions, or without any */
    size_t shape[TENSOR_MAX_DEPTH + 1];
    for (size_t d = 0; d <= TENSOR_MAX_DEPTH; d++)
        shape[d] = 1;
    assert_false(json_tensor_reshape(&tensor, shape, TENSOR_MAX_DEPTH + 1, &share));
    assert_false(json_tensor_reshape(&tensor, shape, 0, &share));
    assert_true(json_tensor_reshape(&tensor, shape, TENSOR_MAX_DEPTH, &share));
    assert_true(tensor.present && tensor.n_lists == TENSOR_MAX_DEPTH && tensor.lists[0].holds == LIST_OF_LISTS);
    assert_int_equal(tensor.lists[TENSOR_MAX_DEPTH - 1].holds, LIST_OF_NUMBERS);
    json_tensor_close(&tensor, &share);
    assert_int_equal(share.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_and_words_become_values),
                                       cmocka_unit_test(nonfinite_words_are_told),
                                       cmocka_unit_test(wrong_elements_are_shown_by_their_place),
                                       cmocka_unit_test(memory_may_end_anywhere), cmocka_unit_test(room_is_reserved)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
