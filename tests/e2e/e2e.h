/* Helpers of the end-to-end tests: a real server process, HTTP with libcurl, and raw sockets. */
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
    long ended_cpu_ms;    /* processor time that it had used when it had ended, with that of its children */
};

/* Start the server with a configuration (JSON text; port 0 and a host are given as flags). The test fails if the server
   does not become ready. arguments: further arguments, ending with NULL; may be NULL. */
void daemon_start(struct daemon *daemon, const char *config, const char *const *arguments);

/* Call it in a child process before exec: the child ends with the test, also if the test fails. */
void end_with_the_test(void);

/* daemon_start in two steps. prepare, if not NULL, runs in the new process before the server. */
void daemon_spawn(struct daemon *daemon, const char *config, const char *const *arguments, void (*prepare)(void));
void daemon_await(struct daemon *daemon);

/* Processor time that it and its ended children have used, in milliseconds. */
long daemon_cpu_ms(const struct daemon *daemon);

/* Send a signal and wait; returns the exit code (128 + n for a signal), or -1 when it had to be killed after 60 s. */
int daemon_stop(struct daemon *daemon, int signal);

/* Wait until the server exits by itself. */
int daemon_wait(struct daemon *daemon, int seconds);

/* Skip the test if CELLSERVE_TEST_TLS is set. reason: why the test does not work over TLS, or with a key. */
void plain_alone(const char *reason);

/* The server's log; free() it. */
char *daemon_log(const struct daemon *daemon);
/* Waits until the log has this text: a thread writes the log, a few milliseconds after the event. */
char *daemon_log_with(const struct daemon *daemon, const char *text);

/* Resident memory in KiB. */
long daemon_rss_kib(const struct daemon *daemon);

/* Run a shell command with the binary as $B and the source tree as $S. Writes its output to out; returns its exit
   code. */
int shell_run(const char *command, char *out, size_t size);
/* Assert the exit code of a command, and that its output contains this text; NULL: any text. */
void shell_expect(const char *command, int code, const char *text);

struct reply {
    long status;
    char *body;
    size_t bytes;
    char headers[4096];
    json_t *json; /* NULL if the body is not JSON */
};

/* body NULL: GET, else POST. headers: "Name: value" lines ending with NULL, or NULL. A reply of status 0 means that
   there was no answer. */
struct reply http_request(const struct daemon *daemon, const char *method, const char *path, const char *body,
                          const char *const *headers);
struct reply http_get(const struct daemon *daemon, const char *path);
struct reply http_post(const struct daemon *daemon, const char *path, const char *body);
void reply_free(struct reply *reply);

/* A number of /metrics, by its name with labels; -1 if it is absent. */
double metric(const struct daemon *daemon, const char *name);

/* The admin listener of a server that has one on a free port. */
struct daemon admin_of(const struct daemon *daemon);

/* Wait until a number of /metrics lies in least..most, and return it. The caller must not read it again for an assertion:
   a gauge may have changed by then. */
double await_metric(const struct daemon *daemon, const char *name, double least, double most);

/* Wait until a page (status 200) has a text, or has it no longer. */
void await_page(const struct daemon *daemon, const char *path, const char *text, bool has);

/* Whether bytes, or the end of the connection, can be read now; wait until they can. */
bool is_readable(int fd);
void await_readable(int fd);

/* Connect, send the head of a POST /predict and the first of its 25 bytes, "{". "100 Continue" has shown that the I/O thread
   has read the head. */
int open_upload(const struct daemon *daemon);

/* Wait until a request runs. False: the answer to fd's request has come before. */
bool await_running_or_answer(const struct daemon *daemon, int fd);

/* Wait until fd's request has its place behind that of `first`, a long one of the same session: so many wait then. Where
   `first` has been answered before, until fd's request has been answered, too. */
void await_turn(const struct daemon *daemon, int fd, int first, long waiting);

/* Assert a JSON error answer. path NULL: none is expected. */
void assert_error(const struct reply *reply, long status, const char *code, const char *path);

/* POST /predict and assert the error. */
void assert_predict_error(const struct daemon *daemon, const char *body, long status, const char *code,
                          const char *path);

/* Assert status 200, free the reply, and return its JSON, which the caller releases with json_decref(). */
json_t *ok(struct reply reply);

/* Assert that both are the same JSON. */
void assert_same(const json_t *a, const json_t *b);

/* Returns a connected socket. raw_receive_bytes: SO_RCVBUF of the socket; 0: the default. */
extern int raw_receive_bytes;
int raw_connect(const struct daemon *daemon);
/* The same, from another loopback address ("127.0.0.2"). */
int raw_connect_from(const struct daemon *daemon, const char *address);

/* raw_read reads until the peer closes, or until no byte arrives for timeout_ms. It returns the number of bytes, which
   are NUL-terminated in out. raw_send sends all bytes. */
size_t raw_read(int fd, char *out, size_t size, int timeout_ms);
void raw_send(int fd, const char *bytes, size_t n);
/* POST /predict on a new connection, which is closed after the answer. headers: lines that end with CR LF. */
int raw_post(const struct daemon *daemon, const char *headers, const char *body);
/* Send a request on a new connection; returns the status of the first answer, 0 for none. */
int raw_status(const struct daemon *daemon, const char *request);

/* Milliseconds of a monotonic clock; sleep. */
double now_ms(void);
void sleep_ms(int ms);

/* The content of a file of the source tree; free() it. */
char *read_source_file(const char *path);

/* A configuration with a model m, an LSTM(units) over `features`. more: further members ("", or text that begins with a
   comma). */
const char *small_config(int features, int units, const char *more);

#endif
