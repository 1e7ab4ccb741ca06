/* A Redis process of the test, servers with their sessions in it, and steps of these sessions. */
#ifndef TESTS_E2E_REDIS_H
#define TESTS_E2E_REDIS_H

#include "e2e.h"

#include <hiredis/hiredis.h>

/* A Redis process that keeps acknowledged writes when it is killed. */
struct redis {
    pid_t pid;
    int port;
    char folder[64];
};

/* Start Redis on a free port, and wait until it is ready; redis_stop also removes its files. */
void redis_start(struct redis *redis);
void redis_stop(struct redis *redis);

/* Kill the process, and start another one on the same port with the same files. */
void redis_kill(struct redis *redis);
void redis_run(struct redis *redis);

/* A new connection to Redis; redisFree() it. */
redisContext *redis_connect(const struct redis *redis);

/* Run a command with up to two arguments; returns its integer, -1 for an error. */
long command(const struct redis *redis, const char *format, const char *a, const char *b);

/* Start a server with a model m of two features and its sessions in the Redis of a port. */
void replica_start(struct daemon *server, int port);

/* Send step n of a session, with a value as its input; good_step asserts that it is applied. */
struct reply step(const struct daemon *server, const char *session, int n, double value);
void good_step(const struct daemon *server, const char *session, int n, double value);

/* Assert that the states are those after steps 0 to n - 1, whose inputs are their numbers. */
void assert_undisturbed(const struct daemon *server, const char *session, int n);

/* Send a request for the session; assert the status and, if code is not NULL, the error. */
void assert_session(const struct daemon *server, const char *method, const char *id, const char *body, long status,
                    const char *code);

#endif
