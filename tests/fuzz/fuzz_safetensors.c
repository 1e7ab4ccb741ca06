/* The safetensors reader: whatever is accepted lies within the file, and can be read to its last element. */
#include "fuzz.h"

#include "config/files/tensors.h"

#include <stdlib.h>

int fuzz_safetensors(const unsigned char *data, size_t size)
{
    struct tensor_set set = {.n = 0};
    struct problems problems = {.n_errors = 0};
    unsigned char *copy = malloc(size + 1); /* so that a read beyond the end is seen */
    for (size_t i = 0; i < size; i++)
        copy[i] = data[i];
    if (safetensors_parse(&set, copy, size, "f", &problems)) {
        const unsigned char *end = copy;
        for (size_t i = 0; i < set.n; i++) {
            const struct named_tensor *t = &set.tensors[i];
            if (t->data < end || t->data > copy + size)
                abort();
            end = t->data;
            if (t->type != TENSOR_OTHER && t->elements)
                (void)(tensor_element(t, 0) + tensor_element(t, t->elements - 1) > 0);
        }
        tensor_set_close(&set);
    } else if (!problems.n_errors || set.tensors) {
        abort(); /* a refusal says why, and holds nothing */
    }
    problems_close(&problems);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_safetensors)
