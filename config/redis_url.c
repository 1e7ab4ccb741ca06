/* Addresses of Redis. Source: IANA's provisional registration of the redis URI scheme. */
#include "redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* n bytes of text with their percent signs resolved; false when they do not fit or name no character. */
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

static bool read_db(const char *text, struct redis_url *url)
{
    long db;
    if (!*text)
        return true;
    snprintf(url->db, sizeof url->db, "%.10s", text);
    return read_number(text, strlen(text), 999999, &db);
}

/* "host", "host:port", "[::1]:port" */
static bool read_host(const char *at, const char *end, struct redis_url *url)
{
    bool bracket = *at == '[';
    const char *stop = memchr(at, bracket ? ']' : ':', (size_t)(end - at));
    long port = 6379;
    if (bracket && !stop)
        return false;
    at += bracket;
    if (!stop)
        stop = end;
    const char *colon = stop + bracket;
    if (colon < end && (*colon != ':' || !read_number(colon + 1, (size_t)(end - colon - 1), 65535, &port)))
        return false;
    url->port = (int)port;
    return stop > at && decode(at, (size_t)(stop - at), url->host, sizeof url->host);
}

bool redis_url_read(const char *text, struct redis_url *url)
{
    *url = (struct redis_url){.db = "0"};
    bool local = !strncmp(text, "redis+unix://", 13) || !strncmp(text, "unix://", 7);
    if (!local && strncmp(text, "redis://", 8))
        return false;
    const char *at = strstr(text, "://") + 3, *sign = strrchr(at, '@');
    if (sign) {
        const char *colon = memchr(at, ':', (size_t)(sign - at));
        if (colon && !decode(at, (size_t)(colon - at), url->user, sizeof url->user))
            return false;
        const char *password = colon ? colon + 1 : at;
        if (!decode(password, (size_t)(sign - password), url->password, sizeof url->password))
            return false;
        at = sign + 1;
    }
    if (local) {
        size_t n = strcspn(at, "?");
        return *at == '/' && decode(at, n, url->path, sizeof url->path) &&
               (!at[n] || (!strncmp(at + n, "?db=", 4) && read_db(at + n + 4, url)));
    }
    size_t n = strcspn(at, "/");
    return read_host(at, at + n, url) && read_db(at + n + (at[n] == '/'), url);
}
