/* The manifest says which bytes of the joined shards belong to which weight. A weight belongs to the layer whose name
   begins the weight's name. The groups of the manifest may have any order. */
#include "tfjs.h"

#include "core/arena.h"
#include "open_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_SHARDS = 4096, MAX_WEIGHTS = 65536, PATH_BYTES = 4096 };
static const off_t max_shard_bytes = (off_t)1 << 32;
static const size_t max_bytes = (size_t)1 << 34;

struct reading {
    const char *path;
    struct tensor_set *set;
    struct problems *problems;
    unsigned char *bytes; /* the bytes of a group's shards, joined */
    size_t n, at;
    size_t floats, room; /* in set->memory: all numbers as float32 */
};

static bool refuse(const struct reading *r, const char *where, const char *text)
{
    problem_reason(r->problems, "its weights do not fit its manifest");
    problem_error(r->problems, (struct place){r->path, where}, "%s", text);
    return false;
}

bool tfjs_is(const json_t *json)
{
    return json_object_get(json, "modelTopology") != NULL;
}

/* ---- shards ---- */

static bool read_shard(struct reading *r, const char *name)
{
    char path[PATH_BYTES];
    struct stat info;
    const char *slash = strrchr(r->path, '/');
    if (strchr(name, '/') || *name == '.' ||
        snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - r->path) + 1 : 0, r->path, name) >= PATH_BYTES)
        return refuse(r, "/weightsManifest", "expected shards in the folder of model.json");
    int fd = open_regular(path, max_shard_bytes, r->problems);
    if (fd < 0)
        return false;
    size_t left = !fstat(fd, &info) && info.st_size > 0 ? (size_t)info.st_size : 0;
    bool fits = r->n + left <= max_bytes;
    unsigned char *grown = fits ? realloc(r->bytes, r->n + left + 1) : NULL;
    ssize_t got = 1;
    if (grown)
        r->bytes = grown;
    for (; grown && left && (got = read(fd, r->bytes + r->n, left)) > 0; left -= (size_t)got)
        r->n += (size_t)got;
    close(fd);
    if (grown && !left)
        return true;
    return refuse(r, "/weightsManifest",
                  !fits    ? "its shards are too large"
                  : !grown ? "out of memory for a shard"
                           : "a shard cannot be read");
}

static bool read_shards(struct reading *r, const json_t *group)
{
    const json_t *paths = json_object_get(group, "paths");
    r->n = r->at = 0;
    if (!json_array_size(paths) || json_array_size(paths) > MAX_SHARDS)
        return refuse(r, "/weightsManifest", "expected a list \"paths\" of shards in each group");
    for (size_t i = 0; i < json_array_size(paths); i++) {
        const char *name = json_string_value(json_array_get(paths, i));
        if (!name)
            return refuse(r, "/weightsManifest", "expected names of shards in \"paths\"");
        if (!read_shard(r, name))
            return false;
    }
    return true;
}

/* ---- weights ---- */

/* The storage of a weight's numbers. Whole numbers that are not quantized are not weights. */
static bool find_storage(const json_t *weight, struct named_tensor *stored, size_t *width, double *scale, double *least)
{
    static const struct {
        const char *name;
        enum tensor_type type;
        size_t width;
        bool quantized;
    } types[] = {{"float32", TENSOR_F32, 4, false},
                 {"float16", TENSOR_F16, 2, true},
                 {"uint8", TENSOR_U8, 1, true},
                 {"uint16", TENSOR_OTHER, 2, true}};
    const json_t *quantization = json_object_get(weight, "quantization");
    const char *name = json_string_value(json_object_get(quantization ? quantization : weight, "dtype"));
    *scale = quantization && json_object_get(quantization, "scale")
                 ? json_number_value(json_object_get(quantization, "scale"))
                 : 1;
    *least = json_number_value(json_object_get(quantization, "min"));
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name) && types[i].quantized == (quantization != NULL)) {
            stored->type = types[i].type;
            *width = types[i].width;
            return true;
        }
    return false;
}

static float number_at(const struct named_tensor *stored, size_t width, double scale, double least, size_t i)
{
    double value = stored->type == TENSOR_OTHER ? (double)(stored->data[2 * i] | stored->data[2 * i + 1] << 8)
                                                : tensor_element(stored, i);
    return width == 4 || stored->type == TENSOR_F16 ? (float)value : (float)(value * scale + least);
}

static bool read_shape(const json_t *shape, struct named_tensor *tensor)
{
    tensor->rank = json_array_size(shape);
    tensor->elements = 1;
    if (!json_is_array(shape) || tensor->rank > TENSOR_MAX_RANK)
        return false;
    for (size_t i = 0; i < tensor->rank; i++) {
        const json_t *size = json_array_get(shape, i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return false;
        tensor->shape[i] = (size_t)json_integer_value(size);
        if (!rnn_size_mul(tensor->elements, tensor->shape[i], &tensor->elements))
            return false;
    }
    return true;
}

/* Read the next weight of a group as a float32 tensor. Its data is an offset until all weights are read. */
static bool read_weight(struct reading *r, const json_t *weight)
{
    const char *name = json_string_value(json_object_get(weight, "name"));
    struct named_tensor *tensor = &r->set->tensors[r->set->n], stored = {.name = NULL};
    size_t width = 0, bytes, floats;
    double scale, least;
    if (!name || !find_storage(weight, &stored, &width, &scale, &least) ||
        !read_shape(json_object_get(weight, "shape"), &stored))
        return refuse(r, "/weightsManifest",
                      "expected weights with a name, a shape, and the dtype float32, or quantized to uint8, uint16 or "
                      "float16");
    if (!rnn_size_mul(stored.elements, width, &bytes) || bytes > r->n - r->at)
        return refuse(r, "/weightsManifest", "the shards are shorter than their weights: one is missing or cut short");
    if (!rnn_size_add(r->floats, stored.elements, &floats) || floats > max_bytes / sizeof(float))
        return refuse(r, "/weightsManifest", "its weights would take more than 16 GiB");
    if (floats > r->room) {
        size_t room = floats > 2 * r->room ? floats : 2 * r->room;
        float *grown = realloc(r->set->memory, room * sizeof *grown);
        if (!grown)
            return refuse(r, "/weightsManifest", "out of memory for its weights");
        r->set->memory = grown;
        r->room = room;
    }
    stored.data = r->bytes + r->at;
    for (size_t i = 0; i < stored.elements; i++)
        ((float *)r->set->memory)[r->floats + i] = number_at(&stored, width, scale, least, i);
    *tensor = stored;
    tensor->type = TENSOR_F32;
    tensor->name = strdup(name);
    tensor->type_name = strdup("F32");
    tensor->data = NULL;
    r->set->n++;
    r->at += bytes;
    r->floats = floats;
    return (tensor->name && tensor->type_name) || refuse(r, "/weightsManifest", "out of memory for its weights");
}

static size_t count_weights(const json_t *manifest)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(manifest); i++)
        n += json_array_size(json_object_get(json_array_get(manifest, i), "weights"));
    return n;
}

static bool read_manifest(struct reading *r, const json_t *manifest)
{
    size_t n = count_weights(manifest);
    if (!n || n > MAX_WEIGHTS)
        return refuse(r, "/weightsManifest", "expected a list of groups of weights");
    r->set->tensors = calloc(n, sizeof *r->set->tensors);
    if (!r->set->tensors)
        return refuse(r, "/weightsManifest", "out of memory for its weights");
    for (size_t i = 0; i < json_array_size(manifest); i++) {
        const json_t *group = json_array_get(manifest, i), *weights = json_object_get(group, "weights");
        if (!read_shards(r, group))
            return false;
        for (size_t k = 0; k < json_array_size(weights); k++)
            if (!read_weight(r, json_array_get(weights, k)))
                return false;
        if (r->at != r->n)
            return refuse(r, "/weightsManifest", "the shards are longer than their weights");
    }
    size_t at = 0;
    for (size_t i = 0; i < r->set->n; at += r->set->tensors[i++].elements)
        r->set->tensors[i].data = (const unsigned char *)((const float *)r->set->memory + at);
    return true;
}

/* ---- order ---- */

/* Whether a weight belongs to a layer: "lstm_1/lstm_cell/kernel" belongs to the layer lstm_1. */
static bool is_of(const char *weight, const char *layer)
{
    size_t n = strlen(layer);
    return !strncmp(weight, layer, n) && weight[n] == '/';
}

/* Sort the weights by their layers. The weights of one layer are already in Keras's order. */
static bool order_weights(struct reading *r, const json_t *model)
{
    const json_t *config = json_object_get(model, "config");
    const json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    struct named_tensor *ordered = calloc(r->set->n, sizeof *ordered);
    size_t n = 0;
    if (!ordered)
        return refuse(r, "/weightsManifest", "out of memory for its weights");
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        const char *name = json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
        for (size_t k = 0; name && k < r->set->n; k++)
            if (is_of(r->set->tensors[k].name, name) && !r->set->tensors[k].used) {
                r->set->tensors[k].used = true;
                ordered[n++] = r->set->tensors[k];
            }
    }
    bool good = n == r->set->n;
    for (size_t i = 0; good && i < n; i++) {
        ordered[i].used = false;
        r->set->tensors[i] = ordered[i];
    }
    free(ordered);
    return good || refuse(r, "/weightsManifest", "a weight has a name that no layer's name begins");
}

/* ---- the whole ---- */

/* In files of the converter, the topology is Keras's metadata. TensorFlow.js itself writes only the model. */
static json_t *topology(const json_t *json)
{
    json_t *top = json_object_get(json, "modelTopology"), *model = json_object_get(top, "model_config");
    const char *version = json_string_value(json_object_get(top, "keras_version"));
    json_t *copy = json_copy(model ? model : top);
    if (copy && version && strncmp(version, "tfjs", 4))
        json_object_set_new(copy, "keras_version", json_string(version));
    return copy;
}

json_t *tfjs_read(const json_t *json, const char *path, struct tensor_set *set, struct problems *problems)
{
    struct reading r = {.path = path, .set = set, .problems = problems};
    const char *format = json_string_value(json_object_get(json, "format"));
    const json_t *top = json_object_get(json, "modelTopology");
    json_t *model = NULL;
    *set = (struct tensor_set){.n = 0};
    if ((format && !strcmp(format, "graph-model")) || json_object_get(top, "node"))
        refuse(&r, "/modelTopology",
               "a graph model of TensorFlow.js, which holds operators, not layers; convert the Keras model with "
               "--output_format=tfjs_layers_model, or give the Keras model itself");
    else if (!(model = topology(json)) || !json_is_string(json_object_get(model, "class_name")))
        refuse(&r, "/modelTopology", "expected a model of layers (class_name and config)");
    else if (read_manifest(&r, json_object_get(json, "weightsManifest")) && order_weights(&r, model) &&
             (set->metadata = json_pack("{s:s}", "naming", "position"))) {
        free(r.bytes);
        return model;
    }
    free(r.bytes);
    json_decref(model);
    tensor_set_close(set);
    return NULL;
}
