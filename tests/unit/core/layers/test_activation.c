#include "tests/unit/unit.h"

static float apply(const char *name, float x)
{
    activation_apply(&activation_find(name)->activation, 1, &x);
    return x;
}

static void values_are_those_of_keras(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double x, y;
    } rows[] = {
        {"linear", -3, -3},
        {"tanh", 0.5, 0.46211715726000975},
        {"sigmoid", -2, 0.11920292202211755},
        {"hard_sigmoid", 1, 0.7},
        {"hard_sigmoid", -2.5, 0},
        {"hard_sigmoid_v3", 1, 0.66666667},
        {"hard_sigmoid_v3", -2.5, 0.083333333},
        {"relu", -1, 0},
        {"relu", 2, 2},
        {"relu6", 7, 6},
        {"relu6", -1, 0},
        {"leaky_relu", -1, -0.2},
        {"elu", -1, -0.63212055882855767},
        {"selu", 1, 1.0507009873554805},
        {"selu", -1, -1.1113307378125625},
        {"softplus", 1, 1.3132616875182228},
        {"softplus", -100, 3.7200759760208356e-44},
        {"softsign", -3, -0.75},
        {"swish", 1, 0.7310585786300049},
        {"silu", 1, 0.7310585786300049},
        {"gelu", 1, 0.8413447460685429},
        {"gelu_tanh", 1, 0.8411919906082768},
        {"exponential", 1, 2.718281828459045},
        {"mish", 1, 0.8650983882673103},
        {"celu", -1, -0.63212055882855767},
        {"hard_tanh", -3, -1},
        {"hard_tanh", 0.5, 0.5},
        {"hard_silu", 1, 0.66666667},
        {"log_sigmoid", -1, -1.3132616875182228},
        {"tanh_shrink", 1, 0.23840584404423515},
        {"soft_shrink", 0.75, 0.25},
        {"soft_shrink", -0.25, 0},
        {"hard_shrink", 0.4, 0},
        {"hard_shrink", -0.6, -0.6},
        {"squareplus", 1, 1.618033988749895},
        {"sparse_plus", 0, 0.25},
        {"sparse_plus", 2, 2},
        {"sparse_sigmoid", 0.5, 0.75},
        {"threshold", -1, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double y = (double)apply(rows[i].name, (float)rows[i].x);
        if (!(fabs(y - rows[i].y) <= 6e-8 * fabs(rows[i].y) + 0x1p-150))
            fail_msg("%s(%g) = %.9g, expected %.9g", rows[i].name, rows[i].x, y, rows[i].y);
    }
}

static void special_values_are_those_of_keras(void **state)
{
    (void)state;
    const float inf = INFINITY;
    for (const struct activation_name *row = activation_names; row->name; row++)
        if (!isnan(apply(row->name, NAN)))
            fail_msg("%s(NaN) is no NaN", row->name);
    assert_true(apply("tanh", -inf) == -1 && apply("tanh", inf) == 1);
    assert_true(apply("sigmoid", -inf) == 0 && apply("sigmoid", inf) == 1);
    assert_true(apply("hard_sigmoid", -inf) == 0 && apply("hard_sigmoid", inf) == 1);
    assert_true(apply("softplus", inf) == inf && apply("softplus", -inf) == 0);
    assert_true(apply("elu", -inf) == -1);
    assert_near((double)apply("selu", -inf), -1.7580993408473766, 2e-7);
    assert_true(isnan(apply("softsign", inf)) && isnan(apply("softsign", -inf)));
    assert_true(isnan(apply("gelu", -inf)) && isnan(apply("swish", -inf)) && isnan(apply("mish", -inf)));
    assert_true(signbit(apply("tanh", -0.0f)));
}

static void parameters_act(void **state)
{
    (void)state;
    struct activation relu = {.kind = ACT_RELU, .alpha = 0.1f, .max_value = 3, .threshold = 1};
    float x[] = {-1, 0.5f, 1, 2, 5};
    activation_apply(&relu, 5, x);
    assert_near((double)x[0], -0.2, 1e-7); /* 0.1 (x - 1) */
    assert_near((double)x[1], -0.05, 1e-8);
    assert_near((double)x[2], 0, 0);
    assert_near((double)x[3], 2, 0);
    assert_near((double)x[4], 3, 0);
}

static void softmax_runs_over_the_gate(void **state)
{
    (void)state;
    float x[] = {1, 2, 3}, huge[] = {1000, 1001, -1000}, logs[] = {1, 2, 3}, sparse[] = {0.1f, 0.05f, -0.2f, 0.1f},
          bad[] = {1, NAN};
    activation_apply(&(struct activation){.kind = ACT_SOFTMAX}, 3, x);
    assert_near((double)x[0], 0.09003057317038046, 1e-8);
    assert_near((double)x[2], 0.6652409557748219, 6e-8);
    activation_apply(&(struct activation){.kind = ACT_SOFTMAX}, 3, huge);
    assert_near((double)huge[1], 0.7310585786300049, 6e-8);
    assert_true(huge[2] == 0);
    activation_apply(&(struct activation){.kind = ACT_LOG_SOFTMAX}, 3, logs);
    assert_near((double)logs[0], -2.4076059644443806, 3e-7);
    activation_apply(&(struct activation){.kind = ACT_SPARSEMAX}, 4, sparse);
    assert_near((double)sparse[0], 0.2, 1e-7);
    assert_near((double)sparse[1], 0.15, 1e-7);
    assert_true(sparse[2] == 0);
    assert_near((double)sparse[3], 0.2, 1e-7);
    activation_apply(&(struct activation){.kind = ACT_SOFTMAX}, 2, bad);
    assert_true(isnan(bad[0]) && isnan(bad[1]));
}

static void names_are_found(void **state)
{
    (void)state;
    assert_null(activation_find("tanhh"));
    assert_string_equal(activation_name_of(ACT_SWISH), "swish");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_keras),
        cmocka_unit_test(special_values_are_those_of_keras),
        cmocka_unit_test(parameters_act),
        cmocka_unit_test(softmax_runs_over_the_gate),
        cmocka_unit_test(names_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
