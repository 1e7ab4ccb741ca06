/* Loading a model: which files, which weights, then core builds the layer. */
#include "model.h"

#include "keras_layer.h"
#include "tensors.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { PATH_BYTES = 4096, MAX_JSON_BYTES = 64 << 20 };
static const size_t max_model_bytes = (size_t)1 << 34;

/* What was found for an entry. */
struct source {
    char json_path[PATH_BYTES], weights_path[PATH_BYTES]; /* weights_path "": from initializers */
    char version[24];
};

static bool join(char *out, const char *folder, const char *name)
{
    return snprintf(out, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && !strcmp(name + n - m, suffix);
}

static bool is_number(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < sizeof(((struct source *)0)->version) && strspn(name, "0123456789") == n;
}

/* Of two decimal numbers of any length: is a larger? */
static bool larger(const char *a, const char *b)
{
    a += strspn(a, "0");
    b += strspn(b, "0");
    return strlen(a) != strlen(b) ? strlen(a) > strlen(b) : strcmp(a, b) > 0;
}

/* Look through a folder for model.json's weights and for version folders. */
static bool scan_folder(const char *folder, struct source *source, char *version, struct problems *problems)
{
    struct place place = {folder, NULL};
    DIR *dir = opendir(folder);
    if (!dir) {
        problem_error(problems, place, "%s", strerror(errno));
        return false;
    }
    bool good = true;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (is_number(name) && (!*version || larger(name, version))) {
            snprintf(version, sizeof source->version, "%s", name);
        } else if (ends_with(name, ".safetensors")) {
            if (source->weights_path[0]) {
                problem_error(problems, place, "more than one *.safetensors file; keep one beside model.json");
                good = false;
            }
            good &= join(source->weights_path, folder, name);
        } else if (ends_with(name, ".h5") || ends_with(name, ".npz")) {
            problem_error(problems, place, "weights in %.100s are not read yet; save them as safetensors", name);
            good = false;
        }
    }
    closedir(dir);
    return good;
}

/* What the first bytes of a file say that it is; NULL for JSON or anything unknown. */
static const char *foreign_format(const char *path)
{
    unsigned char head[9] = {0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    size_t n = fread(head, 1, sizeof head, file);
    fclose(file);
    if (n >= 8 && !memcmp(head, "\x89HDF\r\n\x1a\n", 8))
        return "an HDF5 file";
    if (n >= 4 && !memcmp(head, "PK\3\4", 4))
        return "a zip archive (.keras or .npz)";
    if (n == 9 && head[8] == '{' && !head[7] && !head[6])
        return "a safetensors file";
    return NULL;
}

static bool find_source(const char *path, struct source *source, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    char version[24] = "";
    if (stat(path, &info)) {
        problem_error(problems, place, "%s", strerror(errno));
        return false;
    }
    if (!S_ISDIR(info.st_mode)) {
        const char *foreign = foreign_format(path);
        if (foreign)
            problem_error(problems, place,
                          "this is %s; expected a .json layer configuration, or a folder with model.json beside one "
                          "*.safetensors file",
                          foreign);
        return !foreign && snprintf(source->json_path, PATH_BYTES, "%s", path) < PATH_BYTES;
    }
    if (!scan_folder(path, source, version, problems))
        return false;
    if (!join(source->json_path, path, "model.json"))
        return false;
    if (!stat(source->json_path, &info))
        return true;
    if (*version && !source->version[0]) {
        char folder[PATH_BYTES];
        *source = (struct source){0};
        memcpy(source->version, version, sizeof version);
        return join(folder, path, version) && find_source(folder, source, problems);
    }
    problem_error(problems, place, "no model.json in this folder, and no numbered version folder");
    return false;
}

static json_t *read_json(const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    json_error_t error;
    FILE *file = fopen(path, "rb");
    json_t *json = NULL;
    if (!file || fstat(fileno(file), &info))
        problem_error(problems, place, "%s", strerror(errno));
    else if (!S_ISREG(info.st_mode) || info.st_size > MAX_JSON_BYTES)
        problem_error(problems, place, "expected a regular file of at most 64 MiB");
    else if (!(json = json_loadf(file, JSON_REJECT_DUPLICATES, &error)))
        problem_error(problems, place, "line %d, column %d: %s", error.line, error.column, error.text);
    if (file)
        fclose(file);
    return json;
}

/* ---- weights ---- */

/* The tensors of one leaf, in memory of their own. */
struct leaf_weights {
    const float *tensors[CELL_MAX_TENSORS];
};

struct weights {
    struct leaf_weights leaves[STACK_MAX_CELLS];
    size_t n;
};

static void weights_free(struct weights *weights)
{
    for (size_t i = 0; weights && i < weights->n; i++)
        for (size_t t = 0; t < CELL_MAX_TENSORS; t++)
            free((void *)(uintptr_t)weights->leaves[i].tensors[t]);
    free(weights);
}

static bool same_shape(const struct named_tensor *found, const struct cell_tensor *expected)
{
    bool same = found->rank == expected->rank;
    for (size_t i = 0; same && i < expected->rank; i++)
        same = found->shape[i] == expected->shape[i];
    return same;
}

/* One tensor, from the file or from its initializer. */
static float *load_tensor(const struct rnn_cell_spec *spec, const struct cell_tensor *tensor, const char *name,
                          const struct tensor_set *set, uint64_t seed, struct place place, struct problems *problems)
{
    char want[64], have[128];
    size_t elements;
    struct named_tensor *found = set ? tensor_set_find(set, name) : NULL;
    shape_text(tensor->shape, tensor->rank, want, sizeof want);
    if (set && !found) {
        problem_error(problems, place, "tensor %s is missing, expected with shape %s", name, want);
        return NULL;
    }
    if (found) {
        found->used = true;
        shape_text(found->shape, found->rank, have, sizeof have);
        if (found->type == TENSOR_OTHER) {
            problem_error(problems, place, "tensor %s has dtype %s, expected F32, F64, F16 or BF16", name,
                          found->type_name);
            return NULL;
        }
        if (!same_shape(found, tensor)) {
            problem_error(problems, place, "tensor %s has shape %s, expected %s", name, have, want);
            return NULL;
        }
    }
    float *out = NULL;
    if (cell_tensor_elements(tensor, &elements))
        out = rnn_alloc(elements, sizeof *out);
    struct rnn_error error = {{0}};
    if (!out)
        problem_error(problems, place, "out of memory for tensor %s %s", name, want);
    else if (found)
        tensor_to_floats(found, out);
    else if (cell_tensor_initialize(spec, tensor, seed, name, out, &error)) {
        problem_error(problems, place, "%s", error.text);
        free(out);
        out = NULL;
    }
    return out;
}

/* Sizes that no machine serves are refused before anything is allocated. */
static bool fits_memory(const struct rnn_cell_spec *cell, size_t input_size)
{
    size_t total = 0, part;
    const struct rnn_cell_spec *spec;
    for (size_t i = 0; (spec = rnn_cell_spec_leaf(cell, i, NULL, 0)); i++) {
        if (!rnn_size_mul(input_size + spec->units, spec->class->gates * spec->units, &part) ||
            !rnn_size_mul(part, sizeof(float), &part) || !rnn_size_add(total, part, &total))
            return false;
        input_size = spec->units;
    }
    return total <= max_model_bytes;
}

static struct weights *load_weights(const struct rnn_cell_spec *cell, size_t input_size, const struct tensor_set *set,
                                    uint64_t seed, struct place place, struct problems *problems)
{
    size_t before = problems->n_errors;
    struct weights *weights = calloc(1, sizeof *weights);
    if (!weights) {
        problem_error(problems, place, "out of memory");
        return NULL;
    }
    char path[256], name[300];
    const struct rnn_cell_spec *spec;
    for (size_t i = 0; (spec = rnn_cell_spec_leaf(cell, i, path, sizeof path)); i++) {
        struct cell_tensor tensors[CELL_MAX_TENSORS];
        size_t n = cell_tensors(spec, input_size, tensors);
        weights->n = i + 1;
        for (size_t t = 0; t < n; t++) {
            snprintf(name, sizeof name, "%s.%s", path, tensors[t].name);
            weights->leaves[i].tensors[t] = load_tensor(spec, &tensors[t], name, set, seed, place, problems);
        }
        input_size = spec->units;
    }
    for (size_t i = 0; set && i < set->n; i++)
        if (!set->tensors[i].used) {
            char have[128];
            shape_text(set->tensors[i].shape, set->tensors[i].rank, have, sizeof have);
            problem_error(problems, place, "tensor %.100s %s belongs to no cell of the configuration",
                          set->tensors[i].name, have);
        }
    if (problems->n_errors == before)
        return weights;
    weights_free(weights);
    return NULL;
}

/* The number of features: of the configuration, of the first kernel, of the entry; they must agree. */
static size_t find_input_size(const struct model_entry *entry, const struct keras_layer *config,
                              const struct tensor_set *set, struct place place, struct problems *problems)
{
    char path[256], name[300];
    rnn_cell_spec_leaf(config->cell, 0, path, sizeof path);
    snprintf(name, sizeof name, "%s.kernel", path);
    const struct named_tensor *kernel = set ? tensor_set_find(set, name) : NULL;
    size_t size = config->input_size;
    if (!size && kernel && kernel->rank == 2)
        size = kernel->shape[0];
    if (!size)
        size = entry->input_size;
    if (!size && !set)
        problem_error(
            problems, place,
            "the number of input features is not known; set \"input_size\" in the model's entry (--input-size), "
            "or batch_input_shape in the configuration");
    if (entry->input_size && size != entry->input_size)
        problem_error(problems, place, "the model has %zu input features, the entry's input_size is %zu", size,
                      entry->input_size);
    return size ? size : 1; /* with a file lacking the kernel: the missing tensor is reported */
}

/* From the configuration and the weights to the layer. config->cell is taken. */
static bool build(struct model *model, const struct model_entry *entry, struct keras_layer *config,
                  const struct tensor_set *set, struct place place, const struct vec_ops *vec,
                  struct problems *problems)
{
    size_t before = problems->n_errors;
    size_t input_size = find_input_size(entry, config, set, place, problems);
    if (!fits_memory(config->cell, input_size))
        problem_error(problems, place, "its weights would take more than 16 GiB");
    if (problems->n_errors > before)
        return false;
    struct weights *weights = load_weights(config->cell, input_size, set, entry->seed, place, problems);
    if (!weights)
        return false;
    struct rnn_error error = {{0}};
    model->layer = config->options;
    const float *const(*tensors)[CELL_MAX_TENSORS] = (const float *const(*)[CELL_MAX_TENSORS])weights->leaves;
    if (rnn_stack_init(&model->layer.stack, config->cell, input_size, tensors, vec, &error))
        problem_error(problems, place, "%s", error.text);
    config->cell = NULL;
    weights_free(weights);
    return problems->n_errors == before;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model)
{
    double started = seconds_now();
    struct source source = {.json_path = "", .weights_path = "", .version = ""};
    struct tensor_set set = {0};
    struct keras_layer config = {.cell = NULL};
    json_t *json = NULL;
    char layer_path[64] = "";
    *model = (struct model){.name = strdup(entry->name ? entry->name : "default"),
                            .allow_nonfinite = entry->allow_nonfinite};
    if (entry->layer) {
        json = json_incref(entry->layer);
        snprintf(source.json_path, sizeof source.json_path, "%s", settings_file ? settings_file : "");
        snprintf(layer_path, sizeof layer_path, "%.40s/layer", entry->where);
    } else if (entry->path && find_source(entry->path, &source, problems)) { /* no path: the settings' error */
        json = read_json(source.json_path, problems);
    }
    bool good = json && keras_layer_read(json, source.json_path, layer_path, problems, &config);
    if (good && source.weights_path[0])
        good = model->has_weights_file = safetensors_open(&set, source.weights_path, problems);
    if (good) {
        struct place place = {model->has_weights_file ? source.weights_path : source.json_path, layer_path};
        good = build(model, entry, &config, model->has_weights_file ? &set : NULL, place, vec, problems);
    }
    snprintf(model->version, sizeof model->version, "%s", source.version[0] ? source.version : "1");
    memcpy(model->class_name, config.class_name, sizeof model->class_name);
    memcpy(model->layer_name, config.name, sizeof model->layer_name);
    model->keras_major = config.keras_major;
    model->load_seconds = seconds_now() - started;
    keras_layer_close(&config);
    tensor_set_close(&set);
    json_decref(json);
    if (!good)
        model_close(model);
    return good;
}

void model_close(struct model *model)
{
    rnn_stack_close(&model->layer.stack);
    free(model->name);
    *model = (struct model){0};
}
