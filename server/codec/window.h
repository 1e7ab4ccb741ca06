/* Windows of sessions, for models with a fixed number of timesteps: a row keeps its last timesteps. With the new
   timesteps they form a window, which is run as a whole sequence. */
#ifndef SERVER_CODEC_WINDOW_H
#define SERVER_CODEC_WINDOW_H

#include "batch.h"
#include "json_tensor.h"

/* A row: its kept timesteps, and behind them the new ones. */
struct window_row {
    const float *fresh; /* the new timesteps in the body's tensor */
    size_t fresh_stride, n_fresh;
    float *steps;  /* [size - 1 + n_fresh][width] */
    size_t filled; /* timesteps of the newest window that have come, up to size; since window_load */
};

struct batch_window {
    size_t size, width, n_rows, floats; /* floats: of all rows' steps */
    struct window_row *rows;
    float *steps;
    bool last_for_missing; /* a missing value takes the one before it, also of what was kept */
};

/* Numbers that a session keeps of a row of this model: the window (how many timesteps have come, then [size - 1][width],
   the newest last) in place of its states, where the model has one; else the states and lasts_floats. */
size_t window_kept_floats(const struct model *model);

struct window_options {
    bool last_for_missing; /* see batch_window */
    size_t most_rows;      /* not 0: a window for each new timestep, which at most so many rows run (slide.h) */
};

/* Once inputs are bound to a batch of a session: rows become windows. False with *failure set. */
bool window_bind(struct batch *batch, const struct window_options *options, struct failure *failure);
/* The rows of a session as PUT gives it, [rows][up to size - 1][width]. */
bool window_bind_kept(struct batch *batch, const struct json_tensor *timesteps, const char *key,
                      struct failure *failure);

/* What was kept, [n_rows][window_kept_floats] or NULL for nothing, before the rows run (again). Rows whose window is not full
   count as run. False with *failure set: a missing value has none before it. */
bool window_load(struct batch *batch, const float *kept, struct failure *failure);
/* What is to be kept. */
void window_store(const struct batch *batch, float *kept);
/* Without inputs, for an answer that is kept or shown: filled and the timesteps alone. */
bool window_show(struct batch *batch, const float *kept, struct failure *failure);

/* Rows whose window is not full have no outputs. */
static inline bool window_is_full(const struct batch *batch, size_t b)
{
    return !batch->window || batch->window->rows[b].filled == batch->window->size;
}

/* Rows that have nothing to run, once window_load has been called. */
size_t window_rows_idle(const struct batch *batch);

void window_close(struct batch *batch);

#endif
