/* The table of settings, and how their names are spelt in the environment and as flags. */
#include "settings.h"

#include <ctype.h>
#include <string.h>

#define INT(k, field, low, high, value, text)                                                                          \
    {                                                                                                                  \
        k, SETTING_INT, offsetof(struct settings, field), low, high, value, NULL, text                                 \
    }
#define TEXT(k, field, value, options, text)                                                                           \
    {                                                                                                                  \
        k, SETTING_TEXT, offsetof(struct settings, field), 0, 0, value, options, text                                  \
    }

#define PATH(k, field, text)                                                                                           \
    {                                                                                                                  \
        k, SETTING_PATH, offsetof(struct settings, field), 0, 0, "", NULL, text                                        \
    }
#define LIST(k, field, text)                                                                                           \
    {                                                                                                                  \
        k, SETTING_LIST, offsetof(struct settings, field), 0, 0, "", NULL, text                                        \
    }

/* clang-format off */
const struct setting settings_table[] = {
    TEXT("host", host, "127.0.0.1", NULL, "address to listen on, or unix:/path/of/socket"),
    INT("port", port, 0, 65535, "8080", "TCP port; 0 picks a free one"),
    INT("workers", workers, 0, 1024, "0", "compute threads; 0: one per CPU this process may use"),
    INT("io_threads", io_threads, 0, 256, "0", "threads that read and write connections; 0: one for each four CPUs this process may use"),
    {"pin", SETTING_BOOL, offsetof(struct settings, pin), 0, 1, "false", NULL, "bind each worker to a CPU"},
    {"page", SETTING_BOOL, offsetof(struct settings, page), 0, 1, "true", NULL, "answer GET / of a browser with a page"},
    INT("batching.max_batch_rows", max_batch_rows, 1, 4096, "64", "sequences that a worker runs side by side"),
    INT("batching.max_queue_delay_us", max_queue_delay_us, 0, 1000000, "0",
        "how long a request may wait for rows to run with; 0: never"),
    INT("limits.max_body_bytes", max_body_bytes, 1, INT64_C(1) << 32, "67108864",
        "largest request body, before and after gzip; at most 1/16 of memory where it is not set"),
    INT("limits.max_rows", max_rows, 1, 1 << 24, "4096", "most sequences of one request"),
    INT("limits.max_timesteps", max_timesteps, 1, 1 << 30, "65536", "longest sequence"),
    INT("limits.max_queue", max_queue, 1, 1 << 20, "1024", "requests that may wait for a worker"),
    INT("limits.max_connections", max_connections, 1, 1 << 20, "1024", "connections that are served at a time (fewer where ulimit -n is too low, or memory less than 320 MiB)"),
    INT("limits.read_timeout_ms", read_timeout_ms, 10, 86400000, "10000",
        "time to send a header; a body or an answer may stand still, or move below 16 KiB/s, for so long"),
    INT("limits.request_timeout_ms", request_timeout_ms, 1, 86400000, "30000",
        "time from the whole request to its answer"),
    INT("limits.drain_delay_ms", drain_delay_ms, 0, 3600000, "2000",
        "after SIGTERM, time in which requests are still taken"),
    INT("limits.drain_timeout_ms", drain_timeout_ms, 0, 3600000, "20000",
        "then, time in which everything accepted is answered"),
    INT("limits.max_response_bytes", max_response_bytes, 1024, INT64_C(1) << 34, "268435456", "largest answer"),
    INT("limits.max_inflight_bytes", max_inflight_bytes, 1024, INT64_C(1) << 40, "1073741824",
        "memory of all requests at a time; at most a quarter where it is not set"),
    INT("limits.max_streams", max_streams, 1, 1 << 20, "512", "streams that are open at a time"),
    INT("limits.heartbeat_ms", heartbeat_ms, 10, 3600000, "5000", "a stream without an output for so long gets a sign of life"),
    TEXT("sessions.store", session_store, "memory", NULL,
        "where sessions are kept: memory, or redis://[user:password@]host[:port][/db], rediss:// over TLS, redis+sentinel://host[:port],host/name, redis+unix:///path/of/socket"),
    INT("sessions.ttl_s", session_ttl_s, 1, 31536000, "900", "a session ends after this long unused"),
    INT("sessions.max", session_max, 1, 100000000, "100000", "most sessions in memory"),
    INT("sessions.max_bytes", session_max_bytes, 1024, INT64_C(1) << 40, "1073741824", "memory of all sessions, or of their copies beside Redis; at most a quarter where it is not set"),
    TEXT("log.format", log_format, "text", "text|json", "form of log lines (also --log)"),
    TEXT("log.level", log_level, "info", "debug|info|warn|error", "least level that is logged"),
    PATH("tls.certificate", tls_certificate, "file of the certificate and its chain (PEM): HTTPS alone is spoken"),
    PATH("tls.key", tls_key, "file of the certificate's private key (PEM)"),
    PATH("tls.client_ca", tls_client_ca, "file of certificates (PEM): clients need a certificate signed by one of them"),
    PATH("auth.keys", auth_keys, "file of keys, a line each as \"cellserve key\" prints it: all but health needs a key"),
    LIST("auth.open", auth_open, "paths that need no key: /metrics"),
    INT("auth.rate.requests_per_s", rate_per_s, 0, 1000000, "0", "requests a second that each key may send; 0: any number"),
    INT("auth.rate.burst", rate_burst, 0, 1000000, "0", "and so many at once; 0: twice those of a second"),
    TEXT("admin.host", admin_host, "", NULL, "address of the admin listener, where /metrics and /debug answer then"),
    INT("admin.port", admin_port, 0, 65535, "8081", "its TCP port; 0 picks a free one"),
    PATH("admin.socket", admin_socket, "or the path of its UNIX socket"),
    LIST("cors.origins", cors_origins, "origins of web pages that may use the server: https://app.example, or *"),
    LIST("hosts", hosts, "names that the Host of a request may have; * is any; default: any, on a loopback address those of this machine"),
    {NULL, SETTING_INT, 0, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */
_Static_assert(sizeof settings_table / sizeof *settings_table <= 64, "a bit of settings.given for each");

/* "limits.max_rows" with prefix and separator and case: CELLSERVE_LIMITS_MAX_ROWS, --limits-max-rows. */
static void spell(const char *key, const char *prefix, char separator, bool upper, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", prefix);
    for (; *key && n + 1 < size; key++, n++)
        out[n] = *key == '.' || *key == '_' ? separator : (char)(upper ? toupper((unsigned char)*key) : *key);
    out[n] = 0;
}

void settings_variable(const struct setting *setting, char *out, size_t size)
{
    spell(setting->key, "CELLSERVE_", '_', true, out, size);
}

void settings_flag_name(const struct setting *setting, char *out, size_t size)
{
    spell(setting->key, "--", '-', false, out, size);
}

const struct setting *settings_flag(const char *flag)
{
    char name[64];
    if (!strcmp(flag, "--log"))
        flag = "--log-format";
    for (const struct setting *row = settings_table; row->key; row++) {
        settings_flag_name(row, name, sizeof name);
        if (!strcmp(name, flag))
            return row;
    }
    return NULL;
}

void settings_help(FILE *out)
{
    char flag[64];
    for (const struct setting *row = settings_table; row->key; row++) {
        settings_flag_name(row, flag, sizeof flag);
        fprintf(out, "  %-30s %s (%s)\n", flag, row->help, row->fallback);
    }
}
