/* A transform names a file if its JSON contains the file's name in quotes. This simple test is enough here. */
#include "companions.h"

#include "open_file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { MAX_TEXT_BYTES = 1 << 20 };

static bool is_transform(const char *name)
{
    static const char ending[] = ".transform.json";
    size_t n = strlen(name), m = sizeof ending - 1;
    return !strcmp(name, "transform.json") || (n > m && !strcmp(name + n - m, ending));
}

static bool file_has(const char *path, const char *text)
{
    struct problems ignored = {.n_errors = 0};
    int fd = open_regular(path, MAX_TEXT_BYTES, &ignored);
    char *bytes = fd < 0 ? NULL : malloc(MAX_TEXT_BYTES);
    ssize_t n = bytes ? read(fd, bytes, MAX_TEXT_BYTES) : 0;
    bool has = n > 0 && memmem(bytes, (size_t)n, text, strlen(text));
    free(bytes);
    if (fd >= 0)
        close(fd);
    problems_close(&ignored);
    return has;
}

bool companion_is(const char *folder, const char *name)
{
    char path[PATH_MAX], quoted[NAME_MAX + 3];
    bool found = is_transform(name);
    DIR *dir = found ? NULL : opendir(folder);
    const struct dirent *entry;
    snprintf(quoted, sizeof quoted, "\"%.255s\"", name);
    while (dir && !found && (entry = readdir(dir)))
        found = is_transform(entry->d_name) &&
                snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path &&
                file_has(path, quoted);
    if (dir)
        closedir(dir);
    return found;
}

static bool has_transform(const char *folder)
{
    bool found = false;
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && !found && (entry = readdir(dir)))
        found = is_transform(entry->d_name);
    if (dir)
        closedir(dir);
    return found;
}

uint64_t companions_stamp(const char *folder)
{
    if (!has_transform(folder)) /* read once: otherwise each file would need a pass over the folder */
        return 0;
    uint64_t sum = 0;
    char path[PATH_MAX];
    struct stat info;
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (*entry->d_name == '.' || !companion_is(folder, entry->d_name) ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path || stat(path, &info))
            continue;
        const int64_t stamp[] = {(int64_t)info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
        sum += XXH3_64bits(stamp, sizeof stamp); /* independent of the order */
    }
    if (dir)
        closedir(dir);
    return sum;
}
