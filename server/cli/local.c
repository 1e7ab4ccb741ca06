/* A server without HTTP: one model, one worker, one request. */
#include "local.h"

#include "server/api/routes.h"
#include "server/base/clock.h"
#include "server/run/schedule.h"
#include "terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int local_open(struct local *local, struct cli *cli, const struct command *command)
{
    size_t scratch_bytes;
    *local = (struct local){.worker = {.pool = NULL}};
    server_init(&local->server, &cli->settings, NULL, 1);
    if (!cli->positional)
        return cli_bad_usage(command, "a MODEL is missing", NULL);
    struct models *models = &local->server.models;
    models->vec = cli_kernels(&cli->problems);
    terminal_progress("loading %s ...", cli->positional);
    bool good = cli_add_model(cli) && models->vec && !cli->problems.all_errors &&
                models_load(models, &cli->problems, &scratch_bytes);
    if (good && !arena_reserve(&local->worker.arena, scratch_bytes)) {
        problem_error(&cli->problems, (struct place){cli->positional, NULL}, "out of memory");
        good = false;
    }
    terminal_progress_end();
    int code = cli_problems(&cli->problems);
    return good ? code : EXIT_BAD_INPUT;
}

static void nothing_waits(struct request *request)
{
    (void)request;
}

void local_answer(struct local *local, char *body, size_t bytes)
{
    struct request *request = &local->request;
    if (!request_init(request, &local->server.services, "/predict") || !memory_take(&request->memory, bytes + 1)) {
        answer_error(request, 413, "body_too_large", "The body does not fit limits.max_inflight_bytes.");
        free(body);
        return;
    }
    request->model = models_acquire(&local->server.models, ""); /* the only model, whatever name the request gives */
    request->body = body;
    request->body_bytes = bytes;
    request->body_room = bytes + 1;
    request->timing.queued = clock_ns();
    request->task.deadline_ns = INT64_MAX;
    request->done = nothing_waits;
    request->route = route_find("POST", "/predict");
    request->protocol = request->route->protocol;
    snprintf(request->head.id, sizeof request->head.id, "local");
    size_t limit = (size_t)local->server.services.settings->max_body_bytes;
    if (bytes > limit)
        answer_error(request, 413, "body_too_large", "The body is larger than %zu bytes (limits.max_body_bytes).",
                     limit);
    else
        schedule_alone(request, &local->worker);
}

void local_close(struct local *local)
{
    if (local->request.services)
        request_close(&local->request);
    arena_close(&local->worker.arena);
    server_close(&local->server);
}

char *read_whole(const char *path, size_t max_bytes, size_t *bytes)
{
    FILE *file = path ? fopen(path, "rb") : stdin;
    char *text = NULL;
    size_t room = 0;
    *bytes = 0;
    if (!file)
        return NULL;
    for (;;) {
        if (*bytes + 1 >= room) {
            room = room ? 2 * room : 65536;
            char *grown = *bytes > max_bytes ? NULL : realloc(text, room);
            if (!grown) {
                free(text);
                text = NULL;
                errno = *bytes > max_bytes ? EFBIG : ENOMEM;
                break;
            }
            text = grown;
        }
        size_t n = fread(text + *bytes, 1, room - *bytes - 1, file);
        *bytes += n;
        text[*bytes] = 0;
        if (!n)
            break;
    }
    if (path)
        fclose(file);
    return text;
}
