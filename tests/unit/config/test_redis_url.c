/* Addresses of Redis. */
#include "tests/unit/unit.h"

#include "config/redis_url.h"

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *path;
        int port;
        const char *user, *password, *db;
    } rows[] = {
        {"redis://a", "a", "", 6379, "", "", "0"},
        {"redis://a:7000/3", "a", "", 7000, "", "", "3"},
        {"redis://:secret@a.b:1/", "a.b", "", 1, "", "secret", "0"},
        {"redis://secret@a", "a", "", 6379, "", "secret", "0"},
        {"redis://u:p%40%3a@[::1]:7000/12", "::1", "", 7000, "u", "p@:", "12"},
        {"redis+unix:///run/redis.sock", "", "/run/redis.sock", 0, "", "", "0"},
        {"redis+unix://:x@/run/redis.sock?db=2", "", "/run/redis.sock", 0, "", "x", "2"},
        {"unix:///r", "", "/r", 0, "", "", "0"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct redis_url url;
        if (!redis_url_read(rows[i].text, &url))
            fail_msg("%s", rows[i].text);
        assert_string_equal(url.host, rows[i].host);
        assert_string_equal(url.path, rows[i].path);
        assert_int_equal(url.port, rows[i].port);
        assert_string_equal(url.user, rows[i].user);
        assert_string_equal(url.password, rows[i].password);
        assert_string_equal(url.db, rows[i].db);
    }
}

static void tls_and_sentinels_are_read(void **state)
{
    (void)state;
    struct redis_url url;
    assert_true(redis_url_read("rediss://u:p@a:7000/3?ssl_ca_certs=/ca%20s.crt&ssl_certfile=/c&ssl_keyfile=/k", &url));
    assert_true(url.tls && !url.n_sentinels && url.port == 7000);
    assert_string_equal(url.user, "u");
    assert_string_equal(url.db, "3");
    assert_string_equal(url.ca, "/ca s.crt");
    assert_string_equal(url.certificate, "/c");
    assert_string_equal(url.key, "/k");
    assert_true(redis_url_read("rediss://a", &url) && url.tls && url.port == 6379);
    assert_true(redis_url_read("redis://:a?b@c", &url) && !url.tls);
    assert_string_equal(url.password, "a?b");
    assert_true(redis_url_read("redis+sentinel://:x@a:1,[::1]:2,c/main/5", &url));
    assert_int_equal(url.n_sentinels, 3);
    assert_string_equal(url.sentinels[0].name, "a");
    assert_int_equal(url.sentinels[0].port, 1);
    assert_string_equal(url.sentinels[1].name, "::1");
    assert_int_equal(url.sentinels[1].port, 2);
    assert_string_equal(url.sentinels[2].name, "c");
    assert_int_equal(url.sentinels[2].port, 26379);
    assert_string_equal(url.primary, "main");
    assert_string_equal(url.password, "x");
    assert_string_equal(url.db, "5");
    assert_true(redis_url_read("rediss+sentinel://a/m?ssl_ca_certs=/ca", &url) && url.tls);
    assert_string_equal(url.primary, "m");
    assert_string_equal(url.db, "0");
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "redis",
                                        "redis://",
                                        "redis://a?ssl_ca_certs=/x",
                                        "rediss://a?ca=/x",
                                        "rediss://a?ssl_ca_certs=",
                                        "rediss://a?ssl_certfile=/x",
                                        "redis+sentinel://a",
                                        "redis+sentinel://a/",
                                        "redis+sentinel:///m",
                                        "redis+sentinel://a,,b/m",
                                        "redis+sentinel://a,b/m/x",
                                        "redis+sentinel://1,2,3,4,5,6,7,8,9/m",
                                        "redis://a:x",
                                        "redis://a:70000",
                                        "redis://a/x",
                                        "redis://a:1x/2",
                                        "redis://:%zz@a",
                                        "redis://:%00@a",
                                        "redis://:%4@a",
                                        "redis://[::1",
                                        "redis://[::1]x",
                                        "redis+unix://run",
                                        "redis+unix:///run?x=1",
                                        "redis+unix:///run?db=a",
                                        "http://a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct redis_url url;
        if (redis_url_read(texts[i], &url))
            fail_msg("%s", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_read),
                                       cmocka_unit_test(tls_and_sentinels_are_read),
                                       cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
