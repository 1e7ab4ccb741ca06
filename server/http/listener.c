/* Listening sockets. */
#include "listener.h"

#include "config/settings.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    UNSENT_BYTES = 1 << 18, /* of an answer, most that lie in the kernel and were not sent */
    BACKLOG = 1024,
};

static int close_failed(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int open_tcp(const char *host, int64_t port, char *error, size_t error_size)
{
    char service[8], plain[256];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    snprintf(service, sizeof service, "%d", (int)port);
    settings_plain_host(host, plain, sizeof plain);
    int status = getaddrinfo(plain, service, &hints, &found), fd = -1, one = 1, unsent = UNSENT_BYTES;
    if (status) {
        snprintf(error, error_size, "host %s: %s", host, gai_strerror(status));
        return -1;
    }
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent); /* connections inherit it */
        if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG))
            fd = close_failed(fd);
    }
    if (fd < 0)
        snprintf(error, error_size, "cannot listen on %s port %lld: %s", host, (long long)port, strerror(errno));
    freeaddrinfo(found);
    return fd;
}

/* The path of a UNIX socket; NULL for other hosts. */
static const char *unix_path(const char *host)
{
    return strncmp(host, "unix:", 5) ? NULL : host + 5;
}

/* Whether the socket's file was left by a process that has ended. */
static bool is_left(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool left = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return left;
}

static int open_unix(const char *path, int mode, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1;
    errno = ENAMETOOLONG;
    if (strlen(path) < sizeof address.sun_path) {
        memcpy(address.sun_path, path, strlen(path));
        if (is_left(&address))
            unlink(path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && ((mode && fchmod(fd, (mode_t)mode)) || bind(fd, (struct sockaddr *)&address, sizeof address) ||
                        listen(fd, BACKLOG)))
            fd = close_failed(fd);
    }
    if (fd < 0)
        snprintf(error, error_size, "cannot listen on the UNIX socket %s: %s", path, strerror(errno));
    return fd;
}

int listener_open(const char *host, int64_t port, int mode, char *error, size_t error_size)
{
    const char *path = unix_path(host);
    return path ? open_unix(path, mode, error, error_size) : open_tcp(host, port, error, error_size);
}

void listener_url(int listener, const char *scheme, char *out, size_t size)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t bytes = sizeof address;
    char host[64] = "", service[16] = "";
    if (!getsockname(listener, (struct sockaddr *)&address, &bytes) && address.ss_family == AF_UNIX) {
        snprintf(out, size, "unix:%s", ((const struct sockaddr_un *)&address)->sun_path);
        return;
    }
    getnameinfo((struct sockaddr *)&address, bytes, host, sizeof host, service, sizeof service,
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, size, strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", scheme, host, service);
}

void listener_refuse_new(int listener, const char *host)
{
    enum { FLAGS = 13, SYN = 0x02, ACK = 0x10 }; /* of a TCP header */
    struct sock_filter drop_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SYN | ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {sizeof drop_syn / sizeof *drop_syn, drop_syn};
    if (unix_path(host))
        listener_unlink(host);
    else
        setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof program); /* where it fails, they are let in */
}

void listener_unlink(const char *host)
{
    const char *path = unix_path(host);
    if (path)
        unlink(path);
}
