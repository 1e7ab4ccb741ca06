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

/* A copy, and an end of line, with one use, the caller's; NULL when out of memory. */
struct shared_text *shared_text_make(const char *text);

/* End a use; NULL is fine. The last one frees the text. */
void shared_text_release(struct shared_text *text);

#endif
