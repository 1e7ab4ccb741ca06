/* Finding a Redis, and trying whether it takes writes. */
#include "redis_primary.h"

#include "server/base/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    RESOLVE_MS = 2000,
    CONNECT_MS = 200,
    OPERATION_MS = 100, /* without a byte */
};

static void drop_link(struct redis_primary *primary)
{
    redis_link_close(primary->link);
    primary->link = NULL;
}

bool redis_primary_fail(struct redis_primary *primary, enum redis_trouble kind, const char *words)
{
    primary->kind = kind;
    snprintf(primary->words, sizeof primary->words, "%s", words);
    char *arguments = strstr(primary->words, ", with args"); /* an unknown AUTH is told with its password */
    if (arguments)
        *arguments = 0;
    for (char *at = primary->words; *at; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    drop_link(primary);
    return false;
}

bool redis_primary_fail_link(struct redis_primary *primary)
{
    return redis_primary_fail(primary, primary->link->kind, primary->link->error);
}

bool redis_primary_is_open(struct redis_primary *primary)
{
    if (primary->link && !redis_link_idles(primary->link))
        drop_link(primary);
    return primary->link != NULL;
}

void redis_primary_close(struct redis_primary *primary)
{
    drop_link(primary);
    resolve_abandon(primary->lookup);
    primary->lookup = NULL;
}

/* ---- greeting ---- */

/* One command whose reply has to be of a type, and as long (-1: of any length). It is copied to out, if any. */
static bool ask_primary(struct redis_primary *primary, size_t argc, const char *const *argv, enum redis_type type,
                        long bytes, char *out)
{
    int64_t deadline = clock_ns() + OPERATION_MS * (int64_t)NS_PER_MS;
    struct redis_link *link = primary->link;
    struct redis_reply reply;
    if (!redis_link_append(link, argc, argv, NULL) || !redis_link_send(link, deadline) ||
        !redis_link_reply(link, &reply, deadline))
        return redis_primary_fail_link(primary);
    if (reply.type == REDIS_ERROR)
        return redis_primary_fail(primary, redis_trouble_of(reply.str), reply.str);
    if (reply.type != type || (bytes >= 0 && reply.len != (size_t)bytes))
        return redis_primary_fail(primary, TROUBLE_PROTOCOL, "this is no Redis");
    if (out)
        memcpy(out, reply.str, reply.len + 1);
    return true;
}

/* The script deletes a key that is not there: that is a write, which replicas and all those refuse that are not as they
   should be. */
static bool greet_primary(struct redis_primary *primary)
{
    const struct redis_url *url = &primary->url;
    const char *with_user[] = {"AUTH", url->user, url->password}, *without[] = {"AUTH", url->password};
    const char *probe[] = {"EVALSHA", primary->sha, "1", primary->probe_key, "", "", "1", "0"};
    if (*url->password && !(*url->user ? ask_primary(primary, 3, with_user, REDIS_STATUS, -1, NULL)
                                       : ask_primary(primary, 2, without, REDIS_STATUS, -1, NULL)))
        return false;
    if (strcmp(url->db, "0") && !ask_primary(primary, 2, (const char *[]){"SELECT", url->db}, REDIS_STATUS, -1, NULL))
        return false;
    return ask_primary(primary, 3, (const char *[]){"SCRIPT", "LOAD", primary->script}, REDIS_STRING, 40,
                       primary->sha) &&
           ask_primary(primary, 8, probe, REDIS_STRING, -1, NULL);
}

/* Port 0: the path of a socket. */
static bool open_at(struct redis_primary *primary, const char *address, int port)
{
    primary->link = redis_link_new(primary->most_bytes);
    if (!primary->link)
        return redis_primary_fail(primary, TROUBLE_MEMORY, "out of memory");
    if (!redis_link_connect(primary->link, address, port, CONNECT_MS, OPERATION_MS))
        return redis_primary_fail_link(primary);
    return greet_primary(primary);
}

bool redis_primary_open(struct redis_primary *primary)
{
    struct addresses addresses;
    const char *why;
    drop_link(primary);
    if (*primary->url.path)
        return open_at(primary, primary->url.path, 0);
    switch (resolve(&primary->lookup, primary->url.host, RESOLVE_MS, primary->ending, &addresses, &why)) {
    case RESOLVE_DONE:
        break;
    case RESOLVE_FAILED:
        return redis_primary_fail(primary, TROUBLE_RESOLVE, why);
    case RESOLVE_PENDING:
        return redis_primary_fail(primary, TROUBLE_RESOLVE, "its name is not resolved in time");
    }
    for (size_t i = 0; i < addresses.n && !*primary->ending; i++)
        if (open_at(primary, addresses.text[i], primary->url.port))
            return true;
    return false;
}
