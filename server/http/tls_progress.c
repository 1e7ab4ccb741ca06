/* Two faults of libmicrohttpd 0.9.75 to 1.0.1 with TLS and epoll, both in connection_https.c.

   MHD_run_tls_handshake_ (lines 132 to 175) does not record that the socket has no more bytes when gnutls_handshake says
   so. The connection counts as ready until the handshake ends, and MHD_epoll calls epoll_wait with the timeout 0 again and
   again. epoll.c then waits, if tls_progress_waits says so.

   recv_tls_adapter (lines 50 to 75) takes GNUTLS_E_AGAIN for an empty socket. GnuTLS also says so after a KeyUpdate, which
   has no data. epoll reports only new bytes, so a request that came together with the KeyUpdate would wait until more
   comes. Here, gnutls_record_recv reads on until the socket is empty. */
#include "tls_progress.h"

#include <dlfcn.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <sys/socket.h>

static _Thread_local struct {
    bool waits;    /* a socket had no bytes, or no room, */
    bool moves;    /* and a session received or sent, since the last tls_progress_waits */
    bool received; /* the last read from a socket returned bytes */
} thread;

void tls_progress_note(ssize_t n)
{
    bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    thread.waits |= waits;
    thread.moves |= !waits;
}

ssize_t tls_progress_receive(void *transport, void *bytes, size_t n)
{
    ssize_t received = recv((int)(intptr_t)transport, bytes, n, 0);
    thread.received = received > 0;
    tls_progress_note(received);
    return received;
}

bool tls_progress_waits(void)
{
    bool waits = thread.waits && !thread.moves;
    thread.waits = thread.moves = false;
    return waits;
}

static ssize_t (*gnutls_receive)(gnutls_session_t session, void *data, size_t size);

/* Before main, so before any thread. */
__attribute__((constructor)) static void find_gnutls_receive(void)
{
    *(void **)&gnutls_receive = dlsym(RTLD_NEXT, "gnutls_record_recv");
}

/* For the whole process: the linker prefers this function to GnuTLS's, also for libmicrohttpd. The loop ends, because each
   turn takes bytes from the socket, and GnuTLS (KEY_UPDATES_PER_WINDOW in its lib/tls13/key_update.c) refuses more than
   eight KeyUpdates a second. For sessions without tls_progress_receive, nothing changes. */
__attribute__((visibility("default"))) ssize_t gnutls_record_recv(gnutls_session_t session, void *data, size_t size)
{
    ssize_t n = 0;
    do {
        thread.received = false;
        n = gnutls_receive(session, data, size);
    } while (n == GNUTLS_E_AGAIN && thread.received);
    thread.moves |= n != GNUTLS_E_AGAIN; /* also if the bytes were in GnuTLS's memory */
    return n;
}
