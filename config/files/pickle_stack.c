/* The stack and the memo of the pickle reader, and the bytes of its program; every bound is checked here. */
#include "pickle_stack.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEIGHT = 1 << 20 };

bool machine_damaged(struct machine *m)
{
    return pickle_fail(m->pickle, "its pickle is damaged or cut short (at byte %zu)", m->at);
}

/* ---- stack and memo ---- */

size_t machine_floor(const struct machine *m)
{
    return m->n_marks ? m->marks[m->n_marks - 1] : 0;
}

/* Make room for one more element of `width` bytes. Returns the same array or a larger one, or NULL with the error
   set. */
static void *grow(struct machine *m, void *array, size_t used, size_t *room, size_t width)
{
    if (used < *room)
        return array;
    if (used >= MAX_HEIGHT) {
        pickle_fail(m->pickle, "its pickle needs a stack of more than %d values", MAX_HEIGHT);
        return NULL;
    }
    size_t wanted = *room ? 2 * *room : 64;
    void *grown = realloc(array, wanted * width);
    if (!grown)
        pickle_fail(m->pickle, "out of memory");
    else
        *room = wanted;
    return grown;
}

bool machine_open(struct machine *m)
{
    m->stack = grow(m, NULL, 0, &m->stack_room, sizeof *m->stack);
    return m->stack != NULL;
}

void machine_close(struct machine *m)
{
    free(m->stack);
    free(m->memo);
    free(m->marks);
}

bool machine_push(struct machine *m, struct pickle_value *value)
{
    struct pickle_value **stack = value ? grow(m, m->stack, m->height, &m->stack_room, sizeof *stack) : NULL;
    if (!stack)
        return false;
    m->stack = stack;
    m->stack[m->height++] = value;
    return true;
}

struct pickle_value *machine_pop(struct machine *m)
{
    if (m->height > machine_floor(m))
        return m->stack[--m->height];
    machine_damaged(m);
    return NULL;
}

struct pickle_value *machine_top(struct machine *m)
{
    if (m->height > machine_floor(m))
        return m->stack[m->height - 1];
    machine_damaged(m);
    return NULL;
}

struct pickle_value **machine_pop_mark(struct machine *m, size_t *n)
{
    if (!m->n_marks) {
        machine_damaged(m);
        return NULL;
    }
    size_t mark = m->marks[--m->n_marks];
    *n = m->height - mark;
    m->height = mark;
    return m->stack + mark;
}

bool machine_mark(struct machine *m)
{
    size_t *marks = grow(m, m->marks, m->n_marks, &m->marks_room, sizeof *marks);
    if (!marks)
        return false;
    m->marks = marks;
    m->marks[m->n_marks++] = m->height;
    return true;
}

/* Pickles number their memo in the order of their opcodes. */
bool machine_put(struct machine *m, size_t i)
{
    struct pickle_value *value = machine_top(m);
    if (!value || i > m->pickle->opcodes)
        return machine_damaged(m);
    if (i >= m->memo_room) {
        size_t room = m->memo_room ? m->memo_room : 64;
        while (room <= i)
            room *= 2;
        struct pickle_value **grown = realloc(m->memo, room * sizeof *grown);
        if (!grown)
            return pickle_fail(m->pickle, "out of memory");
        memset(grown + m->memo_room, 0, (room - m->memo_room) * sizeof *grown);
        m->memo = grown;
        m->memo_room = room;
    }
    m->n_memo += !m->memo[i];
    m->memo[i] = value;
    return true;
}

bool machine_get(struct machine *m, size_t i)
{
    return i < m->memo_room && m->memo[i] ? machine_push(m, m->memo[i]) : machine_damaged(m);
}

/* ---- arguments of opcodes ---- */

const unsigned char *machine_take(struct machine *m, size_t n)
{
    if (n > m->n - m->at) {
        machine_damaged(m);
        return NULL;
    }
    m->at += n;
    return m->bytes + m->at - n;
}

bool machine_take_number(struct machine *m, size_t width, uint64_t *out)
{
    const unsigned char *p = machine_take(m, width);
    *out = 0;
    for (size_t i = width; p && i-- > 0;)
        *out = *out << 8 | p[i];
    return p != NULL;
}

const char *machine_take_line(struct machine *m, size_t *bytes)
{
    const unsigned char *begin = m->bytes + m->at, *end = memchr(begin, '\n', m->n - m->at);
    if (!end) {
        machine_damaged(m);
        return NULL;
    }
    *bytes = (size_t)(end - begin);
    m->at += *bytes + 1;
    return (const char *)begin;
}

bool machine_take_digits(struct machine *m, char out[MACHINE_NUMBER_BYTES])
{
    size_t bytes = 0;
    const char *line = machine_take_line(m, &bytes);
    if (!line || !bytes || bytes >= MACHINE_NUMBER_BYTES)
        return machine_damaged(m);
    memcpy(out, line, bytes);
    out[bytes] = 0;
    return true;
}
