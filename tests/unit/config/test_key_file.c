#include "config/key_file.h"
#include "tests/unit/unit.h"

#define D1 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"
#define D2 "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool read_text(const char *text, struct key_list *list, struct problems *problems)
{
    *problems = (struct problems){0};
    return key_list_read(text, strlen(text), "keys.txt", list, problems);
}

static void lines_are_keys(void **state)
{
    (void)state;
    struct key_list list;
    struct problems problems;
    assert_true(read_text("# of the team\r\n\n alice : predict, sessions : " D1 " : m , n:rate=50/100 # hers\r\n"
                          "b.o-b_2:admin:" D2 ":rate=0.25",
                          &list, &problems));
    assert_int_equal(list.n, 2);
    assert_string_equal(list.keys[0].name, "alice");
    assert_int_equal(list.keys[0].scopes, SCOPE_PREDICT | SCOPE_SESSIONS);
    assert_int_equal(list.keys[0].digest[0], 0x01);
    assert_int_equal(list.keys[0].digest[31], 0xef);
    assert_true(key_has_model(&list.keys[0], "m") && key_has_model(&list.keys[0], "n"));
    assert_false(key_has_model(&list.keys[0], "mn") || key_has_model(&list.keys[0], ""));
    assert_true(list.keys[0].per_s == 50 && list.keys[0].burst == 100);
    assert_true(list.keys[1].per_s == 0.25 && list.keys[1].burst == 1);
    assert_int_equal(list.keys[1].scopes, SCOPE_ADMIN);
    assert_true(key_has_model(&list.keys[1], "any"));
    key_list_close(&list);
    assert_true(read_text("", &list, &problems));
    assert_int_equal(list.n, 0);
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a b:predict:" D1, "keys.txt: line 1: expected a name of 1 to 63 letters, digits, '.', '_' and '-'"},
        {"\n:predict:" D1, "line 2: expected a name"},
        {"a", "line 1: expected scopes of predict, sessions, metrics and admin with commas between"},
        {"a:predict,:" D1, ""},
        {"a:Predict:" D1, "line 1: expected scopes"},
        {"a:predict", "line 1: expected the SHA-256 of the key of a in 64 hexadecimal digits"},
        {"a:predict:" D1 "0", "line 1: expected the SHA-256"},
        {"a:predict:g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "line 1: expected the SHA-256"},
        {"a:predict:" D1 "\na:predict:" D2, "line 2: a second key named \"a\""},
        {"a:predict:" D1 "\nb:predict:" D1, "line 2: the key is that of \"a\""},
        {"a:predict:" D1 ":m:n", "line 1: a second list of models"},
        {"a:predict:" D1 ":m n", "line 1: expected names of models with commas between"},
        {"a:predict:" D1 ":rate=0", "line 1: expected one rate=REQUESTS_PER_S/BURST, found \"rate=0\""},
        {"a:predict:" D1 ":rate=5/0.5", "line 1: expected one rate="},
        {"a:predict:" D1 ":rate=0.000000000000000000001", "line 1: expected one rate="},
        {"a:predict:" D1 ":rate=-5", "line 1: expected one rate="},
        {"a:predict:" D1 ":rate=1e3", "line 1: expected one rate="},
        {"a:predict:" D1 ":rate=5/", "line 1: expected one rate="},
        {"a:predict:" D1 ":rate=5:rate=5", "line 1: expected one rate="},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct key_list list;
        struct problems problems;
        bool good = read_text(rows[i][0], &list, &problems);
        assert_int_equal(good, !*rows[i][1]); /* a comma at the end does no harm */
        if (!good)
            unit_has_error(&problems, rows[i][0], rows[i][1]);
        assert_true(good || !list.n);
        key_list_close(&list);
        problems_close(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_are_keys), cmocka_unit_test(wrong_lines_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
