/* Reads the configuration file: its sections and keys. Reports unknown keys. */
#include "config/files/json_file.h"
#include "json_type.h"
#include "open_file.h"
#include "settings.h"
#include "settings_models.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether a key of a section is itself a section, that is, a part of a longer name of a setting. section is "" for the
   top level, otherwise it ends with a dot. */
static bool is_section(const char *name)
{
    size_t n = strlen(name);
    for (const struct setting *row = settings_table; row->key; row++)
        if (!strncmp(row->key, name, n) && row->key[n] == '.')
            return true;
    return false;
}

/* The JSON pointer of a setting's name: "/auth/rate" for "auth.rate". */
static void point(const char *name, char *out, size_t size)
{
    snprintf(out, size, "/%s", name);
    for (char *dot = out; (dot = strchr(dot, '.'));)
        *dot = '/';
}

/* Report an unknown key, and suggest a similar key of the section ("limits.") or of the top level. */
static void unknown_key(const char *file, const char *section, const char *key, struct problems *problems)
{
    enum { MOST = 64, NAME = 32 };
    char known[MOST][NAME], path[160], hint[100];
    const char *names[MOST + 2];
    size_t n = 0, prefix = strlen(section);
    for (const struct setting *row = settings_table; row->key && n < MOST; row++)
        if (!strncmp(row->key, section, prefix)) {
            snprintf(known[n], NAME, "%.*s", (int)strcspn(row->key + prefix, "."), row->key + prefix);
            names[n] = known[n];
            n++;
        }
    if (!prefix)
        names[n++] = "models";
    names[n] = NULL;
    int parent = snprintf(path, sizeof path, "/%s", section);
    for (int i = 1; i < parent; i++)
        path[i] = path[i] == '.' ? '/' : path[i];
    snprintf(path + parent, sizeof path - (size_t)parent, "%.64s", key);
    problem_error(problems, (struct place){file, path}, "unknown key%s", nearest_hint(key, names, hint, sizeof hint));
}

static void read_section(struct settings *settings, const char *section, json_t *object, struct problems *problems)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        char name[128], path[128];
        snprintf(name, sizeof name, "%s%.64s", section, key);
        const struct setting *row = settings_table;
        while (row->key && strcmp(row->key, name))
            row++;
        if (row->key && strchr(key, '.')) {
            snprintf(path, sizeof path, "/%.100s", name);
            problem_error(problems, (struct place){settings->file, path},
                          "a setting of a section stands in the section's object: \"%.*s\": {\"%s\": …}",
                          (int)strcspn(key, "."), key, strchr(key, '.') + 1);
            continue;
        }
        if (strchr(key, '.') || (!row->key && !is_section(name))) {
            if (*section || strcmp(key, "models"))
                unknown_key(settings->file, section, key, problems);
            continue;
        }
        point(name, path, sizeof path);
        if (row->key) {
            settings_set_json(settings, row, value, (struct place){settings->file, path}, problems);
        } else if (json_is_object(value)) {
            snprintf(name + strlen(name), sizeof name - strlen(name), ".");
            read_section(settings, name, value, problems);
        } else {
            problem_error(problems, (struct place){settings->file, path}, "expected an object, found %s",
                          json_type_name(value));
        }
    }
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
        settings_read_models(settings, json_object_get(root, "models"), problems);
    }
    json_decref(root);
}
