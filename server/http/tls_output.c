/* GnuTLS makes a record of each part that libmicrohttpd sends: the head, and every 16 KiB of the body. A packet for each
   would cost more than the ciphers do. */
#include "tls_output.h"

#include <gnutls/gnutls.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* GnuTLS calls this function with records. A record is longer than its text, so the last record of a body is never held back. */
static ssize_t send_records(gnutls_transport_ptr_t transport, const giovec_t *parts, int n)
{
    struct tls_output *output = transport;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)n};
    size_t bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += parts[i].iov_len;
    size_t left = output->body;
    if (!output->head)
        left -= bytes < left ? bytes : left;
    ssize_t sent = sendmsg(output->fd, &message, MSG_NOSIGNAL | (left ? MSG_MORE : 0));
    if (sent > 0 && !output->head)
        output->body -= (size_t)sent < output->body ? (size_t)sent : output->body;
    output->head = output->head && sent <= 0;
    return sent;
}

void tls_output_begin(struct tls_output *output, void *session, int fd)
{
    *output = (struct tls_output){.fd = fd};
    gnutls_transport_set_ptr2(session, (gnutls_transport_ptr_t)(intptr_t)fd, output);
    gnutls_transport_set_vec_push_function(session, send_records);
}

void tls_output_answer(struct tls_output *output, size_t body)
{
    output->head = true;
    output->body = body;
}
