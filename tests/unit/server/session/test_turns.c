/* Turns: order of arrival within a session, no order between sessions. Also how the session of an arriving request is
   found. */
#include "tests/unit/unit.h"

#include "server/api/session_find.h"
#include "server/session/turns.h"

static const char *went[8];
static size_t n_went;

struct guest {
    struct turn turn; /* must be first */
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

static void assert_nobody(const struct turns *turns)
{
    assert_int_equal(turns_waiting(turns), 0);
    for (size_t k = 0; k < TURNS_SHARDS; k++)
        for (size_t i = 0; i < TURNS_BUCKETS; i++)
            assert_null(turns->shards[k].lines[i]);
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
    turns_leave(&turns, &a1.turn); /* has no effect */
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

/* The request that arrives first is decoded last. */
static void arrival_counts_not_decoding(void **state)
{
    (void)state;
    static struct turns turns;
    struct guest slow = guest("slow"), quick = guest("quick"), third = guest("third"), other = guest("other");
    n_went = 0;
    turns_init(&turns);
    turns_arrive(&turns, &slow.turn, "a");
    turns_arrive(&turns, &quick.turn, "a");
    turns_arrive(&turns, &third.turn, "a");
    turns_arrive(&turns, &other.turn, "b");
    assert_false(turns_take(&turns, &quick.turn, "a"));
    assert_true(turns_take(&turns, &other.turn, "b")); /* requests of another session do not delay it */
    assert_true(turns_take(&turns, &slow.turn, "a"));
    assert_int_equal(n_went, 0);
    turns_leave(&turns, &slow.turn);
    assert_int_equal(n_went, 1);
    assert_string_equal(went[0], "quick");
    turns_leave(&turns, &quick.turn);
    assert_int_equal(n_went, 1); /* `third` does not want its turn yet */
    assert_true(turns_take(&turns, &third.turn, "a"));
    turns_leave(&turns, &third.turn);
    turns_leave(&turns, &other.turn);
    assert_nobody(&turns);
    turns_close(&turns);
}

/* A request leaves its line if decoding shows another session, or none, or if the request fails. */
static void requests_of_another_session_leave_their_line(void **state)
{
    (void)state;
    static struct turns turns;
    struct guest first = guest("first"), wrong = guest("wrong"), none = guest("none"), last = guest("last");
    struct guest b = guest("b");
    n_went = 0;
    turns_init(&turns);
    turns_arrive(&turns, &first.turn, "a");
    turns_arrive(&turns, &wrong.turn, "a");
    turns_arrive(&turns, &none.turn, "a");
    turns_arrive(&turns, &last.turn, "a");
    assert_true(turns_take(&turns, &b.turn, "b"));
    assert_false(turns_take(&turns, &last.turn, "a"));
    assert_false(turns_take(&turns, &wrong.turn, "b")); /* now waits behind b, which arrived later */
    turns_leave(&turns, &none.turn);
    assert_int_equal(n_went, 0);
    turns_leave(&turns, &first.turn); /* leaves before its turn */
    assert_int_equal(n_went, 1);
    assert_string_equal(went[0], "last");
    turns_leave(&turns, &b.turn);
    assert_string_equal(went[1], "wrong");
    turns_leave(&turns, &wrong.turn);
    struct guest at_the_end = guest("end"), before = guest("before");
    turns_arrive(&turns, &before.turn, "a");
    turns_leave(&turns, &before.turn); /* the last in its line */
    assert_false(turns_take(&turns, &at_the_end.turn, "a"));
    turns_leave(&turns, &last.turn);
    assert_string_equal(went[2], "end");
    turns_leave(&turns, &at_the_end.turn);
    assert_nobody(&turns);
    turns_close(&turns);
}

static void requests_past_their_deadline_are_let_go(void **state)
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
    turns_arrive(&turns, &arrived.turn, "b");
    assert_false(turns_take(&turns, &b.turn, "b"));
    turns_expire(&turns, 0, true); /* `arrived` is not decoded yet, so turns.c does not let it go */
    assert_int_equal(n_went, 4);
    assert_string_equal(went[3], "b");
    turns_leave(&turns, &arrived.turn);
    turns_leave(&turns, &a2.turn);
    assert_int_equal(turns_waiting(&turns), 0);
    turns_close(&turns);
}

/* The key is found in a body that arrives in parts, wherever it is cut. */
static void keys_are_found(void **state)
{
    (void)state;
    static const char key[] = "\"session\"", body[] = "{\"model\": \"a\", \"session\": \"x\", \"instances\": [[[1]]]}";
    static const char none[] = "{\"model\": \"session\\\"\", \"sessions\": 1, \"instances\": [[[1]]], \"session";
    const char *at = strstr(body, key);
    for (size_t cut = 0; cut <= strlen(body); cut++) {
        const char *first = session_find_key(body, 0, cut, key);
        assert_ptr_equal(first ? first : session_find_key(body, cut, strlen(body), key), at);
    }
    for (size_t cut = 0; cut <= strlen(none); cut++)
        assert_null(session_find_key(none, cut, strlen(none), key));
}

static void ids_are_found(void **state)
{
    (void)state;
    static const char key[] = "\"session\"";
    static const struct {
        const char *text, *id; /* NULL: none */
    } cases[] = {
        {"{\"session\": \"pump-7\", \"instances\": [[[1]]]}", "pump-7"},
        {"{\"instances\": [[[1]]], \"session\":\"x\"}", "x"},
        {"{\"session\" \n\t: \r \"x\"}", "x"},
        {"{\"model\": \"session\", \"session\": \"x\"}", "x"},
        {"{\"session\": 42}", "42"},
        {"{\"session\": 42", NULL},
        {"{\"session\": \"x", NULL},
        {"{\"session\": \"\\u0078\"}", NULL}, /* decoding will tell */
        {"{\"session\": \"\"}", NULL},
        {"{\"session\": null}", NULL},
        {"{\"session\"", NULL},
        {"{\"session\":", NULL},
        {"{\"sessions\": \"x\"}", NULL},
        {"", NULL},
    };
    char id[SESSION_ID_BYTES], text[600], blanks[300];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool found = session_find_id(cases[i].text, strlen(cases[i].text), key, id);
        assert_int_equal(found, cases[i].id != NULL);
        if (found)
            assert_string_equal(id, cases[i].id);
    }
    memset(blanks, 'i', sizeof blanks);
    blanks[SESSION_ID_BYTES - 1] = 0;
    sprintf(text, "{\"session\": \"%s\"}", blanks);
    assert_true(session_find_id(text, strlen(text), key, id));
    assert_string_equal(id, blanks);
    blanks[SESSION_ID_BYTES - 1] = 'i';
    blanks[SESSION_ID_BYTES] = 0;
    sprintf(text, "{\"session\": \"%s\"}", blanks);
    assert_false(session_find_id(text, strlen(text), key, id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_of_a_session_at_a_time),
                                       cmocka_unit_test(arrival_counts_not_decoding),
                                       cmocka_unit_test(requests_of_another_session_leave_their_line),
                                       cmocka_unit_test(requests_past_their_deadline_are_let_go),
                                       cmocka_unit_test(keys_are_found),
                                       cmocka_unit_test(ids_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
