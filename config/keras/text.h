/* Layers of a model that turn texts into ids: TextVectorization and StringLookup. */
#ifndef CONFIG_KERAS_TEXT_H
#define CONFIG_KERAS_TEXT_H

#include "config/problems.h"

#include <jansson.h>

/* Returns the vocabulary of a layer in the model's file, one word a line, or NULL. layer is, for example,
   "layers/string_lookup". */
typedef const char *keras_vocabulary(const void *context, const char *layer);

/**
 * Remove these layers from a model: each becomes an Identity, and the input of the model becomes ids instead of texts.
 *
 * model  a Sequential or Functional model as Keras writes it; changed in place.
 *
 * *transform has the keys of a transform that does the same as the layers: "tokenizer" (unless no file has the
 * vocabulary) and "pad". It is NULL if the model has no such layer. Returns false with all problems added.
 */
bool keras_text_take(json_t *model, struct place place, keras_vocabulary *vocabulary, const void *context,
                     struct problems *problems, json_t **transform);

#endif
