/* Access control: the keys in force, and their rates. Without a file of keys every request is permitted. */
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

/* Values for routes besides the scopes of enum key_scope: no key, or any key. 0 (a route that forgets its scope) is
   SCOPE_ADMIN. */
enum { ACCESS_OPEN = 1 << 8, ACCESS_ANY = 1 << 9 };

/* The key of a request. All zeros: no key was sent. */
struct access_use {
    struct key_set *set;          /* the set of the key; the request holds one use */
    const struct access_key *key; /* NULL: none was sent, or a wrong one */
    bool sent;
    double per_s, burst, left; /* the key's rate, and requests that it may send now; 0: no rate */
    unsigned retry_s;          /* after a 429 */
};

/* The keys of the settings' file; NULL with a problem added. */
struct access *access_open(const struct settings *settings, struct problems *problems);
void access_close(struct access *access); /* NULL is fine */

/* Read the file again; watch.h calls it with a struct access. If the file cannot be read, the old keys stay in
   force. */
void access_reload(void *access);

/* Find a key that was sent. The time does not depend on which key it is, or whether it is known. */
void access_find(struct access *access, const char *key, size_t bytes, struct access_use *use);
void access_release(struct access_use *use);

/* Whether a request may use a route that needs these scopes; target is the route's name in the settings. Returns false
   with a 401, 403 or 429 answered. Counts towards the key's rate. */
bool access_permits(struct request *request, unsigned scopes, const char *target);

/* Whether its key may use a model; false with a 403 in failure. */
bool access_permits_model(const struct request *request, const char *model, struct failure *failure);

/* Whether the request's key has a scope. Without keys, every request has it. */
bool access_has(const struct request *request, enum key_scope scope);

/* The name of its key, or "". */
const char *access_name(const struct request *request);

void access_metrics(struct access *access, struct buffer *out);

#endif
