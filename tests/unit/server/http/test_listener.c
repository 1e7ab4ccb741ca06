#include "server/http/acceptor.h"
#include "server/http/listener.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char error[256];

static int connect_to(int listener, bool *begun)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int failed = connect(fd, (struct sockaddr *)&address, size) && errno == EINPROGRESS;
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    *begun = !failed || poll(&poller, 1, 200) > 0;
    return fd;
}

/* Earlier connections stay in the backlog. Later ones get no answer, so that none is reset when the socket is
   closed. */
static void new_connections_are_kept_out(void **state)
{
    (void)state;
    bool begun;
    int listener = listener_open("127.0.0.1", 0, 0, error, sizeof error);
    assert_true(listener >= 0);
    int before = connect_to(listener, &begun);
    assert_true(begun);
    listener_refuse_new(listener, "127.0.0.1");
    int after = connect_to(listener, &begun);
    assert_false(begun);
    int taken = accept(listener, NULL, NULL);
    assert_true(taken >= 0);
    assert_int_equal(send(before, "x", 1, 0), 1); /* the filter accepts data of existing connections */
    char byte = 0;
    struct pollfd poller = {.fd = taken, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 2000), 1);
    assert_int_equal(recv(taken, &byte, 1, 0), 1);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    close(taken);
    close(before);
    close(after);
    close(listener);
}

static void urls_and_errors_name_the_socket(void **state)
{
    (void)state;
    char url[128], path[64], host[80], long_host[200] = "unix:/";
    int listener = listener_open("127.0.0.1", 0, 0, error, sizeof error);
    listener_url(listener, "http", url, sizeof url);
    assert_int_equal(strncmp(url, "http://127.0.0.1:", 17), 0);
    assert_int_equal(listener_open("127.0.0.1", atoi(url + 17), 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "cannot listen on 127.0.0.1 port "));
    close(listener);
    snprintf(path, sizeof path, "/tmp/cellserve-unit-%d.sock", (int)getpid());
    snprintf(host, sizeof host, "unix:%s", path);
    listener = listener_open(host, 0, 0, error, sizeof error);
    assert_true(listener >= 0);
    listener_url(listener, "http", url, sizeof url);
    assert_string_equal(url, host);
    assert_int_equal(listener_open(host, 0, 0, error, sizeof error), -1); /* the address is in use */
    assert_non_null(strstr(error, path));
    close(listener);
    listener = listener_open(host, 0, 0, error, sizeof error); /* the socket file of a closed listener is replaced */
    assert_true(listener >= 0);
    close(listener);
    listener_unlink(host);
    assert_int_not_equal(access(path, F_OK), 0);
    memset(long_host + 6, 'a', sizeof long_host - 7);
    assert_int_equal(listener_open(long_host, 0, 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "File name too long"));
}

/* ---- the acceptor ---- */

static atomic_int room, taken;

static bool has_room(void *cls, int waited_ms)
{
    (void)cls, (void)waited_ms;
    return taken < room;
}

static void take(void *cls, int fd, const struct sockaddr *address, socklen_t size)
{
    (void)cls;
    assert_true(address->sa_family == AF_INET && size == sizeof(struct sockaddr_in));
    close(fd);
    taken++;
}

static bool takes(int n)
{
    for (int tries = 0; taken < n && tries < 2000; tries++)
        poll(NULL, 0, 1);
    return taken == n;
}

static void connections_wait_for_room(void **state)
{
    (void)state;
    enum { CLIENTS = 5 };
    const struct acceptor_target target = {NULL, has_room, take};
    int clients[CLIENTS], listener = listener_open("127.0.0.1", 0, 0, error, sizeof error);
    bool begun;
    room = 2;
    taken = 0;
    struct acceptor *acceptor = acceptor_start(listener, &target);
    assert_non_null(acceptor);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(listener, &begun);
        assert_true(begun);
    }
    assert_true(takes(2));
    poll(NULL, 0, 30);
    assert_int_equal(taken, 2);
    room = 3;
    assert_true(takes(3));
    acceptor_stop(acceptor);
    acceptor_take_all(listener, &target, 0); /* also without room */
    assert_int_equal(taken, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_connections_are_kept_out),
        cmocka_unit_test(urls_and_errors_name_the_socket),
        cmocka_unit_test(connections_wait_for_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
