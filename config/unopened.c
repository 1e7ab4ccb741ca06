/* Messages about files that cannot be opened. */
#include "unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first folder on the way to path that may not be entered, or path itself; in out. */
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
