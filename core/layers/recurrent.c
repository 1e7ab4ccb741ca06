/* The recurrent layers of a model: RNN, and Bidirectional, which runs two of them. Source:
   keras/layers/rnn/bidirectional.py; Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", 1997. */
#include "recurrent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The i-th tensor of one part. If i is past the last, *count becomes the number of tensors. */
static bool part_tensor(const struct recurrent *own, size_t part, size_t width, size_t i, struct layer_tensor *out,
                        size_t *count)
{
    static const char *const directions[] = {"forward", "backward"};
    const struct rnn_cell_spec *root = own->parts[part].stack.spec ? own->parts[part].stack.spec : own->cells[part];
    const char *direction = own->n_parts > 1 ? directions[part] : "";
    char path[96];
    const struct rnn_cell_spec *cell;
    *count = 0;
    for (size_t k = 0; (cell = rnn_cell_spec_leaf(root, k, path, sizeof path)); k++) {
        struct cell_tensor tensors[CELL_MAX_TENSORS];
        size_t n = cell_tensors(cell, width, tensors);
        if (i < *count + n) {
            const struct cell_tensor *t = &tensors[i - *count];
            *out = (struct layer_tensor){.rank = t->rank,
                                         .shape = {t->shape[0], t->shape[1]},
                                         .initializer = t->initializer,
                                         .cell = cell,
                                         .root = root,
                                         .direction = direction,
                                         .of_cell = *t,
                                         .part = part,
                                         .leaf = k};
            snprintf(out->name, sizeof out->name, "%s%s%s.%s", direction, *direction ? "." : "", path, t->name);
            return true;
        }
        *count += n;
        width = cell->units;
    }
    return false;
}

static bool recurrent_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out)
{
    const struct recurrent *own = layer->own;
    for (size_t part = 0; part < own->n_parts; part++) {
        size_t count;
        if (part_tensor(own, part, in->width, i, out, &count))
            return true;
        i -= count;
    }
    return false;
}

static size_t part_width(const struct recurrent *own, size_t part)
{
    const struct rnn_cell_spec *cell, *last = NULL;
    if (own->parts[part].stack.n_cells)
        return own->parts[part].stack.output_size;
    for (size_t k = 0; (cell = rnn_cell_spec_leaf(own->cells[part], k, NULL, 0)); k++)
        last = cell;
    return last ? last->units : 0;
}

static bool side_by_side(const struct recurrent *own)
{
    return own->merge == MERGE_CONCAT || own->merge == MERGE_NONE;
}

static enum rnn_status recurrent_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                       struct layer_shape *out, struct rnn_error *err)
{
    const struct recurrent *own = layer->own;
    size_t width = part_width(own, 0), second = own->n_parts > 1 ? part_width(own, 1) : 0;
    if (!in->sequence)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" takes a sequence, but its input is one vector (set return_sequences "
                        "in the recurrent layer before it?)",
                        layer->name);
    if (in->rank > 1 || in->scalar)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" takes a sequence of vectors [timesteps, features]", layer->name);
    if (second && !side_by_side(own) && second != width)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\": its directions have outputs of %zu and %zu numbers, which cannot be merged",
                        layer->name, width, second);
    *out = (struct layer_shape){.sequence = sequences,
                                .timesteps = sequences ? in->timesteps : 1,
                                .width = side_by_side(own) ? width + second : width};
    return RNN_OK;
}

static enum rnn_status recurrent_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                       struct rnn_error *err)
{
    struct recurrent *own = layer->own;
    const float *(*slots)[CELL_MAX_TENSORS] = calloc(STACK_MAX_CELLS * LAYER_MAX_PARTS, sizeof *slots);
    struct layer_tensor t;
    enum rnn_status status = RNN_OK;
    if (!slots)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    for (size_t i = 0; recurrent_tensor(layer, in, i, &t); i++)
        slots[t.part * STACK_MAX_CELLS + t.leaf][t.of_cell.slot] = tensors[i];
    for (size_t part = 0; part < own->n_parts && !status; part++) {
        const float *const(*mine)[CELL_MAX_TENSORS] =
            (const float *const(*)[CELL_MAX_TENSORS])(slots + part * STACK_MAX_CELLS);
        status = rnn_stack_init(&own->parts[part].stack, own->cells[part], layer->input_size, mine, layer->vec,
                                layer->format, err);
        own->cells[part] = NULL; /* ownership has moved, also on failure */
    }
    free(slots);
    return status;
}

static bool recurrent_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct recurrent *own = layer->own;
    size_t most = 0;
    for (size_t part = 0; part < own->n_parts; part++) {
        if (!rnn_recurrence_scratch(&own->parts[part], rows, bytes))
            return false;
        most = *bytes > most ? *bytes : most;
    }
    *bytes = most;
    return true;
}

/* The backward outputs, before they are merged. */
static bool recurrent_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    const struct recurrent *own = layer->own;
    return own->n_parts < 2 || side_by_side(own) ||
           rnn_size_mul(in->timesteps, own->parts[1].stack.output_size, &aux->row);
}

static bool run_part(const struct rnn_recurrence *part, struct layer_run *run)
{
    const struct rnn_recurrence_means means = {run->order, run->arena, run->team, run->stop, run->stop_context};
    return rnn_recurrence_run(part, run->rows, run->n, &means);
}

/* The inputs of all rows. */
static void take_inputs(struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        const struct layer_view *in = &run->in[0][b];
        struct rnn_row *row = &run->rows[b];
        row->inputs = in->at;
        row->input_stride = in->stride;
        row->timesteps = in->timesteps;
        row->mask = in->mask;
        row->mask_stride = in->mask_stride;
        row->sequences = run->sequences;
    }
}

/* Both directions write zeros at masked steps of sequences. The backward direction writes from its last timestep to its
   first, so that its outputs are in the order of time. */
static bool run_direction(const struct recurrent *own, size_t part, struct layer_run *run, float *out, size_t stride)
{
    struct rnn_recurrence direction = own->parts[part];
    size_t states_at = part ? own->parts[0].stack.state_elems : 0;
    direction.zero_output_for_mask = run->sequences;
    for (size_t b = 0; b < run->n; b++) {
        struct rnn_row *row = &run->rows[b];
        size_t steps = run->sequences ? row->timesteps : 1;
        bool flip = part == 1;
        row->outputs = flip ? out + (steps - 1) * stride : out;
        row->output_stride = flip ? -(ptrdiff_t)stride : (ptrdiff_t)stride;
        row->states += states_at;
        out += steps * stride;
    }
    bool whole = run_part(&direction, run);
    for (size_t b = 0; b < run->n; b++)
        run->rows[b].states -= states_at;
    return whole;
}

static void merge(enum merge_mode mode, size_t n, float *x, const float *y)
{
    for (size_t i = 0; i < n; i++)
        switch (mode) {
        case MERGE_MUL:
            x[i] *= y[i];
            break;
        case MERGE_AVE:
            x[i] = (x[i] + y[i]) / 2;
            break;
        default:
            x[i] += y[i];
            break;
        }
}

static bool run_both(const struct recurrent *own, struct layer_run *run)
{
    size_t width = own->parts[0].stack.output_size, second = own->parts[1].stack.output_size;
    float *out = run->out[0].at;
    if (side_by_side(own))
        return run_direction(own, 0, run, out, width + second) &&
               run_direction(own, 1, run, out + width, width + second);
    if (!run_direction(own, 0, run, out, width) || !run_direction(own, 1, run, run->aux, width))
        return false;
    merge(own->merge, (run->sequences ? run->vectors : run->n) * width, out, run->aux);
    return true;
}

static bool recurrent_run(const struct layer *layer, struct layer_run *run)
{
    const struct recurrent *own = layer->own;
    take_inputs(run);
    if (own->n_parts > 1)
        return run_both(own, run);
    for (size_t b = 0; b < run->n; b++) {
        run->rows[b].outputs = run->out[b].at;
        run->rows[b].output_stride = (ptrdiff_t)run->out[b].stride;
    }
    return run_part(&own->parts[0], run);
}

static enum layer_time recurrent_time(const struct layer *layer)
{
    const struct recurrent *own = layer->own;
    return own->n_parts == 1 ? TIME_CARRIED : TIME_WHOLE;
}

static bool recurrent_states(const struct layer *layer, size_t p, struct layer_states *out)
{
    const struct recurrent *own = layer->own;
    const struct rnn_cell_spec *cell;
    if (p >= own->n_parts)
        return false;
    const struct rnn_stack *stack = &own->parts[p].stack;
    *out = (struct layer_states){.spec = stack->spec ? stack->spec : own->cells[p],
                                 .leaf_offsets = stack->state_offsets,
                                 .recurrence = &own->parts[p]};
    for (size_t k = 0; (cell = rnn_cell_spec_leaf(out->spec, k, NULL, 0)); k++)
        out->elems += cell->units * cell->class->states;
    return true;
}

static void recurrent_close(void *own)
{
    struct recurrent *recurrent = own;
    for (size_t p = 0; p < LAYER_MAX_PARTS; p++) {
        rnn_cell_spec_free(recurrent->cells[p]);
        rnn_stack_close(&recurrent->parts[p].stack);
    }
}

static size_t recurrent_bytes(const struct layer *layer)
{
    const struct recurrent *own = layer->own;
    size_t bytes = 0;
    for (size_t p = 0; p < own->n_parts; p++)
        bytes += rnn_stack_bytes(&own->parts[p].stack);
    return bytes;
}

static const struct rnn_recurrence *recurrent_part(const struct layer *layer, size_t p)
{
    const struct recurrent *own = layer->own;
    return p < own->n_parts ? &own->parts[p] : NULL;
}

static bool recurrent_two_outputs(const struct layer *layer)
{
    const struct recurrent *own = layer->own;
    return own->n_parts > 1 && own->merge == MERGE_NONE;
}

void recurrent_widths(const struct layer *layer, size_t *first, size_t *second)
{
    const struct recurrent *own = layer->own;
    *first = part_width(own, 0);
    *second = own->n_parts > 1 ? part_width(own, 1) : 0;
}

struct recurrent *recurrent_of(const struct layer *layer)
{
    return layer->own;
}

const struct layer_class layer_recurrent = {
    .size = sizeof(struct recurrent),
    .inputs_anywhere = true,
    .close = recurrent_close,
    .bytes = recurrent_bytes,
    .part = recurrent_part,
    .two_outputs = recurrent_two_outputs,
    .masks = MASKS_PASS, /* if it returns a sequence */
    .tensor = recurrent_tensor,
    .shape = recurrent_shape,
    .build = recurrent_build,
    .scratch = recurrent_scratch,
    .aux = recurrent_aux,
    .time = recurrent_time,
    .states = recurrent_states,
    .run = recurrent_run,
};
