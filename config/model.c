/* Loading a model: which files, which weights, then core builds the layers. */
#include "model.h"

#include "config/files/archive.h"
#include "config/files/json_file.h"
#include "config/torch/torch_describe.h"
#include "config/torch/torch_model.h"
#include "json_memory.h"
#include "model_file.h"
#include "model_transform.h"
#include "weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const off_t max_weights_bytes = (off_t)1 << 34;

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
    if (tensor_set_text(set, "torch")) {
        json_t *draft = torch_describe(set); /* of a lone module or a whole nn.Sequential the file says everything */
        if (draft && !json_object_get(draft, "unchecked"))
            return draft;
        json_decref(draft);
        problem_error(
            problems, (struct place){path, NULL},
            "it holds the weights of a PyTorch model, and not how its modules are joined; run \"cellserve "
            "describe %.200s\" for a first model.json, complete it, put it beside the file, and name the folder",
            path);
        return NULL;
    }
    if (text)
        return json_file_parse(text, strlen(text), "its configuration, ", (struct place){path, NULL}, problems);
    problem_error(problems, (struct place){path, NULL},
                  "it holds weights alone; put the model's model.json (model.to_json()) beside it, and name the "
                  "folder");
    return NULL;
}

static bool open_tensors(struct tensor_set *set, const char *path, struct problems *problems)
{
    int fd = model_file_open(path, max_weights_bytes, problems);
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
    struct model_files files;
    const char *file; /* of the configuration, for messages */
    char layer_path[64];
    struct tensor_set set, converted;
    struct keras_model config;
    json_t *json;
};

/* Files: weights first, since they may hold the configuration. */
static bool read_files(struct reading *r, const char *version, const char *settings_file, struct problems *problems)
{
    const struct model_entry *entry = r->entry;
    if (entry->layer) {
        r->json = json_incref(entry->layer);
        r->file = settings_file ? settings_file : "";
        snprintf(r->layer_path, sizeof r->layer_path, "%.40s/layer", entry->where);
        return true;
    }
    if (!entry->path || !model_files_find(entry->path, version, &r->files, problems)) /* no path: the settings' error */
        return false;
    if (r->files.weights_path[0] && !open_tensors(&r->set, r->files.weights_path, problems))
        return false;
    bool own = r->files.json_path[0];
    r->file = own ? r->files.json_path : r->files.weights_path;
    r->json = own ? read_json(r->file, problems) : config_of(&r->set, r->file, problems);
    return r->json != NULL;
}

/* Weights that are not finite make every answer an error. Each tensor that has such is a problem. */
static bool check_finite(const struct tensor_set *set, bool allowed, struct place place, struct problems *problems)
{
    bool good = true;
    for (size_t i = 0; i < set->n; i++) {
        const struct named_tensor *tensor = &set->tensors[i];
        size_t first = 0, n = tensor->used && tensor_is_float(tensor) ? tensor_nonfinite(tensor, &first) : 0;
        if (!n)
            continue;
        good = allowed;
        problem_reason(problems, "its weights are not finite");
        (allowed ? problem_warning : problem_error)(
            problems, place,
            "tensor \"%.200s\": %zu of its %zu numbers are not finite in float32, the first is [%zu]%s", tensor->name,
            n, tensor->elements, first,
            allowed ? "" : "; \"allow_nonfinite\" in the model's entry serves it all the same");
    }
    return good;
}

static bool build_model(struct reading *r, const struct vec_ops *vec, struct digest *digest, struct problems *problems)
{
    bool weights = r->files.weights_path[0];
    const struct tensor_set *set = weights ? &r->set : NULL;
    enum tensor_naming naming = tensor_naming_of(&r->set);
    struct place place = {weights ? r->files.weights_path : r->file, r->layer_path};
    if (torch_is(r->json)) {
        if (!weights)
            problem_error(problems, place,
                          "a PyTorch model needs its weights: a *.pt, *.pth or *.safetensors file in its folder");
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
    return weights_build(&r->config, set, naming, r->entry->seed, r->entry->input_size, vec, digest, place, problems) &&
           check_finite(&r->set, r->entry->allow_nonfinite, place, problems);
}

char *model_describe(const char *path, struct problems *problems)
{
    struct model_files *files = calloc(1, sizeof *files);
    struct tensor_set set = {.n = 0};
    struct stat info;
    char *text = NULL;
    if (files && !stat(path, &info) && S_ISREG(info.st_mode))
        snprintf(files->weights_path, sizeof files->weights_path, "%s", path);
    else if (files)
        model_files_find(path, "", files, problems);
    json_memory_begin();
    if (files && files->weights_path[0] && open_tensors(&set, files->weights_path, problems)) {
        if (tensor_set_text(&set, "config")) {
            problem_error(problems, (struct place){path, NULL},
                          "a Keras file says itself how its layers are joined; "
                          "\"cellserve inspect\" shows it");
        } else {
            json_t *draft = torch_describe(&set);
            char *dumped = json_dumps(draft, JSON_INDENT(2));
            text = dumped ? strdup(dumped) : NULL; /* which outlives json_memory_end */
            json_memory_free(dumped);
            json_decref(draft);
        }
        tensor_set_close(&set);
    }
    free(files);
    if ((!json_memory_end() || !text) && !problems->n_errors)
        problem_error(problems, (struct place){path, NULL}, "out of memory, or no weights file");
    return text;
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
    const struct graph *graph = &model->graph;
    const size_t declared = graph->inputs[0].shape.timesteps, others[] = {declared + 1, 2 * declared};
    struct layer_shape out[GRAPH_MAX_INPUTS];
    bool others_fit = false;
    if (!graph->inputs[0].shape.sequence || !declared || graph->n_inputs > 1)
        return 0;
    for (size_t i = 0; i < 2; i++)
        others_fit |= !graph_output_shapes(graph, &others[i], graph->return_sequences, out, NULL);
    bool lenient = model->keras_major >= 3 && !strcmp(model->class_name, "Sequential");
    return lenient && others_fit ? 0 : declared;
}

bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model)
{
    return model_load_version(entry, "", settings_file, vec, problems, model);
}

bool model_load_version(const struct model_entry *entry, const char *version, const char *settings_file,
                        const struct vec_ops *vec, struct problems *problems, struct model *model)
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
    bool good = read_files(r, version, settings_file, problems) && build_model(r, vec, &model->digest, problems);
    if (good) {
        model->allow_nonfinite = entry->allow_nonfinite;
        model->has_weights_file = r->files.weights_path[0];
        model->numbered = r->files.version[0];
        snprintf(model->version, sizeof model->version, "%s", model->numbered ? r->files.version : "1");
        memcpy(model->class_name, r->config.class_name, sizeof model->class_name);
        memcpy(model->layer_name, r->config.name, sizeof model->layer_name);
        model->keras_major = r->config.keras_major;
        model->graph = r->config.model;
        r->config.model = (struct graph){.n_layers = 0};
        model->fixed_timesteps = fixed_timesteps(model);
        good = model_transform_load(entry, &r->files, settings_file, model, problems);
        model->load_seconds = seconds_now() - started;
    }
    keras_model_close(&r->config);
    tensor_set_close(&r->set);
    tensor_set_close(&r->converted);
    json_decref(r->json);
    free(r);
    if (json_memory_end() && good)
        return true;
    model_close(model); /* out of memory: a key of its configuration may have been left out */
    if (!good)
        return false;
    problem_error(problems, (struct place){entry->path, NULL}, "out of memory");
    return false;
}

void model_close(struct model *model)
{
    model_transform_close(model);
    graph_close(&model->graph);
    *model = (struct model){.name = NULL};
}

bool model_find(const char *path, struct problems *problems)
{
    struct model_files *files = calloc(1, sizeof *files);
    bool found = files && model_files_find(path, "", files, problems);
    if (!files)
        problem_error(problems, (struct place){path, NULL}, "out of memory");
    free(files);
    return found;
}

void model_stamp(const struct model_entry *entry, char out[MODEL_STAMP_BYTES])
{
    *out = 0;
    if (entry->path)
        model_files_stamp(entry->path, out);
}
