/* Classes and tokens by their names. */
#include "predict_labels.h"

#include "server/codec/number_write.h"
#include "server/codec/slide.h"
#include "server/codec/window.h"
#include "server/run/prediction_raw.h"

#include <string.h>

static const struct transform_output *labels_of(const struct prediction *p)
{
    const struct transform *transform = prediction_transforms(p) ? p->request->model->transform : NULL;
    return transform && transform->n_outputs && transform->outputs[0].n_labels ? &transform->outputs[0] : NULL;
}

/* The largest of n numbers, the first of several; NaN is none. */
static size_t largest(const float *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best] || values[best] != values[best])
            best = i;
    return best;
}

static void write_prediction(const struct transform_output *output, const float *values, size_t width,
                             struct buffer *out)
{
    bool alone = width == 1 && output->n_labels == 2; /* a sigmoid: the probability of the second label */
    size_t best = alone ? values[0] >= 0.5f : largest(values, width);
    float score = alone && !best ? 1 - values[0] : values[alone ? 0 : best];
    char number[NUMBER_MAX_CHARS + NUMBER_SLACK + 1], *end = number_write(score, number);
    *end = 0;
    buffer_text(out, "{\"label\": \"");
    buffer_escaped(out, output->labels[best]);
    buffer_printf(out, "\", \"%s\": %s, \"index\": %zu}", output->probability ? "probability" : "score", number, best);
}

/* Of n vectors one after the other: a list, or that of the one vector there is. */
static void write_vectors(const struct transform_output *output, const float *values, size_t n, ptrdiff_t stride,
                          bool list, size_t width, struct buffer *out)
{
    buffer_text(out, list ? "[" : "");
    for (size_t t = 0; t < n; t++, values += stride) {
        buffer_text(out, t ? ", " : "");
        write_prediction(output, values, width, out);
    }
    buffer_text(out, list ? "]" : "");
}

/* A list for each sequence: null, or what is most likely, for each of its windows. */
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
            write_vectors(output, slide_output(batch, 0, sequence->first + i), slide_steps(batch, 0), (ptrdiff_t)width,
                          sequences, width, out);
        }
        buffer_text(out, "]");
    }
}

void predict_write_labels(const struct prediction *p, struct buffer *out)
{
    const struct transform_output *output = labels_of(p);
    const struct batch *batch = &p->batch;
    size_t width = batch->output.width;
    bool sequences = batch->output.sequence && !batch->single;
    if (!output || batch->tokens || width != (output->n_labels == 2 && width == 1 ? 1 : output->n_labels))
        return;
    buffer_text(out, ", \"predictions\": [");
    if (batch->slide)
        write_windows(batch, output, sequences, out);
    for (size_t b = 0; !batch->slide && b < batch->n_rows; b++) {
        const struct rnn_row *row = &batch->rows[b];
        buffer_text(out, b ? ", " : "");
        if (window_is_full(batch, b))
            write_vectors(output, row->outputs, sequences ? batch->steps[b] : 1, row->output_stride, sequences, width,
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
