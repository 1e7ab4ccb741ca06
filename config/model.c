/* Loads a model: finds its files, reads its configuration and weights, and lets core build the layers. */
#include "model.h"

#include "checkpoint.h"
#include "companions.h"
#include "config/files/archive.h"
#include "config/files/json_file.h"
#include "config/keras/text.h"
#include "config/onnx/onnx_external.h"
#include "config/onnx/onnx_model.h"
#include "config/torch/torch_describe.h"
#include "config/torch/torch_model.h"
#include "formats.h"
#include "json_memory.h"
#include "model_transform.h"
#include "object_names.h"
#include "open_file.h"
#include "tfjs.h"
#include "weights.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const off_t max_weights_bytes = (off_t)1 << 34;

/* Read a configuration from its own file, or from the archive that also has the weights. */
static json_t *read_json(const char *path, struct problems *problems)
{
    int fd = open_regular(path, JSON_FILE_MAX_BYTES, problems);
    if (fd < 0)
        return NULL;
    json_t *json = NULL;
    const struct format *format = format_of(fd);
    if (format->reader == READ_NOTHING)
        format_refuse(format, fd, path, problems);
    else
        json = json_file_read(fd, (struct place){path, NULL}, problems);
    close(fd);
    return json;
}

/* The graph of an ONNX file, as a configuration. */
static json_t *onnx_json(const char *text, const char *path, struct problems *problems)
{
    json_t *graph = json_file_parse(text, strlen(text), "its graph, ", (struct place){path, NULL}, problems);
    json_t *json = graph ? json_pack("{s:o}", "onnx", graph) : NULL;
    if (graph && !json)
        problem_error(problems, (struct place){path, NULL}, "out of memory");
    return json;
}

static json_t *config_of(const struct tensor_set *set, const char *path, struct problems *problems)
{
    const char *text = tensor_set_text(set, "config"), *onnx = tensor_set_text(set, "onnx");
    if (onnx)
        return onnx_json(onnx, path, problems);
    if (tensor_set_text(set, "torch")) {
        json_t *draft = torch_describe(set); /* for a single module or a whole nn.Sequential the file has all that is
                                                needed */
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

static bool open_tensors(struct tensor_set *set, const struct model_parts *parts, struct problems *problems)
{
    const char *path = parts->weights_path;
    int fd = open_regular(path, max_weights_bytes, problems);
    if (fd < 0)
        return false;
    bool good = false;
    const struct format *format = format_of(fd);
    switch (format->reader) {
    case READ_ARCHIVE:
        good = archive_open(set, fd, path, problems);
        break;
    case READ_CHECKPOINT:
        good = checkpoint_open(set, path, *parts->metadata_path ? parts->metadata_path : NULL, problems);
        break;
    case READ_NOTHING:
        format_refuse(format, fd, path, problems);
        break;
    default: /* whose message is for files of unknown formats */
        good = safetensors_read(set, fd, path, problems);
    }
    close(fd);
    return good;
}

/* All data that is read for one model. */
struct reading {
    const struct model_entry *entry;
    struct model_parts parts;
    const char *file; /* the configuration's file, for messages */
    char layer_path[64];
    struct tensor_set set, converted;
    struct onnx_memory memory; /* of converted */
    struct keras_model config;
    json_t *json;
    json_t *text; /* what the model's layers of texts do, a transform; or NULL */
};

/* Read a model of TensorFlow.js: its JSON file names the files of its weights. */
static bool read_tfjs(struct reading *r, struct problems *problems)
{
    json_t *json = r->json;
    tensor_set_close(&r->set);
    r->json = tfjs_read(json, r->file, &r->set, problems);
    json_decref(json);
    memcpy(r->parts.weights_path, r->parts.json_path, sizeof r->parts.weights_path);
    return r->json != NULL;
}

/* Read the files. Weights come first, because their file may have the configuration. */
static bool read_files(struct reading *r, const char *version, const char *settings_file, struct problems *problems)
{
    const struct model_entry *entry = r->entry;
    if (entry->layer) {
        r->json = json_deep_copy(entry->layer); /* layers of texts are taken out of it */
        r->file = settings_file ? settings_file : "";
        snprintf(r->layer_path, sizeof r->layer_path, "%.40s/layer", entry->where);
        if (!r->json)
            problem_error(problems, (struct place){r->file, r->layer_path}, "out of memory");
        return r->json;
    }
    if (!entry->path || !model_parts_find(entry->path, version, &r->parts, problems)) /* an entry without a path: the
                                                                                         reader of settings has reported
                                                                                         the error */
        return false;
    if (r->parts.weights_path[0] && !open_tensors(&r->set, &r->parts, problems))
        return false;
    bool own = r->parts.json_path[0];
    r->file = own ? r->parts.json_path : *r->parts.metadata_path ? r->parts.metadata_path : r->parts.weights_path;
    r->json = own ? read_json(r->file, problems) : config_of(&r->set, r->file, problems);
    return r->json && (!tfjs_is(r->json) || read_tfjs(r, problems));
}

/* Weights that are not finite would make every answer an error. So each tensor with such weights is a problem. */
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

/* A .keras file keeps the words of a layer as one of its texts. */
static const char *vocabulary_of(const void *set, const char *layer)
{
    char key[160];
    snprintf(key, sizeof key, "vocabulary/%.120s", layer);
    return tensor_set_text(set, key);
}

static bool build_model(struct reading *r, const struct vec_ops *vec, struct digest *digest, struct problems *problems)
{
    bool weights = r->parts.weights_path[0];
    const struct tensor_set *set = weights ? &r->set : NULL;
    enum tensor_naming naming = tensor_naming_of(&r->set);
    struct place place = {weights ? r->parts.weights_path : r->file, r->layer_path};
    const char *named = tensor_set_text(&r->set, "naming");
    if (named && !strcmp(named, "object") && !object_names_replace(&r->set, r->json)) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    if ((r->entry->constants || r->entry->states) && !onnx_model_is(r->json)) {
        problem_error(problems, place, "\"constants\" and \"states\" of its entry are for ONNX models");
        return false;
    }
    if (onnx_model_is(r->json)) {
        const struct onnx_options options = {.constants = r->entry->constants,
                                             .states = r->entry->states,
                                             .input_size = r->entry->input_size,
                                             .where = r->entry->where};
        if (!onnx_external_read(r->json, &r->set, place.file, problems) ||
            !onnx_model_read(r->json, place.file, &r->set, &options, problems, &r->config, &r->converted, &r->memory))
            return false;
        set = &r->converted;
        naming = NAMED_BY_PATH;
    } else if (torch_is(r->json)) {
        if (!weights)
            problem_error(problems, place,
                          "the file of weights is missing: put a *.pt, *.pth or *.safetensors file into the folder of "
                          "the PyTorch model");
        else if (torch_model_read(r->json, r->file, &r->set, place.file, problems, &r->config, &r->converted))
            set = &r->converted;
        if (set != &r->converted)
            return false;
        naming = NAMED_BY_PATH;
    } else if (!keras_text_take(r->json, (struct place){r->file, r->layer_path}, vocabulary_of, &r->set, problems,
                                &r->text) ||
               !keras_model_read(r->json, r->file, r->layer_path, tensor_set_text(&r->set, "keras_version"), problems,
                                 &r->config)) {
        return false;
    }
    for (size_t i = 0; i < r->config.model.n_layers; i++)
        r->config.model.layers[i].format = r->entry->precision;
    if (!digest_add_json(digest, r->json)) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    if ((r->entry->constants && !digest_add_json(digest, r->entry->constants)) ||
        (r->entry->states && !digest_add_json(digest, r->entry->states))) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    digest_add(digest, &r->entry->precision, sizeof r->entry->precision);
    return weights_build(&r->config, set, naming, r->entry->seed, r->entry->input_size, vec, digest, place, problems) &&
           check_finite(&r->set, r->entry->allow_nonfinite, place, problems);
}

char *model_describe(const char *path, struct problems *problems)
{
    struct model_parts *parts = calloc(1, sizeof *parts);
    struct tensor_set set = {.n = 0};
    struct stat info;
    char *text = NULL;
    if (parts && !stat(path, &info) && S_ISREG(info.st_mode))
        snprintf(parts->weights_path, sizeof parts->weights_path, "%s", path);
    else if (parts)
        model_parts_find(path, "", parts, problems);
    json_memory_begin();
    if (parts && parts->weights_path[0] && open_tensors(&set, parts, problems)) {
        if (tensor_set_text(&set, "config")) {
            problem_error(problems, (struct place){path, NULL},
                          "a Keras file says itself how its layers are joined; "
                          "\"cellserve inspect\" shows it");
        } else {
            json_t *draft = torch_describe(&set);
            char *dumped = json_dumps(draft, JSON_INDENT(2));
            text = dumped ? strdup(dumped) : NULL; /* this value must outlive json_memory_end */
            json_memory_free(dumped);
            json_decref(draft);
        }
        tensor_set_close(&set);
    }
    free(parts);
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

/* Keras 2, and Functional models of Keras 3, refuse a sequence whose length is not that of the input layer. Sequential
   models of Keras 3 take it if their layers do. */
static size_t fixed_timesteps(const struct model *model)
{
    const struct graph *graph = &model->graph;
    const size_t declared = graph->inputs[0].shape.timesteps, others[] = {declared + 1, 2 * declared};
    struct layer_shape out[GRAPH_MAX_INPUTS];
    bool others_fit = false;
    if (!graph->inputs[0].shape.sequence || !declared || graph->n_inputs > 1)
        return 0;
    for (size_t i = 0; i < 2; i++)
        others_fit |= !graph_output_shapes(graph, &others[i], graph->return_sequences, NULL, out, NULL);
    bool lenient = model->keras_major >= 3 && !strcmp(model->class_name, "Sequential");
    return lenient && others_fit ? 0 : declared;
}

/* Set the windows of the entry. Returns false with a problem added if the model cannot have windows of this size. */
static bool set_window(const struct model_entry *entry, const char *settings_file, struct model *model,
                       struct problems *problems)
{
    const struct layer_shape *input = &model->graph.inputs[0].shape;
    size_t declared = input->timesteps;
    char where[128];
    const struct place place = {settings_file, where};
    snprintf(where, sizeof where, "%.100s/window", entry->where ? entry->where : "");
    model->window = entry->window == SIZE_MAX ? declared : entry->window;
    if (!entry->window)
        return true;
    if (!input->sequence || input->ids || model->graph.time_major || model->graph.n_inputs != 1)
        problem_error(problems, place, "windows need a model with one input of [batch][timesteps][features]");
    else if (!model->window)
        problem_error(
            problems, place,
            "the model's file does not say the number of timesteps; give a number, for example \"window\": 60");
    else if (model->fixed_timesteps && model->window != model->fixed_timesteps)
        problem_error(problems, place, "windows of %zu timesteps, but the model was made for %zu", model->window,
                      model->fixed_timesteps);
    else
        return true;
    return false;
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
        model->has_weights_file = r->parts.weights_path[0];
        model->numbered = r->parts.version[0];
        snprintf(model->version, sizeof model->version, "%s", model->numbered ? r->parts.version : "1");
        memcpy(model->class_name, r->config.class_name, sizeof model->class_name);
        memcpy(model->layer_name, r->config.name, sizeof model->layer_name);
        model->keras_major = r->config.keras_major;
        model->graph = r->config.model;
        r->config.model = (struct graph){.n_layers = 0};
        model->fixed_timesteps = fixed_timesteps(model);
        good = set_window(entry, settings_file, model, problems) &&
               model_transform_load(entry, &r->parts, settings_file, r->text, model, problems);
        model->load_seconds = seconds_now() - started;
    }
    keras_model_close(&r->config);
    tensor_set_close(&r->set);
    tensor_set_close(&r->converted);
    onnx_memory_free(&r->memory);
    json_decref(r->json);
    json_decref(r->text);
    free(r);
    bool whole = json_memory_end();
    if (whole && good)
        return true;
    model_close(model);
    if (!whole) /* a key of the configuration may be missing, which other problems may blame on the file */
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
    struct model_parts *parts = calloc(1, sizeof *parts);
    bool found = parts && model_parts_find(path, "", parts, problems);
    if (!parts)
        problem_error(problems, (struct place){path, NULL}, "out of memory");
    free(parts);
    return found;
}

void model_size_text(const struct model_entry *entry, char *out, size_t size)
{
    struct problems ignored = {.n_errors = 0};
    struct model_parts *parts = entry->path ? calloc(1, sizeof *parts) : NULL;
    double mb = parts && model_parts_find(entry->path, "", parts, &ignored) ? model_parts_bytes(parts) * 1e-6 : 0;
    *out = 0;
    if (mb > 0)
        snprintf(out, size, "%.*f MB", mb < 1 ? 3 : 1, mb);
    free(parts);
    problems_close(&ignored);
}

/* The stamp of the companions of the model's files. */
static uint64_t model_companions(const struct model_entry *entry)
{
    struct problems ignored = {.n_errors = 0};
    struct model_parts *parts = calloc(1, sizeof *parts);
    uint64_t stamp = 0;
    if (parts && model_parts_find(entry->path, "", parts, &ignored)) {
        char *file = *parts->weights_path ? parts->weights_path : parts->json_path, *slash = strrchr(file, '/');
        if (slash)
            *slash = 0;
        stamp = companions_stamp(slash ? file : ".");
    }
    free(parts);
    problems_close(&ignored);
    return stamp;
}

void model_stamp(const struct model_entry *entry, char out[MODEL_STAMP_BYTES])
{
    *out = 0;
    if (!entry->path)
        return;
    model_parts_stamp(entry->path, out);
    uint64_t companions = model_companions(entry);
    size_t n = strlen(out);
    if (companions)
        snprintf(out + n, MODEL_STAMP_BYTES - n, " %016llx", (unsigned long long)companions);
}
