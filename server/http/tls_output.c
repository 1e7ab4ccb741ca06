/* GnuTLS makes a record of each part that libmicrohttpd sends: the head, and every 16 KiB of the body. A packet for each
   would cost more than the ciphers do. */
#include "tls_output.h"

#include "tls_progress.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PARTS = 16 }; /* of records in one call; GnuTLS sends the rest with its next call */

static size_t bytes_of(const giovec_t *parts, int n)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

/* Keep the record of a head until the first record of the body follows. MSG_MORE alone is not enough: libmicrohttpd sets
   TCP_NODELAY after the head on a connection that it has not accepted itself, and the kernel sends what it has. Returns
   false without memory. */
static bool hold(struct tls_output *output, const giovec_t *parts, int n, size_t bytes)
{
    output->held = malloc(bytes);
    if (!output->held)
        return false;
    output->held_bytes = bytes;
    for (char *at = output->held; n; at += parts->iov_len, parts++, n--)
        memcpy(at, parts->iov_base, parts->iov_len);
    return true;
}

static ssize_t send_with_held(struct tls_output *output, const giovec_t *parts, int n, bool more)
{
    struct iovec all[1 + PARTS];
    struct msghdr message = {.msg_iov = all};
    size_t held = output->held_bytes - output->held_sent;
    if (held)
        all[message.msg_iovlen++] = (struct iovec){output->held + output->held_sent, held};
    for (int i = 0; i < n && i < PARTS; i++)
        all[message.msg_iovlen++] = (struct iovec){parts[i].iov_base, parts[i].iov_len};
    ssize_t sent = sendmsg(output->fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (sent < 0)
        return sent;
    if ((size_t)sent < held) {
        output->held_sent += (size_t)sent;
        errno = EAGAIN;
        return -1;
    }
    tls_output_end(output);
    return sent - (ssize_t)held;
}

/* GnuTLS calls this function with records. A record is longer than its text, so the last record of a body is never held
   back. */
static ssize_t send_records(gnutls_transport_ptr_t transport, const giovec_t *parts, int n)
{
    struct tls_output *output = transport;
    size_t bytes = bytes_of(parts, n), left = output->body;
    ssize_t sent;
    if (!output->head)
        left -= bytes < left ? bytes : left;
    if (output->head && left && !output->held && hold(output, parts, n, bytes))
        sent = (ssize_t)bytes;
    else
        sent = send_with_held(output, parts, n, left);
    tls_progress_note(sent);
    if (sent > 0 && !output->head)
        output->body -= (size_t)sent < output->body ? (size_t)sent : output->body;
    output->head = output->head && sent <= 0;
    return sent;
}

void tls_output_end(struct tls_output *output)
{
    free(output->held);
    output->held = NULL;
    output->held_bytes = output->held_sent = 0;
}

void tls_output_begin(struct tls_output *output, void *session, int fd)
{
    *output = (struct tls_output){.fd = fd};
    gnutls_transport_set_ptr2(session, (gnutls_transport_ptr_t)(intptr_t)fd, output);
    gnutls_transport_set_vec_push_function(session, send_records);
    gnutls_transport_set_pull_function(session, tls_progress_receive);
}

void tls_output_answer(struct tls_output *output, size_t body)
{
    output->head = true;
    output->body = body;
}
