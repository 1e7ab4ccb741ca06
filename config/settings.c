/* Settings: defaults, then the file, then the environment, then flags; the later wins. */
#include "settings.h"

#include "config/files/json_file.h"
#include "json_type.h"
#include "redis_url.h"
#include "unopened.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INT(k, field, low, high, value, text)                                                                          \
    {                                                                                                                  \
        k, SETTING_INT, offsetof(struct settings, field), low, high, value, NULL, text                                 \
    }
#define TEXT(k, field, value, options, text)                                                                           \
    {                                                                                                                  \
        k, SETTING_TEXT, offsetof(struct settings, field), 0, 0, value, options, text                                  \
    }

/* clang-format off */
const struct setting settings_table[] = {
    TEXT("host", host, "127.0.0.1", NULL, "address to listen on"),
    INT("port", port, 0, 65535, "8080", "TCP port; 0 picks a free one"),
    INT("workers", workers, 0, 1024, "0", "compute threads; 0: one per CPU this process may use"),
    {"pin", SETTING_BOOL, offsetof(struct settings, pin), 0, 1, "false", NULL, "bind each worker to a CPU"},
    INT("batching.max_batch_rows", max_batch_rows, 1, 4096, "64", "sequences that a worker runs side by side"),
    INT("batching.max_queue_delay_us", max_queue_delay_us, 0, 1000000, "0",
        "how long a request may wait for company; 0: never"),
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
        "where sessions are kept: memory, or redis://[:password@]host[:port][/db], or redis+unix:///path/of/socket"),
    INT("sessions.ttl_s", session_ttl_s, 1, 31536000, "900", "a session ends after this long unused"),
    INT("sessions.max", session_max, 1, 100000000, "100000", "most sessions in memory"),
    INT("sessions.max_bytes", session_max_bytes, 1024, INT64_C(1) << 40, "1073741824", "memory of all sessions, or of their copies beside Redis; at most a quarter where it is not set"),
    TEXT("log.format", log_format, "text", "text|json", "form of log lines (also --log)"),
    TEXT("log.level", log_level, "info", "debug|info|warn|error", "least level that is logged"),
    {NULL, SETTING_INT, 0, 0, 0, NULL, NULL, NULL},
};
/* clang-format on */
_Static_assert(sizeof settings_table / sizeof *settings_table <= 64, "a bit of settings.given for each");

static void *field(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

/* Is word one of "a|b|c"? */
static bool is_choice(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (!strncmp(at, word, n) && (at[n] == '|' || !at[n]))
            return n > 0;
    return false;
}

static void set_text(struct settings *settings, const struct setting *setting, const char *value, struct place place,
                     struct problems *problems)
{
    char **text = field(settings, setting);
    if (setting->choices && !is_choice(setting->choices, value)) {
        problem_error(problems, place, "expected one of %s, found \"%.60s\"", setting->choices, value);
        return;
    }
    char *copy = strdup(value);
    if (copy) {
        free(*text);
        *text = copy;
    }
}

static void set_int(struct settings *settings, const struct setting *setting, int64_t value, struct place place,
                    struct problems *problems)
{
    if (value < setting->min || value > setting->max) {
        problem_error(problems, place, "expected a whole number from %lld to %lld, found %lld", (long long)setting->min,
                      (long long)setting->max, (long long)value);
        return;
    }
    *(int64_t *)field(settings, setting) = value;
    settings->given |= UINT64_C(1) << (setting - settings_table);
}

static void set(struct settings *settings, const struct setting *setting, const char *value, struct place place,
                struct problems *problems)
{
    char *end;
    errno = 0;
    switch (setting->type) {
    case SETTING_INT: {
        long long number = strtoll(value, &end, 10);
        if (errno || end == value || *end || isspace((unsigned char)*value))
            problem_error(problems, place, "expected a whole number from %lld to %lld, found \"%.60s\"",
                          (long long)setting->min, (long long)setting->max, value);
        else
            set_int(settings, setting, number, place, problems);
        break;
    }
    case SETTING_BOOL:
        if (is_choice("true|1", value) || is_choice("false|0", value))
            *(bool *)field(settings, setting) = *value == 't' || *value == '1';
        else
            problem_error(problems, place, "expected true or false, found \"%.60s\"", value);
        break;
    case SETTING_TEXT:
        set_text(settings, setting, value, place, problems);
        break;
    }
}

void settings_set(struct settings *settings, const struct setting *setting, const char *value, const char *where,
                  struct problems *problems)
{
    set(settings, setting, value, (struct place){where, NULL}, problems);
}

void settings_init(struct settings *settings)
{
    struct problems none = {0};
    *settings = (struct settings){0};
    for (const struct setting *row = settings_table; row->key; row++)
        set(settings, row, row->fallback, (struct place){"default", row->key}, &none);
    settings->given = 0;
    problems_close(&none);
}

/* The row of a field. */
static const struct setting *row_of(const struct settings *settings, const int64_t *number)
{
    const struct setting *row = settings_table;
    while ((const char *)settings + row->offset != (const char *)number)
        row++;
    return row;
}

bool settings_given(const struct settings *settings, const int64_t *number)
{
    return settings->given >> (row_of(settings, number) - settings_table) & 1;
}

void settings_lower(struct settings *settings, int64_t *number, int64_t most)
{
    int64_t least = row_of(settings, number)->min;
    if (!settings_given(settings, number) && most < *number)
        *number = most < least ? least : most;
}

/* "limits.max_rows" with prefix and separator and case: CELLSERVE_LIMITS_MAX_ROWS, --limits-max-rows. */
static void spell(const char *key, const char *prefix, char separator, bool upper, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s", prefix);
    for (; *key && n + 1 < size; key++, n++)
        out[n] = *key == '.' || *key == '_' ? separator : (char)(upper ? toupper((unsigned char)*key) : *key);
    out[n] = 0;
}

void settings_plain_host(const char *host, char *out, size_t size)
{
    size_t n = strlen(host);
    bool bracketed = n > 2 && host[0] == '[' && host[n - 1] == ']';
    snprintf(out, size, "%.*s", (int)(bracketed ? n - 2 : n), host + bracketed);
}

void settings_variable(const struct setting *setting, char *out, size_t size)
{
    spell(setting->key, "CELLSERVE_", '_', true, out, size);
}

const struct setting *settings_flag(const char *flag)
{
    char name[64];
    if (!strcmp(flag, "--log"))
        flag = "--log-format";
    for (const struct setting *row = settings_table; row->key; row++) {
        spell(row->key, "--", '-', false, name, sizeof name);
        if (!strcmp(name, flag))
            return row;
    }
    return NULL;
}

/* ---- the file ---- */

static const char *const section_names[] = {"models", "batching", "limits", "sessions", "log", NULL};
static const char *const model_keys[] = {"name",    "path",      "layer",           "seed",  "input_size",
                                         "default", "precision", "allow_nonfinite", "watch", NULL};

/* Say that a key is not known, and which known one is near: those of a section ("limits.") or of the top level. */
static void unknown_key(const char *file, const char *section, const char *key, struct problems *problems)
{
    const char *names[64];
    size_t n = 0, prefix = strlen(section);
    for (const struct setting *row = settings_table; row->key && n < 50; row++)
        if (!strncmp(row->key, section, prefix) && !strchr(row->key + prefix, '.'))
            names[n++] = row->key + prefix;
    if (!prefix)
        for (size_t i = 0; section_names[i]; i++)
            names[n++] = section_names[i];
    names[n] = NULL;
    char path[160], hint[100];
    snprintf(path, sizeof path, "/%.*s%s%.64s", prefix ? (int)prefix - 1 : 0, section, prefix ? "/" : "", key);
    if (!prefix && (!strcmp(key, "auth") || !strcmp(key, "tls")))
        problem_error(problems, (struct place){file, path}, "\"%s\" is not available yet; remove it", key);
    else
        problem_error(problems, (struct place){file, path}, "unknown key%s",
                      nearest_hint(key, names, hint, sizeof hint));
}

/* A text of JSON; NULL for other values, and for one with NUL in it, which would end early. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static void set_from_json(struct settings *settings, const struct setting *setting, const json_t *value,
                          struct place place, struct problems *problems)
{
    if (setting->type == SETTING_INT && json_is_integer(value))
        set_int(settings, setting, json_integer_value(value), place, problems);
    else if (setting->type == SETTING_BOOL && json_is_boolean(value))
        *(bool *)field(settings, setting) = json_is_true(value);
    else if (setting->type == SETTING_TEXT && text_of(value))
        set_text(settings, setting, text_of(value), place, problems);
    else
        problem_error(problems, place, "expected %s, found %s",
                      setting->type == SETTING_INT    ? "a whole number"
                      : setting->type == SETTING_BOOL ? "true or false"
                                                      : "a text",
                      json_type_name(value));
}

static void read_section(struct settings *settings, const char *section, json_t *object, struct problems *problems)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        char name[128], path[128];
        snprintf(name, sizeof name, "%s%.64s", section, key);
        snprintf(path, sizeof path, "/%.*s%s%.64s", *section ? (int)strlen(section) - 1 : 0, section,
                 *section ? "/" : "", key);
        const struct setting *row = settings_table;
        while (row->key && strcmp(row->key, name))
            row++;
        bool is_section = false;
        for (size_t i = 0; !*section && section_names[i]; i++)
            is_section |= !strcmp(section_names[i], key);
        if (row->key)
            set_from_json(settings, row, value, (struct place){settings->file, path}, problems);
        else if (!is_section)
            unknown_key(settings->file, section, key, problems);
    }
}

/* Names go into URLs and metric labels. */
static bool is_model_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 100 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* path relative to the folder of the configuration file. */
static char *resolve(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (*path == '/' || !slash)
        return strdup(path);
    size_t folder = (size_t)(slash - file) + 1, size = folder + strlen(path) + 1;
    char *full = malloc(size);
    if (full)
        snprintf(full, size, "%.*s%s", (int)folder, file, path);
    return full;
}

static void read_model_value(struct settings *settings, struct model_entry *entry, const char *key, json_t *value,
                             struct place place, struct problems *problems)
{
    const char *text = text_of(value);
    if (!strcmp(key, "name")) {
        if (text && is_model_name(text))
            entry->name = strdup(text);
        else
            problem_error(problems, place, "expected 1 to 100 letters, digits, '.', '_' or '-'");
    } else if (!strcmp(key, "path")) {
        if (text && *text)
            entry->path = resolve(settings->file, text);
        else
            problem_error(problems, place, "expected a path, found %s", text ? "an empty text" : json_type_name(value));
    } else if (!strcmp(key, "layer")) {
        if (json_is_object(value))
            entry->layer = json_incref(value);
        else
            problem_error(problems, place, "expected a layer configuration, found %s", json_type_name(value));
    } else if (!strcmp(key, "seed")) {
        if (json_is_integer(value) && json_integer_value(value) >= 0)
            entry->seed = (uint64_t)json_integer_value(value);
        else
            problem_error(problems, place, "expected a whole number of at least 0");
    } else if (!strcmp(key, "input_size")) {
        if (json_is_integer(value) && json_integer_value(value) > 0)
            entry->input_size = (size_t)json_integer_value(value);
        else
            problem_error(problems, place, "expected a whole number of at least 1");
    } else if (!strcmp(key, "precision")) {
        if (!text || !packed_format_find(text, &entry->precision))
            problem_error(problems, place, "expected \"float32\", \"bf16\" or \"int8\", found %s%.40s",
                          text ? "" : json_type_name(value), text ? text : "");
    } else if (!json_is_boolean(value)) {
        problem_error(problems, place, "expected true or false, found %s", json_type_name(value));
    } else if (!strcmp(key, "default")) {
        entry->is_default = json_is_true(value);
    } else if (!strcmp(key, "allow_nonfinite")) {
        entry->allow_nonfinite = json_is_true(value);
    } else { /* watch */
        entry->watch = json_is_true(value);
    }
}

static void read_model(struct settings *settings, size_t i, json_t *object, struct problems *problems)
{
    struct model_entry *entry = &settings->models[settings->n_models];
    *entry = (struct model_entry){0};
    char where[96];
    snprintf(where, sizeof where, "/models/%zu", i);
    if (!json_is_object(object)) {
        problem_error(problems, (struct place){settings->file, where}, "expected an object, found %s",
                      json_type_name(object));
        return;
    }
    settings->n_models++;
    entry->where = strdup(where);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        char path[192];
        snprintf(path, sizeof path, "%s/%.64s", where, key);
        bool known = false;
        for (size_t k = 0; model_keys[k]; k++)
            known |= !strcmp(model_keys[k], key);
        char hint[100];
        if (known)
            read_model_value(settings, entry, key, value, (struct place){settings->file, path}, problems);
        else
            problem_error(problems, (struct place){settings->file, path}, "unknown key%s",
                          nearest_hint(key, model_keys, hint, sizeof hint));
    }
    if (!json_object_get(object, "name"))
        problem_error(problems, (struct place){settings->file, where}, "a model needs a \"name\"");
    if (!json_object_get(object, "path") == !json_object_get(object, "layer"))
        problem_error(problems, (struct place){settings->file, where},
                      "a model needs either a \"path\" or an inline \"layer\"");
}

static void read_models(struct settings *settings, json_t *models, struct problems *problems)
{
    struct place place = {settings->file, "/models"};
    if (!models)
        return;
    if (!json_is_array(models)) {
        problem_error(problems, place, "expected a list, found %s", json_type_name(models));
        return;
    }
    settings->models = calloc(json_array_size(models) + 1, sizeof *settings->models);
    if (!settings->models) {
        problem_error(problems, place, "out of memory");
        return;
    }
    for (size_t i = 0; i < json_array_size(models); i++)
        read_model(settings, i, json_array_get(models, i), problems);
}

void settings_read_file(struct settings *settings, const char *path, struct problems *problems)
{
    settings->file = strdup(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        problem_unopened(problems, (struct place){path, NULL}, errno);
        return;
    }
    json_t *root = json_file_read(fd, (struct place){path, NULL}, problems);
    close(fd);
    if (!root)
        return;
    if (!json_is_object(root)) {
        problem_error(problems, (struct place){path, NULL}, "expected an object, found %s", json_type_name(root));
    } else {
        read_section(settings, "", root, problems);
        for (size_t i = 1; section_names[i]; i++) {
            json_t *section = json_object_get(root, section_names[i]);
            char prefix[16], where[16];
            snprintf(prefix, sizeof prefix, "%s.", section_names[i]);
            snprintf(where, sizeof where, "/%s", section_names[i]);
            if (json_is_object(section))
                read_section(settings, prefix, section, problems);
            else if (section)
                problem_error(problems, (struct place){path, where}, "expected an object, found %s",
                              json_type_name(section));
        }
        read_models(settings, json_object_get(root, "models"), problems);
    }
    json_decref(root);
}

void settings_check(struct settings *settings, struct problems *problems)
{
    struct place place = {settings->file, "/models"};
    size_t defaults = 0;
    for (size_t i = 0; i < settings->n_models; i++) {
        const struct model_entry *a = &settings->models[i];
        defaults += a->is_default;
        for (size_t k = 0; k < i; k++)
            if (a->name && settings->models[k].name && !strcmp(a->name, settings->models[k].name))
                problem_error(problems, (struct place){settings->file, a->where}, "a second model named \"%s\"",
                              a->name);
    }
    if (!settings->n_models && !problems->all_errors)
        problem_error(problems, place, "no model to serve; give a MODEL, or list one under \"models\"");
    if (defaults > 1)
        problem_error(problems, place, "%zu models are marked as the default one", defaults);
    struct redis_url url;
    if (strcmp(settings->session_store, "memory") && !redis_url_read(settings->session_store, &url))
        problem_error(
            problems, (struct place){settings->file, "/sessions/store"},
            "expected \"memory\", \"redis://[:password@]host[:port][/db]\" or \"redis+unix:///path/of/socket\"");
}

void settings_name_model(struct settings *settings, const char *name, const char *where, struct problems *problems)
{
    struct model_entry *entry = &settings->models[settings->n_models - 1];
    free(entry->name);
    entry->name = is_model_name(name) ? strdup(name) : NULL;
    if (!entry->name)
        problem_error(problems, (struct place){where, NULL},
                      "expected a name of 1 to 100 letters, digits, '.', '_' and '-', found \"%.100s\"", name);
}

bool settings_add_model(struct settings *settings, const char *path)
{
    struct model_entry *grown = realloc(settings->models, (settings->n_models + 1) * sizeof *grown);
    if (!grown)
        return false;
    settings->models = grown;
    grown[settings->n_models] =
        (struct model_entry){.name = strdup("default"), .path = strdup(path), .where = strdup(""), .is_default = true};
    settings->n_models++;
    return grown[settings->n_models - 1].name && grown[settings->n_models - 1].path;
}

void settings_show(const struct settings *settings, const struct setting *setting, char *out, size_t size)
{
    const char *at = (const char *)settings + setting->offset;
    switch (setting->type) {
    case SETTING_INT:
        snprintf(out, size, "%lld", (long long)*(const int64_t *)(const void *)at);
        break;
    case SETTING_BOOL:
        snprintf(out, size, "%s", *(const bool *)at ? "true" : "false");
        break;
    case SETTING_TEXT:
        snprintf(out, size, "%s", *(char *const *)(const void *)at);
        break;
    }
}

void settings_help(FILE *out)
{
    char flag[64];
    for (const struct setting *row = settings_table; row->key; row++) {
        spell(row->key, "--", '-', false, flag, sizeof flag);
        fprintf(out, "  %-30s %s (%s)\n", flag, row->help, row->fallback);
    }
}

void settings_close(struct settings *settings)
{
    for (const struct setting *row = settings_table; row->key; row++)
        if (row->type == SETTING_TEXT)
            free(*(char **)field(settings, row));
    for (size_t i = 0; i < settings->n_models; i++) {
        struct model_entry *entry = &settings->models[i];
        free(entry->name);
        free(entry->path);
        free(entry->where);
        json_decref(entry->layer);
    }
    free(settings->models);
    free(settings->file);
    *settings = (struct settings){0};
}
