/* Additions of /predict to the outputs of a model with a transform: the label of each class, the words of tokens. */
#ifndef SERVER_API_PREDICT_LABELS_H
#define SERVER_API_PREDICT_LABELS_H

#include "server/run/prediction.h"

/* ', "predictions": […]' for the outputs of the whole answer, one for each row, or a list of one for each timestep; nothing
   where the model has no labels. Before the outputs are in other units: labels and output scalers exclude each other. */
void predict_write_labels(const struct prediction *p, struct buffer *out);

/* ', "text": […]' of a roll-out of tokens, one for each row. */
void predict_write_text(const struct prediction *p, struct buffer *out);

#endif
