/* /metrics has the form that Prometheus needs. Neither this nor other pages of many models delay probes. */
#include "e2e.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static struct daemon server;

enum { MODELS = 40 };

/* Whether a name is that of a family, or of a series of its histogram. */
static bool belongs(const char *name, size_t n, const char *family, const char *type)
{
    size_t length = strlen(family);
    if (n < length || strncmp(name, family, length))
        return false;
    const char *rest = name + length;
    n -= length;
    return !n || (!strcmp(type, "histogram") &&
                  ((n == 7 && !strncmp(rest, "_bucket", n)) || (n == 4 && !strncmp(rest, "_sum", n)) ||
                   (n == 6 && !strncmp(rest, "_count", n))));
}

/* Every series follows the HELP and TYPE of its family. Names of counters, and only these, end in _total. */
static void assert_form(char *page)
{
    char family[128] = "", type[16] = "", help[128] = "";
    size_t families = 0;
    for (char *line = strtok(page, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "# HELP %127s %*s", help) == 1)
            continue;
        if (sscanf(line, "# TYPE %127s %15s", family, type) == 2) {
            const char *end = strlen(family) > 6 ? family + strlen(family) - 6 : "";
            if (strcmp(help, family) || !strcmp(type, "counter") != !strcmp(end, "_total"))
                fail_msg("%s follows the help of %s", line, help);
            families++;
        } else if (*line == '#' || !belongs(line, strcspn(line, "{ "), family, type)) {
            fail_msg("\"%s\" stands below the type of %s", line, family);
        }
    }
    assert_true(families > 25);
}

static void metrics_have_the_form_of_prometheus(void **state)
{
    (void)state;
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    reply_free(&reply);
    reply = http_get(&server, "/metrics");
    assert_int_equal(reply.status, 200);
    if (!system("command -v promtool >/dev/null")) {
        FILE *promtool = popen("promtool check metrics 1>&2", "w");
        fputs(reply.body, promtool);
        assert_int_equal(pclose(promtool), 0);
    }
    assert_form(reply.body);
    reply_free(&reply);
}

/* /metrics does not answer with a page from before the request. */
static void metrics_are_never_old(void **state)
{
    (void)state;
    static const char name[] = "cellserve_requests_total{route=\"/v1/models\",model=\"\",status=\"200\"}";
    for (int i = 1; i <= 50; i++) {
        struct reply reply = http_get(&server, "/v1/models");
        assert_int_equal(json_array_size(json_object_get(reply.json, "models")), MODELS);
        reply_free(&reply);
        double counted = metric(&server, name), end = now_ms() + 60000;
        while (counted < i && now_ms() < end) /* it is counted when its answer is out */
            counted = metric(&server, name);
        assert_int_equal((int)counted, i);
    }
}

static atomic_bool done;
static atomic_int asked;

/* Request a page repeatedly; returns the number of wrong answers. */
static void *ask(void *argument)
{
    const char *path = argument;
    uintptr_t wrong = 0;
    while (!done) {
        struct reply reply = http_get(&server, path);
        wrong += reply.status != 200 || reply.bytes < 10000;
        reply_free(&reply);
        asked++;
    }
    return (void *)wrong;
}

static void slow_pages_do_not_delay_probes(void **state)
{
    (void)state;
    plain_alone("handshakes of its clients keep the I/O thread busy");
    static const char *const paths[] = {"/openapi.json", "/metrics", "/v2/models/stats"};
    enum { CLIENTS = 24, QUICK = 10, MOST_PROBES = 200 };
    pthread_t clients[CLIENTS];
    done = false;
    for (size_t i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, ask, (void *)(uintptr_t)paths[i % 3]);
    for (double end = now_ms() + 60000; asked < CLIENTS && now_ms() < end;)
        sleep_ms(1);
    size_t quick = 0; /* with a description made for each of eight clients none was; a loaded machine slows some down */
    for (size_t i = 0; i < MOST_PROBES && quick < QUICK; i++) {
        double began = now_ms();
        struct reply reply = http_get(&server, "/livez");
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
        quick += SANITIZED || now_ms() - began <= 200;
    }
    done = true;
    uintptr_t wrong = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        void *result;
        pthread_join(clients[i], &result);
        wrong += (uintptr_t)result;
    }
    assert_int_equal(wrong, 0);
    if (quick < QUICK)
        fail_msg("%zu of %d probes took 200 ms or less", quick, MOST_PROBES);
}

static int start(void **state)
{
    static char config[MODELS * 128 + 64];
    (void)state;
    char *at = config + sprintf(config, "{\"models\": [");
    for (int i = 0; i < MODELS; i++)
        at += sprintf(at,
                      "%s{\"name\": \"m%d\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", \"config\": "
                      "{\"units\": 2}}}",
                      i ? "," : "", i);
    sprintf(at, "], \"log\": {\"level\": \"warn\"}}");
    daemon_start(&server, config, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_have_the_form_of_prometheus),
        cmocka_unit_test(metrics_are_never_old),
        cmocka_unit_test(slow_pages_do_not_delay_probes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
