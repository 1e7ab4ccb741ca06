/* The flags of each command, for help, manual and completion. The flags of settings are in config/settings_table.c. */
#include "cli.h"

#include <string.h>

/* clang-format off */
const struct command_flag command_flags[] = {
    {" serve check health ", "--config", "FILE", "read this configuration file"},
    {" serve ", "--name", "NAME", "name of the model, if only one is served (default: the name of its file)"},
    {" serve ", "--log", "text|json", "format of log lines"},
    {" serve inspect predict verify bench ", "--seed", "N", "seed of the initializers, if no file has weights"},
    {" serve inspect predict verify bench ", "--input-size", "F", "number of features, if the model's file does not say it"},
    {" serve inspect predict verify bench ", "--precision", "P", "number format of matrices in memory: float32, bf16 or int8"},
    {" predict ", "--sample", NULL, "print a request with the model's shapes, and do not run the model"},
    {" verify ", "--inputs", "FILE", "the request, or its instances: JSON, npy or npz"},
    {" verify ", "--expected", "FILE", "the answer of a framework: JSON, npy or npz"},
    {" verify ", "--rtol", "R", "relative tolerance (1e-5)"},
    {" verify ", "--atol", "A", "absolute tolerance (1e-6)"},
    {" bench ", "--limits", NULL, "measure this machine, not a model"},
    {" bench ", "--batch", "B", "sequences of a request (1)"},
    {" bench ", "--timesteps", "T", "timesteps of each sequence (100)"},
    {" bench ", "--threads", "N", "threads for each request (1)"},
    {" bench ", "--seconds", "N", "duration of the measurement (2)"},
    {" key ", "--models", "M,N", "the models that the key may use (all)"},
    {" key ", "--rate", "R/B", "requests a second / requests at once that the key may send"},
    {" health ", "--ca", "FILE", "certificates (PEM) of the authorities that sign the server's certificate"},
    {" health ", "--certificate", "FILE", "the client's certificate (PEM), if the server requires one"},
    {" health ", "--key", "FILE", "the private key of this certificate (PEM)"},
    {NULL, NULL, NULL, NULL},
};
/* clang-format on */

bool command_takes_flag(const char *command, const struct command_flag *flag)
{
    char word[32];
    snprintf(word, sizeof word, " %s ", command);
    return strstr(flag->commands, word);
}

void command_print_flags(const char *command, FILE *out)
{
    bool first = true;
    for (const struct command_flag *flag = command_flags; flag->flag; flag++) {
        char name[64];
        if (!command_takes_flag(command, flag))
            continue;
        snprintf(name, sizeof name, "%s%s%s", flag->flag, flag->argument ? " " : "",
                 flag->argument ? flag->argument : "");
        fprintf(out, "%s  %-30s %s\n", first ? "\nOptions:\n" : "", name, flag->help);
        first = false;
    }
}
