/* Predictions without a server: gives commands the answer that POST /predict would give. */
#ifndef SERVER_CLI_LOCAL_H
#define SERVER_CLI_LOCAL_H

#include "cli.h"
#include "server/run/request.h"
#include "server/run/server.h"

struct local {
    struct server server;
    struct worker worker;
    struct request request;
};

/* Load the positional MODEL. Returns EXIT_GOOD, or the exit code after printing all problems to stderr. Call
   local_close in any case. The struct must not move while it is open. */
int local_open(struct local *local, struct cli *cli, const struct command *command);

/* Answer a body. The function takes ownership of the body, which was allocated by malloc with one spare byte at its
   end. The answer is in local->request: status, text, text_bytes. */
void local_answer(struct local *local, char *body, size_t bytes);

void local_close(struct local *local);

/* Read a whole file (NULL: standard input) into memory of malloc, followed by a NUL byte. Returns NULL with errno set;
   EFBIG if the file is larger than max_bytes. */
char *read_whole(const char *path, size_t max_bytes, size_t *bytes);

#endif
