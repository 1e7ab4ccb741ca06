#include "config/keras/objects.h"
#include "tests/unit/unit.h"

static struct problems problems;

static struct activation activation(const char *text, int major)
{
    bool failed = false;
    struct keras_reader reader = {.file = "m.json", .keras_major = major, .problems = &problems, .failed = &failed};
    struct activation out = {.kind = ACT_TANH};
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    keras_activation(&reader, json, "/a", &out);
    json_decref(json);
    return out;
}

static struct initializer initializer(const char *text)
{
    bool failed = false;
    struct keras_reader reader = {.file = "m.json", .keras_major = 2, .problems = &problems, .failed = &failed};
    struct initializer out = {.kind = INIT_ZEROS};
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    keras_initializer(&reader, json, "/i", &out);
    json_decref(json);
    return out;
}

static void activations_in_all_spellings(void **state)
{
    (void)state;
    assert_int_equal(activation("null", 2).kind, ACT_LINEAR);
    assert_int_equal(activation("\"relu\"", 2).kind, ACT_RELU);
    assert_int_equal(activation("\"hard_sigmoid\"", 2).kind, ACT_HARD_SIGMOID);
    assert_int_equal(activation("\"hard_sigmoid\"", 3).kind, ACT_HARD_SIGMOID_V3);
    assert_int_equal(activation("{\"module\": \"builtins\", \"class_name\": \"function\", \"config\": \"gelu\", "
                                "\"registered_name\": \"function\"}",
                                3)
                         .kind,
                     ACT_GELU);
    struct activation leaky = activation("{\"class_name\": \"LeakyReLU\", \"config\": {\"alpha\": 0.1}}", 2);
    assert_int_equal(leaky.kind, ACT_LEAKY_RELU);
    assert_true(leaky.alpha == 0.1f);
    assert_true(activation("{\"class_name\": \"LeakyReLU\", \"config\": {}}", 2).alpha == 0.3f);
    assert_true(activation("{\"class_name\": \"LeakyReLU\", \"config\": {\"negative_slope\": 0.5}}", 3).alpha == 0.5f);
    struct activation relu = activation(
        "{\"class_name\": \"ReLU\", \"config\": {\"max_value\": 6, \"threshold\": 1, \"negative_slope\": 0.25}}", 2);
    assert_true(relu.kind == ACT_RELU && relu.max_value == 6 && relu.threshold == 1 && relu.alpha == 0.25f);
    assert_true(isinf(activation("{\"class_name\": \"ReLU\", \"config\": {\"max_value\": null}}", 2).max_value));
    assert_int_equal(activation("{\"class_name\": \"gelu\", \"config\": {\"approximate\": true}}", 2).kind,
                     ACT_GELU_TANH);
    assert_int_equal(activation("{\"class_name\": \"Activation\", \"config\": {\"activation\": \"selu\"}}", 2).kind,
                     ACT_SELU);
    assert_int_equal(problems.n_errors, 0);
}

static void initializers_in_all_spellings(void **state)
{
    (void)state;
    assert_int_equal(initializer("\"zeros\"").kind, INIT_ZEROS);
    assert_int_equal(initializer("{\"class_name\": \"Orthogonal\", \"config\": {\"gain\": 2.0, \"seed\": null}}").kind,
                     INIT_ORTHOGONAL);
    struct initializer in =
        initializer("{\"class_name\": \"VarianceScaling\", \"config\": {\"scale\": 2, \"mode\": \"fan_out\", "
                    "\"distribution\": \"uniform\", \"seed\": 4}}");
    assert_true(in.scale == 2 && in.mode == FAN_OUT && in.distribution == DIST_UNIFORM && in.seeded && in.seed == 4);
    assert_true(initializer("{\"class_name\": \"RandomNormal\", \"config\": {\"mean\": 1, \"stddev\": 3}}").b == 3);
    assert_int_equal(problems.n_errors, 0);
}

static void unknown_ones_name_the_nearest(void **state)
{
    (void)state;
    activation("\"rellu\"", 2);
    initializer("\"glorot_unifrm\"");
    activation("[1]", 2);
    initializer("{\"class_name\": \"Constant\", \"config\": {\"value\": \"x\"}}");
    assert_int_equal(problems.n_errors, 4);
    assert_string_equal(problems.errors[0], "m.json: /a: unknown activation \"rellu\"; did you mean \"relu\"?");
    assert_string_equal(problems.errors[1],
                        "m.json: /i: unknown initializer glorot_unifrm; did you mean \"glorot_uniform\"?");
    assert_string_equal(problems.errors[2],
                        "m.json: /a: expected the name of an activation, or an object with a class_name, found a list");
    assert_string_equal(problems.errors[3], "m.json: /i/config/value: expected a number, found a text");
    problems_close(&problems);
}

static void parameters_have_the_names_of_their_layer(void **state)
{
    (void)state;
    struct activation a = activation("{\"class_name\": \"ThresholdedReLU\", \"config\": {\"theta\": 0.5}}", 2);
    assert_int_equal(a.kind, ACT_THRESHOLD);
    assert_true(a.threshold == 0.5f && a.value == 0);
    a = activation("{\"class_name\": \"threshold\", \"config\": {\"threshold\": 2, \"default_value\": 7}}", 3);
    assert_true(a.kind == ACT_THRESHOLD && a.threshold == 2 && a.value == 7);
    a = activation("{\"class_name\": \"squareplus\", \"config\": {\"b\": 9}}", 3);
    assert_true(a.kind == ACT_SQUAREPLUS && a.alpha == 9);
    a = activation("{\"class_name\": \"soft_shrink\", \"config\": {\"threshold\": 0.25}}", 3);
    assert_true(a.kind == ACT_SOFT_SHRINK && a.alpha == 0.25f);
    a = activation("{\"class_name\": \"hard_shrink\", \"config\": {\"threshold\": 0.25}}", 3);
    assert_true(a.kind == ACT_HARD_SHRINK && a.alpha == 0.25f);
    a = activation("{\"class_name\": \"celu\", \"config\": {\"alpha\": 3}}", 3);
    assert_true(a.kind == ACT_CELU && a.alpha == 3);
    a = activation("{\"class_name\": \"gelu\", \"config\": {\"approximate\": true}}", 3);
    assert_int_equal(a.kind, ACT_GELU_TANH);
    assert_int_equal(activation("{\"class_name\": \"mish\", \"config\": {}}", 3).kind, ACT_MISH);
    assert_int_equal(problems.all_errors, 0);
    activation("{\"class_name\": \"mish\", \"config\": {\"alpha\": 1}}", 3);
    unit_has_error(&problems, "mish", "m.json: /a/config/alpha: unknown key");
    problems_close(&problems);
    activation("{\"class_name\": \"celu\", \"config\": {\"alpha\": []}}", 3);
    unit_has_error(&problems, "celu", "m.json: /a/config/alpha: expected a number, found a list");
    problems_close(&problems);
    activation("{\"class_name\": \"sparsemax\", \"config\": {\"axis\": 1}}", 3);
    unit_has_error(&problems, "sparsemax", "/a/config/axis: expected -1, the last axis, found 1");
    problems_close(&problems);
}

static void errors_of_variance_scaling_name_their_place(void **state)
{
    (void)state;
    struct initializer scaling = initializer("{\"class_name\": \"VarianceScaling\", \"config\": {\"mode\": "
                                             "\"fan_out\", \"distribution\": \"untruncated_normal\"}}");
    assert_int_equal(scaling.mode, FAN_OUT);
    assert_int_equal(scaling.distribution, DIST_NORMAL);
    assert_int_equal(problems.all_errors, 0);
    static const char *const wrong[] = {
        "{\"class_name\": \"VarianceScaling\", \"config\": {\"mode\": \"fan\"}}",
        "{\"class_name\": \"VarianceScaling\", \"config\": {\"distribution\": \"cauchy\"}}"};
    for (size_t i = 0; i < 2; i++) {
        initializer(wrong[i]);
        unit_has_error(&problems, wrong[i], "m.json: /i: expected mode fan_in, fan_out or fan_avg and distribution");
        problems_close(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_in_all_spellings), cmocka_unit_test(initializers_in_all_spellings),
        cmocka_unit_test(unknown_ones_name_the_nearest), cmocka_unit_test(parameters_have_the_names_of_their_layer),
        cmocka_unit_test(errors_of_variance_scaling_name_their_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
