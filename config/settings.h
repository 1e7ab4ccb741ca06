/* The server's settings: one table drives the file, the environment, the flags, --help and the README. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "core/packed.h"
#include "problems.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One model of the configuration. Strings are owned. */
struct model_entry {
    char *name;
    char *path;        /* as it can be opened: relative paths are taken from the configuration file's folder */
    json_t *transform; /* of raw values, or NULL; owned */
    json_t *layer;     /* inline layer configuration in place of path, or NULL; owned */
    char *where;       /* JSON pointer of the entry, for messages; "" on the command line */
    uint64_t seed;
    size_t input_size; /* 0: not given */
    size_t window; /* timesteps that sessions keep windows of; SIZE_MAX: as many as the model was made for; 0: none */
    enum packed_format precision;
    bool is_default, allow_nonfinite, watch;
};

struct settings {
    char *file; /* the configuration file, or NULL */
    char *host;
    int64_t port, workers, io_threads;
    bool pin;
    bool page; /* "/" is a page for browsers */
    int64_t max_batch_rows, max_queue_delay_us;
    int64_t max_body_bytes, max_rows, max_timesteps, max_queue, max_connections;
    int64_t read_timeout_ms, request_timeout_ms, drain_delay_ms, drain_timeout_ms;
    int64_t max_response_bytes, max_inflight_bytes, heartbeat_ms, max_streams;
    char *session_store;
    int64_t session_ttl_s, session_max, session_max_bytes;
    char *log_format, *log_level;
    char *tls_certificate, *tls_key, *tls_client_ca; /* files; "": none */
    char *auth_keys, *auth_open;                     /* a file; targets that need no key */
    int64_t rate_per_s, rate_burst;
    char *admin_host, *admin_socket;
    int64_t admin_port;
    char *cors_origins, *hosts;
    struct model_entry *models;
    size_t n_models;
    uint64_t given; /* a bit for each row of the table: by the file, the environment or a flag */
};

/* A path of the file is taken from the file's folder; a list is kept as one text, its items with commas between. */
enum setting_type { SETTING_INT, SETTING_BOOL, SETTING_TEXT, SETTING_PATH, SETTING_LIST };

struct setting {
    const char *key; /* "limits.max_rows" */
    enum setting_type type;
    size_t offset;        /* in struct settings */
    int64_t min, max;     /* of a number */
    const char *fallback; /* the default, as text */
    const char *choices;  /* of a text: "a|b", or NULL for any */
    const char *help;
};

/* The table; ends with a NULL key. */
extern const struct setting settings_table[];

/* A key of a model's entry, for documents; the table ends with a NULL key. */
struct setting_of_model {
    const char *key, *help;
};
extern const struct setting_of_model settings_of_models[];

/* "--limits-max-rows" */
void settings_flag_name(const struct setting *setting, char *out, size_t size);

/* Defaults. The settings hold no memory but what settings_close frees. */
void settings_init(struct settings *settings);

/* Read the configuration file. Every problem is added; models are listed, not loaded. */
void settings_read_file(struct settings *settings, const char *path, struct problems *problems);

/* A host without the brackets that an IPv6 address may stand in: "::" of "[::]". */
void settings_plain_host(const char *host, char *out, size_t size);

/* The environment variable of a setting: CELLSERVE_LIMITS_MAX_ROWS. */
void settings_variable(const struct setting *setting, char *out, size_t size);

/* The setting that a flag ("--limits-max-rows", "--log") stands for, or NULL. */
const struct setting *settings_flag(const char *flag);

/* Whether it is kept as a text of its own. */
bool setting_is_text(const struct setting *setting);

/* The next item of a list, of *bytes; NULL at its end. *at begins with the list. */
const char *settings_list_next(const char **at, size_t *bytes);

/* A path relative to the folder of the configuration file; free() it. */
char *settings_path_beside(const char *file, const char *path);

/* Set one setting from text; where names the place in a message. */
void settings_set(struct settings *settings, const struct setting *setting, const char *value, const char *where,
                  struct problems *problems);

/* The same from a value of JSON. */
void settings_set_json(struct settings *settings, const struct setting *setting, const json_t *value,
                       struct place place, struct problems *problems);

/* A text of JSON; NULL for other values, and for one with NUL in it, which would end early. */
const char *settings_text_of(const json_t *value);

/* What such a value is in place of a text, for messages. */
const char *settings_no_text(const json_t *value);

/* Whether a number, one of the settings' fields, was given, and is no default. Texts that are "" were not. */
bool settings_given(const struct settings *settings, const int64_t *number);

/* Lower a default to what suits the machine, but not below what may be set. What was given stays. */
void settings_lower(struct settings *settings, int64_t *number, int64_t most);

/* Whether there is an admin listener. */
bool settings_have_admin(const struct settings *settings);

/* What only the whole can show: combinations, and what this version does not do. */
void settings_check(struct settings *settings, struct problems *problems);

/* Add a model given on the command line as the default one, under the name of its file or folder without the ending, or
   "default" where that can be none. False: out of memory. */
bool settings_add_model(struct settings *settings, const char *path);

/* Give the model that was added last a name; where it can be none, a problem that says where it came from. */
void settings_name_model(struct settings *settings, const char *name, const char *where, struct problems *problems);

/* The value of a setting as text. */
void settings_show(const struct settings *settings, const struct setting *setting, char *out, size_t size);

/* The table for --help. */
void settings_help(FILE *out);

void settings_close(struct settings *settings);

#endif
