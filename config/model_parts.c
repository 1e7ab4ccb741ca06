/* Finds a model's files. The readers open and check the files again, because files may change at any time. */
#include "model_parts.h"

#include "companions.h"

#include "checkpoint.h"
#include "config/files/json_file.h"
#include "formats.h"
#include "open_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const off_t max_file_bytes = (off_t)1 << 34;

static bool join(char *out, const char *folder, const char *name)
{
    return snprintf(out, MODEL_PATH_BYTES, "%s/%s", folder, name) < MODEL_PATH_BYTES;
}

static bool ends_with(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n > m && !strcmp(name + n - m, ending);
}

bool model_parts_is_architecture(int fd, const char *path)
{
    struct problems ignored = {.n_errors = 0};
    json_t *json = json_file_read(fd, (struct place){path, NULL}, &ignored);
    const char *class_name = json_string_value(json_object_get(json, "class_name"));
    bool is = (class_name && strcmp(class_name, "Tokenizer") &&
               (json_object_get(json, "config") || json_object_get(json, "modules"))) ||
              json_object_get(json, "modelTopology");
    json_decref(json);
    problems_close(&ignored);
    return is;
}

/* ---- the contents of a folder ---- */

/* Files that may be parts of a model, and version folders. */
struct contents {
    char architecture[NAME_MAX + 1], weights[NAME_MAX + 1], second[NAME_MAX + 1];
    size_t architectures, n_weights, n_whole; /* whole: files of weights that also have a configuration */
    bool has_model_json, has_saved_model;
    struct version_search versions;
};

/* Files of weights may have any name. But containers that may hold other data count as weights only by their names. */
static bool is_weights(const struct format *format, const char *name)
{
    static const char *const endings[] = {".keras", ".safetensors", ".npz", ".pt", ".pth", ".h5", ".hdf5"};
    bool named = false;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        named |= ends_with(name, endings[i]);
    return named || (!format->vague && format->reader != READ_JSON && format->reader != READ_NOTHING);
}

/* Note a file of a folder. A file that cannot be opened is ignored, unless its name is that of a file of weights. */
static void consider_file(struct contents *contents, const char *folder, const char *name)
{
    char path[MODEL_PATH_BYTES];
    struct problems ignored = {.n_errors = 0};
    int fd = join(path, folder, name) ? open_regular(path, max_file_bytes, &ignored) : -1;
    const struct format *format = fd < 0 ? NULL : format_of(fd);
    bool weights = format ? is_weights(format, name) : ends_with(name, ".keras") || ends_with(name, ".h5");
    if (weights) {
        snprintf(contents->n_weights ? contents->second : contents->weights, sizeof contents->weights, "%s", name);
        contents->n_weights++;
        contents->n_whole += format && format->whole;
    } else if (format && format->reader == READ_JSON && ends_with(name, ".json") && !contents->has_model_json &&
               model_parts_is_architecture(fd, path)) {
        snprintf(contents->architecture, sizeof contents->architecture, "%s", name);
        contents->architectures++;
    }
    if (fd >= 0)
        close(fd);
    problems_close(&ignored);
}

static bool exists_in(const char *folder, const char *name)
{
    char path[MODEL_PATH_BYTES];
    struct stat info;
    return join(path, folder, name) && !stat(path, &info);
}

/* Returns false, with errno set, if the folder cannot be read. */
static bool scan_folder(const char *folder, struct contents *contents)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    contents->has_model_json = exists_in(folder, "model.json");
    contents->has_saved_model = exists_in(folder, "saved_model.pb");
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (*entry->d_name == '.')
            continue;
        version_consider(&contents->versions, folder, entry->d_name);
        if (!contents->has_saved_model && !companion_is(folder, entry->d_name))
            consider_file(contents, folder, entry->d_name);
    }
    closedir(dir);
    return true;
}

/* Whether the folder has one architecture beside one file of weights. */
static bool is_pair(const struct contents *contents)
{
    return contents->architectures == 1 && contents->n_weights == 1 && !contents->n_whole;
}

bool model_parts_in_folder(const char *path)
{
    struct contents *contents = calloc(1, sizeof *contents);
    struct stat info;
    bool found = false;
    if (contents && !stat(path, &info) && S_ISDIR(info.st_mode)) {
        contents->versions = (struct version_search){.only = "", .below = ""};
        found = scan_folder(path, contents) && (*contents->versions.name || contents->has_saved_model ||
                                                contents->has_model_json || is_pair(contents));
    }
    free(contents);
    return found;
}

/* ---- choosing ---- */

/* The parts of a single file: weights with a configuration, or a configuration alone. */
static bool find_file(const char *path, struct model_parts *parts, struct problems *problems)
{
    int fd = open_regular(path, max_file_bytes, problems);
    if (fd < 0)
        return false;
    const struct format *format = format_of(fd);
    if (format->reader == READ_NOTHING)
        format_refuse(format, fd, path, problems);
    close(fd);
    if (format->reader == READ_SAFETENSORS || format->reader == READ_CHECKPOINT)
        problem_error(problems, (struct place){path, NULL},
                      "%s hold weights alone; put model.json beside it, and name the folder",
                      format->reader == READ_SAFETENSORS ? "safetensors" : "checkpoints of TensorFlow");
    char *out = format->reader == READ_ARCHIVE ? parts->weights_path : parts->json_path;
    return (format->reader == READ_ARCHIVE || format->reader == READ_JSON) &&
           snprintf(out, MODEL_PATH_BYTES, "%s", path) < MODEL_PATH_BYTES;
}

static bool find_saved_model(const char *path, struct model_parts *parts, struct problems *problems)
{
    const char *metadata = exists_in(path, "keras_metadata.pb") ? "keras_metadata.pb" : "saved_model.pb";
    if (exists_in(path, "variables/variables.index"))
        return join(parts->metadata_path, path, metadata) &&
               join(parts->weights_path, path, "variables/variables.index");
    problem_reason(problems, "a SavedModel without its variables");
    problem_error(problems, (struct place){path, NULL},
                  "a SavedModel without variables/variables.index; copy the whole folder");
    return false;
}

/* Say why the files of a folder are not a model. */
static void explain_none(const char *path, const struct contents *contents, struct problems *problems)
{
    struct place place = {path, NULL};
    if (contents->n_weights > 1) {
        problem_error(problems, place, "more than one model or weights file (%.100s and %.100s); keep one",
                      contents->weights, contents->second);
    } else if (contents->architectures > 1) {
        problem_error(problems, place, "%zu JSON files describe a model; keep one of them, or name one model.json",
                      contents->architectures);
    } else {
        problem_reason(problems, "no model in this folder");
        problem_error(problems, place,
                      "no model.json and no model file in this folder, and no numbered version folder");
    }
}

/* Choose the architecture and the weights of a folder that has no numbered versions and is not a SavedModel. */
static bool find_pair(const char *path, const struct contents *contents, struct model_parts *parts,
                      struct problems *problems)
{
    char inner[MODEL_PATH_BYTES];
    bool single = contents->n_weights == 1;
    const char *architecture = contents->has_model_json ? "model.json" : contents->architecture;
    if (contents->n_weights > 1 || (!contents->has_model_json && contents->architectures > 1) ||
        (!single && !*architecture)) {
        explain_none(path, contents, problems);
        return false;
    }
    if (!*architecture || (contents->n_whole && !contents->has_model_json))
        return join(inner, path, contents->weights) && find_file(inner, parts, problems);
    return join(parts->json_path, path, architecture) &&
           (!single || join(parts->weights_path, path, contents->weights));
}

static bool find_at(const char *path, const char *version, struct model_parts *parts, struct problems *problems);

/* Choose the version folder. */
static bool find_version(const char *path, const struct version_search *versions, struct model_parts *parts,
                         struct problems *problems)
{
    char inner[MODEL_PATH_BYTES];
    if (versions->twice) {
        problem_reason(problems, "two folders of one version");
        problem_error(problems, (struct place){path, NULL}, "two folders are version %s; keep one",
                      version_digits(versions->name));
        return false;
    }
    snprintf(parts->version, sizeof parts->version, "%.23s", version_digits(versions->name));
    return join(inner, path, versions->name) && find_at(inner, NULL, parts, problems);
}

/* Choose the parts in a folder. Numbered folders count if version is not NULL. */
static bool find_in_folder(const char *path, const char *version, struct model_parts *parts, struct problems *problems)
{
    struct contents *contents = calloc(1, sizeof *contents);
    bool good = false;
    if (!contents) {
        problem_error(problems, (struct place){path, NULL}, "out of memory");
        return false;
    }
    contents->versions = (struct version_search){.only = version ? version : "", .below = ""};
    if (!scan_folder(path, contents))
        problem_unopened(problems, (struct place){path, NULL}, errno);
    else if (version && *contents->versions.name)
        good = find_version(path, &contents->versions, parts, problems);
    else if (contents->has_saved_model)
        good = find_saved_model(path, parts, problems);
    else
        good = find_pair(path, contents, parts, problems);
    free(contents);
    return good;
}

static bool find_at(const char *path, const char *version, struct model_parts *parts, struct problems *problems)
{
    struct stat info;
    if (stat(path, &info)) {
        problem_unopened(problems, (struct place){path, NULL}, errno);
        return false;
    }
    return S_ISDIR(info.st_mode) ? find_in_folder(path, version, parts, problems) : find_file(path, parts, problems);
}

bool model_parts_find(const char *path, const char *version, struct model_parts *parts, struct problems *problems)
{
    *parts = (struct model_parts){.version = ""};
    return find_at(path, version, parts, problems);
}

/* ---- sizes and stamps ---- */

/* The file that PyTorch puts an ONNX model's tensors into, beside the model. */
static bool external_data(const struct model_parts *parts, char out[MODEL_PATH_BYTES + 32])
{
    snprintf(out, MODEL_PATH_BYTES + 32, "%s.data", parts->weights_path);
    return ends_with(parts->weights_path, ".onnx");
}

double model_parts_bytes(const struct model_parts *parts)
{
    struct stat info;
    char data[MODEL_PATH_BYTES + 32];
    double bytes = 0;
    size_t n = strlen(parts->weights_path);
    if (parts->json_path[0] && !stat(parts->json_path, &info))
        bytes += (double)info.st_size;
    if (n && !stat(parts->weights_path, &info))
        bytes += (double)info.st_size;
    if (external_data(parts, data) && !stat(data, &info))
        bytes += (double)info.st_size;
    if (checkpoint_is_index(parts->weights_path)) {
        snprintf(data, sizeof data, "%.*s.data-00000-of-00001", (int)(n - strlen(".index")), parts->weights_path);
        bytes += stat(data, &info) ? 0 : (double)info.st_size;
    }
    return bytes;
}

static void stamp_file(const char *path, char *out, size_t size)
{
    struct stat info;
    size_t n = strlen(out);
    if (*path && !stat(path, &info))
        snprintf(out + n, size - n, " %llu:%lld:%lld.%09ld", (unsigned long long)info.st_ino, (long long)info.st_size,
                 (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

void model_parts_stamp(const char *path, char out[MODEL_STAMP_BYTES])
{
    char data[MODEL_PATH_BYTES + 32];
    struct problems problems = {.n_errors = 0};
    struct model_parts *parts = calloc(1, sizeof *parts);
    bool found = parts && model_parts_find(path, "", parts, &problems);
    snprintf(out, MODEL_STAMP_BYTES, "%s", parts && parts->version[0] ? parts->version : found ? "1" : "unknown");
    if (found) {
        stamp_file(parts->json_path, out, MODEL_STAMP_BYTES);
        stamp_file(parts->weights_path, out, MODEL_STAMP_BYTES);
        if (external_data(parts, data))
            stamp_file(data, out, MODEL_STAMP_BYTES);
    } else {
        size_t n = strlen(out);
        snprintf(out + n, MODEL_STAMP_BYTES - n, " %.150s", problems.reason ? problems.reason : "unreadable");
    }
    free(parts);
    problems_close(&problems);
}
