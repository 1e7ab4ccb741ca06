/* The address of a Redis: redis://[user:password@]host[:port][/db],
   redis+unix://[user:password@]/path/of/socket[?db=1], or
   redis+sentinel://[user:password@]host[:port],host[:port]…/name[/db], whose Sentinels know the primary with this name.
   rediss and rediss+sentinel are the same over TLS. They may be followed by
   ?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE, as in redis-py: the authorities, and the client's certificate
   and key. */
#ifndef CONFIG_REDIS_URL_H
#define CONFIG_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

enum { REDIS_SENTINELS = 8 };

struct redis_host {
    char name[256];
    int port;
};

struct redis_url {
    char host[256], path[108]; /* one address; the path of a socket */
    int port;
    char user[128], password[256]; /* "": none */
    char db[12];
    bool tls;
    char ca[256], certificate[256], key[256]; /* files; "": none */
    struct redis_host sentinels[REDIS_SENTINELS];
    size_t n_sentinels; /* 0: the host is the primary */
    char primary[128];  /* the primary's name */
};

/* Returns false if the text is not such an address. User and password may have percent escapes ("%3a"). */
bool redis_url_read(const char *text, struct redis_url *url);

#endif
