/* A scripted peer: answers as Redis does, or with errors, late, or in pieces. A test may change this while the peer
   runs. */
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
    const char *_Atomic greeting_error;                    /* answer to SCRIPT LOAD */
    const char *_Atomic write_error;                       /* answer to the script, also to its trial run */
    const char *_Atomic error;                             /* answer to reads and writes of sessions */
    const char *_Atomic auth_error, *_Atomic select_error; /* answers to AUTH and SELECT */
    char user[64], password[64], db[16];                   /* the latest arguments of AUTH and SELECT */
    atomic_int late_ms, piece_bytes, connections;
    /* the value of its one key */
    pthread_mutex_t lock;
    char value[1 << 18];
    size_t bytes;
};

/* Listens at 127.0.0.`host`; port 0: a free port. */
void peer_start(struct peer *peer, uint32_t host, int port);

/* Call peer_stop after the store is closed: the peer's thread reads until the connection ends. */
void peer_stop(struct peer *peer);

/* Sets the value of the peer's one key (commands may use any name for this key); returns the length of the value. */
void peer_put(struct peer *peer, const void *bytes, size_t n);
size_t peer_bytes(struct peer *peer);

#endif
