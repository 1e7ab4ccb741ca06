/* The ring of log lines and its writer. */
#include "log_ring.h"

#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum {
    RING_BYTES = 1 << 20,
    CHUNK_BYTES = PIPE_BUF, /* bytes of a write: whole lines, which a pipe does not mix with lines of other processes */
    GATHER_MS = 5,          /* wait after the first line: further lines come, and the writer is woken once for all */
    FLUSH_MS = 1000,
};
_Static_assert((int)CHUNK_BYTES >= (int)LOG_LINE_BYTES, "a chunk has room for a line");

static struct {
    pthread_mutex_t lock; /* guards all below; held only while bytes are copied, never during a write */
    pthread_cond_t filled, ended;
    size_t (*notice)(char *out, uint64_t dropped);
    bool running, ending;
    bool writable;            /* the last write went well */
    size_t put, taken;        /* bytes since the ring was empty; at most RING_BYTES apart */
    uint64_t dropped, unsaid; /* dropped lines; those that no notice has reported yet */
    char bytes[RING_BYTES];
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .filled = PTHREAD_COND_INITIALIZER,
          .ended = PTHREAD_COND_INITIALIZER,
          .writable = true};

/* Returns how many bytes could not be written. */
static size_t write_bytes(const char *at, size_t bytes)
{
    struct pollfd poller = {.fd = STDERR_FILENO, .events = POLLOUT};
    while (bytes) {
        ssize_t n = write(STDERR_FILENO, at, bytes);
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        } else if (errno == EAGAIN) { /* the parent process has made it non-blocking */
            poll(&poller, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    return bytes;
}

/* ---- under the lock ---- */

static void copy_in(const char *line, size_t bytes)
{
    size_t at = ring.put % RING_BYTES, first = bytes < RING_BYTES - at ? bytes : RING_BYTES - at;
    memcpy(ring.bytes + at, line, first);
    memcpy(ring.bytes, line + first, bytes - first);
    ring.put += bytes;
}

/* As many whole lines as fit; returns their bytes. */
static size_t take_lines(char *chunk)
{
    size_t there = ring.put - ring.taken, bytes = there < CHUNK_BYTES ? there : CHUNK_BYTES;
    size_t at = ring.taken % RING_BYTES, first = bytes < RING_BYTES - at ? bytes : RING_BYTES - at;
    memcpy(chunk, ring.bytes + at, first);
    memcpy(chunk + first, ring.bytes, bytes - first);
    const char *last = memrchr(chunk, '\n', bytes);
    bytes = last ? (size_t)(last + 1 - chunk) : bytes;
    ring.taken += bytes;
    if (ring.taken == ring.put)
        ring.taken = ring.put = 0; /* pages of the ring that no line has needed stay untouched */
    return bytes;
}

/* False when the time is over. */
static bool wait_until(pthread_cond_t *condition, int64_t end_ns)
{
    const struct timespec end = {end_ns / 1000000000, end_ns % 1000000000};
    return !pthread_cond_clockwait(condition, &ring.lock, CLOCK_MONOTONIC, &end);
}

static void wait_for_lines(void)
{
    if (ring.put != ring.taken)
        return;
    while (ring.put == ring.taken && !ring.ending)
        pthread_cond_wait(&ring.filled, &ring.lock);
    int64_t end = clock_ns() + GATHER_MS * (int64_t)NS_PER_MS;
    while (ring.put - ring.taken < RING_BYTES / 2 && !ring.ending && wait_until(&ring.filled, end))
        ;
}

/* ---- the writer ---- */

/* What is to be written now; 0: nothing any more. */
static size_t next_chunk(char *chunk)
{
    pthread_mutex_lock(&ring.lock);
    uint64_t dropped = ring.put == ring.taken && ring.writable ? ring.unsaid : 0;
    if (dropped)
        ring.unsaid = 0;
    else
        wait_for_lines();
    size_t bytes = dropped ? 0 : take_lines(chunk);
    pthread_mutex_unlock(&ring.lock);
    return dropped ? ring.notice(chunk, dropped) : bytes;
}

static void count_lost(const char *lines, size_t bytes)
{
    pthread_mutex_lock(&ring.lock);
    ring.writable = !bytes;
    for (size_t i = 0; i < bytes; i++)
        if (lines[i] == '\n') {
            ring.dropped++;
            ring.unsaid++;
        }
    pthread_mutex_unlock(&ring.lock);
}

static void *write_ring(void *unused)
{
    char chunk[CHUNK_BYTES];
    size_t bytes;
    (void)unused;
    while ((bytes = next_chunk(chunk))) {
        size_t lost = write_bytes(chunk, bytes);
        count_lost(chunk + bytes - lost, lost);
    }
    pthread_mutex_lock(&ring.lock);
    ring.running = false;
    pthread_cond_signal(&ring.ended);
    pthread_mutex_unlock(&ring.lock);
    return NULL;
}

/* ---- everybody else ---- */

void log_ring_start(size_t (*notice)(char *out, uint64_t dropped))
{
    pthread_t thread;
    ring.notice = notice;
    ring.running = true;
    ring.ending = false;
    if (pthread_create(&thread, NULL, write_ring, NULL))
        ring.running = false;
    else
        pthread_detach(thread); /* the thread may hang in a write */
}

void log_ring_line(const char *line, size_t bytes)
{
    pthread_mutex_lock(&ring.lock);
    bool running = ring.running, wake = false;
    size_t there = ring.put - ring.taken;
    if (running && bytes > RING_BYTES - there) {
        ring.dropped++;
        ring.unsaid++;
    } else if (running) {
        copy_in(line, bytes);
        wake = !there || (there < RING_BYTES / 2 && there + bytes >= RING_BYTES / 2);
    }
    pthread_mutex_unlock(&ring.lock);
    if (wake)
        pthread_cond_signal(&ring.filled);
    if (!running)
        write_bytes(line, bytes);
}

uint64_t log_ring_dropped(void)
{
    pthread_mutex_lock(&ring.lock);
    uint64_t dropped = ring.dropped;
    pthread_mutex_unlock(&ring.lock);
    return dropped;
}

void log_ring_stop(void)
{
    int64_t end = clock_ns() + FLUSH_MS * (int64_t)NS_PER_MS;
    pthread_mutex_lock(&ring.lock);
    ring.ending = true;
    pthread_cond_signal(&ring.filled);
    while (ring.running && wait_until(&ring.ended, end))
        ;
    pthread_mutex_unlock(&ring.lock);
}
