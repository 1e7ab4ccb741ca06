/* describe: prints a draft of model.json for a file of PyTorch's weights. */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>

int command_describe(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0 && !cli.positional) {
        code = cli_bad_usage(command, "a MODEL is missing", NULL);
    } else if (code < 0) {
        char *text = model_describe(cli.positional, &cli.problems);
        if (text)
            puts(text);
        free(text);
        code = cli_problems(&cli.problems) == EXIT_GOOD && text ? EXIT_GOOD : EXIT_BAD_INPUT;
    }
    cli_close(&cli);
    return code;
}
