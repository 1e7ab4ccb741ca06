/* Reads HDF5 with its C library. Only known paths, hard links and plain numbers are read, and every count is
   bounded. */
#include "hdf5_file.h"

#include "json_file.h"

#include <hdf5.h>
#include <hdf5_hl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 24,
    MAX_LINKS = 100000, /* the most objects in all: ends cycles of groups */
    MAX_STRINGS = 65536,
    MAX_STRING_BYTES = 64 << 20,
    PATH_BYTES = 1000,
};

struct reading {
    struct handover *out;
    hid_t file;
    size_t links;
    size_t n; /* tensors by position so far */
};

bool hdf5_is(const unsigned char *bytes, size_t n)
{
    return n >= 8 && !memcmp(bytes, "\x89HDF\r\n\x1a\n", 8);
}

void hdf5_prepare(void)
{
    H5dont_atexit();
    H5open();
    H5PLset_loading_state(0);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* ---- attributes ---- */

/* A list of strings. */
struct strings {
    char **texts;
    size_t n;
};

static void strings_free(struct strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        free(strings->texts[i]);
    free(strings->texts);
    *strings = (struct strings){.n = 0};
}

/* The bytes of the strings of an attribute in the form of the file: pointers, or padded text. */
static bool read_points(hid_t attribute, hid_t type, size_t points, size_t width, struct strings *out)
{
    bool variable = H5Tis_variable_str(type) > 0;
    hid_t memory_type = H5Tcopy(type);
    char *raw = calloc(points + 1, width);
    char **texts = realloc(out->texts, (out->n + points + 1) * sizeof *texts);
    if (texts)
        out->texts = texts;
    bool good = raw && texts && memory_type >= 0 && H5Aread(attribute, memory_type, raw) >= 0;
    for (size_t i = 0; good && i < points; i++) {
        const char *text = raw + i * width;
        char *copy =
            variable ? strdup(((char **)(void *)raw)[i] ? ((char **)(void *)raw)[i] : "") : strndup(text, width);
        good = copy != NULL;
        if (good)
            out->texts[out->n++] = copy;
    }
    free(raw);
    H5Tclose(memory_type);
    return good;
}

/* Add all strings of an attribute to out. An attribute without strings adds none (Keras writes empty lists as
   numbers). */
static bool read_strings(struct reading *r, hid_t object, const char *name, struct strings *out)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t type = attribute < 0 ? -1 : H5Aget_type(attribute), space = attribute < 0 ? -1 : H5Aget_space(attribute);
    hssize_t points = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    size_t width = type < 0 ? 0 : H5Tget_size(type);
    bool good = points >= 0 && width;
    if (good && H5Tget_class(type) == H5T_STRING)
        good = (size_t)points + out->n <= MAX_STRINGS && width <= MAX_STRING_BYTES / ((size_t)points + 1) &&
               read_points(attribute, type, (size_t)points, width, out);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return good || handover_fail(r->out, "its attribute %.60s cannot be read", name);
}

/* A list. Keras splits long lists into name0, name1, …. */
static bool read_list(struct reading *r, hid_t object, const char *name, struct strings *out)
{
    char part[64];
    *out = (struct strings){.n = 0};
    if (H5Aexists(object, name) > 0)
        return read_strings(r, object, name, out);
    for (size_t i = 0; i < MAX_STRINGS; i++) {
        snprintf(part, sizeof part, "%.40s%zu", name, i);
        if (H5Aexists(object, part) <= 0)
            return i > 0 || handover_fail(r->out, "its attribute %.40s is missing", name);
        if (!read_strings(r, object, part, out))
            return false;
    }
    return false;
}

/* Copy one string into the metadata, if the attribute exists. */
static bool keep_text(struct reading *r, hid_t object, const char *name, const char *key)
{
    struct strings strings = {.n = 0};
    if (H5Aexists(object, name) <= 0)
        return true;
    bool good = read_strings(r, object, name, &strings) && strings.n == 1 &&
                strlen(strings.texts[0]) <= JSON_FILE_MAX_BYTES &&
                handover_text(r->out, key, strings.texts[0], strlen(strings.texts[0]));
    strings_free(&strings);
    return good ||
           handover_fail(r->out, "its attribute %.60s is no text of at most %d MiB", name, JSON_FILE_MAX_BYTES >> 20);
}

/* ---- objects ---- */

/* Open the object at a path of hard links. Returns a negative number if there is none. */
static hid_t open_path(struct reading *r, hid_t from, const char *path)
{
    char part[PATH_BYTES];
    hid_t at = H5Oopen(from, ".", H5P_DEFAULT);
    while (at >= 0 && *path) {
        size_t n = strcspn(path, "/");
        H5L_info_t info;
        hid_t next = -1;
        snprintf(part, sizeof part, "%.*s", (int)(n < sizeof part ? n : 0), path);
        path += n + (path[n] == '/');
        if (n == 0)
            continue;
        if (n < sizeof part && r->links++ < MAX_LINKS && H5Iget_type(at) == H5I_GROUP &&
            H5Lget_info(at, part, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD)
            next = H5Oopen(at, part, H5P_DEFAULT);
        H5Oclose(at);
        at = next;
    }
    return at;
}

static bool exists(hid_t group, const char *name)
{
    H5L_info_t info;
    return H5Lget_info(group, name, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD;
}

/* Whether the storage may be read: it is within the file, and only HDF5's own plain filters compress it. */
static bool plain_storage(hid_t dataset)
{
    hid_t list = H5Dget_create_plist(dataset);
    H5D_layout_t layout = H5Pget_layout(list);
    bool plain = (layout == H5D_CONTIGUOUS || layout == H5D_COMPACT || layout == H5D_CHUNKED) &&
                 H5Pget_external_count(list) == 0;
    int filters = H5Pget_nfilters(list);
    for (int i = 0; plain && i < filters; i++) {
        unsigned flags;
        size_t values = 0;
        H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
        plain = filter == H5Z_FILTER_DEFLATE || filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32;
    }
    H5Pclose(list);
    return plain && filters >= 0;
}

/* Whether a dataset has one-byte whole numbers, as Keras 3 stores quantized kernels. */
static bool is_quantized(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    bool is = H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 1;
    H5Tclose(type);
    return is;
}

/* safetensors' name of a dataset's type, or NULL. For HDF5, bfloat16 is opaque. Other floats become F32, and so does a
   single whole number: a Normalization stores how many values it has seen. */
static const char *type_of(hid_t dataset, bool single, size_t *width)
{
    hid_t type = H5Dget_type(dataset);
    H5T_class_t class = H5Tget_class(type);
    size_t size = H5Tget_size(type);
    const char *name = NULL;
    if (class == H5T_FLOAT && (size == 2 || size == 4 || size == 8))
        name = "F32";
    else if (class == H5T_INTEGER && single && (size == 4 || size == 8))
        name = "F32";
    else if (class == H5T_OPAQUE && size == 2)
        name = "BF16";
    *width = name && *name == 'B' ? 2 : 4;
    H5Tclose(type);
    return name;
}

/* Add a dataset, which stays open until its data has been read. Numbers that are not floats are skipped if this is
   allowed (Keras 3 stores the seeds of Dropout beside weights). */
static bool add_dataset(struct reading *r, hid_t dataset, const char *name, bool only_floats)
{
    hsize_t sizes[H5S_MAX_RANK];
    size_t shape[TENSOR_MAX_RANK], width;
    hid_t space = H5Dget_space(dataset);
    int rank = H5Sget_simple_extent_ndims(space);
    const char *type = type_of(dataset, !rank, &width);
    bool good = rank >= 0 && rank <= TENSOR_MAX_RANK && H5Sis_simple(space) > 0 &&
                H5Sget_simple_extent_dims(space, sizes, NULL) >= 0;
    H5Sclose(space);
    if (!type && is_quantized(dataset)) {
        H5Oclose(dataset);
        return handover_fail(r->out,
                             "tensor %.100s is of int8: its layer is quantized, which is not served; save the model "
                             "before model.quantize()",
                             name);
    }
    if (!type && !only_floats) {
        H5Oclose(dataset);
        return true;
    }
    if (!type || !good || !plain_storage(dataset)) {
        H5Oclose(dataset);
        return handover_fail(r->out,
                             "tensor %.100s is stored in a way that Keras does not write (its type, its number of "
                             "dimensions, its filters, or outside the file)",
                             name);
    }
    for (int i = 0; i < rank; i++)
        shape[i] = (size_t)sizes[i];
    struct handover_tensor *tensor = handover_add(r->out, name, type, width, (size_t)rank, shape);
    if (tensor)
        tensor->id = dataset;
    return tensor != NULL;
}

static bool read_data(const struct handover_tensor *tensor, void *out)
{
    hid_t dataset = (hid_t)tensor->id;
    hid_t own = H5Dget_type(dataset), type = *tensor->type == 'B' ? own : H5T_NATIVE_FLOAT;
    bool good = !tensor->bytes || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0;
    H5Tclose(own);
    return good;
}

/* ---- Keras 3's layout ---- */

/* A group that is being visited, for the library's callback. */
struct visit {
    struct reading *reading;
    const char *path;
    int depth;
    bool in_vars;
};

static bool is_number(const char *name)
{
    return *name && strspn(name, "0123456789") == strlen(name);
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data);

/* Visit the object at path: a variable, or a group with members. The object is closed, or kept as a tensor. */
static bool visit_object(struct reading *r, hid_t object, const char *name, const char *path, const struct visit *visit)
{
    H5I_type_t type = object < 0 ? H5I_BADID : H5Iget_type(object);
    if (type == H5I_DATASET && visit->in_vars && is_number(name))
        return add_dataset(r, object, path, false);
    struct visit inner = {r, path, visit->depth + 1, !strcmp(name, "vars")};
    bool good = type == H5I_DATASET ||
                (type == H5I_GROUP && H5Literate(object, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, visit_link, &inner) >= 0);
    H5Oclose(object);
    return good || handover_fail(r->out, "%.100s cannot be opened", path);
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    const struct visit *visit = data;
    struct reading *r = visit->reading;
    char path[PATH_BYTES];
    bool fits = snprintf(path, sizeof path, "%s/%s", visit->path, name) < (int)sizeof path;
    if (r->links++ >= MAX_LINKS)
        handover_fail(r->out, "it has more than %d links", MAX_LINKS);
    else if (!fits || visit->depth >= MAX_DEPTH)
        handover_fail(r->out, "its groups lie too deep");
    else if (info->type != H5L_TYPE_HARD)
        handover_fail(r->out, "%.100s is no hard link", path);
    else if (visit_object(r, H5Oopen(group, name, H5P_DEFAULT), name, path, visit))
        return 0;
    return -1;
}

static bool read_groups(struct reading *r, const char *root)
{
    hid_t group = open_path(r, r->file, root);
    struct visit visit = {r, "layers", 0, false};
    bool good = group >= 0 && H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, visit_link, &visit) >= 0;
    return (good && handover_text(r->out, "naming", "group", 5)) ||
           handover_fail(r->out, "its group %s cannot be read", root);
}

/* ---- Keras 2's layout ---- */

static bool read_layer(struct reading *r, hid_t weights, const char *layer)
{
    struct strings names = {.n = 0};
    hid_t group = open_path(r, weights, layer);
    bool good = group >= 0 && read_list(r, group, "weight_names", &names);
    for (size_t i = 0; good && i < names.n; i++) {
        char name[PATH_BYTES];
        hid_t dataset = open_path(r, group, names.texts[i]);
        snprintf(name, sizeof name, "%06zu %.900s", r->n++, names.texts[i]);
        good = dataset >= 0 && H5Iget_type(dataset) == H5I_DATASET && add_dataset(r, dataset, name, true);
        if (!good)
            handover_fail(r->out, "tensor %.200s is missing", names.texts[i]);
    }
    strings_free(&names);
    H5Oclose(group);
    return good || handover_fail(r->out, "the weights of layer %.100s cannot be read", layer);
}

static bool read_positions(struct reading *r, hid_t weights)
{
    struct strings layers;
    bool good = read_list(r, weights, "layer_names", &layers);
    for (size_t i = 0; good && i < layers.n; i++)
        good = read_layer(r, weights, layers.texts[i]);
    strings_free(&layers);
    return good && handover_text(r->out, "naming", "position", 8);
}

bool hdf5_read(struct handover *out, const unsigned char *bytes, size_t n)
{
    /* The library neither copies nor writes the image, because the file is opened for reading. */
    hid_t file =
        H5LTopen_file_image((void *)(uintptr_t)bytes, n, H5LT_FILE_IMAGE_DONT_COPY | H5LT_FILE_IMAGE_DONT_RELEASE);
    struct reading r = {.out = out, .file = file};
    out->read = read_data;
    if (file < 0)
        return handover_fail(out, "the HDF5 library cannot open it: it is damaged or cut short");
    hid_t root = open_path(&r, file, ""),
          whole = exists(file, "model_weights") ? open_path(&r, file, "model_weights") : -1;
    if (root < 0)
        return handover_fail(out, "its root group cannot be opened");
    if (!keep_text(&r, root, "model_config", "config") || !keep_text(&r, root, "keras_version", "keras_version"))
        return false;
    if (whole >= 0)
        return read_positions(&r, whole);
    if (exists(file, "layers"))
        return read_groups(&r, "layers");
    if (exists(file, "_layer_checkpoint_dependencies"))
        return read_groups(&r, "_layer_checkpoint_dependencies");
    if (H5Aexists(root, "layer_names") > 0 || H5Aexists(root, "layer_names0") > 0)
        return read_positions(&r, root);
    return handover_fail(out, "this HDF5 file holds no weights of Keras");
}
