/* Pooling, and layers that pad, crop, repeat or permute, against values computed by hand. */
#include "core/layers/pool.h"
#include "core/layers/resize.h"
#include "tests/unit/unit.h"

/* Runs an opened layer on one row, expects the output want [n], and closes the layer. */
static void run(struct layer *layer, const struct layer_shape *shape, float *x, size_t n, const float *want)
{
    struct layer_shape to;
    struct rnn_error err = {.text = ""};
    float out[32];
    assert_int_equal(layer_build(layer, shape, NULL, &vec_c, &err), RNN_OK);
    assert_int_equal(layer_output(layer, shape, true, &to, &err), RNN_OK);
    assert_int_equal(to.timesteps * to.width, n);
    struct layer_view in = {.at = x, .timesteps = shape->timesteps, .stride = shape->width};
    struct layer_view view = {.at = out, .timesteps = to.timesteps, .stride = to.width};
    const struct layer_view *ins[] = {&in};
    struct layer_run pass = {.in = ins,
                             .in_shapes = shape,
                             .out = &view,
                             .out_shape = &to,
                             .n_inputs = 1,
                             .n = 1,
                             .vectors = shape->timesteps * shape->width / layer_features(shape)};
    assert_true(layer->class->run(layer, &pass));
    assert_memory_equal(out, want, n * sizeof *out);
    layer_close(layer);
}

static const struct layer_shape sequence = {.sequence = true, .timesteps = 3, .width = 2};
static float x[] = {1, 6, 3, 4, 5, 2};

static void padding_does_not_count_in_a_pool(void **state)
{
    (void)state;
    static const float most[] = {3, 6, 5, 2}, mean[] = {2, 5, 5, 2}, valid[] = {3, 6};
    for (size_t i = 0; i < 3; i++) {
        struct layer layer = {.class = &layer_identity};
        assert_int_equal(layer_open(&layer, &layer_pool, NULL), RNN_OK);
        struct pool_window *own = layer.own;
        own->window.size[1] = own->window.strides[1] = 2;
        own->window.padding = i < 2 ? WINDOW_SAME : WINDOW_VALID;
        own->average = i == 1;
        run(&layer, &sequence, x, i < 2 ? 4 : 2, i == 0 ? most : i == 1 ? mean : valid);
    }
}

static void timesteps_are_added_cut_and_repeated(void **state)
{
    (void)state;
    static const float padded[] = {0, 0, 1, 6, 3, 4, 5, 2, 0, 0, 0, 0}, cut[] = {3, 4};
    static const float twice[] = {1, 6, 1, 6, 3, 4, 3, 4, 5, 2, 5, 2};
    const struct {
        const struct layer_class *class;
        size_t before, after, n;
        const float *want;
    } rows[] = {{&layer_pad, 1, 2, 12, padded}, {&layer_crop, 1, 1, 2, cut}, {&layer_repeat_steps, 0, 0, 12, twice}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer = {.class = &layer_identity};
        assert_int_equal(layer_open(&layer, rows[i].class, NULL), RNN_OK);
        struct resize *own = layer.own;
        own->rank = own->times[0] = 1;
        own->times[1] = 2;
        own->before[1] = rows[i].before;
        own->after[1] = rows[i].after;
        run(&layer, &sequence, x, rows[i].n, rows[i].want);
    }
}

static void a_permute_moves_axes(void **state)
{
    (void)state;
    static const float turned[] = {1, 3, 5, 6, 4, 2};
    struct layer layer = {.class = &layer_identity};
    assert_int_equal(layer_open(&layer, &layer_permute, NULL), RNN_OK);
    struct permute *own = layer.own;
    own->n = 2;
    own->order[0] = 1;
    own->order[1] = 0;
    run(&layer, &sequence, x, 6, turned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(padding_does_not_count_in_a_pool),
                                       cmocka_unit_test(timesteps_are_added_cut_and_repeated),
                                       cmocka_unit_test(a_permute_moves_axes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
