/* GnuTLS over a blocking socket. */
#include "tls_client.h"

#include "clock.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

struct tls_client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t keys;
    int fd, timeout_ms; /* of the socket's reads */
};

void tls_client_close(struct tls_client *client)
{
    if (!client)
        return;
    if (client->session)
        gnutls_deinit(client->session);
    if (client->keys)
        gnutls_certificate_free_credentials(client->keys);
    free(client);
}

static bool given(const char *text)
{
    return text && *text;
}

/* 0, or GnuTLS's error with the file that it is about. */
static int load_files(struct tls_client *client, const struct tls_client_files *files, const char **at)
{
    int status = gnutls_certificate_allocate_credentials(&client->keys);
    *at = "";
    if (status >= 0 && given(files->ca)) {
        *at = files->ca;
        status = gnutls_certificate_set_x509_trust_file(client->keys, files->ca, GNUTLS_X509_FMT_PEM);
        status = status ? status : GNUTLS_E_NO_CERTIFICATE_FOUND;
    } else if (status >= 0 && !given(files->pinned)) {
        gnutls_certificate_set_x509_system_trust(client->keys);
    }
    if (status >= 0 && given(files->certificate)) {
        *at = files->certificate;
        status =
            gnutls_certificate_set_x509_key_file(client->keys, files->certificate, files->key, GNUTLS_X509_FMT_PEM);
    }
    return status < 0 ? status : 0;
}

/* Whether the peer has shown the first certificate of a file. */
static bool is_pinned(struct tls_client *client, const char *path)
{
    gnutls_datum_t text = {NULL, 0}, der = {NULL, 0};
    gnutls_x509_crt_t *list = NULL;
    unsigned n = 0, shown = 0;
    const gnutls_datum_t *peer = gnutls_certificate_get_peers(client->session, &shown);
    bool same = false;
    if (gnutls_load_file(path, &text) >= 0 &&
        gnutls_x509_crt_list_import2(&list, &n, &text, GNUTLS_X509_FMT_PEM, 0) >= 0) {
        if (n && gnutls_x509_crt_export2(list[0], GNUTLS_X509_FMT_DER, &der) >= 0)
            same = shown && peer->size == der.size && !memcmp(peer->data, der.data, der.size);
        for (unsigned i = 0; i < n; i++)
            gnutls_x509_crt_deinit(list[i]);
    }
    gnutls_free(list);
    gnutls_free(der.data);
    gnutls_free(text.data);
    return same;
}

static int timeout_of(int fd)
{
    struct timeval limit = {0, 0};
    socklen_t size = sizeof limit;
    getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &size);
    return (int)(limit.tv_sec * 1000 + limit.tv_usec / 1000);
}

static int shake_hands(struct tls_client *client)
{
    int status;
    do
        status = gnutls_handshake(client->session);
    while (status < 0 && !gnutls_error_is_fatal(status) && status != GNUTLS_E_AGAIN);
    return status;
}

/* Why a certificate was refused, as a text of GnuTLS. */
static void say_refusal(struct tls_client *client, int status, char *error, size_t error_size)
{
    gnutls_datum_t words = {NULL, 0};
    if (status == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(client->session),
                                                     GNUTLS_CRT_X509, &words, 0) >= 0) {
        snprintf(error, error_size, "%s", (const char *)words.data);
        gnutls_free(words.data);
    } else {
        snprintf(error, error_size, "TLS: %s", gnutls_strerror(status));
    }
}

struct tls_client *tls_client_open(int fd, const char *host, const struct tls_client_files *files, char *error,
                                   size_t error_size, bool *timeout)
{
    struct tls_client *client = calloc(1, sizeof *client);
    const char *at = "";
    *timeout = false;
    int status = client ? load_files(client, files, &at) : GNUTLS_E_MEMORY_ERROR;
    if (!status)
        status = gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    if (!status)
        status = gnutls_set_default_priority(client->session);
    if (!status)
        status = gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->keys);
    if (status) {
        snprintf(error, error_size, "%.200s%s%s", at, *at ? ": " : "", gnutls_strerror(status));
        tls_client_close(client);
        return NULL;
    }
    if (!given(files->pinned))
        gnutls_session_set_verify_cert(client->session, host, 0);
    if (strspn(host, "0123456789.") != strlen(host) && !strchr(host, ':')) /* an IP address is not a server name */
        gnutls_server_name_set(client->session, GNUTLS_NAME_DNS, host, strlen(host));
    client->fd = fd;
    client->timeout_ms = timeout_of(fd);
    gnutls_transport_set_int(client->session, fd);
    status = shake_hands(client);
    if (!status && (!given(files->pinned) || is_pinned(client, files->pinned)))
        return client;
    *timeout = status == GNUTLS_E_AGAIN;
    if (!status)
        snprintf(error, error_size, "its certificate is not that of %.200s", files->pinned);
    else
        say_refusal(client, status, error, error_size);
    tls_client_close(client);
    return NULL;
}

static ssize_t as_errno(ssize_t n)
{
    if (n >= 0)
        return n;
    errno = n == GNUTLS_E_AGAIN ? EAGAIN : n == GNUTLS_E_INTERRUPTED ? EINTR : ECONNRESET;
    return -1;
}

ssize_t tls_client_send(struct tls_client *client, const void *bytes, size_t n)
{
    return as_errno(gnutls_record_send(client->session, bytes, n));
}

/* GnuTLS also returns after it has read one of its own messages, such as a ticket. Then the function reads again, with
   the rest of the time. */
ssize_t tls_client_recv(struct tls_client *client, void *bytes, size_t n)
{
    int64_t until_ns = clock_ns() + client->timeout_ms * (int64_t)NS_PER_MS;
    for (;;) {
        ssize_t got = gnutls_record_recv(client->session, bytes, n);
        int64_t left_ns = until_ns - clock_ns();
        struct pollfd poller = {.fd = client->fd, .events = POLLIN};
        if (got != GNUTLS_E_AGAIN || left_ns <= 0 || poll(&poller, 1, (int)(left_ns / NS_PER_MS) + 1) < 1)
            return as_errno(got);
    }
}
