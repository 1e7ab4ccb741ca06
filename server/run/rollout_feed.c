/* An output passes through the inverse of the output scaler and then through the input scaler of its feature, in
   double. If the two scalers are equal, the output is fed back unchanged. */
#include "rollout_feed.h"

#include "prediction_raw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The source of a feature. */
struct feature_source {
    size_t output;       /* SIZE_MAX if the feature is known */
    bool same;           /* its scalers are equal: fed back unchanged */
    const double *known; /* [rows][steps] */
};

/* The limit of known features: an object of a body has at most this many keys. */
enum { MOST_KNOWN = 60, NAME_BYTES = 24 };

/* The state of reading "known". */
struct known_reading {
    struct body_key keys[MOST_KNOWN + 1];
    char names[MOST_KNOWN][NAME_BYTES];
};

static const struct transform *transform_of(const struct prediction *p)
{
    return prediction_transforms(p) ? p->request->model->transform : NULL;
}

static size_t width_of(const struct prediction *p)
{
    return p->request->model->graph.inputs[0].shape.width;
}

/* "humidity", or the number of a feature that has no name. */
static const char *name_of(const struct prediction *p, size_t i, char number[NAME_BYTES])
{
    const struct transform *transform = p->request->model->transform;
    if (transform && i < transform->inputs[0].n_features)
        return transform->inputs[0].features[i];
    snprintf(number, NAME_BYTES, "%zu", i);
    return number;
}

static void *take(struct prediction *p, size_t count, size_t size)
{
    size_t bytes;
    void *block = rnn_size_mul(count, size, &bytes) ? memory_realloc(&p->request->memory, NULL, 0, bytes) : NULL;
    if (block)
        memset(block, 0, bytes);
    else
        failure_overloaded(&p->failure);
    return block;
}

/* ---- known ---- */

static bool check_known(struct prediction *p, const struct json_tensor *tensor, const char *name)
{
    size_t rows = p->batch.n_rows, steps = (size_t)p->rollout.steps;
    bool good = tensor->lists[0].length == rows && tensor->lists[0].holds == LIST_OF_LISTS;
    for (size_t b = 0; good && b < rows; b++)
        good = tensor->lists[1 + b].length == steps && tensor->lists[1 + b].holds == LIST_OF_NUMBERS;
    if (!good)
        return failure_set(&p->failure, 400, "wrong_shape", "/rollout/known",
                           "Expected [batch][steps] of \"%.60s\": %zu lists of %zu numbers.", name, rows, steps);
    if (tensor->missing)
        return failure_set(&p->failure, 400, "missing_value", "/rollout/known",
                           "A value of \"%.60s\" is missing (null).", name);
    return true;
}

/* Read the text of "known" into p->rollout.known [width], tensors of raw values. */
static bool read_known(struct prediction *p)
{
    static const struct transform_input plain = {.n_features = 0};
    static const struct transform no_transform = {.missing = MISSING_REFUSED};
    struct rollout *rollout = &p->rollout;
    size_t width = width_of(p), n = width < MOST_KNOWN ? width : MOST_KNOWN;
    struct known_reading *reading = take(p, 1, sizeof *reading);
    struct json_body body = {
        .text = rollout->known_text.text, .bytes = rollout->known_text.bytes, .share = &p->request->memory};
    rollout->known_as = (struct raw_reading){.transform = &no_transform, .input = &plain, .width = 1};
    rollout->known = take(p, width, sizeof *rollout->known);
    bool good = reading && rollout->known;
    for (size_t i = 0; good && i < n; i++) {
        rollout->known[i].raw = &rollout->known_as;
        reading->keys[i] = (struct body_key){name_of(p, i, reading->names[i]), BODY_NUMBERS, &rollout->known[i]};
    }
    if (good && !json_body_read_part(&body, "/rollout/known", reading->keys, &p->failure))
        good = false;
    for (size_t i = 0; good && i < n; i++)
        good = !rollout->known[i].present || check_known(p, &rollout->known[i], reading->keys[i].name);
    free(reading);
    if (reading)
        memory_give(&p->request->memory, sizeof *reading);
    return good;
}

/* ---- sources ---- */

static bool no_source(struct prediction *p, size_t feature)
{
    char number[NAME_BYTES];
    return failure_set(
        &p->failure, 400, "wrong_shape", "/rollout",
        "No output becomes the next \"%.60s\" of the input: give its future values in \"known\", or say in the "
        "transform's \"feedback\" which of the outputs it is.",
        name_of(p, feature, number));
}

/* The output that becomes a feature; SIZE_MAX if there is none. Without "feedback", the outputs become the features
   that are not known, in order, if there are as many. */
static size_t output_of(const struct prediction *p, size_t feature)
{
    const struct transform *transform = p->request->model->transform;
    const struct json_tensor *known = p->rollout.known;
    size_t outputs = p->request->model->graph.outputs[0].shape.width, width = width_of(p), unknown = 0, before = 0;
    if (transform && transform->feedback) {
        size_t i = 0;
        while (i < transform->n_feedback && transform->feedback[i] != feature)
            i++;
        return i < transform->n_feedback ? i : SIZE_MAX;
    }
    for (size_t i = 0; i < width; i++) {
        bool is_known = known && known[i].present;
        unknown += !is_known;
        before += !is_known && i < feature;
    }
    return unknown == outputs ? before : SIZE_MAX;
}

static bool find_source(struct prediction *p, size_t i, struct feature_source *source)
{
    const struct transform *transform = transform_of(p);
    const struct json_tensor *known = p->rollout.known ? &p->rollout.known[i] : NULL;
    *source = (struct feature_source){.output = SIZE_MAX};
    if (known && known->present) {
        source->known = known->raw_values;
        return true;
    }
    source->output = output_of(p, i);
    if (source->output == SIZE_MAX)
        return no_source(p, i);
    if (!transform) {
        source->same = true;
        return true;
    }
    const struct rnn_scaler *out = &transform->outputs[0].scaler, *in = &transform->inputs[0].scaler;
    source->same = out->n && in->n ? rnn_scaler_same(out, source->output, in, i) : !out->n && !in->n;
    return true;
}

bool rollout_feed_bind(struct prediction *p)
{
    struct rollout *rollout = &p->rollout;
    size_t width = width_of(p);
    if (rollout->known_text.text && !read_known(p))
        return false;
    rollout->sources = take(p, width, sizeof *rollout->sources);
    for (size_t i = 0; rollout->sources && i < width; i++)
        if (!find_source(p, i, &rollout->sources[i]))
            return false;
    return rollout->sources != NULL;
}

/* Scale a raw number to the model's units. */
static float scaled(const struct transform *transform, size_t feature, double x)
{
    const struct rnn_scaler *scaler = transform ? &transform->inputs[0].scaler : NULL;
    return (float)(scaler && feature < scaler->n ? rnn_scaler_apply(scaler, feature, x) : x);
}

void rollout_feed(const struct prediction *p, size_t b, size_t i, const float *output, float *next)
{
    const struct transform *transform = transform_of(p);
    const struct rollout *rollout = &p->rollout;
    size_t width = width_of(p), steps = (size_t)rollout->steps;
    for (size_t f = 0; f < width; f++) {
        const struct feature_source *source = &rollout->sources[f];
        if (source->known) {
            next[f] = scaled(transform, f, source->known[b * steps + i]);
        } else if (source->same) {
            next[f] = output[source->output];
        } else {
            const struct rnn_scaler *out = &transform->outputs[0].scaler;
            double y = (double)output[source->output];
            next[f] = scaled(transform, f, source->output < out->n ? rnn_scaler_invert(out, source->output, y) : y);
        }
    }
}

void rollout_feed_close(struct prediction *p)
{
    struct rollout *rollout = &p->rollout;
    size_t width = rollout->known || rollout->sources ? width_of(p) : 0;
    for (size_t i = 0; rollout->known && i < width; i++)
        json_tensor_close(&rollout->known[i], &p->request->memory);
    if (rollout->known)
        memory_give(&p->request->memory, width * sizeof *rollout->known);
    if (rollout->sources)
        memory_give(&p->request->memory, width * sizeof *rollout->sources);
    free(rollout->known);
    free(rollout->sources);
    rollout->known = NULL;
    rollout->sources = NULL;
}
