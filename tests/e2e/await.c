/* Waiting for a condition instead of a fixed time. A minute is far more than any machine needs. */
#include "e2e.h"

#include <poll.h>
#include <sys/socket.h>

enum { PATIENCE_MS = 60000 };

struct daemon admin_of(const struct daemon *daemon)
{
    struct daemon admin = *daemon;
    char *log = daemon_log_with(daemon, "the admin listener is at ");
    const char *url = strstr(log, "the admin listener is at ") + 25;
    snprintf(admin.url, sizeof admin.url, "%.*s", (int)strcspn(url, "\n"), url);
    free(log);
    return admin;
}

double await_metric(const struct daemon *daemon, const char *name, double least, double most)
{
    double value = -1;
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end; sleep_ms(5)) {
        value = metric(daemon, name);
        if (value >= least && value <= most)
            return value;
    }
    fail_msg("%s stays at %g, which is not in %g..%g", name, value, least, most);
    return value;
}

void await_page(const struct daemon *daemon, const char *path, const char *text, bool has)
{
    struct reply reply = {.status = 0};
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end; sleep_ms(5)) {
        reply_free(&reply);
        reply = http_get(daemon, path);
        if (reply.status == 200 && !strstr(reply.body, text) != has)
            break;
    }
    if (reply.status != 200 || !strstr(reply.body, text) == has)
        fail_msg("%s: \"%s\" was %sexpected: %s", path, text, has ? "" : "not ", reply.body ? reply.body : "");
    reply_free(&reply);
}

bool is_readable(int fd)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) > 0;
}

void await_readable(int fd)
{
    if (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, PATIENCE_MS) <= 0)
        fail_msg("nothing comes on the connection");
}

int open_upload(const struct daemon *daemon)
{
    static const char head[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 25\r\n\r\n",
                      go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char text[sizeof go_on];
    int fd = raw_connect(daemon);
    raw_send(fd, head, sizeof head - 1);
    assert_int_equal(recv(fd, text, sizeof go_on - 1, MSG_WAITALL), sizeof go_on - 1);
    assert_memory_equal(text, go_on, sizeof go_on - 1);
    raw_send(fd, "{", 1);
    return fd;
}

bool await_running_or_answer(const struct daemon *daemon, int fd)
{
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        double running = metric(daemon, "cellserve_running_requests");
        if (is_readable(fd))
            return false;
        if (running >= 1)
            return true;
    }
    fail_msg("the request neither runs nor is answered");
    return false;
}

void await_turn(const struct daemon *daemon, int fd, int first, long waiting)
{
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        json_t *page = ok(http_get(daemon, "/debug"));
        bool waits = json_integer_value(json_object_get(json_object_get(page, "queues"), "turns_waiting")) >= waiting;
        json_decref(page);
        if (waits)
            return;
        if (is_readable(first)) { /* nobody waits any more */
            await_readable(fd);
            return;
        }
    }
    fail_msg("the request does not wait for its turn");
}
