#include "config/transform/transform.h"
#include "tests/unit/unit.h"

static const struct transform_port numbers = {.name = "history", .width = 2, .timesteps = 3, .sequence = true},
                                   words = {.name = "words", .width = 1, .vocabulary = 4, .sequence = true},
                                   one = {.name = "y", .width = 1, .sigmoid = true, .probability = true},
                                   three = {.name = "classes", .width = 3};

static bool read_one(const char *text, const struct transform_port *input, const struct transform_port *output,
                     struct problems *problems, struct transform *out)
{
    const struct transform_ports ports = {input, output, 1, 1};
    const struct transform_place place = {{"transform.json", NULL}, "/tmp"};
    json_t *json = unit_json(text);
    bool good = transform_read(json, &place, &ports, problems, out);
    json_decref(json);
    return good;
}

static void scalers_are_those_of_scikit_learn(void **state)
{
    (void)state;
    struct transform t;
    struct problems problems = {.n_errors = 0};
    /* scale_ 0 becomes 1, in double: (1 - -1) / 4 = 0.5, min_ = -1 - 2 * 0.5 */
    assert_true(read_one("{'input_scaler': {'class_name': 'MinMaxScaler', 'data_min_': [2, 5], 'data_max_': [6, 5], "
                         "'feature_range': [-1, 1], 'clip': true}, 'output_scaler': {'class_name': 'RobustScaler', "
                         "'center': [3], 'scale': [4]}}",
                         &numbers, &one, &problems, &t));
    const struct rnn_scaler *in = &t.inputs[0].scaler, *out = &t.outputs[0].scaler;
    assert_true(rnn_scaler_apply(in, 0, 3) == -0.5 && rnn_scaler_apply(in, 1, 5) == -1);
    assert_true(rnn_scaler_apply(in, 0, 100) == 1 && rnn_scaler_apply(in, 0, -100) == -1);
    assert_true(isnan(rnn_scaler_apply(in, 0, NAN)));
    assert_true(in->least[0] == 2 && in->most[0] == 6);
    assert_true(rnn_scaler_invert(out, 0, 0.5) == 5);
    transform_close(&t);
    assert_true(read_one("{'input_scaler': {'mean': [1, 2], 'var': [4, 0], 'with_std': true}, 'output_scaler': "
                         "{'max_abs': [8]}}",
                         &numbers, &one, &problems, &t));
    assert_true(rnn_scaler_apply(&t.inputs[0].scaler, 0, 5) == 2 && rnn_scaler_apply(&t.inputs[0].scaler, 1, 5) == 3);
    assert_true(rnn_scaler_invert(&t.outputs[0].scaler, 0, 0.5) == 4);
    transform_close(&t);
    assert_true(read_one("{'input_scaler': {'class_name': 'StandardScaler', 'with_mean': false, 'mean': null, 'scale': "
                         "[2, 4]}}",
                         &numbers, &one, &problems, &t));
    assert_true(rnn_scaler_apply(&t.inputs[0].scaler, 1, 6) == 1.5);
    transform_close(&t);
    assert_int_equal(problems.all_errors, 0);
}

static void scalers_and_labels_by_name(void **state)
{
    (void)state;
    const struct transform_port inputs[] = {numbers, {.name = "static", .width = 1}}, outputs[] = {one, three};
    const struct transform_ports ports = {inputs, outputs, 2, 2};
    const struct transform_place place = {{"transform.json", NULL}, "/tmp"};
    struct problems problems = {.n_errors = 0};
    struct transform t;
    json_t *json = unit_json("{'input_scaler': {'static': {'max_abs': [2]}}, 'labels': {'classes': ['a', 'b', 'c']}, "
                             "'features': {'history': ['p', 'q']}}");
    assert_true(transform_read(json, &place, &ports, &problems, &t));
    json_decref(json);
    assert_int_equal(t.inputs[0].scaler.n, 0);
    assert_int_equal(t.inputs[1].scaler.n, 1);
    assert_int_equal(t.outputs[1].n_labels, 3);
    assert_int_equal(transform_feature(&t.inputs[0], "q", 1), 1);
    transform_close(&t);
    json = unit_json("{'input_scaler': {'max_abs': [2]}, 'labels': {'klasses': ['a', 'b', 'c']}}");
    assert_false(transform_read(json, &place, &ports, &problems, &t));
    json_decref(json);
    unit_has_error(&problems, "one for two", "the model has 2 inputs: expected an object");
    unit_has_error(&problems, "labels", "no output named \"klasses\"");
    problems_close(&problems);
}

/* Each error names the key, and both sizes if they differ. */
static void what_does_not_fit_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
        const struct transform_port *input, *output;
    } cases[] = {
        {"[]", "transform.json: expected a transform", &numbers, &one},
        {"{'feature': []}", "/feature: unknown key; did you mean \"features\"?", &numbers, &one},
        {"{'features': ['a']}", "/features: there are 1 features, but \"history\" of the model has 2", &numbers, &one},
        {"{'features': ['a', 'a']}", "is in the list twice", &numbers, &one},
        {"{'features': 'a'}", "expected a list of names", &numbers, &one},
        {"{'input_scaler': {'max_abs': [1, 2, 3]}}", "the scaler has 3 columns, but \"history\" of the model has 2",
         &numbers, &one},
        {"{'input_scaler': {'class_name': 'Pipeline'}}", "a Pipeline is not supported", &numbers, &one},
        {"{'input_scaler': {'class_name': 'MinMaxScaler', 'scale': [1, 2], 'min': [1]}}",
         "expected 2 numbers, as in the previous lists; found 1", &numbers, &one},
        {"{'input_scaler': {'class_name': 'MinMaxScaler', 'scale': [1, 0], 'min': [1, 1]}}", "a scale is 0", &numbers,
         &one},
        {"{'input_scaler': {'class_name': 'StandardScaler', 'mean': [1, 'x'], 'scale': [1, 1]}}",
         "expected only finite numbers", &numbers, &one},
        {"{'input_scaler': 7}", "expected a scaler", &numbers, &one},
        {"{'input_scaler': '../x.json'}", "leads out of the folder", &numbers, &one},
        {"{'input_scaler': '/etc/passwd'}", "expected a path relative to the folder", &numbers, &one},
        {"{'input_scaler': {'max_abs': [1]}}", "takes ids, which cannot be scaled", &words, &one},
        {"{'labels': ['a', 'b']}", "there are 2 labels, but \"classes\" of the model has 3", &numbers, &three},
        {"{'labels': ['a'], 'output_scaler': {'max_abs': [1]}}", "both labels and an output scaler", &numbers, &one},
        {"{'tokenizer': {'a': 1}}", "needs a model with an Embedding", &numbers, &one},
        {"{'tokenizer': {'a': 4}}", "ids up to 4 (from 0), but \"words\" of the model has 4", &words, &one},
        {"{'pad': {'length': 5}}", "padded to 5 timesteps, but \"history\" of the model has 3", &numbers, &one},
        {"{'pad': {'length': 3, 'side': 'left'}}", "expected \"pre\" or \"post\"", &numbers, &one},
        {"{'pad': {'length': 3, 'sides': 'pre'}}", "unknown key \"sides\"", &numbers, &one},
        {"{'pad': {'length': 3, 'value': 9}}", "must be an id in the vocabulary", &words, &one},
        {"{'missing': 'mean'}", "expected \"last\", a number, or \"error\"", &numbers, &one},
        {"{'feedback': {'1': 0}}", "no number or label \"1\"", &numbers, &one},
        {"{'feedback': {'0': 'a'}}", "there is no feature \"a\"", &numbers, &one},
        {"{'feedback': {'0': 1, '2': 1}}", "two outputs become the same feature", &numbers, &three},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct problems problems = {.n_errors = 0};
        struct transform t;
        assert_false(read_one(cases[i].text, cases[i].input, cases[i].output, &problems, &t));
        unit_has_error(&problems, cases[i].text, cases[i].error);
        assert_null(t.inputs);
        problems_close(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalers_are_those_of_scikit_learn),
                                       cmocka_unit_test(scalers_and_labels_by_name),
                                       cmocka_unit_test(what_does_not_fit_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
