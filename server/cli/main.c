/* cellserve: the subcommands. */
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
     "Serve models over HTTP, each under the name of its file or folder without the ending (--name, where there is "
     "one);\n"
     "the first is the default model, for which \"default\" is another name. --seed and --input-size are seeds and\n"
     "numbers of features where no weights file says them. MODEL can be a folder of models, each of which is served\n"
     "under the name of its file or folder, or a folder with a cellserve.json, which is read.",
     true, command_serve},
    {"check", "--config FILE", "Validate the configuration and load the models: exit 0, or 1 with every problem found.",
     true, command_check},
    {"inspect", "MODEL [--seed N] [--input-size F] [--precision P]",
     "Print the layers of a model: cell, output size, state size, parameters, bytes.", false, command_inspect},
    {"describe", "MODEL",
     "Print a first model.json for a file that holds weights alone (PyTorch's .pt and .pth, safetensors), to be "
     "completed by\n"
     "hand. What was guessed is listed in it under \"unchecked\"; a model.json with that key is not served.",
     false, command_describe},
    {"predict", "MODEL < request.json > response.json | --sample MODEL",
     "Answer one request as POST /predict would, without a server. An error is printed as its JSON, with exit 1.", true,
     command_predict},
    {"verify", "MODEL --inputs FILE --expected FILE [--rtol R --atol A]",
     "Compare with a framework's own answer (JSON, npy or npz): the largest difference per output, layer and "
     "timestep.\n"
     "Exit 1 outside the tolerance |got - expected| <= atol + rtol |expected| (defaults 1e-5 and 1e-6).",
     false, command_verify},
    {"bench", "MODEL | --limits [--batch B] [--timesteps T] [--threads N] [--seconds S] [--precision P]",
     "Measure latency, throughput, GFLOP/s and the share of this machine's own peak, N threads on each request; or "
     "the\n"
     "limits of this machine.",
     false, command_bench},
    {"health", "[URL] [--config FILE] [--ca FILE] [--certificate FILE --key FILE]",
     "Exit 0 when the server at URL is ready, else 1. Without URL: the server of FILE, of ./cellserve.json, or of the\n"
     "environment (http://127.0.0.1:8080). Over https its certificate has to be the configuration's own, or of the\n"
     "authorities of --ca, or of the system's. --certificate and --key are for a server that asks clients for one.",
     false, command_health},
    {"key", "NAME SCOPES [--models M,N] [--rate REQUESTS_PER_S/BURST]",
     "Make a key: print the key and, on a second line, the line for the file of auth.keys, which holds no key but its\n"
     "SHA-256. SCOPES: predict, sessions, metrics, admin, with commas between.",
     false, command_key},
    {"print", "man | man-config | bash | zsh | settings | errors",
     "Print a document that this program's tables make: its manual pages, completion for a shell, the table of "
     "settings,\nthe table of error codes.",
     false, command_print},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

const struct command *command_at(size_t i)
{
    return i < N_COMMANDS ? &commands[i] : NULL;
}

/* NULL, with a sentence on standard error, when there is none of this name. */
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
    fprintf(out, "%scellserve %s%s: serves stacked RNN cells over HTTP\n\n", terminal_style(out, STYLE_BOLD),
            CELLSERVE_VERSION, terminal_style(out, STYLE_PLAIN));
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  cellserve %s %s\n", commands[i].name, commands[i].usage);
    fprintf(
        out,
        "  cellserve --version | --help | help COMMAND\n\n"
        "MODEL is a .keras or .h5 file of Keras's, a SavedModel folder, a folder with one architecture (*.json) "
        "beside\n"
        "one weights file (*.safetensors, *.h5, *.npz, *.pt, a TensorFlow checkpoint), a folder of numbered versions,\n"
        "or a .json layer configuration alone (its weights come from the initializers). Files are known by their\n"
        "content.\n");
}

/* What the process inherits may be odd: descriptors 0 to 2 closed, so that a socket would become standard error; SIGCHLD
   ignored, so that the end of a helper could not be seen. */
static bool mend_inheritance(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* the lowest that is free */
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
