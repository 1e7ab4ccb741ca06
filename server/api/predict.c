/* POST /predict, :step and :initial_state. */
#include "handlers.h"
#include "predict_labels.h"
#include "predict_npy.h"
#include "server/codec/batch_write.h"
#include "server/codec/window.h"
#include "server/run/stream.h"

#include <strings.h>

/* ---- /predict ---- */

/* The parts of the answer besides the outputs: prediction->own. */
static struct answer_form {
    bool states;
} with_states = {true}, without_states = {false};

/* "inputs" in the place of "instances". */
static bool take_columns(struct prediction *p, struct json_tensor *columns)
{
    if (p->inputs.present)
        return failure_set(&p->failure, 400, "conflicting_keys", "/inputs",
                           "The body has both \"instances\" (rows) and \"inputs\" (columns); send one of them.");
    p->inputs = *columns;
    *columns = (struct json_tensor){.present = false};
    return true;
}

/* The keys of the body. For an .npy body the options are in the query. */
static bool read_predict(struct prediction *p)
{
    char session[SESSION_ID_BYTES] = SESSION_UNSAID;
    int return_state = -1; /* default: states are returned */
    struct json_tensor columns = {.present = false};
    const struct body_key rollout[] = {
        {"steps", BODY_COUNT, &p->rollout.steps},     {"temperature", BODY_NUMBER, &p->rollout.temperature},
        {"top_k", BODY_COUNT, &p->rollout.top_k},     {"seed", BODY_COUNT, &p->rollout.seed},
        {"known", BODY_SPAN, &p->rollout.known_text}, {NULL, BODY_TEXT, NULL},
    };
    const struct body_key keys[] = {
        {"instances", BODY_INPUTS, &p->inputs},
        {"inputs", BODY_INPUTS, &columns},
        {"model", BODY_TEXT, p->model},
        {"initial_state", BODY_NUMBERS, &p->states},
        {"mask", BODY_BOOLEANS, &p->mask},
        {"raw", BODY_BOOL, &p->raw},
        {"slide", BODY_BOOL, &p->slide},
        {"return_windows", BODY_BOOL, &p->return_windows},
        {"return_sequences", BODY_BOOL, &p->return_sequences},
        {"return_state", BODY_BOOL, &return_state},
        {"session", BODY_TEXT, session},
        {"reset", BODY_BOOL, &p->session.reset},
        {"step", BODY_COUNT, &p->session.step},
        {"rollout", BODY_OBJECT, (void *)(uintptr_t)rollout},
        {NULL, BODY_TEXT, NULL},
    };
    p->own = &with_states;
    if (!strncasecmp(p->request->head.content_type, "application/x-npy", 17))
        return predict_npy_read(p);
    bool good = prediction_read(p, keys, p->request->body_bytes) && session_name(&p->session, session);
    if (good && columns.present)
        good = take_columns(p, &columns);
    json_tensor_close(&columns, &p->request->memory);
    if (!good)
        return false;
    p->own = return_state ? &with_states : &without_states;
    return true;
}

/* An answer that is sent while the model runs. It has the output of every timestep, if the model has them. */
static bool begin_stream(struct prediction *p)
{
    const struct graph *graph = &p->request->model->graph;
    struct layer_shape shapes[GRAPH_MAX_INPUTS];
    if (!graph->divisible || !graph->inputs[0].shape.sequence)
        return failure_set(&p->failure, 400, "not_streamable", "",
                           "This model gives its outputs at the end alone: it has a layer (Bidirectional, Flatten, "
                           "pooling, …) that needs whole sequences. Accept: application/json will do.");
    if (!stream_open(p->request, p->request->head.stream_form, &p->failure))
        return false;
    if (p->return_sequences < 0 && p->rollout.steps < 0 && graph->last_recurrent < graph->n_nodes)
        p->return_sequences = !graph_output_shapes(graph, NULL, true, NULL, shapes, NULL);
    return true;
}

/* The sequences of a stream go on side by side. */
static bool check_lengths(struct prediction *p)
{
    const struct batch *batch = &p->batch;
    const struct graph *graph = &p->request->model->graph;
    for (size_t k = 1; k < graph->n_inputs; k++)
        for (size_t b = 0; graph->inputs[k].shape.sequence && b < batch->n_rows; b++) {
            size_t first = batch->rows[b].timesteps, steps = batch->more_inputs[(k - 1) * batch->n_rows + b].timesteps;
            if (steps != first)
                return failure_set(
                    &p->failure, 400, "wrong_shape", "",
                    "A stream needs sequences of the same length: row %zu has %zu timesteps of \"%.60s\" "
                    "and %zu of \"%.60s\".",
                    b, first, graph->inputs[0].name, steps, graph->inputs[k].name);
        }
    return true;
}

static bool decode_predict(struct prediction *p)
{
    if (!read_predict(p) || (p->request->head.stream_form && !begin_stream(p)))
        return false;
    const struct graph *graph = &p->request->model->graph;
    bool own = graph->return_sequences;
    if (p->return_sequences >= 0 && graph->n_parts && graph->last_recurrent == graph->n_nodes)
        return failure_set(&p->failure, 400, "wrong_value", "/return_sequences",
                           "Several recurrent layers lead to the outputs of this model, or none alone; leave "
                           "return_sequences out.");
    return prediction_bind(p, "instances", "initial_state", false,
                           p->return_sequences < 0 ? own : p->return_sequences) &&
           (!p->request->head.stream_form || check_lengths(p));
}

static void write_names(const struct prediction *p, struct buffer *out)
{
    const struct model *model = p->request->model;
    buffer_printf(out, "{\"model\": \"%s\", \"version\": \"%s\", ", model->name, model->version);
    session_write(&p->session, out);
}

/* Write "window", for a session that keeps windows instead of states. */
static void write_window(const struct prediction *p, struct buffer *out)
{
    const struct batch_window *window = p->batch.window;
    buffer_printf(out, ", \"window\": {\"size\": %zu, \"filled\": [", window->size);
    for (size_t b = 0; b < window->n_rows; b++)
        buffer_printf(out, "%s%zu", b ? "," : "", window->rows[b].filled);
    buffer_text(out, "]}");
}

static void write_states(struct prediction *p, struct buffer *out)
{
    const struct answer_form *form = p->own;
    if (p->batch.window) {
        write_window(p, out);
        return;
    }
    if (!form->states || p->batch.slide)
        return;
    buffer_text(out, ", \"states\": ");
    batch_write_states(&p->batch, out, &p->finite);
    if (p->request->model->graph.n_parts > 1) {
        buffer_text(out, ", \"state_layers\": ");
        batch_write_state_layers(&p->batch, out);
    }
}

/* The last event of a stream. */
static void write_done(struct prediction *p, struct buffer *out)
{
    write_names(p, out);
    buffer_text(out, "\"done\": true");
    write_states(p, out);
    buffer_text(out, "}");
}

static void encode_predict(struct prediction *p)
{
    struct buffer *out = &p->request->answer.buffer;
    if (p->request->stream) {
        stream_done(p, write_done);
    } else if (p->request->head.wants_npy) {
        predict_npy_write(p);
    } else {
        write_names(p, out);
        buffer_text(out, "\"outputs\": ");
        batch_write_outputs(&p->batch, out, &p->finite);
        predict_write_labels(p, out);
        predict_write_text(p, out);
        write_states(p, out);
        buffer_text(out, "}\n");
    }
}

const struct protocol protocol_predict = {decode_predict, encode_predict, NULL};

/* ---- :step: StackedRNNCells.call, the cells once, without the layer's options; for a model of several layers, the
   whole chain ---- */

static bool decode_step(struct prediction *p)
{
    char session[SESSION_ID_BYTES] = SESSION_UNSAID;
    const struct body_key keys[] = {
        {"inputs", BODY_INPUTS, &p->inputs},
        {"states", BODY_NUMBERS, &p->states},
        {"raw", BODY_BOOL, &p->raw},
        {"session", BODY_TEXT, session},
        {"reset", BODY_BOOL, &p->session.reset},
        {"step", BODY_COUNT, &p->session.step},
        {NULL, BODY_TEXT, NULL},
    };
    if (!prediction_read(p, keys, p->request->body_bytes) || !session_name(&p->session, session))
        return false;
    if (!p->request->model->graph.streamable)
        return failure_set(&p->failure, 400, "not_streamable", "",
                           "This model cannot go one timestep at a time: it has a layer (Bidirectional, Flatten, "
                           "pooling, …) that needs whole sequences.");
    return prediction_bind(p, "inputs", "states", true, p->request->model->graph.return_sequences);
}

static void encode_step(struct prediction *p)
{
    struct buffer *out = &p->request->answer.buffer;
    buffer_text(out, "{");
    session_write(&p->session, out);
    buffer_text(out, "\"outputs\": ");
    batch_write_outputs(&p->batch, out, &p->finite);
    buffer_text(out, ", \"states\": ");
    batch_write_states(&p->batch, out, &p->finite);
    buffer_text(out, "}\n");
}

const struct protocol protocol_step = {decode_step, encode_step, NULL};

/* ---- :initial_state: StackedRNNCells.get_initial_state ---- */

static bool decode_initial_state(struct prediction *p)
{
    int64_t batch_size = -1; /* not said */
    const struct body_key keys[] = {{"batch_size", BODY_COUNT, &batch_size}, {NULL, BODY_TEXT, NULL}};
    const struct batch_limits limits = prediction_limits(p);
    if (!prediction_read(p, keys, p->request->body_bytes))
        return false;
    if (batch_size < 0)
        return failure_set(&p->failure, 400, "missing_key", "", "The body needs \"batch_size\".");
    if (!batch_size)
        return failure_set(&p->failure, 400, "empty_input", "/batch_size", "Expected at least 1.");
    if ((size_t)batch_size > limits.max_rows)
        return failure_set(&p->failure, 413, "too_many_rows", "/batch_size", "Expected at most %zu (limits.max_rows).",
                           limits.max_rows);
    p->batch = (struct batch){.model = p->request->model, .share = &p->request->memory};
    return batch_zero_states(&p->batch, (size_t)batch_size, &p->failure);
}

static void encode_initial_state(struct prediction *p)
{
    buffer_text(&p->request->answer.buffer, "{\"states\": ");
    batch_write_states(&p->batch, &p->request->answer.buffer, &p->finite);
    buffer_text(&p->request->answer.buffer, "}\n");
}

const struct protocol protocol_initial_state = {decode_initial_state, encode_initial_state, NULL};
