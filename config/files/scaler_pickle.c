/* Runs in the load helper. The state of an object is a dict of attributes. Numbers and arrays of numbers are kept. */
#include "scaler_pickle.h"

#include "config/json_memory.h"
#include "pickle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MAX_NUMBERS = 1 << 20, MAX_PLAIN_BYTES = 64 << 20 };

/* The first bytes of files that joblib has compressed. */
static const struct packing {
    const char *magic;
    size_t bytes;
    const char *name; /* NULL: zlib reads it */
} packings[] = {
    {"\x78\x01", 2, NULL},          {"\x78\x5e", 2, NULL},    {"\x78\x9c", 2, NULL},
    {"\x78\xda", 2, NULL},          {"\x1f\x8b", 2, NULL},    {"BZh", 3, "bz2"},
    {"ZF", 2, "an old joblib"},     {"\xfd\x37zXZ", 5, "xz"}, {"\x5d\x00\x00", 3, "lzma"},
    {"\x04\x22\x4d\x18", 4, "lz4"},
};

static const struct packing *packing_of(const unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++)
        if (n > packings[i].bytes && !memcmp(bytes, packings[i].magic, packings[i].bytes))
            return &packings[i];
    return NULL;
}

/* Whether a file may be a pickle: of protocol 2 to 5, or (0 and 1) one that begins with a dict or a class. */
static bool is_pickle(const unsigned char *bytes, size_t n)
{
    bool marked = n > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
    return marked || (n > 2 && (!memcmp(bytes, "(d", 2) || !memcmp(bytes, "cc", 2) || !memcmp(bytes, "cs", 2)));
}

/* Decompress zlib or gzip. Returns NULL with the error set. */
static unsigned char *unpack(struct handover *handover, const unsigned char *bytes, size_t n, size_t *plain_bytes)
{
    size_t room = 4 * n + 4096;
    unsigned char *plain = NULL;
    z_stream stream = {.next_in = (unsigned char *)(uintptr_t)bytes, .avail_in = (uInt)n};
    int status = n < MAX_PLAIN_BYTES ? inflateInit2(&stream, 15 + 32) : Z_MEM_ERROR;
    bool good = status == Z_OK;
    while (good && status == Z_OK) {
        unsigned char *grown = room <= MAX_PLAIN_BYTES ? realloc(plain, room) : NULL;
        if (!grown)
            break;
        plain = grown;
        stream.next_out = plain + stream.total_out;
        stream.avail_out = (uInt)(room - stream.total_out);
        status = inflate(&stream, Z_NO_FLUSH);
        room *= stream.avail_out ? 1 : 2;
        if (status == Z_OK && !stream.avail_in && stream.avail_out)
            break; /* cut short */
    }
    *plain_bytes = stream.total_out;
    if (good)
        inflateEnd(&stream);
    if (status == Z_STREAM_END)
        return plain;
    free(plain);
    handover_fail(handover, "it is compressed, and damaged or far too large");
    return NULL;
}

/* ---- attributes ---- */

/* An array of numbers with at most one axis ([1, n] counts as [n]); NULL for other values. */
static json_t *array_to_json(const struct pickle_value *value)
{
    struct pickle_array array;
    if (pickle_array_read(value, &array) || !strchr("fiub", array.type) || array.elements > MAX_NUMBERS)
        return NULL;
    if (!array.rank)
        return json_real(pickle_array_number(&array, 0));
    json_t *list = json_array();
    for (size_t i = 0; i < array.elements; i++)
        json_array_append_new(list, json_real(pickle_array_number(&array, i)));
    if (json_array_size(list) == array.elements) /* JSON cannot represent NaN and Infinity */
        return list;
    json_decref(list);
    return NULL;
}

static json_t *to_json(const struct pickle_value *value, int depth)
{
    double number;
    if (value->kind == PICKLE_NONE)
        return json_null();
    if (value->kind == PICKLE_BOOL)
        return json_boolean(value->integer);
    if (value->kind == PICKLE_TEXT)
        return json_stringn(value->text, value->bytes);
    if (pickle_is_array(value))
        return array_to_json(value);
    if (pickle_number(value, &number))
        return json_real(number);
    if (depth || (value->kind != PICKLE_TUPLE && value->kind != PICKLE_LIST) || value->n > MAX_NUMBERS)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < value->n; i++)
        json_array_append_new(list, to_json(value->members[i], 1));
    return list;
}

/* "StandardScaler" from "sklearn.preprocessing._data.StandardScaler"; for a value that is not an object, its kind. */
static const char *class_of(const struct pickle_value *value)
{
    static const char *const kinds[] = {"None",  "bool",  "int",  "int", "float", "str",
                                        "bytes", "tuple", "list", "set", "dict"};
    if (value->kind != PICKLE_OBJECT)
        return value->kind <= PICKLE_DICT ? kinds[value->kind] : "object";
    const char *name = value->class && value->class->text ? value->class->text : "object", *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* Whether a class belongs to this library. Other libraries may have classes with the same name that compute something
   else. */
static bool is_known_library(const struct pickle_value *value)
{
    return value->kind == PICKLE_OBJECT && value->class && !strncmp(value->class->text, "sklearn.", 8);
}

static json_t *describe(const struct pickle_value *value)
{
    json_t *json = json_object();
    const struct pickle_value *state = value->kind == PICKLE_OBJECT ? value->state : NULL;
    bool known = is_known_library(value);
    json_object_set_new(json, "class_name",
                        known || value->kind != PICKLE_OBJECT ? json_string(class_of(value))
                                                              : json_string(value->class->text));
    for (size_t i = 0; known && state && state->kind == PICKLE_DICT && i + 1 < state->n; i += 2) {
        const struct pickle_value *key = state->members[i];
        json_t *one =
            key->kind == PICKLE_TEXT && strlen(key->text) == key->bytes ? to_json(state->members[i + 1], 0) : NULL;
        if (one && strcmp(key->text, "class_name"))
            json_object_set_new(json, key->text, one);
        else
            json_decref(one);
    }
    return json;
}

static bool read_plain(struct handover *handover, const unsigned char *bytes, size_t n)
{
    struct pickle pickle;
    bool good = pickle_read(&pickle, bytes, n) || handover_fail(handover, "%s", pickle.error);
    json_t *json = good ? describe(pickle.value) : NULL;
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    if (good && !text)
        good = handover_fail(handover, "out of memory");
    good = good && handover_text(handover, "scaler", text, strlen(text));
    json_memory_free(text);
    json_decref(json);
    pickle_close(&pickle);
    return good;
}

bool scaler_pickle_read(struct handover *handover, const unsigned char *bytes, size_t n)
{
    const struct packing *packing = packing_of(bytes, n);
    size_t plain_bytes;
    if (!packing && !is_pickle(bytes, n))
        return handover_fail(handover, "it is no file of a scaler: neither JSON, .npz, a pickle nor a joblib file");
    if (!packing)
        return read_plain(handover, bytes, n);
    if (packing->name)
        return handover_fail(
            handover,
            "it is compressed with %s, which cellserve does not read; save it again with joblib.dump(scaler, path)",
            packing->name);
    unsigned char *plain = unpack(handover, bytes, n, &plain_bytes);
    bool good = plain && read_plain(handover, plain, plain_bytes);
    free(plain);
    return good;
}
