/* Reads the lines of the file of keys. A line has the digest of a key, not the key itself. */
#include "key_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const scope_names[] = {"predict", "sessions", "metrics", "admin"};

struct part {
    const char *text;
    size_t n;
};

/* The rest of a line that is being read. */
struct line {
    const char *file;
    size_t number;
    struct problems *problems;
    struct part rest;
};

/* Add the line's error. Returns false. */
static bool refuse(const struct line *line, const char *sentence)
{
    char place[512];
    snprintf(place, sizeof place, "%.480s: line %zu", line->file, line->number);
    problem_error(line->problems, (struct place){place, NULL}, "%s", sentence);
    return false;
}

/* The same with a part of the line in place of "%.*s". Only a part that is certain not to be a key may be in the message:
   the line may be a key instead of its digest, and the message is logged. */
static bool refuse_part(const struct line *line, const char *format, const struct part *part)
{
    char text[200];
    snprintf(text, sizeof text, format, (int)(part->n < 60 ? part->n : 60), part->text);
    return refuse(line, text);
}

/* The text before the next mark. The text and the mark are removed from the rest. */
static struct part next_part(struct part *rest, char mark)
{
    const char *at = memchr(rest->text, mark, rest->n);
    struct part part = {rest->text, at ? (size_t)(at - rest->text) : rest->n};
    size_t taken = part.n + (at != NULL);
    rest->text += taken;
    rest->n -= taken;
    return part;
}

static struct part trimmed(struct part part)
{
    while (part.n && strchr(" \t\r", *part.text) && *part.text) {
        part.text++;
        part.n--;
    }
    while (part.n && strchr(" \t\r", part.text[part.n - 1]) && part.text[part.n - 1])
        part.n--;
    return part;
}

/* Whether the text has only letters, digits and the marks that names of keys and models may have. */
static bool is_name(const char *text, size_t n, size_t most)
{
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!good)
            return false;
    }
    return n > 0 && n <= most;
}

bool key_name_is_good(const char *text, size_t n)
{
    return is_name(text, n, KEY_NAME_BYTES - 1);
}

unsigned key_scopes_read(const char *text, size_t n)
{
    struct part rest = {text, n};
    unsigned scopes = 0;
    do {
        struct part word = trimmed(next_part(&rest, ','));
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof scope_names / sizeof *scope_names; i++)
            if (strlen(scope_names[i]) == word.n && !memcmp(scope_names[i], word.text, word.n))
                bit = 1u << i;
        if (!bit)
            return 0;
        scopes |= bit;
    } while (rest.n);
    return scopes;
}

/* A decimal number from a millionth to a million, without sign and exponent. */
static bool read_number(const char *text, size_t n, double *out)
{
    char copy[24];
    if (!n || n >= sizeof copy)
        return false;
    *(char *)mempcpy(copy, text, n) = 0;
    if (strspn(copy, "0123456789.") != n)
        return false;
    char *end;
    *out = strtod(copy, &end);
    return !*end && *out >= 1e-6 && *out <= 1e6;
}

bool key_rate_read(const char *text, size_t n, double *per_s, double *burst)
{
    const char *slash = memchr(text, '/', n);
    size_t before = slash ? (size_t)(slash - text) : n;
    if (!read_number(text, before, per_s))
        return false;
    *burst = *per_s < 0.5 ? 1 : 2 * *per_s;
    return !slash || (read_number(slash + 1, n - before - 1, burst) && *burst >= 1);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static bool read_digest(struct part part, unsigned char out[KEY_DIGEST_BYTES])
{
    if (part.n != (size_t)2 * KEY_DIGEST_BYTES)
        return false;
    for (size_t i = 0; i < KEY_DIGEST_BYTES; i++) {
        int high = hex_digit(part.text[2 * i]), low = hex_digit(part.text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(16 * high + low);
    }
    return true;
}

static bool read_models(const struct line *line, struct part list, struct access_key *key)
{
    char *out = key->models = malloc(list.n + 2);
    if (!out)
        return refuse(line, "out of memory");
    do {
        struct part name = trimmed(next_part(&list, ','));
        if (!is_name(name.text, name.n, 100))
            return refuse(line, "expected names of models with commas between");
        out = mempcpy(out, name.text, name.n);
        *out++ = 0;
    } while (list.n);
    *out = 0;
    return true;
}

/* The optional fields after the digest: models, and a rate. */
static bool read_more(struct line *line, struct access_key *key)
{
    static const char rate[] = "rate=";
    while (line->rest.n) {
        struct part field = trimmed(next_part(&line->rest, ':'));
        if (field.n >= sizeof rate - 1 && !memcmp(field.text, rate, sizeof rate - 1)) {
            if (key->per_s > 0 ||
                !key_rate_read(field.text + sizeof rate - 1, field.n - (sizeof rate - 1), &key->per_s, &key->burst))
                return refuse_part(line, "expected one rate=REQUESTS_PER_S/BURST, found \"%.*s\"", &field);
        } else if (field.n && (key->models || !read_models(line, field, key))) {
            return key->models ? refuse(line, "a second list of models") : false;
        }
    }
    return true;
}

static bool is_second(const struct line *line, const struct key_list *list, const struct access_key *key)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct part name = {list->keys[i].name, strlen(list->keys[i].name)};
        if (!strcmp(list->keys[i].name, key->name))
            return !refuse_part(line, "a second key named \"%.*s\"", &name);
        if (!memcmp(list->keys[i].digest, key->digest, sizeof key->digest))
            return !refuse_part(line, "the key is that of \"%.*s\"", &name);
    }
    return false;
}

/* Add a key to the list. Returns false with a problem added. The list owns the allocated memory in any case. */
static bool read_key(struct line *line, struct key_list *list)
{
    struct part name = trimmed(next_part(&line->rest, ':')), scopes = trimmed(next_part(&line->rest, ':'));
    struct part digest = trimmed(next_part(&line->rest, ':'));
    if (!key_name_is_good(name.text, name.n))
        return refuse(line, "expected a name of 1 to 63 letters, digits, '.', '_' and '-'");
    struct access_key key = {.scopes = key_scopes_read(scopes.text, scopes.n)};
    memcpy(key.name, name.text, name.n);
    if (!key.scopes)
        return refuse(line, "expected scopes of predict, sessions, metrics and admin with commas between");
    if (!read_digest(digest, key.digest))
        return refuse_part(line, "expected the SHA-256 of the key of %.*s in 64 hexadecimal digits", &name);
    if (is_second(line, list, &key))
        return false;
    struct access_key *grown = realloc(list->keys, (list->n + 1) * sizeof *grown);
    if (!grown)
        return refuse(line, "out of memory");
    list->keys = grown;
    grown[list->n++] = key;
    return read_more(line, &grown[list->n - 1]);
}

bool key_list_read(const char *text, size_t n, const char *file, struct key_list *list, struct problems *problems)
{
    struct part rest = {text, n};
    bool good = true;
    *list = (struct key_list){NULL, 0};
    for (size_t number = 1; rest.n; number++) {
        struct part whole = next_part(&rest, '\n');
        struct line line = {file, number, problems, trimmed(next_part(&whole, '#'))};
        good &= !line.rest.n || read_key(&line, list);
    }
    if (!good)
        key_list_close(list);
    return good;
}

void key_list_close(struct key_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->keys[i].models);
    free(list->keys);
    *list = (struct key_list){NULL, 0};
}

bool key_has_model(const struct access_key *key, const char *model)
{
    const char *name = key->models;
    while (name && *name && strcmp(name, model))
        name += strlen(name) + 1;
    return !name || *name;
}
