/* The machine of the pickle reader: its stack, its marks, its memo, and the program that it reads. */
#ifndef CONFIG_FILES_PICKLE_STACK_H
#define CONFIG_FILES_PICKLE_STACK_H

#include "pickle_machine.h"

#include <stdint.h>

enum { MACHINE_NUMBER_BYTES = 64 }; /* of a number written in digits */

struct machine {
    struct pickle *pickle;
    const unsigned char *bytes;
    size_t n, at;
    struct pickle_value **stack, **memo;
    size_t *marks; /* heights of the stack */
    size_t height, stack_room, n_marks, marks_room, n_memo, memo_room;
    unsigned nesting;
    bool stopped;
};

/* Room for the first values. machine_close frees it, and all else but the pickle. */
bool machine_open(struct machine *m);
void machine_close(struct machine *m);

/* Set the error that the pickle is damaged. Returns false. */
bool machine_damaged(struct machine *m);

/* The height below which nothing may be taken. */
size_t machine_floor(const struct machine *m);

/* Each of these fails with the error set: false or NULL. A value of NULL is not pushed. */
bool machine_push(struct machine *m, struct pickle_value *value);
struct pickle_value *machine_pop(struct machine *m);
struct pickle_value *machine_top(struct machine *m);
bool machine_mark(struct machine *m);
/* Take the values above the last mark: where they begin, and how many. They stay valid until the next push. */
struct pickle_value **machine_pop_mark(struct machine *m, size_t *n);
bool machine_put(struct machine *m, size_t i);
bool machine_get(struct machine *m, size_t i);

/* The next bytes of the program. */
const unsigned char *machine_take(struct machine *m, size_t n);
/* An unsigned number of so many bytes, little-endian. */
bool machine_take_number(struct machine *m, size_t width, uint64_t *out);
/* The text to the end of the line, without it. */
const char *machine_take_line(struct machine *m, size_t *bytes);
/* A line that holds a number, with a 0 behind it. */
bool machine_take_digits(struct machine *m, char out[MACHINE_NUMBER_BYTES]);

/* Opcodes of numbers and texts. Each is of a width, or of no argument. */
bool op_binfloat(struct machine *m, size_t argument);
bool op_binint(struct machine *m, size_t argument);
bool op_bool(struct machine *m, size_t argument);
bool op_bytes(struct machine *m, size_t argument);
bool op_digits(struct machine *m, size_t argument);
bool op_float(struct machine *m, size_t argument);
bool op_long(struct machine *m, size_t argument);
bool op_none(struct machine *m, size_t argument);
bool op_quoted(struct machine *m, size_t argument);
bool op_raw_unicode(struct machine *m, size_t argument);
bool op_text(struct machine *m, size_t argument);

#endif
