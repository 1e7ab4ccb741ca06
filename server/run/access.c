/* Keys and their rates. A set of keys is replaced as a whole. Requests that began with the old set keep it. */
#include "access.h"

#include "config/open_file.h"
#include "config/settings.h"
#include "request.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/codec/metrics_text.h"
#include "services.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MOST_BYTES = 512 };

/* The number of requests that a key may still send, and counts of its requests. */
struct bucket {
    double left;
    int64_t filled_ns;
    uint64_t taken, limited, forbidden;
};

struct key_set {
    atomic_size_t uses;
    struct key_list list;
    struct bucket *buckets; /* one for each key; the access's lock guards them */
};

struct access {
    const struct settings *settings;
    pthread_mutex_t lock; /* guards all below and the buckets; no other lock is taken under it */
    struct key_set *current;
    uint64_t refused, reloads, failures;
    bool failed; /* the last attempt to read the file */
};

/* ---- the file ---- */

static char *read_whole(const char *path, size_t *bytes, struct problems *problems)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(KEY_FILE_MOST_BYTES + 1) : NULL;
    *bytes = text ? fread(text, 1, KEY_FILE_MOST_BYTES + 1, file) : 0;
    if (!file) {
        problem_unopened(problems, (struct place){path, NULL}, errno);
    } else if (!text || ferror(file) || *bytes > KEY_FILE_MOST_BYTES) {
        problem_error(problems, (struct place){path, NULL}, "%s",
                      !text          ? "out of memory"
                      : ferror(file) ? strerror(errno)
                                     : "larger than 1 MiB");
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

static void release_set(struct key_set *set)
{
    if (!set || atomic_fetch_sub(&set->uses, 1) != 1)
        return;
    key_list_close(&set->list);
    free(set->buckets);
    free(set);
}

/* The rate of a key: its own rate, or the rate for all keys. */
static void rate_of(const struct access *access, const struct access_key *key, double *per_s, double *burst)
{
    int64_t all = access->settings->rate_per_s;
    *per_s = key->per_s > 0 ? key->per_s : (double)all;
    *burst = key->per_s > 0                 ? key->burst
             : access->settings->rate_burst ? (double)access->settings->rate_burst
                                            : 2 * (double)all;
}

static struct key_set *read_set(const struct access *access, struct problems *problems)
{
    const char *path = access->settings->auth_keys;
    size_t bytes;
    char *text = read_whole(path, &bytes, problems);
    struct key_set *set = text ? calloc(1, sizeof *set) : NULL;
    bool good = set && key_list_read(text, bytes, path, &set->list, problems);
    free(text);
    if (good) {
        set->uses = 1;
        set->buckets = calloc(set->list.n + 1, sizeof *set->buckets);
    }
    if (!good || !set->buckets) {
        if (!problems->all_errors)
            problem_error(problems, (struct place){path, NULL}, "out of memory");
        if (good)
            key_list_close(&set->list);
        free(set);
        return NULL;
    }
    int64_t now = clock_ns();
    for (size_t i = 0; i < set->list.n; i++) {
        double per_s;
        rate_of(access, &set->list.keys[i], &per_s, &set->buckets[i].left);
        set->buckets[i].filled_ns = now;
    }
    return set;
}

struct access *access_open(const struct settings *settings, struct problems *problems)
{
    struct access *access = calloc(1, sizeof *access);
    if (!access) {
        problem_error(problems, (struct place){settings->auth_keys, NULL}, "out of memory");
        return NULL;
    }
    access->settings = settings;
    access->current = read_set(access, problems);
    if (!access->current) {
        free(access);
        return NULL;
    }
    if (!access->current->list.n)
        problem_warning(problems, (struct place){settings->auth_keys, NULL},
                        "there is no key in it: nobody can use the server; \"cellserve key NAME SCOPES\" makes one");
    pthread_mutex_init(&access->lock, NULL);
    return access;
}

void access_close(struct access *access)
{
    if (!access)
        return;
    release_set(access->current);
    pthread_mutex_destroy(&access->lock);
    free(access);
}

/* Under the lock: a key of both sets keeps the rest of its rate. */
static void keep_counts(struct key_set *set, const struct key_set *old)
{
    for (size_t i = 0; i < set->list.n; i++)
        for (size_t k = 0; k < old->list.n; k++)
            if (!strcmp(set->list.keys[i].name, old->list.keys[k].name)) {
                double most = set->buckets[i].left;
                set->buckets[i] = old->buckets[k];
                set->buckets[i].left = fmin(most, old->buckets[k].left);
            }
}

void access_reload(void *cls)
{
    struct access *access = cls;
    struct problems problems = {.n_errors = 0};
    struct key_set *set = read_set(access, &problems), *old;
    pthread_mutex_lock(&access->lock);
    old = set ? access->current : NULL;
    if (set) {
        keep_counts(set, old);
        access->current = set;
        access->reloads++;
    } else {
        access->failures++;
    }
    access->failed = !set;
    size_t n = access->current->list.n;
    pthread_mutex_unlock(&access->lock);
    if (set)
        log_line(LOG_INFO, "keys: %s is read anew, %zu key%s", access->settings->auth_keys, n, n == 1 ? "" : "s");
    else
        log_line(LOG_ERROR, "keys: the old keys stay in force: %s",
                 problems.n_errors ? problems.errors[0] : "out of memory");
    problems_close(&problems);
    release_set(old);
}

/* ---- finding a key ---- */

/* Compares all digests, each of them completely. Returns the number of the equal digest, counted from 1, or 0. */
static size_t find_digest(const struct key_list *list, const unsigned char digest[KEY_DIGEST_BYTES])
{
    enum { WORDS = KEY_DIGEST_BYTES / sizeof(uint64_t) };
    uint64_t wanted[WORDS], each[WORDS];
    size_t found = 0;
    memcpy(wanted, digest, sizeof wanted);
    for (size_t i = 0; i < list->n; i++) {
        memcpy(each, list->keys[i].digest, sizeof each);
        uint64_t differs = 0;
        for (size_t w = 0; w < WORDS; w++)
            differs |= wanted[w] ^ each[w];
        size_t equal = (size_t)(1 ^ ((differs | -differs) >> 63));
        __asm__ volatile("" : "+r"(equal)); /* the compiler cannot make a branch */
        found |= (i + 1) & -equal;
    }
    return found;
}

/* The library hashes on the stack and leaves the last block of the key there. A later call overwrites the block at some
   time; this call does so at once. */
static __attribute__((noinline)) void wipe_stack(void)
{
    char below[4096];
    explicit_bzero(below, sizeof below);
}

static bool digest_of(const char *key, size_t bytes, unsigned char digest[KEY_DIGEST_BYTES])
{
    bool good = bytes <= KEY_MOST_BYTES && !gnutls_hash_fast(GNUTLS_DIG_SHA256, key, bytes, digest);
    wipe_stack();
    return good;
}

void access_find(struct access *access, const char *key, size_t bytes, struct access_use *use)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    use->sent = true;
    if (!digest_of(key, bytes, digest))
        return;
    pthread_mutex_lock(&access->lock);
    struct key_set *set = access->current;
    set->uses++;
    pthread_mutex_unlock(&access->lock);
    size_t i = find_digest(&set->list, digest);
    use->set = set;
    use->key = i ? &set->list.keys[i - 1] : NULL;
}

void access_release(struct access_use *use)
{
    release_set(use->set);
    use->set = NULL;
    use->key = NULL;
}

/* ---- permissions ---- */

/* Count a request of a key. Returns false if the request exceeds the rate; use->retry_s is the time to wait. */
static bool take_turn(struct access *access, struct access_use *use)
{
    struct bucket *bucket = &use->set->buckets[use->key - use->set->list.keys];
    int64_t now = clock_ns();
    bool good = true;
    rate_of(access, use->key, &use->per_s, &use->burst);
    pthread_mutex_lock(&access->lock);
    if (use->per_s > 0) {
        bucket->left = fmin(use->burst, bucket->left + use->per_s * (double)(now - bucket->filled_ns) * 1e-9);
        bucket->filled_ns = now;
        good = bucket->left >= 1;
        bucket->left -= good;
        use->left = bucket->left;
    }
    bucket->taken += good;
    bucket->limited += !good;
    pthread_mutex_unlock(&access->lock);
    if (!good)
        use->retry_s = (unsigned)ceil((1 - use->left) / use->per_s);
    return good;
}

static void count_forbidden(const struct request *request)
{
    const struct access_use *use = &request->access;
    struct access *access = request->services->access;
    pthread_mutex_lock(&access->lock);
    use->set->buckets[use->key - use->set->list.keys].forbidden++;
    pthread_mutex_unlock(&access->lock);
}

static bool is_opened(const struct settings *settings, const char *target)
{
    const char *at = settings->auth_open, *item;
    size_t bytes;
    while ((item = settings_list_next(&at, &bytes)))
        if (strlen(target) == bytes && !memcmp(target, item, bytes))
            return true;
    return false;
}

static bool unauthorized(struct request *request)
{
    struct access *access = request->services->access;
    pthread_mutex_lock(&access->lock);
    access->refused++;
    pthread_mutex_unlock(&access->lock);
    if (request->access.sent)
        answer_error(request, 401, "unauthorized", "This key is not one of the server's keys.");
    else
        answer_error(request, 401, "unauthorized",
                     "A key is needed: send \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\".");
    request->answer.authenticate =
        request->access.sent ? "Bearer realm=\"cellserve\", error=\"invalid_token\"" : "Bearer realm=\"cellserve\"";
    return false;
}

/* "predict and sessions" */
static void name_scopes(unsigned scopes, char *out, size_t size)
{
    static const char *const names[] = {"predict", "sessions", "metrics", "admin"};
    size_t n = 0;
    *out = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (scopes >> i & 1)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? " and " : "", names[i]);
}

bool access_permits(struct request *request, unsigned scopes, const char *target)
{
    struct access *access = request->services->access;
    struct access_use *use = &request->access;
    if (!access && !request->head.admin && (!scopes || scopes & SCOPE_ADMIN)) {
        answer_error(request, 403, "forbidden", "This needs an admin listener (admin), or a key with the scope admin.");
        return false;
    }
    if (!access || scopes & ACCESS_OPEN || is_opened(access->settings, target))
        return true;
    if (!use->key)
        return unauthorized(request);
    if (!take_turn(access, use)) {
        answer_error(request, 429, "rate_limited",
                     "The key \"%s\" may send %g requests a second, %g at once; try again in %u s.", use->key->name,
                     use->per_s, use->burst, use->retry_s);
        return false;
    }
    if (!scopes)
        scopes = SCOPE_ADMIN;
    if (!(scopes & ~use->key->scopes & ~(unsigned)ACCESS_ANY))
        return true;
    char words[64];
    name_scopes(scopes, words, sizeof words);
    count_forbidden(request);
    answer_error(request, 403, "forbidden", "This needs a key with the scope %s; the key \"%s\" does not have it.",
                 words, use->key->name);
    return false;
}

bool access_permits_model(const struct request *request, const char *model, struct failure *failure)
{
    const struct access_key *key = request->access.key;
    if (!request->services->access || !key || key_has_model(key, model))
        return true;
    count_forbidden(request);
    return failure_set(failure, 403, "forbidden", "", "The key \"%s\" may not use the model \"%.100s\".", key->name,
                       model);
}

bool access_has(const struct request *request, enum key_scope scope)
{
    return !request->services->access || (request->access.key && request->access.key->scopes & (unsigned)scope);
}

const char *access_name(const struct request *request)
{
    return request->access.key ? request->access.key->name : "";
}

/* ---- metrics ---- */

void access_metrics(struct access *access, struct buffer *out)
{
    pthread_mutex_lock(&access->lock);
    const struct key_set *set = access->current;
    metrics_text_head(
        out, "key_requests_total", "counter",
        "Requests by key. result: taken (within the key's rate), rate_limited, or forbidden (also counted as taken).");
    for (size_t i = 0; i < set->list.n; i++) {
        const struct bucket *b = &set->buckets[i];
        const struct {
            const char *result;
            uint64_t n;
        } rows[] = {{"taken", b->taken}, {"rate_limited", b->limited}, {"forbidden", b->forbidden}};
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
            buffer_printf(out, "cellserve_key_requests_total{key=\"%s\",result=\"%s\"} %llu\n", set->list.keys[i].name,
                          rows[r].result, (unsigned long long)rows[r].n);
    }
    metrics_text_value(out, "unauthorized_total", "counter", "Requests without a key, or with an unknown key.",
                       (double)access->refused);
    metrics_text_value(out, "keys", "gauge", "Keys in force.", (double)set->list.n);
    metrics_text_value(out, "key_reloads_total", "counter",
                       "Times that a new version of the file of keys came into force.", (double)access->reloads);
    metrics_text_value(out, "key_reload_failures_total", "counter",
                       "Times that the file of keys could not be read or had an error.", (double)access->failures);
    metrics_text_value(out, "key_reload_failed", "gauge",
                       "1 while the old keys are in force because the new file of keys has an error.", access->failed);
    pthread_mutex_unlock(&access->lock);
}
