/* Keys and the certificate of a server, and the thread that reads their files anew. */
#ifndef SERVER_CLI_SERVE_ACCESS_H
#define SERVER_CLI_SERVE_ACCESS_H

#include "config/problems.h"

#include <stdbool.h>

struct services;
struct settings;

/* False with a problem added; serve_access_close in any case. */
bool serve_access_open(struct services *services, struct problems *problems);

/* Read the files again: SIGHUP. */
void serve_access_again(void);

/* Whether the files can be read: for check. */
bool serve_access_check(const struct settings *settings, struct problems *problems);

/* There are no requests any more. */
void serve_access_close(struct services *services);

#endif
