/* A thread that reads sockets to their end, for a short time each. */
#include "linger.h"

#include "server/base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MOST = LINGER_MOST,
    LAST_MS = 2000,  /* how long a socket may take */
    LOOK_MS = 200,   /* how often that is looked at */
    PIECE = 1 << 20, /* most bytes in a turn */
    EVENTS = 64,
};

struct lingerers {
    pthread_mutex_t lock; /* guards fds and until */
    int fds[MOST];        /* -1: free */
    int64_t until_ns[MOST];
    size_t most, count;
    int poller, news;
    bool stop;
    pthread_t thread;
};

/* Under the lock. */
static void end_lingering(struct lingerers *linger, size_t i)
{
    close(linger->fds[i]); /* which takes it out of the poller, since nobody else has it any more */
    linger->fds[i] = -1;
    linger->count--;
}

/* Nothing of what has come is copied. */
static bool discard(int fd)
{
    ssize_t n = recv(fd, NULL, PIECE, MSG_TRUNC | MSG_DONTWAIT);
    return n > 0;
}

static void *read_sockets(void *argument)
{
    struct lingerers *linger = argument;
    for (;;) {
        struct epoll_event events[EVENTS];
        pthread_mutex_lock(&linger->lock);
        int64_t now = clock_ns();
        for (size_t i = 0; linger->count && i < MOST; i++)
            if (linger->fds[i] >= 0 && linger->until_ns[i] < now)
                end_lingering(linger, i);
        bool some = linger->count > 0, stop = linger->stop;
        pthread_mutex_unlock(&linger->lock);
        if (stop)
            return NULL;
        int n = epoll_wait(linger->poller, events, EVENTS, some ? LOOK_MS : -1);
        for (int e = 0; e < n; e++) {
            if (events[e].data.u32 == MOST) {
                uint64_t count;
                ssize_t got = read(linger->news, &count, sizeof count);
                (void)got;
                continue;
            }
            pthread_mutex_lock(&linger->lock);
            if (linger->fds[events[e].data.u32] >= 0 && !discard(linger->fds[events[e].data.u32]))
                end_lingering(linger, events[e].data.u32);
            pthread_mutex_unlock(&linger->lock);
        }
    }
}

static void free_linger(struct lingerers *linger)
{
    for (size_t i = 0; i < MOST; i++)
        if (linger->fds[i] >= 0)
            close(linger->fds[i]);
    if (linger->poller >= 0)
        close(linger->poller);
    if (linger->news >= 0)
        close(linger->news);
    pthread_mutex_destroy(&linger->lock);
    free(linger);
}

struct lingerers *linger_start(size_t most)
{
    struct lingerers *linger = calloc(1, sizeof *linger);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = MOST};
    if (!linger)
        return NULL;
    linger->most = most < MOST ? most : MOST;
    for (size_t i = 0; i < MOST; i++)
        linger->fds[i] = -1;
    pthread_mutex_init(&linger->lock, NULL);
    linger->poller = epoll_create1(EPOLL_CLOEXEC);
    linger->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (linger->poller >= 0 && linger->news >= 0 && !epoll_ctl(linger->poller, EPOLL_CTL_ADD, linger->news, &event) &&
        !pthread_create(&linger->thread, NULL, read_sockets, linger))
        return linger;
    free_linger(linger);
    return NULL;
}

static void wake(struct lingerers *linger)
{
    const uint64_t one = 1;
    ssize_t written = write(linger->news, &one, sizeof one);
    (void)written; /* a full counter wakes, too */
}

void linger_add(struct lingerers *linger, int fd)
{
    size_t i = 0;
    pthread_mutex_lock(&linger->lock);
    while (i < linger->most && linger->fds[i] >= 0)
        i++;
    int copy = i < linger->most ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u32 = (uint32_t)i};
        shutdown(copy, SHUT_WR);
        linger->fds[i] = copy;
        linger->until_ns[i] = clock_ns() + LAST_MS * (int64_t)NS_PER_MS;
        linger->count++;
        if (epoll_ctl(linger->poller, EPOLL_CTL_ADD, copy, &event))
            end_lingering(linger, i);
        else if (linger->count == 1)
            wake(linger);
    }
    pthread_mutex_unlock(&linger->lock);
}

void linger_stop(struct lingerers *linger)
{
    if (!linger)
        return;
    pthread_mutex_lock(&linger->lock);
    linger->stop = true;
    wake(linger);
    pthread_mutex_unlock(&linger->lock);
    pthread_join(linger->thread, NULL);
    free_linger(linger);
}
