/* The server's settings. One table defines the keys of the file, the variables of the environment, the flags, --help
   and the documents. */
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
    char *path;        /* the path for opening: a relative path was joined to the configuration file's folder */
    json_t *transform; /* of raw values, or NULL; owned */
    json_t *constants; /* values of inputs that the model is served with, or NULL; owned */
    json_t *states;    /* inputs, and the outputs that are their next values, or NULL; owned */
    json_t *layer;     /* inline layer configuration instead of path, or NULL; owned */
    char *where;       /* JSON pointer of the entry, for messages; "" on the command line */
    uint64_t seed;
    size_t input_size; /* 0: not given */
    size_t window;     /* timesteps of the windows that sessions keep; SIZE_MAX: the number in the model's file; 0: no
                      windows */
    enum packed_format precision;
    bool is_default, allow_nonfinite, watch;
};

struct settings {
    char *file; /* the configuration file, or NULL */
    char *host;
    int64_t port, workers, io_threads;
    bool pin;
    bool page; /* whether "/" answers browsers with the page */
    int64_t max_batch_rows, max_queue_delay_us;
    int64_t max_body_bytes, max_rows, max_timesteps, max_queue, max_connections;
    int64_t read_timeout_ms, request_timeout_ms, drain_delay_ms, drain_timeout_ms;
    int64_t max_response_bytes, max_inflight_bytes, heartbeat_ms, max_streams;
    char *session_store;
    int64_t session_ttl_s, session_max, session_max_bytes;
    char *log_format, *log_level;
    char *tls_certificate, *tls_key, *tls_client_ca; /* files; "": none */
    char *auth_keys, *auth_open;                     /* the file of keys; the targets that need no key */
    int64_t rate_per_s, rate_burst;
    char *admin_host, *admin_socket;
    int64_t admin_port;
    char *cors_origins, *hosts;
    struct model_entry *models;
    size_t n_models;
    uint64_t given; /* a bit for each row of the table: set if the file, the environment or a flag gave the setting */
};

/* A path in the file is relative to the file's folder. A list is stored as one text, with commas between its items. */
enum setting_type { SETTING_INT, SETTING_BOOL, SETTING_TEXT, SETTING_PATH, SETTING_LIST };

struct setting {
    const char *key; /* "limits.max_rows" */
    enum setting_type type;
    size_t offset;        /* in struct settings */
    int64_t min, max;     /* the range of a number */
    const char *fallback; /* the default, as text */
    const char *choices;  /* the values of a text: "a|b", or NULL for any */
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

/* Set the defaults. settings_close frees all memory of the settings. */
void settings_init(struct settings *settings);

/* Read the configuration file. Every problem is added. Models are listed, but not loaded. */
void settings_read_file(struct settings *settings, const char *path, struct problems *problems);

/* A host without the brackets of an IPv6 address: "::" for "[::]". */
void settings_plain_host(const char *host, char *out, size_t size);

/* The environment variable of a setting: CELLSERVE_LIMITS_MAX_ROWS. */
void settings_variable(const struct setting *setting, char *out, size_t size);

/* The setting of a flag ("--limits-max-rows", "--log"), or NULL. */
const struct setting *settings_flag(const char *flag);

/* Whether the setting is stored as an allocated text. */
bool setting_is_text(const struct setting *setting);

/* The next item of a list, with its length in *bytes; NULL at the end. Initially *at is the list. */
const char *settings_list_next(const char **at, size_t *bytes);

/* A path relative to the folder of the configuration file. The caller calls free. */
char *settings_path_beside(const char *file, const char *path);

/* Set one setting from a text. where is the place for messages. */
void settings_set(struct settings *settings, const struct setting *setting, const char *value, const char *where,
                  struct problems *problems);

/* The same from a value of JSON. */
void settings_set_json(struct settings *settings, const struct setting *setting, const json_t *value,
                       struct place place, struct problems *problems);

/* The text of a JSON string. NULL for other values, and for a string with a NUL character, which would end early in
   C. */
const char *settings_text_of(const json_t *value);

/* The type of a value that is not such a text, for messages. */
const char *settings_no_text(const json_t *value);

/* Whether a number of the settings was given, and is not a default. An empty text was not given. */
bool settings_given(const struct settings *settings, const int64_t *number);

/* Lower a default to a value that suits the machine, but not below its range. A value that was given stays. */
void settings_lower(struct settings *settings, int64_t *number, int64_t most);

/* Whether there is an admin listener. */
bool settings_have_admin(const struct settings *settings);

/* Check combinations of settings, after all settings have been read. */
void settings_check(struct settings *settings, struct problems *problems);

/* Add a model of the command line as the default model. Its name is the name of its file or folder without the ending,
   or "default" if this cannot be a model's name. Returns false if out of memory. */
bool settings_add_model(struct settings *settings, const char *path);

/* Rename the model that was added last. If the text cannot be a name, adds a problem; where says from which place the
   text came. */
void settings_name_model(struct settings *settings, const char *name, const char *where, struct problems *problems);

/* Write the value of a setting as text. */
void settings_show(const struct settings *settings, const struct setting *setting, char *out, size_t size);

/* Print the table for --help. */
void settings_help(FILE *out);

void settings_close(struct settings *settings);

#endif
