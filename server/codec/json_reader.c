/* Reads objects: a table says which keys an object may have, and the type of each value. There is one pass over the
   text, with an explicit stack for nested values. After a wrong value, the rest is still checked to be JSON, because
   invalid_json takes precedence over other errors. */
#include "json_reader.h"

#include "config/problems.h"
#include "json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

static bool read_text(struct json_reader *r, const struct body_key *key, const char *path)
{
    const char *what;
    struct json_copy copy = {.out = key->target, .size = BODY_TEXT_BYTES};
    if (*r->at != '"') {
        if (*r->at == '[' || *r->at == '{')
            what = "a list or an object";
        if (*r->at == '[' || *r->at == '{' ? !json_skip_value(r) : !json_read_scalar(r, &what))
            return false;
        if (strcmp(what, "null"))
            failure_set(r->failure, 400, "wrong_type", path, "Expected a text, found %s.", what);
        return true;
    }
    if (!json_read_string(r, &copy))
        return false;
    copy.out[copy.used] = 0;
    if (copy.cut)
        failure_set(r->failure, 400, "wrong_type", path, "This text is longer than %d bytes.", BODY_TEXT_BYTES - 1);
    return true;
}

/* A whole number as text. */
static bool read_id(struct json_reader *r, const struct body_key *key, const char *path)
{
    const char *start = r->at;
    if (*start < '0' || *start > '9')
        return read_text(r, key, path);
    if (!json_skip_value(r))
        return false;
    size_t digits = strspn(start, "0123456789");
    if (start + digits == r->at && digits <= 20)
        snprintf(key->target, BODY_TEXT_BYTES, "%.*s", (int)digits, start);
    else
        failure_set(r->failure, 400, "wrong_type", path, "Expected a text or a whole number of at least 0.");
    return true;
}

static bool read_bool(struct json_reader *r, const struct body_key *key, const char *path)
{
    int *target = key->target;
    if (json_read_word(r, "true"))
        *target = 1;
    else if (json_read_word(r, "false"))
        *target = 0;
    else if (!json_read_word(r, "null")) {
        failure_set(r->failure, 400, "wrong_type", path, "Expected true or false.");
        return json_skip_value(r);
    }
    return true;
}

static bool read_count(struct json_reader *r, const struct body_key *key, const char *path)
{
    int64_t *target = key->target, value = 0;
    const char *start = r->at, *p = start;
    for (; *p >= '0' && *p <= '9' && value < INT64_C(1) << 50; p++)
        value = value * 10 + (*p - '0');
    if (!json_skip_value(r))
        return false;
    if (p > start && p == r->at)
        *target = value;
    else if (r->at - start != 4 || strncmp(start, "null", 4))
        failure_set(r->failure, 400, "wrong_type", path, "Expected a whole number of at least 0.");
    return true;
}

static bool read_one_number(struct json_reader *r, const struct body_key *key, const char *path)
{
    const char *start = r->at;
    if (!json_skip_value(r))
        return false;
    if (*start >= '0' && *start <= '9') /* known to be JSON */
        *(double *)key->target = strtod(start, NULL);
    else if (r->at - start != 4 || strncmp(start, "null", 4))
        failure_set(r->failure, 400, "wrong_type", path, "Expected a number of at least 0.");
    return true;
}

static bool read_counts(struct json_reader *r, const struct body_key *key, const char *path)
{
    struct body_counts *counts = key->target;
    const char *start = r->at;
    bool good = *r->at == '[';
    if (!json_skip_value(r))
        return false;
    counts->present = true;
    for (const char *p = start + 1; good && p < r->at;) { /* the skipped text is known to be JSON */
        size_t value = 0;
        p += strspn(p, " \n\r\t,");
        if (*p == ']')
            break;
        size_t digits = strspn(p, "0123456789");
        good = digits && digits < 16 && counts->n < BODY_MAX_COUNTS && strchr(" \n\r\t,]", p[digits]);
        for (size_t i = 0; good && i < digits; i++)
            value = value * 10 + (size_t)(p[i] - '0');
        if (good)
            counts->values[counts->n++] = value;
        p += digits;
    }
    if (!good)
        failure_set(r->failure, 400, "wrong_type", path, "Expected a list of at most %d whole numbers of at least 0.",
                    BODY_MAX_COUNTS);
    return true;
}

static bool read_span(struct json_reader *r, const struct body_key *key)
{
    struct body_span *span = key->target;
    const char *start = r->at;
    if (!json_skip_value(r))
        return false;
    *span = (struct body_span){start, (size_t)(r->at - start)};
    return true;
}

/* ---- objects and lists of objects ---- */

static bool read_object(struct json_reader *r, const struct body_key *keys);

/* Read an object at a path below the current one. */
static bool read_deeper(struct json_reader *r, const struct body_key *keys, const char *path)
{
    char before[sizeof r->prefix];
    memcpy(before, r->prefix, sizeof before);
    snprintf(r->prefix, sizeof r->prefix, "%.*s", (int)sizeof before - 1, path);
    bool good = read_object(r, keys);
    memcpy(r->prefix, before, sizeof before);
    return good;
}

static bool read_list(struct json_reader *r, const struct body_key *key, const char *path)
{
    struct body_list *list = key->target;
    if (*r->at != '[') {
        bool null = !strncmp(r->at, "null", 4);
        if (!null)
            failure_set(r->failure, 400, "wrong_type", path, "Expected a list of objects.");
        return json_skip_value(r);
    }
    r->at++;
    json_skip_space(r);
    if (*r->at == ']') {
        r->at++;
        return true;
    }
    for (size_t i = 0;; i++) {
        char deeper[100];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", path, i);
        json_skip_space(r);
        const struct body_key *keys = *r->at == '{' ? list->element(list->context, i, r->failure) : NULL;
        if (*r->at != '{')
            failure_set(r->failure, 400, "wrong_type", deeper, "Expected an object.");
        if (keys ? !read_deeper(r, keys, deeper) : !json_skip_value(r))
            return false;
        json_skip_space(r);
        if (*r->at == ']') {
            r->at++;
            return true;
        }
        if (*r->at != ',')
            return json_syntax_error(r, r->at, "',' or ']'");
        r->at++;
    }
}

/* Write "/prefix/name" into PATH_BYTES. It runs for every key of every body, so it copies bytes without printf. */
enum { PATH_BYTES = 160 };
static void path_of_key(const struct json_reader *r, const char *name, char *path)
{
    size_t before = strlen(r->prefix), n = strnlen(name, PATH_BYTES - sizeof r->prefix - 2);
    memcpy(path, r->prefix, before);
    path[before] = '/';
    memcpy(path + before + 1, name, n);
    path[before + 1 + n] = 0;
}

static bool read_value(struct json_reader *r, const struct body_key *key)
{
    char path[PATH_BYTES];
    path_of_key(r, key->name, path);
    json_skip_space(r);
    switch (key->type) {
    case BODY_TEXT:
        return read_text(r, key, path);
    case BODY_ID:
        return read_id(r, key, path);
    case BODY_BOOL:
        return read_bool(r, key, path);
    case BODY_COUNT:
        return read_count(r, key, path);
    case BODY_NUMBER:
        return read_one_number(r, key, path);
    case BODY_NUMBERS:
    case BODY_INPUTS:
    case BODY_BOOLEANS:
    case BODY_VALUES:
        return json_read_tensor(r, key);
    case BODY_NUMBER_ROW:
    case BODY_BOOLEAN_ROW:
        return json_read_row(r, key);
    case BODY_COUNTS:
        return read_counts(r, key, path);
    case BODY_OBJECT:
        if (*r->at == '{')
            return read_deeper(r, key->target, path);
        if (strncmp(r->at, "null", 4))
            failure_set(r->failure, 400, "wrong_type", path, "Expected an object.");
        return json_skip_value(r);
    case BODY_LIST:
        return read_list(r, key, path);
    case BODY_SPAN:
        return read_span(r, key);
    case BODY_ANY:
        return json_skip_value(r);
    }
    return false;
}

static void unknown_key(struct json_reader *r, const struct body_key *keys, const char *name)
{
    const char *names[16];
    char path[PATH_BYTES], hint[100];
    size_t n = 0;
    for (; n < 15 && keys[n].name; n++)
        names[n] = keys[n].name;
    names[n] = NULL;
    path_of_key(r, name, path);
    nearest_hint(name, names, hint, sizeof hint);
    failure_set(r->failure, 400, "unknown_key", path, "Unknown key%s%s", hint, *hint ? "" : ".");
}

static bool read_member(struct json_reader *r, const struct body_key *keys, uint64_t *seen)
{
    char name[BODY_TEXT_BYTES], path[PATH_BYTES];
    struct json_copy copy = {.out = name, .size = sizeof name};
    if (!json_read_key(r, &copy))
        return false;
    name[copy.used] = 0;
    size_t i = 0;
    while (keys[i].name && strcmp(keys[i].name, "*") && (copy.cut || strcmp(keys[i].name, name)))
        i++;
    if (!keys[i].name) {
        unknown_key(r, keys, name);
        return json_skip_value(r);
    }
    if (!strcmp(keys[i].name, "*"))
        return json_skip_value(r);
    if (*seen >> i & 1) {
        path_of_key(r, name, path);
        failure_set(r->failure, 400, "duplicate_key", path, "This key is in the body twice.");
        return json_skip_value(r);
    }
    *seen |= UINT64_C(1) << i;
    return read_value(r, &keys[i]);
}

static bool read_object(struct json_reader *r, const struct body_key *keys)
{
    uint64_t seen = 0;
    json_skip_space(r);
    if (*r->at != '{') {
        failure_set(r->failure, 400, "wrong_type", "", "The body must be a JSON object.");
        return json_skip_value(r);
    }
    r->at++;
    json_skip_space(r);
    if (*r->at == '}') {
        r->at++;
        return true;
    }
    for (;;) {
        if (!read_member(r, keys, &seen))
            return false;
        json_skip_space(r);
        if (*r->at == '}') {
            r->at++;
            return true;
        }
        if (*r->at != ',')
            return json_syntax_error(r, r->at, "',' or '}'");
        r->at++;
    }
}

/* ---- the body ---- */

/* "line 3, column 17: expected …": columns count bytes from 1. */
static void describe(const char *text, const char *at, const char *end, const char *expected, struct failure *out)
{
    size_t line = 1;
    const char *start = text;
    for (const char *p = text; p < at; p++)
        if (*p == '\n') {
            line++;
            start = p + 1;
        }
    char found[24] = "the end of the body";
    if (at<end && * at> ' ' && *at < 0x7f)
        snprintf(found, sizeof found, "'%c'", *at);
    else if (at < end)
        snprintf(found, sizeof found, "the byte 0x%02x", (unsigned char)*at);
    *out = (struct failure){0};
    failure_set(out, 400, "invalid_json", "", "The body is not JSON: line %zu, column %zu: expected %s, found %s.",
                line, (size_t)(at - start) + 1, expected, found);
}

bool json_body_read_part(struct json_body *part, const char *path, const struct body_key *keys, struct failure *failure)
{
    struct json_reader r = {.body = part, .at = part->text, .end = part->text + part->bytes, .failure = failure};
    snprintf(r.prefix, sizeof r.prefix, "%s", path);
    if (*r.at != '{')
        return failure_set(failure, 400, "wrong_type", path, "Expected an object.");
    return (read_object(&r, keys) && !failure->status) || (!failure->status && failure_overloaded(failure));
}

bool json_value_read(struct json_body *body, const struct body_key *key, const char *path, struct failure *failure)
{
    struct json_reader r = {.body = body, .at = body->text, .end = body->text + body->bytes, .failure = failure};
    if (key->type == BODY_OBJECT)
        snprintf(r.prefix, sizeof r.prefix, "%.60s", path);
    bool good = key->type == BODY_OBJECT ? read_object(&r, key->target) : read_list(&r, key, path);
    if (!good && r.exhausted)
        failure_overloaded(failure);
    return !failure->status;
}

bool json_body_read(struct json_body *body, const struct body_key *keys, struct failure *failure)
{
    struct json_reader r = {.body = body, .at = body->text, .end = body->text + body->bytes, .failure = failure};
    body->nonfinite = (struct failure){0};
    body->nonfinite_at = NULL;
    bool good = read_object(&r, keys);
    if (good) {
        json_skip_space(&r);
        if (r.at != r.end)
            good = json_syntax_error(&r, r.at, "nothing after the JSON value");
    }
    if (body->nonfinite_at)
        describe(body->text, body->nonfinite_at, r.end, "a value (NaN and Infinity are not JSON)", &body->nonfinite);
    if (!good && r.wrong)
        describe(body->text, r.wrong, r.end, r.expected, failure);
    else if (!good && r.exhausted) {
        *failure = (struct failure){.status = 0}; /* no other error is reported if the text may not be JSON */
        failure_overloaded(failure);
    }
    return !failure->status;
}
