#include "tests/unit/unit.h"

static struct rnn_cell_spec *nested(void)
{
    struct rnn_cell_spec *inner[] = {unit_leaf(&cell_lstm, 4), unit_leaf(&cell_gru, 3)};
    struct rnn_cell_spec *outer[] = {unit_leaf(&cell_simple_rnn, 2), unit_stack(inner, 2), unit_leaf(&cell_lstm, 5)};
    return unit_stack(outer, 3);
}

static void leaves_come_depth_first_with_paths(void **state)
{
    (void)state;
    char path[64];
    struct rnn_cell_spec *spec = nested(), *bare = unit_leaf(&cell_gru, 1);
    static const char *const paths[] = {"cells.0", "cells.1.cells.0", "cells.1.cells.1", "cells.2"};
    static const size_t units[] = {2, 4, 3, 5};
    for (size_t i = 0; i < 4; i++) {
        const struct rnn_cell_spec *leaf = rnn_cell_spec_leaf(spec, i, path, sizeof path);
        assert_int_equal(leaf->units, units[i]);
        assert_string_equal(path, paths[i]);
    }
    assert_null(rnn_cell_spec_leaf(spec, 4, path, sizeof path));
    assert_ptr_equal(rnn_cell_spec_leaf(bare, 0, path, sizeof path), bare);
    assert_string_equal(path, "cells.0");
    rnn_cell_spec_free(spec);
    rnn_cell_spec_free(bare);
}

static void states_flatten_in_cell_order(void **state)
{
    (void)state;
    struct rnn_stack stack;
    unit_build(&stack, nested(), 3, &vec_c, 0.5);
    static const size_t offsets[] = {0, 2, 10, 13};
    assert_int_equal(stack.n_cells, 4);
    assert_memory_equal(stack.state_offsets, offsets, sizeof offsets);
    assert_int_equal(stack.state_elems, 23);
    assert_int_equal(stack.output_size, 5);
    assert_int_equal(stack.cells[1].input_size, 2);
    float states[46];
    memset(states, 1, sizeof states);
    rnn_stack_initial_state(&stack, 2, states);
    for (size_t i = 0; i < 46; i++)
        assert_true(states[i] == 0);
    /* 3x2+2x2+2, 2x16+4x16+16, 4x9+3x9+2x9, 3x20+5x20+20 */
    assert_int_equal(rnn_stack_parameters(&stack), 12 + 112 + 81 + 180);
    rnn_stack_close(&stack);
}

static void nesting_does_not_change_numbers(void **state)
{
    (void)state;
    struct rnn_cell_spec *flat[] = {unit_leaf(&cell_simple_rnn, 2), unit_leaf(&cell_lstm, 4), unit_leaf(&cell_gru, 3),
                                    unit_leaf(&cell_lstm, 5)};
    struct rnn_recurrence a = {.return_sequences = true}, b = {.return_sequences = true};
    unit_build(&a.stack, nested(), 3, vec_select(NULL), 0.5);
    unit_build(&b.stack, unit_stack(flat, 4), 3, vec_select(NULL), 0.5);
    float x[12], ya[20], yb[20], sa[23] = {0}, sb[23] = {0};
    unsigned seed = 1;
    for (int i = 0; i < 12; i++)
        x[i] = unit_random(&seed);
    unit_run(&a, x, NULL, 4, sa, ya);
    unit_run(&b, x, NULL, 4, sb, yb);
    assert_memory_equal(ya, yb, sizeof ya);
    assert_memory_equal(sa, sb, sizeof sa);
    rnn_stack_close(&a.stack);
    rnn_stack_close(&b.stack);
}

static void an_empty_stack_is_refused(void **state)
{
    (void)state;
    struct rnn_stack stack;
    struct rnn_error error = {{0}};
    assert_int_equal(rnn_stack_init(&stack, rnn_cell_spec_new(NULL), 3, NULL, &vec_c, PACKED_FLOAT32, &error),
                     RNN_EINVAL);
    assert_string_equal(error.text, "a stack needs at least one cell");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_come_depth_first_with_paths),
        cmocka_unit_test(states_flatten_in_cell_order),
        cmocka_unit_test(nesting_does_not_change_numbers),
        cmocka_unit_test(an_empty_stack_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
