/* Key files, in the form of "cellserve key". */
#include "access.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <unistd.h>

struct key_file key_file_new(const char *text)
{
    static int count;
    struct key_file file;
    snprintf(file.path, sizeof file.path, "/tmp/cellserve-test-%d-%d.keys", (int)getpid(), count++);
    key_file_write(&file, text);
    return file;
}

void key_file_write(const struct key_file *file, const char *text)
{
    char next[80];
    snprintf(next, sizeof next, "%s.next", file->path);
    FILE *out = fopen(next, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(rename(next, file->path), 0);
}

void key_file_remove(const struct key_file *file)
{
    unlink(file->path);
}

const char *key_line(const char *name, const char *scopes, const char *key, const char *more)
{
    static char lines[16][512];
    static int next;
    unsigned char digest[32];
    char *line = lines[next++ % 16];
    assert_int_equal(gnutls_hash_fast(GNUTLS_DIG_SHA256, key, strlen(key), digest), 0);
    int n = snprintf(line, 400, "%s:%s:", name, scopes);
    for (int i = 0; i < 32; i++)
        n += snprintf(line + n, 3, "%02x", digest[i]);
    snprintf(line + n, sizeof lines[0] - (size_t)n, "%s\n", more);
    return line;
}

struct reply ask_with_key(const struct daemon *daemon, const char *key, const char *method, const char *path,
                          const char *body)
{
    char header[256];
    const char *const headers[] = {header, NULL};
    snprintf(header, sizeof header, "Authorization: Bearer %s", key ? key : "");
    return http_request(daemon, method, path, body, key ? headers : NULL);
}
