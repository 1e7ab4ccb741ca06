#include "config/settings.h"
#include "server/base/clock.h"
#include "server/run/request.h"
#include "server/run/services.h"
#include "tests/unit/unit.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <unistd.h>

static struct settings settings;

/* A key file's line for a key with every scope. */
static const char *line_of(const char *name, const char *key)
{
    static char line[256];
    unsigned char digest[32];
    gnutls_hash_fast(GNUTLS_DIG_SHA256, key, strlen(key), digest);
    int n = snprintf(line, sizeof line, "%s:predict,sessions,metrics,admin:", name);
    for (int i = 0; i < 32; i++)
        n += snprintf(line + n, 3, "%02x", digest[i]);
    snprintf(line + n, sizeof line - (size_t)n, "\n");
    return line;
}

/* 64 keys, key-00 to key-63. */
static struct access *many_keys(void)
{
    struct problems problems = {0};
    char text[64 * 128] = "", key[16], name[16];
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "key-%02d", i);
        snprintf(name, sizeof name, "n%d", i);
        strcat(text, line_of(name, key));
    }
    settings_init(&settings);
    free(settings.auth_keys);
    settings.auth_keys = strdup(unit_file(".keys", text, strlen(text)));
    struct access *access = access_open(&settings, &problems);
    assert_non_null(access);
    return access;
}

static void close_keys(struct access *access)
{
    access_close(access);
    unlink(settings.auth_keys);
    settings_close(&settings);
}

static const char *name_of(struct access *access, const char *key)
{
    static char name[KEY_NAME_BYTES];
    struct access_use use = {0};
    access_find(access, key, strlen(key), &use);
    assert_true(use.sent);
    snprintf(name, sizeof name, "%s", use.key ? use.key->name : "nobody");
    access_release(&use);
    return name;
}

static void each_key_is_found(void **state)
{
    (void)state;
    struct access *access = many_keys();
    assert_string_equal(name_of(access, "key-00"), "n0");
    assert_string_equal(name_of(access, "key-31"), "n31");
    assert_string_equal(name_of(access, "key-63"), "n63");
    assert_string_equal(name_of(access, "key-64"), "nobody");
    assert_string_equal(name_of(access, "key-0"), "nobody");
    assert_string_equal(name_of(access, ""), "nobody");
    char long_key[1024];
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = 0;
    assert_string_equal(name_of(access, long_key), "nobody");
    close_keys(access);
}

static void requests_keep_the_set_they_came_with(void **state)
{
    (void)state;
    struct access *access = many_keys();
    struct access_use use = {0};
    access_find(access, "key-07", 6, &use);
    FILE *file = fopen(settings.auth_keys, "w");
    fputs(line_of("new", "other"), file);
    fclose(file);
    access_reload(access);
    assert_string_equal(use.key->name, "n7");
    assert_true(key_has_model(use.key, "m"));
    access_release(&use);
    assert_string_equal(name_of(access, "key-07"), "nobody");
    assert_string_equal(name_of(access, "other"), "new");
    close_keys(access);
}

/* ---- times ---- */

struct series {
    double n, mean, squares;
};

static void add_time(struct series *s, double ns)
{
    double d = ns - s->mean;
    s->n++;
    s->mean += d / s->n;
    s->squares += d * (ns - s->mean);
}

/* Welch's t for the times of two kinds of wrong keys: one shares all but the last character with a valid key, the other
   shares none. The kind is random. Times above 1.5 times the shortest are discarded as caused by the scheduler. */
static double welch_t(struct access *access, long calls)
{
    static const char kinds[2][8] = {"key-6x", "zzz-zz"};
    struct series series[2] = {{0}};
    int64_t most = 0;
    unsigned random = 1;
    char key[8];
    for (long i = -20000; i < calls; i++) {
        struct access_use use = {0};
        random = random * 1664525u + 1013904223u;
        unsigned kind = random >> 30 & 1;
        memcpy(key, kinds[kind], sizeof key);
        int64_t begin = clock_ns();
        access_find(access, key, 6, &use);
        int64_t ns = clock_ns() - begin;
        access_release(&use);
        if (i < 0)
            most = !most || ns < most ? ns : most;
        else if (ns < most + most / 2)
            add_time(&series[kind], (double)ns);
    }
    double a = series[0].squares / (series[0].n - 1) / series[0].n,
           b = series[1].squares / (series[1].n - 1) / series[1].n;
    return (series[0].mean - series[1].mean) / sqrt(a + b);
}

static void the_time_does_not_tell_how_much_of_a_key_is_right(void **state)
{
    (void)state;
    struct access *access = many_keys();
    const char *more = getenv("CELLSERVE_TEST_COMPARISONS");
    long calls = more ? atol(more) : 100000;
    double t = 1e9;
    for (int i = 0; i < 3 && fabs(t) >= 4.5; i++)
        t = welch_t(access, calls);
    if (more)
        printf("%ld comparisons: t = %.2f\n", calls, t);
    assert_true(fabs(t) < 4.5);
    close_keys(access);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_is_found),
        cmocka_unit_test(requests_keep_the_set_they_came_with),
        cmocka_unit_test(the_time_does_not_tell_how_much_of_a_key_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
