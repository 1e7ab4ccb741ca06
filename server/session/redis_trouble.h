/* Kinds of errors of Redis: labels of metrics, and the basis for decisions. */
#ifndef SERVER_SESSION_REDIS_TROUBLE_H
#define SERVER_SESSION_REDIS_TROUBLE_H

enum redis_trouble {
    TROUBLE_RESOLVE,  /* the name has no address */
    TROUBLE_CONNECT,  /* no server listens there */
    TROUBLE_TIMEOUT,  /* no answer in time */
    TROUBLE_LOST,     /* the connection ended */
    TROUBLE_TLS,      /* the handshake failed: the certificate is not trusted, or it is for another host */
    TROUBLE_PROTOCOL, /* the server is not a Redis */
    TROUBLE_MEMORY,   /* out of memory in this process */
    /* the error's first word is in Redis's text */
    TROUBLE_OOM,
    TROUBLE_NOSCRIPT,
    TROUBLE_WRONGTYPE,
    TROUBLE_READONLY,
    TROUBLE_LOADING,
    TROUBLE_MASTERDOWN,
    TROUBLE_NOAUTH,
    TROUBLE_WRONGPASS,
    TROUBLE_NOPERM,
    TROUBLE_MISCONF,
    TROUBLE_MOVED,
    TROUBLE_CLUSTERDOWN,
    TROUBLE_NOREPLICAS,
    TROUBLE_BUSY,
    TROUBLE_OTHER,
    TROUBLE_KINDS,
};

/* "readonly": the label of metrics. */
const char *redis_trouble_name(enum redis_trouble kind);

/* The kind of an error of Redis, from its text. */
enum redis_trouble redis_trouble_of(const char *words);

#endif
