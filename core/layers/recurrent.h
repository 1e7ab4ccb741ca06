/* RNN (one part) and Bidirectional (forward, backward): options and cells. */
#ifndef RNN_LAYERS_RECURRENT_H
#define RNN_LAYERS_RECURRENT_H

#include "layer.h"

enum merge_mode { MERGE_CONCAT, MERGE_SUM, MERGE_MUL, MERGE_AVE, MERGE_NONE };

/* The own struct of layer_recurrent. */
struct recurrent {
    struct rnn_recurrence parts[LAYER_MAX_PARTS]; /* options; building makes the stacks */
    struct rnn_cell_spec *cells[LAYER_MAX_PARTS]; /* owned until building moves them to the stacks */
    size_t n_parts;
    enum merge_mode merge;
};

extern const struct layer_class layer_recurrent;

/* The sizes of the outputs of the directions; *second is 0 if there is one direction. */
void recurrent_widths(const struct layer *layer, size_t *first, size_t *second);

/* The layer must have this class. */
struct recurrent *recurrent_of(const struct layer *layer);

#endif
