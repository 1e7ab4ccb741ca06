/* health: asks a server whether it is ready. It has its own few lines of HTTP, so that an image needs no curl. */
#include "cli.h"

#include "config/environment.h"
#include "server/base/tls_client.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 5, URL_BYTES = 192 };

/* The parts of http[s]://host[:port][/path]. */
struct url {
    bool tls;
    char host[256], port[8], path[512];
};

static bool parse(const char *text, struct url *url)
{
    url->tls = !strncmp(text, "https://", 8);
    if (!url->tls && strncmp(text, "http://", 7))
        return false;
    text += 7 + url->tls;
    bool bracket = *text == '[';
    size_t host = bracket ? strcspn(++text, "]") : strcspn(text, ":/");
    if (!host || host >= sizeof url->host || (bracket && text[host] != ']'))
        return false;
    snprintf(url->host, sizeof url->host, "%.*s", (int)host, text);
    text += host + bracket;
    snprintf(url->port, sizeof url->port, url->tls ? "443" : "80");
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

/* send and recv, over TLS if the URL is https. */
static ssize_t send_all(int fd, struct tls_client *tls, const char *text, size_t n)
{
    return tls ? tls_client_send(tls, text, n) : send(fd, text, n, MSG_NOSIGNAL);
}

static ssize_t receive(int fd, struct tls_client *tls, char *out, size_t room)
{
    return tls ? tls_client_recv(tls, out, room) : recv(fd, out, room, 0);
}

/* The status of GET path, or 0 if no HTTP answer comes. why: the error of TLS, or "". */
static int get_status(const struct url *url, const struct tls_client_files *files, char *why, size_t why_size)
{
    char text[1024];
    bool v6 = strchr(url->host, ':') != NULL, timeout;
    int fd = connect_to(url), status = 0;
    *why = 0;
    if (fd < 0)
        return 0;
    struct tls_client *tls = url->tls ? tls_client_open(fd, url->host, files, why, why_size, &timeout) : NULL;
    if (url->tls && !tls) {
        close(fd);
        return 0;
    }
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nConnection: close\r\n\r\n", url->path,
                     v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    size_t have = 0;
    if (send_all(fd, tls, text, (size_t)n) == n) {
        ssize_t more;
        while (have < 12 && (more = receive(fd, tls, text + have, sizeof text - 1 - have)) > 0)
            have += (size_t)more;
        text[have] = 0;
        if (have >= 12 && !strncmp(text, "HTTP/1.", 7))
            status = atoi(text + 9);
    }
    tls_client_close(tls);
    close(fd);
    return status;
}

/* The address on which a server with these settings can be reached: for a wildcard address, the loopback address. */
static void own_url(const struct settings *settings, char *out, size_t size)
{
    const char *host = settings->host;
    char plain[128];
    if (!*host || !strcmp(host, "0.0.0.0"))
        host = "127.0.0.1";
    settings_plain_host(host, plain, sizeof plain);
    if (!strcmp(plain, "::"))
        snprintf(plain, sizeof plain, "::1");
    snprintf(out, size, strchr(plain, ':') ? "http%s://[%s]:%d" : "http%s://%s:%d",
             *settings->tls_certificate ? "s" : "", plain, (int)settings->port);
}

/* The settings of the server on this machine: from --config or ./cellserve.json, then from the environment. Errors in
   the settings are ignored here, because the server reports them. */
static void read_own(struct cli *cli)
{
    static const char folder_file[] = "cellserve.json";
    struct problems none = {.n_errors = 0};
    if (!cli->settings.file && !access(folder_file, R_OK))
        settings_read_file(&cli->settings, folder_file, &none);
    settings_read_environment(&cli->settings, &none);
    problems_close(&none);
}

static int ask(const char *text, const struct url *url, const struct tls_client_files *files)
{
    char why[256];
    int status = get_status(url, files, why, sizeof why);
    if (status == 0)
        printf("%s does not answer%s%s\n", text, *why ? ": " : "", why);
    else
        printf("%s answers %d on %s\n", text, status, url->path);
    return status >= 200 && status < 300 ? EXIT_GOOD : EXIT_BAD_INPUT;
}

int command_health(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct url url;
    char own[URL_BYTES];
    struct tls_client_files files = {.ca = NULL};
    const struct cli_flag flags[] = {
        {"--ca", &files.ca}, {"--certificate", &files.certificate}, {"--key", &files.key}, {NULL, NULL}};
    int code = cli_read(&cli, command, flags, argc, argv);
    if (code < 0) {
        read_own(&cli);
        own_url(&cli.settings, own, sizeof own);
        const char *text = cli.positional ? cli.positional : own;
        if (!files.ca) /* without --ca: the configuration's certificate, or the system's authorities */
            files.pinned = cli.settings.tls_certificate;
        if (!files.certificate != !files.key)
            code = cli_bad_usage(command, "--certificate and --key must be given together", NULL);
        else
            code = parse(text, &url)
                       ? ask(text, &url, &files)
                       : cli_bad_usage(command, "expected http://host:port or https://host:port, found", text);
    }
    cli_close(&cli);
    return code;
}
