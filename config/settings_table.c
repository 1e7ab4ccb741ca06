/* The table of settings, and the spelling of their names in the environment and as flags. */
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
    INT("workers", workers, 0, 1024, "0", "compute threads; 0: one for each CPU that this process may use"),
    INT("io_threads", io_threads, 0, 256, "0", "threads that read and write connections; 0: one for every four CPUs that this process may use"),
    {"pin", SETTING_BOOL, offsetof(struct settings, pin), 0, 1, "false", NULL, "bind each worker to a CPU"},
    {"page", SETTING_BOOL, offsetof(struct settings, page), 0, 1, "true", NULL, "answer GET / from a browser with the web page"},
    INT("batching.max_batch_rows", max_batch_rows, 1, 4096, "64", "most sequences in a batch of a worker"),
    INT("batching.max_queue_delay_us", max_queue_delay_us, 0, 1000000, "0",
        "time in microseconds that a request may wait for other rows to fill its batch"),
    INT("limits.max_body_bytes", max_body_bytes, 1, INT64_C(1) << 32, "67108864",
        "largest request body, before and after gzip; if not set, at most 1/16 of the available memory"),
    INT("limits.max_rows", max_rows, 1, 1 << 24, "4096", "most sequences in one request"),
    INT("limits.max_timesteps", max_timesteps, 1, 1 << 30, "65536", "longest sequence"),
    INT("limits.max_queue", max_queue, 1, 1 << 20, "1024", "requests that may wait for a worker"),
    INT("limits.max_connections", max_connections, 1, 1 << 20, "1024", "most connections at a time (fewer if ulimit -n is too low, or if less than 320 MiB of memory are available)"),
    INT("limits.read_timeout_ms", read_timeout_ms, 10, 86400000, "10000",
        "time for the head of a request; also the time for which a body or an answer may be slower than 16 KiB/s"),
    INT("limits.request_timeout_ms", request_timeout_ms, 1, 86400000, "30000",
        "time from the end of a request to its answer"),
    INT("limits.drain_delay_ms", drain_delay_ms, 0, 3600000, "2000",
        "time after SIGTERM in which new requests are still accepted"),
    INT("limits.drain_timeout_ms", drain_timeout_ms, 0, 3600000, "20000",
        "time after this delay in which all accepted requests are answered"),
    INT("limits.max_response_bytes", max_response_bytes, 1024, INT64_C(1) << 34, "268435456", "largest answer"),
    INT("limits.max_inflight_bytes", max_inflight_bytes, 1024, INT64_C(1) << 40, "1073741824",
        "memory of all requests together; if not set, at most a quarter of the available memory"),
    INT("limits.max_streams", max_streams, 1, 1 << 20, "512", "most open streams at a time"),
    INT("limits.heartbeat_ms", heartbeat_ms, 10, 3600000, "5000", "a stream without an event for this time gets a heartbeat"),
    TEXT("sessions.store", session_store, "memory", NULL,
        "where sessions are kept: memory, or redis://[user:password@]host[:port][/db], rediss:// over TLS, redis+sentinel://host[:port],host/name, redis+unix:///path/of/socket"),
    INT("sessions.ttl_s", session_ttl_s, 1, 31536000, "900", "time after which an unused session ends"),
    INT("sessions.max", session_max, 1, 100000000, "100000", "most sessions in memory"),
    INT("sessions.max_bytes", session_max_bytes, 1024, INT64_C(1) << 40, "1073741824", "memory of all sessions, with Redis of their copies; if not set, at most a quarter of the available memory"),
    TEXT("log.format", log_format, "text", "text|json", "format of log lines (also --log)"),
    TEXT("log.level", log_level, "info", "debug|info|warn|error", "lowest level that is logged"),
    PATH("tls.certificate", tls_certificate, "file of the certificate and its chain (PEM); if set, the server accepts only HTTPS"),
    PATH("tls.key", tls_key, "file of the certificate's private key (PEM)"),
    PATH("tls.client_ca", tls_client_ca, "file of authorities (PEM); if set, clients need a certificate that one of them has signed"),
    PATH("auth.keys", auth_keys, "file of keys, with lines as \"cellserve key\" prints them; if set, all requests except health need a key"),
    LIST("auth.open", auth_open, "paths that need no key, for example /metrics"),
    INT("auth.rate.requests_per_s", rate_per_s, 0, 1000000, "0", "requests a second that each key may send; 0: no limit"),
    INT("auth.rate.burst", rate_burst, 0, 1000000, "0", "requests that each key may send at once; 0: twice auth.rate.requests_per_s"),
    TEXT("admin.host", admin_host, "", NULL, "address of the admin listener; if set, /metrics and /debug answer only there"),
    INT("admin.port", admin_port, 0, 65535, "8081", "TCP port of the admin listener; 0 picks a free one"),
    PATH("admin.socket", admin_socket, "path of a UNIX socket for the admin listener, in place of host and port"),
    LIST("cors.origins", cors_origins, "origins of web pages that may use the server: https://app.example, or *"),
    LIST("hosts", hosts, "names that the Host of a request may have; * is any; default: any name, but on a loopback address only those of this machine"),
    {NULL, SETTING_INT, 0, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */
_Static_assert(sizeof settings_table / sizeof *settings_table <= 64, "a bit of settings.given for each");

/* Spell "limits.max_rows" with a prefix, a separator and a case: CELLSERVE_LIMITS_MAX_ROWS, --limits-max-rows. */
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
