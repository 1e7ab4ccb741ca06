/* NumPy's .npy format for POST /predict: the inputs as one array, the outputs as one array. */
#ifndef SERVER_API_PREDICT_NPY_H
#define SERVER_API_PREDICT_NPY_H

#include "server/run/prediction.h"

/* Read the body, an array [B][T][F] (or what the model takes), into p->inputs; model and return_sequences come from the
   query. False with p->failure set. */
bool predict_npy_read(struct prediction *p);

/* The value of a key of a query, "model=seed&return_sequences=true"; false where that has none. */
bool predict_npy_query(const char *query, const char *key, char *out, size_t size);

/* Write the outputs as float32. Zeros follow the end of shorter sequences. */
void predict_npy_write(struct prediction *p);

#endif
