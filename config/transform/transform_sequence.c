/* The keys "tokenizer" and "pad": texts and sequences of other lengths as inputs. */
#include "transform_reading.h"

#include <stdio.h>
#include <string.h>

/* Some words with low ids, which are usually the most frequent words. */
static json_t *some_words(const struct tokenizer *t)
{
    enum { SHOWN = 32, WORD_BYTES = 40 };
    json_t *words = json_array();
    for (uint32_t id = 0; id <= t->largest && json_array_size(words) < SHOWN; id++) {
        const char *word = tokenizer_word(t, id);
        if (*word && (int64_t)id != t->unknown && strlen(word) < WORD_BYTES)
            json_array_append_new(words, json_string(word));
    }
    return words;
}

void transform_read_tokenizer(struct reading *r, const json_t *value)
{
    struct tokenizer *t = &r->out->tokenizer;
    char path[PATH_MAX], at[200], text[64];
    size_t i = 0;
    while (i < r->ports->n_inputs && !r->ports->inputs[i].vocabulary)
        i++;
    if (i == r->ports->n_inputs) {
        transform_fail(r, "a tokenizer needs a model with an Embedding as its first layer%s", "");
        return;
    }
    bool good = json_is_string(value)
                    ? transform_path(r, json_string_value(value), path) && tokenizer_file_read(path, r->problems, t)
                    : tokenizer_read(value, transform_place_of(r, at), r->problems, t);
    r->good &= good;
    if (!good)
        return;
    for (size_t k = i; k < r->ports->n_inputs; k++)
        r->out->inputs[k].tokens = r->ports->inputs[k].vocabulary > 0;
    size_t largest = t->below && t->below - 1 < t->largest ? t->below - 1 : t->largest;
    if (largest >= r->ports->inputs[i].vocabulary)
        transform_misfit(r, "the tokenizer has ids up to", largest, "(from 0)", &r->ports->inputs[i],
                         r->ports->inputs[i].vocabulary);
    snprintf(text, sizeof text, "%zu words%s", t->n,
             t->characters ? ", each a character"
             : t->whole    ? ", each a whole text of a list"
                           : "");
    json_object_set_new(r->shown, r->key, json_string(text));
    json_object_set_new(r->shown, "sample_words", some_words(t));
}

/* "pre" or "post" */
static bool read_side(struct reading *r, const json_t *pad, const char *key, bool *post)
{
    const json_t *value = json_object_get(pad, key);
    const char *text = json_string_value(value);
    *post = text && !strcmp(text, "post");
    if (!value || *post || (text && !strcmp(text, "pre")))
        return true;
    return transform_fail(r, "expected \"pre\" or \"post\" for \"%.20s\"", key);
}

void transform_read_pad(struct reading *r, const json_t *value)
{
    static const char *const keys[] = {"length", "side", "truncate", "value", NULL};
    struct transform_pad *pad = &r->out->pad;
    const json_t *length = json_object_get(value, "length"), *number = json_object_get(value, "value");
    const struct transform_port *port = &r->ports->inputs[0];
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        char text[160], hint[100];
        snprintf(text, sizeof text, "\"%.40s\"%s", key, nearest_hint(key, keys, hint, sizeof hint));
        if (nearest_word(key, keys) ? strcmp(nearest_word(key, keys), key) : 1)
            transform_fail(r, "unknown key %s", text);
    }
    if (!json_is_integer(length) || json_integer_value(length) < 1 || json_integer_value(length) > 1 << 24) {
        transform_fail(r, "expected an object with a \"length\", a whole number of at least 1%s", "");
        return;
    }
    if (!read_side(r, value, "side", &pad->after) || !read_side(r, value, "truncate", &pad->cut_after))
        return;
    pad->length = (size_t)json_integer_value(length);
    pad->value = json_number_value(number);
    if (number && !json_is_number(number))
        transform_fail(r, "expected a number as the \"value\"%s", "");
    if (!port->sequence)
        transform_fail(r, "\"%.60s\" of the model does not take sequences", port->name);
    else if (port->timesteps && port->timesteps != pad->length)
        transform_misfit(r, "sequences are padded to", pad->length, "timesteps", port, port->timesteps);
    else if (port->vocabulary && !(pad->value >= 0 && pad->value < (double)port->vocabulary))
        transform_fail(r, "the \"value\" must be an id in the vocabulary of \"%.60s\" of the model", port->name);
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}
