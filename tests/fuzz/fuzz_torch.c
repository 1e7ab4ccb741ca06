/* Fuzz target: files of torch.save before 1.6, from their bytes to a draft of model.json: pickles, storages, tensors,
   modules. */
#include "fuzz.h"
#include "tests/handover.h"

#include "config/files/torch_file.h"
#include "config/torch/torch_describe.h"

#include <stdlib.h>
#include <string.h>

/* Make the tensors that the server would read from the handover: names, shapes and data. */
static void describe(const struct handover *out)
{
    struct tensor_set set = {.tensors = calloc(out->n + 1, sizeof *set.tensors), .metadata = out->metadata};
    for (; set.tensors && set.n < out->n; set.n++) {
        const struct handover_tensor *from = &out->tensors[set.n];
        struct named_tensor *to = &set.tensors[set.n];
        *to = (struct named_tensor){.name = from->name, .rank = from->rank, .data = from->data};
        memcpy(to->shape, from->shape, sizeof to->shape);
        volatile unsigned char last = from->bytes ? ((const unsigned char *)from->data)[from->bytes - 1] : 0;
        (void)last;
    }
    json_decref(torch_describe(&set));
    free(set.tensors);
}

int fuzz_torch(const unsigned char *data, size_t size)
{
    struct handover out = {.limit = 1 << 20};
    unsigned char *copy = malloc(size + !size); /* of the exact size, so that sanitizers detect a read beyond its end */
    if (size)
        memcpy(copy, data, size);
    bool good = torch_stream_is(copy, size) && torch_stream_read(&out, copy, size);
    if (good != !out.error[0] && torch_stream_is(copy, size))
        abort(); /* a refusal must have an error message */
    if (good)
        describe(&out);
    handover_release(&out);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_torch)
