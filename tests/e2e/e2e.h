/* A real server process, HTTP by libcurl, and raw sockets: what the end-to-end tests share. */
#ifndef TESTS_E2E_H
#define TESTS_E2E_H

#include <curl/curl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* A running server. */
struct daemon {
    pid_t pid;
    int port;
    char url[128], log_path[64], config_path[64];
    char ca[64], key[64]; /* of https, and a key that requests have; "": none */
};

/* Start the server with a configuration (JSON text; port 0 and a host are given as flags). Fails the test when it does
   not become ready. arguments: further ones, ending with NULL; may be NULL. */
void daemon_start(struct daemon *daemon, const char *config, const char *const *arguments);

/* In a child, before it becomes another program: a test that fails leaves no process behind. */
void end_with_the_test(void);

/* The same in two steps. prepare, where it is not NULL, runs in the new process before the server does. */
void daemon_spawn(struct daemon *daemon, const char *config, const char *const *arguments, void (*prepare)(void));
void daemon_await(struct daemon *daemon);

/* Processor time that it has used, in milliseconds. */
long daemon_cpu_ms(const struct daemon *daemon);

/* Send a signal and wait; returns the exit code (128 + n for a signal), or -1 when it had to be killed after 30 s. */
int daemon_stop(struct daemon *daemon, int signal);

/* Wait for its end without a signal. */
int daemon_wait(struct daemon *daemon, int seconds);

/* With CELLSERVE_TEST_TLS the test is skipped, for this reason: it is about what is different over TLS, or with a key. */
void plain_alone(const char *reason);

/* Everything it has logged; free() it. */
char *daemon_log(const struct daemon *daemon);
/* The same once this text is in it: a thread writes the log, some milliseconds after what it tells. */
char *daemon_log_with(const struct daemon *daemon, const char *text);

/* Resident memory in KiB. */
long daemon_rss_kib(const struct daemon *daemon);

/* Run a shell command with the binary as $B and the source tree as $S; what it prints into out, and its exit code. */
int shell_run(const char *command, char *out, size_t size);
/* Assert its exit code, and that it prints this text; NULL: any. */
void shell_expect(const char *command, int code, const char *text);

struct reply {
    long status;
    char *body;
    size_t bytes;
    char headers[4096];
    json_t *json; /* NULL when the body is no JSON */
};

/* body NULL: GET, else POST. headers: "Name: value" lines ending with NULL, or NULL. A reply of status 0 means that
   there was none. */
struct reply http_request(const struct daemon *daemon, const char *method, const char *path, const char *body,
                          const char *const *headers);
struct reply http_get(const struct daemon *daemon, const char *path);
struct reply http_post(const struct daemon *daemon, const char *path, const char *body);
void reply_free(struct reply *reply);

/* A number of /metrics, by its whole name; -1 when it is not there. */
double metric(const struct daemon *daemon, const char *name);

/* Assert a JSON error answer. path NULL: none is expected. */
void assert_error(const struct reply *reply, long status, const char *code, const char *path);

/* POST /predict and assert the error. */
void assert_predict_error(const struct daemon *daemon, const char *body, long status, const char *code,
                          const char *path);

/* Assert status 200; returns the reply's JSON, to be given up with json_decref(), and frees the reply. */
json_t *ok(struct reply reply);

/* Assert that both are the same JSON. */
void assert_same(const json_t *a, const json_t *b);

/* A connected socket; its kernel takes about so many bytes before they are read (SO_RCVBUF), 0: as usual. */
extern int raw_receive_bytes;
int raw_connect(const struct daemon *daemon);
/* The same, from an address of loopback ("127.0.0.2"). */
int raw_connect_from(const struct daemon *daemon, const char *address);

/* Send bytes (all of them), then read until the peer closes or nothing comes for timeout_ms; returns the bytes read,
   NUL-terminated in out. */
size_t raw_read(int fd, char *out, size_t size, int timeout_ms);
void raw_send(int fd, const char *bytes, size_t n);
/* POST /predict on a connection of its own, which ends with the answer; headers are lines with their ends. */
int raw_post(const struct daemon *daemon, const char *headers, const char *body);
/* Both, on a connection of its own; the first status, 0 for none. */
int raw_status(const struct daemon *daemon, const char *request);

/* Milliseconds of a monotonic clock; sleep. */
double now_ms(void);
void sleep_ms(int ms);

/* The whole of a file below the source tree; free() it. */
char *read_source_file(const char *path);

/* A configuration of one LSTM(units) over `features`, named m, with further members ("" for none, else they begin with
   a comma). */
const char *small_config(int features, int units, const char *more);

#endif
