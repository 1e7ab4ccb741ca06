/* Fuzz target: the pickle reader, and a visit of all values that it returns. */
#include "fuzz.h"

#include "config/files/pickle.h"

#include <stdlib.h>
#include <string.h>

/* Values may be shared and may form cycles. */
static void look(const struct pickle_value *value, unsigned depth, size_t *steps)
{
    struct pickle_array array;
    double number;
    if (!value || depth > 32 || !*steps)
        return;
    --*steps;
    if ((value->kind == PICKLE_TEXT || value->kind == PICKLE_NAME) && value->text[value->bytes])
        abort();
    pickle_number(value, &number);
    if (!pickle_array_read(value, &array) && array.elements && array.type != 'O') {
        volatile unsigned char last = array.data[array.elements * array.width - 1];
        (void)last;
        pickle_array_number(&array, array.elements - 1);
    }
    if (value->kind >= PICKLE_TUPLE && value->kind <= PICKLE_DICT)
        for (size_t i = 0; i < value->n; i++)
            look(value->members[i], depth + 1, steps);
    if (value->kind == PICKLE_OBJECT && value->class->kind != PICKLE_NAME)
        abort();
    look(value->args, depth + 1, steps);
    look(value->state, depth + 1, steps);
    look(value->items, depth + 1, steps);
    pickle_get(value, "shape");
}

int fuzz_pickle(const unsigned char *data, size_t size)
{
    struct pickle pickle;
    size_t steps = 10000;
    unsigned char *copy = malloc(size + !size); /* of the exact size, so that sanitizers detect a read beyond its end */
    if (size)
        memcpy(copy, data, size);
    bool good = pickle_read(&pickle, copy, size);
    if (good != !pickle.error[0] || (good && (!pickle.value || pickle.used > size)))
        abort(); /* a refusal must have an error message */
    look(pickle.value, 0, &steps);
    pickle_close(&pickle);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_pickle)
