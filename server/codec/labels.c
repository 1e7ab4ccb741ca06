/* Labels of outputs. */
#include "labels.h"

#include "number_write.h"

const struct transform_output *labels_of(const struct transform *transform, size_t width)
{
    const struct transform_output *output = transform && transform->n_outputs ? &transform->outputs[0] : NULL;
    if (!output || !output->n_labels)
        return NULL;
    return width == (output->n_labels == 2 && width == 1 ? 1 : output->n_labels) ? output : NULL;
}

/* The index of the largest of n numbers; of equal ones, the first. NaN is ignored. */
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

void labels_write(const struct transform_output *output, const float *values, size_t n, ptrdiff_t stride, bool list,
                  size_t width, struct buffer *out)
{
    buffer_text(out, list ? "[" : "");
    for (size_t t = 0; t < n; t++, values += stride) {
        buffer_text(out, t ? ", " : "");
        write_prediction(output, values, width, out);
    }
    buffer_text(out, list ? "]" : "");
}
