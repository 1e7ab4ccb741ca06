/* The rules for web pages: the names of the server, and the origins that may use it. */
#ifndef SERVER_HTTP_ORIGIN_H
#define SERVER_HTTP_ORIGIN_H

#include "head_access.h"

struct settings;

struct origin_rules {
    const char *hosts, *origins; /* lists of the settings */
    const char *own;             /* the host that is listened on */
    bool local;                  /* only this machine can reach it */
    char machine[256];           /* its name */
};

/* The settings outlive the rules. */
void origin_setup(struct origin_rules *rules, const struct settings *settings, const char *host);

/* Whether Host is one of the server's names. A request without Host does not come from a page. */
bool origin_knows_host(const struct origin_rules *rules, const struct head_text *host);

/* Whether a request comes from a page of another host or port than its own Host. */
bool origin_is_foreign(const struct head_text *origin, const struct head_text *host);

/* Whether cors.origins has this one. */
bool origin_is_permitted(const struct origin_rules *rules, const struct head_text *origin);

#endif
