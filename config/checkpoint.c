/* Opens the files of a checkpoint for the load helper. */
#include "checkpoint.h"

#include "config/files/archive.h"
#include "open_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARDS = 1000 };
static const off_t max_file_bytes = (off_t)1 << 34;
static const char index_ending[] = ".index";

bool checkpoint_is_index(const char *name)
{
    size_t n = strlen(name), m = sizeof index_ending - 1;
    return n > m && *name != '.' && !strcmp(name + n - m, index_ending);
}

/* The number of data files, which the name of the first one contains; 0 if there is no data file. */
static size_t count_shards(const char *prefix)
{
    char folder[PATH_MAX], first[PATH_MAX];
    const char *slash = strrchr(prefix, '/');
    unsigned n = 0;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - prefix) + 1 : 1, slash ? prefix : ".");
    int length = snprintf(first, sizeof first, "%s.data-00000-of-", slash ? slash + 1 : prefix);
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && !n && (entry = readdir(dir)))
        if (!strncmp(entry->d_name, first, (size_t)length) && sscanf(entry->d_name + length, "%5u", &n) != 1)
            n = 0;
    if (dir)
        closedir(dir);
    return n;
}

/* Open the index, the metadata (/dev/null if there is none) and the data files. Returns the number of open files. */
static size_t open_files(int *files, const char *index, const char *metadata, const char *prefix, size_t n_shards,
                         struct problems *problems)
{
    char path[PATH_MAX + 32];
    size_t n = 0;
    files[n] = open_regular(index, max_file_bytes, problems);
    if (files[n] < 0)
        return n;
    files[++n] = metadata ? open_regular(metadata, max_file_bytes, problems) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (files[n] < 0)
        return n;
    n++;
    for (size_t i = 0; i < n_shards; i++, n++) {
        snprintf(path, sizeof path, "%s.data-%05zu-of-%05zu", prefix, i, n_shards);
        files[n] = open_regular(path, max_file_bytes, problems);
        if (files[n] < 0)
            return n;
    }
    return n;
}

bool checkpoint_open(struct tensor_set *set, const char *index, const char *metadata, struct problems *problems)
{
    char prefix[PATH_MAX];
    struct place place = {metadata ? metadata : index, NULL};
    enum bundle_metadata kind = !metadata                             ? BUNDLE_CHECKPOINT
                                : strstr(metadata, "/keras_metadata") ? BUNDLE_KERAS
                                                                      : BUNDLE_SAVED;
    *set = (struct tensor_set){.n = 0};
    snprintf(prefix, sizeof prefix, "%.*s", (int)(strlen(index) - (sizeof index_ending - 1)), index);
    size_t n_shards = count_shards(prefix);
    if (!n_shards || n_shards > MAX_SHARDS) {
        problem_reason(problems, "its data files are missing");
        problem_error(problems, place,
                      "expected 1 to %d data files %.200s.data-00000-of-00001 and on beside its index, found %zu",
                      MAX_SHARDS, prefix, n_shards);
        return false;
    }
    int *files = calloc(n_shards + 2, sizeof *files);
    if (!files) {
        problem_error(problems, place, "out of memory");
        return false;
    }
    size_t n = open_files(files, index, metadata, prefix, n_shards, problems);
    bool good = n == n_shards + 2 && archive_open_bundle(set, kind, files, n, place.file, problems);
    while (n)
        close(files[--n]);
    free(files);
    return good;
}
