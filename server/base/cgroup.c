/* Reads limits of cgroups. Source: cgroups(7), the kernel's Documentation/admin-guide/cgroup-v2.rst. */
#include "cgroup.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

size_t cgroup_read(const char *folder, const char *name, char *out, size_t size)
{
    char path[PATH_BYTES + 256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(out, 1, size - 1, file) : 0;
    if (file)
        fclose(file);
    out[n] = 0;
    return n;
}

/* Whether a word is in "cpu,cpuacct". */
static bool has_word(const char *list, size_t length, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at < list + length; at += strcspn(at, ",:") + 1)
        if (!strncmp(at, word, n) && (at[n] == ',' || at[n] == ':'))
            return true;
    return false;
}

/* The process's cgroup, a path from the hierarchy's root, in lines of "4:memory:/path" (version 2: "0::/path"). A path
   outside of the visible hierarchy ("/../…") counts as the root. */
static bool find_own(const char *lines, const char *controller, char out[PATH_BYTES])
{
    for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            return false;
        size_t length = (size_t)(path - list - 1);
        if (controller ? !has_word(list + 1, length, controller) : length > 0 || *line != '0')
            continue;
        snprintf(out, PATH_BYTES, "%.*s", (int)strcspn(path + 1, "\n"), path + 1);
        if (strstr(out, "/..") || !strcmp(out, "/"))
            *out = 0;
        return true;
    }
    return false;
}

static uint64_t least_below(const char *hierarchy, const char *own, cgroup_limit *limit)
{
    char folder[2 * PATH_BYTES];
    uint64_t least = 0;
    size_t top = (size_t)snprintf(folder, sizeof folder, "%s", hierarchy);
    snprintf(folder + top, sizeof folder - top, "%s", own);
    for (;;) {
        uint64_t found = limit(folder);
        if (found && (!least || found < least))
            least = found;
        char *slash = strrchr(folder + top, '/');
        if (!slash)
            return least;
        *slash = 0;
    }
}

uint64_t cgroup_least(const char *root, const char *controller, cgroup_limit *limit)
{
    char lines[2 * PATH_BYTES], own[PATH_BYTES], hierarchy[PATH_BYTES], proc[PATH_BYTES];
    snprintf(proc, sizeof proc, "%s/proc/self", root);
    if (!cgroup_read(proc, "cgroup", lines, sizeof lines) || !find_own(lines, controller, own))
        return 0;
    snprintf(hierarchy, sizeof hierarchy, "%s/sys/fs/cgroup%s%s", root, controller ? "/" : "",
             controller ? controller : "");
    uint64_t least = least_below(hierarchy, own, limit);
    if (least || controller)
        return least;
    snprintf(hierarchy, sizeof hierarchy, "%s/sys/fs/cgroup/unified", root); /* beside version 1 */
    return least_below(hierarchy, own, limit);
}
