/* predict: answers one request from standard input, without a server. */
#include "local.h"
#include "server/api/sample.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static int answer_stdin(struct local *local)
{
    size_t bytes, limit = (size_t)local->server.services.settings->max_body_bytes;
    char *body = read_whole(NULL, limit, &bytes);
    if (!body) {
        fprintf(stderr, "standard input: %s\n", strerror(errno));
        return EXIT_BAD_INPUT;
    }
    local_answer(local, body, bytes);
    fwrite(local->request.answer.text, 1, local->request.answer.text_bytes, stdout);
    return local->request.answer.status == 200 && !fflush(stdout) ? EXIT_GOOD : EXIT_BAD_INPUT;
}

/* Prints a request with the shapes of the model. */
static int print_sample(struct local *local)
{
    struct model *model = models_acquire(&local->server.models, "");
    json_t *body = sample_request(model);
    int failed = json_dumpf(body, stdout, JSON_COMPACT | JSON_REAL_PRECISION(4)) || puts("") < 0 || fflush(stdout);
    json_decref(body);
    model_release(model);
    return failed ? EXIT_BAD_INPUT : EXIT_GOOD;
}

int command_predict(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct local local;
    bool sample = cli_take_switch(&argc, argv, "--sample");
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0) {
        code = local_open(&local, &cli, command);
        if (code == EXIT_GOOD)
            code = sample ? print_sample(&local) : answer_stdin(&local);
        local_close(&local);
    }
    cli_close(&cli);
    return code;
}
