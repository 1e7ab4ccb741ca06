/* TLS by GnuTLS under libmicrohttpd. Certificates can be replaced while connections are open. */
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

/* Read the files again; watch.h calls it with a struct tls. If they cannot be loaded, the old credentials stay in use. */
void tls_reload(void *tls);

/* Call it when a connection begins, before its handshake. Returns the credentials of the connection until tls_leave, even if
   they are replaced meanwhile; NULL if the connection cannot begin. session is GnuTLS's session. */
struct tls_credentials *tls_enter(struct tls *tls, void *session);
void tls_leave(struct tls_credentials *credentials); /* NULL is fine */

#endif
