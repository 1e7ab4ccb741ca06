/* Predictions in the process itself: what POST /predict would answer, for commands without a server. */
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

/* Load the positional MODEL. Returns EXIT_GOOD, or the exit code with everything said on stderr. local_close in any
   case. The struct stays where it is while it is open. */
int local_open(struct local *local, struct cli *cli, const struct command *command);

/* Answer a body of malloc memory, which is taken; it has a byte of room behind it. The answer is in local->request:
   status, text, text_bytes. */
void local_answer(struct local *local, char *body, size_t bytes);

void local_close(struct local *local);

/* All of a file (NULL: standard input) in malloc memory with a NUL byte behind it; NULL with errno set. EFBIG past
   max_bytes. */
char *read_whole(const char *path, size_t max_bytes, size_t *bytes);

#endif
