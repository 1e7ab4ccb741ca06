#include "tests/unit/unit.h"

static void classes_are_found_by_cell_and_layer_name(void **state)
{
    (void)state;
    bool layer;
    assert_ptr_equal(cell_class_find("GRUCell", &layer), &cell_gru);
    assert_false(layer);
    assert_ptr_equal(cell_class_find("GRU", &layer), &cell_gru);
    assert_true(layer);
    assert_null(cell_class_find("Conv1D", NULL));
}

static void tensors_have_keras_shapes(void **state)
{
    (void)state;
    struct cell_tensor t[CELL_MAX_TENSORS];
    struct rnn_cell_spec *spec = unit_leaf(&cell_gru, 5);
    assert_int_equal(cell_tensors(spec, 3, t), 3);
    assert_string_equal(t[0].name, "kernel");
    assert_int_equal(t[0].shape[0], 3);
    assert_int_equal(t[0].shape[1], 15);
    assert_int_equal(t[1].shape[0], 5);
    assert_int_equal(t[2].rank, 2);
    assert_int_equal(t[2].shape[0], 2);
    spec->reset_after = false;
    assert_int_equal(cell_tensors(spec, 3, t), 3);
    assert_int_equal(t[2].rank, 1);
    assert_int_equal(t[2].shape[0], 15);
    spec->use_bias = false;
    assert_int_equal(cell_tensors(spec, 3, t), 2);
    rnn_cell_spec_free(spec);
}

static void unit_forget_bias_puts_ones_at_f(void **state)
{
    (void)state;
    struct cell_tensor t[CELL_MAX_TENSORS];
    struct rnn_cell_spec *spec = unit_leaf(&cell_lstm, 2);
    float bias[8];
    cell_tensors(spec, 1, t);
    assert_int_equal(cell_tensor_initialize(spec, &t[2], 0, "cells.0.bias", bias, NULL), RNN_OK);
    static const float with[] = {0, 0, 1, 1, 0, 0, 0, 0}, without[8] = {0};
    assert_memory_equal(bias, with, sizeof with);
    spec->unit_forget_bias = false;
    cell_tensor_initialize(spec, &t[2], 0, "cells.0.bias", bias, NULL);
    assert_memory_equal(bias, without, sizeof without);
    rnn_cell_spec_free(spec);
}

static void a_cell_without_units_is_refused(void **state)
{
    (void)state;
    struct rnn_cell cell;
    struct rnn_error error = {{0}};
    struct rnn_cell_spec *spec = unit_leaf(&cell_lstm, 0);
    const float *tensors[CELL_MAX_TENSORS] = {NULL};
    assert_int_equal(rnn_cell_init(&cell, spec, 3, tensors, &vec_c, PACKED_FLOAT32, &error), RNN_EINVAL);
    assert_non_null(strstr(error.text, "LSTMCell: units"));
    rnn_cell_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_found_by_cell_and_layer_name),
        cmocka_unit_test(tensors_have_keras_shapes),
        cmocka_unit_test(unit_forget_bias_puts_ones_at_f),
        cmocka_unit_test(a_cell_without_units_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
