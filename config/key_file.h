/* The file of keys. Each line is name:scopes:sha256[:models][:rate=50/100]. '#' begins a comment. */
#ifndef CONFIG_KEY_FILE_H
#define CONFIG_KEY_FILE_H

#include "problems.h"

#include <stdbool.h>
#include <stddef.h>

enum { KEY_NAME_BYTES = 64, KEY_DIGEST_BYTES = 32, KEY_FILE_MOST_BYTES = 1 << 20 };

/* The scopes of a key, as bits. */
enum key_scope { SCOPE_PREDICT = 1, SCOPE_SESSIONS = 2, SCOPE_METRICS = 4, SCOPE_ADMIN = 8 };

struct access_key {
    char name[KEY_NAME_BYTES];
    unsigned scopes;
    unsigned char digest[KEY_DIGEST_BYTES]; /* SHA-256 of the key */
    char *models;                           /* names, each followed by a NUL byte, and one more NUL byte at the end;
                                               NULL: any model */
    double per_s, burst;                    /* 0: the settings' rate */
};

struct key_list {
    struct access_key *keys;
    size_t n;
};

/* Read the n bytes of such a file. If a line has an error, returns false with every problem added, and the list is
   empty. */
bool key_list_read(const char *text, size_t n, const char *file, struct key_list *list, struct problems *problems);
void key_list_close(struct key_list *list);

/* The bits of "predict,sessions"; 0 if a word is not a scope. */
unsigned key_scopes_read(const char *text, size_t n);

/* Whether a text can be a key's name. Whether a text ("50/100") is a rate; a rate without a burst has a burst of twice
   the rate. */
bool key_name_is_good(const char *text, size_t n);
bool key_rate_read(const char *text, size_t n, double *per_s, double *burst);

/* Whether a key may use a model. */
bool key_has_model(const struct access_key *key, const char *model);

#endif
