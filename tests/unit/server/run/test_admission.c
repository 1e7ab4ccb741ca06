#include "server/run/admission.h"
#include "tests/unit/unit.h"

#define MS 1e6

static void requests_that_fit_are_accepted(void **state)
{
    (void)state;
    struct admission a;
    double first, second, third;
    admission_init(&a, 2);
    assert_true(admission_enter(&a, 1000, (int64_t)MS, &first)); /* the rate is unknown at first, so the estimate is
                                                                    0 */
    assert_true(first == 0);
    assert_true(admission_refine(&a, 50 * MS, (int64_t)MS, &first)); /* the only request is accepted with any
                                                                        estimate */
    assert_true(first == 50 * MS && a.backlog_ns == 50 * MS);
    second = 0;
    assert_false(admission_refine(&a, 10 * MS, (int64_t)(29 * MS), &second)); /* 60 ms for two workers */
    assert_true(second == 0 && a.backlog_ns == 50 * MS);
    assert_true(admission_refine(&a, 10 * MS, (int64_t)(31 * MS), &second));
    assert_true(a.backlog_ns == 60 * MS);
    admission_leave(&a, 1000, 40 * MS, &first); /* the rate is now 40 us a byte */
    assert_true(first == 0 && a.backlog_ns == 10 * MS && a.ns_per_byte == 40e3);
    assert_false(admission_enter(&a, 1000, (int64_t)(24 * MS), &third)); /* 10 and 40 ms for two workers */
    assert_true(third == 0);
    assert_true(admission_enter(&a, 1000, (int64_t)(26 * MS), &third));
    assert_true(third == 40 * MS);
    admission_leave(&a, 0, 0, &third);
    admission_leave(&a, 0, 0, &second);
    assert_true(a.backlog_ns == 0 && a.ns_per_byte == 40e3);
}

static void the_rate_follows_what_requests_take(void **state)
{
    (void)state;
    struct admission a;
    double work = 0;
    admission_init(&a, 1);
    admission_leave(&a, 100, 1000, &work);
    for (int i = 0; i < 200; i++)
        admission_leave(&a, 100, 3000, &work);
    assert_true(a.ns_per_byte > 29.9 && a.ns_per_byte <= 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_that_fit_are_accepted),
                                       cmocka_unit_test(the_rate_follows_what_requests_take)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
