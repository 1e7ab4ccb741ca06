/* Reads raw numbers at an offset of a file. The file is not mapped: if another program truncated it, a mapping would end
   this process with SIGBUS. */
#include "onnx_external.h"

#include "config/open_file.h"
#include "core/arena.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 16 };
static const off_t max_file_bytes = (off_t)1 << 34;

/* A walk through a graph. The first walk counts, the second one reads. */
struct walk {
    struct tensor_set *set;
    const char *file;
    struct problems *problems;
    bool reading;
    size_t n, bytes; /* so far */
    size_t room;     /* of set->memory, from the count */
    int fd;
    char open[PATH_MAX]; /* the path of fd */
};

static const struct {
    const char *name;
    enum tensor_type type;
    size_t width;
} types[] = {{"F32", TENSOR_F32, 4}, {"F64", TENSOR_F64, 8}, {"F16", TENSOR_F16, 2}, {"BF16", TENSOR_BF16, 2},
             {"I32", TENSOR_I32, 4}, {"I64", TENSOR_I64, 8}, {"U8", TENSOR_U8, 1}};

static bool refuse(struct walk *w, const char *location, const char *text)
{
    problem_reason(w->problems, "its external data cannot be read");
    problem_error(w->problems, (struct place){w->file, NULL}, "its external data in \"%.200s\" %s", location, text);
    return false;
}

/* A path within the model's folder. */
static bool is_inside(const char *location)
{
    const char *part = location;
    if (!*location || *location == '/' || strlen(location) > NAME_MAX)
        return false;
    for (size_t n; *part; part += n + (part[n] == '/')) {
        n = strcspn(part, "/");
        if (n == 2 && !strncmp(part, "..", 2))
            return false;
    }
    return true;
}

/* Write the folder of a path to out, without links. If `follow`, of the file that the path leads to. */
static bool real_folder(const char *path, bool follow, char out[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
    if (!realpath(follow ? path : folder, out))
        return false;
    if (follow)
        *strrchr(out, '/') = 0;
    return true;
}

/* Whether a path without links lies in the folder of the model, or in that of the file which the model's path is a link
   to: caches of downloads keep all files in one folder, and link to them. */
static bool is_beside(const char *model, const char *real)
{
    char folder[PATH_MAX];
    for (int follow = 0; follow < 2; follow++) {
        size_t n = real_folder(model, follow, folder) ? strlen(folder) : 0;
        if (n && !strncmp(real, folder, n) && real[n] == '/')
            return true;
    }
    return false;
}

static bool open_data(struct walk *w, const char *location)
{
    char path[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(w->file, '/');
    int n =
        snprintf(path, sizeof path, "%.*s%s", slash ? (int)(slash - w->file) + 1 : 0, slash ? w->file : "", location);
    if (n < 0 || (size_t)n >= sizeof path)
        return refuse(w, location, "has too long a path");
    if (w->fd >= 0 && !strcmp(path, w->open))
        return true;
    if (w->fd >= 0)
        close(w->fd);
    snprintf(w->open, sizeof w->open, "%s", path);
    w->fd = -1;
    if (!realpath(path, real))
        problem_unopened(w->problems, (struct place){path, NULL}, errno);
    else if (!is_beside(w->file, real))
        refuse(w, location, "is a link that leaves the model's folder");
    else
        w->fd = open_regular(real, max_file_bytes, w->problems);
    return w->fd >= 0;
}

static bool read_bytes(struct walk *w, const char *location, uint64_t offset, unsigned char *out, size_t bytes)
{
    struct stat info;
    if (fstat(w->fd, &info) || offset > (uint64_t)info.st_size || bytes > (uint64_t)info.st_size - offset)
        return refuse(w, location, "is cut short: a tensor reaches beyond the end of the file");
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(w->fd, out + done, bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return refuse(w, location, n ? "cannot be read" : "was cut short while it was read");
        done += (size_t)n;
    }
    return true;
}

/* A number of bytes in decimal digits; `otherwise` if there is no text. */
static bool number_of(const char *text, uint64_t otherwise, uint64_t *out)
{
    *out = text && *text ? 0 : otherwise;
    for (; text && *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(*text - '0'), out))
            return false;
    return true;
}

/* Read the description of an entry. */
static bool describe(struct walk *w, const json_t *entry, struct named_tensor *out, size_t *bytes)
{
    const char *type = json_string_value(json_object_get(entry, "type")),
               *location = json_string_value(json_object_get(entry, "location")),
               *length = json_string_value(json_object_get(entry, "length"));
    const json_t *shape = json_object_get(entry, "shape");
    uint64_t declared;
    *out = (struct named_tensor){.rank = json_array_size(shape), .elements = 1};
    *bytes = 0;
    if (!location || !is_inside(location))
        return refuse(w, location ? location : "", "lies outside the model's folder");
    for (size_t i = 0; type && i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, type)) {
            out->type = types[i].type;
            *bytes = types[i].width;
        }
    if (!*bytes || out->rank > TENSOR_MAX_RANK)
        return refuse(w, location, "has a type that is not read, or more than 8 axes");
    for (size_t i = 0; i < out->rank; i++) {
        json_int_t size = json_integer_value(json_array_get(shape, i));
        out->shape[i] = size < 0 ? SIZE_MAX : (size_t)size;
        if (!rnn_size_mul(out->elements, out->shape[i], &out->elements))
            return refuse(w, location, "is too large");
    }
    if (!rnn_size_mul(*bytes, out->elements, bytes) || *bytes > (size_t)max_file_bytes)
        return refuse(w, location, "is too large");
    if (!number_of(length, *bytes, &declared) || declared != *bytes)
        return refuse(w, location, "has a length that does not fit its tensor's shape");
    return true;
}

/* Count an entry, or read it and replace it by a name. */
static bool take_entry(struct walk *w, json_t *entry, json_t **name)
{
    struct named_tensor tensor;
    size_t bytes = 0;
    char text[40];
    const char *location = json_string_value(json_object_get(entry, "location")),
               *offset = json_string_value(json_object_get(entry, "offset")),
               *type = json_string_value(json_object_get(entry, "type"));
    uint64_t first;
    if (!describe(w, entry, &tensor, &bytes))
        return false;
    if (!number_of(offset, 0, &first))
        return refuse(w, location, "has an offset that is no number of bytes");
    size_t at = w->bytes;
    w->n++;
    w->bytes += rnn_round_up(bytes, 64);
    if (!w->reading)
        return w->bytes <= (size_t)max_file_bytes || refuse(w, location, "is too large");
    unsigned char *memory = (unsigned char *)w->set->memory + at;
    if (w->bytes > w->room || !open_data(w, location) || !read_bytes(w, location, first, memory, bytes))
        return false;
    snprintf(text, sizeof text, "external #%zu", w->n);
    tensor.name = strdup(text);
    tensor.type_name = strdup(type);
    tensor.data = memory;
    *name = json_string(text);
    w->set->tensors[w->set->n++] = tensor;
    return (tensor.name && tensor.type_name && *name) || refuse(w, location, "cannot be read: out of memory");
}

static bool is_entry(const json_t *json)
{
    return json_is_string(json_object_get(json, "location")) && json_is_string(json_object_get(json, "type")) &&
           json_is_array(json_object_get(json, "shape"));
}

/* Take each value that is an entry, at any depth. */
static bool walk_json(struct walk *w, json_t *json, unsigned depth)
{
    const char *key;
    json_t *value;
    void *next;
    size_t i;
    if (depth > 8 * MAX_DEPTH)
        return refuse(w, "", "is nested too deep");
    json_array_foreach(json, i, value)
        if ((json_is_object(value) || json_is_array(value)) && !walk_json(w, value, depth + 1))
            return false;
    json_object_foreach_safe(json, next, key, value)
    {
        json_t *name = NULL;
        if (is_entry(value)) {
            if (!take_entry(w, value, &name) || (name && json_object_set_new(json, key, name)))
                return false;
        } else if ((json_is_object(value) || json_is_array(value)) && !walk_json(w, value, depth + 1)) {
            return false;
        }
    }
    return true;
}

/* Allocate memory for the counted tensors. */
static bool make_room(struct walk *w)
{
    struct named_tensor *grown = realloc(w->set->tensors, (w->set->n + w->n) * sizeof *grown);
    if (!grown)
        return false;
    w->set->tensors = grown;
    w->set->memory = rnn_alloc(w->bytes, 1);
    w->room = w->bytes;
    w->n = w->bytes = 0;
    w->reading = true;
    return w->set->memory;
}

bool onnx_external_read(json_t *json, struct tensor_set *set, const char *file, struct problems *problems)
{
    struct walk *w = calloc(1, sizeof *w);
    if (!w) {
        problem_error(problems, (struct place){file, NULL}, "out of memory");
        return false;
    }
    *w = (struct walk){.set = set, .file = file, .problems = problems, .fd = -1};
    bool good = walk_json(w, json, 0);
    if (good && w->n) {
        good = make_room(w) ? walk_json(w, json, 0) : refuse(w, "", "cannot be read: out of memory");
    }
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    return good;
}
