/* The end of a handover, for tests that read a file in their own process. The load helper frees nothing, since its process
   ends. */
#ifndef TESTS_HANDOVER_H
#define TESTS_HANDOVER_H

#include "config/files/handover.h"

#include <stdlib.h>

/* Free the tensors and the metadata; the handover is then empty. */
static inline void handover_release(struct handover *handover)
{
    for (size_t i = 0; i < handover->n; i++) {
        free(handover->tensors[i].name);
        free(handover->tensors[i].owned);
    }
    free(handover->tensors);
    json_decref(handover->metadata);
    *handover = (struct handover){.n = 0};
}

#endif
