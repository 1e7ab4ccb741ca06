#include "target.h"

#include <string.h>
#include <strings.h>

const char *target_path(const char *target)
{
    size_t scheme = !strncasecmp(target, "http://", 7) ? 7 : !strncasecmp(target, "https://", 8) ? 8 : 0;
    size_t authority = scheme ? strcspn(target + scheme, "/@") : 0;
    const char *path = target + scheme + authority;
    if (!scheme)
        return target;
    return !authority || *path == '@' ? "" : *path ? path : "/";
}
