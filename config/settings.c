/* Sets the values of settings: first defaults, then the file, the environment, and flags. A later source overrides an
   earlier one. */
#include "settings.h"

#include "json_type.h"
#include "redis_url.h"
#include "settings_access.h"
#include "settings_models.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *field(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

/* Whether word is one of "a|b|c". */
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

bool setting_is_text(const struct setting *setting)
{
    return setting->type == SETTING_TEXT || setting->type == SETTING_PATH || setting->type == SETTING_LIST;
}

char *settings_path_beside(const char *file, const char *path)
{
    const char *slash = file ? strrchr(file, '/') : NULL;
    if (*path == '/' || !slash)
        return strdup(path);
    size_t folder = (size_t)(slash - file) + 1, size = folder + strlen(path) + 1;
    char *full = malloc(size);
    if (full)
        snprintf(full, size, "%.*s%s", (int)folder, file, path);
    return full;
}

const char *settings_list_next(const char **at, size_t *bytes)
{
    *at += strspn(*at, ", ");
    const char *item = *at;
    *bytes = strcspn(item, ", ");
    *at += *bytes;
    return *bytes ? item : NULL;
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

static void set_from_text(struct settings *settings, const struct setting *setting, const char *value,
                          struct place place, struct problems *problems)
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
    case SETTING_PATH:
    case SETTING_LIST:
        set_text(settings, setting, value, place, problems);
        break;
    }
}

void settings_set(struct settings *settings, const struct setting *setting, const char *value, const char *where,
                  struct problems *problems)
{
    set_from_text(settings, setting, value, (struct place){where, NULL}, problems);
}

const char *settings_text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

const char *settings_no_text(const json_t *value)
{
    return json_is_string(value) ? "a text with a NUL character in it" : json_type_name(value);
}

/* Join the texts of a JSON list into the one text that is stored. */
static void set_list(struct settings *settings, const struct setting *setting, const json_t *list, struct place place,
                     struct problems *problems)
{
    char joined[4096] = "";
    for (size_t i = 0, used = 0; i < json_array_size(list); i++) {
        const char *item = settings_text_of(json_array_get(list, i));
        if (!item || !*item || strpbrk(item, ", ")) {
            problem_error(problems, place, "expected a list of texts without commas and blanks");
            return;
        }
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%s", i ? "," : "", item);
        if (used >= sizeof joined) {
            problem_error(problems, place, "the list is longer than %zu characters", sizeof joined - 1);
            return;
        }
    }
    set_text(settings, setting, joined, place, problems);
}

static void set_path(struct settings *settings, const struct setting *setting, const char *path, struct place place,
                     struct problems *problems)
{
    char *full = *path ? settings_path_beside(settings->file, path) : strdup("");
    if (full)
        set_text(settings, setting, full, place, problems);
    free(full);
}

static const char *wanted_type(const struct setting *setting)
{
    static const char *const words[] = {[SETTING_INT] = "a whole number",
                                        [SETTING_BOOL] = "true or false",
                                        [SETTING_TEXT] = "a text",
                                        [SETTING_PATH] = "a path",
                                        [SETTING_LIST] = "a list of texts"};
    return words[setting->type];
}

void settings_set_json(struct settings *settings, const struct setting *setting, const json_t *value,
                       struct place place, struct problems *problems)
{
    if (setting->type == SETTING_INT && json_is_integer(value))
        set_int(settings, setting, json_integer_value(value), place, problems);
    else if (setting->type == SETTING_BOOL && json_is_boolean(value))
        *(bool *)field(settings, setting) = json_is_true(value);
    else if (setting->type == SETTING_TEXT && settings_text_of(value))
        set_text(settings, setting, settings_text_of(value), place, problems);
    else if (setting->type == SETTING_PATH && (settings_text_of(value) || json_is_null(value)))
        set_path(settings, setting, json_is_null(value) ? "" : settings_text_of(value), place, problems);
    else if (setting->type == SETTING_LIST && json_is_array(value))
        set_list(settings, setting, value, place, problems);
    else
        problem_error(problems, place, "expected %s, found %s", wanted_type(setting),
                      setting->type == SETTING_TEXT || setting->type == SETTING_PATH ? settings_no_text(value)
                                                                                     : json_type_name(value));
}

void settings_init(struct settings *settings)
{
    struct problems none = {0};
    *settings = (struct settings){0};
    for (const struct setting *row = settings_table; row->key; row++)
        set_from_text(settings, row, row->fallback, (struct place){"default", row->key}, &none);
    settings->given = 0;
    problems_close(&none);
}

/* The row of a field in the table. */
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

void settings_plain_host(const char *host, char *out, size_t size)
{
    size_t n = strlen(host);
    bool bracketed = n > 2 && host[0] == '[' && host[n - 1] == ']';
    snprintf(out, size, "%.*s", (int)(bracketed ? n - 2 : n), host + bracketed);
}

void settings_check(struct settings *settings, struct problems *problems)
{
    settings_check_models(settings, problems);
    settings_check_access(settings, problems);
    struct redis_url url;
    if (strcmp(settings->session_store, "memory") && !redis_url_read(settings->session_store, &url))
        problem_error(problems, (struct place){settings->file, "/sessions/store"},
                      "expected \"memory\", \"redis://[user:password@]host[:port][/db]\" (rediss:// over TLS), "
                      "\"redis+sentinel://host[:port],host/name\" or \"redis+unix:///path/of/socket\"");
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
    case SETTING_PATH:
    case SETTING_LIST:
        snprintf(out, size, "%s", *(char *const *)(const void *)at);
        break;
    }
}

void settings_close(struct settings *settings)
{
    for (const struct setting *row = settings_table; row->key; row++)
        if (setting_is_text(row))
            free(*(char **)field(settings, row));
    settings_close_models(settings);
    free(settings->file);
    *settings = (struct settings){0};
}
