/* Each connection uses the credentials that were in force when the connection began. The last connection frees replaced
   credentials. */
#include "tls.h"

#include "config/settings.h"
#include "server/base/counters.h"
#include "server/base/log.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define VERSIONS "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-CIPHER-ALL:"
/* X25519 first: a handshake over P-384 costs ten times as much, and clients offer X25519 without being asked again. */
#define GROUPS ":-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:%SERVER_PRECEDENCE"

/* Whether the CPU has instructions for AES. Without them, ChaCha20 is faster. */
static bool cpu_has_aes(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) & HWCAP_AES;
#else
    return false;
#endif
}

const char *tls_priorities(void)
{
    return cpu_has_aes() ? VERSIONS "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305" GROUPS
                         : VERSIONS "+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-GCM" GROUPS;
}

struct tls_credentials {
    atomic_size_t uses;
    gnutls_certificate_credentials_t keys;
    int64_t expires_s; /* since 1970 */
};

struct tls {
    const struct settings *settings;
    struct counters *counters;
    pthread_mutex_t lock; /* guards current; no other lock is taken under it */
    struct tls_credentials *current;
};

void tls_leave(struct tls_credentials *credentials)
{
    if (!credentials || atomic_fetch_sub(&credentials->uses, 1) != 1)
        return;
    gnutls_certificate_free_credentials(credentials->keys);
    free(credentials);
}

/* The time when the first certificate of the chain expires; 0 if it is unknown. */
static int64_t expiry_of(gnutls_certificate_credentials_t keys)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned n = 0;
    int64_t ends = 0;
    if (gnutls_certificate_get_x509_crt(keys, 0, &chain, &n) < 0)
        return 0;
    for (unsigned i = 0; i < n; i++) {
        if (!i)
            ends = (int64_t)gnutls_x509_crt_get_expiration_time(chain[i]);
        gnutls_x509_crt_deinit(chain[i]);
    }
    gnutls_free(chain);
    return ends;
}

static struct tls_credentials *load(const struct settings *s, struct problems *problems)
{
    struct tls_credentials *credentials = calloc(1, sizeof *credentials);
    const char *certificate = s->tls_certificate;
    if (!credentials || gnutls_certificate_allocate_credentials(&credentials->keys)) {
        problem_error(problems, (struct place){certificate, NULL}, "out of memory");
        free(credentials);
        return NULL;
    }
    credentials->uses = 1;
    int status = gnutls_certificate_set_x509_key_file(credentials->keys, certificate, s->tls_key, GNUTLS_X509_FMT_PEM);
    if (status < 0) {
        problem_error(problems, (struct place){certificate, NULL}, "with the key %s: %s", s->tls_key,
                      gnutls_strerror(status));
    } else if (*s->tls_client_ca) {
        status = gnutls_certificate_set_x509_trust_file(credentials->keys, s->tls_client_ca, GNUTLS_X509_FMT_PEM);
        if (status <= 0)
            problem_error(problems, (struct place){s->tls_client_ca, NULL}, "%s",
                          status ? gnutls_strerror(status) : "there is no certificate in it");
        status = status > 0 ? 0 : -1;
    }
    if (status < 0) {
        tls_leave(credentials);
        return NULL;
    }
    credentials->expires_s = expiry_of(credentials->keys);
    return credentials;
}

static void count(struct tls *tls, const struct tls_credentials *loaded)
{
    struct certificate_counters *c = &tls->counters->certificate;
    c->failed = !loaded;
    c->failures += !loaded;
    if (loaded)
        c->expires_s = loaded->expires_s;
}

struct tls *tls_open(const struct settings *settings, struct counters *counters, struct problems *problems)
{
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        problem_error(problems, (struct place){settings->tls_certificate, NULL}, "out of memory");
        return NULL;
    }
    *tls = (struct tls){.settings = settings, .counters = counters, .current = load(settings, problems)};
    if (!tls->current) {
        free(tls);
        return NULL;
    }
    count(tls, tls->current);
    pthread_mutex_init(&tls->lock, NULL);
    return tls;
}

void tls_close(struct tls *tls)
{
    if (!tls)
        return;
    tls_leave(tls->current);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

void tls_reload(void *cls)
{
    struct tls *tls = cls;
    struct problems problems = {.n_errors = 0};
    struct tls_credentials *loaded = load(tls->settings, &problems), *old = NULL;
    count(tls, loaded);
    if (loaded) {
        pthread_mutex_lock(&tls->lock);
        old = tls->current;
        tls->current = loaded;
        pthread_mutex_unlock(&tls->lock);
        tls->counters->certificate.reloads++;
        log_line(LOG_INFO, "tls: %s is read anew and used for new connections", tls->settings->tls_certificate);
    } else {
        log_line(LOG_ERROR, "tls: the old certificate stays in use: %s",
                 problems.n_errors ? problems.errors[0] : "out of memory");
    }
    problems_close(&problems);
    tls_leave(old);
}

/* Demand a certificate for clients that one of the authorities has signed. */
static void demand_certificate(gnutls_session_t session)
{
    static gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, .size = 0};
    gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_cert2(session, &purpose, 1, 0);
}

struct tls_credentials *tls_enter(struct tls *tls, void *session)
{
    pthread_mutex_lock(&tls->lock);
    struct tls_credentials *credentials = tls->current;
    credentials->uses++;
    pthread_mutex_unlock(&tls->lock);
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials->keys)) {
        tls_leave(credentials);
        return NULL;
    }
    if (*tls->settings->tls_client_ca)
        demand_certificate(session);
    return credentials;
}
