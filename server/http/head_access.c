/* Fields of a head that decide on access. */
#include "head_access.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    size_t bytes, offset;
} fields[] = {
#define FIELD(name, member)                                                                                            \
    {                                                                                                                  \
        name, sizeof(name) - 1, offsetof(struct head_access, member)                                                   \
    }
    FIELD("Host", host),
    FIELD("Origin", origin),
    FIELD("Authorization", authorization),
    FIELD("X-API-Key", api_key),
    FIELD("traceparent", traceparent),
    FIELD("Access-Control-Request-Method", asked_method),
    FIELD("Access-Control-Request-Private-Network", asked_network),
#undef FIELD
};

bool head_access_keep(const char *name, size_t name_bytes, struct head_text value, struct head_access *access,
                      struct failure *failure)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i].bytes != name_bytes || strncasecmp(fields[i].name, name, name_bytes))
            continue;
        struct head_text *kept = (struct head_text *)(void *)((char *)access + fields[i].offset);
        if (kept->text)
            return failure_set(failure, 400, "bad_request", "", "The request has more than one %s.", fields[i].name);
        *kept = value;
    }
    return true;
}

struct head_text head_access_key(const struct head_access *access)
{
    static const char scheme[] = "Bearer";
    const size_t n = sizeof scheme - 1;
    struct head_text key = access->authorization;
    if (!key.text || key.bytes <= n || strncasecmp(key.text, scheme, n) || key.text[n] != ' ')
        return access->api_key;
    for (key.text += n, key.bytes -= n; key.bytes && *key.text == ' '; key.bytes--)
        key.text++;
    return key;
}
