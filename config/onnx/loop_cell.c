/* Recognizes the body of a loop as a cell: the patterns of arithmetic of an LSTM, a GRU and a simple RNN. */
#include "loop.h"

#include <string.h>

static bool same_activation(const struct loop_gate *a, const struct loop_gate *b)
{
    return !strcmp(a->activation, b->activation) && a->has_alpha == b->has_alpha && a->alpha == b->alpha &&
           a->beta == b->beta;
}

/* Whether the summands are those of a gate: x_t and h times matrices, and vectors. */
static bool is_plain(const struct loop_gate *gate, size_t h)
{
    size_t x = 0, states = 0;
    for (size_t i = 0; i < gate->n; i++) {
        const struct loop_term *term = &gate->terms[i];
        x += term->kind == TERM_X;
        states += term->kind == TERM_STATE && term->state == h;
        if (term->kind != TERM_X && term->kind != TERM_STATE && term->kind != TERM_CONSTANT)
            return false;
    }
    return x == 1 && states == 1;
}

/* Find a product of a gate and another factor. */
static const char *times_gate(const struct loop *loop, const char *name, size_t i, struct loop_gate *gate)
{
    const char *factors[2];
    return loop_is(loop, name, "Mul", factors) && loop_gate_of(loop, factors[i], gate) ? factors[!i] : NULL;
}

/* ---- LSTM: c' = f * c + i * g, h' = o * act(c') ---- */

enum { LSTM_I, LSTM_O, LSTM_F, LSTM_C };

static bool find_output_gate(const struct loop *loop, struct loop_cell *cell)
{
    const char *c_after = loop_follow(loop, loop->after[cell->c]);
    for (size_t i = 0; i < 2; i++) {
        struct loop_gate last;
        const char *other = times_gate(loop, loop->after[cell->h], i, &cell->gate[LSTM_O]);
        if (!other || !is_plain(&cell->gate[LSTM_O], cell->h) || !loop_gate_of(loop, other, &last))
            continue;
        const json_t *node = loop_node(loop, loop_follow(loop, other));
        const char *inner = json_string_value(json_array_get(json_object_get(node, "in"), 0));
        if (!inner || strcmp(loop_follow(loop, inner), c_after) != 0 || last.has_alpha)
            continue;
        cell->last = last.activation;
        return true;
    }
    return false;
}

static bool find_forget_gate(const struct loop *loop, const char *name, struct loop_cell *cell)
{
    for (size_t i = 0; i < 2; i++) {
        const char *other = times_gate(loop, name, i, &cell->gate[LSTM_F]);
        if (other && loop_state(loop, other) == cell->c && is_plain(&cell->gate[LSTM_F], cell->h))
            return true;
    }
    return false;
}

/* Of the two factors, the one with the forget gate's activation is the input gate. */
static bool find_input_gate(const struct loop *loop, const char *name, struct loop_cell *cell)
{
    for (size_t i = 0; i < 2; i++) {
        const char *other = times_gate(loop, name, i, &cell->gate[LSTM_I]);
        if (other && loop_gate_of(loop, other, &cell->gate[LSTM_C]) && is_plain(&cell->gate[LSTM_I], cell->h) &&
            is_plain(&cell->gate[LSTM_C], cell->h) && same_activation(&cell->gate[LSTM_I], &cell->gate[LSTM_F]))
            return true;
    }
    return false;
}

static bool find_lstm(const struct loop *loop, struct loop_cell *cell)
{
    const char *summands[2];
    cell->op = "LSTM";
    cell->gates = 4;
    if (!find_output_gate(loop, cell) || !loop_is(loop, loop->after[cell->c], "Add", summands))
        return false;
    for (size_t i = 0; i < 2; i++)
        if (find_forget_gate(loop, summands[i], cell) && find_input_gate(loop, summands[!i], cell))
            return same_activation(&cell->gate[LSTM_O], &cell->gate[LSTM_F]);
    return false;
}

/* ---- GRU: h' = z * h + (1 - z) * g ---- */

enum { GRU_Z, GRU_R, GRU_H };

/* The name of the value that is subtracted from 1. */
static const char *one_minus(const struct loop *loop, const char *name)
{
    const char *operands[2];
    struct onnx_constant one;
    return loop_is(loop, name, "Sub", operands) && loop_constant(loop, operands[0], &one) && onnx_all(&one, 1)
               ? operands[1]
               : NULL;
}

/* g = act(x_h + r * (h @ R + b)), or act(x_h + (r * h) @ R + b). */
static bool find_reset_gate(const struct loop *loop, struct loop_cell *cell)
{
    struct loop_gate *g = &cell->gate[GRU_H];
    for (size_t i = 0; i < g->n; i++) {
        struct loop_term *term = &g->terms[i];
        if (term->kind == TERM_PRODUCT) {
            term->kind = TERM_STATE;
            return loop_gate_of(loop, term->other, &cell->gate[GRU_R]) && is_plain(g, cell->h);
        }
        for (size_t k = 0; term->kind == TERM_OTHER && k < 2; k++) {
            const char *inner = times_gate(loop, term->other, k, &cell->gate[GRU_R]);
            cell->recurrent = (struct loop_gate){.n = 0};
            if (!inner || !is_plain(&cell->gate[GRU_R], cell->h) ||
                !loop_terms_of(loop, (struct loop_part){.name = inner}, &cell->recurrent))
                continue;
            *term = g->terms[--g->n];
            for (size_t t = 0; t < g->n; t++)
                if (g->terms[t].kind != TERM_X && g->terms[t].kind != TERM_CONSTANT)
                    return false;
            for (size_t t = 0; t < cell->recurrent.n; t++)
                if (cell->recurrent.terms[t].kind != TERM_STATE && cell->recurrent.terms[t].kind != TERM_CONSTANT)
                    return false;
            return cell->linear_before_reset = true;
        }
    }
    return false;
}

static bool find_gru(const struct loop *loop, struct loop_cell *cell)
{
    const char *summands[2], *factors[2];
    cell->op = "GRU";
    cell->gates = 3;
    if (!loop_is(loop, loop->after[0], "Add", summands))
        return false;
    for (size_t i = 0; i < 4; i++) {
        const char *kept = times_gate(loop, summands[i & 1], i >> 1, &cell->gate[GRU_Z]);
        if (!kept || loop_state(loop, kept) != 0 || !loop_is(loop, summands[!(i & 1)], "Mul", factors))
            continue;
        const char *z[2];
        loop_is(loop, summands[i & 1], "Mul", z);
        for (size_t k = 0; k < 2; k++) {
            const char *subtracted = one_minus(loop, factors[k]);
            if (subtracted && !strcmp(subtracted, z[i >> 1]) && loop_gate_of(loop, factors[!k], &cell->gate[GRU_H]))
                return is_plain(&cell->gate[GRU_Z], 0) && find_reset_gate(loop, cell) &&
                       is_plain(&cell->gate[GRU_R], 0) && same_activation(&cell->gate[GRU_Z], &cell->gate[GRU_R]);
        }
    }
    return false;
}

static bool find_rnn(const struct loop *loop, struct loop_cell *cell)
{
    cell->op = "RNN";
    cell->gates = 1;
    return loop_gate_of(loop, loop->after[0], &cell->gate[0]) && is_plain(&cell->gate[0], 0);
}

bool loop_find_cell(const struct loop *loop, struct loop_cell *out)
{
    *out = (struct loop_cell){.c = 1};
    if (loop->n_states == 1)
        return find_rnn(loop, out) || (*out = (struct loop_cell){.h = 0}, find_gru(loop, out));
    if (loop->n_states != 2)
        return false;
    if (find_lstm(loop, out))
        return true;
    *out = (struct loop_cell){.h = 1, .c = 0};
    return find_lstm(loop, out);
}
