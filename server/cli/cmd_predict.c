/* predict: one request from standard input, answered without a server. */
#include "local.h"

#include <errno.h>
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

int command_predict(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct local local;
    int code = cli_read(&cli, command, NULL, argc, argv);
    if (code < 0) {
        code = local_open(&local, &cli, command);
        if (code == EXIT_GOOD)
            code = answer_stdin(&local);
        local_close(&local);
    }
    cli_close(&cli);
    return code;
}
