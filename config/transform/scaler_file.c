/* Reads a scaler's description from a file. The content of the file decides its format. */
#include "config/files/archive.h"
#include "config/files/json_file.h"
#include "config/open_file.h"
#include "scaler.h"

#include <string.h>
#include <unistd.h>

static const off_t max_bytes = (off_t)64 << 20;

/* Convert the arrays of an .npz file to an object. An array without axes becomes a number, so that a flag is a
   number. */
static json_t *of_arrays(const struct tensor_set *set)
{
    json_t *out = json_object();
    for (size_t i = 0; i < set->n; i++) {
        const struct named_tensor *t = &set->tensors[i];
        if (t->type == TENSOR_OTHER || t->elements > SCALER_MAX_COLUMNS)
            continue;
        json_t *value = t->rank ? json_array() : json_real(tensor_element(t, 0));
        for (size_t k = 0; t->rank && k < t->elements; k++)
            json_array_append_new(value, json_real(tensor_element(t, k)));
        json_object_set_new(out, t->name, value);
    }
    return out;
}

static json_t *read_archive(int fd, const char *path, struct problems *problems)
{
    struct tensor_set set;
    if (!archive_open_scaler(&set, fd, path, problems))
        return NULL;
    const char *pickled = tensor_set_text(&set, "scaler");
    json_t *json =
        pickled ? json_file_parse(pickled, strlen(pickled), "", (struct place){path, NULL}, problems) : of_arrays(&set);
    tensor_set_close(&set);
    return json;
}

json_t *scaler_file_read(const char *path, struct problems *problems)
{
    struct place place = {path, NULL};
    unsigned char head[9] = {0}; /* the last byte stays 0 */
    json_t *json = NULL;
    int fd = open_regular(path, max_bytes, problems);
    if (fd < 0)
        return NULL;
    ssize_t n = pread(fd, head, sizeof head - 1, 0);
    size_t space = strspn((const char *)head, " \t\r\n");
    if (n > 0 && head[space] == '{')
        json = json_file_read(fd, place, problems);
    else
        json = read_archive(fd, path, problems);
    close(fd);
    return json;
}
