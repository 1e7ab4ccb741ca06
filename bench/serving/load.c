/* A load generator for the loopback address, with one epoll thread. It sends requests at a given rate, even if
   answers are late, or as fast as its connections allow. It also simulates slow clients.

   load PORT PATH --lines FILE | --body FILE  [--connections N] [--rate R] [--seconds S] [--type CONTENT-TYPE]
   [--header H]
   load PORT PATH --attack head|body|read --connections N --seconds S --body FILE

   A line of FILE is a class (a word), a tab, a body. Prints one line of JSON. Latencies are in ms from the time at
   which a request was due. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BODIES = 16384, MOST_SAMPLES = 4000000, MOST_CONNECTIONS = 8192, MOST_CLASSES = 8 };

struct body {
    char *text; /* the whole request */
    size_t bytes;
    int class;
};

struct connection {
    int fd; /* -1: closed */
    const struct body *body;
    size_t sent, left; /* bytes sent of the request, bytes left of the answer's body */
    int64_t due_ns, opened_ns;
    bool busy, in_head, closing;
    int status;
    size_t head_bytes;
    char head[8192];
};

struct sample {
    float ms;
    uint8_t class;
    bool good;
};

static struct body bodies[MOST_BODIES];
static size_t n_bodies, n_samples, n_classes;
static char classes[MOST_CLASSES][32];
static struct connection *connections;
static struct sample *samples;
static size_t n_connections = 1, errors, unsent, refused_without_retry, others;
static int port, poller;
static const char *path, *type = "application/json", *header = "", *attack;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int class_of(const char *name)
{
    for (size_t i = 0; i < n_classes; i++)
        if (!strcmp(classes[i], name))
            return (int)i;
    if (n_classes == MOST_CLASSES)
        exit(2);
    snprintf(classes[n_classes], sizeof *classes, "%.31s", name);
    return (int)n_classes++;
}

static void add_body(const char *text, size_t bytes, const char *class)
{
    char head[1024];
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n%s%sContent-Length: %zu\r\n\r\n", path,
                     type, header, *header ? "\r\n" : "", bytes);
    struct body *body = &bodies[n_bodies++];
    body->bytes = (size_t)n + bytes;
    body->text = malloc(body->bytes);
    body->class = class_of(class);
    memcpy(body->text, head, (size_t)n);
    memcpy(body->text + n, text, bytes);
}

static void read_file(const char *name, bool lines)
{
    FILE *file = fopen(name, "rb");
    if (!file) {
        perror(name);
        exit(2);
    }
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = lines ? getline(&line, &room, file) : getdelim(&line, &room, EOF, file)) > 0 &&
           n_bodies < MOST_BODIES) {
        char *tab = lines ? memchr(line, '\t', (size_t)n) : NULL;
        if (tab)
            *tab = 0;
        const char *text = tab ? tab + 1 : line;
        add_body(text, (size_t)(line + n - text) - (lines && line[n - 1] == '\n'), tab ? line : "all");
    }
    free(line);
    fclose(file);
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, small = 2048;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct connection){.fd = socket(AF_INET, SOCK_STREAM, 0), .opened_ns = now_ns()};
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (attack)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        perror("connect");
        exit(2);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void close_connection(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->busy = false;
}

static void finish(struct connection *c)
{
    bool good = c->status == 200, refused = c->status == 503 || c->status == 429;
    if (!good && !refused)
        others++;
    if (refused && !strcasestr(c->head, "\r\nRetry-After:"))
        refused_without_retry++;
    if (n_samples < MOST_SAMPLES)
        samples[n_samples++] =
            (struct sample){(float)((double)(now_ns() - c->due_ns) * 1e-6), (uint8_t)c->body->class, good};
    c->busy = false;
    if (c->closing)
        close_connection(c);
}

static void fail(struct connection *c)
{
    errors += c->busy;
    close_connection(c);
}

static void send_some(struct connection *c)
{
    while (c->busy && c->sent < c->body->bytes) {
        ssize_t n = send(c->fd, c->body->text + c->sent, c->body->bytes - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) /* the server may have answered already */
            return;
        c->sent += (size_t)n;
    }
}

/* Parse bytes of an answer; false if they are invalid. */
static bool take(struct connection *c, const char *bytes, size_t n)
{
    while (n) {
        if (!c->busy)
            return false;
        if (!c->in_head) {
            size_t part = n < c->left ? n : c->left;
            c->left -= part;
            bytes += part;
            n -= part;
            if (!c->left)
                finish(c);
            continue;
        }
        if (c->head_bytes + 1 >= sizeof c->head)
            return false;
        c->head[c->head_bytes++] = *bytes++;
        n--;
        if (c->head_bytes < 4 || memcmp(c->head + c->head_bytes - 4, "\r\n\r\n", 4))
            continue;
        c->head[c->head_bytes] = 0;
        c->status = atoi(c->head + 9);
        if (c->status == 100) {
            c->head_bytes = 0;
            continue;
        }
        const char *length = strcasestr(c->head, "\r\nContent-Length:");
        c->left = length ? strtoul(length + 17, NULL, 10) : 0;
        c->closing = strcasestr(c->head, "\r\nConnection: close") != NULL;
        c->in_head = false;
        if (!c->left)
            finish(c);
    }
    return true;
}

static void receive(struct connection *c)
{
    static char block[1 << 18];
    while (c->fd >= 0) {
        ssize_t n = recv(c->fd, block, sizeof block, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0 || !take(c, block, (size_t)n)) {
            fail(c);
            return;
        }
    }
}

static void begin(struct connection *c, int64_t due_ns)
{
    static size_t next;
    if (c->fd < 0)
        open_connection(c);
    c->body = &bodies[next++ % n_bodies];
    c->due_ns = due_ns;
    c->sent = c->head_bytes = 0;
    c->busy = c->in_head = true;
    c->closing = false;
    send_some(c);
}

static void serve_events(int64_t timeout_ns)
{
    struct epoll_event events[256];
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = epoll_pwait2(poller, events, 256, &timeout, NULL);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->fd >= 0 && events[i].events & EPOLLOUT)
            send_some(c);
        if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            receive(c);
    }
}

/* Send as many requests as the connections allow, or `rate` a second. */
static void load(double rate, double seconds)
{
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9);
    size_t due = 0, at = 0;
    for (int64_t now = start; now < end; now = now_ns()) {
        if (rate <= 0)
            for (size_t i = 0; i < n_connections; i++)
                if (!connections[i].busy)
                    begin(&connections[i], now);
        for (; rate > 0 && start + (int64_t)((double)due / rate * 1e9) <= now; due++) {
            size_t tried = 0;
            while (tried < n_connections && connections[at].busy) {
                at = (at + 1) % n_connections;
                tried++;
            }
            if (tried == n_connections)
                unsent++;
            else
                begin(&connections[at], start + (int64_t)((double)due / rate * 1e9));
        }
        int64_t next = rate > 0 ? start + (int64_t)((double)due / rate * 1e9) - now_ns() : 1000000;
        serve_events(next < 0 ? 0 : next);
    }
}

static int by_ms(const void *a, const void *b)
{
    float x = ((const struct sample *)a)->ms, y = ((const struct sample *)b)->ms;
    return x < y ? -1 : x > y;
}

/* The quantile `share` of the latency of a class (-1: all), of good answers or of refusals. */
static double percentile(int class, bool good, double share)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; i < n_samples; i++)
        n += samples[i].good == good && (class < 0 || samples[i].class == class);
    for (size_t i = 0; i < n_samples; i++)
        if (samples[i].good == good && (class < 0 || samples[i].class == class) &&
            k++ >= (size_t)(share * (double)(n - 1)))
            return (double)samples[i].ms;
    return 0;
}

static void report(double seconds)
{
    size_t good = 0;
    qsort(samples, n_samples, sizeof *samples, by_ms);
    for (size_t i = 0; i < n_samples; i++)
        good += samples[i].good;
    printf("{\"goodput\": %.1f, \"refused\": %zu, \"other\": %zu, \"errors\": %zu, \"unsent\": %zu, \"without_retry\": "
           "%zu, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"refused_p99\": %.3f, \"refused_max\": %.3f",
           (double)good / seconds, n_samples - good - others, others, errors, unsent, refused_without_retry,
           percentile(-1, true, 0.5), percentile(-1, true, 0.99), percentile(-1, true, 1), percentile(-1, false, 0.99),
           percentile(-1, false, 1));
    for (size_t i = 0; i < n_classes && n_classes > 1; i++)
        printf(", \"p50_%s\": %.3f", classes[i], percentile((int)i, true, 0.5));
    printf("}\n");
}

/* Simulate slow clients: a byte of a head or a body every 100 ms, or an answer that is not read. */
static void slow(double seconds)
{
    size_t cut = 0;
    double first = 1e9, last = 0;
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9);
    for (size_t i = 0; i < n_connections; i++) {
        struct connection *c = &connections[i];
        size_t whole = bodies[0].bytes, head = (size_t)(strstr(bodies[0].text, "\r\n\r\n") + 4 - bodies[0].text);
        open_connection(c);
        c->sent = !strcmp(attack, "head") ? 20 : !strcmp(attack, "body") ? head + 5 : whole;
        if (send(c->fd, bodies[0].text, c->sent, MSG_NOSIGNAL) < 0)
            errors++;
    }
    for (int64_t now = now_ns(); now < end && cut < n_connections; now = now_ns()) {
        for (size_t i = 0; i < n_connections; i++) {
            struct connection *c = &connections[i];
            char byte;
            if (c->fd < 0)
                continue;
            bool reads = strcmp(attack, "read");
            ssize_t n = reads ? recv(c->fd, &byte, 1, MSG_PEEK) : -1;
            if (!reads) { /* detect a closed connection without reading */
                int error = 0;
                socklen_t size = sizeof error;
                struct tcp_info info;
                socklen_t room = sizeof info;
                getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
                getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &room);
                n = error || info.tcpi_state != 1 /* established */ ? 0 : -1;
                errno = EAGAIN;
            }
            if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
                double after = (double)(now - c->opened_ns) * 1e-9;
                first = after < first ? after : first;
                last = after > last ? after : last;
                cut++;
                close_connection(c);
            } else if (reads) {
                send(c->fd, "1", 1, MSG_NOSIGNAL);
            }
        }
        usleep(100000);
    }
    printf("{\"attack\": \"%s\", \"clients\": %zu, \"cut\": %zu, \"first_s\": %.2f, \"last_s\": %.2f}\n", attack,
           n_connections, cut, cut ? first : 0, last);
}

int main(int argc, char **argv)
{
    double rate = 0, seconds = 5;
    const char *lines = NULL, *body = NULL;
    if (argc < 3)
        return 2;
    port = atoi(argv[1]);
    path = argv[2];
    for (int i = 3; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--lines"))
            lines = value;
        else if (!strcmp(argv[i], "--body"))
            body = value;
        else if (!strcmp(argv[i], "--connections"))
            n_connections = strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--rate"))
            rate = atof(value);
        else if (!strcmp(argv[i], "--seconds"))
            seconds = atof(value);
        else if (!strcmp(argv[i], "--type"))
            type = value;
        else if (!strcmp(argv[i], "--header"))
            header = value;
        else if (!strcmp(argv[i], "--attack"))
            attack = value;
        else
            return 2;
    }
    if ((!lines && !body) || !n_connections || n_connections > MOST_CONNECTIONS)
        return 2;
    read_file(lines ? lines : body, lines != NULL);
    connections = calloc(n_connections, sizeof *connections);
    samples = calloc(MOST_SAMPLES, sizeof *samples);
    poller = epoll_create1(0);
    if (!connections || !samples || !n_bodies)
        return 2;
    for (size_t i = 0; i < n_connections; i++)
        connections[i].fd = -1;
    if (attack) {
        slow(seconds);
        return 0;
    }
    load(rate, seconds);
    for (int64_t end = now_ns() + 2000000000; now_ns() < end;) { /* requests that are not answered yet */
        bool busy = false;
        for (size_t i = 0; i < n_connections && !busy; i++)
            busy = connections[i].busy;
        if (!busy)
            break;
        serve_events(10000000);
    }
    report(seconds);
    return 0;
}
