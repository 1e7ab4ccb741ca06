/* RESP2 against a peer that answers at once, in pieces, late, with wrong bytes, or not at all. */
#include "tests/unit/unit.h"

#include "server/base/clock.h"
#include "server/session/redis_link.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST_BYTES = 100000, PATIENCE_MS = 20000 };

/* A link over a pair of sockets; the other end is the peer. */
static struct redis_link *open_pair(int *peer, int wait_ms)
{
    int pair[2];
    const struct timeval limit = {wait_ms / 1000, wait_ms % 1000 * 1000};
    struct redis_link *link = redis_link_new(MOST_BYTES);
    assert_non_null(link);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    link->fd = pair[0];
    *peer = pair[1];
    return link;
}

static int64_t deadline(void)
{
    return clock_ns() + PATIENCE_MS * (int64_t)NS_PER_MS;
}

static void say(int peer, const char *text)
{
    assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static const struct {
    const char *text;
    enum redis_type type;
    const char *str; /* NULL: none */
} replies[] = {
    {"+OK\r\n", REDIS_STATUS, "OK"},
    {"-ERR no\r\n", REDIS_ERROR, "ERR no"},
    {"$5\r\nhello\r\n", REDIS_STRING, "hello"},
    {"$0\r\n\r\n", REDIS_STRING, ""},
    {"$-1\r\n", REDIS_NIL, NULL},
    {":42\r\n", REDIS_OTHER, "42"},
    {"*0\r\n", REDIS_OTHER, "0"},
    {"$4\r\na\r\nb\r\n", REDIS_STRING, "a\r\nb"}, /* a string that contains an end of line */
    {"+\r\n", REDIS_STATUS, ""},
};
enum { N_REPLIES = sizeof replies / sizeof *replies };

static void assert_replies(struct redis_link *link)
{
    for (size_t i = 0; i < N_REPLIES; i++) {
        struct redis_reply reply;
        if (!redis_link_reply(link, &reply, deadline()))
            fail_msg("%s: %s", replies[i].text, link->error);
        assert_int_equal(reply.type, replies[i].type);
        assert_int_equal(reply.str == NULL, replies[i].str == NULL);
        if (reply.str) {
            assert_int_equal(reply.len, strlen(replies[i].str));
            assert_string_equal(reply.str, replies[i].str); /* ends with NUL */
        }
    }
}

static void replies_come_in_one_piece(void **state)
{
    (void)state;
    int peer;
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    for (size_t i = 0; i < N_REPLIES; i++)
        say(peer, replies[i].text);
    assert_replies(link);
    assert_true(redis_link_idles(link));
    redis_link_close(link);
    close(peer);
}

static void *say_by_bytes(void *argument)
{
    for (size_t i = 0; i < N_REPLIES; i++)
        for (const char *at = replies[i].text; *at; at++) {
            send(*(int *)argument, at, 1, MSG_NOSIGNAL);
            usleep(50);
        }
    return NULL;
}

static void replies_come_byte_by_byte(void **state)
{
    (void)state;
    int peer;
    pthread_t thread;
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    assert_int_equal(pthread_create(&thread, NULL, say_by_bytes, &peer), 0);
    assert_replies(link);
    pthread_join(thread, NULL);
    redis_link_close(link);
    close(peer);
}

static void invalid_replies_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "OK\n",          /* no \r */
        "\r\n",          /* an empty line */
        "\n",            //
        "$x\r\nhello",   //
        "$-2\r\n",       //
        "$1 \r\na\r\n",  //
        "$5\r\nhello++", /* no CR LF after the string */
        "$3\r\nhello\r\n",
    };
    struct redis_reply reply;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int peer;
        struct redis_link *link = open_pair(&peer, PATIENCE_MS);
        say(peer, wrong[i]);
        assert_false(redis_link_reply(link, &reply, deadline()));
        assert_int_equal(link->kind, TROUBLE_PROTOCOL);
        assert_string_equal(link->error, "this is no Redis");
        redis_link_close(link);
        close(peer);
    }
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {{"$200000\r\n", "an answer that is too large"},
                {"$99999999999999999999999999\r\n", "this is no Redis"},
                {"$18446744073709551615\r\n", "this is no Redis"}};
    struct redis_reply reply;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int peer;
        struct redis_link *link = open_pair(&peer, PATIENCE_MS);
        say(peer, rows[i].text);
        assert_false(redis_link_reply(link, &reply, deadline()));
        assert_int_equal(link->kind, TROUBLE_PROTOCOL);
        assert_string_equal(link->error, rows[i].error);
        assert_true(link->in_room < 1 << 18);
        redis_link_close(link);
        close(peer);
    }
    int peer; /* a line without an end */
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    char *line = malloc(70000);
    memset(line, '+', 70000);
    assert_int_equal(send(peer, line, 70000, MSG_NOSIGNAL), 70000);
    assert_false(redis_link_reply(link, &reply, deadline()));
    assert_string_equal(link->error, "this is no Redis");
    free(line);
    redis_link_close(link);
    close(peer);
}

static void answers_that_are_cut_or_missing_are_errors(void **state)
{
    (void)state;
    static const char *const parts[] = {"", "+O", "$5\r\nhel"};
    struct redis_reply reply;
    for (size_t i = 0; i < 3; i++)
        for (int closed = 0; closed < 2; closed++) {
            int peer;
            struct redis_link *link = open_pair(&peer, closed ? PATIENCE_MS : 5);
            if (*parts[i])
                say(peer, parts[i]);
            if (closed)
                close(peer);
            assert_false(redis_link_reply(link, &reply, deadline()));
            assert_int_equal(link->kind, closed ? TROUBLE_LOST : TROUBLE_TIMEOUT);
            assert_string_equal(link->error, closed ? "Server closed the connection" : "no answer in time");
            redis_link_close(link);
            if (!closed)
                close(peer);
        }
    int peer; /* the deadline of the round has passed, although bytes have arrived */
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    say(peer, "+OK\r\n");
    assert_false(redis_link_reply(link, &reply, clock_ns() - 1));
    assert_int_equal(link->kind, TROUBLE_TIMEOUT);
    redis_link_close(link);
    close(peer);
}

static void commands_are_gathered_and_sent_in_one_go(void **state)
{
    (void)state;
    static const char *const get[] = {"GET", "key"}, *const set[] = {"SET", "a\0b"};
    static const size_t bytes[] = {3, 3};
    static const char want[] = "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*2\r\n$3\r\nSET\r\n$3\r\na\0b\r\n";
    char got[256];
    int peer;
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    assert_true(redis_link_append(link, 2, get, NULL));
    assert_true(redis_link_append(link, 2, set, bytes));
    assert_true(redis_link_send(link, deadline()));
    assert_int_equal(link->out_used, 0);
    assert_int_equal(recv(peer, got, sizeof got, 0), sizeof want - 1);
    assert_memory_equal(got, want, sizeof want - 1);
    static const size_t huge[] = {SIZE_MAX - 10, 3};
    assert_false(redis_link_append(link, 2, get, huge));
    assert_int_equal(link->kind, TROUBLE_MEMORY);
    redis_link_close(link);
    close(peer);
}

static void peers_that_do_not_read(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 }; /* more than the socket's buffers hold */
    char *value = calloc(1, BYTES);
    const char *const set[] = {"SET", value};
    const size_t bytes[] = {3, BYTES};
    int peer;
    struct redis_link *link = open_pair(&peer, 5);
    assert_true(redis_link_append(link, 2, set, bytes));
    assert_false(redis_link_send(link, deadline()));
    assert_int_equal(link->kind, TROUBLE_TIMEOUT);
    redis_link_close(link);
    close(peer);
    link = open_pair(&peer, PATIENCE_MS);
    close(peer);
    assert_true(redis_link_append(link, 2, set, bytes));
    assert_false(redis_link_send(link, deadline()));
    assert_int_equal(link->kind, TROUBLE_LOST);
    assert_string_equal(link->error, "Broken pipe");
    redis_link_close(link);
    link = open_pair(&peer, PATIENCE_MS);
    assert_true(redis_link_append(link, 1, set, bytes));
    assert_false(redis_link_send(link, clock_ns() - 1)); /* the deadline has passed */
    assert_int_equal(link->kind, TROUBLE_TIMEOUT);
    redis_link_close(link);
    close(peer);
    free(value);
}

/* Between rounds, no bytes may arrive, and the memory of a large round is released. */
static void idle_links_are_quiet_and_small(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    char *value = calloc(1, BYTES);
    const char *const set[] = {"SET", value};
    const size_t bytes[] = {3, BYTES};
    int peer;
    struct redis_link *link = open_pair(&peer, PATIENCE_MS);
    assert_true(redis_link_idles(link));
    assert_true(redis_link_append(link, 2, set, bytes));
    assert_true(link->out_room > BYTES);
    assert_true(redis_link_idles(link));
    assert_int_equal(link->out_room, 0);
    assert_null(link->out);
    say(peer, "+what nobody asked for\r\n");
    assert_false(redis_link_idles(link));
    redis_link_close(link);
    close(peer);
    struct redis_reply reply;
    link = open_pair(&peer, PATIENCE_MS);
    say(peer, "+OK\r\n+one more\r\n");
    assert_true(redis_link_reply(link, &reply, deadline()));
    assert_false(redis_link_idles(link)); /* the second reply is already in the link's buffer */
    redis_link_close(link);
    close(peer);
    link = open_pair(&peer, PATIENCE_MS);
    close(peer);
    assert_false(redis_link_idles(link));
    redis_link_close(link);
    redis_link_close(NULL);
    free(value);
}

static void links_connect_to_addresses_and_paths(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    socklen_t size = sizeof address;
    int host = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(path.sun_path, sizeof path.sun_path, "/tmp/cellserve-link-%d", (int)getpid());
    assert_int_equal(bind(host, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(host, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(bind(local, (struct sockaddr *)&path, sizeof path), 0);
    for (int listening = 0; listening < 2; listening++) {
        struct redis_link *link = redis_link_new(MOST_BYTES);
        assert_int_equal(redis_link_connect(link, "127.0.0.1", ntohs(address.sin_port), PATIENCE_MS, 1000), listening);
        if (!listening)
            assert_string_equal(link->error, "Connection refused");
        redis_link_close(link);
        link = redis_link_new(SIZE_MAX); /* no bound on the memory */
        assert_int_equal(redis_link_connect(link, path.sun_path, 0, PATIENCE_MS, 1000), listening);
        if (!listening)
            assert_int_equal(link->kind, TROUBLE_CONNECT);
        redis_link_close(link);
        assert_int_equal(listen(host, 4) | listen(local, 4), 0);
    }
    close(host);
    close(local);
    unlink(path.sun_path);
    struct redis_link *link = redis_link_new(MOST_BYTES);
    assert_false(redis_link_connect(link, path.sun_path, 0, 1000, 1000));
    assert_string_equal(link->error, "No such file or directory");
    assert_false(redis_link_connect(link, "no address in numbers", 1, 1000, 1000));
    assert_int_equal(link->kind, TROUBLE_CONNECT);
    redis_link_close(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replies_come_in_one_piece),
                                       cmocka_unit_test(replies_come_byte_by_byte),
                                       cmocka_unit_test(invalid_replies_are_refused),
                                       cmocka_unit_test(lengths_are_bounded),
                                       cmocka_unit_test(answers_that_are_cut_or_missing_are_errors),
                                       cmocka_unit_test(commands_are_gathered_and_sent_in_one_go),
                                       cmocka_unit_test(peers_that_do_not_read),
                                       cmocka_unit_test(idle_links_are_quiet_and_small),
                                       cmocka_unit_test(links_connect_to_addresses_and_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
