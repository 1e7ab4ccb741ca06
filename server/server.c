/* The models of a server. */
#include "server.h"

#include <stdlib.h>
#include <string.h>

bool server_load(struct server *server, struct problems *problems, size_t *scratch_bytes)
{
    const struct settings *settings = server->settings;
    size_t before = problems->n_errors, rows = (size_t)settings->max_batch_rows;
    *scratch_bytes = 0;
    server->models = calloc(settings->n_models + 1, sizeof *server->models);
    for (size_t i = 0; server->models && i < settings->n_models; i++) {
        const struct model_entry *entry = &settings->models[i];
        struct model *model = &server->models[server->n_models];
        size_t bytes;
        if (!model_load(entry, settings->file, server->vec, problems, model))
            continue;
        server->n_models++;
        if (entry->is_default || !server->default_model)
            server->default_model = model;
        if (!rnn_layer_scratch(&model->layer, rows, &bytes))
            problem_error(problems, (struct place){entry->path, NULL}, "too large for %zu rows at a time", rows);
        else if (bytes > *scratch_bytes)
            *scratch_bytes = bytes;
    }
    if (!server->models)
        problem_error(problems, (struct place){settings->file, NULL}, "out of memory");
    return problems->n_errors == before;
}

static bool warm(const struct model *model)
{
    const struct rnn_stack *stack = &model->layer.stack;
    struct arena arena = {0};
    size_t bytes;
    float *memory = calloc(stack->input_size + stack->state_elems + stack->output_size, sizeof *memory);
    bool good = memory && rnn_layer_scratch(&model->layer, 1, &bytes) && arena_reserve(&arena, bytes);
    if (good) {
        struct rnn_row row = {.inputs = memory,
                              .timesteps = 1,
                              .input_stride = stack->input_size,
                              .states = memory + stack->input_size,
                              .outputs = memory + stack->input_size + stack->state_elems},
                       *order[1];
        rnn_layer_begin(&model->layer, &row, 1, order);
        rnn_layer_advance(&model->layer, order, 1, &arena);
    }
    arena_close(&arena);
    free(memory);
    return good;
}

bool server_warm(struct server *server, struct problems *problems)
{
    for (size_t i = 0; i < server->n_models; i++)
        if (!warm(&server->models[i])) {
            problem_error(problems, (struct place){server->models[i].name, NULL}, "out of memory");
            return false;
        }
    return true;
}

const struct model *server_model(const struct server *server, const char *name)
{
    if (!*name)
        return server->default_model;
    for (size_t i = 0; i < server->n_models; i++)
        if (!strcmp(server->models[i].name, name))
            return &server->models[i];
    return NULL;
}

void server_close(struct server *server)
{
    for (size_t i = 0; i < server->n_models; i++)
        model_close(&server->models[i]);
    free(server->models);
    server->models = NULL;
    server->n_models = 0;
    server->default_model = NULL;
}
