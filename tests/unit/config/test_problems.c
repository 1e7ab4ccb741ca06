#include "config/problems.h"
#include "tests/unit/unit.h"

static void problems_are_lines(void **state)
{
    (void)state;
    struct problems problems = {0};
    problem_error(&problems, (struct place){"a.json", "/b/0"}, "expected %d", 3);
    problem_error(&problems, (struct place){NULL, NULL}, "alone");
    problem_warning(&problems, (struct place){"a.json", ""}, "odd");
    assert_int_equal(problems.n_errors, 2);
    assert_string_equal(problems.errors[0], "a.json: /b/0: expected 3");
    assert_string_equal(problems.errors[1], "alone");
    assert_string_equal(problems.warnings[0], "a.json: odd");
    for (int i = 0; i < 200; i++)
        problem_error(&problems, (struct place){NULL, NULL}, "%d", i);
    assert_int_equal(problems.n_errors, 100);
    assert_int_equal(problems.all_errors, 202);
    assert_int_equal(problems.all_warnings, 1);
    problems_close(&problems);
    assert_int_equal(problems.n_errors, 0);
    assert_int_equal(problems.all_errors, 0);
}

static void nearest_word_is_found_or_none(void **state)
{
    (void)state;
    static const char *const words[] = {"max_rows", "max_queue", "units", NULL};
    assert_string_equal(nearest_word("max_row", words), "max_rows");
    assert_string_equal(nearest_word("unit", words), "units");
    assert_null(nearest_word("kernel_regularizer", words));
    /* two exchanged letters count as one mistake; a word with too many mistakes is not suggested */
    static const char *const keys[] = {"name", "path", "layer", "seed", "watch", "default", NULL};
    assert_string_equal(nearest_word("wacth", keys), "watch");
    assert_string_equal(nearest_word("apth", keys), "path");
    assert_string_equal(nearest_word("sede", keys), "seed");
    assert_string_equal(nearest_word("defualt", keys), "default");
    assert_null(nearest_word("gpu", keys));
    assert_null(nearest_word("mode", keys + 2));
    assert_null(nearest_word("weights", keys));
    assert_null(nearest_word("", keys));
    char enormous[1000];
    memset(enormous, 'a', sizeof enormous - 1);
    enormous[sizeof enormous - 1] = 0;
    assert_null(nearest_word(enormous, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(problems_are_lines),
                                       cmocka_unit_test(nearest_word_is_found_or_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
