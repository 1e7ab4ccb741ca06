/* Finding a model's files. What is found is opened and checked by whoever reads it: files change at any time. */
#include "model_files.h"

#include "model_file.h"
#include "unopened.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const off_t max_file_bytes = (off_t)1 << 34;

static bool join(char *out, const char *folder, const char *name)
{
    return snprintf(out, MODEL_PATH_BYTES, "%s/%s", folder, name) < MODEL_PATH_BYTES;
}

static bool is_model_file(const char *name)
{
    static const char *const suffixes[] = {".safetensors", ".h5", ".hdf5", ".keras", ".npz", ".pt", ".pth"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t m = strlen(suffixes[i]);
        if (n > m && *name != '.' && !strcmp(name + n - m, suffixes[i]))
            return true;
    }
    return false;
}

/* ---- versions ---- */

/* A number without its leading zeros; "0" for zero. */
static const char *digits(const char *name)
{
    size_t zeros = strspn(name, "0");
    return name + (zeros && !name[zeros] ? zeros - 1 : zeros);
}

bool model_is_version(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name) && strlen(digits(name)) < MODEL_VERSION_BYTES;
}

int model_version_compare(const char *a, const char *b)
{
    a = digits(a);
    b = digits(b);
    return strlen(a) != strlen(b) ? (strlen(a) > strlen(b) ? 1 : -1) : strcmp(a, b);
}

/* Which version folder is looked for: the highest; of one number; or below a number. */
struct wanted {
    const char *only, *below; /* "" for any */
    char name[NAME_MAX + 1];  /* of the folder that was found, or "" */
    bool twice;               /* two folders have its number */
};

static void consider(struct wanted *w, const char *name)
{
    if (!model_is_version(name) || (*w->only && model_version_compare(name, w->only)) ||
        (*w->below && model_version_compare(name, w->below) >= 0))
        return;
    int order = *w->name ? model_version_compare(name, w->name) : 1;
    if (order > 0)
        snprintf(w->name, sizeof w->name, "%s", name);
    w->twice = order ? w->twice && order < 0 : true;
}

static bool find_version(const char *path, struct wanted *w)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        consider(w, entry->d_name);
    if (dir)
        closedir(dir);
    return *w->name;
}

bool model_version_below(const char *path, const char *below, char version[MODEL_VERSION_BYTES])
{
    struct wanted w = {.only = "", .below = below};
    if (!find_version(path, &w))
        return false;
    snprintf(version, MODEL_VERSION_BYTES, "%.23s", digits(w.name));
    return true;
}

bool model_version_exists(const char *path, const char *version)
{
    struct wanted w = {.only = version, .below = ""};
    return find_version(path, &w);
}

/* ---- files ---- */

/* A path that is a file: of weights and configuration in one, or a configuration alone. */
static bool find_file(const char *path, struct model_files *files, struct problems *problems)
{
    int fd = model_file_open(path, max_file_bytes, problems);
    if (fd < 0)
        return false;
    enum model_content content = model_file_content(fd);
    close(fd);
    if (content == CONTENT_SAFETENSORS)
        problem_error(problems, (struct place){path, NULL},
                      "safetensors hold weights alone; put model.json beside it, and name the folder");
    return content != CONTENT_SAFETENSORS &&
           snprintf(content == CONTENT_ARCHIVE ? files->weights_path : files->json_path, MODEL_PATH_BYTES, "%s", path) <
               MODEL_PATH_BYTES;
}

/* Look through a folder for weights and for version folders. */
static bool scan_folder(const char *folder, struct model_files *files, struct wanted *versions,
                        struct problems *problems)
{
    struct place place = {folder, NULL};
    DIR *dir = opendir(folder);
    if (!dir) {
        problem_unopened(problems, place, errno);
        return false;
    }
    bool good = true;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        consider(versions, name);
        if (!is_model_file(name))
            continue;
        if (files->weights_path[0]) {
            problem_error(problems, place, "more than one model or weights file (%.100s and another); keep one", name);
            good = false;
        }
        good &= join(files->weights_path, folder, name);
    }
    closedir(dir);
    return good;
}

/* What stands in a folder; numbered folders count where version is not NULL. */
static bool find_in_folder(const char *path, const char *version, struct model_files *files, struct problems *problems);

static bool find_at(const char *path, const char *version, struct model_files *files, struct problems *problems)
{
    struct stat info;
    if (stat(path, &info)) {
        problem_unopened(problems, (struct place){path, NULL}, errno);
        return false;
    }
    return S_ISDIR(info.st_mode) ? find_in_folder(path, version, files, problems) : find_file(path, files, problems);
}

static bool find_in_folder(const char *path, const char *version, struct model_files *files, struct problems *problems)
{
    struct stat info;
    struct wanted versions = {.only = version ? version : "", .below = ""};
    char inner[MODEL_PATH_BYTES];
    if (!scan_folder(path, files, &versions, problems) || !join(files->json_path, path, "model.json"))
        return false;
    if (!stat(files->json_path, &info))
        return true;
    files->json_path[0] = 0;
    if (files->weights_path[0]) {
        memcpy(inner, files->weights_path, sizeof inner);
        files->weights_path[0] = 0;
        return find_file(inner, files, problems);
    }
    if (version && versions.twice) {
        problem_reason(problems, "two folders of one version");
        problem_error(problems, (struct place){path, NULL}, "two folders are version %s; keep one",
                      digits(versions.name));
        return false;
    }
    if (version && *versions.name) {
        snprintf(files->version, sizeof files->version, "%.23s", digits(versions.name));
        return join(inner, path, versions.name) && find_at(inner, NULL, files, problems);
    }
    problem_reason(problems, "no model in this folder");
    problem_error(problems, (struct place){path, NULL},
                  "no model.json and no model file in this folder, and no numbered version folder");
    return false;
}

bool model_files_find(const char *path, const char *version, struct model_files *files, struct problems *problems)
{
    *files = (struct model_files){.version = ""};
    return find_at(path, version, files, problems);
}

/* ---- stamps ---- */

static void stamp_file(const char *path, char *out, size_t size)
{
    struct stat info;
    size_t n = strlen(out);
    if (*path && !stat(path, &info))
        snprintf(out + n, size - n, " %llu:%lld:%lld.%09ld", (unsigned long long)info.st_ino, (long long)info.st_size,
                 (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

void model_files_stamp(const char *path, char out[MODEL_STAMP_BYTES])
{
    struct problems problems = {.n_errors = 0};
    struct model_files *files = calloc(1, sizeof *files);
    bool found = files && model_files_find(path, "", files, &problems);
    snprintf(out, MODEL_STAMP_BYTES, "%s", files && files->version[0] ? files->version : found ? "1" : "unknown");
    if (found) {
        stamp_file(files->json_path, out, MODEL_STAMP_BYTES);
        stamp_file(files->weights_path, out, MODEL_STAMP_BYTES);
    } else {
        size_t n = strlen(out);
        snprintf(out + n, MODEL_STAMP_BYTES - n, " %.150s", problems.reason ? problems.reason : "unreadable");
    }
    free(files);
    problems_close(&problems);
}
