/* The source of each feature of a roll-out's next input: an output, or a known future value. */
#ifndef SERVER_RUN_ROLLOUT_FEED_H
#define SERVER_RUN_ROLLOUT_FEED_H

#include <stdbool.h>
#include <stddef.h>

struct prediction;

/* Find the source of every feature. Call after the rows are bound and the steps are known. Returns false with
   p->failure set. */
bool rollout_feed_bind(struct prediction *p);

/* Compute the next input of row b from its i-th output (the model's output.width floats). */
void rollout_feed(const struct prediction *p, size_t b, size_t i, const float *output, float *next);

void rollout_feed_close(struct prediction *p);

#endif
