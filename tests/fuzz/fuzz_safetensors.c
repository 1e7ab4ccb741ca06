/* Fuzz target: the safetensors reader. All elements of accepted tensors are within the file. */
#include "fuzz.h"

#include "config/files/tensors.h"

#include <stdlib.h>

int fuzz_safetensors(const unsigned char *data, size_t size)
{
    struct tensor_set set = {.n = 0};
    struct problems problems = {.n_errors = 0};
    unsigned char *copy = malloc(size + 1); /* of the exact size, so that sanitizers detect a read beyond its end */
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
        abort(); /* a refusal must have an error message and keep no tensors */
    }
    problems_close(&problems);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_safetensors)
