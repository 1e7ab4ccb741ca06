/* print: prints documents that are made from the program's tables. */
#include "cli.h"
#include "manual.h"

#include <string.h>

int command_print(const struct command *command, int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } documents[] = {
        {"man", manual_commands}, {"man-config", manual_settings},  {"bash", completion_bash},
        {"zsh", completion_zsh},  {"settings", reference_settings}, {"errors", reference_errors},
    };
    struct cli cli;
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0 && !cli.positional)
        code = cli_bad_usage(command, "the name of a document is missing", NULL);
    for (size_t i = 0; code < 0 && i < sizeof documents / sizeof *documents; i++)
        if (!strcmp(documents[i].name, cli.positional)) {
            documents[i].print(stdout);
            code = fflush(stdout) ? EXIT_BAD_INPUT : EXIT_GOOD;
        }
    if (code < 0)
        code = cli_bad_usage(command, "there is no document", cli.positional);
    cli_close(&cli);
    return code;
}
