/* A peer that answers as Redis does, or with errors, late, or in pieces, as a test tells it while it runs. */
#ifndef TESTS_REDIS_PEER_H
#define TESTS_REDIS_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer {
    int listener, port;
    pthread_t thread;
    atomic_bool ending, knows_script;
    const char *_Atomic greeting_error;                    /* to SCRIPT LOAD */
    const char *_Atomic write_error;                       /* to the script, also when it is tried out */
    const char *_Atomic error;                             /* to reads and writes of sessions */
    const char *_Atomic auth_error, *_Atomic select_error; /* to AUTH, SELECT */
    char user[64], password[64], db[16];                   /* as they were given there last */
    atomic_int late_ms, piece_bytes, connections;
    /* one key */
    pthread_mutex_t lock;
    char value[1 << 18];
    size_t bytes;
};

/* At 127.0.0.`host`; port 0: any. */
void peer_start(struct peer *peer, uint32_t host, int port);

/* After the store has been closed, since it reads until the connection ends. */
void peer_stop(struct peer *peer);

/* The value of its one key, whatever that is named; and how long it is. */
void peer_put(struct peer *peer, const void *bytes, size_t n);
size_t peer_bytes(struct peer *peer);

#endif
