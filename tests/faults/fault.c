/* A library that is preloaded into a server and makes its n-th allocation or system call fail. faults.py shares a page
   with it, the file named in FAULT_PAGE. The page tells which calls count, which of them fail and with which error;
   faults.py changes it while the server runs. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* In the order of KINDS in faults.py. */
enum kind {
    ALLOC,
    READ,
    WRITE,
    RECV,
    SEND,
    ACCEPT,
    EPOLL_CTL,
    EPOLL_WAIT,
    THREAD,
    MMAP,
    MEMFD,
    SPAWN,
    OPEN,
    STAT,
    SOCKET,
    CONNECT,
    SETSOCKOPT,
    FCNTL,
    EVENTFD,
    RANDOM,
};

/* Little-endian words; faults.py writes all but the last two. */
struct page {
    atomic_int_least64_t kinds;    /* a bit for each kind that counts; 0: nothing fails */
    atomic_int_least64_t nth;      /* the first call that fails, counted from 1 */
    atomic_int_least64_t for_good; /* later calls fail too */
    atomic_int_least64_t error;    /* errno */
    atomic_int_least64_t calls, failed;
};

static struct page none, *page = &none;
static _Thread_local bool inside;

static bool fails(enum kind kind)
{
    if (!(atomic_load_explicit(&page->kinds, memory_order_relaxed) >> kind & 1) || inside)
        return false;
    int64_t n = atomic_fetch_add(&page->calls, 1) + 1, nth = page->nth;
    if (page->for_good ? n < nth : n != nth)
        return false;
    atomic_fetch_add(&page->failed, 1);
    errno = (int)page->error;
    return true;
}

/* The real function that ours replaces. */
static void *next(const char *name)
{
    inside = true;
    void *found = dlsym(RTLD_NEXT, name);
    inside = false;
    return found;
}

/* Defines the replacement of a function: its parameters, and their names. */
#define CALL(kind, type, name, failure, parameters, arguments)                                                         \
    type name parameters                                                                                               \
    {                                                                                                                  \
        static type(*real) parameters;                                                                                 \
        if (!real)                                                                                                     \
            *(void **)&real = next(#name);                                                                             \
        return fails(kind) ? (failure) : real arguments;                                                               \
    }

/* ---- memory ---- */

/* Memory for allocations before the real functions are found. While AddressSanitizer starts, dlsym does not work
   yet. */
static char early[1 << 22];
static size_t early_used;

static void *take_early(size_t size)
{
    void *block = early + early_used;
    early_used += (size + 15) & ~(size_t)15;
    return early_used <= sizeof early ? block : NULL;
}

static bool is_early(const void *block)
{
    return (const char *)block >= early && (const char *)block < early + sizeof early;
}

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    bool known;
} real;

static void look_for_memory(void)
{
    *(void **)&real.malloc = next("malloc");
    *(void **)&real.calloc = next("calloc");
    *(void **)&real.realloc = next("realloc");
    *(void **)&real.free = next("free");
    *(void **)&real.posix_memalign = next("posix_memalign");
    *(void **)&real.aligned_alloc = next("aligned_alloc");
    real.known = true;
}

void *malloc(size_t size)
{
    if (!real.known)
        return take_early(size);
    return fails(ALLOC) ? NULL : real.malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (!real.known)
        return take_early(n * size); /* `early` has zeros */
    return fails(ALLOC) ? NULL : real.calloc(n, size);
}

void *realloc(void *block, size_t size)
{
    if (is_early(block)) {
        void *copy = malloc(size);
        return copy ? memcpy(copy, block, size) : NULL;
    }
    if (!real.known)
        return take_early(size);
    return fails(ALLOC) ? NULL : real.realloc(block, size);
}

void free(void *block)
{
    if (block && !is_early(block) && real.known)
        real.free(block);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    return real.known && !fails(ALLOC) ? real.posix_memalign(block, alignment, size) : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return real.known && !fails(ALLOC) ? real.aligned_alloc(alignment, size) : NULL;
}

/* ---- system calls ---- */

CALL(READ, ssize_t, read, -1, (int fd, void *out, size_t n), (fd, out, n))
CALL(READ, ssize_t, pread, -1, (int fd, void *out, size_t n, off_t at), (fd, out, n, at))
CALL(WRITE, ssize_t, writev, -1, (int fd, const struct iovec *parts, int n), (fd, parts, n))
CALL(RECV, ssize_t, recv, -1, (int fd, void *out, size_t n, int flags), (fd, out, n, flags))
CALL(SEND, ssize_t, send, -1, (int fd, const void *bytes, size_t n, int flags), (fd, bytes, n, flags))
CALL(SEND, ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
CALL(ACCEPT, int, accept4, -1, (int fd, struct sockaddr *address, socklen_t *size, int flags),
     (fd, address, size, flags))
CALL(ACCEPT, int, accept, -1, (int fd, struct sockaddr *address, socklen_t *size), (fd, address, size))
CALL(EPOLL_WAIT, int, epoll_wait, -1, (int poller, struct epoll_event *events, int n, int ms), (poller, events, n, ms))
CALL(THREAD, int, pthread_create, EAGAIN,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument))
CALL(MMAP, void *, mmap, MAP_FAILED, (void *at, size_t n, int protection, int flags, int fd, off_t offset),
     (at, n, protection, flags, fd, offset))
CALL(MEMFD, int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
CALL(SPAWN, int, posix_spawn, (int)page->error,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *files, const posix_spawnattr_t *attributes,
      char *const *arguments, char *const *environment),
     (pid, path, files, attributes, arguments, environment))
CALL(STAT, int, fstat, -1, (int fd, struct stat *out), (fd, out))
CALL(STAT, int, stat, -1, (const char *path, struct stat *out), (path, out))
CALL(SOCKET, int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
CALL(SOCKET, int, listen, -1, (int fd, int backlog), (fd, backlog))
CALL(SOCKET, int, bind, -1, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
CALL(CONNECT, int, connect, -1, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
CALL(SETSOCKOPT, int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t n),
     (fd, level, name, value, n))
CALL(EPOLL_CTL, int, epoll_create1, -1, (int flags), (flags))
CALL(EVENTFD, int, eventfd, -1, (unsigned value, int flags), (value, flags))
CALL(RANDOM, ssize_t, getrandom, -1, (void *out, size_t n, unsigned flags), (out, n, flags))

/* EPOLL_CTL_DEL never fails: it needs no memory, and libmicrohttpd aborts the process if it fails. */
int epoll_ctl(int poller, int what, int fd, struct epoll_event *event)
{
    static int (*real_epoll_ctl)(int, int, int, struct epoll_event *);
    if (!real_epoll_ctl)
        *(void **)&real_epoll_ctl = next("epoll_ctl");
    return what != EPOLL_CTL_DEL && fails(EPOLL_CTL) ? -1 : real_epoll_ctl(poller, what, fd, event);
}

/* A write to an eventfd never fails, because it wakes libmicrohttpd's thread. */
ssize_t write(int fd, const void *bytes, size_t n)
{
    static ssize_t (*real_write)(int, const void *, size_t);
    if (!real_write)
        *(void **)&real_write = next("write");
    return n != sizeof(eventfd_t) && fails(WRITE) ? -1 : real_write(fd, bytes, n);
}

/* Never fails: AddressSanitizer aborts the process if this fails at the start of a thread. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *out)
{
    static int (*real_getattr)(pthread_t, pthread_attr_t *);
    if (!real_getattr)
        *(void **)&real_getattr = next("pthread_getattr_np");
    inside = true;
    int error = real_getattr(thread, out);
    inside = false;
    return error;
}

int open(const char *path, int flags, ...)
{
    static int (*real_open)(const char *, int, ...);
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (!real_open)
        *(void **)&real_open = next("open");
    return fails(OPEN) ? -1 : real_open(path, flags, mode);
}

int fcntl(int fd, int what, ...)
{
    static int (*real_fcntl)(int, int, ...);
    va_list more;
    va_start(more, what);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (!real_fcntl)
        *(void **)&real_fcntl = next("fcntl");
    return fails(FCNTL) ? -1 : real_fcntl(fd, what, argument);
}

/* ---- start ---- */

/* The library applies to the server alone: the helpers that it starts have an empty environment. */
__attribute__((constructor)) static void set_up(void)
{
    look_for_memory();
    const char *path = getenv("FAULT_PAGE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (shared != MAP_FAILED)
        page = shared;
}
