/* Converts texts to the ids with which a model was trained, and back, as Keras's Tokenizer (Keras 2) or its
   TextVectorization layer does. */
#ifndef CONFIG_TRANSFORM_TOKENIZER_H
#define CONFIG_TRANSFORM_TOKENIZER_H

#include "config/problems.h"

#include <jansson.h>
#include <stdint.h>

enum { TOKENIZER_MAX_ID = 1 << 24, TOKENIZER_WORD_BYTES = 1024, TOKENIZER_MAX_FILTERS = 256 };

/* One word of a vocabulary. */
struct tokenizer_word {
    const char *text;
    uint32_t bytes, id;
};

/* All zeros is none; tokenizer_close frees it. */
struct tokenizer {
    struct tokenizer_word *words; /* a hash table of `room` places, a power of two; text NULL: free */
    size_t room, n;
    const struct tokenizer_word **by_id; /* [largest + 1]; NULL where no word has that id */
    uint32_t largest;
    char *text;        /* of all words */
    bool lower, ascii; /* to lower case; ASCII's letters alone */
    bool characters;   /* a word is one character */
    bool whole;        /* a text is one word, and a sequence a list of texts */
    bool empty_is_0;   /* the empty word is that of padding */
    bool strip;        /* filtered characters go; else a split stands in their place */
    bool whitespace;   /* words end at any of ASCII's white space; else at `split` alone */
    uint32_t split, filters[TOKENIZER_MAX_FILTERS];
    size_t n_filters;
    int64_t unknown; /* the id of words that are not in the vocabulary; below 0: they are dropped */
    uint32_t below;  /* num_words: ids from here on are unknown; 0: none are */
};

/**
 * Read Keras's Tokenizer.to_json(), {"word": id, …}, or {"vocabulary": …} (a list in the order of the ids, or such an
 * object) with "lower", "filters", "split" (null: whole texts are words), "char_level", "oov_token" and "num_words"
 * beside it.
 *
 * A list that begins with "" and "[UNK]" is a TextVectorization layer's get_vocabulary(), whose rules hold then. False
 * with a problem added.
 */
bool tokenizer_read(const json_t *json, struct place place, struct problems *problems, struct tokenizer *out);
/* The same from a file. */
bool tokenizer_file_read(const char *path, struct problems *problems, struct tokenizer *out);

/* Write the first `room` ids of a UTF-8 text to out. Returns the number of all its ids. */
size_t tokenizer_ids(const struct tokenizer *tokenizer, const char *text, size_t bytes, double *out, size_t room);

/* The word of an id; "" where it has none. */
const char *tokenizer_word(const struct tokenizer *tokenizer, uint32_t id);

void tokenizer_close(struct tokenizer *tokenizer);

#endif
