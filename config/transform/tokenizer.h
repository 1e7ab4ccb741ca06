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

/* A struct of zeros means "no tokenizer". tokenizer_close frees the memory. */
struct tokenizer {
    struct tokenizer_word *words; /* a hash table of `room` entries, a power of two; an entry with text NULL is free */
    size_t room, n;
    const struct tokenizer_word **by_id; /* [largest + 1]; NULL if no word has this id */
    uint32_t largest;
    char *text;        /* the text of all words */
    bool lower, ascii; /* lower: convert to lower case; ascii: only ASCII letters */
    bool characters;   /* each character is a word */
    bool whole;        /* a whole text is one word, and a sequence is a list of texts */
    bool empty_is_0;   /* the empty word has id 0 (padding) */
    bool strip;        /* filtered characters are removed; otherwise they separate words */
    bool whitespace;   /* words end at any ASCII white space; otherwise only at `split` */
    uint32_t split, filters[TOKENIZER_MAX_FILTERS];
    size_t n_filters;
    int64_t unknown; /* the id of words that are not in the vocabulary; below 0: such words are dropped */
    uint32_t below;  /* num_words: words with this id or a larger one count as unknown; 0: no limit */
};

/**
 * Read Keras's Tokenizer.to_json(), {"word": id, …}, or {"vocabulary": …} (a list in the order of the ids, or such an
 * object) with "lower", "filters", "split" (null: whole texts are words), "char_level", "oov_token" and "num_words"
 * beside it.
 *
 * A list that begins with "" and "[UNK]" is the get_vocabulary() of a TextVectorization layer; then the rules of this
 * layer apply. Returns false with a problem added.
 */
bool tokenizer_read(const json_t *json, struct place place, struct problems *problems, struct tokenizer *out);
/* The same from a file. */
bool tokenizer_file_read(const char *path, struct problems *problems, struct tokenizer *out);

/* Write the first `room` ids of a UTF-8 text to out. Returns the number of all its ids. */
size_t tokenizer_ids(const struct tokenizer *tokenizer, const char *text, size_t bytes, double *out, size_t room);

/* The word of an id; "" if no word has this id. */
const char *tokenizer_word(const struct tokenizer *tokenizer, uint32_t id);

void tokenizer_close(struct tokenizer *tokenizer);

#endif
