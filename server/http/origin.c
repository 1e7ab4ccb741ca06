/* Checks Host and Origin. With DNS rebinding, a page's own host name resolves to this machine, so the name is in Host.
   Any other page has its origin in Origin. Sources: RFC 6454, the Fetch standard. */
#include "origin.h"

#include "config/settings.h"
#include "config/settings_access.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

void origin_setup(struct origin_rules *rules, const struct settings *settings, const char *host)
{
    *rules = (struct origin_rules){.hosts = settings->hosts, .origins = settings->cors_origins, .own = host};
    rules->local = settings_host_is_local(host) && strncmp(host, "unix:", 5);
    if (gethostname(rules->machine, sizeof rules->machine - 1))
        *rules->machine = 0;
}

static bool is_text(const struct head_text *a, const char *b)
{
    return a->bytes == strlen(b) && !strncasecmp(a->text, b, a->bytes);
}

/* "example.com:8080" without the port; "[::1]:80" is "[::1]". */
static struct head_text without_port(struct head_text host)
{
    const char *end = host.text + host.bytes, *at = end;
    while (at > host.text && at[-1] >= '0' && at[-1] <= '9')
        at--;
    if (at > host.text && at[-1] == ':' && (*host.text != '[' || (at - 1 > host.text && at[-2] == ']')))
        host.bytes = (size_t)(at - 1 - host.text);
    return host;
}

static bool lists(const char *list, const struct head_text *word)
{
    const char *item;
    size_t bytes;
    while ((item = settings_list_next(&list, &bytes)))
        if ((bytes == 1 && *item == '*') || (bytes == word->bytes && !strncasecmp(item, word->text, bytes)))
            return true;
    return false;
}

/* Loopback addresses are allowed: no page can have such an address as its host name by DNS. */
static bool is_loopback(const struct head_text *name)
{
    return is_text(name, "127.0.0.1") || is_text(name, "[::1]");
}

bool origin_knows_host(const struct origin_rules *rules, const struct head_text *host)
{
    if (!host->text || (!*rules->hosts && !rules->local))
        return true;
    const struct head_text name = without_port(*host);
    if (is_loopback(&name))
        return true;
    if (*rules->hosts)
        return lists(rules->hosts, &name) || lists(rules->hosts, host);
    return is_text(&name, "localhost") || is_text(&name, rules->own) ||
           (*rules->machine && is_text(&name, rules->machine));
}

/* The host of Host or Origin, without the default port of the scheme. */
static struct head_text without_default(struct head_text host, const char *port)
{
    size_t n = strlen(port);
    if (host.bytes > n && !memcmp(host.text + host.bytes - n, port, n))
        host.bytes -= n;
    return host;
}

bool origin_is_foreign(const struct head_text *origin, const struct head_text *host)
{
    if (!origin->text)
        return false;
    const char *at = memmem(origin->text, origin->bytes, "://", 3);
    if (!at || !host->text)
        return true; /* "null", or what is no origin */
    bool secure = at - origin->text == 5 && !strncasecmp(origin->text, "https", 5);
    const char *port = secure ? ":443" : ":80";
    struct head_text page = {at + 3, origin->bytes - (size_t)(at + 3 - origin->text)};
    page = without_default(page, port);
    const struct head_text own = without_default(*host, port);
    return page.bytes != own.bytes || strncasecmp(page.text, own.text, own.bytes) != 0;
}

bool origin_is_permitted(const struct origin_rules *rules, const struct head_text *origin)
{
    return origin->text && lists(rules->origins, origin);
}
