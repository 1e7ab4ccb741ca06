/* Files of models, before they are read. */
#include "model_file.h"

#include "config/files/archive.h"
#include "unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *not_regular(mode_t mode)
{
    return S_ISDIR(mode)    ? "expected a regular file, found a folder"
           : S_ISFIFO(mode) ? "expected a regular file, found a FIFO"
           : S_ISSOCK(mode) ? "expected a regular file, found a socket"
                            : "expected a regular file, found a device";
}

int model_file_open(const char *path, off_t most, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    int fd = -1;
    /* Looked at first: opening a device may have effects. What is opened may be another file by then. */
    if (stat(path, &info) ||
        (S_ISREG(info.st_mode) &&
         ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0 || fstat(fd, &info)))) {
        problem_unopened(problems, place, errno);
    } else if (!S_ISREG(info.st_mode)) {
        problem_reason(problems, not_regular(info.st_mode));
        problem_error(problems, place, "%s", not_regular(info.st_mode));
    } else if (info.st_size > most) {
        problem_reason(problems, "the file is too large");
        problem_error(problems, place, "expected a file of at most %lld MiB, found one of %lld",
                      (long long)(most >> 20), (long long)(info.st_size >> 20));
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
