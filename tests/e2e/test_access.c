/* Keys: scopes of each route, models, rates, separate sessions, and changes of key files. */
#include "access.h"
#include "certificate.h"
#include "server/api/routes.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUT_BODY "{\"model\": \"m\", \"states\": [[[[0.1, 0.2, 0.3]], [[0, 0, 0]]]]}"
#define INSTANCES "{\"instances\": [[[0.5, -0.25]]]}"

/* Two models, m and n, of two features. */
static const char *config_of(const struct key_file *keys, const char *more)
{
    static char text[2048];
    snprintf(text, sizeof text,
             "{\"models\": [{\"name\": \"m\", \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 3}}, "
             "\"input_size\": 2}, {\"name\": \"n\", \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 2}}, "
             "\"input_size\": 2}], \"auth\": {\"keys\": \"%s\"%s}}",
             keys->path, more);
    return text;
}

static void assert_status(const char *what, const struct reply *reply, long status)
{
    if (reply->status != status)
        fail_msg("%s: expected %ld, found %ld: %s", what, status, reply->status, reply->body ? reply->body : "");
}

/* ---- every route ---- */

enum { KEY_NONE, KEY_WRONG, KEY_UNSCOPED, KEY_OTHER_MODEL, KEY_RIGHT, KEY_STATES };

static const char *const state_keys[KEY_STATES] = {NULL, "wrong", "unscoped", "other", "right"};

/* A body that a route accepts with the right key. */
static const char *body_of(const struct route *route)
{
    if (!strcmp(route->method, "PUT"))
        return PUT_BODY;
    if (strcmp(route->method, "POST"))
        return NULL;
    if (strstr(route->pattern, ":initial_state"))
        return "{\"batch_size\": 1}";
    if (strstr(route->pattern, ":step"))
        return "{\"inputs\": [[0.5, -0.25]]}";
    if (strstr(route->pattern, "/infer"))
        return "{\"inputs\": [{\"name\": \"inputs\", \"datatype\": \"FP32\", \"shape\": [1, 1, 2], \"data\": [0.5, "
               "1]}]}";
    return strstr(route->pattern, "repository") ? "{}" : INSTANCES;
}

/* The target, with the model m and a session. */
static const char *target_of(const struct route *route)
{
    static char target[128];
    const char *place = strchr(route->pattern, '{');
    if (!place)
        return route->pattern;
    bool model = !strncmp(place, "{m}", 3);
    snprintf(target, sizeof target, "%.*s%s%s", (int)(place - route->pattern), route->pattern, model ? "m" : "s1",
             strchr(place, '}') + 1);
    return target;
}

/* Whether the route refuses a key of another model. Other routes of sessions give 404, because each key has its own
   sessions. */
static bool is_of_one_model(const struct route *route)
{
    return strstr(route->pattern, "{m}") || (route->kind == ROUTE_WORKER && !strstr(route->pattern, "{id}")) ||
           !strcmp(route->method, "PUT");
}

static void check_state(const struct daemon *daemon, const struct route *route, int state)
{
    char what[160];
    if (strstr(route->pattern, "{id}") && state == KEY_RIGHT)
        json_decref(ok(ask_with_key(daemon, "right", "PUT", target_of(route), PUT_BODY)));
    struct reply reply = ask_with_key(daemon, state_keys[state], route->method, target_of(route), body_of(route));
    snprintf(what, sizeof what, "%s %s with the key \"%s\"", route->method, route->pattern,
             state_keys[state] ? state_keys[state] : "");
    bool scoped = !(route->scope & (ACCESS_OPEN | ACCESS_ANY));
    if (!(route->scope & ACCESS_OPEN) && state <= KEY_WRONG) {
        assert_status(what, &reply, 401);
        assert_non_null(strstr(reply.headers, "WWW-Authenticate: Bearer realm=\"cellserve\""));
        assert_string_equal(json_string_value(json_object_get(reply.json, "code")), "unauthorized");
    } else if ((state == KEY_UNSCOPED && scoped) || (state == KEY_OTHER_MODEL && is_of_one_model(route))) {
        assert_status(what, &reply, 403);
        assert_string_equal(json_string_value(json_object_get(reply.json, "code")), "forbidden");
    } else if (strstr(route->pattern, "{id}") && state == KEY_OTHER_MODEL) {
        assert_status(what, &reply, 404);
    } else if (state == KEY_RIGHT || !scoped) {
        assert_status(what, &reply, 200);
    }
    reply_free(&reply);
}

/* A key with every scope but those that the route needs, keys with those, and one that tells this file from others. */
static void write_keys(const struct key_file *file, unsigned scopes, const char *mark)
{
    static const char *const names[] = {"predict", "sessions", "metrics", "admin"};
    char has[64] = "", others[64] = "", text[2048];
    for (size_t i = 0; i < 4; i++) {
        char *list = scopes >> i & 1 ? has : others;
        strcat(strcat(list, *list ? "," : ""), names[i]);
    }
    snprintf(text, sizeof text, "# made by a test\n\n%s%s%s%s", key_line("u", others, "unscoped", "  # all the others"),
             key_line("o", *has ? has : "predict", "other", ":n"), key_line("r", *has ? has : "predict", "right", ":m"),
             key_line("mark", "predict", mark, ""));
    key_file_write(file, text);
}

static long models_status(const struct daemon *daemon, const char *key)
{
    struct reply reply = ask_with_key(daemon, key, "GET", "/v1/models", NULL);
    long status = reply.status;
    reply_free(&reply);
    return status;
}

/* Wait until a file is in force, which has this key and the files before it had not. The file is also read when it is seen
   to have changed, so that lines of the log tell nothing of which file was read. */
static void reload(const struct daemon *daemon, const char *key)
{
    kill(daemon->pid, SIGHUP);
    for (double end = now_ms() + 60000; models_status(daemon, key) != 200 && now_ms() < end;)
        sleep_ms(2);
    assert_int_equal(models_status(daemon, key), 200);
}

static void every_route_needs_what_the_table_says(void **state)
{
    (void)state;
    struct key_file keys = key_file_new("");
    struct daemon daemon;
    unsigned kinds[] = {SCOPE_PREDICT, SCOPE_SESSIONS, SCOPE_METRICS, SCOPE_ADMIN, ACCESS_ANY, ACCESS_OPEN};
    size_t checked = 0, routes = 0;
    write_keys(&keys, SCOPE_PREDICT, "mark");
    daemon_start(&daemon, config_of(&keys, ""), NULL);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char mark[16];
        snprintf(mark, sizeof mark, "mark-%zu", k);
        write_keys(&keys, kinds[k] & 15, mark);
        reload(&daemon, mark);
        for (size_t i = 0; route_at(i) && route_at(i) != route_none(); i++)
            for (int s = 0; route_at(i)->scope == kinds[k] && s < KEY_STATES; s++, checked++)
                check_state(&daemon, route_at(i), s);
    }
    for (size_t i = 0; route_at(i) && route_at(i) != route_none(); i++) {
        assert_int_not_equal(route_at(i)->scope, 0); /* each route has a scope */
        routes++;
    }
    assert_int_equal(checked, KEY_STATES * routes);
    struct reply reply = ask_with_key(&daemon, NULL, "GET", "/nothing", NULL);
    assert_error(&reply, 401, "unauthorized", NULL); /* without a key, a client cannot find out which paths exist */
    reply_free(&reply);
    reply = ask_with_key(&daemon, NULL, "PATCH", "/predict", NULL);
    assert_error(&reply, 401, "unauthorized", NULL);
    assert_null(strstr(reply.headers, "Allow:"));
    reply_free(&reply);
    reply = ask_with_key(&daemon, NULL, "GET", "/v2/models/absent", NULL);
    assert_error(&reply, 401, "unauthorized", NULL);
    reply_free(&reply);
    reply = ask_with_key(&daemon, "right", "GET", "/nothing", NULL);
    assert_error(&reply, 404, "not_found", NULL);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* ---- keys in their fields ---- */

static long status_with(const struct daemon *daemon, const char *const *headers, const char *body)
{
    struct reply reply = http_request(daemon, body ? "POST" : "GET", body ? "/predict" : "/v1/models", body, headers);
    long status = reply.status;
    reply_free(&reply);
    return status;
}

static void keys_are_read_from_two_fields(void **state)
{
    (void)state;
    struct key_file keys = key_file_new(key_line("a", "predict", "secret-a", ":m"));
    struct daemon daemon;
    daemon_start(&daemon, config_of(&keys, ", \"open\": [\"/metrics\", \"/v1/models/n\"]"), NULL);
    static const struct {
        const char *headers[3];
        long status;
    } rows[] = {
        {{"Authorization: Bearer secret-a", NULL}, 200},
        {{"authorization:   bearer   secret-a  ", NULL}, 200},
        {{"X-API-Key: secret-a", NULL}, 200},
        {{"Authorization: Basic c2VjcmV0LWE=", "X-API-Key: secret-a", NULL}, 200}, /* a proxy's credentials */
        {{"Authorization: Bearer secret-b", "X-API-Key: secret-a", NULL}, 401},
        {{"Authorization: secret-a", NULL}, 401},
        {{"Authorization: Bearer secret-", NULL}, 401},
        {{"Authorization: Bearer secret-a, Bearer secret-a", NULL}, 401},
        {{"X-API-Key: SECRET-A", NULL}, 401},
        {{"X-API-Key;", NULL}, 401}, /* an empty field, in the syntax of curl */
        {{"X-API-Key: secret-a", "X-API-Key: secret-a", NULL}, 400},
        {{"Authorization: Bearer secret-a", "Authorization: Bearer secret-a", NULL}, 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long status = status_with(&daemon, rows[i].headers, NULL);
        if (status != rows[i].status)
            fail_msg("%s: expected %ld, found %ld", rows[i].headers[0], rows[i].status, status);
    }
    struct reply reply = http_get(&daemon, "/v1/models?key=secret-a"); /* a key in a URL is not accepted */
    assert_error(&reply, 401, "unauthorized", NULL);
    reply_free(&reply);
    char *metrics = http_get(&daemon, "/metrics").body; /* auth.open has /metrics */
    assert_non_null(strstr(metrics, "\ncellserve_unauthorized_total 7\n"));
    assert_non_null(strstr(metrics, "\ncellserve_key_requests_total{key=\"a\",result=\"taken\"} 4\n"));
    assert_null(strstr(metrics, "secret-a"));
    free(metrics);
    reply = http_get(&daemon, "/v1/models/n");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* Checks of the body's model and of the default model. A wrong body must not reveal a model of another key. */
static void models_of_bodies_are_checked(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", key_line("a", "predict,sessions", "a-key", ":n,x"),
             key_line("b", "predict", "b-key", ""));
    struct key_file keys = key_file_new(text);
    struct daemon daemon;
    daemon_start(&daemon, config_of(&keys, ""), NULL);
    static const struct {
        const char *path, *body;
        long status;
    } rows[] = {
        {"/predict", "{\"model\": \"n\", \"instances\": [[[0.5, 1]]]}", 200},
        {"/predict", "{\"model\": \"m\", \"instances\": [[[0.5, 1]]]}", 403},
        {"/predict", "{\"model\": \"m\", \"instances\": [[[0.5]]]}", 403},
        {"/predict", "{\"model\": \"n\", \"instances\": [[[0.5]]]}", 400},
        {"/predict", INSTANCES, 403}, /* m is the default model */
        {"/predict?model=n", "{\"instances\": [[[0.5, 1]]]}", 403},
        {"/invocations", INSTANCES, 403},
        {"/v1/models/n:predict", INSTANCES, 200},
        {"/v1/models/n/versions/7:predict", INSTANCES, 404},
        {"/v1/models/m/versions/7:predict", INSTANCES, 403},
        {"/predict", "{\"model\": \"absent\", \"instances\": [[[0.5, 1]]]}", 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = ask_with_key(&daemon, "a-key", "POST", rows[i].path, rows[i].body);
        assert_status(rows[i].body, &reply, rows[i].status);
        reply_free(&reply);
    }
    struct reply reply = ask_with_key(&daemon, "b-key", "POST", "/predict", INSTANCES);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = ask_with_key(&daemon, "b-key", "POST", "/predict", "{\"session\": \"s\", \"instances\": [[[0.5, 1]]]}");
    assert_error(&reply, 403, "forbidden", "/session"); /* the key lacks the scope sessions */
    reply_free(&reply);
    free(daemon_log_with(&daemon, "key=a"));
    char *log = daemon_log_with(&daemon, "key=b");
    assert_null(strstr(log, "a-key"));
    assert_null(strstr(log, "b-key"));
    free(log);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* ---- sessions ---- */

static json_t *step_session(const struct daemon *daemon, const char *key, const char *id)
{
    char body[128];
    snprintf(body, sizeof body, "{\"session\": \"%s\", \"instances\": [[[0.5, 1]]]}", id);
    return ok(ask_with_key(daemon, key, "POST", "/predict", body));
}

static void sessions_of_two_keys_are_two(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", key_line("a", "predict,sessions", "a-key", ""),
             key_line("b", "predict,sessions", "b-key", ""));
    struct key_file keys = key_file_new(text);
    struct daemon daemon;
    daemon_start(&daemon, config_of(&keys, ""), NULL);
    json_t *first = step_session(&daemon, "a-key", "same"), *second = step_session(&daemon, "a-key", "same");
    json_t *other = step_session(&daemon, "b-key", "same");
    assert_int_equal(json_integer_value(json_object_get(second, "step")), 2);
    assert_int_equal(json_integer_value(json_object_get(other, "step")), 1);
    assert_string_equal(json_string_value(json_object_get(other, "session")), "same");
    assert_same(json_object_get(first, "outputs"), json_object_get(other, "outputs"));
    json_decref(first);
    json_decref(second);
    json_decref(other);
    /* the stored name of another key's session is not valid as an id */
    struct reply reply = ask_with_key(&daemon, "b-key", "GET", "/sessions/a:same", NULL);
    assert_error(&reply, 404, "session_not_found", NULL);
    reply_free(&reply);
    json_decref(ok(ask_with_key(&daemon, "b-key", "DELETE", "/sessions/same", NULL)));
    json_t *left = ok(ask_with_key(&daemon, "a-key", "GET", "/sessions/same", NULL));
    assert_int_equal(json_integer_value(json_object_get(left, "step")), 2);
    json_decref(left);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* ---- rates ---- */

/* The log has the number of refused requests, and a line for each only at level debug. */
static void requests_over_the_rate_are_counted_in_the_log(void **state)
{
    (void)state;
    static const char *const levels[] = {"info", "debug"};
    struct key_file keys = key_file_new(key_line("slow", "predict", "slow-key", ":rate=0.01/1"));
    for (size_t i = 0; i < 2; i++) {
        struct daemon daemon;
        char more[64];
        snprintf(more, sizeof more, "}, \"log\": {\"level\": \"%s\"", levels[i]);
        daemon_start(&daemon, config_of(&keys, more), NULL);
        json_decref(ok(ask_with_key(&daemon, "slow-key", "POST", "/predict", INSTANCES)));
        struct reply reply = ask_with_key(&daemon, "slow-key", "POST", "/predict", INSTANCES);
        assert_error(&reply, 429, "rate_limited", NULL);
        reply_free(&reply);
        free(daemon_log_with(&daemon, "status=200"));
        char *log = daemon_log_with(&daemon, "1 request was refused with 429: the key exceeded its rate");
        assert_int_equal(strstr(log, "code=rate_limited") != NULL, i); /* the line of a request is logged before the
                                                                          number */
        free(log);
        assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    }
    key_file_remove(&keys);
}

static void a_key_over_its_rate_gets_429(void **state)
{
    (void)state;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", key_line("slow", "predict", "slow-key", ":rate=0.001/2"),
             key_line("free", "predict", "free-key", ""));
    struct key_file keys = key_file_new(text);
    struct daemon daemon;
    daemon_start(&daemon, config_of(&keys, ", \"rate\": {\"requests_per_s\": 1000, \"burst\": 5000}"), NULL);
    struct reply reply = ask_with_key(&daemon, "slow-key", "POST", "/predict", INSTANCES);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "RateLimit-Policy: \"key\";q=2;w=2000\r\n"));
    assert_non_null(strstr(reply.headers, "RateLimit: \"key\";r=1;t="));
    reply_free(&reply);
    reply = ask_with_key(&daemon, "slow-key", "GET", "/v1/models", NULL);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = ask_with_key(&daemon, "slow-key", "POST", "/predict", INSTANCES);
    assert_error(&reply, 429, "rate_limited", NULL);
    const char *again = strstr(reply.headers, "Retry-After: ");
    assert_non_null(again);
    assert_in_range(atoi(again + 13), 900, 1000);
    assert_non_null(strstr(reply.headers, "RateLimit: \"key\";r=0;t="));
    reply_free(&reply);
    reply = ask_with_key(&daemon, "slow-key", "GET", "/readyz", NULL); /* health routes need no key */
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    for (int i = 0; i < 20; i++) {
        reply = ask_with_key(&daemon, "free-key", "GET", "/v1/models", NULL);
        assert_int_equal(reply.status, 200);
        assert_non_null(strstr(reply.headers, "RateLimit-Policy: \"key\";q=5000;w=5\r\n"));
        reply_free(&reply);
    }
    /* a new file does not fill the bucket */
    strcat(text, key_line("mark", "predict", "mark", ""));
    key_file_write(&keys, text);
    reload(&daemon, "mark");
    reply = ask_with_key(&daemon, "slow-key", "GET", "/v1/models", NULL);
    assert_error(&reply, 429, "rate_limited", NULL);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* A client that sends as fast as it can. */
struct loud {
    const struct daemon *daemon;
    atomic_bool stop;
    atomic_long good, limited, other;
    pthread_t thread;
};

static void *send_loudly(void *argument)
{
    struct loud *loud = argument;
    while (!loud->stop) {
        struct reply reply = ask_with_key(loud->daemon, "loud-key", "POST", "/predict", INSTANCES);
        *(reply.status == 200 ? &loud->good : reply.status == 429 ? &loud->limited : &loud->other) += 1;
        reply_free(&reply);
    }
    return NULL;
}

/* Requests over the rate are neither computed nor queued, so requests of other keys do not wait for them. */
static void a_key_over_its_rate_does_not_slow_others(void **state)
{
    (void)state;
    enum { LOUD = 3, QUIET = 100, RATE = 2, BURST = 5 };
    char text[1024];
    snprintf(text, sizeof text, "%s%s", key_line("loud", "predict", "loud-key", ":rate=2/5"),
             key_line("quiet", "predict", "quiet-key", ""));
    struct key_file keys = key_file_new(text);
    struct daemon daemon;
    struct loud loud[LOUD] = {{.daemon = NULL}};
    daemon_start(&daemon, config_of(&keys, ", \"open\": [\"/metrics\"]"), NULL);
    double began = now_ms(), slowest = 0, most_waiting = 0;
    for (int i = 0; i < LOUD; i++) {
        loud[i].daemon = &daemon;
        pthread_create(&loud[i].thread, NULL, send_loudly, &loud[i]);
    }
    long good = 0, limited = 0, other = 0;
    for (int i = 0; i < QUIET || (!SANITIZED && limited < 10 * good); i++) {
        double sent = now_ms();
        struct reply reply = ask_with_key(&daemon, "quiet-key", "POST", "/predict", INSTANCES);
        assert_status("the quiet key", &reply, 200);
        reply_free(&reply);
        slowest = fmax(slowest, now_ms() - sent);
        if (i % 10 == 0)
            most_waiting = fmax(most_waiting, metric(&daemon, "cellserve_queue_depth"));
        good = limited = 0;
        for (int k = 0; k < LOUD; k++) {
            good += loud[k].good;
            limited += loud[k].limited;
        }
        if (now_ms() > began + 60000)
            break; /* on a slow machine fewer are refused */
    }
    good = limited = 0;
    for (int i = 0; i < LOUD; i++) {
        loud[i].stop = true;
        pthread_join(loud[i].thread, NULL);
        good += loud[i].good;
        limited += loud[i].limited;
        other += loud[i].other;
    }
    double most = BURST + RATE * (now_ms() - began) / 1000;
    if (getenv("CELLSERVE_TEST_TIMES"))
        printf("loud: %ld taken of at most %.0f, %ld refused; quiet: slowest %.1f ms; %.0f waited\n", good, most,
               limited, slowest, most_waiting);
    assert_int_equal(other, 0);
    assert_true(limited > 0 && good <= (long)most);
    assert_true(most_waiting <= BURST);
    assert_true(metric(&daemon, "cellserve_key_requests_total{key=\"loud\",result=\"rate_limited\"}") == limited);
    assert_true(metric(&daemon, "cellserve_key_requests_total{key=\"quiet\",result=\"rate_limited\"}") == 0);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

/* ---- the text of a key ---- */

/* How often a text is in a file of /proc/PID. */
static size_t count_in(const struct daemon *daemon, const char *file, const char *text)
{
    char path[64];
    char *bytes = malloc(1 << 20);
    size_t n = 0, length = strlen(text);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)daemon->pid, file);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    for (size_t kept = 0, got; (got = fread(bytes + kept, 1, (1 << 20) - kept, in));) {
        size_t have = kept + got;
        for (const char *at = bytes; (at = memmem(at, (size_t)(bytes + have - at), text, length)); at++)
            n++;
        kept = have < length ? have : length - 1;
        memmove(bytes, bytes + have - kept, kept);
    }
    fclose(in);
    free(bytes);
    return n;
}

/* How often a text is in the writable memory of the process: heap, stacks, buffers of libraries. */
static size_t count_in_memory(const struct daemon *daemon, const char *text)
{
    enum { PIECE = 1 << 20 };
    char path[64], line[512], *bytes = malloc(PIECE + 256);
    size_t n = 0, length = strlen(text);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)daemon->pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof path, "/proc/%d/mem", (int)daemon->pid);
    int memory = open(path, O_RDONLY);
    assert_true(maps && memory >= 0);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || strncmp(rights, "rw", 2))
            continue;
        for (ssize_t got; from < to && (got = pread(memory, bytes, PIECE + length - 1, (off_t)from)) > 0; from += PIECE)
            for (const char *at = bytes; (at = memmem(at, (size_t)(bytes + got - at), text, length)); at++)
                n++;
    }
    close(memory);
    fclose(maps);
    free(bytes);
    return n;
}

static void look_for(const struct daemon *daemon, const char *text)
{
    static const char *const pages[] = {"/metrics", "/debug", "/openapi.json", "/v1/models", "/healthz?verbose"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct reply reply = ask_with_key(daemon, "operator-text-0123", "GET", pages[i], NULL);
        assert_int_equal(reply.status, 200);
        assert_null(strstr(reply.body, text));
        assert_null(strstr(reply.headers, text));
        reply_free(&reply);
    }
    assert_int_equal(count_in(daemon, "environ", text), 0);
    assert_int_equal(count_in(daemon, "cmdline", text), 0);
    char *log = daemon_log(daemon);
    assert_null(strstr(log, text));
    free(log);
    if (SANITIZED) /* sanitizers keep what was freed, and have terabytes of shadow memory */
        return;
    size_t found = 1; /* the end of a connection may be seen some time after its answer */
    for (double end = now_ms() + 20000; (found = count_in_memory(daemon, text)) && now_ms() < end;)
        sleep_ms(50);
    assert_int_equal(found, 0);
}

/* Checks right keys, wrong keys, keys over their rate, and keys in a URL, with settings from variables, with and
   without TLS. */
static void no_text_of_a_key_is_kept(void **state)
{
    (void)state;
    static const char *const texts[] = {"alice-text-4711-zyx", "wrong-text-0815-zyx", "inurl-text-1234-zyx"};
    struct certificate authority = certificate_new("authority", NULL), own = certificate_new("localhost", &authority);
    char text[1024];
    snprintf(text, sizeof text, "%s%s", key_line("alice", "predict", texts[0], ":rate=0.01/3"),
             key_line("operator", "predict,metrics,admin", "operator-text-0123", ""));
    struct key_file keys = key_file_new(text);
    setenv("CELLSERVE_AUTH_KEYS", keys.path, 1);
    for (int tls = 0; tls < 2; tls++) {
        struct daemon daemon;
        if (tls) {
            setenv("CELLSERVE_TLS_CERTIFICATE", own.certificate, 1);
            setenv("CELLSERVE_TLS_KEY", own.key, 1);
        }
        /* "auth" in the configuration, so that the test harness does not add its own TLS */
        daemon_start(&daemon, small_config(2, 3, ", \"log\": {\"level\": \"debug\"}, \"auth\": {}"), NULL);
        if (tls)
            snprintf(daemon.ca, sizeof daemon.ca, "%s", authority.certificate);
        for (int i = 0; i < 5; i++) { /* the last two are over the rate */
            struct reply reply = ask_with_key(&daemon, texts[0], "POST", "/predict", INSTANCES);
            assert_int_equal(reply.status, i < 3 ? 200 : 429);
            reply_free(&reply);
            reply = ask_with_key(&daemon, texts[1], "POST", "/predict", INSTANCES);
            assert_int_equal(reply.status, 401);
            reply_free(&reply);
            reply = ask_with_key(&daemon, NULL, "GET", "/v1/models?key=inurl-text-1234-zyx", NULL);
            assert_int_equal(reply.status, 401);
            reply_free(&reply);
        }
        kill(daemon.pid, SIGUSR1);
        free(daemon_log_with(&daemon, "\"memory\""));
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            look_for(&daemon, texts[i]);
        if (!SANITIZED) /* the search works: it finds the name of a key */
            assert_true(count_in_memory(&daemon, "operator") > 0);
        assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    }
    unsetenv("CELLSERVE_AUTH_KEYS");
    unsetenv("CELLSERVE_TLS_CERTIFICATE");
    unsetenv("CELLSERVE_TLS_KEY");
    key_file_remove(&keys);
    certificate_remove(&own);
    certificate_remove(&authority);
}

/* ---- files ---- */

static void files_are_read_when_they_change(void **state)
{
    (void)state;
    struct key_file keys = key_file_new(key_line("a", "predict", "a-key", ""));
    struct daemon daemon;
    daemon_start(&daemon, config_of(&keys, ", \"open\": [\"/metrics\"]"), NULL);
    assert_int_equal(models_status(&daemon, "a-key"), 200);
    assert_int_equal(models_status(&daemon, "b-key"), 401);
    key_file_write(&keys, key_line("b", "predict", "b-key", ""));
    double end = now_ms() + 180000; /* without a signal */
    while (models_status(&daemon, "b-key") != 200 && now_ms() < end)
        sleep_ms(20);
    assert_int_equal(models_status(&daemon, "b-key"), 200);
    assert_int_equal(models_status(&daemon, "a-key"), 401);
    key_file_write(&keys, "b:predict:0123\n");
    await_metric(&daemon, "cellserve_key_reload_failed", 1, 1);
    assert_int_equal(models_status(&daemon, "b-key"), 200);
    char *log = daemon_log_with(&daemon, "keys: the old keys stay in force");
    assert_non_null(strstr(log, "line 1: expected the SHA-256 of the key of b in 64 hexadecimal digits"));
    free(log);
    key_file_write(&keys, "# nobody\n"); /* the last key is removed */
    while (models_status(&daemon, "b-key") != 401 && now_ms() < end)
        sleep_ms(20);
    assert_int_equal(models_status(&daemon, "b-key"), 401);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    key_file_remove(&keys);
}

static void a_broken_file_is_an_error_at_the_start(void **state)
{
    (void)state;
    struct key_file keys = key_file_new("a:predict:00\nb:fly:00\n");
    struct daemon daemon;
    daemon_spawn(&daemon, config_of(&keys, ""), NULL, NULL);
    char *log = daemon_log_with(&daemon, "line 2: expected scopes");
    assert_non_null(strstr(log, "line 1: expected the SHA-256"));
    free(log);
    assert_int_equal(daemon_wait(&daemon, 20), 1);
    key_file_remove(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_needs_what_the_table_says),
        cmocka_unit_test(keys_are_read_from_two_fields),
        cmocka_unit_test(models_of_bodies_are_checked),
        cmocka_unit_test(sessions_of_two_keys_are_two),
        cmocka_unit_test(a_key_over_its_rate_gets_429),
        cmocka_unit_test(requests_over_the_rate_are_counted_in_the_log),
        cmocka_unit_test(a_key_over_its_rate_does_not_slow_others),
        cmocka_unit_test(no_text_of_a_key_is_kept),
        cmocka_unit_test(files_are_read_when_they_change),
        cmocka_unit_test(a_broken_file_is_an_error_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
