/* Reads the safetensors format: a length, a JSON header, raw tensors. Every value is checked before it is used. */
#include "tensors.h"

#include "config/json_memory.h"
#include "core/arena.h"
#include "json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_HEADER = 100000000, /* the limit of the format's own library */
    MAX_TENSORS = 65536,
    MAX_ENTRY = 65536,                       /* bytes of one tensor's entry, and of its name */
    MAX_TEXT = 2 * JSON_FILE_MAX_BYTES + 64, /* of one text of the metadata: a configuration with escaped quotes */
    MAX_TEXTS = 4096,
};

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

/* Read one entry of the header. Returns NULL or the error. *begin and *end are the range of its bytes. */
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

/* Check that the tensors have no overlap and no gap: sorted spans must cover the whole buffer. */
static bool covers(struct span *spans, size_t n, size_t bytes)
{
    size_t at = 0;
    if (n)
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

/* ---- the header ---- */

/* The header is read member by member, so that it needs little memory besides its text: a header may have 100 MB, for
   which jansson would need 4 GB. */
struct header {
    const char *text;
    size_t n, at; /* bytes, and those read */
    struct tensor_set *set;
    struct span *spans;
    size_t room, members; /* of tensors; of the metadata */
    const unsigned char *data;
    size_t data_bytes;
    char tensor[84]; /* at fault, for the message */
    json_error_t error;
};

static void skip_space(struct header *h)
{
    while (h->at < h->n && h->text[h->at] && strchr(" \t\r\n", h->text[h->at]))
        h->at++;
}

/* Skip white space and this character, if it comes next. */
static bool skip(struct header *h, char c)
{
    skip_space(h);
    bool found = h->at < h->n && h->text[h->at] == c;
    h->at += found;
    return found;
}

/* The next value, if it has at most the given number of bytes. NULL with a sentence in the error. */
static json_t *next_value(struct header *h, size_t most)
{
    size_t left = h->n - h->at;
    json_t *value = json_memory_load(h->text + h->at, left < most ? left : most,
                                     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &h->error);
    if (value)
        h->at += (size_t)h->error.position;
    return value;
}

/* Read the members of an object. `take` reads the value of each. Returns NULL or the error. */
static const char *read_members(struct header *h, const char *(*take)(struct header *h, const char *key))
{
    if (!skip(h, '{'))
        return "expected an object";
    if (skip(h, '}'))
        return NULL;
    do {
        json_t *key = next_value(h, MAX_ENTRY);
        const char *wrong = !key                   ? h->error.text
                            : !json_is_string(key) ? "expected a name"
                            : !skip(h, ':')        ? "expected ':'"
                                                   : take(h, json_string_value(key));
        json_decref(key);
        if (wrong)
            return wrong;
    } while (skip(h, ','));
    return skip(h, '}') ? NULL : "expected ',' or '}'";
}

static const char *take_text(struct header *h, const char *key)
{
    skip_space(h);
    if (h->at == h->n || h->text[h->at] != '"')
        return "expected a text in __metadata__";
    json_t *value = next_value(h, MAX_TEXT);
    if (!value)
        return h->error.text;
    if (json_object_get(h->set->metadata, key)) {
        json_decref(value);
        return "duplicate object key in __metadata__";
    }
    if (h->members++ == MAX_TEXTS) {
        json_decref(value);
        return "more texts in __metadata__ than are read";
    }
    return json_object_set_new(h->set->metadata, key, value) ? "out of memory" : NULL;
}

static bool grow(struct header *h)
{
    struct tensor_set *set = h->set;
    if (set->n < h->room)
        return true;
    size_t room = h->room ? 2 * h->room : 64;
    struct named_tensor *tensors = realloc(set->tensors, room * sizeof *tensors);
    if (tensors)
        set->tensors = tensors;
    struct span *spans = tensors ? realloc(h->spans, room * sizeof *spans) : NULL;
    if (spans) {
        h->spans = spans;
        h->room = room;
    }
    return spans != NULL;
}

static const char *take_tensor(struct header *h, const char *key)
{
    struct tensor_set *set = h->set;
    if (!strcmp(key, "__metadata__")) {
        if (set->metadata)
            return "duplicate object key __metadata__";
        set->metadata = json_object();
        return set->metadata ? read_members(h, take_text) : "out of memory";
    }
    json_t *entry = next_value(h, MAX_ENTRY);
    if (!entry)
        return h->error.text;
    const char *wrong = set->n == MAX_TENSORS ? "more tensors than are read" : !grow(h) ? "out of memory" : NULL;
    if (!wrong) {
        struct named_tensor *tensor = &set->tensors[set->n];
        struct span *span = &h->spans[set->n++];
        *tensor = (struct named_tensor){.name = strdup(key)};
        snprintf(h->tensor, sizeof h->tensor, "%.80s", key);
        wrong = tensor->name ? read_entry(tensor, entry, &span->begin, &span->end) : "out of memory";
        if (!wrong && span->end > h->data_bytes)
            wrong = "its data lies beyond the end of the file";
        if (!wrong) {
            h->tensor[0] = 0;
            tensor->data = h->data + span->begin;
        }
    }
    json_decref(entry);
    return wrong;
}

static int by_name(const void *a, const void *b)
{
    const struct named_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const char *read_header(struct header *h)
{
    struct tensor_set *set = h->set;
    const char *wrong = read_members(h, take_tensor);
    skip_space(h);
    if (!wrong && h->at < h->n)
        wrong = "something stands behind the object";
    if (wrong)
        return wrong;
    if (set->n)
        qsort(set->tensors, set->n, sizeof *set->tensors, by_name);
    for (size_t i = 1; i < set->n; i++)
        if (!strcmp(set->tensors[i - 1].name, set->tensors[i].name))
            return "duplicate object key";
    if (set->n)
        qsort(set->tensors, set->n, sizeof *set->tensors, by_data);
    return NULL;
}

bool safetensors_parse(struct tensor_set *set, const unsigned char *bytes, size_t n, const char *path,
                       struct problems *problems)
{
    struct place place = {path, NULL};
    uint64_t length = 0;
    for (size_t i = 8; n > 8 && i-- > 0;)
        length = length << 8 | bytes[i];
    bool good = false;
    if (!length || length > MAX_HEADER || length > n - 8 || bytes[8] != '{') {
        problem_error(problems, place, "not a safetensors file: no JSON header after its first 8 bytes");
    } else {
        struct header h = {.text = (const char *)bytes + 8,
                           .n = length,
                           .set = set,
                           .data = bytes + 8 + length,
                           .data_bytes = n - 8 - length};
        const char *wrong = read_header(&h);
        good = !wrong && covers(h.spans, set->n, h.data_bytes);
        if (wrong != h.error.text) /* the error quotes the file */
            problem_reason(problems, wrong ? wrong : good ? NULL : "its tensors do not cover the file");
        if (wrong && h.tensor[0])
            problem_error(problems, place, "tensor \"%s\": %s", h.tensor, wrong);
        else if (wrong)
            problem_error(problems, place, "header: %s (at byte %zu)", wrong, h.at);
        else if (!good)
            problem_error(problems, place, "its tensors overlap, leave holes, or do not cover the file");
        free(h.spans);
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
