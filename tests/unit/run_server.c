/* A server without HTTP for the tests of server/run. */
#include "run_server.h"

#include "core/layers/dense.h"
#include "core/layers/embedding.h"
#include "core/layers/recurrent.h"
#include "server/codec/batch_write.h"
#include "server/run/models.h"

void run_server_open(struct run_server *s)
{
    memset(s, 0, sizeof *s);
    settings_init(&s->settings);
    s->settings.max_timesteps = 1 << 24;
    server_init(&s->server, &s->settings, &vec_c, 1);
    s->server.lifecycle.state = SERVER_READY;
    models_init(&s->server.models);
    s->server.models.slots = calloc(RUN_MODELS, sizeof *s->server.models.slots);
}

void run_server_close(struct run_server *s)
{
    assert_int_equal(s->server.memory.used, 0); /* all memory was released */
    assert_int_equal(s->server.streams.n, 0);
    server_close(&s->server);
    arena_close(&s->worker.arena);
    settings_close(&s->settings);
}

static void add_layer(struct graph *graph, const struct layer_class *class, struct layer_shape *in,
                      void (*set)(struct layer *layer, size_t units), size_t units, const float *const *tensors)
{
    struct rnn_error error = {{0}};
    struct layer *layer = graph_add(graph);
    assert_int_equal(layer_open(layer, class, &error), RNN_OK);
    set(layer, units);
    if (layer_build(layer, in, tensors, &vec_c, &error))
        fail_msg("%s", error.text);
    assert_int_equal(layer_output(layer, in, true, in, &error), RNN_OK);
}

static void set_recurrent(struct layer *layer, size_t units)
{
    struct recurrent *own = recurrent_of(layer);
    own->cells[0] = unit_leaf(&cell_simple_rnn, units);
    own->cells[0]->activation = activation_find("linear")->activation;
    own->n_parts = 1;
}

static void set_backwards(struct layer *layer, size_t units)
{
    set_recurrent(layer, units);
    recurrent_of(layer)->parts[0].go_backwards = true;
}

static void set_sequences(struct layer *layer, size_t units)
{
    set_recurrent(layer, units);
    recurrent_of(layer)->parts[0].return_sequences = true;
}

static void set_dense(struct layer *layer, size_t units)
{
    ((struct dense *)layer->own)->units = units;
    ((struct dense *)layer->own)->activation = activation_find("softmax")->activation;
}

static void set_embedding(struct layer *layer, size_t units)
{
    ((struct embedding *)layer->own)->input_dim = units;
    ((struct embedding *)layer->own)->output_dim = units;
}

static struct model *serve(struct run_server *s, const char *name, struct model *model)
{
    struct rnn_error error = {{0}};
    size_t i = s->server.models.n_slots++;
    assert_true(i < RUN_MODELS);
    if (graph_finish(&model->graph, &error))
        fail_msg("%s", error.text);
    assert_true(graph_scratch(&model->graph, (size_t)s->settings.max_batch_rows, &model->scratch_bytes));
    s->entries[i].name = (char *)name;
    model->name = name;
    model->users = 1;
    s->server.models.slots[i] = (struct slot){.entry = &s->entries[i], .current = model};
    return model;
}

struct model *run_server_sums(struct run_server *s, const char *name, size_t units, bool backwards)
{
    struct model *model = calloc(1, sizeof *model);
    struct layer_shape shape = {.sequence = true, .width = 1};
    float *ones = calloc(units, sizeof *ones), *same = calloc(units * units, sizeof *same),
          *zeros = calloc(units, sizeof *zeros);
    for (size_t i = 0; i < units; i++)
        ones[i] = same[i * units + i] = 1;
    const float *tensors[] = {ones, same, zeros};
    graph_input(&model->graph, "inputs", &shape);
    add_layer(&model->graph, &layer_recurrent, &shape, backwards ? set_backwards : set_recurrent, units, tensors);
    free(ones);
    free(same);
    free(zeros);
    return serve(s, name, model);
}

struct model *run_server_tokens(struct run_server *s, const char *name, const float scores[4][4])
{
    static const float same[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, zeros[16];
    struct model *model = calloc(1, sizeof *model);
    struct layer_shape shape = {.sequence = true, .ids = true, .width = 1};
    const float *embedding[] = {same}, *recurrent[] = {same, zeros, zeros}, *dense[] = {&scores[0][0], zeros};
    graph_input(&model->graph, "inputs", &shape);
    add_layer(&model->graph, &layer_embedding, &shape, set_embedding, 4, embedding);
    add_layer(&model->graph, &layer_recurrent, &shape, set_sequences, 4, recurrent);
    add_layer(&model->graph, &layer_dense, &shape, set_dense, 4, dense);
    return serve(s, name, model);
}

/* ---- requests ---- */

struct run_request *run_request_of(struct request *request)
{
    return (struct run_request *)request;
}

static bool decode(struct prediction *p)
{
    const struct body_key rollout[] = {{"steps", BODY_COUNT, &p->rollout.steps},
                                       {"temperature", BODY_NUMBER, &p->rollout.temperature},
                                       {"top_k", BODY_COUNT, &p->rollout.top_k},
                                       {"seed", BODY_COUNT, &p->rollout.seed},
                                       {NULL, BODY_TEXT, NULL}};
    const struct body_key keys[] = {{"instances", BODY_NUMBERS, &p->inputs},
                                    {"model", BODY_TEXT, p->model},
                                    {"return_sequences", BODY_BOOL, &p->return_sequences},
                                    {"rollout", BODY_OBJECT, (void *)(uintptr_t)rollout},
                                    {NULL, BODY_TEXT, NULL}};
    struct request *request = p->request;
    if (!prediction_read(p, keys, request->body_bytes) ||
        (request->head.stream_form && !stream_open(request, request->head.stream_form, &p->failure)))
        return false;
    bool own = p->rollout.steps >= 0 && request->model->graph.return_sequences; /* a roll-out follows the model's
                                                                                   return_sequences */
    return prediction_bind(p, "instances", "initial_state", false, own || p->return_sequences > 0);
}

static void write_done(struct prediction *p, struct buffer *out)
{
    (void)p;
    buffer_text(out, "{\"done\": true}");
}

static void encode(struct prediction *p)
{
    struct run_request *r = run_request_of(p->request);
    if (p->request->stream) {
        stream_done(p, write_done);
        return;
    }
    r->n_outputs = p->batch.outputs_floats;
    float *all = calloc(r->n_outputs + 1, sizeof *all);
    batch_copy_answer(&p->batch, all);
    memcpy(r->outputs, all, (r->n_outputs < RUN_OUTPUTS ? r->n_outputs : RUN_OUTPUTS) * sizeof *all);
    free(all);
    buffer_text(&p->request->answer.buffer, "good");
}

static const struct protocol protocol = {decode, encode, NULL};

static void count_done(struct request *request)
{
    atomic_fetch_add(&run_request_of(request)->done, 1);
}

static void count_wake(struct request *request)
{
    atomic_fetch_add(&run_request_of(request)->wakes, 1);
}

void run_request_open(struct run_request *r, struct run_server *s, const char *body)
{
    memset(r, 0, sizeof *r);
    struct request *request = &r->request;
    assert_true(request_init(request, &s->server.services, "/predict"));
    request->body_bytes = strlen(body);
    request->body_room = request->body_bytes + 1;
    assert_true(memory_take(&request->memory, request->body_room));
    request->body = strdup(body);
    request->done = count_done;
    request->wake = count_wake;
    request->protocol = &protocol;
    request->timing.queued = clock_ns();
    request->task.deadline_ns = INT64_MAX;
    snprintf(request->head.id, sizeof request->head.id, "test");
}

void run_request_close(struct run_request *r)
{
    request_close(&r->request);
}

struct prediction *run_request_decode(struct run_request *r, struct run_server *s)
{
    struct prediction *p = prediction_begin(&r->request, &s->worker);
    if (!p)
        fail_msg("%d %s", r->request.answer.status, r->request.answer.error);
    return p;
}

char *run_body_of_ones(size_t n, const size_t *lengths, bool sequences)
{
    size_t total = 128, used;
    for (size_t i = 0; i < n; i++)
        total += 4 * lengths[i] + 4;
    char *body = malloc(total);
    used = (size_t)sprintf(body, "{\"return_sequences\": %s, \"instances\": [", sequences ? "true" : "false");
    for (size_t i = 0; i < n; i++) {
        used += (size_t)sprintf(body + used, "%s[", i ? "," : "");
        for (size_t t = 0; t < lengths[i]; t++)
            used += (size_t)sprintf(body + used, "%s[1]", t ? "," : "");
        used += (size_t)sprintf(body + used, "]");
    }
    sprintf(body + used, "]}");
    return body;
}

const char *run_error(const struct run_request *r)
{
    return r->request.answer.code ? r->request.answer.code : "";
}
