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

/* The same with these models (the member of a configuration), in database 0. */
void start_with_redis(struct daemon *server, const struct redis *redis, const char *models);

/* A request, sent again while it is refused because the store is not available: a server waits for Redis for 100 ms only,
   which a loaded machine may take. The request must be one that can be repeated. */
struct reply ask_patiently(const struct daemon *server, const char *method, const char *path, const char *body);

/* Send step n of a session, with a value as its input; once, patiently, and with the assertion that it
   is applied. */
struct reply step(const struct daemon *server, const char *session, int n, double value);
struct reply patient_step(const struct daemon *server, const char *session, int n, double value);
void good_step(const struct daemon *server, const char *session, int n, double value);

/* Assert that the states are those after steps 0 to n - 1, whose inputs are their numbers. */
void assert_undisturbed(const struct daemon *server, const char *session, int n);

/* Send a request for the session; assert the status and, if code is not NULL, the error. */
void assert_session(const struct daemon *server, const char *method, const char *id, const char *body, long status,
                    const char *code);

#endif
