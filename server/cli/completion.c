/* Prints completion for bash and zsh, and the tables of documents. */
#include "cli.h"
#include "manual.h"
#include "server/base/error_codes.h"

#include <string.h>

/* Print each flag of a command by `format`. */
static void each_flag(const struct command *command, FILE *out,
                      void (*print)(FILE *out, const char *flag, const char *argument, const char *help))
{
    for (const struct command_flag *flag = command_flags; flag->flag; flag++)
        if (command_takes_flag(command->name, flag))
            print(out, flag->flag, flag->argument, flag->help);
    for (const struct setting *row = settings_table; command->takes_settings && row->key; row++) {
        char name[64];
        settings_flag_name(row, name, sizeof name);
        print(out, name, row->choices ? row->choices : row->type == SETTING_BOOL ? "true|false" : "value", row->help);
    }
    print(out, "--help", NULL, "print help");
}

static void bash_flag(FILE *out, const char *flag, const char *argument, const char *help)
{
    (void)argument;
    (void)help;
    fprintf(out, " %s", flag);
}

void completion_bash(FILE *out)
{
    const struct command *command;
    fputs("# bash completion for cellserve: `cellserve print bash` makes this file.\n_cellserve() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags\n"
          "    COMPREPLY=()\n    if [ \"$COMP_CWORD\" = 1 ] || { [ \"$COMP_CWORD\" = 2 ] && [ \"$before\" = help ]; }; "
          "then\n"
          "        COMPREPLY=($(compgen -W \"",
          out);
    for (size_t i = 0; (command = command_at(i)); i++)
        fprintf(out, "%s ", command->name);
    fputs("help --version --help\" -- \"$word\"))\n        return\n    fi\n    case $before in\n", out);
    for (const struct setting *row = settings_table; row->key; row++) {
        char name[64];
        settings_flag_name(row, name, sizeof name);
        if (row->choices || row->type == SETTING_BOOL)
            fprintf(out, "    %s) COMPREPLY=($(compgen -W \"$(echo '%s' | tr '|' ' ')\" -- \"$word\")); return ;;\n",
                    name, row->choices ? row->choices : "true|false");
    }
    fputs("    --log) COMPREPLY=($(compgen -W 'text json' -- \"$word\")); return ;;\n"
          "    --precision) COMPREPLY=($(compgen -W 'float32 bf16 int8' -- \"$word\")); return ;;\n    esac\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (size_t i = 0; (command = command_at(i)); i++) {
        fprintf(out, "    %s) flags=\"", command->name);
        each_flag(command, out, bash_flag);
        fputs("\" ;;\n", out);
    }
    fputs("    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n"
          "complete -o filenames -F _cellserve cellserve\n",
          out);
}

/* Print text inside single quotes and brackets of _arguments. */
static void zsh_text(FILE *out, const char *text)
{
    for (; *text && *text != '\n'; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:", *text))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void zsh_flag(FILE *out, const char *flag, const char *argument, const char *help)
{
    fprintf(out, " \\\n            '%s[", flag);
    zsh_text(out, help);
    fputs("]", out);
    if (argument && !strcmp(argument, "FILE")) {
        fputs(":file:_files", out);
    } else if (argument && strchr(argument, '|')) {
        fputs(":value:(", out);
        for (; *argument; argument++)
            fputc(*argument == '|' ? ' ' : *argument, out);
        fputs(")", out);
    } else if (argument) {
        fputs(":value:", out);
    }
    fputs("'", out);
}

void completion_zsh(FILE *out)
{
    const struct command *command;
    fputs("#compdef cellserve\n# zsh completion for cellserve: `cellserve print zsh` makes this file.\n_cellserve() {\n"
          "    if (( CURRENT == 2 )); then\n        local -a commands=(",
          out);
    for (size_t i = 0; (command = command_at(i)); i++) {
        fprintf(out, "\n            '%s:", command->name);
        zsh_text(out, command->help);
        fputs("'", out);
    }
    fputs(")\n        _describe command commands\n        return\n    fi\n    local name=$words[2]\n    shift words\n"
          "    (( CURRENT-- ))\n    case $name in\n",
          out);
    for (size_t i = 0; (command = command_at(i)); i++) {
        fprintf(out, "    %s)\n        _arguments", command->name);
        each_flag(command, out, zsh_flag);
        fputs(" \\\n            '*:file:_files' ;;\n", out);
    }
    fputs("    esac\n}\n_cellserve \"$@\"\n", out);
}

/* Print a cell of a Markdown table. */
static void cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void reference_settings(FILE *out)
{
    fputs("| key | default | range | meaning |\n| --- | --- | --- | --- |\n", out);
    for (const struct setting *row = settings_table; row->key; row++) {
        char range[64];
        snprintf(range, sizeof range, "%lld to %lld", (long long)row->min, (long long)row->max);
        fprintf(out, *row->fallback ? "| `%s` | `%s` | " : "| `%s` | %s | ", row->key, row->fallback);
        cell(out, row->type == SETTING_INT    ? range
                  : row->type == SETTING_BOOL ? "true, false"
                  : row->choices              ? row->choices
                                              : "text");
        fputs(" | ", out);
        cell(out, row->help);
        fputs(" |\n", out);
    }
    fputs("\n| key of a model | meaning |\n| --- | --- |\n", out);
    for (const struct setting_of_model *key = settings_of_models; key->key; key++) {
        fprintf(out, "| `%s` | ", key->key);
        cell(out, key->help);
        fputs(" |\n", out);
    }
}

void reference_errors(FILE *out)
{
    fputs("| status | code | meaning |\n| --- | --- | --- |\n", out);
    for (const struct error_code *row = error_codes; row->code; row++)
        fprintf(out, "| %d | `%s` | %s |\n", row->status, row->code, row->meaning);
}
