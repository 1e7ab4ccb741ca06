/* Finds a Redis, and checks that it takes writes. */
#include "redis_primary.h"

#include "server/base/clock.h"
#include "server/base/tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RESOLVE_MS = 2000,
    CONNECT_MS = 200,
    OPERATION_MS = 100, /* the time-out for each byte */
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
    char *arguments = strstr(primary->words, ", with args"); /* some servers repeat the arguments of an unknown AUTH,
                                                                with the password */
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
    for (size_t i = 0; i < REDIS_SENTINELS; i++) {
        resolve_abandon(primary->sentinel_lookups[i]);
        primary->sentinel_lookups[i] = NULL;
    }
}

/* ---- greeting ---- */

/* Send one command and check the type and the length of its reply (-1: any length). The reply is copied to out, unless
   out is NULL. */
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

/* The script deletes a key that does not exist. This is a write, which a replica or a Redis with problems refuses. */
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

/* Connect to an address, or with port 0 to the path of a socket. host is the name that the certificate must have. */
static bool connect_link(struct redis_primary *primary, const char *address, int port, const char *host)
{
    const struct redis_url *url = &primary->url;
    const struct tls_client_files files = {.ca = url->ca, .certificate = url->certificate, .key = url->key};
    drop_link(primary);
    primary->link = redis_link_new(primary->most_bytes);
    if (!primary->link)
        return redis_primary_fail(primary, TROUBLE_MEMORY, "out of memory");
    return (redis_link_connect(primary->link, address, port, CONNECT_MS, OPERATION_MS) &&
            (!url->tls || redis_link_secure(primary->link, host, &files))) ||
           redis_primary_fail_link(primary);
}

static bool find_addresses(struct redis_primary *primary, struct lookup **lookup, const char *host,
                           struct addresses *addresses)
{
    const char *why = "its name was not resolved in time";
    return resolve(lookup, host, RESOLVE_MS, primary->ending, addresses, &why) == RESOLVE_DONE ||
           redis_primary_fail(primary, TROUBLE_RESOLVE, why);
}

/* ---- Sentinel ---- */

/* The two texts of a Sentinel's answer: host and port. Source: redis.io/docs/latest/operate/oss_and_stack/management/sentinel. */
static bool read_place(struct redis_primary *primary, struct redis_host *out)
{
    const char *ask[] = {"SENTINEL", "get-master-addr-by-name", primary->url.primary};
    int64_t deadline = clock_ns() + OPERATION_MS * (int64_t)NS_PER_MS;
    struct redis_link *link = primary->link;
    struct redis_reply reply;
    if (!redis_link_append(link, 3, ask, NULL) || !redis_link_send(link, deadline) ||
        !redis_link_reply(link, &reply, deadline))
        return redis_primary_fail_link(primary);
    if (reply.type == REDIS_ERROR)
        return redis_primary_fail(primary, redis_trouble_of(reply.str), reply.str);
    if (reply.type != REDIS_OTHER || strcmp(reply.str, "2"))
        return redis_primary_fail(primary, TROUBLE_RESOLVE, "the Sentinel does not know a primary of this name");
    if (!redis_link_reply(link, &reply, deadline))
        return redis_primary_fail_link(primary);
    if (reply.type != REDIS_STRING || snprintf(out->name, sizeof out->name, "%s", reply.str) >= (int)sizeof out->name)
        return redis_primary_fail(primary, TROUBLE_PROTOCOL, "this is no Sentinel");
    if (!redis_link_reply(link, &reply, deadline))
        return redis_primary_fail_link(primary);
    out->port = reply.type == REDIS_STRING ? atoi(reply.str) : 0;
    return (out->port > 0 && out->port < 65536) || redis_primary_fail(primary, TROUBLE_PROTOCOL, "this is no Sentinel");
}

static bool ask_sentinel(struct redis_primary *primary, size_t i, struct redis_host *out)
{
    const struct redis_host *sentinel = &primary->url.sentinels[i];
    struct addresses addresses;
    if (!find_addresses(primary, &primary->sentinel_lookups[i], sentinel->name, &addresses))
        return false;
    for (size_t a = 0; a < addresses.n && !*primary->ending; a++)
        if (connect_link(primary, addresses.text[a], sentinel->port, sentinel->name) && read_place(primary, out))
            return true;
    return false;
}

/* ---- the primary ---- */

static bool open_host(struct redis_primary *primary, const char *host, int port)
{
    struct addresses addresses;
    if (!find_addresses(primary, &primary->lookup, host, &addresses))
        return false;
    for (size_t i = 0; i < addresses.n && !*primary->ending; i++)
        if (connect_link(primary, addresses.text[i], port, host) && greet_primary(primary))
            return true;
    return false;
}

/* During a failover, a Sentinel may still name the old primary while another Sentinel names the new one. */
static bool open_by_sentinels(struct redis_primary *primary)
{
    size_t n = primary->url.n_sentinels;
    for (size_t k = 0; k < n && !*primary->ending; k++) {
        size_t i = (primary->sentinel + k) % n;
        struct redis_host place;
        if (!ask_sentinel(primary, i, &place))
            continue;
        resolve_abandon(primary->lookup); /* it may belong to another host */
        primary->lookup = NULL;
        if (!open_host(primary, place.name, place.port))
            continue;
        primary->sentinel = i;
        return true;
    }
    return false;
}

bool redis_primary_open(struct redis_primary *primary)
{
    const struct redis_url *url = &primary->url;
    drop_link(primary);
    if (*url->path)
        return connect_link(primary, url->path, 0, "") && greet_primary(primary);
    return url->n_sentinels ? open_by_sentinels(primary) : open_host(primary, url->host, url->port);
}
