/* Objects of request bodies: every type of key, its errors, and the place at which a text is not JSON. */
#include "server/codec/json_reader.h"
#include "tests/unit/unit.h"

static struct memory memory = {.limit = 1 << 20};

struct read {
    char text[BODY_TEXT_BYTES], id[BODY_TEXT_BYTES];
    int flag;
    int64_t count, inner;
    double number;
    struct body_counts counts;
    size_t elements;
    struct failure failure;
};

static const struct body_key *element(void *context, size_t i, struct failure *failure)
{
    static const struct body_key keys[] = {{"*", BODY_ANY, NULL}, {NULL, BODY_TEXT, NULL}};
    struct read *r = context;
    (void)failure;
    r->elements = i + 1;
    return keys;
}

static bool read_bytes(struct read *r, const char *text, size_t bytes)
{
    struct memory_share share = {.memory = &memory};
    *r = (struct read){.flag = -1, .count = -1, .inner = -1, .number = -1};
    struct body_list list = {element, r};
    const struct body_key inner[] = {{"k", BODY_COUNT, &r->inner}, {NULL, BODY_TEXT, NULL}};
    const struct body_key keys[] = {{"text", BODY_TEXT, r->text},
                                    {"id", BODY_ID, r->id},
                                    {"flag", BODY_BOOL, &r->flag},
                                    {"count", BODY_COUNT, &r->count},
                                    {"number", BODY_NUMBER, &r->number},
                                    {"counts", BODY_COUNTS, &r->counts},
                                    {"more", BODY_OBJECT, (void *)(uintptr_t)inner},
                                    {"list", BODY_LIST, &list},
                                    {"any", BODY_ANY, NULL},
                                    {NULL, BODY_TEXT, NULL}};
    struct json_body body = {.text = text, .bytes = bytes, .share = &share};
    bool good = json_body_read(&body, keys, &r->failure);
    assert_int_equal(share.bytes, 0);
    assert_int_equal(good, !r->failure.status);
    return good;
}

static void must_read(struct read *r, const char *text)
{
    if (!read_bytes(r, text, strlen(text)))
        fail_msg("%s: %s", text, r->failure.text);
}

static void every_type_has_its_values(void **state)
{
    (void)state;
    struct read r;
    must_read(
        &r,
        " { \"text\" : \"a\" , \"id\":\"b\",\"flag\":true,\"count\":0,\"number\":2.5e1,\"counts\":[ 1 , 22\n],"
        "\"more\":{\"k\":3},\"list\":[{\"a\":1}, {\"b\":[{}]} ],\"any\":{\"a\":[[],{},\"\\\"\",-1.5e-3,null]}}\r\n\t");
    assert_string_equal(r.text, "a");
    assert_string_equal(r.id, "b");
    assert_true(r.flag == 1 && r.count == 0 && r.number == 25 && r.inner == 3 && r.elements == 2);
    assert_true(r.counts.present && r.counts.n == 2 && r.counts.values[0] == 1 && r.counts.values[1] == 22);
    must_read(&r, "{\"id\": 18446744073709551615, \"flag\": false, \"count\": 1125899906842624, \"number\": 0, "
                  "\"counts\": [], \"more\": {}, \"list\": []}");
    assert_string_equal(r.id, "18446744073709551615");
    assert_true(r.flag == 0 && r.count == INT64_C(1) << 50 && r.number == 0 && r.inner == -1 && !r.elements);
    assert_true(r.counts.present && !r.counts.n);
    must_read(&r, "{\"text\": null, \"id\": null, \"flag\": null, \"count\": null, \"number\": null, \"more\": null, "
                  "\"list\": null, \"any\": null}");
    assert_true(!*r.text && !*r.id && r.flag == -1 && r.count == -1 && r.number == -1);
    must_read(&r, "{}");
}

static void texts_are_unescaped_and_cut(void **state)
{
    (void)state;
    struct read r;
    must_read(&r, "{\"\\u0074ext\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\u0000 "
                  "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}");
    assert_string_equal(r.text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac?? \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    /* a text that is too long gives an error, for any kind of character at the limit */
    static const char *const last[] = {"a", "\xc3\xa9", "\\n", "\\u20ac", "\xf0\x9f\x98\x80"};
    char text[400];
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        snprintf(text, sizeof text, "{\"text\": \"%0255d%s\"}", 0, last[i]);
        assert_false(read_bytes(&r, text, strlen(text)));
        assert_string_equal(r.failure.code, "wrong_type");
        assert_string_equal(r.failure.path, "/text");
        assert_string_equal(r.failure.text, "This text is longer than 255 bytes.");
    }
    snprintf(text, sizeof text, "{\"text\": \"%0255d\"}", 0);
    must_read(&r, text);
    assert_int_equal(strlen(r.text), 255);
    /* a key of this length is not known */
    snprintf(text, sizeof text, "{\"%0300d\": 1}", 0);
    assert_false(read_bytes(&r, text, strlen(text)));
    assert_string_equal(r.failure.code, "unknown_key");
}

struct refusal {
    const char *body, *code, *path, *text;
};

static void check(const struct refusal *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct read r;
        if (read_bytes(&r, rows[i].body, strlen(rows[i].body)))
            fail_msg("%s is taken", rows[i].body);
        assert_int_equal(r.failure.status, 400);
        if (strcmp(r.failure.code, rows[i].code) || strcmp(r.failure.path, rows[i].path) ||
            strcmp(r.failure.text, rows[i].text))
            fail_msg("%s: %s at \"%s\": %s", rows[i].body, r.failure.code, r.failure.path, r.failure.text);
    }
}

#define N_OF(rows) (sizeof(rows) / sizeof *(rows))

static void wrong_values_of_keys_are_named(void **state)
{
    (void)state;
    static const char type[] = "wrong_type", count[] = "Expected a whole number of at least 0.";
    static const char id[] = "Expected a text or a whole number of at least 0.";
    static const char number[] = "Expected a number of at least 0.";
    static const char counts[] = "Expected a list of at most 8 whole numbers of at least 0.";
    static const struct refusal rows[] = {
        {"[]", type, "", "The body must be a JSON object."},
        {"{\"text\": 1}", type, "/text", "Expected a text, found a number."},
        {"{\"text\": false}", type, "/text", "Expected a text, found true or false."},
        {"{\"text\": []}", type, "/text", "Expected a text, found a list or an object."},
        {"{\"text\": {}}", type, "/text", "Expected a text, found a list or an object."},
        {"{\"id\": 1.5}", type, "/id", id},
        {"{\"id\": 123456789012345678901}", type, "/id", id},
        {"{\"id\": -1}", type, "/id", "Expected a text, found a number."},
        {"{\"flag\": 1}", type, "/flag", "Expected true or false."},
        {"{\"count\": 1.0}", type, "/count", count},
        {"{\"count\": -1}", type, "/count", count},
        {"{\"count\": 1e3}", type, "/count", count},
        {"{\"count\": \"1\"}", type, "/count", count},
        {"{\"count\": 99999999999999999999}", type, "/count", count},
        {"{\"number\": -1}", type, "/number", number},
        {"{\"number\": \"1\"}", type, "/number", number},
        {"{\"counts\": 1}", type, "/counts", counts},
        {"{\"counts\": [\"1\"]}", type, "/counts", counts},
        {"{\"counts\": [1, [2]]}", type, "/counts", counts},
        {"{\"counts\": [-1]}", type, "/counts", counts},
        {"{\"counts\": [1234567890123456]}", type, "/counts", counts},
        {"{\"more\": 5}", type, "/more", "Expected an object."},
        {"{\"more\": {\"k\": -1}}", type, "/more/k", count},
        {"{\"list\": 5}", type, "/list", "Expected a list of objects."},
        {"{\"list\": [{}, 5]}", type, "/list/1", "Expected an object."},
        {"{\"flag\": 1, \"count\": -1}", type, "/flag", "Expected true or false."},
        {"{\"flag\": true, \"flag\": 7}", "duplicate_key", "/flag", "This key is in the body twice."},
        {"{\"more\": {\"k\": 1, \"k\": 1}}", "duplicate_key", "/more/k", "This key is in the body twice."},
        {"{\"txt\": [1, {}]}", "unknown_key", "/txt", "Unknown key; did you mean \"text\"?"},
        {"{\"more\": {\"quite another\": 1}}", "unknown_key", "/more/quite another", "Unknown key."},
    };
    check(rows, N_OF(rows));
}

static void invalid_json_is_shown_by_line_and_column(void **state)
{
    (void)state;
#define NOT_JSON(at, expected, found)                                                                                  \
    "invalid_json", "", "The body is not JSON: " at ": expected " expected ", found " found "."
    static const struct refusal rows[] = {
        {"", NOT_JSON("line 1, column 1", "a value", "the end of the body")},
        {"{", NOT_JSON("line 1, column 2", "a key in quotes", "the end of the body")},
        {"{}\n x", NOT_JSON("line 2, column 2", "nothing after the JSON value", "'x'")},
        {"{flag: 1}", NOT_JSON("line 1, column 2", "a key in quotes", "'f'")},
        {"{\"flag\" 1}", NOT_JSON("line 1, column 9", "':' after a key", "'1'")},
        {"{\"flag\": true \"any\": 1}", NOT_JSON("line 1, column 15", "',' or '}'", "'\"'")},
        {"{\"flag\": tru}", NOT_JSON("line 1, column 10", "a value", "'t'")},
        {"{\"text\": x}", NOT_JSON("line 1, column 10", "a value", "'x'")},
        {"{\"text\": [1}", NOT_JSON("line 1, column 12", "',' or ']'", "'}'")},
        {"{\"text\": \"\\q\"}", NOT_JSON("line 1, column 12", "one of \" \\ / b f n r t u after a backslash", "'q'")},
        {"{\"id\": 1x}", NOT_JSON("line 1, column 9", "',' or '}'", "'x'")},
        {"{\"id\": 01}",
         NOT_JSON("line 1, column 9", "a digit (numbers have no leading zero, '+' or bare '.')", "'1'")},
        {"{\"id\": 1.}",
         NOT_JSON("line 1, column 10", "a digit (numbers have no leading zero, '+' or bare '.')", "'}'")},
        {"{\"count\": +1}", NOT_JSON("line 1, column 11", "a value", "'+'")},
        {"{\"number\": .5}", NOT_JSON("line 1, column 12", "a value", "'.'")},
        {"{\"number\": 1e}",
         NOT_JSON("line 1, column 14", "a digit (numbers have no leading zero, '+' or bare '.')", "'}'")},
        {"{\"counts\": [1,]}", NOT_JSON("line 1, column 15", "a value", "']'")},
        {"{\"more\": {\"k\": 1]}", NOT_JSON("line 1, column 17", "',' or '}'", "']'")},
        {"{\"list\": [{} {}]}", NOT_JSON("line 1, column 14", "',' or ']'", "'{'")},
        {"{\"list\": [{}", NOT_JSON("line 1, column 13", "',' or ']'", "the end of the body")},
        {"{\"any\": {\"a\": 1,}}", NOT_JSON("line 1, column 17", "a key in quotes", "'}'")},
        {"{\"any\": {\"a\": {1}}}", NOT_JSON("line 1, column 16", "a key in quotes", "'1'")},
        {"{\"any\": {\"a\": 1]}", NOT_JSON("line 1, column 16", "',' or '}'", "']'")},
        {"{\"any\": \"\\u12g4\"}", NOT_JSON("line 1, column 14", "four hexadecimal digits after \\u", "'g'")},
        {"{\"any\": \"a\tb\"}",
         NOT_JSON("line 1, column 11", "no control character within a text (write it as an escape)", "the byte 0x09")},
        {"{\"any\": \"ab", NOT_JSON("line 1, column 9", "a closing quote for the text that begins here", "'\"'")},
        {"{\"any\": \"\xff\"}", NOT_JSON("line 1, column 10", "valid UTF-8", "the byte 0xff")},
        {"{\"any\": \"\xe0\x80\x80\"}", NOT_JSON("line 1, column 10", "valid UTF-8", "the byte 0xe0")},
        {"{\"any\": \"\xed\xa0\x80\"}", NOT_JSON("line 1, column 10", "valid UTF-8", "the byte 0xed")},
        {"{\"any\": \"\xe2\x82\x41\"}", NOT_JSON("line 1, column 10", "valid UTF-8", "the byte 0xe2")},
        {"{\"any\": \"\xf4\x90\x80\x80\"}", NOT_JSON("line 1, column 10", "valid UTF-8", "the byte 0xf4")},
        /* invalid JSON is reported before other errors */
        {"{\"flag\": 7, \"lost\": 1,\n\"any\": [}", NOT_JSON("line 2, column 9", "a value", "'}'")},
    };
    check(rows, N_OF(rows));
    struct read r;
    assert_false(read_bytes(&r, "{}\0", 3));
    assert_string_equal(r.failure.text,
                        "The body is not JSON: line 1, column 3: expected nothing after the JSON value, "
                        "found the byte 0x00.");
}

/* Values may nest without a limit, because a level takes a bit and no stack frame. */
static void depth_is_bounded_by_the_body_alone(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    struct read r;
    char *text = malloc(16 + 7 * DEPTH), *p = text;
    p += sprintf(p, "{\"any\": ");
    for (size_t i = 0; i < DEPTH; i++)
        p += sprintf(p, i % 3 ? "[" : "{\"\":");
    p += sprintf(p, "1");
    for (size_t i = DEPTH; i-- > 0;)
        *p++ = i % 3 ? ']' : '}';
    strcpy(p, "}");
    must_read(&r, text);
    p[-1] = ']';
    assert_false(read_bytes(&r, text, strlen(text)));
    assert_string_equal(r.failure.code, "invalid_json");
    free(text);
}

static void utf8_sequences_have_their_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {{"\xc2\x80", 2},         {"\xdf\xbf", 2},
                {"\xe0\xa0\x80", 3},     {"\xed\x9f\xbf", 3},
                {"\xee\x80\x80", 3},     {"\xf0\x90\x80\x80", 4},
                {"\xf4\x8f\xbf\xbf", 4}, {"\x80", 0},
                {"\xc1\xbf", 0},         {"\xc2", 0},
                {"\xe0\x9f\xbf", 0},     {"\xe1\x80", 0},
                {"\xed\xa0\x80", 0},     {"\xf0\x8f\xbf\xbf", 0},
                {"\xf0\x90\x80", 0},     {"\xf1\x80\x80\x7f", 0},
                {"\xf4\x90\x80\x80", 0}, {"\xf5\x80\x80\x80", 0}};
    for (size_t i = 0; i < N_OF(rows); i++)
        assert_int_equal(json_utf8_length((const unsigned char *)rows[i].bytes), rows[i].length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type_has_its_values),
                                       cmocka_unit_test(texts_are_unescaped_and_cut),
                                       cmocka_unit_test(wrong_values_of_keys_are_named),
                                       cmocka_unit_test(invalid_json_is_shown_by_line_and_column),
                                       cmocka_unit_test(depth_is_bounded_by_the_body_alone),
                                       cmocka_unit_test(utf8_sequences_have_their_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
