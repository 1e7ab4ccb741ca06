/* Parses addresses of Redis. Source: IANA's provisional registration of the redis URI scheme; for Sentinel, the form of
   most clients. */
#include "redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Decode the percent signs in n bytes of text. Returns false if the text does not fit, or if an escape is not valid. */
static bool decode(const char *text, size_t n, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned value = (unsigned char)text[i];
        if (value == '%') {
            if (i + 2 >= n || sscanf(text + i + 1, "%2x", &value) != 1 || !value ||
                strspn(text + i + 1, "0123456789abcdefABCDEF") < 2)
                return false;
            i += 2;
        }
        if (used + 1 >= size)
            return false;
        out[used++] = (char)value;
    }
    out[used] = 0;
    return true;
}

static bool read_number(const char *text, size_t n, long most, long *out)
{
    char *end;
    *out = strtol(text, &end, 10);
    return n > 0 && n < 10 && strspn(text, "0123456789") >= n && end >= text + n && *out <= most;
}

static bool read_db(const char *text, size_t n, struct redis_url *url)
{
    long db;
    if (!n)
        return true;
    snprintf(url->db, sizeof url->db, "%.*s", (int)(n < 10 ? n : 10), text);
    return read_number(text, n, 999999, &db);
}

/* "host", "host:port", "[::1]:port" */
static bool read_host(const char *at, const char *end, long port, char *name, size_t size, int *out_port)
{
    bool bracket = at < end && *at == '[';
    const char *stop = at < end ? memchr(at, bracket ? ']' : ':', (size_t)(end - at)) : NULL;
    if (bracket && !stop)
        return false;
    at += bracket;
    if (!stop)
        stop = end;
    const char *colon = stop + bracket;
    if (colon < end && (*colon != ':' || !read_number(colon + 1, (size_t)(end - colon - 1), 65535, &port)))
        return false;
    *out_port = (int)port;
    return stop > at && decode(at, (size_t)(stop - at), name, size);
}

/* "a,b:26380": the default port of Sentinels is 26379. */
static bool read_sentinels(const char *at, const char *end, struct redis_url *url)
{
    while (at <= end) {
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        if (url->n_sentinels == REDIS_SENTINELS)
            return false;
        struct redis_host *host = &url->sentinels[url->n_sentinels++];
        if (!read_host(at, stop, 26379, host->name, sizeof host->name, &host->port))
            return false;
        at = stop + 1;
    }
    return true;
}

/* "ssl_ca_certs=FILE&…" */
static bool read_files(const char *at, struct redis_url *url)
{
    const struct {
        const char *name;
        char *out;
    } keys[] = {{"ssl_ca_certs=", url->ca}, {"ssl_certfile=", url->certificate}, {"ssl_keyfile=", url->key}};
    while (*at) {
        size_t n = strcspn(at, "&"), i = 0;
        while (i < sizeof keys / sizeof *keys && strncmp(at, keys[i].name, strlen(keys[i].name)))
            i++;
        if (i == sizeof keys / sizeof *keys)
            return false;
        size_t before = strlen(keys[i].name);
        if (n == before || !decode(at + before, n - before, keys[i].out, sizeof url->ca))
            return false;
        at += n + (at[n] == '&');
    }
    return !*url->certificate == !*url->key;
}

static bool read_user(const char *at, const char *sign, struct redis_url *url)
{
    const char *colon = memchr(at, ':', (size_t)(sign - at)), *password = colon ? colon + 1 : at;
    return (!colon || decode(at, (size_t)(colon - at), url->user, sizeof url->user)) &&
           decode(password, (size_t)(sign - password), url->password, sizeof url->password);
}

/* The hosts, the path after them, and the files. */
static bool read_network(const char *at, bool sentinel, struct redis_url *url)
{
    size_t whole = strcspn(at, "?"), n = strcspn(at, "/?");
    const char *rest = at + n + (at[n] == '/'), *end = at + whole;
    if (rest > end)
        rest = end;
    if (at[whole] && (!url->tls || !read_files(at + whole + 1, url)))
        return false;
    if (!sentinel)
        return read_host(at, at + n, 6379, url->host, sizeof url->host, &url->port) &&
               read_db(rest, (size_t)(end - rest), url);
    const char *slash = memchr(rest, '/', (size_t)(end - rest)), *name_end = slash ? slash : end;
    return read_sentinels(at, at + n, url) && name_end > rest &&
           decode(rest, (size_t)(name_end - rest), url->primary, sizeof url->primary) &&
           (!slash || read_db(slash + 1, (size_t)(end - slash - 1), url));
}

bool redis_url_read(const char *text, struct redis_url *url)
{
    static const struct {
        const char *scheme;
        bool local, tls, sentinel;
    } schemes[] = {
        {"redis://", false, false, false},         {"rediss://", false, true, false},
        {"redis+sentinel://", false, false, true}, {"rediss+sentinel://", false, true, true},
        {"redis+unix://", true, false, false},     {"unix://", true, false, false},
    };
    size_t s = 0;
    *url = (struct redis_url){.db = "0"};
    while (s < sizeof schemes / sizeof *schemes && strncmp(text, schemes[s].scheme, strlen(schemes[s].scheme)))
        s++;
    if (s == sizeof schemes / sizeof *schemes)
        return false;
    url->tls = schemes[s].tls;
    const char *at = strstr(text, "://") + 3, *query = url->tls ? strchr(at, '?') : NULL; /* otherwise it belongs to the
                                                                                             password */
    const char *sign = memrchr(at, '@', query ? (size_t)(query - at) : strlen(at));
    if (sign && !read_user(at, sign, url))
        return false;
    at = sign ? sign + 1 : at;
    if (!schemes[s].local)
        return read_network(at, schemes[s].sentinel, url);
    size_t n = strcspn(at, "?");
    return *at == '/' && decode(at, n, url->path, sizeof url->path) &&
           (!at[n] || (!strncmp(at + n, "?db=", 4) && read_db(at + n + 4, strlen(at + n + 4), url)));
}
