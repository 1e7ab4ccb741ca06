/* The state of the pickle reader: its stack, its marks, its memo, and the program that it reads. */
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

/* Allocate memory for the first values. machine_close frees all memory except that of the pickle. */
bool machine_open(struct machine *m);
void machine_close(struct machine *m);

/* Set the error "damaged". Returns false. */
bool machine_damaged(struct machine *m);

/* The height of the last mark: values below it must not be removed. */
size_t machine_floor(const struct machine *m);

/* Each of these functions returns false or NULL on failure, with the error set. A value of NULL is not pushed. */
bool machine_push(struct machine *m, struct pickle_value *value);
struct pickle_value *machine_pop(struct machine *m);
struct pickle_value *machine_top(struct machine *m);
bool machine_mark(struct machine *m);
/* Remove the values above the last mark. Returns a pointer to them and their number. They stay valid until the next
   push. */
struct pickle_value **machine_pop_mark(struct machine *m, size_t *n);
bool machine_put(struct machine *m, size_t i);
bool machine_get(struct machine *m, size_t i);

/* The next bytes of the program. */
const unsigned char *machine_take(struct machine *m, size_t n);
/* An unsigned little-endian number of the given number of bytes. */
bool machine_take_number(struct machine *m, size_t width, uint64_t *out);
/* The rest of the line, without its end. */
const char *machine_take_line(struct machine *m, size_t *bytes);
/* A line with a number, followed by 0. */
bool machine_take_digits(struct machine *m, char out[MACHINE_NUMBER_BYTES]);

/* Opcodes of numbers and texts. The argument, if any, is the width. */
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
