/* Applies transforms to predictions. */
#include "prediction_raw.h"

#include "config/settings.h"
#include "models.h"
#include "server/codec/lasts.h"
#include "server/codec/slide.h"
#include "server/codec/window.h"
#include "services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool prediction_transforms(const struct prediction *p)
{
    return p->request->model && p->request->model->transform && p->raw != 1;
}

/* ---- reading ---- */

/* The text after the next occurrence of a quoted key and a colon. Returns NULL past the last. */
static const char *next_value(const char *at, const char *end, const char *key)
{
    size_t n = strlen(key);
    while ((at = memmem(at, (size_t)(end - at), key, n))) {
        at += n;
        at += strspn(at, " \t\r\n");
        if (*at == ':')
            return at + 1 + strspn(at + 1, " \t\r\n");
    }
    return NULL;
}

static bool says_raw(const char *text, const char *end)
{
    for (const char *at = text; (at = next_value(at, end, "\"raw\""));)
        if (!strncmp(at, "true", 4))
            return true;
    return false;
}

/* The first model name that may be in the text. */
static struct model *look_for_model(const struct prediction *p, const char *text, const char *end)
{
    char name[BODY_TEXT_BYTES] = "";
    for (const char *at = text; !*name && (at = next_value(at, end, "\"model\""));) {
        size_t n = *at == '"' ? strcspn(at + 1, "\"\\") : 0;
        if (n && n < sizeof name && at[1 + n] == '"') {
            memcpy(name, at + 1, n);
            name[n] = 0;
        }
    }
    return models_acquire(p->request->services->models, name);
}

/* Prepare to read the inputs for this model. */
static void read_for(struct prediction *p, const struct model *model, bool raw, const struct body_key *keys)
{
    bool transforms = !raw && raw_reading_of(model, 0, &p->reading);
    if (!transforms)
        p->reading = (struct raw_reading){.transform = NULL};
    for (; keys->name; keys++)
        if (keys->type == BODY_INPUTS)
            ((struct json_tensor *)keys->target)->raw = transforms ? &p->reading : NULL;
}

/* Reset the tensors, to read them again. */
static void forget(struct prediction *p, const struct body_key *keys)
{
    for (; keys->name; keys++)
        if (body_key_has_tensor(keys))
            json_tensor_forget(keys->target, &p->request->memory);
}

static bool is_no_json(const struct prediction *p, bool good)
{
    return !good && !strcmp(p->failure.code, "invalid_json");
}

bool prediction_read_raw(struct prediction *p, struct json_body *body, const struct body_key *keys)
{
    struct request *request = p->request;
    struct models *models = request->services->models;
    bool named = request->model, possible = models && atomic_load(&models->raw_values);
    const char *end = body->text + body->bytes;
    struct model *guess = possible && !named ? look_for_model(p, body->text, end) : NULL;
    const struct model *assumed = named ? request->model : guess;
    if (possible)
        read_for(p, assumed, assumed && assumed->transform && says_raw(body->text, end), keys);
    bool good = json_body_read(body, keys, &p->failure);
    if (!named && !is_no_json(p, good))
        request->model = models_acquire(models, p->model);
    const struct transform *wanted = request->model && prediction_transforms(p) ? request->model->transform : NULL;
    if (possible && request->model && wanted != p->reading.transform && !is_no_json(p, good)) {
        forget(p, keys);
        read_for(p, request->model, p->raw == 1, keys);
        p->failure = (struct failure){.status = 0};
        good = json_body_read(body, keys, &p->failure);
    }
    model_release(guess);
    return good;
}

/* ---- binding ---- */

bool prediction_scale(struct prediction *p, struct json_tensor *inputs, const char *key)
{
    return raw_to_values(inputs, key, &p->request->memory, &p->failure);
}

bool prediction_takes_missing(struct prediction *p, const struct json_tensor *inputs, const char *key)
{
    char path[64];
    if (!inputs->raw || !inputs->missing || inputs->raw->transform->missing != MISSING_LAST)
        return true;
    snprintf(path, sizeof path, "/%.60s", key);
    return failure_set(&p->failure, 400, "missing_value", path,
                       "A value is missing (null); \"missing\": \"last\" is for models of one input.");
}

static bool has_window(const struct prediction *p)
{
    return *p->session.id && p->request->model->window;
}

/* The number of rows that run windows in turn: as many as a running batch has. */
static size_t most_rows(const struct prediction *p)
{
    return (size_t)p->request->services->settings->max_batch_rows;
}

bool prediction_slide(struct prediction *p)
{
    const struct model *model = p->request->model;
    const struct layer_shape *input = &model->graph.inputs[0].shape;
    size_t size = model->window ? model->window : input->timesteps;
    if (p->slide != 1)
        return true;
    if (!input->sequence || model->graph.time_major || !size)
        return failure_set(&p->failure, 400, "unsupported_key", "/slide",
                           "This model's file gives no number of timesteps for windows; \"window\" in its entry "
                           "gives one.");
    if (*p->session.id || p->states.present || p->rollout.steps >= 0 || p->batch.single || p->request->stream)
        return failure_set(&p->failure, 400, "wrong_value", "/slide",
                           "Sessions, initial states, roll-outs and streams cannot be used with \"slide\".");
    return slide_bind(&p->batch, size, most_rows(p), &p->failure);
}

bool prediction_has_outputs(struct prediction *p)
{
    const struct batch_window *window = p->batch.window;
    const struct slide *slide = p->batch.slide;
    size_t b = 0;
    if (!window)
        return true;
    while (b < window->n_rows && (slide ? !slide->sequences[b].empty : window_is_full(&p->batch, b)))
        b++;
    if (b < window->n_rows && slide && slide->sequences[b].windows)
        return failure_set(&p->failure, 409, "window_not_filled", "",
                           "The windows of the first %zu new timesteps of row %zu are not full; the session has kept "
                           "all of them, send the next.",
                           slide->sequences[b].empty, b);
    return b == window->n_rows ||
           failure_set(&p->failure, 409, "window_not_filled", "",
                       "Row %zu has %zu of the %zu timesteps of a window; the session has kept them, send the next.", b,
                       window->rows[b].filled, window->size);
}

bool prediction_bind_window(struct prediction *p, const struct json_tensor *inputs)
{
    bool last = inputs->raw && inputs->missing && inputs->raw->transform->missing == MISSING_LAST;
    if (!has_window(p))
        return p->return_windows != 1 ||
               failure_set(&p->failure, 400, "unsupported_key", "/return_windows",
                           "\"return_windows\" is for sessions of a model with windows (\"window\" in its entry).");
    if (p->mask.present || p->rollout.steps >= 0 || p->batch.single || p->request->stream)
        return failure_set(&p->failure, 400, "wrong_value", "/session",
                           "Sessions of this model keep windows, with which masks, roll-outs, streams and :step do not "
                           "go.");
    const struct window_options options = {last, p->return_windows == 1 ? most_rows(p) : 0};
    return window_bind(&p->batch, &options, &p->failure);
}

bool prediction_fill_missing(struct prediction *p, const struct json_tensor *inputs)
{
    if (has_window(p)) /* stored values may come before */
        return true;
    if (*p->session.id && lasts_floats(p->request->model))
        return lasts_bind(&p->batch, &p->failure);
    return !inputs->raw || !inputs->missing || inputs->raw->transform->missing != MISSING_LAST ||
           raw_fill_missing(&p->batch, inputs->raw->width, NULL, &p->failure);
}

/* ---- outputs ---- */

static bool unscales(const struct prediction *p)
{
    return prediction_transforms(p) && !p->batch.tokens && raw_has_outputs(p->request->model);
}

void prediction_unscale(struct prediction *p)
{
    size_t width = p->batch.output.width;
    if (!p->failure.status && p->batch.outputs && width && unscales(p))
        raw_outputs(p->request->model, 0, p->batch.outputs, p->batch.outputs_floats / width, width);
    for (size_t o = 1;
         !p->failure.status && p->batch.more_outputs && unscales(p) && o < p->request->model->graph.n_outputs; o++) {
        struct batch_output *more = &p->batch.more_outputs[o - 1];
        if (more->floats && more->shape.width)
            raw_outputs(p->request->model, o, more->floats, more->n_floats / more->shape.width, more->shape.width);
    }
}

const float *prediction_unscaled(struct prediction *p, size_t output, const float *values, size_t n, size_t width)
{
    size_t floats = n * width, bytes = floats * sizeof *values;
    if (!unscales(p))
        return values;
    if (p->unscaled_floats < floats) {
        float *grown = memory_realloc(&p->request->memory, p->unscaled, p->unscaled_floats * sizeof *grown, bytes);
        if (!grown) {
            failure_overloaded(&p->failure);
            return NULL;
        }
        p->unscaled = grown;
        p->unscaled_floats = floats;
    }
    memcpy(p->unscaled, values, bytes);
    raw_outputs(p->request->model, output, p->unscaled, n, width);
    return p->unscaled;
}
