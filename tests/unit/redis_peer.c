/* The commands that the store sends, for one key. */
#include "redis_peer.h"

#include "unit.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void peer_put(struct peer *peer, const void *bytes, size_t n)
{
    pthread_mutex_lock(&peer->lock);
    memcpy(peer->value, bytes, n);
    peer->bytes = n;
    pthread_mutex_unlock(&peer->lock);
}

size_t peer_bytes(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    size_t bytes = peer->bytes;
    pthread_mutex_unlock(&peer->lock);
    return bytes;
}

static bool answer(struct peer *peer, int fd, const char *bytes, size_t n)
{
    if (peer->late_ms)
        usleep((useconds_t)peer->late_ms * 1000);
    for (size_t piece; n; bytes += piece, n -= piece) {
        piece = peer->piece_bytes && (size_t)peer->piece_bytes < n ? (size_t)peer->piece_bytes : n;
        if (send(fd, bytes, piece, MSG_NOSIGNAL) != (ssize_t)piece)
            return false;
        if (peer->piece_bytes)
            usleep(100);
    }
    return true;
}

static bool answer_text(struct peer *peer, int fd, const char *text)
{
    return answer(peer, fd, text, strlen(text));
}

static bool answer_bulk(struct peer *peer, int fd, const char *bytes, size_t n)
{
    static _Thread_local char text[(1 << 18) + 64];
    size_t head = (size_t)sprintf(text, "$%zu\r\n", n);
    memcpy(text + head, bytes, n);
    memcpy(text + head + n, "\r\n", 2);
    return answer(peer, fd, text, head + n + 2);
}

/* The store's Lua script, written in C. */
static bool run_script(struct peer *peer, int fd, char **argv, const size_t *bytes)
{
    char found[8];
    size_t n = peer->bytes > 16 ? peer->bytes - 16 < 8 ? peer->bytes - 16 : 8 : 0;
    memcpy(found, peer->value + 16, n);
    if (!strcmp(argv[3], "cellserve:session:")) /* the key of the trial run */
        return answer_text(peer, fd, "$0\r\n\r\n");
    if (strcmp(argv[4], "*") && (n != bytes[4] || memcmp(found, argv[4], n)))
        return answer_bulk(peer, fd, peer->value, peer->bytes);
    memcpy(peer->value, argv[5], bytes[5]);
    peer->bytes = bytes[5];
    return bytes[5] ? answer_bulk(peer, fd, argv[5] + 16, 8) : answer_bulk(peer, fd, argv[4], bytes[4]);
}

/* AUTH [user] password, SELECT db. */
static bool take_login(struct peer *peer, int fd, char **argv)
{
    const char *error = *argv[0] == 'A' ? peer->auth_error : peer->select_error;
    pthread_mutex_lock(&peer->lock);
    if (*argv[0] == 'S') {
        snprintf(peer->db, sizeof peer->db, "%s", argv[1]);
    } else {
        snprintf(peer->user, sizeof peer->user, "%s", argv[2] ? argv[1] : "");
        snprintf(peer->password, sizeof peer->password, "%s", argv[2] ? argv[2] : argv[1]);
    }
    pthread_mutex_unlock(&peer->lock);
    return answer_text(peer, fd, error ? error : "+OK\r\n");
}

static bool obey(struct peer *peer, int fd, char **argv, const size_t *bytes)
{
    if (!strcmp(argv[0], "AUTH") || !strcmp(argv[0], "SELECT"))
        return take_login(peer, fd, argv);
    bool tried = bytes[3] == strlen("cellserve:session:");
    if (!strcmp(argv[0], "SCRIPT")) {
        peer->knows_script = true;
        return peer->greeting_error ? answer_text(peer, fd, peer->greeting_error)
                                    : answer_text(peer, fd, "$40\r\n0123456789012345678901234567890123456789\r\n");
    }
    if (!tried && peer->error)
        return answer_text(peer, fd, peer->error);
    if (!strcmp(argv[0], "EVALSHA") && !peer->knows_script)
        return answer_text(peer, fd, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    if (*argv[0] == 'E' && peer->write_error)
        return answer_text(peer, fd, peer->write_error);
    pthread_mutex_lock(&peer->lock);
    bool good;
    if (*argv[0] == 'E') {
        good = run_script(peer, fd, argv, bytes);
    } else { /* GETRANGE */
        size_t most = strtoul(argv[3], NULL, 10) + 1;
        good = answer_bulk(peer, fd, peer->value, peer->bytes < most ? peer->bytes : most);
    }
    pthread_mutex_unlock(&peer->lock);
    return good;
}

static bool read_line(FILE *in, char *line, size_t size)
{
    return fgets(line, (int)size, in) != NULL;
}

/* Read and answer a command; false if the connection has ended. */
static bool read_command(struct peer *peer, FILE *in, int fd)
{
    char line[64], *argv[16] = {0};
    size_t bytes[16] = {0};
    int argc = read_line(in, line, sizeof line) && *line == '*' ? atoi(line + 1) : 0;
    bool good = argc > 0 && argc <= 16;
    for (int i = 0; i < argc && good; i++) {
        good = read_line(in, line, sizeof line) && *line == '$';
        bytes[i] = good ? strtoul(line + 1, NULL, 10) : 0;
        argv[i] = calloc(bytes[i] + 3, 1);
        good = good && fread(argv[i], 1, bytes[i] + 2, in) == bytes[i] + 2;
        argv[i][bytes[i]] = 0;
    }
    good = good && obey(peer, fd, argv, bytes);
    for (int i = 0; i < argc && i < 16; i++)
        free(argv[i]);
    return good;
}

static void *serve(void *argument)
{
    struct peer *peer = argument;
    while (!peer->ending) {
        struct pollfd poller = {.fd = peer->listener, .events = POLLIN};
        if (poll(&poller, 1, 10) < 1)
            continue;
        int fd = accept(peer->listener, NULL, NULL);
        FILE *in = fdopen(fd, "r");
        peer->connections++;
        while (!peer->ending && read_command(peer, in, fd))
            ;
        fclose(in);
    }
    return NULL;
}

void peer_start(struct peer *peer, uint32_t host, int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)};
    socklen_t size = sizeof address;
    const int one = 1;
    memset(peer, 0, sizeof *peer);
    pthread_mutex_init(&peer->lock, NULL);
    peer->listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(peer->listener, 8), 0);
    getsockname(peer->listener, (struct sockaddr *)&address, &size);
    peer->port = ntohs(address.sin_port);
    pthread_create(&peer->thread, NULL, serve, peer);
}

void peer_stop(struct peer *peer)
{
    peer->ending = true;
    pthread_join(peer->thread, NULL);
    close(peer->listener);
    pthread_mutex_destroy(&peer->lock);
}
