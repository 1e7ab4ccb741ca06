/* An ECDSA key is made in a millisecond. */
#include "certificate.h"

#include "e2e.h"

#include <arpa/inet.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- files ---- */

static void write_file(const char *path, const gnutls_datum_t *text)
{
    char next[80];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *file = fopen(next, "w");
    assert_non_null(file);
    fwrite(text->data, 1, text->size, file);
    fclose(file);
    assert_int_equal(rename(next, path), 0);
}

static gnutls_datum_t load(const char *path)
{
    gnutls_datum_t text;
    assert_int_equal(gnutls_load_file(path, &text), 0);
    return text;
}

static void sign(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const struct certificate *issuer)
{
    gnutls_x509_crt_t by = crt;
    gnutls_x509_privkey_t with = key;
    if (issuer) {
        gnutls_datum_t text = load(issuer->certificate);
        gnutls_x509_crt_init(&by);
        assert_int_equal(gnutls_x509_crt_import(by, &text, GNUTLS_X509_FMT_PEM), 0);
        gnutls_free(text.data);
        text = load(issuer->key);
        gnutls_x509_privkey_init(&with);
        assert_int_equal(gnutls_x509_privkey_import(with, &text, GNUTLS_X509_FMT_PEM), 0);
        gnutls_free(text.data);
    }
    assert_int_equal(gnutls_x509_crt_sign2(crt, by, with, GNUTLS_DIG_SHA256, 0), 0);
    if (issuer) {
        gnutls_x509_crt_deinit(by);
        gnutls_x509_privkey_deinit(with);
    }
}

static struct certificate make_certificate(const char *name, const struct certificate *issuer,
                                           gnutls_pk_algorithm_t algorithm, unsigned bits)
{
    static unsigned count;
    static const unsigned char loopback[] = {127, 0, 0, 1};
    struct certificate c;
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t text;
    unsigned char serial[] = {1, (unsigned char)(++count >> 8), (unsigned char)count};
    snprintf(c.certificate, sizeof c.certificate, "/tmp/cellserve-test-%d-%u.crt", (int)getpid(), count);
    snprintf(c.key, sizeof c.key, "/tmp/cellserve-test-%d-%u.key", (int)getpid(), count);
    gnutls_x509_privkey_init(&key);
    gnutls_x509_crt_init(&crt);
    assert_int_equal(gnutls_x509_privkey_generate(key, algorithm, bits, 0), 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
    gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
    gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400);
    gnutls_x509_crt_set_key(crt, key);
    gnutls_x509_crt_set_basic_constraints(crt, !issuer, -1);
    if (issuer) {
        gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
        gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback, 4, GNUTLS_FSAN_APPEND);
    }
    sign(crt, key, issuer);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &text), 0);
    write_file(c.certificate, &text);
    gnutls_free(text.data);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text), 0);
    write_file(c.key, &text);
    gnutls_free(text.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    return c;
}

struct certificate certificate_new(const char *name, const struct certificate *issuer)
{
    return make_certificate(name, issuer, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1));
}

struct certificate certificate_new_rsa(const char *name, const struct certificate *issuer)
{
    return make_certificate(name, issuer, GNUTLS_PK_RSA, 2048);
}

void certificate_exchange(const struct certificate *to, const struct certificate *from)
{
    gnutls_datum_t text = load(from->certificate);
    write_file(to->certificate, &text);
    gnutls_free(text.data);
    text = load(from->key);
    write_file(to->key, &text);
    gnutls_free(text.data);
}

void certificate_remove(const struct certificate *certificate)
{
    unlink(certificate->certificate);
    unlink(certificate->key);
}

/* ---- the relay ---- */

struct relay {
    int client, port;
    int ready;              /* closed after the handshake */
    int receive_bytes;      /* SO_RCVBUF of the socket; 0: the default */
    struct in_addr address; /* the client's address for the server */
    char header[128];
    char last[11]; /* the client's last bytes, to find the ends of request lines */
    gnutls_session_t session;
    gnutls_certificate_credentials_t none;
};

static bool send_whole(struct relay *relay, const char *bytes, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        ssize_t k = gnutls_record_send(relay->session, bytes + sent, n - sent);
        if (k < 0 && k != GNUTLS_E_AGAIN && k != GNUTLS_E_INTERRUPTED)
            return false;
        sent += k > 0 ? (size_t)k : 0;
    }
    return true;
}

/* Add the header with the key after every "HTTP/1.x\r\n". */
static bool send_heads(struct relay *relay, const char *bytes, size_t n)
{
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        memmove(relay->last, relay->last + 1, 9);
        relay->last[9] = bytes[i];
        if (*relay->header && !memcmp(relay->last, "HTTP/1.", 7) && !memcmp(relay->last + 8, "\r\n", 2)) {
            if (!send_whole(relay, bytes + from, i + 1 - from) ||
                !send_whole(relay, relay->header, strlen(relay->header)))
                return false;
            from = i + 1;
        }
    }
    return from == n || send_whole(relay, bytes + from, n - from);
}

static void carry(struct relay *relay, int server)
{
    char bytes[65536];
    struct pollfd ends[] = {{relay->client, POLLIN, 0}, {server, POLLIN, 0}};
    for (;;) {
        if (!gnutls_record_check_pending(relay->session))
            poll(ends, 2, -1);
        if (ends[0].revents) {
            ssize_t n = recv(relay->client, bytes, sizeof bytes, 0);
            if (n < 0)
                return;
            if (n && !send_heads(relay, bytes, (size_t)n)) {
                ends[0].fd = -1; /* the server has closed the connection; its answer must still be read */
            } else if (!n) {
                gnutls_bye(relay->session, GNUTLS_SHUT_WR);
                shutdown(server, SHUT_WR);
                ends[0].fd = -1;
            }
        }
        if (ends[1].revents || gnutls_record_check_pending(relay->session)) {
            ssize_t n = gnutls_record_recv(relay->session, bytes, sizeof bytes);
            if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
                continue;
            for (ssize_t sent = 0, k; sent < n; sent += k)
                if ((k = send(relay->client, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) <= 0)
                    return;
            if (n <= 0)
                return;
        }
        ends[0].revents = ends[1].revents = 0;
    }
}

static void *run_relay(void *argument)
{
    struct relay *relay = argument;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)relay->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* a head is sent in several records */
    if (relay->receive_bytes)
        setsockopt(server, SOL_SOCKET, SO_RCVBUF, &relay->receive_bytes, sizeof relay->receive_bytes);
    gnutls_certificate_allocate_credentials(&relay->none);
    gnutls_init(&relay->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    gnutls_set_default_priority(relay->session);
    gnutls_credentials_set(relay->session, GNUTLS_CRD_CERTIFICATE, relay->none);
    gnutls_transport_set_int(relay->session, server);
    int status = -1;
    const struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = relay->address};
    if (!bind(server, (const struct sockaddr *)&own, sizeof own) &&
        !connect(server, (struct sockaddr *)&address, sizeof address))
        do
            status = gnutls_handshake(relay->session);
        while (status < 0 && !gnutls_error_is_fatal(status));
    close(relay->ready);
    if (!status)
        carry(relay, server);
    gnutls_deinit(relay->session);
    gnutls_certificate_free_credentials(relay->none);
    close(relay->client);
    close(server);
    free(relay);
    return NULL;
}

int certificate_relay(int port, const char *key, const char *from)
{
    enum { HANDSHAKE_MS = 2000 }; /* a server that does not accept the connection makes no handshake */
    struct relay *relay = calloc(1, sizeof *relay);
    int ready[2];
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    pthread_t thread;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        end = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    if (raw_receive_bytes)
        setsockopt(end, SOL_SOCKET, SO_RCVBUF, &raw_receive_bytes, sizeof raw_receive_bytes);
    assert_int_equal(connect(end, (struct sockaddr *)&address, sizeof address), 0);
    relay->client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(relay->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listener);
    if (raw_receive_bytes)
        setsockopt(relay->client, SOL_SOCKET, SO_SNDBUF, &raw_receive_bytes, sizeof raw_receive_bytes);
    relay->receive_bytes = raw_receive_bytes;
    relay->port = port;
    relay->address.s_addr = inet_addr(from);
    assert_int_equal(pipe(ready), 0);
    relay->ready = ready[1];
    if (key)
        snprintf(relay->header, sizeof relay->header, "X-API-Key: %s\r\n", key);
    assert_int_equal(pthread_create(&thread, NULL, run_relay, relay), 0);
    pthread_detach(thread);
    poll(&(struct pollfd){.fd = ready[0]}, 1, HANDSHAKE_MS); /* ends with POLLHUP after the handshake */
    close(ready[0]);
    return end;
}
