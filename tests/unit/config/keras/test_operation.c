/* Operations in Functional models: the layers that they become, as each version writes them, and the errors of
   others. */
#include "config/keras/model.h"
#include "config/keras/operation.h"
#include "core/layers/arithmetic.h"
#include "core/layers/get_item.h"
#include "core/layers/reduce.h"
#include "tests/unit/unit.h"

static struct problems problems;

/* A model with one input [5, 4] and one operation `op`. */
static bool read_model(const char *version, const char *op, struct keras_model *out)
{
    char text[2000];
    snprintf(
        text, sizeof text,
        "{'class_name': 'Functional', 'config': {'name': 'm', 'layers': [{'class_name': 'InputLayer', 'name': 'x', "
        "'config': {'name': 'x', 'batch_shape': [null, 5, 4]}, 'inbound_nodes': []}, %s], "
        "'input_layers': [['x', 0, 0]], 'output_layers': [['op', 0, 0]]}}",
        op);
    json_t *json = unit_json(text);
    bool good = keras_model_read(json, "m.json", "", version, &problems, out);
    json_decref(json);
    return good;
}

#define X3 "{'class_name': '__keras_tensor__', 'config': {'keras_history': ['x', 0, 0]}}"
#define OP3(class, config, args, kwargs)                                                                               \
    "{'module': 'keras.src.ops.numpy', 'class_name': '" class "', 'name': 'op', 'config': {'name': 'op'" config "}, "  \
                                                              "'inbound_nodes': [{'args': [" args                      \
                                                              "], 'kwargs': {" kwargs "}}]}"
#define OP2(function, use)                                                                                             \
    "{'class_name': 'TFOpLambda', 'name': 'op', 'config': {'name': 'op', 'function': '" function                       \
    "'}, 'inbound_nodes': [" use "]}"

/* Reads the model, and returns the options struct of its last layer. */
static void *last_of(const char *version, const char *op, const struct layer_class *class, struct keras_model *model)
{
    if (!read_model(version, op, model))
        fail_msg("%s: %s", op, problems.errors[0]);
    const struct layer *layer = &model->model.layers[model->model.n_layers - 1];
    assert_ptr_equal(layer->class, class);
    assert_int_equal(layer->masks, MASKS_STOP);
    return layer->own;
}

static void refused(const char *version, const char *op, const char *line)
{
    struct keras_model model;
    if (read_model(version, op, &model))
        fail_msg("%s is taken", op);
    unit_has_error(&problems, op, line);
    problems_close(&problems);
}

static void constants_may_be_either_operand(void **state)
{
    (void)state;
    struct keras_model model;
    const struct arithmetic *own = last_of("3.0", OP3("Subtract", "", "1.5, " X3, ""), &layer_arithmetic, &model);
    assert_int_equal(own->operation, ARITHMETIC_SUBTRACT);
    assert_true(own->constant_first);
    assert_near(own->constant[0], 1.5, 0);
    keras_model_close(&model);
    own = last_of("2.15", OP2("math.subtract", "['_CONSTANT_VALUE', -1, 2.5, {'y': ['x', 0, 0]}]"), &layer_arithmetic,
                  &model);
    assert_true(own->constant_first);
    assert_near(own->constant[0], 2.5, 0);
    keras_model_close(&model);
    own = last_of("2.15", OP2("math.multiply", "['x', 0, 0, {'y': [[1, 2, 3, 4]], 'name': null}]"), &layer_arithmetic,
                  &model);
    assert_false(own->constant_first);
    assert_int_equal(own->rank, 2);
    assert_int_equal(own->axes[1], 4);
    assert_near(own->constant[3], 4, 0);
    keras_model_close(&model);
    own = last_of("3.0", OP3("Power", "", "", "'x1': " X3 ", 'x2': 3"), &layer_arithmetic, &model);
    assert_int_equal(own->operation, ARITHMETIC_POWER);
    assert_near(own->constant[0], 3, 0);
    keras_model_close(&model);
}

/* HDF5 files of Keras 3 lack "module". */
static void operations_are_known_without_their_module(void **state)
{
    (void)state;
    static const char *const operations[] = {
        "{'class_name': 'GetItem', 'config': {'name': 'g'}, 'inbound_nodes': [{'args': [], 'kwargs': {}}]}",
        "{'class_name': 'Cast', 'config': {'name': 'g', 'dtype': 'int32'}, 'inbound_nodes': [{'args': []}]}",
    };
    static const char *const layers[] = {
        "{'class_name': 'Add', 'config': {'name': 'g', 'trainable': true, 'dtype': 'float32'}, 'inbound_nodes': "
        "[{'args': []}]}",
        "{'class_name': 'Add', 'config': {'name': 'g'}, 'inbound_nodes': [[['x', 0, 0, {}]]]}",
        "{'module': 'keras.layers', 'class_name': 'Add', 'config': {'name': 'g'}, 'inbound_nodes': [{'args': []}]}",
    };
    for (size_t i = 0; i < 2; i++) {
        json_t *json = unit_json(operations[i]);
        assert_true(keras_is_operation(json));
        json_decref(json);
    }
    for (size_t i = 0; i < 3; i++) {
        json_t *json = unit_json(layers[i]);
        assert_false(keras_is_operation(json));
        json_decref(json);
    }
}

static void slices_are_read(void **state)
{
    (void)state;
    struct keras_model model;
    const struct get_item *own =
        last_of("3.0",
                OP3("GetItem", "",
                    X3 ", [{'class_name': '__slice__', 'config': {'start': null, 'stop': null, 'step': null}}, -1, "
                       "{'class_name': '__slice__', 'config': {'start': 1, 'stop': null, 'step': 2}}]",
                    ""),
                &layer_get_item, &model);
    assert_int_equal(own->n, 3);
    assert_true(own->batch);
    assert_int_equal(own->picks[1].how, PICK_INDEX);
    assert_int_equal(own->picks[1].start, -1);
    assert_true(own->picks[2].has_start && !own->picks[2].has_stop);
    assert_int_equal(own->picks[2].step, 2);
    keras_model_close(&model);
    const struct reduce *reduce = last_of(
        "2.15", OP2("math.reduce_max", "['x', 0, 0, {'axis': [1, -1], 'keepdims': true}]"), &layer_reduce, &model);
    assert_int_equal(reduce->operation, REDUCE_MAX);
    assert_int_equal(reduce->n, 2);
    assert_int_equal(reduce->axes[1], -1);
    assert_true(reduce->keepdims);
    keras_model_close(&model);
}

static void what_is_not_served_is_named(void **state)
{
    (void)state;
    refused("2.15", OP2("signal.fft", "['x', 0, 0, {}]"), "the operation \"op\" (signal.fft) is not supported");
    refused("2.15", OP2("image.transpose", "['x', 0, 0, {}]"), "(image.transpose) is not supported");
    refused("3.0", OP3("Einsum", ", 'subscripts': 'a'", X3, ""), "the operation \"op\" (Einsum) is not supported");
    refused("2.15", OP2("math.reduce_sum", "['x', 0, 0, {}]"), "without one it mixes the rows of a batch");
    refused("3.0", OP3("Max", ", 'axis': 1, 'initial': 2.0", X3, ""), "an argument that is not supported: initial");
    refused("3.0", OP3("GetItem", "", X3 ", 0", ""), "selects a part of the batch");
    refused("3.0", OP3("Concatenate", ", 'axis': 0", "[" X3 ", " X3 "]", ""), "works along the batch");
    refused("3.0", OP3("Transpose", ", 'axes': [1, 0, 2]", X3, ""), "has the batch first");
    refused("2.15", OP2("reshape", "['x', 0, 0, {'shape': [4, 5]}]"), "-1 for the batch");
    refused("3.0", OP3("Split", ", 'indices_or_sections': 3, 'axis': -1", X3, ""),
            "cannot split 4 elements into 3 equal parts");
    refused("2.15", OP2("math.multiply", "['x', 0, 0, {'y': [[1, 2], [3]]}]"), "nor a regular list of numbers");
    refused("3.0", OP3("Cast", ", 'dtype': 'complex64'", X3, ""), "to the type complex64 is not supported");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_may_be_either_operand),
        cmocka_unit_test(operations_are_known_without_their_module),
        cmocka_unit_test(slices_are_read),
        cmocka_unit_test(what_is_not_served_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
