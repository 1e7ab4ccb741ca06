/* A Redis of the test's own, servers that keep their sessions there, and steps of these sessions. */
#ifndef TESTS_E2E_REDIS_H
#define TESTS_E2E_REDIS_H

#include "e2e.h"

#include <hiredis/hiredis.h>

/* A Redis of the test's own that keeps everything it has acknowledged. */
struct redis {
    pid_t pid;
    int port;
    char folder[64];
};

/* On a free port, and ready; stop also removes its files. */
void redis_start(struct redis *redis);
void redis_stop(struct redis *redis);

/* Its process alone: kill it, and start another on the same port with the same files. */
void redis_kill(struct redis *redis);
void redis_run(struct redis *redis);

/* A connection of the test's own; redisFree() it. */
redisContext *redis_connect(const struct redis *redis);

/* Run a command with up to two arguments; returns its integer, -1 for an error. */
long command(const struct redis *redis, const char *format, const char *a, const char *b);

/* Start a server with a model m of two features and its sessions in the Redis of a port. */
void replica_start(struct daemon *server, int port);

/* Send step n of a session, with a value as its input; good_step asserts that it is applied. */
struct reply step(const struct daemon *server, const char *session, int n, double value);
void good_step(const struct daemon *server, const char *session, int n, double value);

/* The states after steps 0 to n - 1 with their number as value, whatever has happened on the way. */
void assert_undisturbed(const struct daemon *server, const char *session, int n);

/* A request about the session: its status and, where code is not NULL, the error. */
void assert_session(const struct daemon *server, const char *method, const char *id, const char *body, long status,
                    const char *code);

#endif
