/* Concatenate, arithmetic of several inputs, and Dot. Source: keras/layers/merging/. */
#include "merge.h"

#include <math.h>
#include <string.h>

/* The position of a Keras axis (the batch is 0) among n axes after the batch. Returns false if it is not one of
   them. */
static bool place_of_axis(long axis, size_t n, size_t *place)
{
    long at = axis < 0 ? (long)n + axis : axis - 1;
    *place = (size_t)at;
    return at >= 0 && at < (long)n;
}

/* The axes of row b of input k. */
static size_t row_axes(const struct layer_run *run, size_t k, size_t b, size_t axes[LAYER_MAX_AXES])
{
    struct layer_shape shape = run->in_shapes[k];
    shape.timesteps = run->in[k][b].timesteps;
    return layer_axes(&shape, axes);
}

static size_t product(const size_t *axes, size_t first, size_t end)
{
    size_t n = 1;
    for (size_t i = first; i < end; i++)
        n *= axes[i];
    return n;
}

/* Whether two numbers of axis i may be the same: timesteps that are not known yet (0) may become any number. */
static bool may_agree(size_t i, size_t a, size_t b)
{
    return a == b || (i == 0 && (!a || !b));
}

/* ---- masks ---- */

static bool counts(const struct layer_view *view, size_t t)
{
    return !view->mask || view->mask[t * view->mask_stride];
}

/* Combine the masks of all inputs that have the row's timesteps. any: see struct merge. */
static void join_masks(const struct layer_run *run, size_t b, bool any, bool missing_counts, unsigned char *made)
{
    struct layer_view *out = &run->out[b];
    bool has = false, lacks = false;
    for (size_t k = 0; k < run->n_inputs; k++) {
        has |= run->in[k][b].mask != NULL;
        lacks |= run->in[k][b].mask == NULL;
    }
    out->mask = NULL;
    if (!has || !run->out_shape->sequence || (any && lacks && !missing_counts))
        return;
    for (size_t t = 0; t < out->timesteps; t++) {
        bool all = true, one = false;
        for (size_t k = 0; k < run->n_inputs; k++) {
            const struct layer_view *in = &run->in[k][b];
            bool here = in->timesteps != out->timesteps || counts(in, t);
            all &= here;
            one |= here;
        }
        made[t] = any ? one : all;
    }
    out->mask = made;
    out->mask_stride = 1;
}

/* ---- Concatenate ---- */

static enum rnn_status concatenate_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                         struct layer_shape *out, struct rnn_error *err)
{
    const struct concatenate *own = layer->own;
    size_t axes[LAYER_MAX_AXES], other[LAYER_MAX_AXES], n = layer_axes(in, axes), at;
    (void)sequences;
    if (!place_of_axis(own->axis, n, &at))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): its inputs have no axis %ld", layer->name,
                        layer->class_name, own->axis);
    for (size_t k = 1; k < layer->n_inputs; k++) {
        bool same = layer_axes(&in[k], other) == n;
        for (size_t i = 0; same && i < n; i++)
            same = i == at || may_agree(i, axes[i], other[i]);
        if (!same)
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" (%s): input %zu differs from input 0 in an axis other than axis %ld",
                            layer->name, layer->class_name, k, own->axis);
        if (at && !axes[0])
            axes[0] = other[0];
        bool open = !axes[at] || !other[at]; /* timesteps that are not known yet */
        if (!rnn_size_add(axes[at], other[at], &axes[at]))
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
        axes[at] = open ? 0 : axes[at];
    }
    if (!layer_shape_of(n, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

/* Along time, the masks are concatenated, too. */
static void chain_masks(const struct layer_run *run, size_t b, unsigned char *made)
{
    bool has = false;
    for (size_t k = 0; k < run->n_inputs; k++)
        has |= run->in[k][b].mask != NULL;
    run->out[b].mask = has ? made : NULL;
    run->out[b].mask_stride = 1;
    for (size_t k = 0; has && k < run->n_inputs; k++)
        for (size_t t = 0; t < run->in[k][b].timesteps; t++)
            *made++ = counts(&run->in[k][b], t);
}

static bool concatenate_run(const struct layer *layer, struct layer_run *run)
{
    const struct concatenate *own = layer->own;
    unsigned char *made = run->masks;
    size_t axes[LAYER_MAX_AXES], at;
    for (size_t b = 0; b < run->n; b++) {
        size_t n = row_axes(run, 0, b, axes);
        place_of_axis(own->axis, n, &at);
        size_t outer = product(axes, 0, at), whole = run->out[b].timesteps * run->out_shape->width / outer;
        float *out = run->out[b].at;
        for (size_t k = 0; k < run->n_inputs; k++) {
            row_axes(run, k, b, axes);
            size_t inner = product(axes, at, n);
            const float *x = run->in[k][b].at;
            for (size_t i = 0; i < outer; i++)
                memcpy(out + i * whole, x + i * inner, inner * sizeof *out);
            out += inner;
        }
        if (layer->masks == MASKS_STOP) /* an operation, not a Keras layer */
            continue;
        if (at == 0 && run->out_shape->sequence)
            chain_masks(run, b, made);
        else
            join_masks(run, b, own->any, true, made);
        made += run->out[b].timesteps;
    }
    return true;
}

static enum layer_time concatenate_time(const struct layer *layer)
{
    const struct concatenate *own = layer->own;
    return own->axis < 0 ? TIME_POINTWISE : TIME_WHOLE;
}

static void concatenate_defaults(void *own)
{
    ((struct concatenate *)own)->axis = -1;
}

/* ---- Add and the like ---- */

/* Insert axes of size 1 in front, so that there are n axes. */
static void align(size_t *axes, size_t have, size_t n)
{
    memmove(axes + (n - have), axes, have * sizeof *axes);
    for (size_t i = 0; i < n - have; i++)
        axes[i] = 1;
}

static enum rnn_status merge_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[LAYER_MAX_AXES] = {0}, other[LAYER_MAX_AXES], n = layer_axes(in, axes);
    (void)sequences;
    for (size_t k = 1; k < layer->n_inputs; k++) {
        size_t have = layer_axes(&in[k], other), most = have > n ? have : n;
        align(axes, n, most);
        align(other, have, most);
        n = most;
        for (size_t i = 0; i < n; i++) {
            if (!may_agree(i, axes[i], other[i]) && axes[i] != 1 && other[i] != 1)
                return rnn_fail(err, RNN_ESHAPE,
                                "layer \"%s\" (%s): input %zu does not fit the inputs before it: axis "
                                "%zu has %zu and %zu numbers",
                                layer->name, layer->class_name, k, i + 1, axes[i], other[i]);
            if (axes[i] == 1 || (!axes[i] && other[i] != 1))
                axes[i] = other[i];
        }
    }
    if (!layer_shape_of(n, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static float combine(enum merge_operation operation, float a, float b)
{
    switch (operation) {
    case MERGE_ADD:
    case MERGE_AVERAGE:
        return a + b;
    case MERGE_SUBTRACT:
        return a - b;
    case MERGE_MULTIPLY:
        return a * b;
    case MERGE_DIVIDE:
        return a / b;
    case MERGE_MAXIMUM:
        return a != a || a > b ? a : b;
    default:
        return a != a || a < b ? a : b;
    }
}

/* Combine one more input with the output so far, element by element. */
static void combine_input(enum merge_operation operation, size_t n, const size_t *axes, const size_t *input,
                          const float *x, float *out, bool first)
{
    size_t index[LAYER_MAX_AXES] = {0}, strides[LAYER_MAX_AXES] = {0}, total = product(axes, 0, n), stride = 1, at = 0;
    for (size_t i = n; i-- > 0;) {
        strides[i] = input[i] == 1 ? 0 : stride;
        stride *= input[i];
    }
    for (size_t e = 0; e < total; e++) {
        out[e] = first ? x[at] : combine(operation, out[e], x[at]);
        for (size_t i = n; i-- > 0;) {
            at += strides[i];
            if (++index[i] < axes[i])
                break;
            at -= strides[i] * axes[i];
            index[i] = 0;
        }
    }
}

/* The fast path for inputs that have the shape of the output. */
static void combine_same(enum merge_operation operation, size_t n, const float *x, float *out, bool first)
{
    if (first)
        memcpy(out, x, n * sizeof *out);
    for (size_t i = 0; !first && i < n; i++)
        out[i] = combine(operation, out[i], x[i]);
}

/* Whether values depend on masks: those of Multiply, Maximum and Minimum in Keras 3. */
static bool leaves_masked_out(const struct merge *own, const struct layer_run *run, size_t b, size_t total)
{
    size_t axes[LAYER_MAX_AXES];
    bool same = true, has = false;
    for (size_t k = 0; k < run->n_inputs; k++) {
        same &= product(axes, 0, row_axes(run, k, b, axes)) == total;
        has |= run->in[k][b].mask != NULL;
    }
    return own->any && same && has && run->out_shape->sequence &&
           (own->operation == MERGE_MULTIPLY || own->operation == MERGE_MAXIMUM || own->operation == MERGE_MINIMUM);
}

/* Compute a timestep only from the inputs that are not masked at this timestep. If all are masked, a product is 0, and
   the result of the other operations is the first input. Source: keras/src/layers/merging/multiply.py and
   base_merge.py. */
static void combine_counting(const struct merge *own, const struct layer_run *run, size_t b, size_t t, size_t width)
{
    float *out = run->out[b].at + t * width;
    bool empty = true;
    for (size_t k = 0; k < run->n_inputs; k++) {
        const float *x = run->in[k][b].at + t * width;
        bool here = counts(&run->in[k][b], t);
        if (!k || here)
            combine_same(own->operation, width, x, out, !k || empty);
        empty &= !here;
    }
    if (empty && own->operation == MERGE_MULTIPLY)
        memset(out, 0, width * sizeof *out);
}

static bool merge_run(const struct layer *layer, struct layer_run *run)
{
    const struct merge *own = layer->own;
    unsigned char *made = run->masks;
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = *run->out_shape;
        size_t axes[LAYER_MAX_AXES], input[LAYER_MAX_AXES];
        shape.timesteps = run->out[b].timesteps;
        size_t n = layer_axes(&shape, axes), total = product(axes, 0, n);
        bool counting = leaves_masked_out(own, run, b, total);
        for (size_t t = 0; counting && t < shape.timesteps; t++)
            combine_counting(own, run, b, t, total / shape.timesteps);
        for (size_t k = 0; !counting && k < run->n_inputs; k++) {
            size_t have = row_axes(run, k, b, input), size = product(input, 0, have);
            align(input, have, n);
            if (size == total)
                combine_same(own->operation, total, run->in[k][b].at, run->out[b].at, !k);
            else
                combine_input(own->operation, n, axes, input, run->in[k][b].at, run->out[b].at, !k);
        }
        for (size_t i = 0; own->operation == MERGE_AVERAGE && i < total; i++)
            run->out[b].at[i] /= (float)run->n_inputs;
        join_masks(run, b, own->any, false, made);
        made += run->out[b].timesteps;
    }
    return true;
}

/* ---- Dot ---- */

/* x [outer, size, inner] around the axis that is summed over. */
struct around {
    size_t outer, size, inner;
};

static bool around_axis(const size_t *axes, size_t n, long axis, struct around *out)
{
    size_t at;
    if (!place_of_axis(axis, n, &at))
        return false;
    *out = (struct around){product(axes, 0, at), axes[at], product(axes, at + 1, n)};
    return true;
}

static enum rnn_status dot_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                 struct layer_shape *out, struct rnn_error *err)
{
    const struct dot *own = layer->own;
    size_t axes[2][LAYER_MAX_AXES], all[2 * LAYER_MAX_AXES], n[2], at[2], count = 0;
    (void)sequences;
    for (size_t k = 0; k < 2; k++) {
        n[k] = layer->n_inputs == 2 ? layer_axes(&in[k], axes[k]) : 0;
        if (!place_of_axis(own->axes[k], n[k], &at[k]))
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (Dot): expected two inputs with an axis %ld", layer->name,
                            own->axes[k]);
        for (size_t i = 0; i < n[k]; i++)
            if (i != at[k])
                all[count++] = axes[k][i];
    }
    if (axes[0][at[0]] != axes[1][at[1]])
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (Dot): the summed axes have %zu and %zu elements, expected the same number",
                        layer->name, axes[0][at[0]], axes[1][at[1]]);
    if (!count)
        all[count++] = 1; /* two vectors give one number */
    if (!layer_shape_of(count, all, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

/* 1 / |x|, or 1 without `normalize`. Source: tf.math.l2_normalize, epsilon 1e-12. */
static double scale(bool normalize, const float *x, const struct around *around)
{
    double sum = 0;
    for (size_t k = 0; normalize && k < around->size; k++)
        sum += (double)x[k * around->inner] * (double)x[k * around->inner];
    return normalize ? 1 / sqrt(fmax(sum, 1e-12)) : 1;
}

static void dot_row(const struct dot *own, const float *x, const struct around *ax, const float *y,
                    const struct around *ay, float *out)
{
    for (size_t i = 0; i < ax->outer * ax->inner; i++) {
        const float *row = x + i / ax->inner * ax->size * ax->inner + i % ax->inner;
        double left = scale(own->normalize, row, ax);
        for (size_t j = 0; j < ay->outer * ay->inner; j++) {
            const float *column = y + j / ay->inner * ay->size * ay->inner + j % ay->inner;
            double sum = 0;
            for (size_t k = 0; k < ax->size; k++)
                sum += (double)row[k * ax->inner] * (double)column[k * ay->inner];
            *out++ = (float)(sum * left * scale(own->normalize, column, ay));
        }
    }
}

static bool dot_run(const struct layer *layer, struct layer_run *run)
{
    const struct dot *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        size_t axes[LAYER_MAX_AXES];
        struct around ax, ay;
        around_axis(axes, row_axes(run, 0, b, axes), own->axes[0], &ax);
        around_axis(axes, row_axes(run, 1, b, axes), own->axes[1], &ay);
        dot_row(own, run->in[0][b].at, &ax, run->in[1][b].at, &ay, run->out[b].at);
    }
    return true;
}

const struct layer_class layer_concatenate = {
    .size = sizeof(struct concatenate),
    .defaults = concatenate_defaults,
    .masks = MASKS_MADE,
    .most_inputs = MERGE_MAX_INPUTS,
    .time = concatenate_time,
    .shape = concatenate_shape,
    .run = concatenate_run,
};

const struct layer_class layer_merge = {
    .size = sizeof(struct merge),
    .masks = MASKS_MADE,
    .pointwise = true,
    .most_inputs = MERGE_MAX_INPUTS,
    .shape = merge_shape,
    .run = merge_run,
};

const struct layer_class layer_dot = {
    .size = sizeof(struct dot),
    .masks = MASKS_STOP,
    .most_inputs = 2,
    .shape = dot_shape,
    .run = dot_run,
};
