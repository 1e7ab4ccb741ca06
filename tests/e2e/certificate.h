/* Certificates for the end-to-end tests, made by GnuTLS, and TLS for raw sockets. */
#ifndef TESTS_E2E_CERTIFICATE_H
#define TESTS_E2E_CERTIFICATE_H

/* Two files in /tmp. */
struct certificate {
    char certificate[64], key[64];
};

/* An authority, with issuer NULL, or a certificate of localhost and 127.0.0.1 that it has signed. */
struct certificate certificate_new(const char *name, const struct certificate *issuer);
/* The same with an RSA key, which takes some tenths of a second. */
struct certificate certificate_new_rsa(const char *name, const struct certificate *issuer);
/* Replace the files of one by those of another, the certificate first. */
void certificate_exchange(const struct certificate *to, const struct certificate *from);
void certificate_remove(const struct certificate *certificate);

/* A bare socket whose bytes a thread carries over TLS to a port of 127.0.0.1, not looking at who answers there; key: it is
   added as X-API-Key to every head; from: the address that the server sees. */
int certificate_relay(int port, const char *key, const char *from);

#endif
