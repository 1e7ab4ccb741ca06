/* Reads the containers of torch.save. Source: torch/serialization.py (_save, _legacy_save). */
#include "torch_file.h"

#include "torch_pickle.h"
#include "zip_file.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

enum { MAX_PICKLE_BYTES = 256 << 20, FOLDER_BYTES = 512 };

/* 0x1950a86a20f9469cfc6c as a pickle of protocol 2. */
static const unsigned char magic[] = {0x80, 2,    0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46,
                                      0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
static const long long legacy_protocol = 1001;

static bool is_legacy(const unsigned char *bytes, size_t n)
{
    return n >= 9 && !memcmp(bytes, magic, n < sizeof magic ? n : sizeof magic);
}

/* A tar archive whose first entry is sys_info. */
static bool is_oldest(const unsigned char *bytes, size_t n)
{
    return n >= 9 && !memcmp(bytes, "sys_info", 9);
}

bool torch_stream_is(const unsigned char *bytes, size_t n)
{
    return is_oldest(bytes, n) || (n >= 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5);
}

/* ---- before 1.6: pickles, then storages one behind the other ---- */

struct stream_storage {
    const char *key;
    size_t width; /* of an element */
    const unsigned char *data;
    size_t bytes;
};

struct stream {
    const unsigned char *bytes;
    size_t n, at;
    struct pickle value, keys;
    struct stream_storage *storages; /* by key */
    size_t n_storages;
};

static int by_key(const void *a, const void *b)
{
    const struct stream_storage *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static struct stream_storage *find_storage(const struct stream *s, const char *key)
{
    const struct stream_storage wanted = {.key = key};
    return s->n_storages ? bsearch(&wanted, s->storages, s->n_storages, sizeof wanted, by_key) : NULL;
}

static const unsigned char *find_in_stream(struct handover *out, void *from, const char *key, size_t *bytes)
{
    const struct stream_storage *found = find_storage(from, key);
    if (!found || !found->data) {
        handover_fail(out, "its storage %.40s is not in the file", key);
        return NULL;
    }
    *bytes = found->bytes;
    return found->data;
}

static bool next_pickle(struct handover *out, struct stream *s, struct pickle *pickle)
{
    if (!pickle_read(pickle, s->bytes + s->at, s->n - s->at))
        return handover_fail(out, "%s", pickle->error);
    s->at += pickle->used;
    return true;
}

/* The persistent ids of the pickle have the keys and types of the storages. */
static bool list_storages(struct handover *out, struct stream *s)
{
    const char *type;
    size_t n = 0;
    for (const struct pickle_value *v = s->value.persistent; v; v = v->items)
        n++;
    if (!(s->storages = calloc(n + 1, sizeof *s->storages)))
        return handover_fail(out, "out of memory");
    for (const struct pickle_value *v = s->value.persistent; v; v = v->items) {
        const struct pickle_value *key = pickle_at(v->args, 2);
        size_t width = torch_storage_width(pickle_at(v->args, 1), &type);
        if (pickle_is(pickle_at(v->args, 0), "storage") && key && key->kind == PICKLE_TEXT && width)
            s->storages[s->n_storages++] = (struct stream_storage){.key = key->text, .width = width};
    }
    if (s->n_storages)
        qsort(s->storages, s->n_storages, sizeof *s->storages, by_key);
    n = s->n_storages; /* one of each key */
    s->n_storages = 0;
    for (size_t i = 0; i < n; i++)
        if (!s->n_storages || by_key(&s->storages[i], &s->storages[s->n_storages - 1]))
            s->storages[s->n_storages++] = s->storages[i];
    return true;
}

/* Each storage: the number of its elements in 8 bytes, then the elements. They follow in the order of the keys. */
static bool place_storages(struct handover *out, struct stream *s)
{
    const struct pickle_value *key;
    for (size_t i = 0; (key = pickle_at(s->keys.value, i)); i++) {
        struct stream_storage *found = key->kind == PICKLE_TEXT ? find_storage(s, key->text) : NULL;
        uint64_t elements = 0;
        if (!found)
            return handover_fail(out, "it has a storage of a type that is not read; save model.float().state_dict()");
        if (s->n - s->at < 8)
            return handover_fail(out, "it is cut short: storage %zu is missing", i);
        for (size_t b = 8; b-- > 0;)
            elements = elements << 8 | s->bytes[s->at + b];
        s->at += 8;
        if (elements > (s->n - s->at) / found->width)
            return handover_fail(out, "it is cut short: storage %zu has %llu elements", i,
                                 (unsigned long long)elements);
        found->data = s->bytes + s->at;
        found->bytes = elements * found->width;
        s->at += found->bytes;
    }
    return true;
}

/* The protocol, and the layout of numbers on the machine that wrote the file. */
static bool read_preamble(struct handover *out, struct stream *s)
{
    struct pickle protocol, system;
    bool good = next_pickle(out, s, &protocol);
    if (good && (protocol.value->kind != PICKLE_INT || protocol.value->integer != legacy_protocol))
        good = handover_fail(out, "it is a file of torch.save of another protocol than %lld", legacy_protocol);
    pickle_close(&protocol);
    if (!good)
        return false;
    good = next_pickle(out, s, &system);
    const struct pickle_value *little = good ? pickle_get(system.value, "little_endian") : NULL;
    if (little && little->kind == PICKLE_BOOL && !little->integer)
        good = handover_fail(out, "it was written by a big-endian machine; load and save it on another");
    pickle_close(&system);
    return good;
}

/* Explain any other pickle. The reader of pickles reports calls, and this function reports the content. */
static bool refuse_pickle(struct handover *out, const unsigned char *bytes, size_t n)
{
    struct pickle pickle;
    bool good = pickle_read(&pickle, bytes, n);
    const struct pickle_value *value = pickle.value;
    if (!good)
        handover_fail(out, "%s", pickle.error);
    else
        handover_fail(out,
                      "this is a Python pickle of %.100s, no model file; save model.state_dict() with torch.save, or "
                      "arrays with numpy.savez",
                      value->kind == PICKLE_OBJECT ? value->class->text
                      : value->kind == PICKLE_DICT ? "a dict"
                                                   : "a value");
    pickle_close(&pickle);
    return false;
}

bool torch_stream_read(struct handover *out, const unsigned char *bytes, size_t n)
{
    struct stream s = {.bytes = bytes, .n = n, .at = sizeof magic};
    const struct torch_storages storages = {.from = &s, .find = find_in_stream};
    if (is_oldest(bytes, n))
        return handover_fail(out, "this is a file of torch.save before PyTorch 0.1.10, a tar archive; load it with a "
                                  "PyTorch of its time, and save model.state_dict() with a newer one");
    if (!is_legacy(bytes, n))
        return refuse_pickle(out, bytes, n);
    if (n < sizeof magic)
        return handover_fail(out, "it is a file of torch.save that is cut short");
    bool good = read_preamble(out, &s) && next_pickle(out, &s, &s.value) && next_pickle(out, &s, &s.keys) &&
                list_storages(out, &s) && place_storages(out, &s) && torch_pickle_take(out, s.value.value, &storages);
    pickle_close(&s.value);
    pickle_close(&s.keys);
    free(s.storages);
    return good;
}

/* ---- since 1.6: a zip archive ---- */

struct archive {
    zip_t *zip;
    char folder[FOLDER_BYTES];
    struct extracted {
        unsigned char *data;
        size_t bytes;
    } * entries; /* by their index in the archive; decompressed when a tensor first needs them */
    size_t left; /* bytes that may still be decompressed */
};

static const unsigned char *find_in_archive(struct handover *out, void *from, const char *key, size_t *bytes)
{
    struct archive *a = from;
    char name[FOLDER_BYTES + 80];
    snprintf(name, sizeof name, "%s/data/%.60s", a->folder, key);
    zip_int64_t i = zip_name_locate(a->zip, name, 0);
    if (i < 0) {
        handover_fail(out, "the archive has no %s", name);
        return NULL;
    }
    struct extracted *entry = &a->entries[i];
    if (!entry->data && (entry->data = zip_extract(out, a->zip, (size_t)i, a->left, &entry->bytes)))
        a->left -= entry->bytes;
    *bytes = entry->bytes;
    return entry->data;
}

/* Whether FOLDER/name is in the archive. */
static bool has(const struct archive *a, const char *name)
{
    char full[FOLDER_BYTES + 80];
    snprintf(full, sizeof full, "%s/%s", a->folder, name);
    return zip_name_locate(a->zip, full, 0) >= 0;
}

static bool check_byte_order(struct handover *out, const struct archive *a)
{
    char full[FOLDER_BYTES + 80];
    size_t bytes = 0;
    snprintf(full, sizeof full, "%s/byteorder", a->folder);
    zip_int64_t i = zip_name_locate(a->zip, full, 0);
    if (i < 0)
        return true;
    unsigned char *order = zip_extract(out, a->zip, (size_t)i, 64, &bytes);
    bool big = order && bytes == 3 && !memcmp(order, "big", 3);
    free(order);
    return order && (!big || handover_fail(out, "it was written by a big-endian machine; load and save it on another"));
}

static bool read_archive(struct handover *out, struct archive *a, size_t index)
{
    const struct torch_storages storages = {.from = a, .find = find_in_archive};
    struct pickle pickle;
    size_t n = 0;
    if (has(a, "constants.pkl"))
        return handover_fail(out, "this is a TorchScript file (torch.jit.save), whose program is not read; in Python: "
                                  "torch.save(torch.jit.load(FILE).state_dict(), \"model.pt\"), and write model.json");
    unsigned char *bytes = check_byte_order(out, a) ? zip_extract(out, a->zip, index, MAX_PICKLE_BYTES, &n) : NULL;
    if (!bytes)
        return false;
    bool good = pickle_read(&pickle, bytes, n) || handover_fail(out, "%s", pickle.error);
    good = good && torch_pickle_take(out, pickle.value, &storages);
    pickle_close(&pickle);
    free(bytes);
    return good;
}

bool torch_zip_read(struct handover *out, struct zip *zip, size_t index)
{
    struct archive a = {.zip = zip, .left = out->limit};
    const char *name = zip_get_name(zip, index, 0), *slash = name ? strrchr(name, '/') : NULL;
    zip_int64_t entries = zip_get_num_entries(zip, 0);
    if (!slash || slash - name >= FOLDER_BYTES)
        return handover_fail(out, "its entry data.pkl has too long a name");
    snprintf(a.folder, sizeof a.folder, "%.*s", (int)(slash - name), name);
    a.entries = calloc((size_t)entries + 1, sizeof *a.entries); /* stays open until the process ends */
    return a.entries ? read_archive(out, &a, index) : handover_fail(out, "out of memory");
}
