/* The start of a connection to Redis: user, password, database, and the kind of each error. */
#include "tests/unit/redis_peer.h"
#include "tests/unit/unit.h"

#include "server/session/redis_primary.h"

static atomic_bool ending;

static struct redis_primary with_url(const char *format, int port)
{
    struct redis_primary primary = {
        .script = "return 1", .probe_key = "cellserve:session:", .ending = &ending, .most_bytes = 1 << 16};
    char url[128];
    snprintf(url, sizeof url, format, port);
    assert_true(redis_url_read(url, &primary.url));
    return primary;
}

/* Tries again after a time-out, because a machine that is busy for 100 ms cannot answer in time. */
static bool opens(struct redis_primary *primary)
{
    bool open = redis_primary_open(primary);
    for (int i = 0; !open && (primary->kind == TROUBLE_TIMEOUT || primary->kind == TROUBLE_CONNECT) && i < 50; i++)
        open = redis_primary_open(primary);
    return open;
}

static void logins_send_user_and_database(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *password, *db;
    } rows[] = {{"redis://127.0.0.1:%d", "", "", ""},
                {"redis://:secret@127.0.0.1:%d", "", "secret", ""},
                {"redis://me:s%%3acret@127.0.0.1:%d/3", "me", "s:cret", "3"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct peer peer;
        peer_start(&peer, 1, 0);
        struct redis_primary primary = with_url(rows[i].url, peer.port);
        if (!opens(&primary))
            fail_msg("%s: %s", rows[i].url, primary.words);
        assert_int_equal(strlen(primary.sha), 40);
        assert_true(redis_primary_is_open(&primary));
        pthread_mutex_lock(&peer.lock);
        assert_string_equal(peer.user, rows[i].user);
        assert_string_equal(peer.password, rows[i].password);
        assert_string_equal(peer.db, rows[i].db);
        pthread_mutex_unlock(&peer.lock);
        redis_primary_close(&primary);
        assert_false(redis_primary_is_open(&primary));
        peer_stop(&peer);
    }
}

static void refusals_have_kinds(void **state)
{
    (void)state;
    struct peer peer;
    static const struct {
        const char *auth, *select, *greeting, *write;
        enum redis_trouble kind;
        const char *words;
    } rows[] = {
        {"-WRONGPASS invalid username-password pair\r\n", NULL, NULL, NULL, TROUBLE_WRONGPASS,
         "WRONGPASS invalid username-password pair"},
        {"-ERR unknown command `AUTH`, with args beginning with: `secret`\r\n", NULL, NULL, NULL, TROUBLE_OTHER,
         "ERR unknown command `AUTH`"}, /* without the password */
        {"$2\r\nOK\r\n", NULL, NULL, NULL, TROUBLE_PROTOCOL, "this is no Redis"},
        {NULL, "-ERR DB index is out of range\r\n", NULL, NULL, TROUBLE_OTHER, "ERR DB index is out of range"},
        {NULL, "$-1\r\n", NULL, NULL, TROUBLE_PROTOCOL, "this is no Redis"},
        {NULL, NULL, "-NOPERM this user has no permissions\r\n", NULL, TROUBLE_NOPERM,
         "NOPERM this user has no permissions"},
        {NULL, NULL, "$3\r\nsha\r\n", NULL, TROUBLE_PROTOCOL, "this is no Redis"},  /* not a hash of 40 characters */
        {NULL, NULL, "-LOADING \001\377\r\n", NULL, TROUBLE_LOADING, "LOADING ??"}, /* words are printable */
        {NULL, NULL, NULL, "-READONLY You can't write\r\n", TROUBLE_READONLY, "READONLY You can't write"},
        {NULL, NULL, NULL, ":1\r\n", TROUBLE_PROTOCOL, "this is no Redis"},
    };
    peer_start(&peer, 1, 0);
    struct redis_primary primary = with_url("redis://:secret@127.0.0.1:%d/1", peer.port);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        peer.auth_error = rows[i].auth;
        peer.select_error = rows[i].select;
        peer.greeting_error = rows[i].greeting;
        peer.write_error = rows[i].write;
        assert_false(opens(&primary));
        assert_int_equal(primary.kind, rows[i].kind);
        assert_string_equal(primary.words, rows[i].words);
        assert_null(primary.link);
    }
    peer.write_error = NULL;
    assert_true(opens(&primary));
    redis_primary_close(&primary);
    peer_stop(&peer);
}

static void a_primary_that_is_gone_is_noticed(void **state)
{
    (void)state;
    struct peer peer;
    peer_start(&peer, 1, 0);
    struct redis_primary primary = with_url("redis://127.0.0.1:%d", peer.port);
    assert_true(opens(&primary));
    const char *const get[] = {"GETRANGE", "k", "0", "9"};
    peer.error = "-ERR gone\r\n";
    assert_true(redis_link_append(primary.link, 4, get, NULL));
    assert_true(redis_link_send(primary.link, INT64_MAX));
    bool open = true; /* until the unrequested answer arrives */
    for (int i = 0; open && i < 1000000; i++)
        open = redis_primary_is_open(&primary);
    assert_false(open);
    assert_null(primary.link);
    assert_true(opens(&primary));
    assert_false(redis_primary_fail(&primary, TROUBLE_BUSY, "BUSY"));
    assert_null(primary.link);
    peer_stop(&peer);
    assert_false(redis_primary_open(&primary)); /* the listener is closed */
    assert_int_equal(primary.kind, TROUBLE_CONNECT);
    redis_primary_close(&primary);
    struct redis_primary path = with_url("redis+unix:///tmp/cellserve-no-socket-%d", peer.port);
    assert_false(redis_primary_open(&path));
    assert_int_equal(path.kind, TROUBLE_CONNECT);
    assert_string_equal(path.words, "No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logins_send_user_and_database),
                                       cmocka_unit_test(refusals_have_kinds),
                                       cmocka_unit_test(a_primary_that_is_gone_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
