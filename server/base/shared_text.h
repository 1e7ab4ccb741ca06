/* A text that many answers share. */
#ifndef SERVER_BASE_SHARED_TEXT_H
#define SERVER_BASE_SHARED_TEXT_H

#include <stdatomic.h>
#include <stddef.h>

struct shared_text {
    atomic_size_t users;
    size_t bytes;
    char text[];
};

/* A copy of the text with an end of line. It has one use, which belongs to the caller. Returns NULL if out of
   memory. */
struct shared_text *shared_text_make(const char *text);

/* End a use. The last use frees the text. The argument may be NULL. */
void shared_text_release(struct shared_text *text);

#endif
