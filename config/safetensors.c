/* The safetensors format: a length, a JSON header, raw tensors. Everything is checked before it is believed. */
#include "tensors.h"

#include "core/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 100000000 };

static const struct {
    const char *name;
    enum tensor_type type;
    size_t width;
} types[] = {
    {"F32", TENSOR_F32, 4},   {"F64", TENSOR_F64, 8},   {"F16", TENSOR_F16, 2},   {"BF16", TENSOR_BF16, 2},
    {"I64", TENSOR_I64, 8},   {"I32", TENSOR_I32, 4},   {"I16", TENSOR_OTHER, 2}, {"I8", TENSOR_OTHER, 1},
    {"U64", TENSOR_OTHER, 8}, {"U32", TENSOR_OTHER, 4}, {"U16", TENSOR_OTHER, 2}, {"U8", TENSOR_U8, 1},
    {"BOOL", TENSOR_U8, 1},
};

/* A whole number that fits a size_t. */
static bool read_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

/* One entry of the header. Returns what is wrong with it, or NULL; *begin and *end are its bytes. */
static const char *read_entry(struct named_tensor *tensor, const json_t *entry, size_t *begin, size_t *end)
{
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
    size_t width = 0, bytes;
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, type)) {
            tensor->type = types[i].type;
            width = types[i].width;
        }
    if (!width)
        return "unknown dtype";
    if (!(tensor->type_name = strdup(type)))
        return "out of memory";
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_MAX_RANK)
        return "expected a shape of at most 8 dimensions";
    tensor->rank = json_array_size(shape);
    tensor->elements = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        if (!read_size(json_array_get(shape, i), &tensor->shape[i]) ||
            !rnn_size_mul(tensor->elements, tensor->shape[i], &tensor->elements))
            return "a shape with a dimension that is no size, or too large";
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), begin) ||
        !read_size(json_array_get(offsets, 1), end) || *begin > *end)
        return "expected data_offsets [begin, end]";
    if (!rnn_size_mul(tensor->elements, width, &bytes) || bytes != *end - *begin)
        return "data_offsets do not span shape and dtype";
    return NULL;
}

struct span {
    size_t begin, end;
};

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* No overlap and no hole: sorted spans follow each other over the whole buffer. */
static bool covers(struct span *spans, size_t n, size_t bytes)
{
    size_t at = 0;
    qsort(spans, n, sizeof *spans, by_begin);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].begin != at)
            return false;
        at = spans[i].end;
    }
    return at == bytes;
}

static int by_data(const void *a, const void *b)
{
    const struct named_tensor *x = a, *y = b;
    return x->data < y->data ? -1 : x->data > y->data;
}

static bool read_header(struct tensor_set *set, json_t *header, const unsigned char *data, size_t data_bytes,
                        const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    size_t size = json_object_size(header);
    const char *key;
    json_t *entry;
    struct span *spans = calloc(size + 1, sizeof *spans);
    set->tensors = calloc(size + 1, sizeof *set->tensors);
    bool good = spans && set->tensors;
    if (!good)
        problem_error(problems, place, "out of memory");
    json_object_foreach(header, key, entry) {
        if (!good || !strcmp(key, "__metadata__"))
            continue;
        struct named_tensor *tensor = &set->tensors[set->n];
        struct span *span = &spans[set->n++];
        tensor->name = strdup(key);
        const char *wrong = tensor->name ? read_entry(tensor, entry, &span->begin, &span->end) : "out of memory";
        if (!wrong && span->end > data_bytes)
            wrong = "its data lies beyond the end of the file";
        if (wrong) {
            problem_error(problems, place, "tensor \"%.80s\": %s", key, wrong);
            good = false;
        } else {
            tensor->data = data + span->begin;
        }
    }
    if (good && !covers(spans, set->n, data_bytes)) {
        problem_error(problems, place, "its tensors overlap, leave holes, or do not cover the file");
        good = false;
    }
    free(spans);
    set->metadata = json_incref(json_object_get(header, "__metadata__"));
    if (good)
        qsort(set->tensors, set->n, sizeof *set->tensors, by_data);
    return good;
}

bool safetensors_parse(struct tensor_set *set, const unsigned char *bytes, size_t n, const char *path,
                       struct problems *problems)
{
    struct place place = {path, NULL};
    json_error_t error;
    uint64_t length = 0;
    for (size_t i = 8; n > 8 && i-- > 0;)
        length = length << 8 | bytes[i];
    bool good = false;
    if (!length || length > MAX_HEADER || length > n - 8 || bytes[8] != '{') {
        problem_error(problems, place, "not a safetensors file: no JSON header after its first 8 bytes");
    } else {
        json_t *header = json_loadb((const char *)bytes + 8, length, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(header))
            problem_error(problems, place, "header: %s (at byte %d)", error.text, error.position);
        else
            good = read_header(set, header, bytes + 8 + length, n - 8 - length, path, problems);
        json_decref(header);
    }
    if (!good)
        tensor_set_close(set);
    return good;
}

bool safetensors_map(struct tensor_set *set, int fd, const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    *set = (struct tensor_set){0};
    if (fstat(fd, &info) || info.st_size < 8) {
        problem_error(problems, place, "not a safetensors file: shorter than its first 8 bytes");
        return false;
    }
    void *file = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) {
        problem_error(problems, place, "cannot map it: %s", strerror(errno));
        return false;
    }
    set->file = file;
    set->file_bytes = (size_t)info.st_size;
    return safetensors_parse(set, file, set->file_bytes, path, problems);
}

bool safetensors_read(struct tensor_set *set, int fd, const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    size_t n = 0;
    ssize_t got = 1;
    *set = (struct tensor_set){0};
    if (fstat(fd, &info) || !S_ISREG(info.st_mode) || info.st_size < 8) {
        problem_error(problems, place, "not a safetensors file: shorter than its first 8 bytes");
        return false;
    }
    unsigned char *bytes = set->memory = rnn_alloc((size_t)info.st_size, 1);
    while (bytes && n < (size_t)info.st_size && (got = pread(fd, bytes + n, (size_t)info.st_size - n, (off_t)n)) > 0)
        n += (size_t)got;
    if (bytes && got > 0)
        return safetensors_parse(set, bytes, n, path, problems);
    problem_error(problems, place, "%s",
                  !bytes    ? "out of memory"
                  : got < 0 ? strerror(errno)
                            : "it became shorter while it was read; put new files in place by renaming them");
    tensor_set_close(set);
    return false;
}

bool safetensors_open(struct tensor_set *set, const char *path, struct problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *set = (struct tensor_set){0};
    if (fd < 0) {
        problem_error(problems, (struct place){path, NULL}, "%s", strerror(errno));
        return false;
    }
    bool good = safetensors_read(set, fd, path, problems);
    close(fd);
    return good;
}
