/* A small number for each thread, for what is divided among threads. */
#ifndef SERVER_BASE_THREAD_NUMBER_H
#define SERVER_BASE_THREAD_NUMBER_H

#include <stddef.h>

/* The number of the calling thread: 0, 1, 2, … in the order in which threads first ask. */
size_t thread_number(void);

#endif
