/* The axes of MultiHeadAttention: which vectors attend to each other, and the offsets of the numbers of a mask. */
#include "core/layers/multi_head_shape.h"
#include "tests/unit/unit.h"

static struct layer_shape shape_of(size_t n, const size_t *axes)
{
    struct layer_shape shape;
    assert_true(layer_shape_of(n, axes, &shape));
    return shape;
}

#define SHAPE(...) shape_of(sizeof(size_t[]){__VA_ARGS__} / sizeof(size_t), (size_t[]){__VA_ARGS__})

static struct layer layer_of(struct multi_head_attention *own)
{
    return (struct layer){.class = &layer_multi_head_attention, .own = own, .name = "m", .class_name = "M"};
}

static void free_axes_make_groups(void **state)
{
    (void)state;
    struct multi_head_attention own = {.heads = 3, .axes = {1, {2}}};
    struct layer layer = layer_of(&own);
    struct mha_geometry g;
    struct layer_shape in[] = {SHAPE(2, 5, 4), SHAPE(2, 7, 4)};
    assert_int_equal(mha_geometry_of(&layer, in, 2, &g, NULL), RNN_OK);
    assert_int_equal(g.groups, 2);
    assert_int_equal(g.queries, 5);
    assert_int_equal(g.keys, 7);
    assert_false(g.timesteps);
    assert_int_equal(g.n_axes, 4);
    assert_memory_equal(g.axes, ((size_t[]){2, 3, 5, 7}), 4 * sizeof(size_t));
    own.axes.n = 0; /* all axes but the features */
    assert_int_equal(mha_geometry_of(&layer, in, 2, &g, NULL), RNN_OK);
    assert_int_equal(g.groups, 1);
    assert_int_equal(g.queries, 10);
    assert_int_equal(g.keys, 14);
    struct layer_shape plain[] = {SHAPE(6, 4), SHAPE(6, 4)};
    assert_int_equal(mha_geometry_of(&layer, plain, 2, &g, NULL), RNN_OK);
    assert_true(g.timesteps);
}

/* axes: those of the attention mask; at: offset of the number for group 1, head 1, query 2, key 3; SIZE_MAX:
   refused. */
static void masks_are_broadcast(void **state)
{
    (void)state;
    static const struct {
        size_t n, axes[4], at;
    } rows[] = {
        {2, {5, 7}, 2 * 7 + 3},
        {2, {1, 7}, 3},
        {2, {5, 1}, 2},
        {3, {2, 5, 7}, 35 + 2 * 7 + 3}, /* one mask for each group */
        {4, {2, 3, 5, 7}, (3 + 1) * 35 + 2 * 7 + 3},
        {4, {1, 3, 5, 7}, 35 + 2 * 7 + 3},
        {4, {2, 1, 1, 7}, 7 + 3},
        {2, {7, 5}, SIZE_MAX},
        {3, {4, 5, 7}, SIZE_MAX},
        {1, {7}, SIZE_MAX},
    };
    static const float numbers[210];
    struct multi_head_attention own = {.heads = 3, .axes = {1, {2}}};
    struct layer layer = layer_of(&own);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mha_geometry g;
        struct rnn_error err = {""};
        struct layer_shape in[] = {SHAPE(2, 5, 4), SHAPE(2, 7, 4), SHAPE(2, 7, 4), shape_of(rows[i].n, rows[i].axes)};
        enum rnn_status status = mha_geometry_of(&layer, in, 4, &g, &err);
        if (rows[i].at == SIZE_MAX) {
            assert_int_equal(status, RNN_ESHAPE);
            assert_non_null(strstr(err.text, "attention_mask"));
            continue;
        }
        assert_int_equal(status, RNN_OK);
        struct mha_mask mask = mha_mask_of(&g, 1, numbers);
        assert_int_equal((size_t)(mask.at - numbers) + mask.head + 2 * mask.query + 3 * mask.key, rows[i].at);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct {
        struct layer_shape query, value, key;
        struct multi_head_attention own;
        const char *text;
    } rows[] = {
        {SHAPE(4), SHAPE(5, 4), SHAPE(5, 4), {.heads = 1}, "input 0 is not a sequence"},
        {SHAPE(2, 5, 4),
         SHAPE(3, 5, 4),
         SHAPE(3, 5, 4),
         {.heads = 1, .axes = {1, {2}}},
         "query and value differ in an axis"},
        {SHAPE(5, 4), SHAPE(6, 4), SHAPE(7, 4), {.heads = 1}, "the value has 6 timesteps, the key 7"},
        {SHAPE(2, 5, 4), SHAPE(2, 5, 4), SHAPE(2, 5, 4), {.heads = 1, .axes = {1, {3}}}, "along attention_axes"},
        {SHAPE(2, 5, 4),
         SHAPE(2, 5, 4),
         SHAPE(2, 5, 4),
         {.heads = 1, .axes = {1, {2}}, .causal = true},
         "alone (axis 1)"},
        {SHAPE(2, 5, 4), SHAPE(2, 5, 4), SHAPE(2, 5, 4), {.heads = 1, .window = 2}, "alone (axis 1)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct multi_head_attention own = rows[i].own;
        struct layer layer = layer_of(&own);
        struct layer_shape in[] = {rows[i].query, rows[i].value, rows[i].key};
        struct mha_geometry g;
        struct rnn_error err = {""};
        assert_int_equal(mha_geometry_of(&layer, in, 3, &g, &err), RNN_ESHAPE);
        if (!strstr(err.text, rows[i].text))
            fail_msg("row %zu: %s", i, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(free_axes_make_groups), cmocka_unit_test(masks_are_broadcast),
                                       cmocka_unit_test(what_does_not_fit_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
