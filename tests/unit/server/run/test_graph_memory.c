/* The memory of a run is known from the shapes of its inputs, and a run allocates nothing. A counter of allocations
   checks several graphs. Linked with --wrap, which replaces calls from our objects. */
#include "config/files/archive.h"
#include "config/model.h"
#include "server/run/trial.h"
#include "tests/unit/unit.h"

#include <malloc.h>

static size_t calls, live, most;

static void *count(void *block)
{
    calls++;
    live += block ? malloc_usable_size(block) : 0;
    most = live > most ? live : most;
    return block;
}

static void discount(void *block)
{
    size_t bytes = block ? malloc_usable_size(block) : 0;
    live -= bytes < live ? bytes : live;
}

#define WRAP(name, parameters, arguments)                                                                              \
    void *__real_##name parameters;                                                                                    \
    void *__wrap_##name parameters;                                                                                    \
    void *__wrap_##name parameters                                                                                     \
    {                                                                                                                  \
        return count(__real_##name arguments);                                                                         \
    }
WRAP(malloc, (size_t size), (size))
WRAP(calloc, (size_t n, size_t size), (n, size))
WRAP(aligned_alloc, (size_t alignment, size_t size), (alignment, size))

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    size_t bytes = block ? malloc_usable_size(block) : 0;
    void *grown = __real_realloc(block, size);
    if (grown)
        live -= bytes < live ? bytes : live;
    return count(grown);
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    discount(block);
    __real_free(block);
}

/* The count of numbers in all inputs or outputs of a row. */
static size_t numbers(const struct graph_port *ports, size_t n, const struct layer_shape *shapes, size_t timesteps)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        const struct layer_shape *shape = shapes ? &shapes[i] : &ports[i].shape;
        sum += (shape->sequence && !shape->timesteps ? timesteps : shape->timesteps) * shape->width;
    }
    return sum;
}

/* The memory of a request with this many rows, computed from its shapes. */
static size_t plan(const struct graph *graph, size_t rows, size_t timesteps, size_t work_bytes)
{
    struct layer_shape out[GRAPH_MAX_INPUTS];
    size_t steps[GRAPH_MAX_INPUTS], scratch;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        const struct layer_shape *shape = &graph->inputs[i].shape;
        steps[i] = !shape->sequence ? 1 : shape->timesteps ? shape->timesteps : timesteps;
    }
    assert_int_equal(graph_output_shapes(graph, steps, graph->return_sequences, NULL, out, NULL), RNN_OK);
    assert_true(graph_scratch(graph, rows, &scratch));
    size_t row = numbers(graph->inputs, graph->n_inputs, NULL, timesteps) + graph->state_elems +
                 numbers(NULL, graph->n_outputs, out, timesteps);
    return work_bytes + scratch +
           rows * (row * sizeof(float) + 2 * sizeof(struct rnn_row) + sizeof(struct rnn_row *) +
                   graph->n_inputs * sizeof(struct layer_view) + graph->n_outputs * sizeof(float *));
}

static void check(const char *name, size_t rows, size_t timesteps)
{
    char path[256];
    struct problems problems = {.n_errors = 0};
    struct model model;
    struct trial trial;
    snprintf(path, sizeof path, SOURCE_DIR "/tests/fixtures/graph/%s.keras", name);
    struct model_entry entry = {.path = path, .name = "m"};
    if (!model_load(&entry, NULL, vec_available(0), &problems, &model))
        fail_msg("%s", problems.errors ? problems.errors[0] : "out of memory");
    calls = live = most = 0;
    assert_true(trial_open(&trial, &model.graph, rows, timesteps, rows));
    size_t opened = calls, work = graph_work_bytes(&trial.run.work);
    trial_run(&trial, NULL);
    assert_true(trial_is_finite(&trial));
    if (calls != opened)
        fail_msg("%s: the run allocates %zu times", name, calls - opened);
    size_t known = plan(&model.graph, rows, trial.timesteps, work);
    if (most > known + 65536 || most < work)
        fail_msg("%s, %zu rows of %zu timesteps: %zu bytes at most, planned %zu", name, rows, timesteps, most, known);
    trial_close(&trial);
    assert_int_equal(live, 0);
    model_close(&model);
    problems_close(&problems);
}

static void a_run_takes_what_is_planned(void **state)
{
    (void)state;
    static const char *const names[] = {
        "keras2_conv1d_lstm",
        "keras2_frames_cnn_lstm",
        "keras2_nested_two_outputs",
        "keras2_seq2seq_lstm_training",
        "keras2_masks_concatenate_time",
        "keras3_conv1d_wide",
        "keras3_nested_functional_deep",
        "keras3_transformer_block",
        "keras3_two_inputs_two_outputs",
    };
    archive_set_program(BINARY);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        check(names[i], 1, 4);
        check(names[i], 33, 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_run_takes_what_is_planned)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
