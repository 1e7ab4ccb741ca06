/* Kinds of errors of Redis. */
#include "redis_trouble.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name, *word;
} kinds[TROUBLE_KINDS] = {
    [TROUBLE_RESOLVE] = {"resolve", NULL},
    [TROUBLE_CONNECT] = {"connect", NULL},
    [TROUBLE_TIMEOUT] = {"timeout", NULL},
    [TROUBLE_LOST] = {"lost", NULL},
    [TROUBLE_TLS] = {"tls", NULL},
    [TROUBLE_PROTOCOL] = {"protocol", NULL},
    [TROUBLE_MEMORY] = {"memory", NULL},
    [TROUBLE_OOM] = {"oom", "OOM"},
    [TROUBLE_NOSCRIPT] = {"noscript", "NOSCRIPT"},
    [TROUBLE_WRONGTYPE] = {"wrongtype", "WRONGTYPE"},
    [TROUBLE_READONLY] = {"readonly", "READONLY"},
    [TROUBLE_LOADING] = {"loading", "LOADING"},
    [TROUBLE_MASTERDOWN] = {"masterdown", "MASTERDOWN"},
    [TROUBLE_NOAUTH] = {"noauth", "NOAUTH"},
    [TROUBLE_WRONGPASS] = {"wrongpass", "WRONGPASS"},
    [TROUBLE_NOPERM] = {"noperm", "NOPERM"},
    [TROUBLE_MISCONF] = {"misconf", "MISCONF"},
    [TROUBLE_MOVED] = {"moved", "MOVED"},
    [TROUBLE_CLUSTERDOWN] = {"clusterdown", "CLUSTERDOWN"},
    [TROUBLE_NOREPLICAS] = {"noreplicas", "NOREPLICAS"},
    [TROUBLE_BUSY] = {"busy", "BUSY"},
    [TROUBLE_OTHER] = {"other", NULL},
};

const char *redis_trouble_name(enum redis_trouble kind)
{
    return kinds[kind].name;
}

/* Redis before 7 writes "ERR Error running script" before an error within a script. */
enum redis_trouble redis_trouble_of(const char *words)
{
    for (size_t i = 0; i < TROUBLE_KINDS; i++)
        if (kinds[i].word && !strncmp(words, kinds[i].word, strlen(kinds[i].word)))
            return (enum redis_trouble)i;
    for (size_t i = 0; i < TROUBLE_KINDS && !strncmp(words, "ERR Error running script", 24); i++)
        if (kinds[i].word && strstr(words, kinds[i].word))
            return (enum redis_trouble)i;
    return TROUBLE_OTHER;
}
