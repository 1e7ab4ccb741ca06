/* cellserve: finds and runs the subcommand. */
#include "cli.h"
#include "config/files/helper.h"
#include "server/base/version.h"
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    {"serve",
     "[MODEL...] [--name NAME] [--config FILE] [--host ADDR] [--port N] [--workers N] [--log text|json] [--seed N] "
     "[--input-size F] [--precision P]",
     "Serve models over HTTP. MODEL is a model, a folder of models, or a folder with a cellserve.json.\n"
     "A model has the name of its file or folder, without the ending; --name renames a single model.\n"
     "The first model is the default model. --seed and --input-size are for models without a file of weights.",
     true, command_serve},
    {"check", "--config FILE", "Validate the configuration and load the models: exit 0, or 1 with every problem found.",
     true, command_check},
    {"inspect", "MODEL [--seed N] [--input-size F] [--precision P]",
     "Print the layers of a model: cell, output size, state size, parameters, bytes.", false, command_inspect},
    {"describe", "MODEL",
     "Print a draft of model.json for a file that has only weights (PyTorch's .pt and .pth, safetensors).\n"
     "Check the draft by hand. Its key \"unchecked\" lists the guesses; a model.json with this key is not served.",
     false, command_describe},
    {"predict", "MODEL < request.json > response.json | --sample MODEL",
     "Answer one request as POST /predict does, without a server. An error is printed as JSON, with exit 1.", true,
     command_predict},
    {"verify", "MODEL --inputs FILE --expected FILE [--rtol R --atol A]",
     "Compare the model's outputs with a framework's (JSON, npy or npz). Prints the largest difference of each\n"
     "output, layer and timestep. Exit 1 if |got - expected| > atol + rtol |expected| (defaults 1e-5 and 1e-6).",
     false, command_verify},
    {"bench", "MODEL | --limits [--batch B] [--timesteps T] [--threads N] [--seconds S] [--precision P]",
     "Measure latency, throughput and GFLOP/s of a model, and compare them with the limits of this machine.\n"
     "--limits measures these limits alone.",
     false, command_bench},
    {"health", "[URL] [--config FILE] [--ca FILE] [--certificate FILE --key FILE]",
     "Exit 0 if the server at URL is ready, else 1. Without URL, ask the server that FILE, ./cellserve.json or the\n"
     "environment configures (http://127.0.0.1:8080). An https server's certificate must be the configured one, or\n"
     "signed by the authorities of --ca or of the system. --certificate and --key are the client's.",
     false, command_health},
    {"key", "NAME SCOPES [--models M,N] [--rate REQUESTS_PER_S/BURST]",
     "Make a key. The first line is the key; append the second line to the file that auth.keys names. This file has\n"
     "only the SHA-256 of the key. SCOPES: predict, sessions, metrics, admin, separated by commas.",
     false, command_key},
    {"print", "man | man-config | bash | zsh | settings | errors",
     "Print a document made from the program's tables: the manual pages, completion for a shell, the table of\n"
     "settings, the table of error codes.",
     false, command_print},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

const struct command *command_at(size_t i)
{
    return i < N_COMMANDS ? &commands[i] : NULL;
}

/* The command of this name, or NULL with a message on standard error. */
static const struct command *find_command(const char *name)
{
    const char *known[N_COMMANDS + 1] = {NULL};
    char hint[100];
    for (size_t i = 0; i < N_COMMANDS; i++) {
        known[i] = commands[i].name;
        if (!strcmp(name, known[i]))
            return &commands[i];
    }
    fprintf(stderr, "cellserve: unknown command \"%s\"%s\nusage: cellserve --help lists the commands\n", name,
            nearest_hint(name, known, hint, sizeof hint));
    return NULL;
}

static void usage(FILE *out)
{
    fprintf(out, "%scellserve %s%s: serves trained recurrent models over HTTP\n\n", terminal_style(out, STYLE_BOLD),
            CELLSERVE_VERSION, terminal_style(out, STYLE_PLAIN));
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  cellserve %s %s\n", commands[i].name, commands[i].usage);
    fprintf(out, "  cellserve --version | --help | help COMMAND\n\n"
                 "MODEL is a .keras or .h5 file of Keras, an .onnx file, a SavedModel folder, a folder of numbered\n"
                 "versions, a folder with one architecture (*.json) beside one file of weights (*.safetensors, *.h5,\n"
                 "*.npz, *.pt, a TensorFlow checkpoint), or a .json configuration alone (the initializers make its\n"
                 "weights). Files are recognized by their content.\n");
}

/* Repair what the process has inherited. If descriptors 0 to 2 are closed, a socket could become standard error. If
   SIGCHLD is ignored, the end of a helper process cannot be noticed. */
static bool mend_inheritance(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* open returns the lowest free descriptor */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    signal(SIGCHLD, SIG_DFL);
    return fd > STDERR_FILENO || fcntl(STDERR_FILENO, F_GETFD) >= 0;
}

int main(int argc, char **argv)
{
    if (!mend_inheritance())
        return EXIT_BAD_INPUT;
    if ((argc == 2 || argc == 3) && !strcmp(argv[1], HELPER_ARGUMENT))
        helper_main(argv[2]);
    if (argc < 2) {
        usage(stderr);
        return EXIT_BAD_USAGE;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("cellserve %s\n", CELLSERVE_VERSION);
        return EXIT_GOOD;
    }
    bool asks = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help");
    if (asks && argc == 2) {
        usage(stdout);
        return EXIT_GOOD;
    }
    const struct command *command = find_command(argv[asks ? 2 : 1]);
    if (!command)
        return EXIT_BAD_USAGE;
    return asks ? cli_help(command) : command->run(command, argc - 2, argv + 2);
}
