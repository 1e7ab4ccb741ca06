/* Certificates for the end-to-end tests, made by GnuTLS, and TLS for raw sockets. */
#ifndef TESTS_E2E_CERTIFICATE_H
#define TESTS_E2E_CERTIFICATE_H

/* The paths of two files in /tmp. */
struct certificate {
    char certificate[64], key[64];
};

/* Make an authority (issuer NULL), or a certificate for localhost and 127.0.0.1, signed by the issuer. */
struct certificate certificate_new(const char *name, const struct certificate *issuer);
/* The same with an RSA key, which takes a few tenths of a second. */
struct certificate certificate_new_rsa(const char *name, const struct certificate *issuer);
/* Replace the files of a certificate by those of another, the certificate before the key. */
void certificate_exchange(const struct certificate *to, const struct certificate *from);
void certificate_remove(const struct certificate *certificate);

/* Returns a socket whose bytes a thread relays over TLS to a port of 127.0.0.1, without a check of the certificate.
   key: the relay adds it as X-API-Key to every head. from: the client's address for the server. */
int certificate_relay(int port, const char *key, const char *from);

#endif
