/* Helpers of the unit tests. */
#include "unit.h"

#include <unistd.h>

void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.9g, expected %.9g within %g", got, want, tolerance);
}

float unit_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

struct rnn_cell_spec *unit_leaf(const struct cell_class *class, size_t units)
{
    struct rnn_cell_spec *spec = rnn_cell_spec_new(class);
    spec->units = units;
    return spec;
}

struct rnn_cell_spec *unit_stack(struct rnn_cell_spec **cells, size_t n)
{
    struct rnn_cell_spec *spec = rnn_cell_spec_new(NULL);
    spec->cells = calloc(n, sizeof *spec->cells);
    for (spec->n_cells = 0; spec->n_cells < n; spec->n_cells++)
        spec->cells[spec->n_cells] = cells[spec->n_cells];
    return spec;
}

void unit_build(struct rnn_stack *stack, struct rnn_cell_spec *spec, size_t features, const struct vec_ops *vec,
                double scale)
{
    enum { MAX = 16 };
    float *weights[MAX][CELL_MAX_TENSORS] = {{NULL}};
    const float *borrowed[MAX][CELL_MAX_TENSORS] = {{NULL}};
    const struct rnn_cell_spec *leaf;
    size_t width = features, index = 1;
    for (size_t i = 0; (leaf = rnn_cell_spec_leaf(spec, i, NULL, 0)); i++) {
        struct cell_tensor tensors[CELL_MAX_TENSORS];
        size_t n = cell_tensors(leaf, width, tensors);
        for (size_t t = 0; t < n; t++) {
            size_t elements = tensors[t].shape[0] * (tensors[t].rank == 2 ? tensors[t].shape[1] : 1);
            weights[i][t] = malloc(elements * sizeof(float));
            for (size_t k = 0; k < elements; k++)
                weights[i][t][k] = (float)(scale * sin((double)index++));
            borrowed[i][t] = weights[i][t];
        }
        width = leaf->units;
    }
    struct rnn_error error = {{0}};
    const float *const(*given)[CELL_MAX_TENSORS] = (const float *const(*)[CELL_MAX_TENSORS])borrowed;
    if (rnn_stack_init(stack, spec, features, given, vec, PACKED_FLOAT32, &error))
        fail_msg("%s", error.text);
    for (size_t i = 0; i < MAX; i++)
        for (size_t t = 0; t < CELL_MAX_TENSORS; t++)
            free(weights[i][t]);
}

void unit_run(const struct rnn_recurrence *layer, const float *inputs, const unsigned char *mask, size_t timesteps,
              float *states, float *outputs)
{
    struct arena arena = {0};
    size_t bytes;
    struct rnn_row row = {.inputs = inputs,
                          .timesteps = timesteps,
                          .input_stride = layer->stack.input_size,
                          .mask = mask,
                          .mask_stride = 1,
                          .states = states,
                          .outputs = outputs,
                          .output_stride = layer->stack.output_size,
                          .sequences = true},
                   *order[1];
    assert_true(rnn_recurrence_scratch(layer, 1, &bytes));
    assert_true(arena_reserve(&arena, bytes));
    rnn_recurrence_begin(layer, &row, 1, order);
    while (rnn_recurrence_advance(layer, order, 1, &arena, NULL))
        ;
    arena_close(&arena);
}

const char *unit_file(const char *suffix, const void *bytes, size_t n)
{
    static char path[128];
    static int count;
    snprintf(path, sizeof path, "/tmp/cellserve-unit-%d-%d%s", (int)getpid(), count++, suffix);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
    return path;
}

void unit_tensor(struct tensor_set *set, const char *name, size_t rows, size_t columns)
{
    enum { FLOATS = 1 << 14 };
    if (!set->memory) {
        float *numbers = set->memory = malloc(FLOATS * sizeof *numbers);
        for (size_t i = 0; i < FLOATS; i++)
            numbers[i] = (float)i / 16;
    }
    const struct named_tensor *last = set->n ? &set->tensors[set->n - 1] : NULL;
    const unsigned char *data = last ? last->data + last->elements * sizeof(float) : set->memory;
    set->tensors = realloc(set->tensors, (set->n + 1) * sizeof *set->tensors);
    struct named_tensor *tensor = &set->tensors[set->n++];
    *tensor = (struct named_tensor){.name = strdup(name),
                                    .type_name = strdup("F32"),
                                    .rank = columns ? 2 : 1,
                                    .shape = {rows, columns},
                                    .elements = columns ? rows * columns : rows,
                                    .data = data};
    assert_true(data + tensor->elements * sizeof(float) <= (const unsigned char *)set->memory + FLOATS * sizeof(float));
}

json_t *unit_json(const char *text)
{
    json_error_t error;
    char *quoted = strdup(text);
    assert_non_null(quoted);
    for (char *at = quoted; (at = strchr(at, '\'')); at++)
        *at = '"';
    json_t *json = json_loads(quoted, JSON_DECODE_ANY, &error);
    if (!json)
        fail_msg("%s: %s", quoted, error.text);
    free(quoted);
    return json;
}

static void has_line(char **lines, size_t n, const char *what, const char *line)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(lines[i], line))
            return;
    fail_msg("%s: no \"%s\" but \"%s\"", what, line, n ? lines[0] : "");
}

void unit_has_error(const struct problems *problems, const char *what, const char *line)
{
    has_line(problems->errors, problems->n_errors, what, line);
}

void unit_has_warning(const struct problems *problems, const char *what, const char *line)
{
    has_line(problems->warnings, problems->n_warnings, what, line);
}
