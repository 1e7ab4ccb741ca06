/* Turns: order of arrival within a session, none between sessions. */
#include "unit.h"

#include "server/session.h"
#include "server/turns.h"

static const char *went[8];
static size_t n_went;

struct guest {
    struct turn turn; /* first */
    const char *name;
};

static void goes(struct turn *turn)
{
    went[n_went++] = ((struct guest *)turn)->name;
}

static struct guest guest(const char *name)
{
    return (struct guest){.turn = {.go = goes, .deadline_ns = 100}, .name = name};
}

static void one_of_a_session_at_a_time(void **state)
{
    (void)state;
    static struct turns turns;
    struct guest a1 = guest("a1"), a2 = guest("a2"), a3 = guest("a3"), b1 = guest("b1");
    n_went = 0;
    turns_init(&turns);
    assert_true(turns_take(&turns, &a1.turn, "a"));
    assert_false(turns_take(&turns, &a2.turn, "a"));
    assert_true(turns_take(&turns, &b1.turn, "b"));
    assert_false(turns_take(&turns, &a3.turn, "a"));
    assert_int_equal(n_went, 0);
    turns_leave(&turns, &a1.turn);
    turns_leave(&turns, &a1.turn); /* does no harm */
    assert_int_equal(n_went, 1);
    assert_string_equal(went[0], "a2");
    turns_leave(&turns, &a2.turn);
    assert_string_equal(went[1], "a3");
    turns_leave(&turns, &a3.turn);
    turns_leave(&turns, &b1.turn);
    assert_int_equal(n_went, 2);
    assert_true(turns_take(&turns, &a1.turn, "a"));
    turns_leave(&turns, &a1.turn);
    turns_close(&turns);
}

/* The first to arrive is read last. */
static void arrival_counts_not_reading(void **state)
{
    (void)state;
    static struct turns turns;
    struct guest slow = guest("slow"), quick = guest("quick"), other = guest("other"), none = guest("none");
    n_went = 0;
    turns_init(&turns);
    turns_arrive(&turns, &slow.turn);
    turns_arrive(&turns, &none.turn);
    turns_arrive(&turns, &quick.turn);
    turns_arrive(&turns, &other.turn);
    assert_false(turns_take(&turns, &quick.turn, "a"));
    assert_false(turns_take(&turns, &other.turn, "b")); /* slow may be of that session, for all that is known */
    assert_true(turns_take(&turns, &slow.turn, "a"));
    assert_int_equal(n_went, 0); /* it is not known yet of which session `none` is */
    turns_leave(&turns, &none.turn);
    assert_int_equal(n_went, 1);
    assert_string_equal(went[0], "other");
    turns_leave(&turns, &slow.turn);
    assert_int_equal(n_went, 2);
    assert_string_equal(went[1], "quick");
    turns_leave(&turns, &quick.turn);
    turns_leave(&turns, &other.turn);
    assert_null(turns.first);
    assert_int_equal(turns.waiting, 0);
    turns_close(&turns);
}

static void those_past_their_deadline_are_let_go(void **state)
{
    (void)state;
    static struct turns turns;
    struct guest a1 = guest("a1"), a2 = guest("a2"), a3 = guest("a3"), a4 = guest("a4"), b = guest("b");
    n_went = 0;
    turns_init(&turns);
    a4.turn.deadline_ns = 50;
    assert_true(turns_take(&turns, &a1.turn, "a"));
    assert_false(turns_take(&turns, &a2.turn, "a"));
    a3.turn.deadline_ns = 50;
    assert_false(turns_take(&turns, &a3.turn, "a"));
    assert_false(turns_take(&turns, &a4.turn, "a"));
    turns_expire(&turns, 60, false);
    assert_int_equal(n_went, 2);
    assert_int_equal(a3.turn.stage, TURN_NONE);
    turns_leave(&turns, &a3.turn);
    turns_leave(&turns, &a1.turn);
    assert_int_equal(n_went, 3);
    assert_string_equal(went[2], "a2");
    assert_int_equal(a2.turn.stage, TURN_HELD);
    struct guest arrived = guest("arrived");
    turns_arrive(&turns, &arrived.turn);
    assert_false(turns_take(&turns, &b.turn, "b"));
    turns_expire(&turns, 0, true);
    assert_int_equal(n_went, 4);
    assert_string_equal(went[3], "b");
    turns_leave(&turns, &arrived.turn);
    turns_leave(&turns, &a2.turn);
    assert_int_equal(turns.waiting, 0);
    turns_close(&turns);
}

/* A body comes in parts; where they are cut does not matter. */
static void bodies_that_may_be_of_a_session_are_known(void **state)
{
    (void)state;
    static const char key[] = "\"session\"", body[] = "{\"model\": \"a\", \"session\": \"x\", \"instances\": [[[1]]]}";
    static const char none[] = "{\"model\": \"session\\\"\", \"sessions\": 1, \"instances\": [[[1]]], \"session";
    for (size_t cut = 0; cut <= strlen(body); cut++)
        assert_true(session_is_named(body, 0, cut, key) || session_is_named(body, cut, strlen(body), key));
    for (size_t cut = 0; cut <= strlen(none); cut++)
        assert_false(session_is_named(none, cut, strlen(none), key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_of_a_session_at_a_time),
                                       cmocka_unit_test(arrival_counts_not_reading),
                                       cmocka_unit_test(those_past_their_deadline_are_let_go),
                                       cmocka_unit_test(bodies_that_may_be_of_a_session_are_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
