/* The command line: the subcommands, and functions that they share. */
#ifndef SERVER_CLI_CLI_H
#define SERVER_CLI_CLI_H

#include "config/model.h"
#include "config/settings.h"

enum { EXIT_GOOD = 0, EXIT_BAD_INPUT = 1, EXIT_BAD_USAGE = 2 };

/* A flag of one command that is not a setting. Its value is written to *value. */
struct cli_flag {
    const char *name;
    const char **value;
};

/* The arguments as read. */
struct cli {
    struct settings settings;
    struct problems problems;
    const char *positional; /* MODEL or URL, or NULL */
    const char **more;      /* further positional arguments, only for serve; owned */
    size_t n_more;
    const char *seed, *input_size, *precision;
};

struct command {
    const char *name, *usage, *help;
    bool takes_settings;
    int (*run)(const struct command *command, int argc, char **argv);
};

/* A flag of some commands (" serve check ") that is not a setting. argument is NULL if the flag has no value. The table
   ends with a NULL flag. */
struct command_flag {
    const char *commands, *flag, *argument, *help;
};
extern const struct command_flag command_flags[];

bool command_takes_flag(const char *command, const struct command_flag *flag);
/* Print the flags of a command for its help. */
void command_print_flags(const char *command, FILE *out);

/* The i-th command, NULL past the last. */
const struct command *command_at(size_t i);

int command_serve(const struct command *command, int argc, char **argv);
int command_check(const struct command *command, int argc, char **argv);
int command_inspect(const struct command *command, int argc, char **argv);
int command_describe(const struct command *command, int argc, char **argv);
int command_predict(const struct command *command, int argc, char **argv);
int command_verify(const struct command *command, int argc, char **argv);
int command_bench(const struct command *command, int argc, char **argv);
int command_key(const struct command *command, int argc, char **argv);
int command_health(const struct command *command, int argc, char **argv);
int command_print(const struct command *command, int argc, char **argv);

/**
 * Read arguments: the settings' flags (for commands that take them), --config, --seed, --input-size, --precision, the flags of the
 * command (flags ends with a NULL name) and at most one positional, or many of serve.
 * Settings are read from the file, then the environment, then the flags. Returns -1 to go on, or the exit code:
 * 0 after --help, 2 after bad usage (said on stderr). Problems of values are left in cli->problems.
 */
int cli_read(struct cli *cli, const struct command *command, const struct cli_flag *flags, int argc, char **argv);
void cli_close(struct cli *cli);

/* Remove a flag without a value from the arguments. Returns whether the flag was given. */
bool cli_take_switch(int *argc, char **argv, const char *flag);

/* The value of an option as a whole number from 1 to max. Returns 0 with a message on stderr if the text is not such a
   number. */
size_t cli_count(const char *flag, const char *text, size_t max);

/* Print an error about the arguments (argument may be NULL) and the usage of the command. Returns EXIT_BAD_USAGE. */
int cli_bad_usage(const struct command *command, const char *text, const char *argument);

/* Print the help of a command on standard output. Returns EXIT_GOOD. */
int cli_help(const struct command *command);

/* Print all errors and warnings to stderr, one a line. Returns EXIT_BAD_INPUT when there are errors, else EXIT_GOOD. */
int cli_problems(const struct problems *problems);

/* Add the positional MODEL, with --seed, --input-size and --precision, to the settings' models. False: out of memory. */
bool cli_add_model(struct cli *cli);

/* Load the positional MODEL alone, as the commands without a server do. False with the problems printed. */
bool cli_load_model(struct cli *cli, const struct command *command, struct model *model);

/* The kernels that CELLSERVE_ISA names, or the best ones. Returns NULL with a problem added if this CPU has no kernels
   of this name. */
const struct vec_ops *cli_kernels(struct problems *problems);

#endif
