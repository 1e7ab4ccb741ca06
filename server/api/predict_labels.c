/* Classes and tokens by their names. */
#include "predict_labels.h"

#include "server/codec/number_write.h"
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

void predict_write_labels(const struct prediction *p, struct buffer *out)
{
    const struct transform_output *output = labels_of(p);
    const struct batch *batch = &p->batch;
    size_t width = batch->output.width;
    bool sequences = batch->output.sequence && !batch->single;
    if (!output || batch->tokens || width != (output->n_labels == 2 && width == 1 ? 1 : output->n_labels))
        return;
    buffer_text(out, ", \"predictions\": [");
    for (size_t b = 0, g = 0, first = 0; b < batch->n_rows; b++) {
        buffer_text(out, b ? ", " : "");
        if (!window_is_full(batch, b)) {
            buffer_text(out, "null");
            continue;
        }
        if (batch->groups && b == first) /* the windows of one sequence */
            buffer_text(out, "[");
        buffer_text(out, sequences ? "[" : "");
        for (size_t t = 0; t < (sequences ? batch->steps[b] : 1); t++) {
            buffer_text(out, t ? ", " : "");
            write_prediction(output, batch->rows[b].outputs + (ptrdiff_t)t * batch->rows[b].output_stride, width, out);
        }
        buffer_text(out, sequences ? "]" : "");
        if (batch->groups && b + 1 == first + batch->groups[g]) {
            buffer_text(out, "]");
            first += batch->groups[g++];
        }
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
