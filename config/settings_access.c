/* Checks settings of access together: TLS needs two files, an admin listener needs keys or a local address, an origin
   has a scheme and a host. */
#include "settings_access.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

bool settings_host_is_local(const char *host)
{
    char plain[256];
    struct in_addr v4;
    struct in6_addr v6;
    settings_plain_host(host, plain, sizeof plain);
    if (inet_pton(AF_INET, plain, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, plain, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return !strcasecmp(plain, "localhost") || !strncmp(plain, "unix:", 5);
}

bool settings_have_admin(const struct settings *settings)
{
    return *settings->admin_host || *settings->admin_socket || settings_given(settings, &settings->admin_port);
}

/* "https://app.example", with a port if it is not the default of the scheme, and without a path. */
static bool is_origin(const char *text, size_t bytes)
{
    const char *host = memmem(text, bytes, "://", 3);
    return (bytes == 1 && *text == '*') || (host && host > text && host + 3 < text + bytes &&
                                            !memchr(host + 3, '/', (size_t)(text + bytes - host - 3)));
}

static void check_lists(const struct settings *settings, struct problems *problems)
{
    const char *at = settings->cors_origins, *item;
    size_t bytes;
    while ((item = settings_list_next(&at, &bytes)))
        if (!is_origin(item, bytes))
            problem_error(problems, (struct place){settings->file, "/cors/origins"},
                          "expected origins as browsers send them (\"https://app.example\") or \"*\", found \"%.*s\"",
                          (int)(bytes < 100 ? bytes : 100), item);
    at = settings->auth_open;
    while ((item = settings_list_next(&at, &bytes)))
        if (*item != '/')
            problem_error(problems, (struct place){settings->file, "/auth/open"},
                          "expected paths (\"/metrics\"), found \"%.*s\"", (int)(bytes < 100 ? bytes : 100), item);
    at = settings->hosts;
    while ((item = settings_list_next(&at, &bytes)))
        if (memchr(item, '/', bytes))
            problem_error(problems, (struct place){settings->file, "/hosts"},
                          "expected names as they stand in Host (\"example.com\"), found \"%.*s\"",
                          (int)(bytes < 100 ? bytes : 100), item);
}

static void check_admin(const struct settings *settings, struct problems *problems)
{
    if (*settings->admin_socket && (*settings->admin_host || settings_given(settings, &settings->admin_port)))
        problem_error(problems, (struct place){settings->file, "/admin"},
                      "expected either a host and port or a socket, found both");
    if (strlen(settings->admin_socket) > 107)
        problem_error(problems, (struct place){settings->file, "/admin/socket"},
                      "the path of a UNIX socket has at most 107 characters");
    if (*settings->admin_host && !*settings->auth_keys && !settings_host_is_local(settings->admin_host))
        problem_error(problems, (struct place){settings->file, "/admin/host"},
                      "without auth.keys the admin listener must be on a loopback address or a socket");
}

void settings_check_access(const struct settings *settings, struct problems *problems)
{
    if (!*settings->tls_certificate != !*settings->tls_key)
        problem_error(problems, (struct place){settings->file, "/tls"}, "\"certificate\" and \"key\" go together");
    if (*settings->tls_client_ca && !*settings->tls_certificate)
        problem_error(problems, (struct place){settings->file, "/tls/client_ca"},
                      "clients' certificates need the server's \"certificate\" and \"key\"");
    if (settings->rate_burst && !settings->rate_per_s)
        problem_error(problems, (struct place){settings->file, "/auth/rate/burst"}, "needs \"requests_per_s\"");
    if (*settings->auth_open && !*settings->auth_keys)
        problem_warning(problems, (struct place){settings->file, "/auth/open"}, "does nothing without \"keys\"");
    if (*settings->auth_keys && !*settings->tls_certificate && !settings_host_is_local(settings->host))
        problem_warning(
            problems, (struct place){settings->file, "/auth/keys"},
            "keys go over the network in the clear: set tls.certificate and tls.key, or let a proxy on this "
            "machine end TLS and listen on 127.0.0.1");
    check_admin(settings, problems);
    check_lists(settings, problems);
}
