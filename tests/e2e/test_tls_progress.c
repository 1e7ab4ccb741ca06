/* HTTPS: an unfinished handshake costs no processor time, and a KeyUpdate of TLS 1.3 delays no request. */
#include "certificate.h"
#include "e2e.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct certificate authority, server;

static int make_certificates(void **state)
{
    (void)state;
    authority = certificate_new("authority", NULL);
    server = certificate_new("localhost", &authority);
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    certificate_remove(&authority);
    certificate_remove(&server);
    return 0;
}

/* A server with one I/O thread that gives every client so much time. */
static void start(struct daemon *daemon, int read_timeout_ms)
{
    char section[512];
    snprintf(section, sizeof section,
             ", \"io_threads\": 1, \"limits\": {\"read_timeout_ms\": %d}, \"tls\": {\"certificate\": \"%s\", "
             "\"key\": \"%s\"}",
             read_timeout_ms, server.certificate, server.key);
    daemon_start(daemon, small_config(2, 3, section), NULL);
    snprintf(daemon->ca, sizeof daemon->ca, "%s", authority.certificate);
}

static int connect_bare(const struct daemon *daemon)
{
    const struct daemon bare = {.port = daemon->port};
    return raw_connect(&bare);
}

/* ---- an unfinished handshake ---- */

/* The least part of a processor that the server uses in one of several periods. A server that waits for nothing but a
   handshake uses a whole one in each. */
static double least_share(const struct daemon *daemon, double enough)
{
    enum { PERIODS = 5, PERIOD_MS = 2000 };
    double least = 1e9;
    for (int i = 0; i < PERIODS && least > enough; i++) {
        double began = now_ms();
        long before = daemon_cpu_ms(daemon);
        sleep_ms(PERIOD_MS);
        double share = (double)(daemon_cpu_ms(daemon) - before) / (now_ms() - began);
        least = share < least ? share : least;
    }
    return least;
}

static void an_unfinished_handshake_costs_no_processor_time(void **state)
{
    (void)state;
    const double enough = 0.25;
    struct daemon daemon;
    start(&daemon, 600000); /* the connection stays open during the test */
    int fd = connect_bare(&daemon);
    raw_send(fd, "\x16", 1); /* the first byte of a record of the handshake */
    await_metric(&daemon, "cellserve_connections", 2, 2);
    double share = least_share(&daemon, enough);
    if (share > enough)
        fail_msg("a handshake of which one byte has come takes %.0f %% of a processor", share * 100);
    json_decref(ok(http_post(&daemon, "/predict", "{\"instances\": [[[0.5, -1]]]}"))); /* others are served */
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1); /* and the first client is not given up */
    assert_int_equal(errno, EAGAIN);
    close(fd);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

/* ---- KeyUpdate ---- */

/* A client of TLS 1.3 that can hold its records back, to send them together. */
struct client {
    int fd;
    bool holds;
    char held[8192];
    size_t n_held;
    gnutls_session_t session;
    gnutls_certificate_credentials_t none;
};

static ssize_t send_or_hold(gnutls_transport_ptr_t transport, const void *bytes, size_t n)
{
    struct client *client = transport;
    if (!client->holds)
        return send(client->fd, bytes, n, MSG_NOSIGNAL);
    assert_true(client->n_held + n <= sizeof client->held);
    memcpy(client->held + client->n_held, bytes, n);
    client->n_held += n;
    return (ssize_t)n;
}

static ssize_t receive(gnutls_transport_ptr_t transport, void *bytes, size_t n)
{
    const struct client *client = transport;
    return recv(client->fd, bytes, n, 0);
}

static void client_open(struct client *client, const struct daemon *daemon)
{
    int status;
    *client = (struct client){.fd = connect_bare(daemon)};
    gnutls_certificate_allocate_credentials(&client->none);
    gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    assert_int_equal(gnutls_priority_set_direct(client->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL), 0);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->none);
    gnutls_transport_set_ptr(client->session, client);
    gnutls_transport_set_push_function(client->session, send_or_hold);
    gnutls_transport_set_pull_function(client->session, receive);
    do
        status = gnutls_handshake(client->session);
    while (status < 0 && !gnutls_error_is_fatal(status));
    assert_int_equal(status, 0);
}

static void client_close(struct client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->none);
    close(client->fd);
}

static void client_send(struct client *client, const char *text)
{
    assert_int_equal(gnutls_record_send(client->session, text, strlen(text)), strlen(text));
}

/* Read an answer: its first line begins with `begin`, and it ends with `end`. */
static void expect_answer(struct client *client, const char *begin, const char *end)
{
    char out[4096] = "";
    size_t n = 0;
    while (!strstr(out, end)) {
        ssize_t more = gnutls_record_recv(client->session, out + n, sizeof out - 1 - n);
        if (more == GNUTLS_E_AGAIN || more == GNUTLS_E_INTERRUPTED)
            continue;
        if (more <= 0)
            fail_msg("the connection ends after \"%s\"", out);
        n += (size_t)more;
        out[n] = 0;
    }
    if (strncmp(out, begin, strlen(begin)) != 0)
        fail_msg("expected %s, found %s", begin, out);
}

/* A KeyUpdate and this text leave together. */
static void send_behind_key_update(struct client *client, const char *text)
{
    client->holds = true;
    assert_int_equal(gnutls_session_key_update(client->session, 0), 0);
    client_send(client, text);
    client->holds = false;
    assert_int_equal(send(client->fd, client->held, client->n_held, MSG_NOSIGNAL), client->n_held);
    client->n_held = 0;
}

/* If the server did not read the request, it would cut the connection after its time-out. */
static void a_request_behind_a_key_update_is_answered(void **state)
{
    (void)state;
    static const char get[] = "GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    static const char head[] = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                               "Expect: 100-continue\r\nContent-Length: 28\r\n\r\n";
    static const char body[] = "{\"instances\": [[[0.5, -1]]]}";
    struct daemon daemon;
    struct client client;
    start(&daemon, 20000);
    client_open(&client, &daemon);
    for (int i = 0; i < 2; i++) { /* the first request of the connection and a further one */
        send_behind_key_update(&client, get);
        expect_answer(&client, "HTTP/1.1 200 ", "true}");
    }
    client_send(&client, head);
    expect_answer(&client, "HTTP/1.1 100 ", "\r\n\r\n");
    send_behind_key_update(&client, body);
    expect_answer(&client, "HTTP/1.1 200 ", "]}");
    client_close(&client);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unfinished_handshake_costs_no_processor_time),
        cmocka_unit_test(a_request_behind_a_key_update_is_answered),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
