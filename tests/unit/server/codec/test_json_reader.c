/* The streaming reader. It must agree with jansson whether a damaged text is JSON. */
#include "server/codec/json_reader.h"
#include "tests/unit/unit.h"

#include <jansson.h>

static struct memory memory = {.limit = 1 << 24};

struct parsed {
    struct memory_share share;
    struct json_tensor x, mask;
    char text[BODY_TEXT_BYTES];
    int flag;
    int64_t count;
    struct failure failure;
    struct json_body body;
    bool good;
};

static void parse(struct parsed *p, const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    copy[n] = 0;
    *p = (struct parsed){.share = {.memory = &memory}, .flag = -1, .count = -1};
    const struct body_key keys[] = {{"x", BODY_NUMBERS, &p->x},       {"mask", BODY_BOOLEANS, &p->mask},
                                    {"text", BODY_TEXT, p->text},     {"flag", BODY_BOOL, &p->flag},
                                    {"count", BODY_COUNT, &p->count}, {NULL, BODY_TEXT, NULL}};
    p->body = (struct json_body){.text = copy, .bytes = n, .share = &p->share};
    p->good = json_body_read(&p->body, keys, &p->failure);
    free(copy);
}

static void finish(struct parsed *p)
{
    json_tensor_close(&p->x, &p->share);
    json_tensor_close(&p->mask, &p->share);
    assert_int_equal(p->share.bytes, 0);
    assert_int_equal(memory.used, 0);
}

static void tensors_come_flat_with_their_lists(void **state)
{
    (void)state;
    struct parsed p;
    const char *text = " {\"x\" : [ [1, 2.5], [ -3e0 ], [] ] , "
                       "\"mask\":[[true,false],[1,0]],\"text\":\"a\\u00e9\\n\",\"flag\":false,\"count\":17}\n";
    parse(&p, text, strlen(text));
    assert_true(p.good);
    assert_int_equal(p.x.n_values, 3);
    assert_true(p.x.values[0] == 1 && p.x.values[1] == 2.5f && p.x.values[2] == -3);
    assert_int_equal(p.x.n_lists, 4);
    assert_int_equal(p.x.lists[0].length, 3);
    assert_int_equal(p.x.lists[0].holds, LIST_OF_LISTS);
    assert_int_equal(p.x.lists[1].length, 2);
    assert_int_equal(p.x.lists[1].holds, LIST_OF_NUMBERS);
    assert_int_equal(p.x.lists[3].holds, LIST_EMPTY);
    assert_int_equal(p.mask.n_values, 4);
    assert_true(p.mask.values[0] == 1 && p.mask.values[1] == 0 && p.mask.values[2] == 1);
    assert_string_equal(p.text, "a\xc3\xa9\n");
    assert_int_equal(p.flag, 0);
    assert_int_equal(p.count, 17);
    finish(&p);
}

static void null_is_as_if_left_out(void **state)
{
    (void)state;
    struct parsed p;
    const char *text = "{\"x\": null, \"text\": null, \"flag\": null, \"count\": null}";
    parse(&p, text, strlen(text));
    assert_true(p.good && !p.x.present && !*p.text && p.flag == -1 && p.count == -1);
    finish(&p);
}

static void nonfinite_tokens_are_reported_apart(void **state)
{
    (void)state;
    struct parsed p;
    const char *text = "{\"x\":\n[1, -Infinity, NaN]}";
    parse(&p, text, strlen(text));
    assert_true(p.good && p.body.nonfinite_at);
    assert_string_equal(p.body.nonfinite.code, "invalid_json");
    assert_non_null(strstr(p.body.nonfinite.text, "line 2, column 5"));
    assert_true(isinf(p.x.values[1]) && isnan(p.x.values[2]));
    finish(&p);
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct parsed p;
    char text[20000] = "{\"x\": [1";
    for (int i = 0; i < 4000; i++)
        strcat(text, ",1");
    strcat(text, "]}");
    memory.limit = 4096;
    parse(&p, text, strlen(text));
    assert_false(p.good);
    assert_int_equal(p.failure.status, 503);
    finish(&p);
    memory.limit = 1 << 24;
}

/* Damage valid bodies at random, and compare the verdict with that of jansson. */
static void agrees_with_jansson_on_what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{\"x\": [[1.5, -2e3, 0], [0.25]], \"mask\": [[true, 0]], \"text\": \"a\\u00e9\\\\ \xc3\xa9\", \"flag\": true, "
        "\"count\": 3}",
        "{\"other\": {\"deep\": [{}, [], null, \"\\\"\", 1E-5, {\"k\": [false]}]}, \"x\": [1, [2]]}",
        "[1, {\"a\": \"b\"}, [[[]]]]"};
    static const char pieces[] = "{}[]:,\"\\0123456789.eE+-tfnrux \n\xc3\xa9\xff";
    unsigned seed = 5;
    for (int i = 0; i < 200000; i++) {
        char text[256];
        size_t n = strlen(good[i % 3]);
        memcpy(text, good[i % 3], n + 1);
        for (int k = 0; k <= i % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % n;
            seed = seed * 1664525u + 1013904223u;
            char piece = pieces[(seed >> 8) % (sizeof pieces - 1)];
            if (seed >> 30 == 0) {
                memmove(text + at, text + at + 1, n - at);
                n--;
            } else if (seed >> 30 == 1) {
                memmove(text + at + 1, text + at, n - at + 1);
                text[at] = piece;
                n++;
            } else {
                text[at] = piece;
            }
        }
        struct parsed p;
        json_error_t error;
        parse(&p, text, n);
        json_t *json = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        bool ours = strcmp(p.failure.code ? p.failure.code : "", "invalid_json") != 0;
        /* only jansson refuses numbers beyond double or int64, \u0000 in keys, and lone surrogates */
        bool excused = !json && (json_error_code(&error) == json_error_numeric_overflow || strstr(error.text, "NUL") ||
                                 strstr(error.text, "surrogate") || strstr(error.text, "Unicode") ||
                                 strstr(error.text, "\\u0000"));
        if (ours != !!json && !(ours && excused))
            fail_msg("%s: ours %s, jansson %s (%s)", text, ours ? "JSON" : p.failure.text, json ? "JSON" : "not",
                     json ? "" : error.text);
        json_decref(json);
        finish(&p);
    }
}

/* {"top": {"list": […]}}: a list of objects with "shape", "data" and other keys. */
struct nested {
    struct body_counts shape[2];
    struct json_tensor data[2];
    struct body_key keys[2][4], inner[3];
    size_t seen;
};

static const struct body_key *nested_element(void *context, size_t i, struct failure *failure)
{
    struct nested *n = context;
    if (i == 2) {
        failure_set(failure, 400, "wrong_shape", "/top/list", "Too many.");
        return NULL;
    }
    n->seen++;
    n->keys[i][0] = (struct body_key){"shape", BODY_COUNTS, &n->shape[i]};
    n->keys[i][1] = (struct body_key){"data", BODY_VALUES, &n->data[i]};
    n->keys[i][2] = (struct body_key){"*", BODY_ANY, NULL};
    n->keys[i][3] = (struct body_key){NULL, BODY_TEXT, NULL};
    return n->keys[i];
}

static bool parse_nested(struct nested *n, const char *text, struct memory_share *share, struct failure *failure)
{
    *n = (struct nested){.seen = 0};
    struct body_list list = {nested_element, n};
    n->inner[0] = (struct body_key){"list", BODY_LIST, &list};
    const struct body_key keys[] = {{"top", BODY_OBJECT, n->inner}, {NULL, BODY_TEXT, NULL}};
    struct json_body body = {.text = text, .bytes = strlen(text), .share = share};
    *failure = (struct failure){.status = 0};
    return json_body_read(&body, keys, failure);
}

static void objects_nest_by_their_tables(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code, *path;
    } rows[] = {
        {"{\"top\": {\"list\": [{\"shape\": [2, 1], \"data\": [true, 2.5], \"x\": {\"shape\": 1}}, {\"data\": "
         "[[3]]}]}}",
         NULL, NULL},
        {"{\"top\": {\"list\": [{\"shape\": [2, 1.5]}]}}", "wrong_type", "/top/list/0/shape"},
        {"{\"top\": {\"list\": [{\"shape\": [1,2,3,4,5,6,7,8,9]}]}}", "wrong_type", "/top/list/0/shape"},
        {"{\"top\": {\"list\": [{}, {\"data\": [[1], 2]}]}}", "wrong_shape", "/top/list/1/data/1"},
        {"{\"top\": {\"list\": [{}, {}, {}]}}", "wrong_shape", "/top/list"},
        {"{\"top\": {\"list\": [{}, 7]}}", "wrong_type", "/top/list/1"},
        {"{\"top\": {\"list\": {}}}", "wrong_type", "/top/list"},
        {"{\"top\": {\"lost\": []}}", "unknown_key", "/top/lost"},
        {"{\"top\": []}", "wrong_type", "/top"},
        {"{\"top\": {\"list\": [{\"data\": [1}]}}", "invalid_json", ""},
        {"{\"top\": {\"list\": [{\"x\": 1}}}", "invalid_json", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct memory_share share = {.memory = &memory};
        struct failure failure;
        struct nested n;
        bool good = parse_nested(&n, rows[i].text, &share, &failure);
        if (good != !rows[i].code ||
            (!good && (strcmp(failure.code, rows[i].code) || strcmp(failure.path, rows[i].path))))
            fail_msg("%s: %s at %s", rows[i].text, failure.code, failure.path);
        if (good) {
            assert_true(n.seen == 2 && n.shape[0].present && n.shape[0].n == 2 && !n.shape[1].present);
            assert_true(n.shape[0].values[0] == 2 && n.shape[0].values[1] == 1);
            assert_true(n.data[0].booleans && n.data[0].n_values == 2 && n.data[0].values[0] == 1);
            assert_true(!n.data[1].booleans && n.data[1].n_lists == 2 && n.data[1].values[0] == 3);
        }
        for (size_t k = 0; k < 2; k++)
            json_tensor_close(&n.data[k], &share);
        assert_int_equal(share.bytes, 0);
    }
}

/* {"x": value} in the place of a value or of an element. */
static void objects_of_one_key_are_unwrapped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
        size_t lists, values;
    } rows[] = {
        {"{\"x\": [[1, 2], [3]]}", NULL, 3, 3},
        {"{\"x\": {\"x\": [[1, 2], [3]]}}", NULL, 3, 3},
        {"{\"x\": [ {\"x\" : [1, 2]} , {\"x\":[3]} ]}", NULL, 3, 3},
        {"{\"x\": [{\"x\": 4}, {\"x\": 5}]}", NULL, 1, 2},
        {"{\"x\": [[{\"x\": 4}]]}", "wrong_type", 0, 0},
        {"{\"x\": {\"y\": [1]}}", "unknown_key", 0, 0},
        {"{\"x\": {\"x\": [1], \"y\": 2}}", "unknown_key", 0, 0},
        {"{\"x\": [{\"x\": [1]]}", "invalid_json", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct memory_share share = {.memory = &memory};
        struct failure failure = {.status = 0};
        struct json_tensor x = {.unwrap = "x"};
        const struct body_key keys[] = {{"x", BODY_NUMBERS, &x}, {NULL, BODY_TEXT, NULL}};
        struct json_body body = {.text = rows[i].text, .bytes = strlen(rows[i].text), .share = &share};
        bool good = json_body_read(&body, keys, &failure);
        if (good != !rows[i].code || (!good && strcmp(failure.code, rows[i].code)))
            fail_msg("%s: %s", rows[i].text, failure.code);
        assert_true(!good || (x.n_lists == rows[i].lists && x.n_values == rows[i].values));
        json_tensor_close(&x, &share);
        assert_int_equal(share.bytes, 0);
    }
}

/* A full array gets the same lists as nested brackets. */
static void arrays_get_the_lists_of_their_shape(void **state)
{
    (void)state;
    static const size_t shape[] = {2, 3, 2};
    const char *text = "{\"x\": [[[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]]}";
    struct memory_share share = {.memory = &memory};
    struct json_tensor made = {.n_values = 0};
    struct parsed p;
    parse(&p, text, strlen(text));
    assert_true(p.good && json_tensor_reshape(&made, shape, 3, &share));
    assert_int_equal(made.n_lists, p.x.n_lists);
    for (size_t i = 0; i < made.n_lists; i++)
        assert_true(made.lists[i].length == p.x.lists[i].length && made.lists[i].holds == p.x.lists[i].holds);
    const size_t huge[] = {SIZE_MAX / 2, 4, 4}, too_much[] = {1 << 22, 8, 1};
    assert_false(json_tensor_reshape(&made, huge, 3, &share));
    assert_false(json_tensor_reshape(&made, too_much, 3, &share));
    json_tensor_close(&made, &share);
    finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_come_flat_with_their_lists),  cmocka_unit_test(null_is_as_if_left_out),
        cmocka_unit_test(nonfinite_tokens_are_reported_apart), cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(agrees_with_jansson_on_what_is_json), cmocka_unit_test(objects_nest_by_their_tables),
        cmocka_unit_test(objects_of_one_key_are_unwrapped),    cmocka_unit_test(arrays_get_the_lists_of_their_shape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
