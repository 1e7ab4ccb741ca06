/* HTTPS: versions and cipher suites, exchange of certificates, client certificates, timeouts and vanished clients. */
#include "certificate.h"
#include "e2e.h"

#include <gnutls/gnutls.h>
#include <limits.h>
#include <linux/tcp.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct certificate authority;

static int make_authority(void **state)
{
    (void)state;
    authority = certificate_new("authority", NULL);
    return 0;
}

static int remove_authority(void **state)
{
    (void)state;
    certificate_remove(&authority);
    return 0;
}

static void start(struct daemon *daemon, const struct certificate *server, const char *more)
{
    char section[512];
    snprintf(section, sizeof section, ", \"tls\": {\"certificate\": \"%s\", \"key\": \"%s\"}%s", server->certificate,
             server->key, more);
    daemon_start(daemon, small_config(2, 3, section), NULL);
    assert_true(!strncmp(daemon->url, "https://127.0.0.1:", 18));
    snprintf(daemon->ca, sizeof daemon->ca, "%s", authority.certificate);
}

static void predictions_are_those_without_tls(void **state)
{
    (void)state;
    struct certificate server = certificate_new("localhost", &authority);
    struct daemon plain, secure;
    daemon_start(&plain, small_config(2, 3, ""), NULL);
    start(&secure, &server, "");
    static const char body[] = "{\"instances\": [[[0.5, -1], [2, 0.25]]]}";
    json_t *a = ok(http_post(&plain, "/predict", body)), *b = ok(http_post(&secure, "/predict", body));
    assert_same(a, b);
    json_decref(a);
    json_decref(b);
    double ends = metric(&secure, "cellserve_tls_certificate_expiry_timestamp_seconds");
    assert_true(ends > (double)time(NULL) + 80000 && ends < (double)time(NULL) + 90000);
    snprintf(secure.ca, sizeof secure.ca, "%s", server.key); /* a client that does not know the authority */
    struct reply reply = http_get(&secure, "/readyz");
    assert_int_equal(reply.status, 0);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&secure, SIGTERM), 0);
    assert_int_equal(daemon_stop(&plain, SIGINT), 0);
    certificate_remove(&server);
}

/* ---- versions and cipher suites ---- */

/* Whether a handshake with this priority string succeeds. */
static bool can_speak(int port, const char *priorities)
{
    const struct daemon bare = {.port = port};
    gnutls_certificate_credentials_t none;
    gnutls_anon_client_credentials_t anonymous;
    gnutls_session_t session;
    int status, fd = raw_connect(&bare);
    gnutls_certificate_allocate_credentials(&none);
    gnutls_anon_allocate_client_credentials(&anonymous);
    gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
    assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL), 0);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, none);
    gnutls_credentials_set(session, GNUTLS_CRD_ANON, anonymous);
    gnutls_transport_set_int(session, fd);
    do
        status = gnutls_handshake(session);
    while (status < 0 && !gnutls_error_is_fatal(status));
    gnutls_deinit(session);
    gnutls_certificate_free_credentials(none);
    gnutls_anon_free_client_credentials(anonymous);
    close(fd);
    return !status;
}

/* A server that accepts everything that GnuTLS supports. A suite that fails with it too proves nothing about our
   server. */
struct lax_server {
    int listener, port;
    const struct certificate *certificates[2];
    pthread_t thread;
};

static void *serve_laxly(void *argument)
{
    const struct lax_server *server = argument;
    gnutls_certificate_credentials_t keys;
    gnutls_anon_server_credentials_t anonymous;
    gnutls_certificate_allocate_credentials(&keys);
    gnutls_anon_allocate_server_credentials(&anonymous);
    gnutls_certificate_set_known_dh_params(keys, GNUTLS_SEC_PARAM_MEDIUM);
    gnutls_anon_set_server_known_dh_params(anonymous, GNUTLS_SEC_PARAM_MEDIUM);
    for (int i = 0; i < 2; i++)
        gnutls_certificate_set_x509_key_file(keys, server->certificates[i]->certificate, server->certificates[i]->key,
                                             GNUTLS_X509_FMT_PEM);
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0; close(fd)) {
        gnutls_session_t session;
        int status;
        gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
        gnutls_priority_set_direct(session,
                                   "NONE:+VERS-ALL:+CIPHER-ALL:+KX-ALL:+ANON-DH:+ANON-ECDH:+MAC-ALL:+SIGN-ALL:"
                                   "+GROUP-ALL:+COMP-NULL:+CTYPE-X509:%VERIFY_ALLOW_BROKEN",
                                   NULL);
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, keys);
        gnutls_credentials_set(session, GNUTLS_CRD_ANON, anonymous);
        gnutls_transport_set_int(session, fd);
        do
            status = gnutls_handshake(session);
        while (status < 0 && !gnutls_error_is_fatal(status));
        gnutls_deinit(session);
    }
    gnutls_certificate_free_credentials(keys);
    gnutls_anon_free_server_credentials(anonymous);
    return NULL;
}

static void start_lax_server(struct lax_server *server, const struct certificate *ecdsa, const struct certificate *rsa)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    *server =
        (struct lax_server){.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .certificates = {ecdsa, rsa}};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve_laxly, server), 0);
}

static void stop_lax_server(struct lax_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
}

/* Whether our servers may accept this combination. */
static bool is_strict(gnutls_protocol_t version, const char *exchange, const char *cipher)
{
    return version >= GNUTLS_TLS1_2 && !strncmp(exchange, "ECDHE-", 6) &&
           (strstr(cipher, "-GCM") || strstr(cipher, "CHACHA20"));
}

static void try_suite(const int ours[2], int lax, gnutls_protocol_t version, const char *exchange, const char *cipher,
                      const char *mac, int counts[2])
{
    char priorities[256];
    const char *error;
    gnutls_priority_t known;
    snprintf(priorities, sizeof priorities, "NONE:+VERS-%s:+%s:+%s:+%s:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:+CTYPE-X509",
             gnutls_protocol_get_name(version), exchange, cipher, mac);
    if (gnutls_priority_init(&known, priorities, &error))
        return; /* this GnuTLS no longer supports it */
    gnutls_priority_deinit(known);
    if (!can_speak(lax, priorities))
        return;
    bool is = can_speak(ours[0], priorities) || can_speak(ours[1], priorities);
    if (is && !is_strict(version, exchange, cipher))
        fail_msg("accepted: %s", priorities);
    counts[is]++;
}

/* Try each cipher suite of TLS 1.0 to 1.2 that GnuTLS knows. */
static void try_all_suites(const int ours[2], int lax, int counts[2])
{
    unsigned char id[2];
    gnutls_kx_algorithm_t exchange;
    gnutls_cipher_algorithm_t cipher;
    gnutls_mac_algorithm_t mac;
    gnutls_protocol_t first;
    for (size_t i = 0; gnutls_cipher_suite_info(i, id, &exchange, &cipher, &mac, &first); i++) {
        const char *name = gnutls_kx_get_name(exchange);
        if (first > GNUTLS_TLS1_2 || !name || strstr(name, "PSK") || strstr(name, "SRP"))
            continue; /* the lax server has no credentials for it */
        for (gnutls_protocol_t version = GNUTLS_TLS1_0; version <= GNUTLS_TLS1_2; version++)
            if (version >= first)
                try_suite(ours, lax, version, name, gnutls_cipher_get_name(cipher), gnutls_mac_get_name(mac), counts);
    }
}

static void old_versions_and_ciphers_are_refused(void **state)
{
    (void)state;
    struct certificate ecdsa = certificate_new("localhost", &authority), rsa = certificate_new_rsa("localhost", NULL);
    struct daemon daemons[2];
    struct lax_server lax;
    int counts[2] = {0, 0}; /* refused, accepted */
    start(&daemons[0], &ecdsa, "");
    start(&daemons[1], &rsa, "");
    start_lax_server(&lax, &ecdsa, &rsa);
    const int ours[2] = {daemons[0].port, daemons[1].port};
    assert_true(can_speak(ours[0], "NORMAL:-VERS-ALL:+VERS-TLS1.3"));
    assert_true(can_speak(ours[1], "NORMAL:-VERS-ALL:+VERS-TLS1.3"));
    assert_true(can_speak(lax.port, "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT"));
    assert_true(can_speak(lax.port, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA"));
    assert_true(can_speak(lax.port, "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC"));
    try_all_suites(ours, lax.port, counts);
    assert_int_equal(counts[1], 6);  /* AES-128-GCM, AES-256-GCM and ChaCha20 with two kinds of keys */
    assert_true(counts[0] > 30);     /* 49 with GnuTLS 3.7 */
    struct daemon bare = daemons[0]; /* plain HTTP on the HTTPS port */
    *bare.ca = 0;
    assert_int_equal(raw_status(&bare, "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 0);
    stop_lax_server(&lax);
    for (int i = 0; i < 2; i++)
        assert_int_equal(daemon_stop(&daemons[i], SIGINT), 0);
    certificate_remove(&ecdsa);
    certificate_remove(&rsa);
}

/* ---- records ---- */

static size_t ignore(char *data, size_t size, size_t n, void *user)
{
    (void)data, (void)user;
    return size * n;
}

/* {"instances": …} with this number of rows; the caller frees it. */
static char *body_of_rows(int rows)
{
    char *body = malloc(32 + 16 * (size_t)rows);
    int n = sprintf(body, "{\"instances\": [");
    for (int i = 0; i < rows; i++)
        n += sprintf(body + n, "%s[[0.5, -1]]", i ? ", " : "");
    sprintf(body + n, "]}");
    return body;
}

/* A curl handle that keeps its connection. */
static CURL *keep_connection(const struct daemon *daemon, const char *path, struct curl_slist *fields)
{
    CURL *curl = curl_easy_init();
    char url[160];
    snprintf(url, sizeof url, "%s%s", daemon->url, path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CAINFO, daemon->ca);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    return curl;
}

/* The number of data packets received on the handle's connection. */
static unsigned packets_of(CURL *curl)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct tcp_info info = {.tcpi_data_segs_in = 0};
    socklen_t size = sizeof info;
    assert_int_equal(curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd), CURLE_OK);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info.tcpi_data_segs_in;
}

/* The kernel may hold back the packet of a record for up to 200 ms until more data comes. No answer may wait for
   that. On a busy machine the server may be so late: the best of several tries counts. */
static void records_of_an_answer_leave_together(void **state)
{
    (void)state;
    enum { ROWS_MOST = 200, TRIES = 50 }; /* an answer has about 100 bytes a row, a record up to 16 KiB */
    struct certificate server = certificate_new("localhost", &authority);
    struct daemon daemon;
    start(&daemon, &server, ", \"io_threads\": 2");
    struct curl_slist *fields = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = keep_connection(&daemon, "/predict", fields);
    char *body = body_of_rows(ROWS_MOST); /* the answer has a header and two records */
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    unsigned least = UINT_MAX;
    for (int i = 0; i < TRIES && least > 1; i++) {
        unsigned before = packets_of(curl);
        assert_int_equal(curl_easy_perform(curl), CURLE_OK);
        unsigned packets = packets_of(curl) - before;
        least = packets < least ? packets : least;
    }
    assert_int_equal(least, 1);
    free(body);
    for (int rows = 1; rows <= ROWS_MOST; rows += rows < 130 || rows > 190 ? 43 : 1) {
        double best = 1e9;
        body = body_of_rows(rows);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        for (int i = 0; i < TRIES && best > 150; i++) {
            double began = now_ms();
            assert_int_equal(curl_easy_perform(curl), CURLE_OK);
            best = fmin(best, now_ms() - began);
        }
        if (best > 150)
            fail_msg("an answer of %d rows takes %g ms", rows, best);
        free(body);
    }
    curl_easy_cleanup(curl);
    curl = keep_connection(&daemon, "/openapi.json", NULL); /* HEAD: the body does not follow */
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    double best = 1e9;
    for (int i = 0; i < TRIES && best > 150; i++) {
        double began = now_ms();
        assert_int_equal(curl_easy_perform(curl), CURLE_OK);
        best = fmin(best, now_ms() - began);
    }
    assert_true(best <= 150);
    curl_easy_cleanup(curl);
    curl_slist_free_all(fields);
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
    certificate_remove(&server);
}

/* ---- exchange ---- */

struct load {
    const struct daemon *daemon;
    atomic_bool stop;
    atomic_int good, bad;
    bool kept;
};

static void *send_requests(void *argument)
{
    struct load *load = argument;
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = keep_connection(load->daemon, "/predict", list);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "{\"instances\": [[[0.5, -1]]]}");
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, load->kept ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, load->kept ? 0L : 1L);
    while (!load->stop) {
        long status = 0;
        if (curl_easy_perform(curl) == CURLE_OK)
            curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        *(status == 200 ? &load->good : &load->bad) += 1;
    }
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return NULL;
}

/* CELLSERVE_TEST_EXCHANGES times under load, with kept connections and with new ones. */
static void certificates_are_exchanged_without_a_failed_request(void **state)
{
    (void)state;
    const char *more = getenv("CELLSERVE_TEST_EXCHANGES");
    int times = more ? atoi(more) : 5;
    struct certificate server = certificate_new("localhost", &authority), next;
    struct daemon daemon;
    pthread_t threads[2];
    start(&daemon, &server, "");
    struct load loads[2] = {{.daemon = &daemon, .kept = true}, {.daemon = &daemon}};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, send_requests, &loads[i]);
    for (int i = 0; i < times; i++) {
        next = certificate_new("localhost", &authority);
        certificate_exchange(&server, &next);
        certificate_remove(&next);
        if (i % 2) /* otherwise the server sees the change without a signal */
            kill(daemon.pid, SIGHUP);
        await_metric(&daemon, "cellserve_tls_reloads_total", i + 1, 1e9);
    }
    for (int i = 0; i < 2; i++) {
        for (double end = now_ms() + 60000; loads[i].good <= times && now_ms() < end;)
            sleep_ms(5);
        loads[i].stop = true;
        pthread_join(threads[i], NULL);
        assert_int_equal(loads[i].bad, 0);
        assert_true(loads[i].good > times);
    }
    if (more)
        printf("%d exchanges, %d requests\n", times, loads[0].good + loads[1].good);
    /* a key of another certificate: the pair does not match */
    next = certificate_new("localhost", &authority);
    FILE *key = fopen(server.key, "w"), *other = fopen(next.key, "r");
    char text[4096];
    fwrite(text, 1, fread(text, 1, sizeof text, other), key);
    fclose(key);
    fclose(other);
    kill(daemon.pid, SIGHUP);
    await_metric(&daemon, "cellserve_tls_reload_failed", 1, 1);
    char *log = daemon_log_with(&daemon, "tls: the old certificate stays in use: ");
    free(log);
    json_decref(ok(http_get(&daemon, "/v1/models")));
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
    certificate_remove(&server);
    certificate_remove(&next);
}

/* ---- clients' certificates ---- */

/* The exit code of "cellserve health", which gives a server 5 s: a machine that stands still may need a second try. */
static int code_of(const char *command, int expected)
{
    int code = -1;
    for (int i = 0; i < 5 && code != expected; i++)
        code = WEXITSTATUS(system(command));
    return code;
}

static void clients_show_a_certificate(void **state)
{
    (void)state;
    struct certificate server = certificate_new("localhost", &authority), stranger = certificate_new("other", NULL);
    struct certificate client = certificate_new("client", &authority), foreign = certificate_new("client", &stranger);
    const struct certificate *const shown[] = {&client, &foreign, NULL};
    struct daemon daemon;
    char section[512];
    snprintf(section, sizeof section, ", \"tls\": {\"certificate\": \"%s\", \"key\": \"%s\", \"client_ca\": \"%s\"}",
             server.certificate, server.key, authority.certificate);
    daemon_start(&daemon, small_config(2, 3, section), NULL);
    for (int i = 0; i < 3; i++) {
        char command[512];
        snprintf(command, sizeof command, "%s health %s --ca %s %s %s %s %s >/dev/null", BINARY, daemon.url,
                 authority.certificate, shown[i] ? "--certificate" : "", shown[i] ? shown[i]->certificate : "",
                 shown[i] ? "--key" : "", shown[i] ? shown[i]->key : "");
        assert_int_equal(code_of(command, i ? 1 : 0), i ? 1 : 0);
    }
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    certificate_remove(&server);
    certificate_remove(&client);
    certificate_remove(&stranger);
    certificate_remove(&foreign);
}

/* ---- as without TLS ---- */

/* Whether a request, followed by zeros, gets an answer with this text. A server that is suspended for as long as its
   timeout cuts the connection before it reads what the client sent, and then there is no answer; so try several
   times. */
static bool is_answered(const struct daemon *daemon, const char *request, size_t zeros, const char *text)
{
    enum { TRIES = 20 };
    char out[4096], *body = calloc(1, zeros + 1);
    bool found = false;
    for (int i = 0; i < TRIES && !found; i++) {
        int fd = raw_connect(daemon);
        raw_send(fd, request, strlen(request));
        raw_send(fd, body, zeros);
        raw_read(fd, out, sizeof out, 20000);
        found = strstr(out, text);
        close(fd);
    }
    free(body);
    return found;
}

static void slow_clients_are_noticed(void **state)
{
    (void)state;
    struct certificate server = certificate_new("localhost", &authority);
    struct daemon daemon;
    char out[4096];
    start(&daemon, &server, ", \"limits\": {\"read_timeout_ms\": 300}");
    /* a body that never comes: 408, then the connection is closed */
    assert_true(
        is_answered(&daemon, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", 0, "HTTP/1.1 408 "));
    /* a handshake that never comes: the connection is closed */
    struct daemon bare = daemon;
    *bare.ca = 0;
    int fd = raw_connect(&bare);
    assert_int_equal(raw_read(fd, out, sizeof out, 20000), 0);
    close(fd);
    /* an error answer before the end of a large body: it arrives although the client still sends */
    assert_true(is_answered(&daemon, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n",
                            1 << 22, "HTTP/1.1 413 "));
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
    certificate_remove(&server);
}

/* A prediction of many seconds is given up when its client has gone, whether it streams or not. */
static void a_vanished_client_frees_its_worker(void **state)
{
    (void)state;
    enum { STEPS = 60000 };
    struct certificate server = certificate_new("localhost", &authority);
    struct daemon daemon;
    char config[1024], head[256], *body = malloc(STEPS * 4 + 64), *at = body + sprintf(body, "{\"instances\": [[");
    for (int t = 0; t < STEPS; t++)
        at += sprintf(at, "%s[1]", t ? "," : "");
    strcpy(at, "]], \"return_sequences\": false}");
    snprintf(config, sizeof config,
             "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", \"config\": {"
             "\"units\": 1024, \"recurrent_initializer\": \"glorot_uniform\"}}}], \"limits\": {\"request_timeout_ms\": "
             "600000}, \"tls\": {\"certificate\": \"%s\", \"key\": \"%s\"}}",
             server.certificate, server.key);
    daemon_start(&daemon, config, NULL);
    snprintf(daemon.ca, sizeof daemon.ca, "%s", authority.certificate);
    for (int streams = 0; streams < 2; streams++) {
        int fd = raw_connect(&daemon);
        int n = snprintf(head, sizeof head, "POST /predict HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                         streams ? "Accept: application/x-ndjson\r\n" : "", strlen(body));
        raw_send(fd, head, (size_t)n);
        raw_send(fd, body, strlen(body));
        await_metric(&daemon, "cellserve_running_requests", 1, 1);
        close(fd);
        await_metric(&daemon, "cellserve_running_requests", 0, 0);
        await_metric(&daemon, "cellserve_connections", 1, 1); /* the one that asks */
    }
    /* a stream has its status before it ends */
    await_metric(&daemon, "cellserve_requests_total{route=\"/predict\",model=\"m\",status=\"499\"}", 1, 1);
    free(body);
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
    certificate_remove(&server);
}

static void health_speaks_https(void **state)
{
    (void)state;
    struct certificate server = certificate_new("localhost", &authority), other = certificate_new("localhost", NULL);
    struct daemon daemon;
    start(&daemon, &server, "");
    const struct {
        const char *variables, *arguments;
        int code;
    } rows[] = {
        {"", "--ca %s", 0},
        {"", "--ca %s", 1},
        {"", "", 1},
        {"CELLSERVE_TLS_CERTIFICATE=%s", "", 0},
        {"CELLSERVE_TLS_CERTIFICATE=%s", "", 1},
    };
    const char *const files[] = {authority.certificate, other.certificate, "", server.certificate, other.certificate};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char command[1024], variables[128], arguments[128];
        snprintf(variables, sizeof variables, rows[i].variables, files[i]);
        snprintf(arguments, sizeof arguments, rows[i].arguments, files[i]);
        snprintf(command, sizeof command, "%s %s health %s %s >/dev/null", variables, BINARY, daemon.url, arguments);
        int code = code_of(command, rows[i].code);
        if (code != rows[i].code)
            fail_msg("row %zu, %s: expected %d, found %d", i, command, rows[i].code, code);
    }
    char command[1024]; /* without an argument, the URL comes from the configuration; the private key is not read */
    snprintf(command, sizeof command, "CELLSERVE_TLS_CERTIFICATE=%s CELLSERVE_PORT=%d %s health >/dev/null",
             server.certificate, daemon.port, BINARY);
    assert_int_equal(code_of(command, 0), 0);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    certificate_remove(&server);
    certificate_remove(&other);
}

static void wrong_files_are_errors_at_the_start(void **state)
{
    (void)state;
    struct certificate server = certificate_new("localhost", &authority),
                       other = certificate_new("localhost", &authority);
    struct daemon daemon;
    char section[512];
    snprintf(section, sizeof section, ", \"tls\": {\"certificate\": \"%s\", \"key\": \"%s\"}", server.certificate,
             other.key);
    daemon_spawn(&daemon, small_config(2, 3, section), NULL, NULL);
    free(daemon_log_with(&daemon, "with the key"));
    assert_int_equal(daemon_wait(&daemon, 20), 1);
    certificate_remove(&server);
    certificate_remove(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predictions_are_those_without_tls),
        cmocka_unit_test(old_versions_and_ciphers_are_refused),
        cmocka_unit_test(records_of_an_answer_leave_together),
        cmocka_unit_test(certificates_are_exchanged_without_a_failed_request),
        cmocka_unit_test(clients_show_a_certificate),
        cmocka_unit_test(slow_clients_are_noticed),
        cmocka_unit_test(a_vanished_client_frees_its_worker),
        cmocka_unit_test(health_speaks_https),
        cmocka_unit_test(wrong_files_are_errors_at_the_start),
    };
    return cmocka_run_group_tests(tests, make_authority, remove_authority);
}
