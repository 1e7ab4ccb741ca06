/* Shared texts. */
#include "shared_text.h"

#include <stdlib.h>
#include <string.h>

struct shared_text *shared_text_make(const char *text)
{
    size_t bytes = strlen(text);
    struct shared_text *shared = malloc(sizeof *shared + bytes + 1);
    if (shared) {
        shared->users = 1;
        shared->bytes = bytes + 1;
        memcpy(shared->text, text, bytes);
        shared->text[bytes] = '\n';
    }
    return shared;
}

void shared_text_release(struct shared_text *text)
{
    if (text && atomic_fetch_sub(&text->users, 1) == 1)
        free(text);
}
