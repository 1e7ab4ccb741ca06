/* TensorFlow Serving's REST predict: rows ("instances" to "predictions") or columns ("inputs" to "outputs"). Source:
   tensorflow/serving, g3doc/api_rest.md. Also what SageMaker's /invocations and Vertex AI's predict route take. */
#include "handlers.h"
#include "server/codec/batch_write.h"
#include "server/run/prediction.h"

#include <string.h>

/* Which keys a body and its answer have: prediction->own. */
struct form {
    const char *inputs, *outputs;
};
static struct form row_form = {"instances", "{\"predictions\": "}, column_form = {"inputs", "{\"outputs\": "};

static bool decode(struct prediction *p)
{
    char signature[BODY_TEXT_BYTES] = "";
    struct json_tensor columns = {.unwrap = "inputs"};
    p->inputs.unwrap = "inputs";
    const struct body_key keys[] = {
        {"instances", BODY_INPUTS, &p->inputs},
        {"inputs", BODY_INPUTS, &columns},
        {"raw", BODY_BOOL, &p->raw},
        {"signature_name", BODY_TEXT, signature},
        {"parameters", BODY_ANY, NULL}, /* Vertex AI's */
        {NULL, BODY_TEXT, NULL},
    };
    bool good = prediction_read(p, keys, p->request->body_bytes);
    if (good && p->inputs.present && columns.present)
        good = failure_set(&p->failure, 400, "conflicting_keys", "/inputs",
                           "The body has both \"instances\" (rows) and \"inputs\" (columns); send one of them.");
    if (good && !p->inputs.present && !columns.present)
        good = failure_set(&p->failure, 400, "missing_key", "",
                           "The body needs either \"instances\" (rows) or \"inputs\" (columns).");
    if (good && *signature && strcmp(signature, "serving_default"))
        good = failure_set(&p->failure, 400, "unknown_signature", "/signature_name",
                           "The only signature is \"serving_default\".");
    struct form *form = columns.present ? &column_form : &row_form;
    p->own = form;
    if (columns.present) {
        json_tensor_close(&p->inputs, &p->request->memory);
        p->inputs = columns;
    }
    return good && prediction_bind(p, form->inputs, "", false, p->request->model->graph.return_sequences);
}

/* A layer with return_state has its states as further outputs, which gives all of them names. */
static bool has_states(const struct graph *graph)
{
    for (size_t p = graph->n_parts; p-- > 0;)
        if (graph->parts[p].states.recurrence)
            return graph->parts[p].states.recurrence->return_state;
    return false;
}

static bool output_at(const struct graph *graph, size_t i, struct batch_tensor *out)
{
    return batch_tensor_at(graph, i, out) && (!out->state || has_states(graph));
}

static void write_name(struct buffer *out, size_t i, const struct batch_tensor *tensor)
{
    buffer_printf(out, "%s\"%s\": ", i ? ", " : "", tensor->name);
}

static void write_columns(struct prediction *p, bool named)
{
    struct buffer *out = &p->request->answer.buffer;
    struct batch_tensor tensor;
    buffer_text(out, named ? "{" : "");
    for (size_t i = 0; output_at(&p->request->model->graph, i, &tensor); i++) {
        if (named)
            write_name(out, i, &tensor);
        batch_write_tensor(&p->batch, &tensor, out, &p->finite);
    }
    buffer_text(out, named ? "}" : "");
}

static void write_rows(struct prediction *p)
{
    struct buffer *out = &p->request->answer.buffer;
    struct batch_tensor tensor;
    buffer_text(out, "[");
    for (size_t b = 0; b < p->batch.n_rows; b++) {
        buffer_text(out, b ? ",{" : "{");
        for (size_t i = 0; output_at(&p->request->model->graph, i, &tensor); i++) {
            write_name(out, i, &tensor);
            batch_write_row(&p->batch, &tensor, b, out, &p->finite);
        }
        buffer_text(out, "}");
    }
    buffer_text(out, "]");
}

static void encode(struct prediction *p)
{
    struct batch_tensor second;
    bool named = output_at(&p->request->model->graph, 1, &second);
    const struct form *form = p->own;
    buffer_text(&p->request->answer.buffer, form->outputs);
    if (named && form == &row_form)
        write_rows(p);
    else
        write_columns(p, named);
    buffer_text(&p->request->answer.buffer, "}\n");
}

const struct protocol protocol_tf_serving = {decode, encode, NULL};
