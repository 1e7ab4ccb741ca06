/* TLS by GnuTLS under libmicrohttpd: certificates that can be exchanged while connections last. */
#ifndef SERVER_HTTP_TLS_H
#define SERVER_HTTP_TLS_H

#include "config/problems.h"

#include <stdbool.h>

struct counters;
struct settings;
struct tls;
struct tls_credentials;

/* GnuTLS's priority string: TLS 1.3 and 1.2, AEAD ciphers with forward secrecy. */
const char *tls_priorities(void);

/* The settings' certificate, key and authorities; NULL with a problem added. */
struct tls *tls_open(const struct settings *settings, struct counters *counters, struct problems *problems);
void tls_close(struct tls *tls); /* NULL is fine */

/* Read the files again: a struct tls, as watch.h calls it. What does not load leaves the old ones in use. */
void tls_reload(void *tls);

/* A connection begins, before its handshake: what it uses until tls_leave, whatever is exchanged meanwhile. session is
   GnuTLS's. NULL: it cannot begin. */
struct tls_credentials *tls_enter(struct tls *tls, void *session);
void tls_leave(struct tls_credentials *credentials); /* NULL is fine */

#endif
