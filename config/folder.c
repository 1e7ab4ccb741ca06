/* Lists the models of a folder. */
#include "folder.h"

#include "companions.h"

#include "formats.h"
#include "model.h"
#include "model_parts.h"
#include "open_file.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcmp(name + n - m, ending);
}

bool folder_of_models(const char *path)
{
    return is_folder(path) && !model_parts_in_folder(path);
}

/* Whether a path leads to a model. If not, adds a warning that says why, or an error if the path cannot be read. */
static bool holds_model(const char *path, struct problems *problems)
{
    static const char *const of_weights[] = {".safetensors", ".npz", ".pt", ".pth", ".weights.h5"};
    struct place place = {path, NULL};
    if (is_folder(path)) {
        struct problems found = {.n_errors = 0};
        bool good = !access(path, R_OK | X_OK) && model_find(path, &found);
        if (access(path, R_OK | X_OK))
            problem_unopened(problems, place, errno);
        else if (!good)
            problem_warning(problems, (struct place){NULL, NULL}, "%s", found.n_errors ? found.errors[0] : path);
        problems_close(&found);
        return good;
    }
    for (size_t i = 0; i < sizeof of_weights / sizeof *of_weights; i++)
        if (ends_with(path, of_weights[i])) {
            problem_warning(problems, place,
                            "a file of weights alone is not a model; put it beside a model.json in a folder");
            return false;
        }
    int fd = open_regular(path, (off_t)1 << 34, problems);
    if (fd < 0)
        return false;
    const struct format *format = format_of(fd);
    char sentence[400] = "JSON without a model's architecture";
    bool good = (format->reader == READ_ARCHIVE && !format->weights) ||
                (format->reader == READ_JSON && model_parts_is_architecture(fd, path));
    if (format->reader == READ_NOTHING)
        format_sentence(format, fd, sentence, sizeof sentence);
    else if (format->reader != READ_JSON)
        snprintf(sentence, sizeof sentence, "weights alone");
    if (!good)
        problem_warning(problems, place, "this is no model, and is passed over (%s)", sentence);
    close(fd);
    return good;
}

static bool add_model(struct folder *folder, const char *name, const char *path)
{
    struct folder_model *grown = realloc(folder->models, (folder->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    folder->models = grown;
    const char *dot = is_folder(path) ? NULL : strrchr(name, '.');
    grown[folder->n] =
        (struct folder_model){.name = strndup(name, dot ? (size_t)(dot - name) : strlen(name)), .path = strdup(path)};
    folder->n++;
    return grown[folder->n - 1].name && grown[folder->n - 1].path;
}

static int by_name(const void *a, const void *b)
{
    const struct folder_model *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->path, right->path);
}

/* Add every entry of an open folder. Returns false if out of memory. */
static bool list_models(struct folder *folder, DIR *dir, const char *path, struct problems *problems)
{
    char full[PATH_MAX];
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (*entry->d_name == '.' || companion_is(path, entry->d_name))
            continue;
        if (snprintf(full, sizeof full, "%s/%s", path, entry->d_name) >= PATH_MAX)
            problem_warning(problems, (struct place){path, NULL}, "%.60s…: the path is too long", entry->d_name);
        else if (holds_model(full, problems) && !add_model(folder, entry->d_name, full))
            return false;
    }
    return true;
}

bool folder_read(struct folder *folder, const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    size_t before = problems->all_errors;
    *folder = (struct folder){.n = 0};
    DIR *dir = opendir(path);
    if (!dir) {
        problem_unopened(problems, place, errno);
        return false;
    }
    bool good = list_models(folder, dir, path, problems);
    closedir(dir);
    if (!good) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    if (!folder->n && problems->all_errors == before)
        problem_error(problems, place,
                      "no model in this folder: neither a model file, nor a folder with one, nor model.json, nor a "
                      "numbered version folder");
    if (folder->n)
        qsort(folder->models, folder->n, sizeof *folder->models, by_name);
    for (size_t i = 1; i < folder->n; i++)
        if (!strcmp(folder->models[i - 1].name, folder->models[i].name))
            problem_error(problems, place, "%s and %s would both be named \"%s\"; rename one",
                          folder->models[i - 1].path, folder->models[i].path, folder->models[i].name);
    return problems->all_errors == before;
}

void folder_close(struct folder *folder)
{
    for (size_t i = 0; i < folder->n; i++) {
        free(folder->models[i].name);
        free(folder->models[i].path);
    }
    free(folder->models);
    *folder = (struct folder){.n = 0};
}
