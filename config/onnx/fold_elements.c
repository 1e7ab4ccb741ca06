/* Parts of constants: Slice, Gather, Concat, Transpose, Split, Tile. */
#include "fold.h"

#include <stdlib.h>
#include <string.h>

/* The part of each axis: element j of axis i is element start[i] + j * step[i]. */
struct part {
    size_t count[ONNX_MAX_RANK];
    int64_t start[ONNX_MAX_RANK], step[ONNX_MAX_RANK];
};

/* The indices of the elements of a part, in an order of axes. Returns NULL if out of memory. */
static size_t *part_index(const size_t *sizes, size_t rank, const struct part *part, const size_t *order, size_t *n)
{
    size_t strides[ONNX_MAX_RANK] = {0}, at[ONNX_MAX_RANK] = {0}, stride = 1;
    *n = 1;
    for (size_t i = rank; i-- > 0; stride *= sizes[i])
        strides[i] = stride;
    for (size_t i = 0; i < rank; i++)
        *n *= part->count[i];
    size_t *index = calloc(*n + 1, sizeof *index);
    for (size_t e = 0; index && e < *n; e++) {
        for (size_t i = 0; i < rank; i++)
            index[e] += (size_t)(part->start[i] + (int64_t)at[i] * part->step[i]) * strides[i];
        for (size_t k = rank; k-- > 0;) {
            if (++at[order[k]] < part->count[order[k]])
                break;
            at[order[k]] = 0;
        }
    }
    return index;
}

static void whole_part(const size_t *sizes, size_t rank, struct part *part, size_t *order)
{
    for (size_t i = 0; i < rank; i++) {
        part->count[i] = sizes[i];
        part->start[i] = 0;
        part->step[i] = 1;
        order[i] = i;
    }
}

static bool give_part(struct onnx_call *call, const struct onnx_constant *in, const struct part *part,
                      const size_t *order)
{
    size_t sizes[ONNX_MAX_RANK], n;
    struct onnx_number to[ONNX_MAX_RANK];
    onnx_plain_sizes(in, sizes);
    for (size_t i = 0; i < in->rank; i++)
        to[i] = onnx_whole((int64_t)part->count[order[i]]);
    size_t *index = part_index(sizes, in->rank, part, order, &n);
    return onnx_give_elements(call, in, in->rank, to, index, n);
}

static bool plain(const struct onnx_call *call, const struct onnx_constant *in, size_t sizes[ONNX_MAX_RANK])
{
    return onnx_plain_sizes(in, sizes) ||
           onnx_refuse(call, "takes a part of a constant whose size is that of the model's input");
}

static bool fold_transpose(struct onnx_call *call)
{
    struct onnx_constant in = call->in[0].constant;
    size_t sizes[ONNX_MAX_RANK], order[ONNX_MAX_RANK], n;
    long perm[ONNX_MAX_RANK];
    struct part part;
    if (!onnx_ints(call, "perm", SIZE_MAX, ONNX_MAX_RANK, perm, &n) || (n && n != in.rank))
        return false;
    for (size_t i = 0; i < in.rank; i++) {
        size_t at = in.rank - 1 - i;
        if (n && !onnx_axis(call, perm[i], in.rank, &at))
            return false;
        perm[i] = (long)at;
    }
    if (in.uniform) {
        for (size_t i = 0; i < in.rank; i++)
            in.sizes[i] = call->in[0].constant.sizes[perm[i]];
        return onnx_give_constant(call, &in);
    }
    if (!plain(call, &in, sizes))
        return false;
    whole_part(sizes, in.rank, &part, order);
    for (size_t i = 0; i < in.rank; i++)
        order[i] = (size_t)perm[i];
    return give_part(call, &in, &part, order);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Read starts, ends, axes and steps: attributes before opset 10, operands since then. */
static bool slice_lists(const struct onnx_call *call, size_t rank, long lists[4][ONNX_MAX_RANK], size_t *n)
{
    static const char *const keys[4] = {"starts", "ends", "axes", "steps"};
    size_t counts[4];
    for (size_t i = 0; i < 4; i++)
        if (!onnx_ints(call, keys[i], call->c->opset < 10 ? SIZE_MAX : i + 1, ONNX_MAX_RANK, lists[i], &counts[i]))
            return false;
    for (size_t i = 0; i < counts[0]; i++) {
        lists[2][i] = counts[2] ? lists[2][i] : (long)i;
        lists[3][i] = counts[3] ? lists[3][i] : 1;
    }
    *n = counts[0];
    return (counts[1] == *n && (!counts[2] || counts[2] == *n) && (!counts[3] || counts[3] == *n) && *n <= rank) ||
           onnx_refuse(call, "has starts, ends, axes and steps that do not fit each other");
}

static bool fold_slice(struct onnx_call *call)
{
    struct onnx_constant in = call->in[0].constant;
    long lists[4][ONNX_MAX_RANK];
    size_t sizes[ONNX_MAX_RANK], order[ONNX_MAX_RANK], n, at;
    struct part part;
    bool known = onnx_plain_sizes(&in, sizes);
    if (!slice_lists(call, in.rank, lists, &n))
        return false;
    whole_part(sizes, in.rank, &part, order);
    for (size_t i = 0; i < n; i++) {
        if (!onnx_axis(call, lists[2][i], in.rank, &at))
            return false;
        if (!onnx_known(in.sizes[at]) || !lists[3][i])
            return onnx_refuse(call, "takes a part of an open size");
        int64_t size = (int64_t)sizes[at], step = lists[3][i], back = step < 0;
        int64_t start = lists[0][i] < 0 ? lists[0][i] + size : lists[0][i];
        int64_t end = lists[1][i] < -size - 1 ? -1 : lists[1][i] < 0 ? lists[1][i] + size : lists[1][i];
        start = clamp(start, 0, back ? size - 1 : size);
        end = clamp(end, back ? -1 : 0, size);
        int64_t distance = back ? start - end : end - start, by = back ? -step : step;
        part.count[at] = distance > 0 ? (size_t)((distance - 1) / by + 1) : 0;
        part.start[at] = start;
        part.step[at] = step;
        in.sizes[at] = onnx_whole((int64_t)part.count[at]);
    }
    if (in.uniform)
        return onnx_give_constant(call, &in);
    return (known || plain(call, &in, sizes)) && give_part(call, &call->in[0].constant, &part, order);
}

/* Take elements along one axis, by indices. */
static bool fold_gather(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant, *at = onnx_constant(call, 1);
    size_t sizes[ONNX_MAX_RANK], axis, n, inner = 1, outer = 1, e = 0;
    struct onnx_number to[ONNX_MAX_RANK];
    if (!at || !at->whole || !onnx_elements(at, &n) || !onnx_axis(call, onnx_int(call, "axis", 0), in->rank, &axis))
        return onnx_refuse(call, "is served with indices that are known when the model is loaded");
    if (!plain(call, in, sizes) || in->rank + at->rank - 1 > ONNX_MAX_RANK)
        return false;
    for (size_t i = 0; i < in->rank; i++) {
        outer *= i < axis ? sizes[i] : 1;
        inner *= i > axis ? sizes[i] : 1;
    }
    for (size_t i = 0; i < axis; i++)
        to[i] = in->sizes[i];
    for (size_t i = 0; i < at->rank; i++)
        to[axis + i] = at->sizes[i];
    for (size_t i = axis + 1; i < in->rank; i++)
        to[at->rank + i - 1] = in->sizes[i];
    if (n && outer * inner > ONNX_MAX_FOLDED / n)
        return onnx_refuse(call, "gives a constant that is too large");
    size_t *index = calloc(outer * inner * n + 1, sizeof *index);
    for (size_t o = 0; index && o < outer; o++)
        for (size_t k = 0; k < n; k++) {
            struct onnx_number which = at->wholes[at->uniform ? 0 : k];
            int64_t place = which.value < 0 ? which.value + (int64_t)sizes[axis] : which.value;
            if (!onnx_known(which) || place < 0 || place >= (int64_t)sizes[axis]) {
                free(index);
                return onnx_refuse(call, "has an index that its input does not have");
            }
            for (size_t i = 0; i < inner; i++)
                index[e++] = (o * sizes[axis] + (size_t)place) * inner + i;
        }
    return onnx_give_elements(call, in, in->rank + at->rank - 1, to, index, e);
}

/* If all elements are equal, only the sizes change. */
static bool concat_uniform(struct onnx_call *call, size_t axis, bool *done)
{
    struct onnx_constant out = call->in[0].constant;
    *done = out.uniform || out.n == 1;
    for (size_t i = 1; i < call->n_in; i++) {
        const struct onnx_constant *in = &call->in[i].constant;
        *done = *done && onnx_given(call, i) && in->uniform && in->whole == out.whole && !out.whole &&
                in->floats[0] == out.floats[0];
    }
    for (size_t i = 1; *done && i < call->n_in; i++)
        if (!onnx_add(out.sizes[axis], call->in[i].constant.sizes[axis], &out.sizes[axis]))
            return onnx_refuse(call, "joins constants of open sizes");
    out.uniform = true;
    return !*done || onnx_give_constant(call, &out);
}

static bool fold_concat(struct onnx_call *call)
{
    struct onnx_constant out;
    struct onnx_number to[ONNX_MAX_RANK], *wholes;
    float *floats;
    size_t axis, sizes[ONNX_MAX_RANK], inner = 1, outer = 1, at = 0;
    bool done = false;
    const struct onnx_constant *first = &call->in[0].constant;
    if (!onnx_axis(call, onnx_int(call, "axis", 0), first->rank, &axis) || !concat_uniform(call, axis, &done) || done)
        return done;
    memcpy(to, first->sizes, sizeof to);
    to[axis] = onnx_whole(0);
    for (size_t k = 0; k < call->n_in; k++) {
        const struct onnx_constant *in = &call->in[k].constant;
        bool fits =
            onnx_given(call, k) && in->rank == first->rank && in->whole == first->whole && plain(call, in, sizes);
        for (size_t i = 0; fits && i < in->rank; i++)
            fits = i == axis || onnx_same(in->sizes[i], first->sizes[i]);
        if (!fits || !onnx_add(to[axis], in->sizes[axis], &to[axis]))
            return onnx_refuse(call, "joins constants that do not fit each other");
    }
    if (!onnx_new_constant(call, first->whole, first->rank, to, &out, &floats, &wholes))
        return false;
    for (size_t i = 0; i < first->rank; i++) {
        outer *= i < axis ? (size_t)to[i].value : 1;
        inner *= i > axis ? (size_t)to[i].value : 1;
    }
    for (size_t o = 0; o < outer; o++)
        for (size_t k = 0; k < call->n_in; k++) {
            const struct onnx_constant *in = &call->in[k].constant;
            size_t n = (size_t)in->sizes[axis].value * inner;
            for (size_t i = 0; i < n; i++, at++)
                if (out.whole)
                    wholes[at] = in->wholes[in->uniform ? 0 : o * n + i];
                else
                    floats[at] = in->floats[in->uniform ? 0 : o * n + i];
        }
    return onnx_give_constant(call, &out);
}

/* Each part becomes an output. */
static bool fold_split(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant;
    size_t sizes[ONNX_MAX_RANK], order[ONNX_MAX_RANK], axis, n, first = 0;
    long parts[ONNX_MAX_OPERANDS];
    struct part part;
    if (!onnx_axis(call, onnx_int(call, "axis", 0), in->rank, &axis) || !plain(call, in, sizes) ||
        !onnx_ints(call, "split", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_OPERANDS, parts, &n))
        return false;
    size_t each = call->n_out ? (sizes[axis] + call->n_out - 1) / call->n_out : 0;
    struct onnx_value *outputs = call->out;
    for (size_t o = 0; o < call->n_out; o++) {
        whole_part(sizes, in->rank, &part, order);
        size_t count = n ? (size_t)(o < n ? parts[o] : 0) : each;
        if (count > sizes[axis] - first)
            count = sizes[axis] - first;
        part.count[axis] = count;
        part.start[axis] = (int64_t)first;
        first += count;
        call->out = &outputs[o];
        if (!give_part(call, in, &part, order))
            return false;
    }
    return true;
}

const struct onnx_fold_row onnx_fold_elements[] = {
    {"Transpose", fold_transpose, 0}, {"Slice", fold_slice, 0}, {"Gather", fold_gather, 0},
    {"Concat", fold_concat, 0},       {"Split", fold_split, 0}, {NULL, NULL, 0},
};
