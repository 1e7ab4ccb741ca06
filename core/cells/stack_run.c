/* Runs a chunk of timesteps through the cells of a stack, by one thread or by a team. The members of a team share the
   units of every step. If the cells are too small for this, they run as a wavefront: each member runs other cells. */
#include "stack.h"

#include <string.h>

/* Rough rates of arithmetic and memory in a nanosecond. They decide whether a second thread is useful. */
enum { FLOPS_PER_NS = 100, BYTES_PER_NS = 100 };

/* Members that share the units of a step synchronize after each step. This takes two transfers between caches: 0.1 us,
   or 0.5 us if the threads run on different caches. Shorter steps (by the rates above, which are low) are not
   shared. */
enum { MIN_STEP_NS = 2000, MEET_NS = 400 };

/* Members that share the rows do not synchronize, but each member reads all weights. This is good if the weights fit
   its cache, and if it has enough rows to fill the register tiles. */
enum { MAX_SHARED_BYTES = 1 << 20, MIN_SHARED_ROWS = 6 };

/* An estimate of the time of a step of some rows on one thread: arithmetic, and reading the weights. */
static double step_ns(const struct rnn_cell *cell, size_t rows)
{
    double weights = (double)cell->units * (double)cell->gates * (double)cell->units;
    return 2 * weights * (double)rows / FLOPS_PER_NS +
           weights * (double)packed_weight_bytes(cell->format) / BYTES_PER_NS;
}

static double product_ns(const struct rnn_cell *cell, size_t row_steps)
{
    return 2 * (double)cell->input_size * (double)cell->gates * (double)cell->units * (double)row_steps / FLOPS_PER_NS;
}

/* The number of slices of a chunk in a wavefront: the last cell waits for the first n_cells - 1 slices. And the largest
   size of a cell's recurrent weights: the cell's member reads all of them in each step, so they should fit its
   cache. */
enum { SLICES_PER_CELL = 8, MAX_WAVE_BYTES = 1 << 18 };

/* The number of cells that can run as a wavefront: cells of equal width, so that rows keep their positions in the two
   buffers of outputs. */
static size_t wave_of(const struct rnn_stack *stack)
{
    for (size_t i = 0; i < stack->n_cells; i++)
        if (stack->cells[i].padded_units != stack->max_units ||
            packed_bytes(&stack->cells[i].recurrent) > MAX_WAVE_BYTES)
            return 1;
    return stack->n_cells < TEAM_MAX_SEATS ? stack->n_cells : TEAM_MAX_SEATS;
}

/* The most row-steps of a slice of a chunk of this size, if all its rows ran all its steps. */
static size_t slice_rows(size_t wave, size_t rows, size_t row_steps)
{
    return row_steps / (SLICES_PER_CELL * wave) + rows;
}

size_t rnn_stack_chunk(size_t rows)
{
    return rows < CHUNK_ROW_STEPS ? CHUNK_ROW_STEPS / rows : 1;
}

bool rnn_stack_scratch(const struct rnn_stack *stack, size_t rows, size_t row_steps, size_t *bytes)
{
    size_t floats = 0, size, wave = stack->n_cells ? wave_of(stack) : 1;
    const size_t sizes[][2] = {
        {row_steps, stack->max_columns},                     /* z */
        {row_steps, stack->max_units},                       /* outputs of this cell */
        {row_steps, stack->max_units},                       /* and of the one below */
        {wave * rows, stack->max_units},                     /* h before the chunk */
        {stack->max_behind * wave * rows, stack->max_units}, /* the states behind h */
        {wave * (rows + 2), stack->max_columns},             /* scratch of a step */
        {wave > 1 ? wave * slice_rows(wave, rows, row_steps) : 0, stack->max_columns},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!rnn_size_mul(sizes[i][0], sizes[i][1], &size) || !rnn_size_add(size, RNN_ALIGNMENT, &size) ||
            !rnn_size_add(floats, size, &floats))
            return false;
    return rnn_size_mul(floats, sizeof(float), bytes);
}

double rnn_stack_step_ns(const struct rnn_stack *stack, size_t rows)
{
    double ns = 0;
    for (size_t i = 0; i < stack->n_cells; i++)
        ns += product_ns(&stack->cells[i], rows) + step_ns(&stack->cells[i], rows);
    return ns;
}

bool rnn_stack_divides_by_rows(const struct rnn_stack *stack, size_t rows, size_t seats)
{
    for (size_t i = 0; i < stack->n_cells; i++)
        if (packed_bytes(&stack->cells[i].recurrent) > MAX_SHARED_BYTES)
            return false;
    return rows >= seats * MIN_SHARED_ROWS;
}

/* The run of a chunk through the stack: data that all members of a team share. */
struct run {
    const struct rnn_stack *stack;
    size_t rows; /* at the beginning of the chunk */
    size_t steps, row_steps;
    size_t wave;          /* cells that may follow each other */
    size_t slice_size;    /* floats of z that each of them has in slices */
    const size_t *active; /* [steps] rows */
    const float *x;
    float *const *states;
    float *z, *outputs[2], *h, *c, *scratch, *slices;
};

/* A member's share of 0..n-1. */
struct range {
    size_t first, end;
};

static struct range share(size_t n, const struct team_member *me)
{
    return (struct range){n * me->index / me->members, n * (me->index + 1) / me->members};
}

static struct vec_span share_of_panels(const struct packed *w, const struct team_member *me)
{
    struct range range = share(packed_panels(w), me);
    return (struct vec_span){.first = range.first, .end = range.end};
}

/* Floats from one of the states after h to the next, for all rows. */
static size_t c_stride(const struct run *run, const struct rnn_cell *cell)
{
    return run->rows * cell->padded_units;
}

/* Copy the states of some rows of one cell between the rows' own memory and the padded buffers of the run. */
static void load_states(const struct run *run, const struct rnn_cell *cell, size_t offset, struct range rows)
{
    size_t units = cell->units, stride = cell->padded_units;
    for (size_t r = rows.first; r < rows.end; r++)
        for (size_t s = 0; s < cell->class->states; s++) {
            float *state = (s ? run->c + (s - 1) * c_stride(run, cell) : run->h) + r * stride;
            memcpy(state, run->states[r] + offset + s * units, units * sizeof *state);
            memset(state + units, 0, (stride - units) * sizeof *state);
        }
}

/* A row's final state is that of the last step in which it is active. */
static void store_states(const struct run *run, const struct rnn_cell *cell, size_t offset, struct range rows,
                         const float *h)
{
    size_t units = cell->units, stride = cell->padded_units;
    for (size_t t = 0; t < run->steps; t++) {
        size_t next = t + 1 < run->steps ? run->active[t + 1] : 0;
        for (size_t r = next > rows.first ? next : rows.first; r < run->active[t] && r < rows.end; r++)
            for (size_t s = 0; s < cell->class->states; s++) {
                const float *state = (s ? run->c + (s - 1) * c_stride(run, cell) : h) + r * stride;
                memcpy(run->states[r] + offset + s * units, state, units * sizeof *state);
            }
        h += run->active[t] * stride;
    }
}

/* ResidualWrapper: output + input, after the states are stored. Source: keras/layers/rnn/cell_wrappers.py. */
static void add_inputs(const struct rnn_cell *cell, struct range row_steps, const float *x, size_t x_stride, float *out)
{
    for (size_t i = row_steps.first; i < row_steps.end; i++)
        for (size_t u = 0; u < cell->units; u++)
            out[i * cell->padded_units + u] += (float)cell->residuals * x[i * x_stride + u];
}

/* Run the steps of one cell, in each step the panels of span. Every other pass reads the weights backwards. */
static void run_steps(const struct run *run, const struct rnn_cell *cell, struct vec_span span, float *out,
                      struct team_member *meet)
{
    struct cell_step step = {.h_prev = run->h,
                             .z = run->z,
                             .h = out,
                             .c = run->c,
                             .c_stride = c_stride(run, cell),
                             .scratch = run->scratch,
                             .span = span};
    for (size_t t = 0; t < run->steps; t++) {
        step.rows = run->active[t];
        step.span.reverse = t % 2;
        cell->class->step(cell, &step);
        if (meet)
            team_meet(meet);
        step.h_prev = step.h;
        step.z += step.rows * packed_columns(&cell->kernel);
        step.h += step.rows * cell->padded_units;
    }
}

/* Compute some panels of the product of a cell's inputs, for all timesteps of the run. */
static void multiply_inputs(const struct run *run, const struct rnn_cell *cell, const float *x, size_t x_stride,
                            struct vec_span span, float *z)
{
    cell->vec->product(&cell->kernel, span, run->row_steps, x, x_stride, cell->start, 0, z);
}

static bool shares_steps(const struct rnn_cell *cell, size_t rows)
{
    return cell->splits && step_ns(cell, rows) >= MIN_STEP_NS;
}

/* Run the steps of a cell whose inputs have been multiplied. Each member computes its panels. The members synchronize
   before one reads data that another has written. */
static void run_recurrence(const struct run *run, size_t i, const float *x, size_t x_stride, float *out,
                           struct team_member *me)
{
    const struct rnn_cell *cell = &run->stack->cells[i];
    const size_t offset = run->stack->state_offsets[i];
    struct range rows = share(run->active[0], me);
    load_states(run, cell, offset, rows);
    team_meet(me);
    if (me->members > 1 && shares_steps(cell, run->active[0]))
        run_steps(run, cell, share_of_panels(&cell->recurrent, me), out, me);
    else if (me->index == 0)
        run_steps(run, cell, vec_all(&cell->recurrent), out, NULL);
    team_meet(me);
    store_states(run, cell, offset, rows, out);
    team_meet(me);
    if (cell->residuals) {
        add_inputs(cell, share(run->row_steps, me), x, x_stride, out);
        team_meet(me);
    }
}

/* Run cell after cell; all members work on the same cell. */
static void run_in_turn(const struct run *run, struct team_member *me)
{
    const float *x = run->x;
    size_t x_stride = run->stack->input_size;
    for (size_t i = 0; i < run->stack->n_cells; i++) {
        const struct rnn_cell *cell = &run->stack->cells[i];
        float *out = run->outputs[i % 2];
        multiply_inputs(run, cell, x, x_stride, share_of_panels(&cell->kernel, me), run->z);
        run_recurrence(run, i, x, x_stride, out, me);
        x = out;
        x_stride = cell->padded_units;
    }
}

/* ---- the wavefront ---- */

/* While a cell runs slice j, the next cell runs slice j - 1. A member runs all steps of every members-th cell. Between
   slices it keeps the states in the rows' own memory, and it writes pre-activations to memory that no other member
   writes. If every cell has its own member, the member of the cell below also multiplies the first `given` panels of
   the next cell's inputs. This balances the work, because the first cell often has fewer inputs than the others. */
struct wave {
    size_t slices;
    size_t given[TEAM_MAX_SEATS];
    double ns; /* estimated time */
};

static struct wave plan_wave(const struct run *run, size_t members)
{
    const struct rnn_stack *stack = run->stack;
    size_t n = stack->n_cells;
    struct wave wave = {.slices = run->steps < SLICES_PER_CELL * n ? run->steps : SLICES_PER_CELL * n};
    double load[TEAM_MAX_SEATS] = {0};
    for (size_t i = 0; i < n; i++)
        load[i % members] += product_ns(&stack->cells[i], run->row_steps) +
                             (double)run->steps * step_ns(&stack->cells[i], run->active[0]);
    for (size_t i = n - 1; i && n == members; i--) {
        const struct rnn_cell *cell = &stack->cells[i];
        double more = (load[i] - load[i - 1]) / 2, product = product_ns(cell, run->row_steps);
        more = more < 0 ? 0 : more > product ? product : more;
        wave.given[i] = (size_t)((double)packed_panels(&cell->kernel) * more / product);
        load[i] -= more;
        load[i - 1] += more;
    }
    for (size_t i = 0; i < members; i++)
        wave.ns = load[i] > wave.ns ? load[i] : wave.ns;
    wave.ns *= (double)(wave.slices + n - 1) / (double)wave.slices;
    return wave;
}

/* The estimated time of the cells one after the other. */
static double in_turn_ns(const struct run *run, size_t members)
{
    double ns = 0, steps = (double)run->steps;
    for (size_t i = 0; i < run->stack->n_cells; i++) {
        const struct rnn_cell *cell = &run->stack->cells[i];
        double step = step_ns(cell, run->active[0]);
        ns += product_ns(cell, run->row_steps) / (double)members;
        ns += steps * (shares_steps(cell, run->active[0]) ? step / (double)members + MEET_NS : step);
    }
    return ns;
}

/* The panels that the member of the cell below has multiplied. */
static void take_given(const struct run *run, const struct rnn_cell *cell, size_t panels, const float *given)
{
    size_t columns = packed_columns(&cell->kernel), taken = panels * cell->kernel.panel * cell->kernel.lanes;
    for (size_t i = 0; taken && i < run->row_steps; i++)
        memcpy(run->z + i * columns, given + i * columns, taken * sizeof *given);
}

static void run_wave(const struct run *run, const struct wave *wave, struct team_member *me)
{
    const struct rnn_stack *stack = run->stack;
    size_t n = stack->n_cells, rows = run->rows, stride = stack->max_units;
    struct run mine = *run;
    struct team_member alone = {.members = 1};
    mine.h += me->index * rows * stride;
    mine.c += me->index * stack->max_behind * rows * stride;
    mine.scratch += me->index * (rows + 2) * stack->max_columns;
    mine.z = run->slices + me->index * run->slice_size;
    for (size_t phase = 0; phase < wave->slices + n - 1; phase++) {
        for (size_t i = me->index; i < n && i <= phase; i += me->members) {
            const struct rnn_cell *cell = &stack->cells[i];
            size_t slice = phase - i, first = run->steps * slice / wave->slices, before = 0;
            if (slice >= wave->slices)
                continue;
            if (i)
                team_await(me, (i - 1) % me->members);
            for (size_t t = 0; t < first; t++)
                before += run->active[t];
            mine.active = run->active + first;
            mine.steps = run->steps * (slice + 1) / wave->slices - first;
            mine.row_steps = 0;
            for (size_t t = 0; t < mine.steps; t++)
                mine.row_steps += mine.active[t];
            float *given = run->z + before * stack->max_columns;
            size_t x_stride = i ? stride : stack->input_size;
            const float *x = (i ? run->outputs[(i - 1) % 2] : run->x) + before * x_stride;
            float *out = run->outputs[i % 2] + before * stride;
            struct vec_span left = {.first = wave->given[i], .end = packed_panels(&cell->kernel)};
            multiply_inputs(&mine, cell, x, x_stride, left, mine.z);
            take_given(&mine, cell, wave->given[i], given);
            run_recurrence(&mine, i, x, x_stride, out, &alone);
            if (i + 1 < n)
                multiply_inputs(&mine, cell + 1, out, stride, (struct vec_span){.end = wave->given[i + 1]}, given);
        }
        team_pass(me);
    }
}

static void run_cells(void *argument, struct team_member *me)
{
    const struct run *run = argument;
    if (me->members > 1 && me->members <= run->wave) {
        struct wave wave = plan_wave(run, me->members);
        if (wave.ns < in_turn_ns(run, me->members)) {
            run_wave(run, &wave, me);
            return;
        }
    }
    run_in_turn(run, me);
}

const float *rnn_stack_run(const struct rnn_stack *stack, size_t steps, const size_t *active, const float *x,
                           float *const *states, struct arena *arena, struct team *team, size_t *output_stride)
{
    size_t rows = active[0], last = stack->n_cells - 1;
    struct run run = {.stack = stack, .rows = rows, .steps = steps, .active = active, .x = x, .states = states};
    for (size_t t = 0; t < steps; t++)
        run.row_steps += active[t];
    run.z = arena_alloc(arena, run.row_steps * stack->max_columns, sizeof *run.z);
    for (size_t i = 0; i < 2; i++)
        run.outputs[i] = arena_alloc(arena, run.row_steps * stack->max_units, sizeof *run.z);
    size_t wave = wave_of(stack);
    run.h = arena_alloc(arena, wave * rows * stack->max_units, sizeof *run.h);
    run.c = arena_alloc(arena, stack->max_behind * wave * rows * stack->max_units, sizeof *run.c);
    run.scratch = arena_alloc(arena, wave * (rows + 2) * stack->max_columns, sizeof *run.scratch);
    run.wave = wave;
    run.slice_size = wave > 1 ? slice_rows(wave, rows, steps * rows) * stack->max_columns : 0;
    run.slices = arena_alloc(arena, wave * run.slice_size, sizeof *run.slices);
    unsigned long long saved = vec_denormals_off();
    team_run(team, (double)steps * rnn_stack_step_ns(stack, rows), run_cells, &run);
    vec_denormals_restore(saved);
    *output_stride = stack->cells[last].padded_units;
    return run.outputs[last % 2];
}
