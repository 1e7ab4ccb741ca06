/* Files of models, before they are read. */
#include "model_file.h"

#include "archive.h"
#include "unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int model_file_open(const char *path, off_t most, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info)) {
        problem_unopened(problems, place, errno);
    } else if (!S_ISREG(info.st_mode) || info.st_size > most) {
        problem_error(problems, place, "expected a regular file of at most %lld MiB", (long long)(most >> 20));
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

enum model_content model_file_content(int fd)
{
    unsigned char head[9] = {0};
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n > 0 && archive_is(head, (size_t)n))
        return CONTENT_ARCHIVE;
    return n == 9 && head[8] == '{' && !head[7] && !head[6] ? CONTENT_SAFETENSORS : CONTENT_JSON;
}
