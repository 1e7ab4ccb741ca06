/* The thread that accepts. It asks for short time slices, since probes on new connections wait for it. */
#include "acceptor.h"

#include "server/base/clock.h"
#include "server/base/cpus.h"
#include "server/base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The time until the next try if there is no room, or no file or memory for a connection. */
enum { PAUSE_MS = 10 };

/* When all connections are taken, one wait counts for at most this time. So threads that stood still for longer (on a
   busy machine, or on a virtual one that was paused) wait for the rest of the time. */
enum { STEP_MS = 10 };

struct acceptor {
    int listener, end; /* end: an eventfd that no thread reads */
    struct acceptor_target target;
    pthread_t thread;
};

/* Accept the first waiting connection. Returns -1 with errno if there is none. */
static int take_one(int listener, const struct acceptor_target *target)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        target->take(target->cls, fd, (struct sockaddr *)&address, size);
    return fd;
}

void acceptor_take_all(int listener, const struct acceptor_target *target, int most_ms)
{
    const int64_t step = STEP_MS * (int64_t)NS_PER_MS;
    int64_t left = most_ms * (int64_t)NS_PER_MS;
    struct pollfd poller = {.fd = listener, .events = POLLIN};
    for (;;) {
        int64_t began = clock_ns();
        while (take_one(listener, target) >= 0 || errno == ECONNABORTED)
            ;
        if (left <= 0)
            return;
        poll(&poller, 1, STEP_MS);
        int64_t waited = clock_ns() - began;
        left -= waited < step ? waited : step;
    }
}

/* False when the end has come. */
static bool wait_for(const struct acceptor *acceptor, bool connections, int most_ms)
{
    struct pollfd fds[] = {{.fd = acceptor->end, .events = POLLIN},
                           {.fd = connections ? acceptor->listener : -1, .events = POLLIN}};
    poll(fds, 2, most_ms);
    return !fds[0].revents;
}

/* Whether accept4 failed for want of files or memory, and may succeed later. */
static bool is_want(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Log the beginning of a time of want, with the error in errno. Returns whether it has begun. */
static bool tell(bool want, bool told)
{
    if (want && !told)
        log_line(LOG_WARN,
                 "no connection can be accepted: %s; new clients wait (raise ulimit -n or the limit of memory)",
                 strerror(errno));
    return want;
}

static void *accept_connections(void *argument)
{
    struct acceptor *acceptor = argument;
    const struct acceptor_target *target = &acceptor->target;
    bool pause = false, told = false;
    cpus_wake_soon();
    pthread_setname_np(pthread_self(), "acceptor");
    for (int waited_ms = 0; wait_for(acceptor, !pause, pause ? PAUSE_MS : -1);) {
        waited_ms = pause ? waited_ms + PAUSE_MS : 0;
        pause = false;
        while (!pause && (pause = !target->has_room(target->cls, waited_ms)) == false)
            if (take_one(acceptor->listener, target) < 0) {
                pause = is_want(errno);
                told = tell(pause, told);
                break;
            }
    }
    return NULL;
}

struct acceptor *acceptor_start(int listener, const struct acceptor_target *target)
{
    struct acceptor *acceptor = malloc(sizeof *acceptor);
    if (!acceptor)
        return NULL;
    *acceptor = (struct acceptor){listener, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), *target, 0};
    if (acceptor->end >= 0 && !pthread_create(&acceptor->thread, NULL, accept_connections, acceptor))
        return acceptor;
    if (acceptor->end >= 0)
        close(acceptor->end);
    free(acceptor);
    return NULL;
}

void acceptor_stop(struct acceptor *acceptor)
{
    const uint64_t one = 1;
    if (!acceptor)
        return;
    ssize_t written = write(acceptor->end, &one, sizeof one);
    (void)written; /* an empty counter takes it */
    pthread_join(acceptor->thread, NULL);
    close(acceptor->end);
    free(acceptor);
}
