/* Reads the models that a configuration lists, and adds the models of the command line. */
#include "settings_models.h"

#include "json_type.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MODEL_NAME_BYTES = 101 };

static const char *const model_keys[] = {"name",    "path",      "layer",           "seed",  "input_size",
                                         "default", "precision", "allow_nonfinite", "watch", "transform",
                                         "window",  "constants", "states",          NULL};

/* Names are used in URLs and in labels of metrics. */
static bool is_model_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 100 && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* {"sr": 16000} and {"state": "stateN"}: by the names of inputs. */
static void read_inputs(json_t **out, bool constants, json_t *value, struct place place, struct problems *problems)
{
    const char *key;
    json_t *of;
    if (!json_is_object(value)) {
        problem_error(problems, place, "expected an object, found %s", json_type_name(value));
        return;
    }
    json_object_foreach(value, key, of) {
        bool good = constants ? json_is_number(of) || json_is_boolean(of) || json_is_array(of) : json_is_string(of);
        if (!good)
            problem_error(problems, place, "\"%.60s\": expected %s, found %s", key,
                          constants ? "a number or a list of numbers" : "the name of an output", json_type_name(of));
    }
    *out = json_incref(value);
}

static void read_model_value(struct settings *settings, struct model_entry *entry, const char *key, json_t *value,
                             struct place place, struct problems *problems)
{
    const char *text = settings_text_of(value);
    if (!strcmp(key, "name")) {
        if (text && is_model_name(text))
            entry->name = strdup(text);
        else
            problem_error(problems, place, "expected 1 to 100 letters, digits, '.', '_' or '-'");
    } else if (!strcmp(key, "path")) {
        if (text && *text)
            entry->path = settings_path_beside(settings->file, text);
        else
            problem_error(problems, place, "expected a path, found %s",
                          text ? "an empty text" : settings_no_text(value));
    } else if (!strcmp(key, "layer")) {
        if (json_is_object(value))
            entry->layer = json_incref(value);
        else
            problem_error(problems, place, "expected a layer configuration, found %s", json_type_name(value));
    } else if (!strcmp(key, "transform")) {
        if (json_is_object(value))
            entry->transform = json_incref(value);
        else
            problem_error(problems, place, "expected an object, found %s", json_type_name(value));
    } else if (!strcmp(key, "constants") || !strcmp(key, "states")) {
        read_inputs(*key == 'c' ? &entry->constants : &entry->states, *key == 'c', value, place, problems);
    } else if (!strcmp(key, "window")) {
        if (json_is_boolean(value))
            entry->window = json_is_true(value) ? SIZE_MAX : 0;
        else if (json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= 65536)
            entry->window = (size_t)json_integer_value(value);
        else
            problem_error(problems, place, "expected true, or a whole number of timesteps from 1 to 65536");
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
                          text ? "" : settings_no_text(value), text ? text : "");
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

void settings_read_models(struct settings *settings, json_t *models, struct problems *problems)
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

void settings_check_models(const struct settings *settings, struct problems *problems)
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

/* The last part of a path, without the ending of a file; "default" if this part cannot be used in URLs. */
static void name_of_path(const char *path, char out[MODEL_NAME_BYTES])
{
    char whole[PATH_MAX];
    struct stat info;
    const char *known = realpath(path, whole) && (!strcmp(path, ".") || strstr(path, "..")) ? whole : path;
    size_t end = strlen(known);
    while (end && known[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin && known[begin - 1] != '/')
        begin--;
    for (size_t dot = end; dot > begin + 1; dot--)
        if (known[dot - 1] == '.' && (stat(path, &info) || !S_ISDIR(info.st_mode))) {
            end = dot - 1;
            break;
        }
    snprintf(out, MODEL_NAME_BYTES, "%.*s", (int)(end - begin), known + begin);
    if (end - begin >= MODEL_NAME_BYTES || !is_model_name(out))
        snprintf(out, MODEL_NAME_BYTES, "default");
}

bool settings_add_model(struct settings *settings, const char *path)
{
    char name[MODEL_NAME_BYTES];
    struct model_entry *grown = realloc(settings->models, (settings->n_models + 1) * sizeof *grown);
    if (!grown)
        return false;
    settings->models = grown;
    name_of_path(path, name);
    grown[settings->n_models] =
        (struct model_entry){.name = strdup(name), .path = strdup(path), .where = strdup(""), .is_default = true};
    settings->n_models++;
    return grown[settings->n_models - 1].name && grown[settings->n_models - 1].path;
}

void settings_close_models(struct settings *settings)
{
    for (size_t i = 0; i < settings->n_models; i++) {
        struct model_entry *entry = &settings->models[i];
        free(entry->name);
        free(entry->path);
        free(entry->where);
        json_decref(entry->layer);
        json_decref(entry->transform);
        json_decref(entry->constants);
        json_decref(entry->states);
    }
    free(settings->models);
}
