#include "tests/unit/unit.h"

enum { ROWS = 7, FEATURES = 3, OUT = 2, MAX_STEPS = 9 };

/* Sets all weights of a layer to 0.5 sin(n), where n counts over all tensors. */
static void build(struct graph *model, struct layer *layer, const struct vec_ops *vec)
{
    static unsigned n;
    struct layer_shape in;
    struct layer_tensor tensor;
    float *tensors[32];
    size_t count = 0;
    assert_int_equal(graph_node_shapes(model, (size_t)(layer - model->layers), NULL, &in, NULL, NULL), RNN_OK);
    for (; layer_tensor_at(layer, &in, count, &tensor); count++) {
        size_t elements;
        assert_true(layer_tensor_elements(&tensor, &elements));
        tensors[count] = malloc(elements * sizeof(float));
        for (size_t i = 0; i < elements; i++)
            tensors[count][i] = (float)(0.5 * sin(++n));
    }
    assert_int_equal(layer_build(layer, &in, (const float *const *)tensors, vec, NULL), RNN_OK);
    for (size_t i = 0; i < count; i++)
        free(tensors[i]);
}

static struct layer *add(struct graph *model, const struct layer_class *class)
{
    struct layer *layer = graph_add(model);
    assert_int_equal(layer_open(layer, class, NULL), RNN_OK);
    snprintf(layer->name, sizeof layer->name, "layer_%zu", model->n_layers);
    return layer;
}

static void add_dense(struct graph *model)
{
    struct dense *dense = add(model, &layer_dense)->own;
    dense->units = OUT;
}

/* LSTM, LayerNormalization, Dropout, Bidirectional(GRU) summed, Dense. */
static void make_chain(struct graph *model, const struct vec_ops *vec, bool sequences)
{
    const struct layer_shape input = {.sequence = true, .width = FEATURES};
    *model = (struct graph){.n_layers = 0};
    graph_input(model, "inputs", &input);
    struct recurrent *lstm = recurrent_of(add(model, &layer_recurrent));
    lstm->cells[0] = unit_leaf(&cell_lstm, 5);
    lstm->n_parts = 1;
    lstm->parts[0].return_sequences = true;
    add(model, &layer_layer_norm);
    add(model, &layer_identity);
    struct recurrent *both = recurrent_of(add(model, &layer_recurrent));
    for (size_t p = 0; p < 2; p++) {
        both->cells[p] = unit_leaf(&cell_gru, 4);
        both->parts[p].return_sequences = sequences;
        both->parts[p].go_backwards = p;
    }
    both->n_parts = 2;
    both->merge = MERGE_SUM;
    add_dense(model);
    for (size_t i = 0; i < model->n_layers; i++)
        build(model, &model->layers[i], vec);
    assert_int_equal(graph_finish(model, NULL), RNN_OK);
}

/* Run n rows. */
static void run(const struct graph *model, struct rnn_row *rows, size_t n)
{
    struct graph_work work = {.floats = 0};
    struct arena arena = {0};
    struct rnn_row *order[ROWS];
    size_t scratch;
    assert_true(graph_scratch(model, n, &scratch) && arena_reserve(&arena, scratch));
    assert_true(graph_work(model, rows, NULL, n, model->return_sequences, &arena, &work));
    float *floats = rnn_alloc(work.floats, sizeof *floats);
    struct layer_view *views = rnn_alloc(work.views, sizeof *views);
    unsigned char *masks = rnn_alloc(work.masks, 1);
    const struct graph_run settings = {.sequences = model->return_sequences,
                                       .work = work,
                                       .floats = floats,
                                       .masks = masks,
                                       .views = views,
                                       .order = order,
                                       .arena = &arena};
    assert_true(graph_run(model, &settings, rows, n));
    free(floats);
    free(masks);
    free(views);
    arena_close(&arena);
}

static void rows_have_the_same_bits_alone_and_together(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (int sequences = 0; sequences < 2; sequences++) {
            struct graph model;
            float inputs[ROWS * MAX_STEPS * FEATURES], together[ROWS * MAX_STEPS * OUT] = {0}, alone[MAX_STEPS * OUT];
            float states[2][ROWS * 32] = {{0}};
            struct rnn_row rows[ROWS];
            unsigned seed = 3;
            make_chain(&model, vec, sequences);
            assert_int_equal(model.state_elems, 2 * 5 + 4 + 4);
            assert_int_equal(model.n_parts, 3);
            for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
                inputs[i] = unit_random(&seed);
            size_t in = 0, out = 0, starts[ROWS];
            for (size_t b = 0; b < ROWS; b++) {
                size_t steps = 1 + b * 3 % MAX_STEPS;
                rows[b] = (struct rnn_row){.inputs = inputs + in,
                                           .timesteps = steps,
                                           .input_stride = FEATURES,
                                           .states = states[0] + b * 32,
                                           .outputs = together + out,
                                           .output_stride = OUT};
                starts[b] = out;
                in += steps * FEATURES;
                out += (sequences ? steps : 1) * OUT;
            }
            struct rnn_row copies[ROWS];
            memcpy(copies, rows, sizeof rows);
            run(&model, rows, ROWS);
            for (size_t b = 0; b < ROWS; b++) {
                size_t floats = (sequences ? copies[b].timesteps : 1) * OUT;
                copies[b].states = states[1] + b * 32;
                copies[b].outputs = alone;
                run(&model, &copies[b], 1);
                assert_memory_equal(alone, together + starts[b], floats * sizeof *alone);
            }
            assert_memory_equal(states[0], states[1], sizeof states[0]);
            graph_close(&model);
        }
}

static void layers_that_do_not_fit_are_named(void **state)
{
    (void)state;
    struct rnn_error error = {{0}};
    const struct layer_shape four = {.sequence = true, .timesteps = 4, .width = FEATURES},
                             any = {.sequence = true, .width = FEATURES};
    struct graph model = {.n_layers = 0};
    graph_input(&model, "inputs", &four);
    struct layer_shape out;
    struct reshape *flat = add(&model, &layer_reshape)->own;
    flat->rank = 1;
    flat->target[0] = SIZE_MAX;
    add_dense(&model);
    for (size_t i = 0; i < 2; i++)
        build(&model, &model.layers[i], &vec_c);
    assert_int_equal(graph_finish(&model, &error), RNN_OK);
    assert_int_equal(graph_output_shapes(&model, &(size_t){4}, false, NULL, &out, &error), RNN_OK);
    assert_int_equal(out.width, OUT);
    assert_false(out.sequence);
    assert_int_equal(graph_output_shapes(&model, &(size_t){5}, false, NULL, &out, &error), RNN_ESHAPE);
    assert_string_equal(error.text, "layer \"layer_2\": expected 12 features, found 15");
    graph_close(&model);
    graph_input(&model, "inputs", &any);
    struct layer *repeat = add(&model, &layer_repeat_vector);
    ((struct repeat_vector *)repeat->own)->n = 3;
    repeat->built = true;
    model.layers[0].input_size = FEATURES;
    error.text[0] = 0;
    assert_int_equal(graph_finish(&model, &error), RNN_ESHAPE);
    assert_non_null(strstr(error.text, "takes one vector, not a sequence"));
    graph_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_have_the_same_bits_alone_and_together),
                                       cmocka_unit_test(layers_that_do_not_fit_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
