/* Reads settings from the environment, one variable for each, and reports unknown variables. */
#include "environment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_VARIABLES = 192, VARIABLE_BYTES = 64, PREFIX_BYTES = sizeof "CELLSERVE_" - 1 };

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* Kubernetes sets these variables in a container for each Service of its namespace. A Service named "cellserve" or
   "cellserve-redis" has CELLSERVE_SERVICE_HOST, CELLSERVE_SERVICE_PORT(_HTTP), CELLSERVE_PORT=tcp://10.0.0.1:80,
   CELLSERVE_PORT_80_TCP(_ADDR, _PORT, _PROTO). Source: kubernetes/pkg/kubelet/envvars. */
static bool is_service_link(const char *name, const char *value)
{
    static const char *const ends[] = {"_TCP", "_UDP", "_SCTP"}, *const more[] = {"", "_ADDR", "_PORT", "_PROTO"};
    const char *port = strstr(name, "_SERVICE_PORT");
    if (ends_with(name, "_SERVICE_HOST") || (port && (!port[13] || port[13] == '_')))
        return true;
    if (ends_with(name, "_PORT") && strstr(value, "://"))
        return true;
    for (port = name; (port = strstr(port, "_PORT_")); port++) {
        const char *protocol = port + 6 + strspn(port + 6, "0123456789");
        char end[16];
        for (size_t i = 0; protocol > port + 6 && i < 12; i++) {
            snprintf(end, sizeof end, "%s%s", ends[i / 4], more[i % 4]);
            if (!strcmp(protocol, end))
                return true;
        }
    }
    return false;
}

/* Variables that are not settings: those of the kernels, of docker/ and of the tests. */
static bool is_other(const char *name)
{
    static const char *const others[] = {"CELLSERVE_ISA", "CELLSERVE_IMAGE", "CELLSERVE_PUBLISH", "CELLSERVE_BINARY",
                                         "CELLSERVE_WRAPPER"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i], name))
            return true;
    return !strncmp(name, "CELLSERVE_TEST_", 15);
}

/* Report an unknown variable, and suggest a known one. CELLSERVE_MAX_ROWS (without a section) and CELLSERVE_PORT_FILE
   (numbers cannot be read from files) are unknown, too. */
static void check_name(const char *name, char (*known)[VARIABLE_BYTES], size_t n, struct problems *problems)
{
    const char *names[MAX_VARIABLES + 1], *meant = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(known[i]);
        if (!strcmp(known[i], name))
            return;
        if (ends_with(known[i], name + PREFIX_BYTES - 1) ||
            (!strncmp(known[i], name, length) && !strcmp(name + length, "_FILE")))
            meant = known[i] + PREFIX_BYTES;
        names[i] = known[i] + PREFIX_BYTES;
    }
    names[n] = NULL;
    if (!meant)
        meant = nearest_word(name + PREFIX_BYTES, names);
    if (meant)
        problem_error(problems, (struct place){name, NULL}, "unknown variable; did you mean \"CELLSERVE_%s\"?", meant);
    else
        problem_error(problems, (struct place){name, NULL}, "unknown variable");
}

/* Report every variable with the prefix CELLSERVE_ that the server does not read. */
static void check_names(struct problems *problems)
{
    char known[MAX_VARIABLES][VARIABLE_BYTES];
    size_t n = 0;
    for (const struct setting *row = settings_table; row->key && n + 1 < MAX_VARIABLES; row++) {
        settings_variable(row, known[n++], VARIABLE_BYTES);
        if (row->type == SETTING_TEXT) { /* paths and lists are not secrets */
            settings_variable(row, known[n], VARIABLE_BYTES - 5);
            memcpy(known[n] + strlen(known[n]), "_FILE", 6);
            n++;
        }
    }
    for (char **each = environ; each && *each; each++) {
        char name[256];
        size_t length = strcspn(*each, "=");
        if (strncmp(*each, "CELLSERVE_", PREFIX_BYTES) || length >= sizeof name)
            continue;
        memcpy(name, *each, length);
        name[length] = 0;
        if (!is_other(name) && !is_service_link(name, *each + length + ((*each)[length] == '=')))
            check_name(name, known, n, problems);
    }
}

/* NAME_FILE: the value is the first line of a file. Containers get secrets in this way. */
static void set_from_file(struct settings *settings, const struct setting *row, const char *name,
                          struct problems *problems)
{
    char file_name[80], value[1024];
    snprintf(file_name, sizeof file_name, "%s_FILE", name);
    const char *path = getenv(file_name);
    if (!path)
        return;
    FILE *file = fopen(path, "r");
    if (file && fgets(value, sizeof value, file)) {
        value[strcspn(value, "\r\n")] = 0;
        settings_set(settings, row, value, file_name, problems);
    } else {
        problem_error(problems, (struct place){file_name, NULL}, "cannot read %s: %s", path,
                      file ? "it is empty" : strerror(errno));
    }
    if (file)
        fclose(file);
}

/* The value of a variable, unless Kubernetes has set it to the address of a Service. */
static const char *value_of(const char *name)
{
    const char *value = getenv(name);
    return value && !is_service_link(name, value) ? value : NULL;
}

void environment_hide_password(char *address)
{
    char *scheme = strstr(address, "://"), *sign = strrchr(address, '@');
    if (scheme && sign > scheme)
        memset(scheme + 3, '*', (size_t)(sign - scheme - 3));
}

const char *environment_port(const char **name)
{
    static const char *const names[] = {"CELLSERVE_PORT", "PORT", "AIP_HTTP_PORT"}; /* the last one is for Vertex AI */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = value_of(names[i]);
        *name = names[i];
        if (value)
            return value;
    }
    return NULL;
}

void settings_read_environment(struct settings *settings, struct problems *problems)
{
    for (const struct setting *row = settings_table; row->key; row++) {
        char variable[VARIABLE_BYTES];
        const char *name = variable, *value;
        settings_variable(row, variable, sizeof variable);
        value = !strcmp(row->key, "port") ? environment_port(&name) : value_of(variable);
        if (value)
            settings_set(settings, row, value, name, problems);
        else if (row->type == SETTING_TEXT)
            set_from_file(settings, row, name, problems);
        if (value && row->type == SETTING_TEXT)
            environment_hide_password(getenv(variable));
    }
    check_names(problems);
}
