/* The key "feedback": the outputs that become features of the next timestep. */
#include "transform_reading.h"

#include <stdlib.h>
#include <string.h>

/* Read a whole number in a text. Returns false if the text is not a whole number. */
static bool read_index(const char *text, size_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9 || text[digits])
        return false;
    *out = strtoul(text, NULL, 10);
    return true;
}

/* The feature that a value names: by its name, or by its number. */
static bool find_feature(struct reading *r, const json_t *value, size_t *out)
{
    const struct transform_input *input = &r->out->inputs[0];
    const char *name = json_string_value(value);
    *out = SIZE_MAX;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        *out = (size_t)json_integer_value(value);
    else if (name && (*out = transform_feature(input, name, strlen(name))) == input->n_features)
        *out = read_index(name, out) ? *out : SIZE_MAX;
    if (*out < r->ports->inputs[0].width)
        return true;
    return transform_fail(r, "there is no feature \"%.60s\"", name ? name : "of this number");
}

/* The output that a key names: by its number, or by its label. */
static bool find_output(struct reading *r, const char *key, size_t *out)
{
    const struct transform_output *output = &r->out->outputs[0];
    for (size_t i = 0; i < output->n_labels && output->n_labels == r->out->n_feedback; i++)
        if (!strcmp(output->labels[i], key)) {
            *out = i;
            return true;
        }
    return (read_index(key, out) && *out < r->out->n_feedback) ||
           transform_fail(r, "the model's output has no number or label \"%.60s\"", key);
}

void transform_read_feedback(struct reading *r, const json_t *value)
{
    const char *key;
    json_t *one;
    struct transform *t = r->out;
    if (!json_is_object(value) || r->ports->n_inputs != 1 || r->ports->n_outputs != 1) {
        transform_fail(r, "expected an object {\"0\": \"feature\"} for a model of one input and one output%s", "");
        return;
    }
    t->n_feedback = r->ports->outputs[0].width;
    if (!(t->feedback = calloc(t->n_feedback, sizeof *t->feedback))) {
        transform_out_of_memory(r);
        return;
    }
    for (size_t i = 0; i < t->n_feedback; i++)
        t->feedback[i] = SIZE_MAX;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        size_t output = 0, feature = 0;
        if (!find_output(r, key, &output) || !find_feature(r, one, &feature))
            continue;
        for (size_t i = 0; i < t->n_feedback; i++)
            if (t->feedback[i] == feature)
                transform_fail(r, "two outputs become the same feature%s", "");
        t->feedback[output] = feature;
    }
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}
