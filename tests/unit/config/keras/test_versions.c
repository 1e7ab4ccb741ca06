/* Rules that depend on the version of Keras: GRUs before 2.2, files of Keras 1, quantized layers and LoRA. */
#include "config/keras/model.h"
#include "tests/unit/unit.h"

static const char gru[] = "{'class_name': 'GRU', 'config': {'units': 2, 'batch_input_shape': [null, null, 3]%s}%s}";

/* The number of elements in the bias of a GRU with 2 units: 12 with reset_after, else 6. */
static size_t bias_of(const char *key, const char *beside, const char *version)
{
    char text[400];
    struct problems problems = {.n_errors = 0};
    struct keras_model model;
    struct layer_tensor t;
    size_t elements = 0;
    snprintf(text, sizeof text, gru, key, beside);
    json_t *json = unit_json(text);
    if (!keras_model_read(json, "f", "", version, &problems, &model))
        fail_msg("%s: %s", text, problems.n_errors ? problems.errors[0] : "");
    const struct layer_shape *in = &model.model.inputs[0].shape;
    assert_true(layer_tensor_at(&model.model.layers[0], in, 2, &t));
    assert_true(layer_tensor_elements(&t, &elements));
    keras_model_close(&model);
    problems_close(&problems);
    json_decref(json);
    return elements;
}

static void an_old_gru_resets_before_the_product(void **state)
{
    (void)state;
    assert_int_equal(bias_of("", "", "2.1.6"), 6);
    assert_int_equal(bias_of("", "", "2.1.6-tf"), 6);
    assert_int_equal(bias_of("", "", "2.0.9"), 6);
    assert_int_equal(bias_of("", ", 'keras_version': '2.1.2'", NULL), 6);
    assert_int_equal(bias_of(", 'reset_after': true", "", "2.1.6-tf"), 12);
    assert_int_equal(bias_of("", "", "2.2.0"), 12);
    assert_int_equal(bias_of("", "", "2.15.0"), 12);
    assert_int_equal(bias_of("", "", "2.10.0"), 12);
    assert_int_equal(bias_of("", "", "3.1.1"), 12);
    assert_int_equal(bias_of("", "", NULL), 12);
    assert_int_equal(bias_of(", 'reset_after': false", "", "2.15.0"), 6);
}

/* The model is read with this warning, or refused with this error alone. */
static void assert_problem(const char *text, const char *version, bool good, const char *line)
{
    struct problems problems = {.n_errors = 0};
    struct keras_model model;
    json_t *json = unit_json(text);
    assert_int_equal(keras_model_read(json, "f", "", version, &problems, &model), good);
    if (good) {
        unit_has_warning(&problems, text, line);
        keras_model_close(&model);
    } else {
        unit_has_error(&problems, text, line);
        assert_int_equal(problems.n_errors, 1);
    }
    problems_close(&problems);
    json_decref(json);
}

static void files_of_keras_1_are_refused_by_name(void **state)
{
    (void)state;
    static const char line[] =
        "written by Keras 1, whose layers have other options and weights; load and save it with Keras 2";
    assert_problem("{'class_name': 'Sequential', 'config': [{'class_name': 'LSTM', 'config': {'output_dim': 3, "
                   "'inner_activation': 'hard_sigmoid', 'batch_input_shape': [null, 4, 2]}}]}",
                   NULL, false, line);
    assert_problem("{'class_name': 'Sequential', 'config': [{'class_name': 'Dense', 'config': {'output_dim': 3}}]}",
                   "1.2.2", false, line);
    assert_problem("{'keras_version': '0.3.3', 'class_name': 'Sequential', 'config': []}", NULL, false, line);
}

static void quantized_layers_are_refused_by_name(void **state)
{
    (void)state;
    assert_problem(
        "{'class_name': 'Sequential', 'config': {'layers': [{'class_name': 'InputLayer', 'config': "
        "{'batch_shape': [null, 3]}}, {'class_name': 'Dense', 'config': {'units': 2, 'dtype': {'class_name': "
        "'QuantizedDTypePolicy', 'config': {'mode': 'int8', 'name': 'int8_from_float32'}}}}]}}",
        "3.5.0", false,
        "the layer is quantized (int8_from_float32); quantized weights are not supported: save the model before "
        "model.quantize()");
}

static void lora_gives_a_warning(void **state)
{
    (void)state;
    assert_problem("{'class_name': 'Sequential', 'config': {'layers': [{'class_name': 'InputLayer', 'config': "
                   "{'batch_shape': [null, 3]}}, {'class_name': 'Dense', 'config': {'units': 2, 'lora_rank': 4, "
                   "'lora_alpha': 4}}]}}",
                   "3.9.0", true,
                   "the layer was trained with LoRA of rank 4; the kernel in the file includes the LoRA weights");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_gru_resets_before_the_product),
        cmocka_unit_test(files_of_keras_1_are_refused_by_name),
        cmocka_unit_test(quantized_layers_are_refused_by_name),
        cmocka_unit_test(lora_gives_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
