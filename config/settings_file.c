/* The configuration file: its sections, and the keys that no setting has. */
#include "config/files/json_file.h"
#include "json_type.h"
#include "settings.h"
#include "settings_models.h"
#include "unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const section_names[] = {"models", "batching", "limits", "sessions", "log", NULL};

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
        if (row->key && !*section && strchr(key, '.'))
            problem_error(problems, (struct place){settings->file, path},
                          "a setting of a section stands in the section's object: \"%.*s\": {\"%s\": …}",
                          (int)strcspn(key, "."), key, strchr(key, '.') + 1);
        else if (row->key)
            settings_set_json(settings, row, value, (struct place){settings->file, path}, problems);
        else if (!is_section)
            unknown_key(settings->file, section, key, problems);
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
        settings_read_models(settings, json_object_get(root, "models"), problems);
    }
    json_decref(root);
}
