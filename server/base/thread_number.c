/* Numbers of threads. */
#include "thread_number.h"

#include <stdatomic.h>
#include <stdint.h>

size_t thread_number(void)
{
    static atomic_size_t next;
    static _Thread_local size_t own = SIZE_MAX;
    if (own == SIZE_MAX)
        own = atomic_fetch_add(&next, 1);
    return own;
}
