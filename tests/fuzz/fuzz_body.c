/* Fuzz target: a body of /predict, read and bound to a nested model; what the worker does before it computes.
   `make fuzz` runs it with libFuzzer; test_fuzz_corpus replays the corpus. */
#include "fuzz.h"

#include "server/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* SimpleRNN(2), [LSTM(2), GRU(1)] over two features. */
static struct rnn_cell_spec *spec(void)
{
    static const struct cell_class *const classes[] = {&cell_simple_rnn, &cell_lstm, &cell_gru};
    struct rnn_cell_spec *outer = rnn_cell_spec_new(NULL), *inner = rnn_cell_spec_new(NULL), *leaves[3];
    for (size_t i = 0; i < 3; i++) {
        leaves[i] = rnn_cell_spec_new(classes[i]);
        leaves[i]->units = i < 2 ? 2 : 1;
    }
    outer->cells = calloc(2, sizeof *outer->cells);
    inner->cells = calloc(2, sizeof *inner->cells);
    outer->cells[0] = leaves[0];
    outer->cells[1] = inner;
    inner->cells[0] = leaves[1];
    inner->cells[1] = leaves[2];
    outer->n_cells = inner->n_cells = 2;
    return outer;
}

static const struct model *model(void)
{
    static struct model model;
    static const float zeros[64];
    const float *tensors[9];
    for (size_t i = 0; i < 9; i++)
        tensors[i] = zeros;
    if (!model.name) {
        struct layer *layer = rnn_model_add(&model.chain);
        model.name = "m";
        model.chain.input = (struct layer_shape){.sequence = true, .width = 2};
        layer->class = &layer_recurrent;
        layer->cells[0] = spec();
        layer->n_parts = 1;
        if (layer_build(layer, &model.chain.input, tensors, &vec_c, NULL) || rnn_model_finish(&model.chain, NULL))
            abort();
    }
    return &model;
}

int fuzz_body(const unsigned char *data, size_t size)
{
    struct memory memory = {.limit = 1 << 20};
    struct memory_share share = {&memory, 0};
    struct json_tensor inputs = {.values = NULL}, states = {.values = NULL}, mask = {.values = NULL};
    char name[BODY_TEXT_BYTES] = "", *text = malloc(size + 1);
    int flag = -1;
    int64_t count = -1;
    struct failure failure = {.status = 0};
    const struct body_key keys[] = {{"instances", BODY_NUMBERS, &inputs},
                                    {"initial_state", BODY_NUMBERS, &states},
                                    {"mask", BODY_BOOLEANS, &mask},
                                    {"model", BODY_TEXT, name},
                                    {"return_state", BODY_BOOL, &flag},
                                    {"batch_size", BODY_COUNT, &count},
                                    {"session", BODY_REFUSED, (char *)"not here"},
                                    {NULL, BODY_TEXT, NULL}};
    const struct batch_limits limits = {64, 64, 1 << 16};
    struct batch batch = {.model = model(), .share = &share, .sequences = flag > 0};
    memcpy(text, data, size);
    text[size] = 0;
    struct json_body body = {.text = text, .bytes = size, .share = &share};
    if (json_body_read(&body, keys, &failure) && batch_bind_inputs(&batch, &inputs, "instances", &limits, &failure) &&
        batch_bind_mask(&batch, &mask, &failure) && batch_bind_states(&batch, &states, "initial_state", &failure) &&
        batch_bind_outputs(&batch, &limits, &failure)) {
        bool finite = true;
        struct buffer out = {.limit = 1 << 20, .share = &share};
        batch_write_states(&batch, &out, &finite);
        if (!body.nonfinite_at && !finite)
            abort(); /* every number of JSON is finite */
        buffer_close(&out);
    } else if (!failure.status || !failure.code || !failure.text[0]) {
        abort(); /* a failure says why */
    }
    batch_close(&batch);
    json_tensor_close(&inputs, &share);
    json_tensor_close(&states, &share);
    json_tensor_close(&mask, &share);
    free(text);
    if (share.bytes || memory.used)
        abort(); /* the account is even */
    return 0;
}

FUZZ_TARGET(fuzz_body)
