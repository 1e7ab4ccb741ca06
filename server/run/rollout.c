/* Roll-outs of forecasts and of tokens. Sources: temperature and top-k as in Holtzman et al., "The Curious Case of Neural
   Text Degeneration", ICLR 2020. */
#include "prediction.h"
#include "rollout_feed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static bool ends_in_softmax(const struct graph *graph)
{
    const struct activation *activation = layer_activation_of(graph_last_layer(graph, 0));
    return activation && activation->kind == ACT_SOFTMAX;
}

static bool check_model(struct prediction *p)
{
    const struct rollout *rollout = &p->rollout;
    const struct graph *graph = &p->request->model->graph;
    if (!graph->divisible || !graph->inputs[0].shape.sequence || !graph->n_parts)
        return failure_set(
            &p->failure, 400, "not_streamable", "/rollout",
            "This model cannot go one timestep at a time: it has no recurrent layer, or one (Bidirectional, "
            "Flatten, pooling, …) that needs whole sequences.");
    bool one = graph->n_outputs == 1;
    for (size_t i = 1; i < graph->n_inputs; i++)
        one &= !graph->inputs[i].shape.sequence;
    if (!one)
        return failure_set(
            &p->failure, 400, "not_streamable", "/rollout",
            "A roll-out needs a model with one input sequence and one output, which becomes the next timestep.");
    if (rollout->tokens) {
        if (ends_in_softmax(graph) && graph->outputs[0].shape.width == graph_vocabulary(graph, 0))
            return true;
        return failure_set(&p->failure, 400, "wrong_shape", "/rollout",
                           "The output cannot be the next input: a model of tokens has to end in a softmax over the "
                           "vocabulary of its Embedding.");
    }
    if (graph->outputs[0].shape.width != graph->inputs[0].shape.width && !rollout->known_text.text &&
        !(p->request->model->transform && p->request->model->transform->feedback))
        return failure_set(&p->failure, 400, "wrong_shape", "/rollout",
                           "The output (%zu numbers) cannot be the next input (%zu features). \"known\" gives features "
                           "of the future.",
                           graph->outputs[0].shape.width, graph->inputs[0].shape.width);
    if (rollout->temperature >= 0 || rollout->top_k >= 0 || rollout->seed >= 0)
        return failure_set(
            &p->failure, 400, "wrong_value", "/rollout",
            "\"temperature\", \"top_k\" and \"seed\" are only for models whose outputs are probabilities of tokens.");
    return true;
}

static bool check_values(struct prediction *p)
{
    struct rollout *rollout = &p->rollout;
    const struct batch_limits limits = prediction_limits(p);
    if (!rollout->steps)
        return failure_set(&p->failure, 400, "empty_input", "/rollout/steps", "Expected at least 1.");
    if ((uint64_t)rollout->steps > limits.max_timesteps)
        return failure_set(&p->failure, 413, "too_many_timesteps", "/rollout/steps",
                           "Expected at most %zu (limits.max_timesteps), found %lld.", limits.max_timesteps,
                           (long long)rollout->steps);
    if (rollout->temperature > 1000)
        return failure_set(&p->failure, 400, "wrong_value", "/rollout/temperature",
                           "Expected a number from 0 to 1000.");
    if (!rollout->top_k)
        return failure_set(&p->failure, 400, "wrong_value", "/rollout/top_k", "Expected at least 1.");
    if (p->return_sequences >= 0)
        return failure_set(&p->failure, 400, "wrong_value", "/return_sequences",
                           "A roll-out always gives the output of every step; leave return_sequences out.");
    return true;
}

bool rollout_bind(struct prediction *p)
{
    struct rollout *rollout = &p->rollout;
    const struct graph *graph = &p->request->model->graph;
    if (rollout->steps < 0) {
        if (rollout->temperature < 0 && rollout->top_k < 0 && rollout->seed < 0 && !rollout->known_text.text)
            return true;
        return failure_set(&p->failure, 400, "missing_key", "/rollout", "A roll-out needs its \"steps\".");
    }
    rollout->tokens = graph->inputs[0].shape.ids;
    if (!check_values(p) || !check_model(p))
        return false;
    if (rollout->temperature < 0)
        rollout->temperature = 1;
    if (rollout->top_k > (int64_t)graph->outputs[0].shape.width)
        rollout->top_k = -1; /* all of them */
    rollout->random = rollout->seed < 0 ? session_tag() : (uint64_t)rollout->seed;
    size_t width = graph->inputs[0].shape.width, largest = rollout->top_k < 0 ? 0 : (size_t)rollout->top_k;
    size_t floats, bytes;
    if (rnn_size_mul(p->batch.n_rows, width, &floats) && rnn_size_add(floats, largest, &floats) &&
        rnn_size_mul(floats, sizeof(float), &bytes))
        rollout->feedback = memory_realloc(&p->request->memory, NULL, 0, bytes);
    if (!rollout->feedback)
        return failure_overloaded(&p->failure);
    rollout->feedback_floats = floats;
    rollout->largest = rollout->feedback + floats - largest;
    p->batch.rolled = (size_t)rollout->steps;
    p->batch.tokens = rollout->tokens;
    return rollout->tokens || rollout_feed_bind(p);
}

void rollout_close(struct prediction *p)
{
    rollout_feed_close(p);
    free(p->rollout.feedback);
    memory_give(&p->request->memory, p->rollout.feedback_floats * sizeof(float));
    p->rollout.feedback = NULL;
    p->rollout.feedback_floats = 0;
}

/* ---- sampling ---- */

/* Sift down the root of a min-heap. */
static void sink_root(float *heap, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[i] <= heap[child])
            return;
        float least = heap[child];
        heap[child] = heap[i];
        heap[i] = least;
    }
}

/* The k-th largest of n numbers. */
static float kth_largest(const float *values, size_t n, float *heap, size_t k)
{
    for (size_t i = 0; i < k; i++)
        heap[i] = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (values[i] > heap[0]) {
            heap[0] = values[i];
            sink_root(heap, k);
        }
    return heap[0];
}

/* A random number in 0..1 that depends only on the seed, the row and the step, not on other rows. */
static double uniform_of_step(uint64_t seed, size_t b, size_t i)
{
    const uint64_t place[3] = {seed, b, i};
    return (double)(XXH3_64bits(place, sizeof place) >> 11) * 0x1p-53;
}

static double token_weight(double probability, double largest, double temperature)
{
    return temperature == 1 ? probability : probability > 0 ? exp((log(probability) - log(largest)) / temperature) : 0;
}

/* Sample a token from n probabilities. Returns n if they are not valid. */
static size_t sample_token(const struct rollout *rollout, size_t b, size_t step, const float *p, size_t n)
{
    size_t best = 0;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        total += (double)p[i];
        best = p[i] > p[best] ? i : best;
    }
    if (!(total > 0) || !isfinite(total))
        return n;
    if (rollout->temperature <= 0)
        return best;
    float least = rollout->top_k < 0 ? 0 : kth_largest(p, n, rollout->largest, (size_t)rollout->top_k);
    double largest = (double)p[best], sum = 0;
    total = 0;
    for (size_t i = 0; i < n; i++)
        if (p[i] >= least)
            total += token_weight((double)p[i], largest, rollout->temperature);
    double until = uniform_of_step(rollout->random, b, step) * total;
    for (size_t i = 0; i < n; i++) {
        if (p[i] >= least)
            sum += token_weight((double)p[i], largest, rollout->temperature);
        if (p[i] >= least && sum > until)
            return i;
    }
    return best; /* the remainder from rounding */
}

const float *rollout_take(struct prediction *p, size_t b, size_t i, const float *output)
{
    const struct graph *graph = &p->request->model->graph;
    size_t width = graph->inputs[0].shape.width;
    float *next = p->rollout.feedback + b * width;
    if (!p->rollout.tokens) {
        rollout_feed(p, b, i, output, next);
        return output;
    }
    size_t token = sample_token(&p->rollout, b, i, output, graph->outputs[0].shape.width);
    if (token == graph->outputs[0].shape.width) {
        prediction_nonfinite(p, b);
        return NULL;
    }
    *next = (float)token;
    return next;
}
