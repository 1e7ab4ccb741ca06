/* Reads constants, and computes nodes that give them other shapes. */
#include "fold.h"

#include <stdlib.h>
#include <string.h>

/* ---- constants ---- */

/* A double cannot represent every 64-bit integer. */
static int64_t whole_at(const struct named_tensor *tensor, size_t i)
{
    int64_t wide;
    if (tensor->type != TENSOR_I64)
        return (int64_t)tensor_element(tensor, i);
    memcpy(&wide, tensor->data + i * sizeof wide, sizeof wide);
    return wide;
}

bool onnx_load(const struct onnx_call *call, const json_t *tensor, struct onnx_constant *out)
{
    const char *name = json_string_value(tensor);
    struct named_tensor *found = name ? tensor_set_find(call->c->from, name) : NULL;
    if (!found)
        return onnx_refuse(call, "takes a tensor of a type that is not served (text, or numbers of another type)");
    found->used = true;
    *out = (struct onnx_constant){.whole = !tensor_is_float(found), .rank = found->rank, .n = found->elements};
    for (size_t i = 0; i < found->rank; i++)
        out->sizes[i] = onnx_whole((int64_t)found->shape[i]);
    if (!out->whole && tensor_floats_in_place(found)) {
        out->floats = tensor_floats_in_place(found);
        return true;
    }
    if (out->whole && found->elements > ONNX_MAX_FOLDED / 16)
        return onnx_refuse(call, "takes \"%.100s\", which has too many whole numbers", found->name);
    float *floats = out->whole ? NULL : onnx_memory(call, out->n, sizeof *floats);
    struct onnx_number *wholes = out->whole ? onnx_memory(call, out->n, sizeof *wholes) : NULL;
    if (floats)
        tensor_to_floats(found, floats);
    for (size_t i = 0; wholes && i < out->n; i++)
        wholes[i] = onnx_whole(whole_at(found, i));
    out->floats = floats;
    out->wholes = wholes;
    return floats || wholes;
}

bool onnx_plain_sizes(const struct onnx_constant *constant, size_t sizes[ONNX_MAX_RANK])
{
    bool plain = true;
    for (size_t i = 0; i < constant->rank; i++) {
        plain &= onnx_known(constant->sizes[i]) && constant->sizes[i].value >= 0;
        sizes[i] = (size_t)constant->sizes[i].value;
    }
    return plain;
}

bool onnx_new_constant(const struct onnx_call *call, bool whole, size_t rank, const struct onnx_number *sizes,
                       struct onnx_constant *out, float **floats, struct onnx_number **wholes)
{
    *out = (struct onnx_constant){.whole = whole, .rank = rank};
    memcpy(out->sizes, sizes, rank * sizeof *sizes);
    if (!onnx_elements(out, &out->n))
        return onnx_refuse(call, "gives a constant that is too large, or of open size");
    if (!onnx_count_folded(call, out->n))
        return false;
    *floats = whole ? NULL : onnx_memory(call, out->n, sizeof **floats);
    *wholes = whole ? onnx_memory(call, out->n, sizeof **wholes) : NULL;
    out->floats = *floats;
    out->wholes = *wholes;
    return *floats || *wholes;
}

bool onnx_give_elements(struct onnx_call *call, const struct onnx_constant *from, size_t rank,
                        const struct onnx_number *sizes, size_t *index, size_t n)
{
    struct onnx_constant out = *from;
    float *floats;
    struct onnx_number *wholes;
    bool good = index != NULL;
    if (!good)
        return onnx_no_memory(call);
    if (from->uniform) {
        out.rank = rank;
        memcpy(out.sizes, sizes, rank * sizeof *sizes);
    } else {
        good = onnx_new_constant(call, from->whole, rank, sizes, &out, &floats, &wholes);
        for (size_t i = 0; good && i < n && i < out.n; i++)
            if (from->whole)
                wholes[i] = from->wholes[index[i]];
            else
                floats[i] = from->floats[index[i]];
    }
    free(index);
    return good && onnx_give_constant(call, &out);
}

/* ---- sources ---- */

static bool fold_constant(struct onnx_call *call)
{
    const json_t *attributes = json_object_get(call->node, "attributes"),
                 *tensor = json_object_get(json_object_get(attributes, "value"), "tensor");
    static const char *const keys[] = {"value_int", "value_ints", "value_float", "value_floats"};
    struct onnx_constant out;
    float *floats;
    struct onnx_number *wholes;
    if (tensor)
        return onnx_load(call, tensor, &out) && onnx_give_constant(call, &out);
    for (size_t k = 0; k < 4; k++) {
        const json_t *value = json_object_get(attributes, keys[k]);
        struct onnx_number size = onnx_whole((int64_t)json_array_size(value));
        if (!value)
            continue;
        if (!onnx_new_constant(call, k < 2, json_is_array(value), &size, &out, &floats, &wholes))
            return false;
        for (size_t i = 0; i < out.n; i++) {
            const json_t *element = json_is_array(value) ? json_array_get(value, i) : value;
            if (k < 2)
                wholes[i] = onnx_whole((int64_t)json_integer_value(element));
            else
                floats[i] = (float)json_number_value(element);
        }
        return onnx_give_constant(call, &out);
    }
    return onnx_refuse(call, "is a constant that is not served (a text, or a sparse tensor)");
}

/* The sizes of a tensor or of a constant. */
static bool sizes_of(const struct onnx_call *call, struct onnx_number *sizes, size_t *rank)
{
    const struct onnx_value *value = &call->in[0];
    *rank = value->kind == ONNX_TENSOR ? value->tensor.rank : value->constant.rank;
    for (size_t i = 0; i < *rank; i++) {
        if (value->kind == ONNX_CONSTANT)
            sizes[i] = value->constant.sizes[i];
        else if (!onnx_axis_size(&value->tensor, &value->tensor.axes[i], &sizes[i]))
            return onnx_refuse(call, "asks for a size that is not known");
    }
    return true;
}

static bool fold_shape(struct onnx_call *call)
{
    struct onnx_number sizes[ONNX_MAX_RANK], *wholes;
    struct onnx_constant out;
    float *floats;
    size_t rank;
    if (!sizes_of(call, sizes, &rank))
        return false;
    long n = (long)rank, start = onnx_int(call, "start", 0), end = onnx_int(call, "end", n);
    start = start < 0 ? start + n : start;
    end = end < 0 ? end + n : end;
    start = start < 0 ? 0 : start > n ? n : start;
    end = end < start ? start : end > n ? n : end;
    const struct onnx_number size = onnx_whole(end - start);
    if (!onnx_new_constant(call, true, 1, &size, &out, &floats, &wholes))
        return false;
    for (long i = start; i < end; i++)
        wholes[i - start] = sizes[i];
    return onnx_give_constant(call, &out);
}

static bool fold_size(struct onnx_call *call)
{
    struct onnx_number sizes[ONNX_MAX_RANK], *wholes, total = onnx_whole(1);
    struct onnx_constant out;
    float *floats;
    size_t rank;
    if (!sizes_of(call, sizes, &rank))
        return false;
    for (size_t i = 0; i < rank; i++)
        if (!onnx_multiply(total, sizes[i], &total))
            return onnx_refuse(call, "gives a size that is too large");
    if (!onnx_new_constant(call, true, 0, sizes, &out, &floats, &wholes))
        return false;
    wholes[0] = total;
    return onnx_give_constant(call, &out);
}

/* Read sizes from operand i. */
static bool sizes_from(const struct onnx_call *call, size_t i, struct onnx_number *sizes, size_t *rank)
{
    const struct onnx_constant *shape = onnx_constant(call, i);
    size_t n;
    if (!shape || !shape->whole || !onnx_elements(shape, &n) || n > ONNX_MAX_RANK)
        return onnx_refuse(call, "is served with a shape of at most %d axes that is known when the model is loaded",
                           ONNX_MAX_RANK);
    *rank = n;
    for (size_t k = 0; k < n; k++)
        sizes[k] = shape->wholes[shape->uniform ? 0 : k];
    return true;
}

static bool fold_constant_of_shape(struct onnx_call *call)
{
    const json_t *tensor =
        json_object_get(json_object_get(json_object_get(call->node, "attributes"), "value"), "tensor");
    static const float zero[1];
    struct onnx_constant out = {.n = 1, .floats = zero};
    if (tensor && (!onnx_load(call, tensor, &out) || out.n != 1))
        return onnx_refuse(call, "has a value of %zu numbers", out.n);
    out.uniform = true;
    return sizes_from(call, 0, out.sizes, &out.rank) && onnx_give_constant(call, &out);
}

static bool fold_range(struct onnx_call *call)
{
    const struct onnx_constant *c[3] = {onnx_constant(call, 0), onnx_constant(call, 1), onnx_constant(call, 2)};
    struct onnx_constant out;
    float *floats;
    struct onnx_number *wholes;
    for (size_t i = 0; i < 3; i++)
        if (!c[i] || c[i]->n < 1 || (c[i]->whole && !onnx_known(c[i]->wholes[0])))
            return onnx_refuse(call, "is served with numbers that do not depend on the input");
    double start = onnx_element(c[0], 0), limit = onnx_element(c[1], 0), step = onnx_element(c[2], 0);
    double count = step != 0 ? (limit - start) / step : 0;
    if (!(count < ONNX_MAX_FOLDED))
        return onnx_refuse(call, "gives too many numbers");
    size_t n = count > 0 ? (size_t)count + ((double)(size_t)count < count) : 0;
    const struct onnx_number size = onnx_whole((int64_t)n);
    if (!onnx_new_constant(call, c[0]->whole, 1, &size, &out, &floats, &wholes))
        return false;
    for (size_t i = 0; i < n; i++)
        if (out.whole)
            wholes[i] = onnx_whole((int64_t)(start + (double)i * step));
        else
            floats[i] = (float)(start + (double)i * step);
    return onnx_give_constant(call, &out);
}

/* ---- other axes, same elements ---- */

static bool fold_same(struct onnx_call *call)
{
    return onnx_give_constant(call, &call->in[0].constant);
}

static bool fold_squeeze(struct onnx_call *call)
{
    struct onnx_constant out = call->in[0].constant;
    long axes[ONNX_MAX_RANK];
    bool gone[ONNX_MAX_RANK] = {false};
    size_t n, rank = out.rank, at;
    if (!onnx_ints(call, "axes", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_RANK, axes, &n))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!onnx_axis(call, axes[i], rank, &at))
            return false;
        gone[at] = true;
    }
    out.rank = 0;
    for (size_t i = 0; i < rank; i++)
        if (!(n ? gone[i] : onnx_is_whole(out.sizes[i], 1)))
            out.sizes[out.rank++] = out.sizes[i];
    return onnx_give_constant(call, &out);
}

static bool fold_unsqueeze(struct onnx_call *call)
{
    struct onnx_constant out = call->in[0].constant;
    long axes[ONNX_MAX_RANK];
    bool fresh[ONNX_MAX_RANK] = {false};
    size_t n, at, from = 0;
    if (!onnx_ints(call, "axes", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_RANK, axes, &n))
        return false;
    size_t rank = out.rank + n;
    if (rank > ONNX_MAX_RANK)
        return onnx_refuse(call, "gives more than %d axes", ONNX_MAX_RANK);
    for (size_t i = 0; i < n; i++) {
        if (!onnx_axis(call, axes[i], rank, &at))
            return false;
        fresh[at] = true;
    }
    for (size_t i = 0; i < rank; i++)
        out.sizes[i] = fresh[i] ? onnx_whole(1) : call->in[0].constant.sizes[from++];
    out.rank = rank;
    return onnx_give_constant(call, &out);
}

/* 0 means the size of the input, -1 the remaining elements. */
static bool fold_reshape(struct onnx_call *call)
{
    struct onnx_constant out = call->in[0].constant;
    struct onnx_number total = onnx_whole(1), known = onnx_whole(1);
    size_t open = ONNX_MAX_RANK;
    long list[ONNX_MAX_RANK];
    for (size_t i = 0; i < out.rank; i++)
        if (!onnx_multiply(total, out.sizes[i], &total))
            return onnx_refuse(call, "gives a constant that is too large");
    if (onnx_given(call, 1)) {
        if (!sizes_from(call, 1, out.sizes, &out.rank))
            return false;
    } else {
        if (!onnx_ints(call, "shape", SIZE_MAX, ONNX_MAX_RANK, list, &out.rank))
            return false;
        for (size_t i = 0; i < out.rank; i++)
            out.sizes[i] = onnx_whole(list[i]);
    }
    for (size_t i = 0; i < out.rank; i++) {
        if (onnx_is_whole(out.sizes[i], 0) && !onnx_int(call, "allowzero", 0) && i < call->in[0].constant.rank)
            out.sizes[i] = call->in[0].constant.sizes[i];
        if (onnx_is_whole(out.sizes[i], -1))
            open = i;
        else if (!onnx_multiply(known, out.sizes[i], &known))
            return onnx_refuse(call, "gives a constant that is too large");
    }
    if (open < out.rank ? !onnx_divide(total, known, &out.sizes[open]) : !onnx_same(total, known))
        return onnx_refuse(call, "gives a shape of another number of elements");
    return onnx_give_constant(call, &out);
}

static bool all_same(const struct onnx_constant *in)
{
    bool same = in->n > 0;
    for (size_t i = 1; same && i < in->n; i++)
        same = in->whole ? onnx_same(in->wholes[i], in->wholes[0]) : in->floats[i] == in->floats[0];
    return same;
}

static bool fold_expand(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant;
    struct onnx_number sizes[ONNX_MAX_RANK], asked[ONNX_MAX_RANK];
    size_t n = 1, rank, want;
    if (!sizes_from(call, 1, asked, &want))
        return false;
    rank = want > in->rank ? want : in->rank;
    for (size_t i = 0; i < rank; i++) { /* from the last axis on */
        struct onnx_number a = i < in->rank ? in->sizes[in->rank - 1 - i] : onnx_whole(1);
        struct onnx_number b = i < want ? asked[want - 1 - i] : onnx_whole(1);
        sizes[rank - 1 - i] = onnx_is_whole(a, 1) ? b : a;
    }
    if (all_same(in)) {
        struct onnx_constant out = *in;
        out.uniform = true;
        out.n = 1;
        out.rank = rank;
        memcpy(out.sizes, sizes, sizeof sizes);
        return onnx_give_constant(call, &out);
    }
    for (size_t i = 0; i < rank; i++) /* a constant that is equal for every row of the batch stays one row */
        if (onnx_has_symbol(sizes[i], ONNX_BATCH))
            sizes[i] = onnx_whole(1);
    struct onnx_constant out = {.rank = rank};
    memcpy(out.sizes, sizes, sizeof sizes);
    if (!onnx_elements(&out, &n) || n > ONNX_MAX_FOLDED)
        return onnx_refuse(call, "repeats a constant as often as the input's size says, which is not served");
    size_t *index = calloc(n + 1, sizeof *index);
    for (size_t e = 0; index && e < n; e++) {
        size_t left = e, stride = 1;
        for (size_t i = 0; i < rank; i++) {
            size_t size = (size_t)sizes[rank - 1 - i].value, at = left % size;
            left /= size;
            if (i >= in->rank)
                continue;
            size_t own = (size_t)in->sizes[in->rank - 1 - i].value;
            index[e] += own == 1 ? 0 : at * stride;
            stride *= own;
        }
    }
    return onnx_give_elements(call, in, rank, sizes, index, n);
}

/* ---- the table ---- */

const struct onnx_fold_row onnx_fold_shapes[] = {
    {"Constant", fold_constant, 0},   {"ConstantOfShape", fold_constant_of_shape, 0},
    {"Range", fold_range, 0},         {"Identity", fold_same, 0},
    {"Dropout", fold_same, 0},        {"Squeeze", fold_squeeze, 0},
    {"Unsqueeze", fold_unsqueeze, 0}, {"Reshape", fold_reshape, 0},
    {"Expand", fold_expand, 0},       {NULL, NULL, 0},
};

static const struct onnx_fold_row *find(const struct onnx_fold_row *rows, const char *op)
{
    while (rows->op && strcmp(rows->op, op) != 0)
        rows++;
    return rows->op ? rows : NULL;
}

enum onnx_folded onnx_fold(struct onnx_call *call)
{
    bool constant = true;
    if (call->n_in && (!strcmp(call->op, "Shape") || !strcmp(call->op, "Size")))
        return (strcmp(call->op, "Shape") ? fold_size(call) : fold_shape(call)) ? ONNX_IS_FOLDED : ONNX_NOT_FOLDABLE;
    for (size_t i = 0; i < call->n_in; i++)
        constant &= call->in[i].kind != ONNX_TENSOR;
    if (!constant || (!onnx_given(call, 0) && strcmp(call->op, "Constant") != 0))
        return ONNX_NOT_FOLDED;
    const struct onnx_fold_row *row = find(onnx_fold_shapes, call->op);
    row = row ? row : find(onnx_fold_elements, call->op);
    row = row ? row : find(onnx_fold_numbers, call->op);
    row = row ? row : find(onnx_fold_products, call->op);
    if (!row)
        return ONNX_NOT_FOLDED;
    struct onnx_call folding = *call;
    const struct onnx_row as_row = {.op = row->op, .which = row->which};
    folding.row = &as_row;
    return row->fold(&folding) ? ONNX_IS_FOLDED : (onnx_refuse(call, "cannot be computed"), ONNX_NOT_FOLDABLE);
}
