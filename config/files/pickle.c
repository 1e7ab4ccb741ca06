/* Executes the program of a pickle, with a stack, marks in the stack, and a memo. All values are inert. Source:
   Python's Lib/pickle.py and Lib/pickletools.py. */
#include "pickle.h"

#include "pickle_stack.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_OPCODES = 1 << 24,
    MAX_PROTOCOL = 5,
    MAX_NESTING = 4, /* nesting of pickles in the pickle of a joblib file */
};

static bool run(struct pickle *pickle, const unsigned char *bytes, size_t n, size_t *at, unsigned nesting,
                struct pickle_value **value);

/* ---- opcodes: containers ---- */

static bool push_members(struct machine *m, enum pickle_kind kind, struct pickle_value **members, size_t n)
{
    struct pickle_value *value = members ? pickle_new(m->pickle, kind) : NULL;
    if (!value || (n && !(value->members = pickle_alloc(m->pickle, n * sizeof *members))))
        return false;
    if (n)
        memcpy(value->members, members, n * sizeof *members);
    value->n = value->room = n;
    return machine_push(m, value);
}

static bool op_empty(struct machine *m, size_t kind)
{
    return machine_push(m, pickle_new(m->pickle, (enum pickle_kind)kind));
}

/* Make a container of the values above the mark. */
static bool op_marked(struct machine *m, size_t kind)
{
    size_t n = 0;
    struct pickle_value **members = machine_pop_mark(m, &n);
    if (members && kind == PICKLE_DICT && n % 2)
        return machine_damaged(m);
    return push_members(m, (enum pickle_kind)kind, members, n);
}

static bool op_tuple_of(struct machine *m, size_t n)
{
    if (m->height - machine_floor(m) < n)
        return machine_damaged(m);
    m->height -= n;
    return push_members(m, PICKLE_TUPLE, m->stack + m->height, n);
}

/* Add members to the container on top of the stack, or to the items of the object there. */
static bool add_members(struct machine *m, struct pickle_value **members, size_t n, bool pairs)
{
    struct pickle_value *to = members ? machine_top(m) : NULL;
    if (!to)
        return false;
    if (to->kind == PICKLE_OBJECT) {
        if (!to->items && !(to->items = pickle_new(m->pickle, pairs ? PICKLE_DICT : PICKLE_LIST)))
            return false;
        to = to->items;
    }
    if (pairs ? to->kind != PICKLE_DICT || n % 2 : to->kind != PICKLE_LIST && to->kind != PICKLE_SET)
        return machine_damaged(m);
    for (size_t i = 0; i < n; i++)
        if (!pickle_append(m->pickle, to, members[i]))
            return false;
    return true;
}

/* APPEND and SETITEM: add the given number of values from the top of the stack. */
static bool op_add(struct machine *m, size_t n)
{
    if (m->height - machine_floor(m) <= n)
        return machine_damaged(m);
    m->height -= n;
    return add_members(m, m->stack + m->height, n, n == 2);
}

static bool op_add_marked(struct machine *m, size_t pairs)
{
    size_t n = 0;
    struct pickle_value **members = machine_pop_mark(m, &n);
    return add_members(m, members, n, pairs);
}

/* ---- opcodes: stack and memo ---- */

static bool op_mark(struct machine *m, size_t unused)
{
    (void)unused;
    return machine_mark(m);
}

/* POP removes a mark if no value is above it. */
static bool op_pop(struct machine *m, size_t unused)
{
    (void)unused;
    if (m->n_marks && m->height == machine_floor(m)) {
        m->n_marks--;
        return true;
    }
    return machine_pop(m) != NULL;
}

static bool op_pop_mark(struct machine *m, size_t unused)
{
    size_t n;
    (void)unused;
    return machine_pop_mark(m, &n) != NULL;
}

static bool op_dup(struct machine *m, size_t unused)
{
    (void)unused;
    return machine_push(m, machine_top(m));
}

/* Of width 0: the number is a line. */
static bool take_index(struct machine *m, size_t width, uint64_t *out)
{
    char text[MACHINE_NUMBER_BYTES], *end;
    if (width)
        return machine_take_number(m, width, out);
    if (!machine_take_digits(m, text))
        return false;
    *out = strtoull(text, &end, 10);
    return *end || *text == '-' ? machine_damaged(m) : true;
}

static bool op_get(struct machine *m, size_t width)
{
    uint64_t i;
    return take_index(m, width, &i) && machine_get(m, i);
}

static bool op_put(struct machine *m, size_t width)
{
    uint64_t i;
    return take_index(m, width, &i) && machine_put(m, i);
}

/* MEMOIZE uses the number of entries as the next key. */
static bool op_memoize(struct machine *m, size_t unused)
{
    (void)unused;
    return machine_put(m, m->n_memo);
}

/* ---- opcodes: names and objects ---- */

static bool op_global(struct machine *m, size_t unused)
{
    size_t module_bytes = 0, bytes = 0;
    const char *module = machine_take_line(m, &module_bytes), *name = module ? machine_take_line(m, &bytes) : NULL;
    (void)unused;
    return name && machine_push(m, pickle_new_name(m->pickle, module, module_bytes, name, bytes));
}

static bool op_stack_global(struct machine *m, size_t unused)
{
    const struct pickle_value *name = machine_pop(m), *module = name ? machine_pop(m) : NULL;
    (void)unused;
    if (!module || name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT)
        return machine_damaged(m);
    return machine_push(m, pickle_new_name(m->pickle, module->text, module->bytes, name->text, name->bytes));
}

static bool op_reduce(struct machine *m, size_t unused)
{
    struct pickle_value *args = machine_pop(m), *called = args ? machine_pop(m) : NULL;
    (void)unused;
    if (!called || args->kind != PICKLE_TUPLE)
        return machine_damaged(m);
    return machine_push(m, pickle_call(m->pickle, called, args));
}

static bool op_newobj(struct machine *m, size_t keywords)
{
    if (keywords && !machine_pop(m))
        return false;
    struct pickle_value *args = machine_pop(m), *class = args ? machine_pop(m) : NULL;
    if (!class || args->kind != PICKLE_TUPLE)
        return machine_damaged(m);
    return machine_push(m, pickle_instance(m->pickle, class, args));
}

/* OBJ: a call of the first value above the mark with the other values. INST: a call of a name with all values. */
static bool op_call_marked(struct machine *m, size_t named)
{
    size_t n = 0;
    if (named && !op_global(m, 0))
        return false;
    struct pickle_value *called = named ? m->stack[--m->height] : NULL, **marked = machine_pop_mark(m, &n);
    if (marked && !named && n) {
        called = *marked++;
        n--;
    }
    if (!called)
        return machine_damaged(m);
    return push_members(m, PICKLE_TUPLE, marked, n) && machine_push(m, pickle_call(m->pickle, called, machine_pop(m)));
}

/* PERSID's line or BINPERSID's value. PyTorch before 1.6 writes ("module", class, file, source) instead of a class. */
static bool op_persistent(struct machine *m, size_t is_line)
{
    struct pickle_value *id = NULL, *value;
    size_t bytes = 0;
    if (is_line) {
        const char *line = machine_take_line(m, &bytes);
        id = line ? pickle_new_text(m->pickle, PICKLE_TEXT, line, bytes) : NULL;
    } else {
        id = machine_pop(m);
    }
    if (pickle_is(pickle_at(id, 0), "module") && id->n > 1 && id->members[1]->kind == PICKLE_NAME)
        return machine_push(m, id->members[1]);
    if (!id || !(value = pickle_new(m->pickle, PICKLE_PERSISTENT)))
        return false;
    value->args = id;
    value->items = m->pickle->persistent;
    m->pickle->persistent = value;
    return machine_push(m, value);
}

/* ---- BUILD, and joblib's arrays ---- */

/* The data of a joblib array follows its BUILD. If the file aligns its arrays, some bytes must be skipped first. */
static bool take_joblib_array(struct machine *m, struct pickle_value *wrapper)
{
    const struct pickle_value *alignment = pickle_get(wrapper, "numpy_array_alignment_bytes");
    struct pickle_array array = {.rank = 0};
    const char *wrong = pickle_shape_read(pickle_get(wrapper, "shape"), &array);
    uint64_t skipped = 0;
    size_t bytes;
    wrong = wrong ? wrong : pickle_dtype_read(pickle_get(wrapper, "dtype"), &array);
    if (wrong)
        return pickle_fail(m->pickle, "its pickle has an array of joblib's that %s", wrong);
    if (array.type == 'O')
        return run(m->pickle, m->bytes, m->n, &m->at, m->nesting + 1, &wrapper->args);
    if (alignment && alignment->kind != PICKLE_NONE &&
        (!machine_take_number(m, 1, &skipped) || (skipped && !machine_take(m, (size_t)skipped))))
        return false;
    const unsigned char *data =
        __builtin_mul_overflow(array.elements, array.width, &bytes) ? NULL : machine_take(m, bytes);
    if (!data)
        return machine_damaged(m);
    wrapper->args = pickle_new_text(m->pickle, PICKLE_BYTES, (const char *)data, bytes);
    return wrapper->args != NULL;
}

static bool op_build(struct machine *m, size_t unused)
{
    struct pickle_value *state = machine_pop(m), *to = state ? machine_top(m) : NULL;
    (void)unused;
    if (!to)
        return false;
    if (to->kind == PICKLE_NAME)
        return pickle_fail(m->pickle, "its pickle would change %.150s; nothing that a pickle names is changed",
                           to->text);
    if (to->kind != PICKLE_OBJECT && to->kind != PICKLE_DICT && to->kind != PICKLE_LIST && to->kind != PICKLE_SET)
        return machine_damaged(m);
    to->state = state;
    return !pickle_is_object(to, "joblib.numpy_pickle.NumpyArrayWrapper") || to->args->kind != PICKLE_TUPLE ||
           take_joblib_array(m, to);
}

/* ---- the program ---- */

static bool op_proto(struct machine *m, size_t unused)
{
    uint64_t protocol = 0;
    (void)unused;
    if (!machine_take_number(m, 1, &protocol))
        return false;
    return protocol <= MAX_PROTOCOL ||
           pickle_fail(m->pickle, "its pickle has protocol %d; 0 to %d are known", (int)protocol, MAX_PROTOCOL);
}

/* The length of a frame is only for readers that read ahead. */
static bool op_frame(struct machine *m, size_t width)
{
    return machine_take(m, width) != NULL;
}

static bool op_stop(struct machine *m, size_t unused)
{
    (void)unused;
    m->stopped = true;
    return m->height == 1 && !m->n_marks ? true : machine_damaged(m);
}

static bool op_extension(struct machine *m, size_t unused)
{
    (void)unused;
    return pickle_fail(m->pickle, "its pickle takes a value from Python's extension registry, which no file may");
}

static bool op_buffer(struct machine *m, size_t unused)
{
    (void)unused;
    return pickle_fail(m->pickle, "its pickle's buffers are not in the file; pickle it without a buffer_callback");
}

static const struct {
    bool (*run)(struct machine *m, size_t argument);
    size_t argument;
} opcodes[256] = {
    ['('] = {op_mark, 0},
    ['.'] = {op_stop, 0},
    ['0'] = {op_pop, 0},
    ['1'] = {op_pop_mark, 0},
    ['2'] = {op_dup, 0},
    ['F'] = {op_float, 0},
    ['I'] = {op_digits, 0},
    ['J'] = {op_binint, 4},
    ['K'] = {op_binint, 1},
    ['L'] = {op_digits, 1},
    ['M'] = {op_binint, 2},
    ['N'] = {op_none, 0},
    ['P'] = {op_persistent, 1},
    ['Q'] = {op_persistent, 0},
    ['R'] = {op_reduce, 0},
    ['S'] = {op_quoted, 0},
    ['T'] = {op_text, 4},
    ['U'] = {op_text, 1},
    ['V'] = {op_raw_unicode, 0},
    ['X'] = {op_text, 4},
    ['a'] = {op_add, 1},
    ['b'] = {op_build, 0},
    ['c'] = {op_global, 0},
    ['d'] = {op_marked, PICKLE_DICT},
    ['}'] = {op_empty, PICKLE_DICT},
    ['e'] = {op_add_marked, 0},
    ['g'] = {op_get, 0},
    ['h'] = {op_get, 1},
    ['i'] = {op_call_marked, 1},
    ['j'] = {op_get, 4},
    ['l'] = {op_marked, PICKLE_LIST},
    [']'] = {op_empty, PICKLE_LIST},
    ['o'] = {op_call_marked, 0},
    ['p'] = {op_put, 0},
    ['q'] = {op_put, 1},
    ['r'] = {op_put, 4},
    ['s'] = {op_add, 2},
    ['t'] = {op_marked, PICKLE_TUPLE},
    [')'] = {op_tuple_of, 0},
    ['u'] = {op_add_marked, 1},
    ['G'] = {op_binfloat, 0},
    ['B'] = {op_bytes, 4},
    ['C'] = {op_bytes, 1},
    [0x80] = {op_proto, 0},
    [0x81] = {op_newobj, 0},
    [0x82] = {op_extension, 0},
    [0x83] = {op_extension, 0},
    [0x84] = {op_extension, 0},
    [0x85] = {op_tuple_of, 1},
    [0x86] = {op_tuple_of, 2},
    [0x87] = {op_tuple_of, 3},
    [0x88] = {op_bool, 1},
    [0x89] = {op_bool, 0},
    [0x8a] = {op_long, 1},
    [0x8b] = {op_long, 4},
    [0x8c] = {op_text, 1},
    [0x8d] = {op_text, 8},
    [0x8e] = {op_bytes, 8},
    [0x8f] = {op_empty, PICKLE_SET},
    [0x90] = {op_add_marked, 0},
    [0x91] = {op_marked, PICKLE_SET},
    [0x92] = {op_newobj, 1},
    [0x93] = {op_stack_global, 0},
    [0x94] = {op_memoize, 0},
    [0x95] = {op_frame, 8},
    [0x96] = {op_bytes, 8},
    [0x97] = {op_buffer, 0},
    [0x98] = {op_buffer, 0},
};

static bool step(struct machine *m)
{
    const unsigned char *opcode = machine_take(m, 1);
    if (!opcode)
        return false;
    if (!opcodes[*opcode].run)
        return pickle_fail(m->pickle, "its pickle is damaged: 0x%02x at byte %zu is no opcode", *opcode, m->at - 1);
    if (m->pickle->opcodes++ == MAX_OPCODES)
        return pickle_fail(m->pickle, "its pickle has more than %d opcodes", MAX_OPCODES);
    return opcodes[*opcode].run(m, opcodes[*opcode].argument);
}

/* Execute a program from *at on, and set *at to its end. */
static bool run(struct pickle *pickle, const unsigned char *bytes, size_t n, size_t *at, unsigned nesting,
                struct pickle_value **value)
{
    struct machine m = {.pickle = pickle, .bytes = bytes, .n = n, .at = *at, .nesting = nesting};
    bool good = machine_open(&m) &&
                (nesting < MAX_NESTING || pickle_fail(pickle, "its pickle holds pickles too deep in each other"));
    while (good && !m.stopped)
        good = step(&m);
    if (good)
        *value = m.stack[0];
    *at = m.at;
    machine_close(&m);
    return good || pickle_fail(pickle, "out of memory");
}

bool pickle_read(struct pickle *pickle, const unsigned char *bytes, size_t n)
{
    *pickle = (struct pickle){.value = NULL};
    return run(pickle, bytes, n, &pickle->used, 0, &pickle->value);
}
