/* Opens only regular files: opening a device may have effects, and opening a FIFO blocks. */
#include "open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write the first folder of the path that the process may not enter, or path itself, to out. */
static void find_barrier(const char *path, char out[PATH_MAX])
{
    for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
        snprintf(out, PATH_MAX, "%.*s", (int)(slash - path), path);
        if (faccessat(AT_FDCWD, out, X_OK, AT_EACCESS))
            return;
    }
    snprintf(out, PATH_MAX, "%s", path);
}

void problem_unopened(struct problems *problems, struct place place, int error)
{
    char barrier[PATH_MAX];
    struct stat info;
    problem_reason(problems, strerrordesc_np(error));
    if (error == EACCES)
        find_barrier(place.file, barrier);
    if (error != EACCES || stat(barrier, &info))
        problem_error(problems, place, "%s", strerror(error));
    else
        problem_error(
            problems, place,
            "%s: %.300s has mode %04o and owner %u:%u, and this process runs as %u:%u; let others read it, or "
            "run as its owner",
            strerror(error), barrier, (unsigned)info.st_mode & 07777, info.st_uid, info.st_gid, geteuid(), getegid());
}

static const char *not_regular(mode_t mode)
{
    return S_ISDIR(mode)    ? "expected a regular file, found a folder"
           : S_ISFIFO(mode) ? "expected a regular file, found a FIFO"
           : S_ISSOCK(mode) ? "expected a regular file, found a socket"
                            : "expected a regular file, found a device";
}

int open_regular(const char *path, off_t most, struct problems *problems)
{
    struct place place = {path, NULL};
    struct stat info;
    int fd = -1;
    /* Check the type before opening, because opening a device may have effects. The opened file is checked again, since
       it may have been replaced in between. */
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
