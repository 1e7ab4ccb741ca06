/* health: asks a server whether it is ready; a few lines of HTTP, so that an image needs no curl. */
#include "cli.h"

#include "config/environment.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 5, URL_BYTES = 192 };

/* The parts of http://host[:port][/path]. */
struct url {
    char host[256], port[8], path[512];
};

static bool parse(const char *text, struct url *url)
{
    if (strncmp(text, "http://", 7))
        return false;
    text += 7;
    bool bracket = *text == '[';
    size_t host = bracket ? strcspn(++text, "]") : strcspn(text, ":/");
    if (!host || host >= sizeof url->host || (bracket && text[host] != ']'))
        return false;
    snprintf(url->host, sizeof url->host, "%.*s", (int)host, text);
    text += host + bracket;
    snprintf(url->port, sizeof url->port, "80");
    if (*text == ':') {
        size_t digits = strspn(++text, "0123456789");
        if (!digits || digits > 5)
            return false;
        snprintf(url->port, sizeof url->port, "%.*s", (int)digits, text);
        text += digits;
    }
    if (*text && *text != '/')
        return false;
    return snprintf(url->path, sizeof url->path, "%s", *text && strcmp(text, "/") ? text : "/readyz") <
           (int)sizeof url->path;
}

static int connect_to(const struct url *url)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const struct timeval timeout = {TIMEOUT_S, 0};
    int fd = -1;
    if (getaddrinfo(url->host, url->port, &hints, &found))
        return -1;
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, a->ai_addr, a->ai_addrlen)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The status of GET path, or 0 when there is no HTTP answer. */
static int get_status(const struct url *url)
{
    char text[1024];
    bool v6 = strchr(url->host, ':') != NULL;
    int fd = connect_to(url), status = 0;
    if (fd < 0)
        return 0;
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nConnection: close\r\n\r\n", url->path,
                     v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    size_t have = 0;
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) == n) {
        ssize_t more;
        while (have < 12 && (more = recv(fd, text + have, sizeof text - 1 - have, 0)) > 0)
            have += (size_t)more;
        text[have] = 0;
        if (have >= 12 && !strncmp(text, "HTTP/1.", 7))
            status = atoi(text + 9);
    }
    close(fd);
    return status;
}

/* Where the server of this environment listens: on a wildcard address, its loopback one. */
static void own_url(char *out, size_t size)
{
    const char *host = getenv("CELLSERVE_HOST"), *name, *port = environment_port(&name);
    char plain[128];
    if (!host || !*host || !strcmp(host, "0.0.0.0"))
        host = "127.0.0.1";
    settings_plain_host(host, plain, sizeof plain);
    if (!strcmp(plain, "::"))
        snprintf(plain, sizeof plain, "::1");
    snprintf(out, size, strchr(plain, ':') ? "http://[%s]:%.8s" : "http://%s:%.8s", plain, port ? port : "8080");
}

int command_health(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct url url;
    char own[URL_BYTES];
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0) {
        own_url(own, sizeof own);
        const char *text = cli.positional ? cli.positional : own;
        if (!parse(text, &url)) {
            code = cli_bad_usage(command, "expected http://host:port, found", text);
        } else {
            int status = get_status(&url);
            if (status == 0)
                printf("%s does not answer\n", text);
            else
                printf("%s answers %d on %s\n", text, status, url.path);
            code = status >= 200 && status < 300 ? EXIT_GOOD : EXIT_BAD_INPUT;
        }
    }
    cli_close(&cli);
    return code;
}
