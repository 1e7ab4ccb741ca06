#include "tests/unit/unit.h"

static void the_first_error_wins(void **state)
{
    (void)state;
    struct rnn_error error = {{0}};
    assert_int_equal(rnn_fail(&error, RNN_ESHAPE, "shape %d", 3), RNN_ESHAPE);
    assert_int_equal(rnn_fail(&error, RNN_ENOMEM, "memory"), RNN_ENOMEM);
    assert_string_equal(error.text, "shape 3");
    assert_int_equal(rnn_fail(NULL, RNN_EINVAL, "nobody listens"), RNN_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_error_wins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
