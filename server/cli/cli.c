/* Reads the arguments of a command. */
#include "cli.h"

#include "config/environment.h"

#include "server/codec/number_lanes.h"
#include "terminal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_bad_usage(const struct command *command, const char *text, const char *argument)
{
    fprintf(stderr, "cellserve %s: %s%s%s\nusage: cellserve %s %s\n", command->name, text, argument ? " " : "",
            argument ? argument : "", command->name, command->usage);
    return EXIT_BAD_USAGE;
}

int cli_help(const struct command *command)
{
    printf("%susage:%s cellserve %s %s\n\n%s\n", terminal_style(stdout, STYLE_BOLD),
           terminal_style(stdout, STYLE_PLAIN), command->name, command->usage, command->help);
    command_print_flags(command->name, stdout);
    if (command->takes_settings) {
        printf("\nSettings. They can also stand in the configuration file (limits.max_rows) and in the environment\n"
               "(CELLSERVE_LIMITS_MAX_ROWS). The environment overrides the file, and a flag overrides both:\n");
        settings_help(stdout);
    }
    return EXIT_GOOD;
}

/* A flag and its value, kept until the file and the environment have been read. */
struct given {
    const struct setting *setting;
    const char *flag, *value;
};

/* The value of argv[*i]: after '=', or the next argument; a bare boolean is true. */
static const char *value_of(const struct setting *setting, char **argv, int argc, int *i, char *equals)
{
    if (equals)
        return equals + 1;
    bool has_next = *i + 1 < argc && strncmp(argv[*i + 1], "--", 2);
    if (setting && setting->type == SETTING_BOOL &&
        (!has_next || (strcmp(argv[*i + 1], "true") && strcmp(argv[*i + 1], "false"))))
        return "true";
    return *i + 1 < argc ? argv[++*i] : NULL;
}

/* Reports an unknown flag, and suggests the command's flag with the most similar name. */
static int unknown_flag(const struct command *command, const char *name)
{
    char spelt[64][48], hint[100], text[180];
    const char *known[96];
    size_t n = 0;
    for (const struct command_flag *flag = command_flags; flag->flag && n < 31; flag++)
        if (command_takes_flag(command->name, flag))
            known[n++] = flag->flag;
    for (const struct setting *row = settings_table; command->takes_settings && row->key; row++) {
        char *at = spelt[row - settings_table];
        settings_flag_name(row, at, sizeof spelt[0]);
        known[n++] = at;
    }
    known[n] = NULL;
    snprintf(text, sizeof text, "%s%s", name, nearest_hint(name, known, hint, sizeof hint));
    return cli_bad_usage(command, "unknown option", text);
}

static const char **flag_target(const struct cli_flag *flags, const char *name)
{
    for (; flags && flags->name; flags++)
        if (!strcmp(flags->name, name))
            return flags->value;
    return NULL;
}

bool cli_add_model(struct cli *cli)
{
    if (!settings_add_model(&cli->settings, cli->positional))
        return false;
    struct model_entry *entry = &cli->settings.models[cli->settings.n_models - 1];
    char *end;
    if (cli->seed) {
        errno = 0;
        entry->seed = strtoull(cli->seed, &end, 10);
        if (errno || *end || end == cli->seed || *cli->seed == '-')
            problem_error(&cli->problems, (struct place){"--seed", NULL}, "expected a whole number, found \"%.40s\"",
                          cli->seed);
    }
    if (cli->input_size) {
        errno = 0;
        unsigned long long size = strtoull(cli->input_size, &end, 10);
        if (errno || *end || end == cli->input_size || *cli->input_size == '-' || !size || size > 1 << 24)
            problem_error(&cli->problems, (struct place){"--input-size", NULL},
                          "expected a whole number from 1 to 16777216, found \"%.40s\"", cli->input_size);
        else
            entry->input_size = (size_t)size;
    }
    if (cli->precision && !packed_format_find(cli->precision, &entry->precision))
        problem_error(&cli->problems, (struct place){"--precision", NULL},
                      "expected float32, bf16 or int8, found \"%.40s\"", cli->precision);
    return true;
}

/* If the folder has a cellserve.json, put the path of this file into out: the folder is served as the file says. */
static bool has_config(const char *folder, char out[PATH_MAX])
{
    return folder && snprintf(out, PATH_MAX, "%s/cellserve.json", folder) < PATH_MAX && !access(out, F_OK);
}

/* The settings have copies; what remains is what other users see in /proc/PID/cmdline. "--sessions-store=redis://…" is
   one argument. */
static void hide_passwords(const struct given *given, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (given[i].setting->type == SETTING_TEXT)
            environment_hide_password((char *)(uintptr_t)given[i].value);
}

int cli_read(struct cli *cli, const struct command *command, const struct cli_flag *flags, int argc, char **argv)
{
    struct given given[64];
    size_t n_given = 0;
    const char *config = NULL;
    char own[PATH_MAX];
    *cli = (struct cli){.positional = NULL};
    settings_init(&cli->settings);
    cli->more = calloc((size_t)argc + 1, sizeof *cli->more);
    if (!cli->more) {
        fprintf(stderr, "cellserve %s: out of memory\n", command->name);
        return EXIT_BAD_INPUT;
    }
    const struct cli_flag common[] = {{"--config", &config},
                                      {"--seed", &cli->seed},
                                      {"--input-size", &cli->input_size},
                                      {"--precision", &cli->precision},
                                      {NULL, NULL}};
    for (int i = 0; i < argc; i++) {
        char *argument = argv[i], name[64];
        if (!strcmp(argument, "--help") || !strcmp(argument, "-h"))
            return cli_help(command);
        if (strncmp(argument, "--", 2)) {
            if (cli->positional && command->run != command_serve)
                return cli_bad_usage(command, "unexpected argument", argument);
            if (cli->positional)
                cli->more[cli->n_more++] = argument;
            else
                cli->positional = argument;
            continue;
        }
        char *equals = strchr(argument, '=');
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - argument) : 63, argument);
        const struct setting *setting = command->takes_settings ? settings_flag(name) : NULL;
        const char **target = flag_target(flags, name);
        if (!target)
            target = flag_target(common, name);
        if (!setting && !target)
            return unknown_flag(command, name);
        const char *value = value_of(setting, argv, argc, &i, equals);
        if (!value)
            return cli_bad_usage(command, "a value is missing after", name);
        if (target)
            *target = value;
        else if (n_given < 64)
            given[n_given++] = (struct given){setting, argument, value};
    }
    if (!config && !cli->n_more && command->run == command_serve && has_config(cli->positional, own)) {
        config = own;
        cli->positional = NULL;
    }
    if (config)
        settings_read_file(&cli->settings, config, &cli->problems);
    if (command->takes_settings)
        settings_read_environment(&cli->settings, &cli->problems);
    for (size_t i = 0; i < n_given; i++)
        settings_set(&cli->settings, given[i].setting, given[i].value, given[i].flag, &cli->problems);
    hide_passwords(given, n_given);
    return -1;
}

bool cli_take_switch(int *argc, char **argv, const char *flag)
{
    for (int i = 0; i < *argc; i++)
        if (!strcmp(argv[i], flag)) {
            memmove(argv + i, argv + i + 1, (size_t)(--*argc - i) * sizeof *argv);
            return true;
        }
    return false;
}

void cli_close(struct cli *cli)
{
    settings_close(&cli->settings);
    problems_close(&cli->problems);
    free(cli->more);
}

size_t cli_count(const char *flag, const char *text, size_t max)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!errno && !*end && end != text && *text != '-' && value >= 1 && value <= max)
        return (size_t)value;
    fprintf(stderr, "%s: expected a whole number from 1 to %zu, found \"%s\"\n", flag, max, text);
    return 0;
}

int cli_problems(const struct problems *problems)
{
    for (size_t i = 0; i < problems->n_warnings; i++)
        fprintf(stderr, "%swarning:%s %s\n", terminal_style(stderr, STYLE_YELLOW), terminal_style(stderr, STYLE_PLAIN),
                problems->warnings[i]);
    for (size_t i = 0; i < problems->n_errors; i++)
        fprintf(stderr, "%s%s%s\n", terminal_style(stderr, STYLE_RED), problems->errors[i],
                terminal_style(stderr, STYLE_PLAIN));
    if (problems->all_errors > problems->n_errors)
        fprintf(stderr, "and %zu more problem%s\n", problems->all_errors - problems->n_errors,
                problems->all_errors - problems->n_errors == 1 ? "" : "s");
    return problems->all_errors ? EXIT_BAD_INPUT : EXIT_GOOD;
}

const struct vec_ops *cli_kernels(struct problems *problems)
{
    const char *name = getenv("CELLSERVE_ISA");
    const struct vec_ops *ops = vec_select(name), *each;
    if (ops) {
        number_lanes_choose(ops->name);
        return ops;
    }
    char known[128] = "";
    for (size_t i = 0; (each = vec_available(i)); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", each->name);
    problem_error(problems, (struct place){"CELLSERVE_ISA", NULL}, "expected one of %s on this CPU, found \"%.40s\"",
                  known, name);
    return NULL;
}

bool cli_load_model(struct cli *cli, const struct command *command, struct model *model)
{
    if (!cli->positional) {
        cli_bad_usage(command, "a MODEL is missing", NULL);
        return false;
    }
    bool good = cli_add_model(cli);
    const struct vec_ops *kernels = cli_kernels(&cli->problems);
    terminal_progress("loading %s ...", cli->positional);
    good = good && kernels && !cli->problems.all_errors &&
           model_load(&cli->settings.models[cli->settings.n_models - 1], NULL, kernels, &cli->problems, model);
    terminal_progress_end();
    return cli_problems(&cli->problems) == EXIT_GOOD && good;
}
