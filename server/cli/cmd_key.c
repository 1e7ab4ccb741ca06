/* key: makes a key, and the line for the file of keys. The key itself is printed once and not stored. */
#include "cli.h"

#include "config/key_file.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_BYTES = 32, TEXT_BYTES = 64 };

/* "csk_" and 43 characters of base64url: 256 random bits. */
static bool make_key(char out[TEXT_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char bytes[RANDOM_BYTES + 1] = {0};
    if (getrandom(bytes, RANDOM_BYTES, 0) != RANDOM_BYTES)
        return false;
    out = stpcpy(out, "csk_");
    for (size_t bit = 0; bit < (size_t)RANDOM_BYTES * 8; bit += 6) {
        unsigned two = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        *out++ = digits[two >> (10 - bit % 8) & 63];
    }
    *out = 0;
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

struct wanted {
    const char *name, *scopes, *models, *rate;
};

static int read_arguments(const struct command *command, int argc, char **argv, struct wanted *wanted)
{
    for (int i = 0; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--models") ? &wanted->models
                             : !strcmp(argv[i], "--rate") ? &wanted->rate
                                                          : NULL;
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return cli_help(command);
        if (value && i + 1 == argc)
            return cli_bad_usage(command, "a value is missing after", argv[i]);
        if (value)
            *value = argv[++i];
        else if (!strncmp(argv[i], "--", 2))
            return cli_bad_usage(command, "unknown option", argv[i]);
        else if (!wanted->name)
            wanted->name = argv[i];
        else if (!wanted->scopes)
            wanted->scopes = argv[i];
        else
            return cli_bad_usage(command, "unexpected argument", argv[i]);
    }
    if (!wanted->scopes)
        return cli_bad_usage(command, "a name and scopes are missing", NULL);
    return -1;
}

/* Check the line with the server's own reader. */
static bool is_good_line(const char *line)
{
    struct problems problems = {.n_errors = 0};
    struct key_list list;
    bool good = key_list_read(line, strlen(line), "the key", &list, &problems) && list.n == 1;
    for (size_t i = 0; i < problems.n_errors; i++)
        fprintf(stderr, "cellserve key: %s\n", strstr(problems.errors[i], "line 1: ") + strlen("line 1: "));
    key_list_close(&list);
    problems_close(&problems);
    return good;
}

int command_key(const struct command *command, int argc, char **argv)
{
    struct wanted wanted = {NULL, NULL, NULL, NULL};
    char key[TEXT_BYTES], line[4096], hex[2 * KEY_DIGEST_BYTES + 1];
    unsigned char digest[KEY_DIGEST_BYTES];
    int code = read_arguments(command, argc, argv, &wanted);
    if (code >= 0)
        return code;
    if (!make_key(key) || gnutls_hash_fast(GNUTLS_DIG_SHA256, key, strlen(key), digest)) {
        fprintf(stderr, "cellserve key: the system gives no random numbers: %s\n", strerror(errno));
        return EXIT_BAD_INPUT;
    }
    for (size_t i = 0; i < KEY_DIGEST_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    int n = snprintf(line, sizeof line, "%s:%s:%s%s%s%s%s", wanted.name, wanted.scopes, hex, wanted.models ? ":" : "",
                     wanted.models ? wanted.models : "", wanted.rate ? ":rate=" : "", wanted.rate ? wanted.rate : "");
    if (n >= (int)sizeof line)
        return cli_bad_usage(command, "the line for the file of keys would be too long; give fewer models", NULL);
    if (!is_good_line(line))
        return EXIT_BAD_USAGE;
    printf("%s\n%s\n", key, line);
    fflush(stdout);
    fprintf(stderr, "The first line is the key. Give it to its user: cellserve does not store it.\n"
                    "Append the second line to the file that auth.keys names.\n");
    explicit_bzero(key, sizeof key);
    return EXIT_GOOD;
}
