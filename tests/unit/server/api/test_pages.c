#include "server/api/pages.h"
#include "server/run/request.h"
#include "tests/unit/unit.h"

/* At the end of the process, the I/O threads run for a while longer than the thread of pages. */
static void pages_are_refused_until_the_end(void **state)
{
    (void)state;
    struct pages pages;
    struct request request = {.services = NULL};
    assert_true(pages_start(&pages));
    pages_stop(&pages);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_mutex_trylock(&pages.lock), 0); /* it is a mutex still */
        assert_int_equal(pthread_mutex_unlock(&pages.lock), 0);
        assert_false(pages_ask(&pages, &request));
        pages_stop(&pages); /* once more does no harm */
    }
    pages_close(&pages);
    pages_close(&pages);
}

static void pages_that_were_not_started_are_closed(void **state)
{
    (void)state;
    struct pages pages = {.started = false};
    pages_stop(&pages);
    pages_close(&pages);
    assert_false(pages.started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_refused_until_the_end),
        cmocka_unit_test(pages_that_were_not_started_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
