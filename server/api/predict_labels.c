/* Adds the names of classes, and the words of tokens. */
#include "predict_labels.h"

#include "server/codec/labels.h"
#include "server/codec/slide.h"
#include "server/codec/window.h"
#include "server/run/prediction_raw.h"

#include <string.h>

/* A list for each sequence: for each of its windows null, or the most likely classes. */
static void write_windows(const struct batch *batch, const struct transform_output *output, bool sequences,
                          struct buffer *out)
{
    size_t width = batch->output.width;
    for (size_t s = 0; s < batch->slide->n_sequences; s++) {
        const struct slide_sequence *sequence = &batch->slide->sequences[s];
        buffer_text(out, s ? ", [" : "[");
        for (size_t i = 0; i < sequence->empty; i++)
            buffer_text(out, i ? ", null" : "null");
        for (size_t i = 0; i < sequence->windows; i++) {
            buffer_text(out, sequence->empty + i ? ", " : "");
            labels_write(output, slide_output(batch, 0, sequence->first + i), slide_steps(batch, 0), (ptrdiff_t)width,
                         sequences, width, out);
        }
        buffer_text(out, "]");
    }
}

void predict_write_labels(const struct prediction *p, struct buffer *out)
{
    const struct batch *batch = &p->batch;
    size_t width = batch->output.width;
    const struct transform_output *output =
        labels_of(prediction_transforms(p) ? p->request->model->transform : NULL, width);
    bool sequences = batch->output.sequence && !batch->single;
    if (!output || batch->tokens)
        return;
    buffer_text(out, ", \"predictions\": [");
    if (batch->slide)
        write_windows(batch, output, sequences, out);
    for (size_t b = 0; !batch->slide && b < batch->n_rows; b++) {
        const struct rnn_row *row = &batch->rows[b];
        buffer_text(out, b ? ", " : "");
        if (window_is_full(batch, b))
            labels_write(output, row->outputs, sequences ? batch->steps[b] : 1, row->output_stride, sequences, width,
                         out);
        else
            buffer_text(out, "null");
    }
    buffer_text(out, "]");
}

void predict_write_text(const struct prediction *p, struct buffer *out)
{
    const struct transform *transform = prediction_transforms(p) ? p->request->model->transform : NULL;
    const struct batch *batch = &p->batch;
    if (!transform || !transform->tokenizer.n || !batch->tokens)
        return;
    buffer_text(out, ", \"text\": [");
    for (size_t b = 0; b < batch->n_rows; b++) {
        bool some = false;
        buffer_text(out, b ? ", \"" : "\"");
        for (size_t t = 0; t < batch->steps[b]; t++) {
            float id = batch->rows[b].outputs[(ptrdiff_t)t * batch->rows[b].output_stride];
            const char *word = tokenizer_word(&transform->tokenizer, (uint32_t)id);
            buffer_text(out, some && *word && !transform->tokenizer.characters ? " " : "");
            buffer_escaped(out, word);
            some |= *word;
        }
        buffer_text(out, "\"");
    }
    buffer_text(out, "]");
}
