#include "config/transform/tokenizer.h"
#include "tests/unit/unit.h"

static void opened(struct tokenizer *out, const char *text)
{
    struct problems problems = {.n_errors = 0};
    json_t *json = unit_json(text);
    if (!tokenizer_read(json, (struct place){"t.json", NULL}, &problems, out))
        fail_msg("%s: %s", text, problems.n_errors ? problems.errors[0] : "");
    json_decref(json);
    problems_close(&problems);
}

/* want: the ids, then -1. */
static void ids_are(const struct tokenizer *t, const char *text, const int *want)
{
    double ids[32];
    size_t n = tokenizer_ids(t, text, strlen(text), ids, 32), i = 0;
    for (; want[i] >= 0; i++)
        if (i >= n || ids[i] != want[i])
            fail_msg("\"%s\": id %zu is not %d", text, i, want[i]);
    assert_int_equal(n, i);
}
#define IDS(...) ((const int[]){__VA_ARGS__, -1})

/* Expected ids: tf.keras.preprocessing.text.Tokenizer of Keras 2.15 with the same options. */
static void keras_tokenizer(void **state)
{
    (void)state;
    struct tokenizer t;
    opened(&t, "{'class_name': 'Tokenizer', 'config': {'num_words': 4, 'filters': '!,.', 'lower': true, 'split': ' ', "
               "'char_level': false, 'oov_token': '<OOV>', 'word_index': '{\\\"<OOV>\\\": 1, \\\"the\\\": 2, "
               "\\\"cat\\\": 3, \\\"sat\\\": 4, \\\"\\u00fcber\\\": 5}'}}");
    ids_are(&t, "The cat, the DOG.sat!!", IDS(2, 3, 2, 1, 1)); /* sat is beyond num_words */
    ids_are(&t, "", IDS(-1));
    ids_are(&t, " ,. ", IDS(-1));
    ids_are(&t, "the\tcat", IDS(1)); /* the tab is neither split nor filtered */
    assert_string_equal(tokenizer_word(&t, 3), "cat");
    assert_string_equal(tokenizer_word(&t, 99), "");
    tokenizer_close(&t);
    opened(&t, "{'class_name': 'Tokenizer', 'config': {'num_words': null, 'filters': '', 'lower': true, 'split': ' ', "
               "'oov_token': null, 'word_index': {'\u00fcber': 1, '\u03c3\u03bf\u03c6\u03cc\u03c2': 2}}}");
    ids_are(&t, "\u00dcBER und \u03a3\u039f\u03a6\u038c\u03a3", IDS(1, 2)); /* unknown words are dropped */
    tokenizer_close(&t);
}

static void characters(void **state)
{
    (void)state;
    struct tokenizer t;
    opened(&t, "{'a': 0, 'B': 1, ' ': 2, '\u00e9': 3}");
    ids_are(&t, "aB \u00e9b", IDS(0, 1, 2, 3));
    tokenizer_close(&t);
    opened(&t, "{'vocabulary': ['x', 'y'], 'oov_token': 'y'}");
    ids_are(&t, "xz", IDS(0, 1));
    tokenizer_close(&t);
}

/* Expected ids: keras.layers.TextVectorization of Keras 3 with this vocabulary. */
static void text_vectorization(void **state)
{
    (void)state;
    struct tokenizer t;
    opened(&t, "{'vocabulary': ['', '[UNK]', 'dont', 'stop', 'now']}");
    ids_are(&t, "Don't  STOP,\tit now!", IDS(2, 3, 1, 4));
    ids_are(&t, "st.op", IDS(3)); /* punctuation is removed, not replaced by a space */
    tokenizer_close(&t);
}

static void words_with_capitals_are_not_lowered(void **state)
{
    (void)state;
    struct tokenizer t;
    opened(&t, "{'Paris': 5, 'in': 2}");
    ids_are(&t, "in Paris, paris", IDS(2, 5));
    tokenizer_close(&t);
}

static void bad_vocabularies_are_errors(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{'a': -1}", "must be a whole number from 0"},
        {"{'a': 1.5}", "expected a whole number"},
        {"{'a': 99999999999}", "must be a whole number from 0"},
        {"{'vocabulary': ['a', 1]}", "expected a list of texts"},
        {"{'vocabulary': ['a', 'a']}", "is in the vocabulary twice"},
        {"{'vocabulary': []}", "the vocabulary is empty"},
        {"{'vocabulary': ['ab'], 'oov_token': 'c'}", "is not in its vocabulary"},
        {"{'vocabulary': ['ab'], 'split': '--'}", "must be one character"},
        {"{'class_name': 'Pipeline', 'config': {}}", "found a Pipeline"},
        {"{'class_name': 'Tokenizer', 'config': {}}", "no \"word_index\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problems problems = {.n_errors = 0};
        struct tokenizer t;
        json_t *json = unit_json(cases[i][0]);
        assert_false(tokenizer_read(json, (struct place){"t.json", NULL}, &problems, &t));
        unit_has_error(&problems, cases[i][0], cases[i][1]);
        problems_close(&problems);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keras_tokenizer), cmocka_unit_test(characters), cmocka_unit_test(text_vectorization),
        cmocka_unit_test(words_with_capitals_are_not_lowered), cmocka_unit_test(bad_vocabularies_are_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
