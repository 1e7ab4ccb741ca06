/* Source: keras/src/layers/preprocessing/{text_vectorization,string_lookup,index_lookup}.py; in Keras 2
   keras/layers/preprocessing. The order of the ids: the mask, unknown words, then the vocabulary. */
#include "text.h"

#include "json.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LENGTH = 1 << 24 };

struct taking {
    struct problems *problems;
    const char *file;
    char path[KERAS_PATH_BYTES];
    const char *name; /* the name of the layer */
    bool good;
    size_t vectorizations, lookups; /* the numbers of layers of each class so far; files name vocabularies by these
                                       numbers */
    keras_vocabulary *vocabulary;
    const void *context;
    json_t *transform;
};

static bool fail(struct taking *t, const char *key, const char *sentence)
{
    char path[KERAS_PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s%s%s", t->path, key ? "/config/" : "", key ? key : "");
    problem_error(t->problems, (struct place){t->file, path}, "\"%.60s\": %s", t->name ? t->name : "", sentence);
    return t->good = false;
}

/* Check that a key is missing or has the only supported value. */
static void check(struct taking *t, const json_t *config, const char *key, const char *served, const char *sentence)
{
    const json_t *value = json_object_get(config, key);
    const char *text = json_string_value(value);
    bool same = !value || json_is_null(value) || json_is_false(value) || (text && served && !strcmp(text, served));
    if (!same)
        fail(t, key, sentence);
}

/* ---- vocabularies ---- */

static void add_lines(json_t *words, const char *text)
{
    for (size_t n;; text += n + 1) {
        n = strcspn(text, "\n");
        json_array_append_new(words, json_stringn(text, n));
        if (!text[n])
            return;
    }
}

/* The words of a vocabulary. The special words come first, also if the list does not have them. Returns NULL if the
   file has no words. */
static json_t *words_of(struct taking *t, const json_t *config, const char *class_name, size_t number, const char *mask,
                        const char *unknown)
{
    char layer[80];
    const json_t *given = json_object_get(config, "vocabulary");
    json_t *listed = json_array(), *words = json_array();
    snprintf(layer, sizeof layer, number ? "layers/%s_%zu" : "layers/%s", class_name, number);
    const char *text = json_is_array(given) ? NULL : t->vocabulary(t->context, layer);
    if (json_is_array(given))
        json_array_extend(listed, (json_t *)(uintptr_t)given);
    else if (text)
        add_lines(listed, text);
    else if (json_is_string(given))
        fail(t, "vocabulary", "its words are in another file; save the model as .keras, which keeps them");
    const char *special[] = {mask, unknown};
    size_t at = 0;
    for (size_t i = 0; i < 2; i++) {
        const char *next = json_string_value(json_array_get(listed, at));
        at += special[i] && next && !strcmp(next, special[i]);
        if (special[i])
            json_array_append_new(words, json_string(special[i]));
    }
    for (; at < json_array_size(listed); at++)
        json_array_append(words, json_array_get(listed, at));
    bool some = json_array_size(listed) > 0;
    json_decref(listed);
    if (some)
        return words;
    json_decref(words);
    return NULL;
}

/* ---- the layers ---- */

/* Store the keys of a transform. All text layers of a model must have the same keys. */
static void keep(struct taking *t, json_t *tokenizer, json_t *pad)
{
    json_t *transform = json_object();
    if (tokenizer)
        json_object_set_new(transform, "tokenizer", tokenizer);
    if (pad)
        json_object_set_new(transform, "pad", pad);
    if (!t->transform)
        t->transform = json_incref(transform);
    else if (!json_equal(t->transform, transform))
        fail(t, NULL, "another text layer of the model has another vocabulary or other options; they must be equal");
    json_decref(transform);
}

static void read_vectorization(struct taking *t, const json_t *config)
{
    const char *standardize = json_string_value(json_object_get(config, "standardize"));
    const char *split = json_string_value(json_object_get(config, "split"));
    const json_t *length = json_object_get(config, "output_sequence_length");
    check(t, config, "ngrams", NULL, "n-grams are not supported, expected null");
    check(t, config, "output_mode", "int", "expected \"int\": the layer gives ids to an Embedding");
    if (json_object_get(config, "standardize") && !standardize && !json_is_null(json_object_get(config, "standardize")))
        fail(t, "standardize",
             "a Python function is not supported; expected \"lower_and_strip_punctuation\", "
             "\"lower\", \"strip_punctuation\" or null");
    if (json_object_get(config, "split") && !split && !json_is_null(json_object_get(config, "split")))
        fail(t, "split", "a Python function is not supported; expected \"whitespace\", \"character\" or null");
    if (!json_object_get(config, "standardize"))
        standardize = "lower_and_strip_punctuation";
    if (!json_object_get(config, "split"))
        split = "whitespace";
    bool lower = standardize && (!strcmp(standardize, "lower") || !strcmp(standardize, "lower_and_strip_punctuation"));
    bool strip = standardize &&
                 (!strcmp(standardize, "strip_punctuation") || !strcmp(standardize, "lower_and_strip_punctuation"));
    json_t *words = words_of(t, config, "text_vectorization", t->vectorizations++, "", "[UNK]");
    json_t *tokenizer = words ? json_pack("{s:o, s:b, s:b}", "vocabulary", words, "lower", lower, "char_level",
                                          split && !strcmp(split, "character"))
                              : NULL;
    if (tokenizer && !strip)
        json_object_set_new(tokenizer, "filters", json_string(""));
    if (tokenizer && !split)
        json_object_set_new(tokenizer, "split", json_null());
    json_t *pad = json_is_integer(length)
                      ? json_pack("{s:O, s:s, s:s}", "length", length, "side", "post", "truncate", "post")
                      : NULL;
    keep(t, tokenizer, pad);
}

static void read_lookup(struct taking *t, const json_t *config)
{
    const json_t *unknowns = json_object_get(config, "num_oov_indices");
    const char *mask = json_string_value(json_object_get(config, "mask_token"));
    const char *unknown = json_string_value(json_object_get(config, "oov_token"));
    check(t, config, "invert", NULL, "a layer that converts ids to texts is not supported, expected false");
    check(t, config, "output_mode", "int", "expected \"int\": the layer gives ids to an Embedding");
    if (unknowns && (json_integer_value(unknowns) < 0 || json_integer_value(unknowns) > 1))
        fail(t, "num_oov_indices", "several ids for unknown words are not supported, expected 0 or 1");
    if (!unknown || (unknowns && !json_integer_value(unknowns)))
        unknown = unknowns && !json_integer_value(unknowns) ? NULL : "[UNK]";
    json_t *words = words_of(t, config, "string_lookup", t->lookups++, mask, unknown);
    json_t *tokenizer = words ? json_pack("{s:o, s:n, s:b, s:s, s:s*}", "vocabulary", words, "split", "lower", 0,
                                          "filters", "", "oov_token", unknown)
                              : NULL;
    keep(t, tokenizer, NULL);
}

/* ---- the model ---- */

static bool mentions(const json_t *json, const char *name, int depth)
{
    const json_t *one;
    const char *key;
    size_t i;
    if (json_is_string(json))
        return !strcmp(json_string_value(json), name);
    if (depth > 16)
        return false;
    json_array_foreach((json_t *)(uintptr_t)json, i, one)
        if (mentions(one, name, depth + 1))
            return true;
    json_object_foreach((json_t *)(uintptr_t)json, key, one)
        if (mentions(one, name, depth + 1))
            return true;
    return false;
}

static const char *name_of(const json_t *layer)
{
    const char *name = json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
    return name ? name : "";
}

/* The config of the InputLayer whose texts a layer takes: the first one in a Sequential model, otherwise the one that
   the layer's use names. Returns NULL if the texts do not come from an input. */
static json_t *input_of(const json_t *layers, const json_t *layer)
{
    const json_t *uses = json_object_get(layer, "inbound_nodes");
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)layers, i, one) {
        const char *class_name = keras_class_name(one);
        if (class_name && !strcmp(class_name, "InputLayer") &&
            (!json_array_size(uses) || mentions(uses, name_of(one), 0)))
            return json_object_get(one, "config");
    }
    return NULL;
}

/* Make the input take ids instead of texts. length is the number of ids for each text; NULL: as many as the text has
   words. */
static void change_input(json_t *input, bool texts, const json_t *length)
{
    static const char *const keys[] = {"batch_input_shape", "batch_shape"};
    json_object_set_new(input, "dtype", json_string("int32"));
    for (size_t i = 0; texts && i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(input, keys[i]))
            json_object_set_new(input, keys[i], json_pack("[n, O]", json_is_integer(length) ? length : json_null()));
}

static void take(struct taking *t, const json_t *layers, json_t *layer)
{
    const char *class_name = keras_class_name(layer);
    const json_t *config = json_object_get(layer, "config"), *split = json_object_get(config, "split");
    bool vectorization = !strcmp(class_name, "TextVectorization");
    json_t *input = input_of(layers, layer);
    if (!input) {
        fail(t, NULL, "its texts must come directly from an input of the model; put an InputLayer before it");
        return;
    }
    if (vectorization)
        read_vectorization(t, config);
    else
        read_lookup(t, config);
    const json_t *length = vectorization ? json_object_get(config, "output_sequence_length") : NULL;
    change_input(input, vectorization && (!json_is_null(split) || json_is_integer(length)), length);
    json_object_set_new(layer, "class_name", json_string("Identity"));
    json_object_set_new(layer, "config", json_pack("{s:s}", "name", t->name));
    json_object_del(layer, "build_config");
    json_object_del(layer, "registered_name");
}

bool keras_text_take(json_t *model, struct place place, keras_vocabulary *vocabulary, const void *context,
                     struct problems *problems, json_t **transform)
{
    struct taking t = {
        .problems = problems, .file = place.file, .good = true, .vocabulary = vocabulary, .context = context};
    json_t *config = json_object_get(model, "config"), *layer;
    json_t *layers = json_is_array(config) ? config : json_object_get(config, "layers");
    size_t i;
    json_array_foreach(layers, i, layer) {
        const char *class_name = keras_class_name(layer);
        char name[64];
        if (!class_name || (strcmp(class_name, "TextVectorization") && strcmp(class_name, "StringLookup")))
            continue;
        snprintf(name, sizeof name, "%s", name_of(layer));
        snprintf(t.path, sizeof t.path, "%.80s/config/%s%zu", place.path ? place.path : "",
                 json_is_array(config) ? "" : "layers/", i);
        t.name = name;
        take(&t, layers, layer);
    }
    *transform = t.good ? t.transform : NULL;
    if (!t.good)
        json_decref(t.transform);
    return t.good;
}
