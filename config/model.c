/* Loading a model: which files, which weights, then core builds the layers. */
#include "model.h"

#include "archive.h"
#include "json_file.h"
#include "json_memory.h"
#include "model_file.h"
#include "torch_model.h"
#include "unopened.h"
#include "weights.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };
static const off_t max_file_bytes = (off_t)1 << 34;

/* What was found for an entry: a configuration, weights, or one file that holds both. */
struct source {
    char json_path[PATH_BYTES], weights_path[PATH_BYTES]; /* "": none */
    char version[24];
};

static bool join(char *out, const char *folder, const char *name)
{
    return snprintf(out, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES;
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

bool model_is_version(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < sizeof(((struct source *)0)->version) && strspn(name, "0123456789") == n;
}

const char *model_version_number(const char *name)
{
    while (name[0] == '0' && name[1])
        name++;
    return name;
}

/* Of two decimal numbers of any length: is a larger? */
static bool larger(const char *a, const char *b)
{
    a = model_version_number(a);
    b = model_version_number(b);
    return strlen(a) != strlen(b) ? strlen(a) > strlen(b) : strcmp(a, b) > 0;
}

/* Look through a folder for weights and for version folders. */
static bool scan_folder(const char *folder, struct source *source, char *version, struct problems *problems)
{
    struct place place = {folder, NULL};
    DIR *dir = opendir(folder);
    if (!dir) {
        problem_unopened(problems, place, errno);
        return false;
    }
    bool good = true, twice = false; /* two folders are the highest version */
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (model_is_version(name) && *version && !strcmp(model_version_number(name), model_version_number(version))) {
            twice = true;
        } else if (model_is_version(name) && (!*version || larger(name, version))) {
            twice = false;
            snprintf(version, sizeof source->version, "%s", name);
        } else if (is_model_file(name)) {
            if (source->weights_path[0]) {
                problem_error(problems, place, "more than one model or weights file (%.100s and another); keep one",
                              name);
                good = false;
            }
            good &= join(source->weights_path, folder, name);
        }
    }
    closedir(dir);
    if (twice)
        problem_error(problems, place, "two folders are version %s; keep one", model_version_number(version));
    return good && !twice;
}

/* A path that is a file: of weights and configuration in one, or a configuration alone. */
static bool find_file(const char *path, struct source *source, struct problems *problems)
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
           snprintf(content == CONTENT_ARCHIVE ? source->weights_path : source->json_path, PATH_BYTES, "%s", path) <
               PATH_BYTES;
}

static bool find_source(const char *path, struct source *source, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    char version[24] = "";
    if (stat(path, &info)) {
        problem_unopened(problems, place, errno);
        return false;
    }
    if (!S_ISDIR(info.st_mode))
        return find_file(path, source, problems);
    if (!scan_folder(path, source, version, problems) || !join(source->json_path, path, "model.json"))
        return false;
    if (!stat(source->json_path, &info))
        return true;
    source->json_path[0] = 0;
    if (source->weights_path[0]) {
        char file[PATH_BYTES];
        memcpy(file, source->weights_path, sizeof file);
        source->weights_path[0] = 0;
        return find_file(file, source, problems);
    }
    if (*version && !source->version[0]) {
        char folder[PATH_BYTES];
        memcpy(source->version, version, sizeof version);
        return join(folder, path, version) && find_source(folder, source, problems);
    }
    problem_error(problems, place, "no model.json and no model file in this folder, and no numbered version folder");
    return false;
}

bool model_find(const char *path, struct problems *problems)
{
    struct source *source = calloc(1, sizeof *source);
    bool found = source && find_source(path, source, problems);
    if (!source)
        problem_error(problems, (struct place){path, NULL}, "out of memory");
    free(source);
    return found;
}

/* A configuration: of its own file, or of the archive that holds the weights too. */
static json_t *read_json(const char *path, struct problems *problems)
{
    int fd = model_file_open(path, JSON_FILE_MAX_BYTES, problems);
    if (fd < 0)
        return NULL;
    json_t *json = json_file_read(fd, (struct place){path, NULL}, problems);
    close(fd);
    return json;
}

static json_t *config_of(const struct tensor_set *set, const char *path, struct problems *problems)
{
    const char *text = tensor_set_text(set, "config");
    if (text)
        return json_file_parse(text, strlen(text), "its configuration, ", (struct place){path, NULL}, problems);
    problem_error(problems, (struct place){path, NULL},
                  "it holds weights alone; put the model's model.json (model.to_json()) beside it, and name the "
                  "folder");
    return NULL;
}

static bool open_tensors(struct tensor_set *set, const char *path, struct problems *problems)
{
    int fd = model_file_open(path, max_file_bytes, problems);
    if (fd < 0)
        return false;
    bool good = model_file_content(fd) == CONTENT_ARCHIVE ? archive_open(set, fd, path, problems)
                                                          : safetensors_read(set, fd, path, problems);
    close(fd);
    return good;
}

/* Everything that is read for one model. */
struct reading {
    const struct model_entry *entry;
    struct source source;
    const char *file; /* of the configuration, for messages */
    char layer_path[64];
    struct tensor_set set, converted;
    struct keras_model config;
    json_t *json;
};

/* Files: weights first, since they may hold the configuration. */
static bool read_files(struct reading *r, const char *settings_file, struct problems *problems)
{
    const struct model_entry *entry = r->entry;
    if (entry->layer) {
        r->json = json_incref(entry->layer);
        r->file = settings_file ? settings_file : "";
        snprintf(r->layer_path, sizeof r->layer_path, "%.40s/layer", entry->where);
        return true;
    }
    if (!entry->path || !find_source(entry->path, &r->source, problems)) /* no path: the settings' error */
        return false;
    if (r->source.weights_path[0] && !open_tensors(&r->set, r->source.weights_path, problems))
        return false;
    bool own = r->source.json_path[0];
    r->file = own ? r->source.json_path : r->source.weights_path;
    r->json = own ? read_json(r->file, problems) : config_of(&r->set, r->file, problems);
    return r->json != NULL;
}

static bool build(struct reading *r, const struct vec_ops *vec, struct digest *digest, struct problems *problems)
{
    bool weights = r->source.weights_path[0];
    const struct tensor_set *set = weights ? &r->set : NULL;
    enum tensor_naming naming = tensor_naming_of(&r->set);
    struct place place = {weights ? r->source.weights_path : r->file, r->layer_path};
    if (torch_is(r->json)) {
        if (!weights)
            problem_error(problems, place, "a PyTorch model needs its weights: a *.safetensors file in its folder");
        else if (torch_model_read(r->json, r->file, &r->set, place.file, problems, &r->config, &r->converted))
            set = &r->converted;
        if (set != &r->converted)
            return false;
        naming = NAMED_BY_PATH;
    } else if (!keras_model_read(r->json, r->file, r->layer_path, tensor_set_text(&r->set, "keras_version"), problems,
                                 &r->config)) {
        return false;
    }
    for (size_t i = 0; i < r->config.model.n_layers; i++)
        r->config.model.layers[i].format = r->entry->precision;
    if (!digest_add_json(digest, r->json)) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    digest_add(digest, &r->entry->precision, sizeof r->entry->precision);
    return weights_build(&r->config, set, naming, r->entry->seed, r->entry->input_size, vec, digest, place, problems);
}

const char *model_entry_name(const struct model_entry *entry)
{
    return entry->name ? entry->name : "default";
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A sequence of another length than the input layer's is refused by Keras 2, and by Keras 3's Functional models; its
   Sequential ones take it where their layers do. */
static size_t fixed_timesteps(const struct model *model)
{
    const struct rnn_model *chain = &model->chain;
    const size_t declared = chain->input.timesteps, others[] = {declared + 1, 2 * declared};
    struct layer_shape out;
    bool others_fit = false;
    if (!chain->input.sequence || !declared)
        return 0;
    for (size_t i = 0; i < 2; i++)
        others_fit |= !rnn_model_output(chain, others[i], chain->return_sequences, &out, NULL);
    bool lenient = model->keras_major >= 3 && !strcmp(model->class_name, "Sequential");
    return lenient && others_fit ? 0 : declared;
}

bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model)
{
    double started = seconds_now();
    struct reading *r = calloc(1, sizeof *r);
    *model = (struct model){.name = model_entry_name(entry)};
    if (!r) {
        problem_error(problems, (struct place){entry->path, NULL}, "out of memory");
        return false;
    }
    r->entry = entry;
    json_memory_begin();
    bool good = read_files(r, settings_file, problems) && build(r, vec, &model->digest, problems);
    if (good) {
        model->allow_nonfinite = entry->allow_nonfinite;
        model->has_weights_file = r->source.weights_path[0];
        snprintf(model->version, sizeof model->version, "%s",
                 r->source.version[0] ? model_version_number(r->source.version) : "1");
        memcpy(model->class_name, r->config.class_name, sizeof model->class_name);
        memcpy(model->layer_name, r->config.name, sizeof model->layer_name);
        model->keras_major = r->config.keras_major;
        model->chain = r->config.model;
        r->config.model = (struct rnn_model){.n_layers = 0};
        model->fixed_timesteps = fixed_timesteps(model);
        model->load_seconds = seconds_now() - started;
    }
    keras_model_close(&r->config);
    tensor_set_close(&r->set);
    tensor_set_close(&r->converted);
    json_decref(r->json);
    free(r);
    if (json_memory_end() || !good)
        return good;
    model_close(model); /* a key of its configuration may have been left out */
    problem_error(problems, (struct place){entry->path, NULL}, "out of memory");
    return false;
}

void model_close(struct model *model)
{
    rnn_model_close(&model->chain);
    *model = (struct model){.name = NULL};
}

static void stamp_file(const char *path, char *out, size_t size)
{
    struct stat info;
    size_t n = strlen(out);
    if (*path && !stat(path, &info))
        snprintf(out + n, size - n, " %llu:%lld:%lld.%09ld", (unsigned long long)info.st_ino, (long long)info.st_size,
                 (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
}

void model_stamp(const struct model_entry *entry, char out[MODEL_STAMP_BYTES])
{
    struct problems ignored = {.n_errors = 0};
    struct source *source = calloc(1, sizeof *source);
    *out = 0;
    if (source && entry->path && find_source(entry->path, source, &ignored)) {
        snprintf(out, MODEL_STAMP_BYTES, "%s", source->version[0] ? model_version_number(source->version) : "1");
        stamp_file(source->json_path, out, MODEL_STAMP_BYTES);
        stamp_file(source->weights_path, out, MODEL_STAMP_BYTES);
    }
    free(source);
    problems_close(&ignored);
}
