/* Windows of sessions, for models with a fixed number of timesteps: the session stores the last timesteps of a row.
   Together with the new timesteps they form a window, which runs as a whole sequence. */
#ifndef SERVER_CODEC_WINDOW_H
#define SERVER_CODEC_WINDOW_H

#include "batch.h"
#include "json_tensor.h"

/* A row: the stored timesteps, then the new ones. */
struct window_row {
    const float *fresh; /* the new timesteps in the body's tensor */
    size_t fresh_stride, n_fresh;
    float *steps;  /* [size - 1 + n_fresh][width] */
    size_t filled; /* the number of timesteps in the newest window, up to size; set by window_load */
};

struct batch_window {
    size_t size, width, n_rows, floats; /* floats: the total size of all rows' steps */
    struct window_row *rows;
    float *steps;
    bool last_for_missing; /* a missing value takes the previous value, also from stored timesteps */
};

/* The number of floats that a session stores for a row of this model. With a window: the number of timesteps so far,
   then [size - 1][width] with the newest timestep last. Without a window: the states and lasts_floats. */
size_t window_kept_floats(const struct model *model);

struct window_options {
    bool last_for_missing; /* see batch_window */
    size_t most_rows;      /* if not 0: run a window for each new timestep, in at most so many rows (slide.h) */
};

/* Call after inputs are bound to a batch of a session: makes windows of the rows. Returns false with *failure set. */
bool window_bind(struct batch *batch, const struct window_options *options, struct failure *failure);
/* Bind the stored timesteps of a session from a PUT, [rows][up to size - 1][width]. */
bool window_bind_kept(struct batch *batch, const struct json_tensor *timesteps, const char *key,
                      struct failure *failure);

/* Load the stored timesteps, [n_rows][window_kept_floats], or NULL if there are none. Call before the rows run (again).
   Rows whose window is not full count as finished. Returns false with *failure set if a missing value has no previous
   value. */
bool window_load(struct batch *batch, const float *kept, struct failure *failure);
/* Write the timesteps that the session stores. */
void window_store(const struct batch *batch, float *kept);
/* Load stored timesteps without inputs, for an answer that is repeated or shown. */
bool window_show(struct batch *batch, const float *kept, struct failure *failure);

/* Rows whose window is not full have no outputs. */
static inline bool window_is_full(const struct batch *batch, size_t b)
{
    return !batch->window || batch->window->rows[b].filled == batch->window->size;
}

/* The number of rows that do not run. Call after window_load. */
size_t window_rows_idle(const struct batch *batch);

void window_close(struct batch *batch);

#endif
