/* Reads the transform of a built model. No other file uses both the model's and the transform's structs. */
#include "model_transform.h"

#include "config/files/json_file.h"
#include "open_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISREG(info.st_mode);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/* The path that stands for the model: its file of weights or its configuration, or the folder of a SavedModel. */
static const char *main_file(const struct model_parts *parts)
{
    return parts->metadata_path[0]  ? parts->metadata_path
           : parts->weights_path[0] ? parts->weights_path
                                    : parts->json_path;
}

static size_t folder_bytes(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? (size_t)(slash - file) : 0;
}

/* Whether no other file in the folder has the name of a model. */
static bool is_only_model(const char *file, size_t folder_length)
{
    static const char *const endings[] = {".keras", ".h5", ".hdf5", ".onnx", ".pt", ".pth", ".safetensors"};
    char folder[MODEL_PATH_BYTES];
    size_t models = 0;
    snprintf(folder, sizeof folder, "%.*s", folder_length ? (int)folder_length : 1, folder_length ? file : ".");
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
            size_t n = strlen(entry->d_name), m = strlen(endings[i]);
            models += n > m && !strcmp(entry->d_name + n - m, endings[i]);
        }
    if (dir)
        closedir(dir);
    return models == 1;
}

bool model_transform_find(const char *path, const struct model_parts *parts, char *out, struct problems *problems)
{
    const char *file = main_file(parts), *dot = strrchr(file, '.');
    size_t folder = folder_bytes(file);
    char other[MODEL_PATH_BYTES] = "";
    *out = 0;
    if (dot && dot > file + (folder ? folder + 1 : 0) &&
        snprintf(out, MODEL_PATH_BYTES, "%.*s.transform.json", (int)(dot - file), file) >= MODEL_PATH_BYTES)
        *out = 0;
    if ((is_folder(path) || is_only_model(file, folder)) &&
        snprintf(other, sizeof other, "%.*s%stransform.json", (int)folder, file, folder ? "/" : "") >=
            (int)sizeof other)
        *other = 0;
    bool own = *out && is_file(out), of_folder = *other && is_file(other);
    if (own && of_folder)
        problem_error(problems, (struct place){other, NULL}, "%s also exists; keep one of the two files", out);
    if (!own)
        memcpy(out, other, sizeof other);
    return own != of_folder;
}

/* The model's inputs and outputs, as the reader of transforms needs them. */
struct ports {
    struct transform_port inputs[GRAPH_MAX_INPUTS], *outputs;
    struct transform_ports all;
};

static struct transform_port input_of(const struct model *model, size_t i)
{
    const struct graph_port *input = &model->graph.inputs[i];
    return (struct transform_port){.name = input->name,
                                   .width = input->shape.ids ? 1 : input->shape.width,
                                   .vocabulary = input->shape.ids ? graph_vocabulary(&model->graph, i) : 0,
                                   .timesteps = i ? input->shape.timesteps : model->fixed_timesteps,
                                   .sequence = input->shape.sequence};
}

static struct transform_port output_of(const struct graph *graph, size_t i)
{
    const struct activation *activation = layer_activation_of(graph_last_layer(graph, i));
    bool sigmoid = activation && activation->kind == ACT_SIGMOID;
    return (struct transform_port){.name = graph->outputs[i].name,
                                   .width = graph->outputs[i].shape.width,
                                   .probability = sigmoid || (activation && activation->kind == ACT_SOFTMAX),
                                   .sigmoid = sigmoid};
}

/* Returns false if out of memory. */
static bool make_ports(const struct model *model, struct ports *out)
{
    const struct graph *graph = &model->graph;
    out->outputs = calloc(graph->n_outputs + 1, sizeof *out->outputs);
    if (!out->outputs)
        return false;
    for (size_t i = 0; i < graph->n_inputs; i++)
        out->inputs[i] = input_of(model, i);
    for (size_t i = 0; i < graph->n_outputs; i++)
        out->outputs[i] = output_of(graph, i);
    out->all = (struct transform_ports){out->inputs, out->outputs, graph->n_inputs, graph->n_outputs};
    return true;
}

static json_t *read_json(const char *path, struct problems *problems)
{
    int fd = open_regular(path, JSON_FILE_MAX_BYTES, problems);
    json_t *json = fd < 0 ? NULL : json_file_read(fd, (struct place){path, NULL}, problems);
    if (fd >= 0)
        close(fd);
    return json;
}

static bool read_transform(const json_t *json, const char *folder, struct place place, struct model *model,
                           struct problems *problems)
{
    const struct transform_place at = {place, folder};
    struct ports ports;
    struct transform *transform = calloc(1, sizeof *transform);
    bool made = make_ports(model, &ports), good = false;
    if (transform && made)
        good = transform_read(json, &at, &ports.all, problems, transform);
    else
        problem_error(problems, place, "out of memory");
    if (made)
        free(ports.outputs);
    if (good)
        model->transform = transform;
    else
        free(transform);
    return good;
}

/* The keys of both; those of `json`, which may be NULL, come first. A reference. */
static json_t *joined(const json_t *own, const json_t *json)
{
    json_t *all = own && (!json || json_is_object(json)) ? json_copy((json_t *)(uintptr_t)own)
                                                         : json_incref((json_t *)(uintptr_t)json);
    if (own && json_is_object(json))
        json_object_update(all, (json_t *)(uintptr_t)json);
    return all;
}

static bool read_joined(const json_t *own, const json_t *json, const char *folder, struct place place,
                        struct model *model, struct problems *problems)
{
    json_t *all = joined(own, json);
    bool lacks = own && json_is_object(all) && !json_object_get(all, "tokenizer");
    if (!all)
        problem_error(problems, place, "out of memory");
    else if (lacks)
        problem_error(
            problems, place,
            "the model takes texts, but its file does not have their vocabulary; save the model as .keras, or "
            "give the vocabulary (get_vocabulary() of the layer) as the \"tokenizer\" of a transform.json");
    bool good = all && !lacks && read_transform(all, folder, place, model, problems);
    json_decref(all);
    return good;
}

bool model_transform_load(const struct model_entry *entry, const struct model_parts *parts, const char *settings_file,
                          const json_t *own, struct model *model, struct problems *problems)
{
    const char *file = main_file(parts);
    char path[MODEL_PATH_BYTES], where[128], inner[MODEL_PATH_BYTES];
    size_t before = problems->all_errors, folder = folder_bytes(file);
    model->transform = NULL;
    if (entry->transform) {
        if (!*file)
            folder = folder_bytes(file = settings_file ? settings_file : "");
        snprintf(where, sizeof where, "%.100s/transform", entry->where);
        snprintf(path, sizeof path, "%.*s", folder ? (int)folder : 1, folder ? file : ".");
        return read_joined(own, entry->transform, path, (struct place){settings_file, where}, model, problems);
    }
    if (!*file || !model_transform_find(entry->path, parts, path, problems))
        return problems->all_errors == before &&
               (!own ||
                read_joined(own, NULL, ".", (struct place){*file ? file : settings_file, NULL}, model, problems));
    json_t *json = read_json(path, problems);
    const struct place place = {path, NULL};
    snprintf(inner, sizeof inner, "%.*s", folder ? (int)folder : 1, folder ? path : ".");
    bool good = json && read_joined(own, json, inner, place, model, problems);
    json_decref(json);
    return good;
}

void model_transform_close(struct model *model)
{
    if (model->transform)
        transform_close(model->transform);
    free(model->transform);
    model->transform = NULL;
}
