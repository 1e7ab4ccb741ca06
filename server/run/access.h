/* Who may do what: the keys in force, and how fast each may ask. Without a file of keys everybody may do everything. */
#ifndef SERVER_RUN_ACCESS_H
#define SERVER_RUN_ACCESS_H

#include "config/key_file.h"
#include "server/base/failure.h"
#include "server/codec/buffer.h"

#include <stdint.h>

struct access;
struct key_set;
struct request;
struct settings;

/* What a route needs beside scopes of enum key_scope: no key, or any key. 0, of a route that does not say, is SCOPE_ADMIN. */
enum { ACCESS_OPEN = 1 << 8, ACCESS_ANY = 1 << 9 };

/* What is known of a request's key. All zeros: none was sent. */
struct access_use {
    struct key_set *set;          /* that the key is of; a use of the request's */
    const struct access_key *key; /* NULL: none was sent, or a wrong one */
    bool sent;
    double per_s, burst, left; /* the key's rate, and requests that it may send now; 0: no rate */
    unsigned retry_s;          /* after a 429 */
};

/* The keys of the settings' file; NULL with a problem added. */
struct access *access_open(const struct settings *settings, struct problems *problems);
void access_close(struct access *access); /* NULL is fine */

/* Read the file again: a struct access, as watch.h calls it. What cannot be read leaves the old keys in force. */
void access_reload(void *access);

/* Find a key that was sent. Takes the same time whichever it is, or none. */
void access_find(struct access *access, const char *key, size_t bytes, struct access_use *use);
void access_release(struct access_use *use);

/* Whether a request may go on to a route that needs these scopes and is written so in the settings. False with a 401, 403
   or 429 answered. Counts towards the key's rate. */
bool access_permits(struct request *request, unsigned scopes, const char *target);

/* Whether its key may use a model; false with a 403 in failure. */
bool access_permits_model(const struct request *request, const char *model, struct failure *failure);

/* Whether its key has a scope; so does a request where there are no keys. */
bool access_has(const struct request *request, enum key_scope scope);

/* The name of its key, or "". */
const char *access_name(const struct request *request);

void access_metrics(struct access *access, struct buffer *out);

#endif
