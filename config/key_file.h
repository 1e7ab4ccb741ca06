/* The file of keys: a line each, name:scopes:sha256[:models][:rate=50/100]. '#' begins a comment. */
#ifndef CONFIG_KEY_FILE_H
#define CONFIG_KEY_FILE_H

#include "problems.h"

#include <stdbool.h>
#include <stddef.h>

enum { KEY_NAME_BYTES = 64, KEY_DIGEST_BYTES = 32, KEY_FILE_MOST_BYTES = 1 << 20 };

/* What a key may do, as bits. */
enum key_scope { SCOPE_PREDICT = 1, SCOPE_SESSIONS = 2, SCOPE_METRICS = 4, SCOPE_ADMIN = 8 };

struct access_key {
    char name[KEY_NAME_BYTES];
    unsigned scopes;
    unsigned char digest[KEY_DIGEST_BYTES]; /* SHA-256 of the key */
    char *models;                           /* names, a NUL byte behind each and one more at the end; NULL: any model */
    double per_s, burst;                    /* 0: the settings' rate */
};

struct key_list {
    struct access_key *keys;
    size_t n;
};

/* Read the n bytes of such a file. False, with every problem added and nothing kept, when a line is wrong. */
bool key_list_read(const char *text, size_t n, const char *file, struct key_list *list, struct problems *problems);
void key_list_close(struct key_list *list);

/* "predict,sessions" to bits; 0 when a word is none of them. */
unsigned key_scopes_read(const char *text, size_t n);

/* Whether a text can be a key's name, and "50/100" a rate: a rate alone has a burst of twice as many. */
bool key_name_is_good(const char *text, size_t n);
bool key_rate_read(const char *text, size_t n, double *per_s, double *burst);

/* Whether a key may use a model. */
bool key_has_model(const struct access_key *key, const char *model);

#endif
