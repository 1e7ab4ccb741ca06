/* Cells, stacks and wrappers: the spec that each configuration becomes, and where a wrong one is placed. */
#include "config/keras/cell.h"
#include "tests/unit/unit.h"

static struct problems problems;

static struct rnn_cell_spec *read_cell(const char *text, bool *failed)
{
    *failed = false;
    struct keras_reader reader = {.file = "m.json", .keras_major = 2, .problems = &problems, .failed = failed};
    json_t *json = unit_json(text);
    struct rnn_cell_spec *spec = keras_cell(&reader, json, "/c");
    json_decref(json);
    return spec;
}

static struct rnn_cell_spec *taken(const char *text)
{
    bool failed;
    struct rnn_cell_spec *spec = read_cell(text, &failed);
    if (failed)
        fail_msg("%s: %s", text, problems.errors[0]);
    assert_non_null(spec);
    return spec;
}

static void refused(const char *text, const char *line)
{
    bool failed;
    rnn_cell_spec_free(read_cell(text, &failed)); /* frees a part that was read before the error, or NULL */
    if (!failed)
        fail_msg("%s is taken", text);
    unit_has_error(&problems, text, line);
    problems_close(&problems);
}

#define CELL(class, config) "{'class_name': '" class "', 'config': {" config "}}"

static void options_are_read(void **state)
{
    (void)state;
    struct rnn_cell_spec *cell =
        taken(CELL("LSTMCell", "'name': 'a', 'units': 6, 'activation': 'relu', 'recurrent_activation': 'hard_sigmoid', "
                               "'use_bias': false, 'unit_forget_bias': false, 'kernel_initializer': 'ones', "
                               "'recurrent_initializer': 'zeros', 'bias_initializer': 'ones'"));
    assert_string_equal(cell->name, "a");
    assert_int_equal(cell->units, 6);
    assert_int_equal(cell->activation.kind, ACT_RELU);
    assert_int_equal(cell->recurrent_activation.kind, ACT_HARD_SIGMOID);
    assert_false(cell->use_bias || cell->unit_forget_bias);
    assert_int_equal(cell->kernel_initializer.kind, INIT_ONES);
    assert_int_equal(cell->recurrent_initializer.kind, INIT_ZEROS);
    assert_int_equal(cell->bias_initializer.kind, INIT_ONES);
    rnn_cell_spec_free(cell);
    cell = taken(CELL("GRUCell", "'units': 2, 'reset_after': false"));
    assert_false(cell->reset_after);
    assert_null(cell->name);
    rnn_cell_spec_free(cell);
    cell = taken(CELL("LayerNormLSTMCell", "'units': 2, 'norm_epsilon': 0.5, 'norm_gamma_initializer': 'zeros'"));
    assert_true(cell->epsilon == 0.5);
    assert_int_equal(cell->gamma_initializer.kind, INIT_ZEROS);
    rnn_cell_spec_free(cell);
    cell = taken(CELL("PeepholeLSTMCell", "'units': 2"));
    assert_ptr_equal(cell->class, &cell_peephole_lstm);
    rnn_cell_spec_free(cell);
    assert_int_equal(problems.all_warnings, 0);
}

static void stacks_nest(void **state)
{
    (void)state;
    struct rnn_cell_spec *stack = taken(
        CELL("StackedRNNCells", "'reverse_state_order': true, 'cells': [" CELL("LSTMCell", "'units': 1") ", " CELL(
                                    "StackedRNNCells", "'cells': [" CELL("GRUCell", "'units': 2") "]") "]"));
    assert_null(stack->class);
    assert_int_equal(stack->n_cells, 2);
    assert_true(stack->reverse_state_order);
    assert_int_equal(stack->cells[0]->units, 1);
    assert_int_equal(stack->cells[1]->cells[0]->units, 2);
    assert_ptr_equal(stack->cells[1]->cells[0]->class, &cell_gru);
    rnn_cell_spec_free(stack);
    stack = taken("[" CELL("GRUCell", "'units': 1") "]"); /* a list stands for a stack */
    assert_int_equal(stack->n_cells, 1);
    rnn_cell_spec_free(stack);
}

static void wrappers_are_recorded(void **state)
{
    (void)state;
    struct rnn_cell_spec *cell =
        taken(CELL("ResidualWrapper",
                   "'cell': " CELL("DeviceWrapper", "'device': '/cpu:0', 'cell': " CELL("GRUCell", "'units': 3"))));
    assert_ptr_equal(cell->class, &cell_gru);
    assert_int_equal(cell->residuals, 1);
    assert_string_equal(cell->wrappers, "ResidualWrapper/DeviceWrapper");
    rnn_cell_spec_free(cell);
    assert_int_equal(problems.all_warnings, 0);
    cell = taken(CELL("DropoutWrapper", "'input_keep_prob': 0.5, 'cell': " CELL("GRUCell", "'units': 3")));
    assert_int_equal(cell->residuals, 0);
    unit_has_warning(&problems, "dropout", "/c/config: a dropout wrapper does nothing here");
    problems_close(&problems);
    rnn_cell_spec_free(cell);
    refused(CELL("ResidualWrapper", "'residual_fn': 'f', 'cell': " CELL("GRUCell", "'units': 3")),
            "/c/config/residual_fn: a Python function is not supported");
    refused(CELL("ResidualWrapper", "'function': ['f'], 'cell': " CELL("GRUCell", "'units': 3")),
            "/c/config/residual_fn: a Python function is not supported");
    refused(CELL("ResidualWrapper", "'cell': " CELL("StackedRNNCells", "'cells': [" CELL("GRUCell", "'units': 3") "]")),
            "a residual wrapper is supported around a single cell");
    refused(CELL("ResidualWrapper", ""), "/c/config/cell: expected a cell with class_name StackedRNNCells, Simple");
    refused(CELL("ResidualWrapper", "'depth': 1, 'cell': " CELL("GRUCell", "'units': 3")), "/c/config/depth: unknown");
}

static void errors_of_cells_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"3", "/c: expected a cell with class_name StackedRNNCells, SimpleRNNCell, LSTMCell"},
        {"{'class_name': 'LSTM'}", "/c/class_name: expected a cell with class_name StackedRNNCells"},
        {"{'class_name': 'GRUCell'}", "/c/config: expected an object, found nothing"},
        {"[]", "/c: expected a list of at least one cell, found []"},
        {CELL("StackedRNNCells", "'cells': 1"), "/c/config/cells: expected a list of at least one cell, found 1"},
        {CELL("StackedRNNCells", "'cells': [3]"), "/c/config/cells/0: expected a cell"},
        {CELL("StackedRNNCells", "'depth': 1, 'cells': [" CELL("GRUCell", "'units': 1") "]"),
         "/c/config/depth: unknown key"},
        {CELL("LSTMCell", "'units': 0"), "/c/config/units: expected a whole number from 1 to 1048576, found 0"},
        {CELL("LSTMCell", "'units': 1, 'reset_after': true"), "/c/config/reset_after: unknown key"},
        {CELL("SimpleRNNCell", "'units': 1, 'recurrent_activation': 'tanh'"), "/recurrent_activation: unknown key"},
        {CELL("GRUCell", "'units': 1, 'norm_epsilon': 1"), "/norm_epsilon: unknown key"},
        {CELL("GRUCell", "'units': 1, 'activation': 'tank'"), "/c/config/activation: "},
        {CELL("GRUCell", "'units': 1, 'reset_after': 3"), "/c/config/reset_after: expected true or false, found 3"},
        {CELL("LayerNormLSTMCell", "'units': 1, 'norm_epsilon': 'x'"), "/norm_epsilon: expected a number"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].text, rows[i].line);
}

/* Refuses a text of n times `before`, then `middle`, then n times `after`. */
static void nested(size_t n, const char *before, const char *middle, const char *after, const char *line)
{
    char *text = calloc(1, n * (strlen(before) + strlen(after)) + strlen(middle) + 1);
    for (size_t i = 0; i < n; i++)
        strcat(text, before);
    strcat(text, middle);
    for (size_t i = 0; i < n; i++)
        strcat(text, after);
    refused(text, line);
    free(text);
}

/* A list of lists: `stacks` stacks of `cells` cells. */
static void many(size_t stacks, size_t cells, const char *line)
{
    static const char cell[] = CELL("GRUCell", "'units': 1");
    char *text = calloc(1, stacks * (cells + 2) * (sizeof cell + 1) + 64 * stacks);
    strcat(text, "[");
    for (size_t s = 0; s < stacks; s++) {
        strcat(text, s ? ",{'class_name': 'StackedRNNCells', 'config': {'cells': ["
                       : "{'class_name': 'StackedRNNCells', 'config': {'cells': [");
        for (size_t i = 0; i < cells; i++)
            strcat(strcat(text, i ? "," : ""), cell);
        strcat(text, "]}}");
    }
    refused(strcat(text, "]"), line);
    free(text);
}

static void depth_and_number_are_bounded(void **state)
{
    (void)state;
    static const char cell[] = CELL("GRUCell", "'units': 1");
    nested(17, "{'class_name': 'StackedRNNCells', 'config': {'cells': [", cell, "]}}", "nested at most 16 deep");
    nested(17, "{'class_name': 'ResidualWrapper', 'config': {'cell': ", cell, "}}",
           "expected cells nested at most 16 deep");
    many(1, STACK_MAX_CELLS + 1, "/c/0/config/cells: expected at most");
    many(2, STACK_MAX_CELLS / 2 + 1, "cells in all"); /* each list is within the limit, their sum is not */
}

static void names_are_known(void **state)
{
    (void)state;
    char known[300];
    keras_known_cells(known, sizeof known);
    assert_string_equal(known, ", SimpleRNNCell, LSTMCell, GRUCell, PeepholeLSTMCell, LayerNormLSTMCell");
    assert_true(keras_is_cell("StackedRNNCells") && keras_is_cell("GRUCell") && keras_is_cell("RNNCellDeviceWrapper"));
    assert_false(keras_is_cell("GRU") || keras_is_cell("Dense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(options_are_read),
                                       cmocka_unit_test(stacks_nest),
                                       cmocka_unit_test(wrappers_are_recorded),
                                       cmocka_unit_test(errors_of_cells_name_their_place),
                                       cmocka_unit_test(depth_and_number_are_bounded),
                                       cmocka_unit_test(names_are_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
