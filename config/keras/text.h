/* Layers of a model that turn texts into ids: TextVectorization and StringLookup. */
#ifndef CONFIG_KERAS_TEXT_H
#define CONFIG_KERAS_TEXT_H

#include "config/problems.h"

#include <jansson.h>

/* The vocabulary that the model's file keeps for a layer, a word a line; NULL: none. layer: "layers/string_lookup". */
typedef const char *keras_vocabulary(const void *context, const char *layer);

/**
 * Take these layers out of a model: each becomes an Identity, and the texts that went into it become ids.
 *
 * model  a Sequential or Functional model as Keras writes it; changed in place.
 *
 * *transform is what the layers do, as keys of a transform: "tokenizer" (not where the vocabulary is nowhere) and "pad";
 * NULL where the model has no such layer. False with every problem added.
 */
bool keras_text_take(json_t *model, struct place place, keras_vocabulary *vocabulary, const void *context,
                     struct problems *problems, json_t **transform);

#endif
