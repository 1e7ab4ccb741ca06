/* Weights by path, by group and by position. Errors name tensors that are missing, left over or of a wrong shape. */
#include "config/weights.h"
#include "tests/unit/unit.h"

static struct problems problems;

/* A tensor of a file. */
struct wanted {
    const char *name;
    size_t rows, columns;
};

enum { MAX_TENSORS = 12 };

/* A model and its tensors, named in one of the three ways. */
struct given {
    const char *config;
    enum tensor_naming naming;
    size_t input_size;
    struct wanted tensors[MAX_TENSORS]; /* ends with a NULL name */
};

#define LAYER(class, config) "{'class_name': '" class "', 'config': {" config "}}"
#define INPUT "{'class_name': 'InputLayer', 'config': {'batch_input_shape': [null, null, 3]}}"
#define CHAIN(layers) "{'class_name': 'Sequential', 'config': {'layers': [" INPUT ", " layers "]}}"
#define TWO_LAYERS CHAIN(LAYER("SimpleRNN", "'units': 2") ", " LAYER("Dense", "'units': 4"))

static const struct given givens[] = {
    {LAYER("SimpleRNN", "'units': 2"),
     NAMED_BY_PATH,
     0,
     {{"cells.0.kernel", 3, 2}, {"cells.0.recurrent_kernel", 2, 2}, {"cells.0.bias", 2, 0}}},
    {TWO_LAYERS,
     NAMED_BY_PATH,
     0,
     {{"layers.0.cells.0.kernel", 3, 2},
      {"layers.0.cells.0.recurrent_kernel", 2, 2},
      {"layers.0.cells.0.bias", 2, 0},
      {"layers.1.kernel", 2, 4},
      {"layers.1.bias", 4, 0}}},
    {TWO_LAYERS,
     NAMED_BY_GROUP,
     0,
     {{"layers/simple_rnn/cell/vars/0", 3, 2},
      {"layers/simple_rnn/cell/vars/1", 2, 2},
      {"layers/simple_rnn/cell/vars/2", 2, 0},
      {"layers/dense/vars/0", 2, 4},
      {"layers/dense/vars/1", 4, 0}}},
    {TWO_LAYERS, NAMED_BY_POSITION, 0, {{"a", 3, 2}, {"b", 2, 2}, {"c", 2, 0}, {"d", 2, 4}, {"e", 4, 0}}},
    /* a second layer of a class; a wrapper's group; no bias */
    {CHAIN(LAYER("TimeDistributed", "'layer': " LAYER("Dense", "'units': 2, 'use_bias': false")) ", " LAYER(
         "Dense", "'units': 1") ", " LAYER("Dense", "'units': 2")),
     NAMED_BY_GROUP,
     0,
     {{"layers/time_distributed/layer/vars/0", 3, 2},
      {"layers/dense/vars/0", 2, 1},
      {"layers/dense/vars/1", 1, 0},
      {"layers/dense_1/vars/0", 1, 2},
      {"layers/dense_1/vars/1", 2, 0}}},
    {CHAIN(LAYER("Bidirectional", "'layer': " LAYER("SimpleRNN", "'units': 1, 'use_bias': false"))),
     NAMED_BY_GROUP,
     0,
     {{"layers/bidirectional/forward_layer/cell/vars/0", 3, 1},
      {"layers/bidirectional/forward_layer/cell/vars/1", 1, 1},
      {"layers/bidirectional/backward_layer/cell/vars/0", 3, 1},
      {"layers/bidirectional/backward_layer/cell/vars/1", 1, 1}}},
    /* two cells of one class, one of them wrapped, in a stack that is nested */
    {CHAIN(LAYER("RNN", "'cell': [" LAYER("SimpleRNNCell", "'units': 1, 'use_bias': false") ", " LAYER(
                            "StackedRNNCells",
                            "'cells': [" LAYER(
                                "DeviceWrapper",
                                "'cell': " LAYER("SimpleRNNCell",
                                                 "'units': 2, 'use_bias': "
                                                 "false")) "]") ", " LAYER("SimpleRNNCell",
                                                                           "'units': 1, 'use_bias': false") "]")),
     NAMED_BY_GROUP,
     0,
     {{"layers/rnn/cell/cells/simple_rnn_cell/vars/0", 3, 1},
      {"layers/rnn/cell/cells/simple_rnn_cell/vars/1", 1, 1},
      {"layers/rnn/cell/cells/stacked_rnn_cells/cells/device_wrapper/wrapped_cell/vars/0", 1, 2},
      {"layers/rnn/cell/cells/stacked_rnn_cells/cells/device_wrapper/wrapped_cell/vars/1", 2, 2},
      {"layers/rnn/cell/cells/simple_rnn_cell_1/vars/0", 2, 1},
      {"layers/rnn/cell/cells/simple_rnn_cell_1/vars/1", 1, 1}}},
};
enum { N_GIVENS = sizeof givens / sizeof *givens };

static void make_set(const struct given *given, struct tensor_set *set)
{
    *set = (struct tensor_set){.n = 0};
    for (const struct wanted *t = given->tensors; t < given->tensors + MAX_TENSORS && t->name; t++)
        unit_tensor(set, t->name, t->rows, t->columns);
}

static bool build(const struct given *given, const struct tensor_set *set, struct digest *digest)
{
    struct keras_model model;
    json_t *json = unit_json(given->config);
    if (!keras_model_read(json, "m.json", "", NULL, &problems, &model))
        fail_msg("%s: %s", given->config, problems.errors[0]);
    *digest = (struct digest){.bytes = {0}};
    bool good = weights_build(&model, set, given->naming, 1, given->input_size, &vec_c, digest,
                              (struct place){"w", NULL}, &problems);
    assert_int_equal(good, !problems.all_errors);
    keras_model_close(&model);
    json_decref(json);
    return good;
}

static void refused(const struct given *given, const struct tensor_set *set, const char *line)
{
    struct digest digest;
    if (build(given, set, &digest))
        fail_msg("%s is built", given->config);
    unit_has_error(&problems, given->config, line);
    problems_close(&problems);
}

static void whole_sets_are_built(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GIVENS; i++) {
        struct tensor_set set;
        struct digest a, b;
        make_set(&givens[i], &set);
        if (!build(&givens[i], &set, &a))
            fail_msg("%s: %s", givens[i].config, problems.errors[0]);
        for (size_t k = 0; k < set.n; k++)
            assert_true(set.tensors[k].used);
        assert_true(build(&givens[i], &set, &b));
        assert_memory_equal(&a, &b, sizeof a);
        ((float *)set.memory)[0] += 1; /* the digest depends on the numbers */
        assert_true(build(&givens[i], &set, &b));
        assert_memory_not_equal(&a, &b, sizeof a);
        tensor_set_close(&set);
    }
}

static void missing_tensors_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GIVENS; i++) {
        struct tensor_set set;
        make_set(&givens[i], &set);
        for (size_t k = 0; k < set.n && givens[i].naming != NAMED_BY_POSITION; k++) {
            char line[200], *name = set.tensors[k].name;
            set.tensors[k].name = (char *)"elsewhere";
            snprintf(line, sizeof line, "w: tensor %s is missing, expected with shape [", name);
            refused(&givens[i], &set, line);
            set.tensors[k].used = false;
            refused(&givens[i], &set, "w: tensor \"elsewhere\" [");
            set.tensors[k].name = name;
        }
        if (givens[i].naming == NAMED_BY_POSITION) { /* without names, only the last tensor can be missing */
            set.n--;
            refused(&givens[i], &set, "tensor layers.1.bias is missing, expected with shape [4]");
            set.n++;
        }
        tensor_set_close(&set);
    }
}

static void misshapen_tensors_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GIVENS; i++) {
        struct tensor_set set;
        make_set(&givens[i], &set);
        for (size_t k = 1; k < set.n; k++) { /* without the first, whose shape gives the number of features */
            struct named_tensor *t = &set.tensors[k];
            char line[300], have[64], want[64];
            shape_text(t->shape, t->rank, want, sizeof want);
            t->shape[t->rank - 1]++;
            shape_text(t->shape, t->rank, have, sizeof have);
            snprintf(line, sizeof line, "w: tensor %s has shape %s, expected %s%s", t->name, have, want,
                     givens[i].naming == NAMED_BY_POSITION ? " of layers." : "");
            refused(&givens[i], &set, line);
            t->shape[t->rank - 1]--;
            t->rank = 3 - t->rank;
            refused(&givens[i], &set, " has shape [");
            t->rank = 3 - t->rank;
            t->type = TENSOR_I64;
            snprintf(line, sizeof line, "tensor %s has dtype F32, expected F32, F64, F16 or BF16", t->name);
            refused(&givens[i], &set, line); /* type_name is not changed here */
            t->type = TENSOR_F32;
        }
        tensor_set_close(&set);
    }
}

static void left_over_tensors_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GIVENS; i++) {
        struct tensor_set set;
        struct digest digest;
        make_set(&givens[i], &set);
        unit_tensor(&set, "layers/dropout/seed_generator/vars/0", 2, 0); /* Keras's random state, which is not used */
        assert_true(build(&givens[i], &set, &digest));
        unit_tensor(&set, "one_more", 5, 0);
        refused(&givens[i], &set, "w: tensor \"one_more\" [5] belongs to no layer of the configuration");
        tensor_set_close(&set);
    }
}

static void other_floats_are_converted(void **state)
{
    (void)state;
    struct tensor_set set;
    struct digest a, b;
    make_set(&givens[0], &set);
    for (size_t i = 0; i < 12; i++) /* 1 is exact in F16: 0x3c00 */
        ((float *)set.memory)[i] = 1;
    assert_true(build(&givens[0], &set, &a));
    uint16_t halves[12];
    for (size_t i = 0; i < 12; i++)
        halves[i] = 0x3c00;
    for (size_t k = 0, at = 0; k < set.n; at += set.tensors[k++].elements) {
        set.tensors[k].type = TENSOR_F16;
        set.tensors[k].data = (const unsigned char *)(halves + at);
    }
    assert_true(build(&givens[0], &set, &b));
    assert_memory_equal(&a, &b, sizeof a);
    tensor_set_close(&set);
}

static void features_must_agree(void **state)
{
    (void)state;
    struct given given = givens[1];
    struct tensor_set set;
    make_set(&given, &set);
    given.input_size = 4;
    refused(&given, &set, "the model has 3 input features, the entry's input_size is 4");
    tensor_set_close(&set);
    given.input_size = 3;
    struct digest digest;
    assert_true(build(&given, NULL, &digest)); /* from initializers */
    given = givens[0];
    refused(&given, NULL, "w: the number of input features is not known; set \"input_size\" in the model's entry");
    given.config = CHAIN(LAYER("Flatten", "") ", " LAYER("Dense", "'units': 2"));
    refused(&given, NULL, "the number of its features depends on the number of timesteps, which is not known");
    given.config = CHAIN(LAYER("RepeatVector", "'n': 2") ", " LAYER("Dense", "'units': 2"));
    refused(&given, NULL, "RepeatVector"); /* RepeatVector does not take a sequence; the layer after it is not
                                              checked */
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    static const struct given huge = {CHAIN(LAYER("Dense", "'units': 1048576") ", " LAYER("Dense", "'units': 1048576")),
                                      NAMED_BY_PATH,
                                      0,
                                      {{NULL, 0, 0}}};
    refused(&huge, NULL, "its weights would take more than 16 GiB (tensor layers.1.kernel [1048576, 1048576])");
}

static void the_metadata_tell_the_naming(void **state)
{
    (void)state;
    static const struct {
        const char *metadata;
        enum tensor_naming naming;
    } rows[] = {{"{'naming': 'group'}", NAMED_BY_GROUP},
                {"{'naming': 'position'}", NAMED_BY_POSITION},
                {"{'naming': 'names'}", NAMED_BY_PATH},
                {"{}", NAMED_BY_PATH}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tensor_set set = {.metadata = unit_json(rows[i].metadata)};
        assert_int_equal(tensor_naming_of(&set), rows[i].naming);
        tensor_set_close(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_sets_are_built),        cmocka_unit_test(missing_tensors_are_named),
        cmocka_unit_test(misshapen_tensors_are_named), cmocka_unit_test(left_over_tensors_are_named),
        cmocka_unit_test(other_floats_are_converted),  cmocka_unit_test(features_must_agree),
        cmocka_unit_test(sizes_are_bounded),           cmocka_unit_test(the_metadata_tell_the_naming)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
