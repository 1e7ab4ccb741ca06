/* Where a Redis is: redis://[user:password@]host[:port][/db], or redis+unix://[user:password@]/path/of/socket[?db=1]. */
#ifndef CONFIG_REDIS_URL_H
#define CONFIG_REDIS_URL_H

#include <stdbool.h>

struct redis_url {
    char host[256], path[108]; /* one of them; the path of a socket */
    int port;
    char user[128], password[256]; /* "": none */
    char db[12];
};

/* False when the text is no such address. "%3a" and the like stand for characters in user and password. */
bool redis_url_read(const char *text, struct redis_url *url);

#endif
