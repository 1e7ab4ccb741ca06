/* Folders whose names are numbers, TensorFlow Serving's layout. */
#include "versions.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *version_digits(const char *name)
{
    size_t zeros = strspn(name, "0");
    return name + (zeros && !name[zeros] ? zeros - 1 : zeros);
}

bool model_is_version(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name) && strlen(version_digits(name)) < MODEL_VERSION_BYTES;
}

int model_version_compare(const char *a, const char *b)
{
    a = version_digits(a);
    b = version_digits(b);
    return strlen(a) != strlen(b) ? (strlen(a) > strlen(b) ? 1 : -1) : strcmp(a, b);
}

void version_consider(struct version_search *w, const char *folder, const char *name)
{
    char path[MODEL_PATH_BYTES];
    struct stat info;
    if (!model_is_version(name) || snprintf(path, sizeof path, "%s/%s", folder, name) >= MODEL_PATH_BYTES ||
        (!stat(path, &info) && !S_ISDIR(info.st_mode)) || (*w->only && model_version_compare(name, w->only)) ||
        (*w->below && model_version_compare(name, w->below) >= 0))
        return;
    int order = *w->name ? model_version_compare(name, w->name) : 1;
    if (order > 0)
        snprintf(w->name, sizeof w->name, "%s", name);
    w->twice = order ? w->twice && order < 0 : true;
}

static bool find_version(const char *path, struct version_search *w)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        version_consider(w, path, entry->d_name);
    if (dir)
        closedir(dir);
    return *w->name;
}

bool model_version_below(const char *path, const char *below, char version[MODEL_VERSION_BYTES])
{
    struct version_search w = {.only = "", .below = below};
    if (!find_version(path, &w))
        return false;
    snprintf(version, MODEL_VERSION_BYTES, "%.23s", version_digits(w.name));
    return true;
}

bool model_version_exists(const char *path, const char *version)
{
    struct version_search w = {.only = version, .below = ""};
    return find_version(path, &w);
}
