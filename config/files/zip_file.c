/* Reading zip archives by libzip: exact names, bounded sizes. */
#include "zip_file.h"

#include "config/json_memory.h"
#include "hdf5_file.h"
#include "json_file.h"
#include "npy.h"
#include "torch_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum { MAX_ENTRIES = 65536, MAX_METADATA_BYTES = 1 << 20, MAX_RATIO = 1032 };

bool zip_is(const unsigned char *bytes, size_t n)
{
    return n >= 4 && !memcmp(bytes, "PK\3\4", 4);
}

unsigned char *zip_extract(struct handover *out, struct zip *zip, size_t index, size_t limit, size_t *bytes)
{
    zip_stat_t info;
    const zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(zip, index, 0, &info) || (info.valid & needed) != needed) {
        handover_fail(out, "an entry of the archive cannot be read");
        return NULL;
    }
    if ((info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) ||
        info.encryption_method != ZIP_EM_NONE) {
        handover_fail(out, "its entry %.100s is encrypted, or neither stored nor deflated", info.name);
        return NULL;
    }
    if (info.size > limit || info.size / MAX_RATIO > info.comp_size) {
        handover_fail(out,
                      "its entry %.100s unpacks to %llu bytes; at most %zu are read, and at most %d times its "
                      "packed size",
                      info.name, (unsigned long long)info.size, limit, MAX_RATIO);
        return NULL;
    }
    unsigned char *data = malloc(info.size + 1);
    if (!data) {
        handover_fail(out, "out of memory for its entry %.100s", info.name);
        return NULL;
    }
    zip_file_t *file = zip_fopen_index(zip, index, 0);
    zip_int64_t got = file ? zip_fread(file, data, info.size) : -1;
    char more;
    bool good = got == (zip_int64_t)info.size && zip_fread(file, &more, 1) == 0 && !zip_fclose(file);
    if (good) {
        data[info.size] = 0;
        *bytes = info.size;
        return data;
    }
    free(data);
    handover_fail(out, "its entry %.100s is damaged", info.name);
    return NULL;
}

static unsigned char *extract_name(struct handover *out, zip_t *zip, const char *name, size_t limit, size_t *bytes)
{
    zip_int64_t index = zip_name_locate(zip, name, 0);
    if (index < 0) {
        handover_fail(out, "the archive has no %s", name);
        return NULL;
    }
    return zip_extract(out, zip, (size_t)index, limit, bytes);
}

/* ---- .keras ---- */

/* "assets/layers/string_lookup/vocabulary.txt", a word a line, becomes the text "vocabulary/layers/string_lookup". */
static bool read_vocabularies(struct handover *out, zip_t *zip)
{
    static const char folder[] = "assets/", file[] = "/vocabulary.txt";
    zip_int64_t n = zip_get_num_entries(zip, 0);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(zip, (zip_uint64_t)i, 0);
        size_t length = name ? strlen(name) : 0, bytes = 0;
        char key[160];
        if (length < sizeof folder + sizeof file || strncmp(name, folder, sizeof folder - 1) ||
            strcmp(name + length - (sizeof file - 1), file) || length > 140)
            continue;
        snprintf(key, sizeof key, "vocabulary/%.*s", (int)(length - (sizeof folder - 1) - (sizeof file - 1)),
                 name + sizeof folder - 1);
        unsigned char *text = zip_extract(out, zip, (size_t)i, JSON_FILE_MAX_BYTES, &bytes);
        bool good = text && handover_text(out, key, (char *)text, bytes);
        free(text);
        if (!good)
            return false;
    }
    return true;
}

static bool read_keras(struct handover *out, zip_t *zip)
{
    size_t config_bytes, metadata_bytes, weights_bytes;
    unsigned char *config = extract_name(out, zip, "config.json", JSON_FILE_MAX_BYTES, &config_bytes);
    unsigned char *metadata = extract_name(out, zip, "metadata.json", MAX_METADATA_BYTES, &metadata_bytes);
    json_t *parsed = metadata ? json_memory_load((char *)metadata, metadata_bytes, 0, NULL) : NULL;
    const char *version = json_string_value(json_object_get(parsed, "keras_version"));
    bool good = config && metadata && handover_text(out, "config", (char *)config, config_bytes) &&
                (!version || handover_text(out, "keras_version", version, strlen(version)));
    json_decref(parsed);
    free(config);
    free(metadata);
    good = good && read_vocabularies(out, zip);
    if (good && zip_name_locate(zip, "model.weights.npz", 0) >= 0)
        return handover_fail(out,
                             "its weights are pickled (model.weights.npz, written where h5py was missing); save the "
                             "model again with h5py installed");
    unsigned char *weights = good ? extract_name(out, zip, "model.weights.h5", out->limit, &weights_bytes) : NULL;
    return weights && hdf5_read(out, weights, weights_bytes); /* read from until the process ends */
}

/* ---- .npz ---- */

static bool read_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return true;
}

static bool add_array(struct handover *out, const char *name, unsigned char *bytes, size_t n)
{
    struct npy_array array;
    const char *wrong = npy_read(bytes, n, &array);
    if (wrong)
        return handover_fail(out, "its array %.100s: %s", name, wrong);
    struct handover_tensor *tensor =
        handover_add(out, name, array.tensor.type_name, array.width, array.tensor.rank, array.tensor.shape);
    if (tensor)
        tensor->data = array.tensor.data;
    if (tensor && array.fortran) {
        unsigned char *turned = malloc(tensor->bytes + 1);
        if (!turned)
            return handover_fail(out, "out of memory");
        npy_to_row_major(&array, turned);
        tensor->data = turned;
    }
    return tensor != NULL;
}

/* numpy.savez(file, *arrays) names them arr_0, arr_1, …; they may stand in any order. */
static bool is_positional(const char *name, size_t *position)
{
    char *end;
    if (strncmp(name, "arr_", 4) || name[4] < '0' || name[4] > '9')
        return false;
    *position = strtoul(name + 4, &end, 10);
    return !strcmp(end, ".npy");
}

static bool read_npz(struct handover *out, zip_t *zip, zip_uint64_t n)
{
    size_t position, positional = 0;
    out->read = read_data;
    for (zip_uint64_t i = 0; i < n; i++)
        positional += is_positional(zip_get_name(zip, i, 0), &position);
    for (zip_uint64_t i = 0; i < n; i++) {
        char name[1024], in_order[40];
        size_t bytes = 0, length;
        zip_int64_t index = (zip_int64_t)i;
        snprintf(in_order, sizeof in_order, "arr_%llu.npy", (unsigned long long)i);
        if (positional == n)
            index = zip_name_locate(zip, in_order, 0);
        if (index < 0)
            return handover_fail(out, "the archive has no %s", in_order);
        snprintf(name, sizeof name, "%s", zip_get_name(zip, (zip_uint64_t)index, 0));
        length = strlen(name);
        if (length < 5 || strcmp(name + length - 4, ".npy"))
            return handover_fail(out, "its entry %.100s is no array; expected a .keras or .npz archive", name);
        name[length - 4] = 0;
        unsigned char *data = zip_extract(out, zip, (size_t)index, out->limit - out->bytes + 65536, &bytes);
        if (!data || !add_array(out, name, data, bytes)) /* data is read from until the process ends */
            return false;
    }
    return positional == n ? handover_text(out, "naming", "position", 8) : handover_text(out, "naming", "names", 5);
}

bool zip_read(struct handover *out, const unsigned char *bytes, size_t n)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *source = zip_source_buffer_create(bytes, n, 0, &error);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) : NULL;
    if (!zip)
        return handover_fail(out, "the archive is damaged or cut short (%.100s)", zip_error_strerror(&error));
    zip_int64_t entries = zip_get_num_entries(zip, 0);
    if (entries < 1 || entries > MAX_ENTRIES)
        return handover_fail(out, "the archive has %lld entries", (long long)entries);
    for (zip_int64_t i = 0; i < entries; i++) {
        const char *name = zip_get_name(zip, (zip_uint64_t)i, 0), *slash = name ? strrchr(name, '/') : NULL;
        if (!name)
            return handover_fail(out, "an entry of the archive has no name");
        if (slash && !strcmp(slash, "/data.pkl"))
            return torch_zip_read(out, zip, (size_t)i);
    }
    return zip_name_locate(zip, "config.json", 0) >= 0 ? read_keras(out, zip)
                                                       : read_npz(out, zip, (zip_uint64_t)entries);
}
