/* PyTorch's modules: every argument, the order of the gates, and tensors that are missing or have other shapes. */
#include "config/torch/torch_model.h"
#include "tests/unit/unit.h"

static struct problems problems;

struct torch {
    struct keras_model config;
    struct tensor_set from, to;
};

static bool read_torch(const char *text, struct torch *t)
{
    json_t *json = unit_json(text);
    bool good = torch_model_read(json, "m.json", &t->from, "w.safetensors", &problems, &t->config, &t->to);
    json_decref(json);
    return good;
}

static void close_torch(struct torch *t)
{
    keras_model_close(&t->config);
    tensor_set_close(&t->from);
    tensor_set_close(&t->to);
}

static void taken(const char *text, struct torch *t)
{
    if (!read_torch(text, t))
        fail_msg("%s: %s", text, problems.errors[0]);
}

static void refused(const char *text, struct torch *t, const char *line)
{
    if (read_torch(text, t))
        fail_msg("%s is taken", text);
    unit_has_error(&problems, text, line);
    problems_close(&problems);
}

/* The tensors of one direction of a layer of `gates` gates, 2 hidden units. */
static void add_layer(struct tensor_set *set, const char *prefix, const char *suffix, size_t gates, size_t width,
                      bool bias)
{
    char name[96];
    snprintf(name, sizeof name, "%sweight_ih_%s", prefix, suffix);
    unit_tensor(set, name, 2 * gates, width);
    snprintf(name, sizeof name, "%sweight_hh_%s", prefix, suffix);
    unit_tensor(set, name, 2 * gates, 2);
    snprintf(name, sizeof name, "%sbias_ih_%s", prefix, suffix);
    if (bias)
        unit_tensor(set, name, 2 * gates, 0);
    snprintf(name, sizeof name, "%sbias_hh_%s", prefix, suffix);
    if (bias)
        unit_tensor(set, name, 2 * gates, 0);
}

#define TORCH(class, config, more)                                                                                     \
    "{'class_name': 'torch.nn." class "', 'config': {'input_size': 3, 'hidden_size': 2" config "}" more "}"
#define HEAD(more) ", 'head': {'class_name': 'torch.nn.Linear', 'name': 'fc'" more "}"

static void assert_tensor(const struct torch *t, const char *name, size_t rank, size_t rows, size_t columns)
{
    const struct named_tensor *tensor = tensor_set_find(&t->to, name);
    if (!tensor)
        fail_msg("no tensor %s", name);
    assert_int_equal(tensor->rank, rank);
    assert_int_equal(tensor->shape[0], rows);
    if (rank > 1)
        assert_int_equal(tensor->shape[1], columns);
}

static double number(const struct torch *t, const char *name, size_t i)
{
    return tensor_element(tensor_set_find(&t->to, name), i);
}

static void gates_of_an_lstm_keep_their_order(void **state)
{
    (void)state;
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "", "l0", 4, 3, true);
    taken(TORCH("LSTM", "", ""), &t);
    assert_tensor(&t, "cells.0.kernel", 2, 3, 8);
    assert_tensor(&t, "cells.0.recurrent_kernel", 2, 2, 8);
    assert_tensor(&t, "cells.0.bias", 1, 8, 0);
    assert_int_equal(t.to.n, 3);
    for (size_t i = 0; i < 3; i++) /* transposed: weight_ih [8, 3] begins with 0 */
        for (size_t column = 0; column < 8; column++)
            assert_true(number(&t, "cells.0.kernel", i * 8 + column) == (double)(column * 3 + i) / 16);
    assert_true(number(&t, "cells.0.recurrent_kernel", 9) == (24 + 1 * 2 + 1) / 16.0);
    for (size_t i = 0; i < 8; i++) /* the sum of both biases: they begin at 40 and 48 */
        assert_true(number(&t, "cells.0.bias", i) == (double)(40 + i + 48 + i) / 16);
    const struct recurrent *own = recurrent_of(&t.config.model.layers[0]);
    assert_ptr_equal(own->cells[0]->cells[0]->class, &cell_lstm);
    assert_true(own->parts[0].return_sequences);
    assert_int_equal(t.config.model.inputs[0].shape.width, 3);
    assert_false(t.config.is_chain);
    assert_int_equal(problems.all_warnings, 0);
    close_torch(&t);
}

static void gates_of_a_gru_change_places(void **state)
{
    (void)state;
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "", "l0", 3, 3, true);
    taken(TORCH("GRU", "", ""), &t);
    assert_tensor(&t, "cells.0.kernel", 2, 3, 6);
    assert_tensor(&t, "cells.0.bias", 2, 2, 6);
    static const size_t from[] = {2, 3, 0, 1, 4, 5}; /* from r z n to z r h, two units each */
    for (size_t i = 0; i < 3; i++)
        for (size_t column = 0; column < 6; column++)
            assert_true(number(&t, "cells.0.kernel", i * 6 + column) == (double)(from[column] * 3 + i) / 16);
    for (size_t column = 0; column < 6; column++) { /* weight_ih and _hh have 30 numbers */
        assert_true(number(&t, "cells.0.bias", column) == (double)(30 + from[column]) / 16);
        assert_true(number(&t, "cells.0.bias", 6 + column) == (double)(36 + from[column]) / 16);
    }
    close_torch(&t);
}

static void an_rnn_has_a_nonlinearity(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum activation_kind kind;
    } rows[] = {{TORCH("RNN", "", ""), ACT_TANH},
                {TORCH("RNN", ", 'nonlinearity': 'tanh'", ""), ACT_TANH},
                {TORCH("RNN", ", 'nonlinearity': 'relu', 'bias': true", ""), ACT_RELU}};
    for (size_t i = 0; i < 3; i++) {
        struct torch t = {.from = {.n = 0}};
        add_layer(&t.from, "", "l0", 1, 3, true);
        taken(rows[i].text, &t);
        assert_int_equal(recurrent_of(&t.config.model.layers[0])->cells[0]->cells[0]->activation.kind, rows[i].kind);
        close_torch(&t);
    }
}

static void layers_become_a_stack(void **state)
{
    (void)state;
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "encoder.rnn.", "l0", 1, 3, false);
    add_layer(&t.from, "encoder.rnn.", "l1", 1, 2, false);
    taken(TORCH("RNN", ", 'num_layers': 2, 'bias': false, 'batch_first': true, 'proj_size': 0, 'device': null", ""),
          &t);
    assert_tensor(&t, "cells.0.kernel", 2, 3, 2);
    assert_tensor(&t, "cells.1.kernel", 2, 2, 2);
    assert_null(tensor_set_find(&t.to, "cells.0.bias"));
    assert_int_equal(t.to.n, 4);
    assert_int_equal(recurrent_of(&t.config.model.layers[0])->cells[0]->n_cells, 2);
    assert_false(recurrent_of(&t.config.model.layers[0])->cells[0]->cells[1]->use_bias);
    close_torch(&t);
}

static void directions_become_bidirectionals(void **state)
{
    (void)state;
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "", "l0", 4, 3, true);
    add_layer(&t.from, "", "l0_reverse", 4, 3, true);
    add_layer(&t.from, "", "l1", 4, 4, true);
    add_layer(&t.from, "", "l1_reverse", 4, 4, true);
    taken(TORCH("LSTM", ", 'num_layers': 2, 'bidirectional': true", ""), &t);
    assert_true(t.config.is_chain);
    assert_int_equal(t.config.model.n_layers, 2);
    assert_tensor(&t, "layers.0.forward.cells.0.kernel", 2, 3, 8);
    assert_tensor(&t, "layers.0.backward.cells.0.kernel", 2, 3, 8);
    assert_tensor(&t, "layers.1.backward.cells.0.kernel", 2, 4, 8);
    const struct recurrent *own = recurrent_of(&t.config.model.layers[1]);
    assert_int_equal(own->n_parts, 2);
    assert_true(!own->parts[0].go_backwards && own->parts[1].go_backwards && own->parts[0].return_sequences);
    assert_string_equal(t.config.model.layers[1].name, "lstm_l1");
    close_torch(&t);
}

static void a_head_is_applied_or_passed_over(void **state)
{
    (void)state;
    static const char *const configs[] = {
        TORCH("GRU", "", HEAD(", 'apply': true, 'config': {'in_features': 2, 'out_features': 5}")),
        TORCH("GRU", "", HEAD(", 'apply': true, 'config': {'out_features': 5, 'bias': false}")),
        TORCH("GRU", "", HEAD(", 'apply': false, 'config': {'out_features': 5}")),
    };
    for (size_t i = 0; i < 3; i++) {
        struct torch t = {.from = {.n = 0}};
        add_layer(&t.from, "", "l0", 3, 3, true);
        unit_tensor(&t.from, "fc.weight", 5, 2); /* begins at 42 */
        unit_tensor(&t.from, "fc.bias", 5, 0);
        taken(configs[i], &t);
        if (i == 2) {
            unit_has_warning(&problems, configs[i], "w.safetensors: tensor \"fc.weight\" is not served");
            assert_null(tensor_set_find(&t.to, "layers.1.kernel"));
            assert_int_equal(t.config.model.n_layers, 1);
        } else {
            assert_tensor(&t, "layers.1.kernel", 2, 2, 5);
            assert_true(number(&t, "layers.1.kernel", 5 + 3) == (42 + 3 * 2 + 1) / 16.0); /* transposed */
            assert_int_equal(tensor_set_find(&t.to, "layers.1.bias") != NULL, i == 0);
            assert_false(recurrent_of(&t.config.model.layers[0])->parts[0].return_sequences);
        }
        assert_int_equal(problems.all_warnings, i == 0 ? 0 : i == 1 ? 1 : 2);
        problems_close(&problems);
        close_torch(&t);
    }
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "", "l0", 3, 3, true);
    add_layer(&t.from, "", "l0_reverse", 3, 3, true);
    unit_tensor(&t.from, "fc.weight", 5, 4);
    unit_tensor(&t.from, "fc.bias", 5, 0);
    taken(TORCH("GRU", ", 'bidirectional': true", HEAD(", 'apply': true, 'config': {'out_features': 5}")), &t);
    assert_int_equal(t.config.model.n_layers, 3);
    assert_string_equal(t.config.model.layers[1].class_name, "LastTimestep");
    assert_tensor(&t, "layers.2.kernel", 2, 4, 5);
    close_torch(&t);
}

static void errors_of_arguments_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"{'class_name': 'torch.nn.Transformer'}", "/class_name: expected torch.nn.LSTM, torch.nn.GRU or torch.nn.RNN"},
        {"{'class_name': 'torch.nn.GRU'}", "/config/input_size: expected a whole number from 1 to 1048576"},
        {TORCH("GRU", ", 'num_layers': 129", ""), "/config/num_layers: expected a whole number from 1 to 128"},
        {TORCH("GRU", ", 'bias': 1", ""), "/config/bias: expected true or false, found 1"},
        {TORCH("GRU", ", 'bidirectional': 'yes'", ""), "/config/bidirectional: expected true or false"},
        {TORCH("LSTM", ", 'proj_size': 1", ""), "/config/proj_size: expected 0: an LSTM with a projection"},
        {TORCH("RNN", ", 'nonlinearity': 'sin'", ""), "/config/nonlinearity: expected \"tanh\" or \"relu\""},
        {TORCH("GRU", ", 'dtype': 'int8'", ""), "/config/dtype: the layer is quantized (int8)"},
        {TORCH("GRU", "", ", 'head': 3"), "/head: expected an object, found 3"},
        {TORCH("GRU", "", ", 'head': {'class_name': 'torch.nn.ReLU', 'name': 'a', 'config': {'out_features': 1}}"),
         "/head/class_name: expected \"torch.nn.Linear\""},
        {TORCH("GRU", "", ", 'head': {'class_name': 'torch.nn.Linear', 'config': {'out_features': 1}}"),
         "/head/name: expected the name that the layer's tensors begin with"},
        {TORCH("GRU", "", HEAD(", 'config': {'out_features': 0}")), "/head/config/out_features: expected a whole"},
        {TORCH("GRU", "", HEAD(", 'apply': 1, 'config': {'out_features': 1}")), "/head/apply: expected true or false"},
        {TORCH("GRU", "", HEAD(", 'config': {'out_features': 1, 'bias': 0}")), "/head/config/bias: expected true"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct torch t = {.from = {.n = 0}};
        add_layer(&t.from, "", "l0", 3, 3, true);
        refused(rows[i].text, &t, rows[i].line);
        close_torch(&t);
    }
    json_t *json = unit_json("{'class_name': 'LSTM'}");
    assert_false(torch_is(json));
    json_decref(json);
}

/* Each tensor once missing, once of another shape, once of whole numbers. */
static void wrong_tensors_are_named(void **state)
{
    (void)state;
    static const char text[] = TORCH("LSTM", "", HEAD(", 'apply': true, 'config': {'out_features': 5}"));
    static const char *const wants[] = {"[8, 3]", "[8, 2]", "[8]", "[8]", "[5, 2]", "[5]"};
    enum { TENSORS = 6 };
    for (size_t i = 0; i < TENSORS; i++)
        for (int wrong = 0; wrong < 4; wrong++) {
            struct torch t = {.from = {.n = 0}};
            char line[128], name[64];
            add_layer(&t.from, "m.", "l0", 4, 3, true);
            unit_tensor(&t.from, "fc.weight", 5, 2);
            unit_tensor(&t.from, "fc.bias", 5, 0);
            struct named_tensor *tensor = &t.from.tensors[i];
            snprintf(name, sizeof name, "%s", tensor->name);
            if (wrong == 0) {
                tensor->name[strlen(tensor->name) - 1] = 'x';
                snprintf(line, sizeof line,
                         i ? "tensor %s is missing, expected with shape %s"
                           : "tensor weight_ih_l0 is missing (with any prefix)",
                         name, wants[i]);
            } else {
                if (wrong == 1)
                    tensor->shape[0]++;
                else if (wrong == 2)
                    tensor->rank = 3;
                else
                    tensor->type = TENSOR_I32;
                snprintf(line, sizeof line, ", expected F32, F64, F16 or BF16 %s", wants[i]);
            }
            refused(text, &t, line);
            close_torch(&t);
        }
}

static void one_module_is_found_by_its_prefix(void **state)
{
    (void)state;
    struct torch t = {.from = {.n = 0}};
    add_layer(&t.from, "a.", "l0", 1, 3, true);
    unit_tensor(&t.from, "notweight_ih_l0", 2, 3); /* no module of that name */
    taken(TORCH("RNN", "", ""), &t);
    unit_has_warning(&problems, "beside", "tensor \"notweight_ih_l0\" is not served");
    problems_close(&problems);
    close_torch(&t);
    t = (struct torch){.from = {.n = 0}};
    add_layer(&t.from, "a.", "l0", 1, 3, true);
    add_layer(&t.from, "b.", "l0", 1, 3, true);
    refused(TORCH("RNN", "", ""), &t,
            "tensor b.weight_ih_l0: a second recurrent module beside that of a.weight_ih_l0; keep the tensors of one");
    close_torch(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gates_of_an_lstm_keep_their_order),
                                       cmocka_unit_test(gates_of_a_gru_change_places),
                                       cmocka_unit_test(an_rnn_has_a_nonlinearity),
                                       cmocka_unit_test(layers_become_a_stack),
                                       cmocka_unit_test(directions_become_bidirectionals),
                                       cmocka_unit_test(a_head_is_applied_or_passed_over),
                                       cmocka_unit_test(errors_of_arguments_name_their_place),
                                       cmocka_unit_test(wrong_tensors_are_named),
                                       cmocka_unit_test(one_module_is_found_by_its_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
