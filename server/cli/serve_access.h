/* The keys and the certificate of a server, and the thread that reads changed files again. */
#ifndef SERVER_CLI_SERVE_ACCESS_H
#define SERVER_CLI_SERVE_ACCESS_H

#include "config/problems.h"

#include <stdbool.h>

struct services;
struct settings;

/* Returns false with a problem added. Call serve_access_close in any case. */
bool serve_access_open(struct services *services, struct problems *problems);

/* Read the files again, after SIGHUP. */
void serve_access_again(void);

/* Whether the files can be read; for the command check. */
bool serve_access_check(const struct settings *settings, struct problems *problems);

/* Call it when no request is left. */
void serve_access_close(struct services *services);

#endif
