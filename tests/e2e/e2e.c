/* The server process and the HTTP clients of the end-to-end tests. */
#include "e2e.h"

#include "certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Models are loaded, and a large one warmed up, under ThreadSanitizer on a busy machine. */
enum { LOAD_MS = 300000 };

double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

void sleep_ms(int ms)
{
    struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t used = 0, room = 0, n;
    do {
        if (used + 65536 > room)
            text = realloc(text, room = 2 * room + 131072);
        n = fread(text + used, 1, 65535, file);
        used += n;
    } while (n);
    text[used] = 0;
    fclose(file);
    return text;
}

char *read_source_file(const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", SOURCE_DIR, path);
    char *text = read_file(full);
    if (!text)
        fail_msg("cannot read %s", full);
    return text;
}

char *daemon_log(const struct daemon *daemon)
{
    char *text = read_file(daemon->log_path);
    return text ? text : strdup("");
}

char *daemon_log_with(const struct daemon *daemon, const char *text)
{
    char *log = daemon_log(daemon);
    for (double end = now_ms() + 60000; !strstr(log, text) && now_ms() < end;) {
        free(log);
        sleep_ms(5);
        log = daemon_log(daemon);
    }
    if (!strstr(log, text))
        fail_msg("no \"%s\" in the log: %s", text, log);
    return log;
}

void end_with_the_test(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* CELLSERVE_TEST_TLS=1 runs the tests over TLS with a key, except tests with their own settings of keys or TLS. */
static struct {
    struct certificate authority, server;
    char keys[64];
} over_tls;

static void prepare_tls(struct daemon *daemon, const char *config)
{
    if (!getenv("CELLSERVE_TEST_TLS") || (config && (strstr(config, "\"auth\"") || strstr(config, "\"tls\""))))
        return;
    if (!*over_tls.keys) {
        over_tls.authority = certificate_new("authority", NULL);
        over_tls.server = certificate_new("localhost", &over_tls.authority);
        snprintf(over_tls.keys, sizeof over_tls.keys, "/tmp/cellserve-test-%d.keys", (int)getpid());
        FILE *file = fopen(over_tls.keys, "w");
        assert_non_null(file); /* the SHA-256 of "suite" */
        fprintf(file, "suite:predict,sessions,metrics,admin:"
                      "f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab\n");
        fclose(file);
    }
    snprintf(daemon->ca, sizeof daemon->ca, "%s", over_tls.authority.certificate);
    snprintf(daemon->key, sizeof daemon->key, "suite");
}

void plain_alone(const char *reason)
{
    if (!getenv("CELLSERVE_TEST_TLS"))
        return;
    print_message("not over TLS with a key: %s\n", reason);
    skip();
}

/* A test that sets a number of threads in its configuration needs this number: the environment would override it. */
static void keep_threads(const char *config)
{
    if (config && strstr(config, "\"workers\""))
        unsetenv("CELLSERVE_WORKERS");
    if (config && strstr(config, "\"io_threads\""))
        unsetenv("CELLSERVE_IO_THREADS");
}

/* Run the binary under test, with the wrapper in CELLSERVE_WRAPPER, such as valgrind. */
static void execute(const struct daemon *daemon, const char *const *arguments, void (*prepare)(void))
{
    char *argv[64], wrapper[512];
    const char *binary = getenv("CELLSERVE_BINARY"), *prefix = getenv("CELLSERVE_WRAPPER");
    size_t n = 0;
    snprintf(wrapper, sizeof wrapper, "%s", prefix ? prefix : "");
    for (char *word = strtok(wrapper, " "); word; word = strtok(NULL, " "))
        argv[n++] = word;
    argv[n++] = (char *)(uintptr_t)(binary ? binary : BINARY);
    argv[n++] = (char *)"serve";
    if (daemon->config_path[0]) {
        argv[n++] = (char *)"--config";
        argv[n++] = (char *)(uintptr_t)daemon->config_path;
    }
    argv[n++] = (char *)"--port";
    argv[n++] = (char *)"0";
    argv[n++] = (char *)"--host";
    argv[n++] = (char *)"127.0.0.1";
    for (; arguments && *arguments; arguments++)
        argv[n++] = (char *)(uintptr_t)*arguments;
    argv[n] = NULL;
    end_with_the_test();
    int log = open(daemon->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    dup2(log, 2);
    setenv("CELLSERVE_HOSTS", "*", 0); /* requests of the tests have various Host fields */
    if (*daemon->key) {
        setenv("CELLSERVE_TLS_CERTIFICATE", over_tls.server.certificate, 1);
        setenv("CELLSERVE_TLS_KEY", over_tls.server.key, 1);
        setenv("CELLSERVE_AUTH_KEYS", over_tls.keys, 1);
    }
    if (prepare)
        prepare();
    execvp(argv[0], argv);
    _exit(127);
}

void daemon_spawn(struct daemon *daemon, const char *config, const char *const *arguments, void (*prepare)(void))
{
    static int count;
    *daemon = (struct daemon){.port = 0};
    snprintf(daemon->log_path, sizeof daemon->log_path, "/tmp/cellserve-test-%d-%d.log", (int)getpid(), count);
    if (config) {
        snprintf(daemon->config_path, sizeof daemon->config_path, "/tmp/cellserve-test-%d-%d.json", (int)getpid(),
                 count);
        FILE *file = fopen(daemon->config_path, "w");
        assert_non_null(file);
        fputs(config, file);
        fclose(file);
    }
    count++;
    prepare_tls(daemon, config);
    daemon->pid = fork();
    assert_true(daemon->pid >= 0);
    if (!daemon->pid) {
        keep_threads(config);
        execute(daemon, arguments, prepare);
    }
}

void daemon_await(struct daemon *daemon)
{
    for (double end = now_ms() + LOAD_MS; now_ms() < end; sleep_ms(5)) {
        char *log = daemon_log(daemon), *ready = strstr(log, "is ready at http"), *url = ready ? ready + 12 : NULL;
        if (url && strchr(url, ' ')) {
            url[strcspn(url, " ")] = 0;
            snprintf(daemon->url, sizeof daemon->url, "%s", url);
            daemon->port = atoi(strrchr(url, ':') + 1);
        }
        free(log);
        if (daemon->port)
            return;
        if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid)
            break;
    }
    char *log = daemon_log(daemon);
    fail_msg("the server does not come up: %s", log);
}

void daemon_start(struct daemon *daemon, const char *config, const char *const *arguments)
{
    daemon_spawn(daemon, config, arguments, NULL);
    daemon_await(daemon);
}

int daemon_wait(struct daemon *daemon, int seconds)
{
    int status = 0;
    struct rusage usage;
    for (double end = now_ms() + seconds * 1e3; now_ms() < end; sleep_ms(5))
        if (wait4(daemon->pid, &status, WNOHANG, &usage) == daemon->pid) {
            daemon->ended_cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                                   (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            if (code) {
                char *log = daemon_log(daemon);
                fprintf(stderr, "server log:\n%s\n", strlen(log) > 6000 ? log + strlen(log) - 6000 : log);
                free(log);
            }
            unlink(daemon->log_path);
            if (daemon->config_path[0])
                unlink(daemon->config_path);
            return code;
        }
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, &status, 0);
    return -1;
}

int daemon_stop(struct daemon *daemon, int signal)
{
    kill(daemon->pid, signal);
    return daemon_wait(daemon, 60);
}

long daemon_rss_kib(const struct daemon *daemon)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)daemon->pid);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        fail_msg("cannot read %s", path);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

long daemon_cpu_ms(const struct daemon *daemon)
{
    char path[64], text[1024];
    unsigned long user = 0, kernel = 0, of_children[2] = {0, 0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)daemon->pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    sscanf(strrchr(text, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &user, &kernel,
           &of_children[0], &of_children[1]);
    return (long)((user + kernel + of_children[0] + of_children[1]) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK));
}

/* ---- libcurl ---- */

static size_t on_body(char *data, size_t size, size_t n, void *user)
{
    struct reply *reply = user;
    reply->body = realloc(reply->body, reply->bytes + n * size + 1);
    memcpy(reply->body + reply->bytes, data, n * size);
    reply->bytes += n * size;
    reply->body[reply->bytes] = 0;
    return n * size;
}

static size_t on_header(char *data, size_t size, size_t n, void *user)
{
    struct reply *reply = user;
    size_t used = strlen(reply->headers);
    if (used + n * size < sizeof reply->headers)
        memcpy(reply->headers + used, data, n * size);
    return n * size;
}

struct reply http_request(const struct daemon *daemon, const char *method, const char *path, const char *body,
                          const char *const *headers)
{
    struct reply reply = {.body = NULL};
    char url[512];
    CURL *curl = curl_easy_init();
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    bool typed = false;
    for (; headers && *headers; headers++) {
        list = curl_slist_append(list, *headers);
        typed |= !strncasecmp(*headers, "Content-Type", 12);
    }
    if (body && !typed)
        list = curl_slist_append(list, "Content-Type: application/json");
    if (*daemon->key) {
        char line[128];
        snprintf(line, sizeof line, "X-API-Key: %s", daemon->key);
        list = curl_slist_append(list, line);
    }
    snprintf(url, sizeof url, "%s%s", daemon->url, path);
    if (*daemon->ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, daemon->ca);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 180L);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, body ? "POST" : "GET"))
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    else
        fprintf(stderr, "%s %s: %s\n", method, url, curl_easy_strerror(code));
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    if (reply.body)
        reply.json = json_loadb(reply.body, reply.bytes, JSON_DECODE_ANY, NULL);
    return reply;
}

struct reply http_get(const struct daemon *daemon, const char *path)
{
    return http_request(daemon, "GET", path, NULL, NULL);
}

struct reply http_post(const struct daemon *daemon, const char *path, const char *body)
{
    return http_request(daemon, "POST", path, body, NULL);
}

void reply_free(struct reply *reply)
{
    json_decref(reply->json);
    free(reply->body);
    *reply = (struct reply){.body = NULL};
}

double metric(const struct daemon *daemon, const char *name)
{
    char line[128];
    struct reply reply = http_get(daemon, "/metrics");
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = reply.body ? strstr(reply.body, line) : NULL;
    double value = at ? atof(at + strlen(line)) : -1;
    reply_free(&reply);
    return value;
}

void assert_error(const struct reply *reply, long status, const char *code, const char *path)
{
    const char *found = json_string_value(json_object_get(reply->json, "code"));
    const char *at = json_string_value(json_object_get(reply->json, "path"));
    const char *text = json_string_value(json_object_get(reply->json, "error"));
    if (reply->status != status || !found || strcmp(found, code) || !text || !*text ||
        (path ? !at || strcmp(at, path) : !!at))
        fail_msg("expected %ld %s at %s, found %ld: %s", status, code, path ? path : "no path", reply->status,
                 reply->body ? reply->body : "nothing");
}

json_t *ok(struct reply reply)
{
    if (reply.status != 200)
        fail_msg("status %ld: %s", reply.status, reply.body ? reply.body : "");
    json_t *json = json_incref(reply.json);
    reply_free(&reply);
    assert_non_null(json);
    return json;
}

void assert_same(const json_t *a, const json_t *b)
{
    if (!json_equal(a, b))
        fail_msg("expected the same: %s and %s", json_dumps(a, JSON_ENCODE_ANY), json_dumps(b, JSON_ENCODE_ANY));
}

void assert_predict_error(const struct daemon *daemon, const char *body, long status, const char *code,
                          const char *path)
{
    struct reply reply = http_post(daemon, "/predict", body);
    assert_error(&reply, status, code, path);
    reply_free(&reply);
}

/* ---- raw sockets ---- */

int raw_receive_bytes;

int raw_connect(const struct daemon *daemon)
{
    return raw_connect_from(daemon, "127.0.0.1");
}

int raw_connect_from(const struct daemon *daemon, const char *from)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)daemon->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       own = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(from)};
    if (*daemon->ca)
        return certificate_relay(daemon->port, *daemon->key ? daemon->key : NULL, from);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (raw_receive_bytes)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &raw_receive_bytes, sizeof raw_receive_bytes);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

void raw_send(int fd, const char *bytes, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server has cut the connection; its answer must still be read */
        bytes += sent;
        n -= (size_t)sent;
    }
}

size_t raw_read(int fd, char *out, size_t size, int timeout_ms)
{
    size_t used = 0;
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    while (used + 1 < size && poll(&poller, 1, timeout_ms) > 0) {
        ssize_t n = recv(fd, out + used, size - 1 - used, 0);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    out[used] = 0;
    return used;
}

int raw_post(const struct daemon *daemon, const char *headers, const char *body)
{
    char *text = malloc(256 + strlen(headers) + strlen(body));
    int n = sprintf(text, "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s",
                    headers, strlen(body), body);
    int fd = raw_connect(daemon);
    raw_send(fd, text, (size_t)n);
    free(text);
    return fd;
}

int raw_status(const struct daemon *daemon, const char *request)
{
    char answer[8192];
    int fd = raw_connect(daemon), status = 0;
    raw_send(fd, request, strlen(request));
    raw_read(fd, answer, sizeof answer, 2000);
    close(fd);
    if (!strncmp(answer, "HTTP/1.", 7))
        status = atoi(answer + 9);
    return status;
}

const char *small_config(int features, int units, const char *more)
{
    static char text[8192];
    snprintf(text, sizeof text,
             "{\"models\": [{\"name\": \"m\", \"input_size\": %d, \"seed\": 7, \"layer\": {\"class_name\": \"LSTM\", "
             "\"config\": {\"units\": %d}}}]%s}",
             features, units, more);
    return text;
}

int shell_run(const char *command, char *out, size_t size)
{
    const char *binary = getenv("CELLSERVE_BINARY");
    setenv("B", binary ? binary : BINARY, 1);
    setenv("S", SOURCE_DIR, 1);
    FILE *pipe = popen(command, "r");
    size_t n = pipe ? fread(out, 1, size - 1, pipe) : 0;
    out[n] = 0;
    int status = pipe ? pclose(pipe) : -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void shell_expect(const char *command, int code, const char *text)
{
    char out[65536];
    int found = shell_run(command, out, sizeof out);
    if (found != code || (text && !strstr(out, text)))
        fail_msg("%s: expected %d and \"%s\", found %d and:\n%s", command, code, text ? text : "", found, out);
}
