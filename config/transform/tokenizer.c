/* Source: keras_preprocessing/text.py, text_to_word_sequence and Tokenizer.texts_to_sequences_generator;
   keras/src/layers/preprocessing/text_vectorization.py. */
#include "tokenizer.h"

#include "config/files/json_file.h"
#include "config/json_type.h"
#include "config/open_file.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wctype.h>
#include <xxhash.h>

static const off_t max_bytes = JSON_FILE_MAX_BYTES;
static const char keras_filters[] = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n",
                  vectorization_filters[] = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'";

/* ---- characters ---- */

/* The next character of a UTF-8 text; *p is moved past it. Bytes that are not UTF-8 are characters of their own. */
static uint32_t next_character(const unsigned char **p, const unsigned char *end)
{
    uint32_t c = *(*p)++;
    size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
    if (!more || (size_t)(end - *p) < more)
        return c;
    c &= 0x3fu >> more;
    for (; more; more--)
        c = c << 6 | (*(*p)++ & 0x3f);
    return c;
}

static size_t put_character(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return n;
}

/* The locale for characters beyond ASCII, independent of the locale of the process. The first tokenizer creates it for
   all. */
static locale_t unicode;
static pthread_mutex_t unicode_lock = PTHREAD_MUTEX_INITIALIZER;

static bool make_unicode(void)
{
    pthread_mutex_lock(&unicode_lock);
    if (!unicode)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    bool made = unicode != (locale_t)0;
    pthread_mutex_unlock(&unicode_lock);
    return made;
}

/* Python's str.lower() for one character. The caller handles the two exceptions (capital sigma, and I with a dot). */
static uint32_t lower_of(const struct tokenizer *t, uint32_t c)
{
    if (c < 0x80 || t->ascii)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return (uint32_t)towlower_l((wint_t)c, unicode);
}

static bool is_cased(uint32_t c)
{
    return iswlower_l((wint_t)c, unicode) || iswupper_l((wint_t)c, unicode);
}

static bool is_in(const uint32_t *characters, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (characters[i] == c)
            return true;
    return false;
}

static bool ends_word(const struct tokenizer *t, uint32_t c)
{
    return t->whitespace ? c == ' ' || (c >= '\t' && c <= '\r') : c == t->split;
}

/* ---- the vocabulary ---- */

static struct tokenizer_word *place_of(const struct tokenizer *t, const char *text, size_t bytes)
{
    size_t i = XXH3_64bits(text, bytes) & (t->room - 1);
    while (t->words[i].text && (t->words[i].bytes != bytes || memcmp(t->words[i].text, text, bytes)))
        i = (i + 1) & (t->room - 1);
    return &t->words[i];
}

const char *tokenizer_word(const struct tokenizer *t, uint32_t id)
{
    return t->by_id && id <= t->largest && t->by_id[id] ? t->by_id[id]->text : "";
}

void tokenizer_close(struct tokenizer *t)
{
    free(t->words);
    free((void *)t->by_id);
    free(t->text);
    *t = (struct tokenizer){.n = 0};
}

/* ---- texts ---- */

/* The current word. */
struct word {
    const struct tokenizer *tokenizer;
    char text[TOKENIZER_WORD_BYTES];
    size_t bytes;
    bool long_one; /* the word is too long for any vocabulary */
    double *out;
    size_t n, room;
};

static void give(struct word *w, int64_t id)
{
    if (id < 0)
        return;
    if (w->n < w->room)
        w->out[w->n] = (double)id;
    w->n++;
}

static void end_word(struct word *w)
{
    const struct tokenizer *t = w->tokenizer;
    if (!w->bytes && !w->long_one && t->whole) {
        give(w, t->empty_is_0 ? 0 : t->unknown);
    } else if (w->bytes || w->long_one) {
        const struct tokenizer_word *found = w->long_one ? NULL : place_of(t, w->text, w->bytes);
        bool known = found && found->text && !(t->below && found->id >= t->below);
        give(w, known ? found->id : t->unknown);
    }
    w->bytes = 0;
    w->long_one = false;
}

static void add_character(struct word *w, uint32_t c)
{
    if (w->bytes + 4 > sizeof w->text)
        w->long_one = true;
    else if (!w->long_one)
        w->bytes += put_character(c, w->text + w->bytes);
}

static void take_character(struct word *w, uint32_t c)
{
    const struct tokenizer *t = w->tokenizer;
    bool filtered = is_in(t->filters, t->n_filters, c);
    if (filtered && t->strip)
        return;
    if (t->characters) {
        add_character(w, c);
        end_word(w);
        return;
    }
    if (!t->whole && (filtered || ends_word(t, c)))
        end_word(w);
    else
        add_character(w, c);
}

enum { SIGMA = 0x3a3, SMALL_SIGMA = 0x3c3, LAST_SIGMA = 0x3c2, I_WITH_DOT = 0x130, DOT_ABOVE = 0x307 };

size_t tokenizer_ids(const struct tokenizer *t, const char *text, size_t bytes, double *out, size_t room)
{
    struct word w = {.tokenizer = t, .out = out, .room = room};
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    bool after_letter = false;
    while (p < end) {
        uint32_t c = next_character(&p, end), last = c;
        if (t->lower && !t->ascii && c == I_WITH_DOT) {
            take_character(&w, 'i');
            take_character(&w, DOT_ABOVE);
        } else if (t->lower && !t->ascii && c == SIGMA && after_letter) {
            const unsigned char *ahead = p;
            bool letter_follows = p < end && is_cased(next_character(&ahead, end));
            take_character(&w, letter_follows ? SMALL_SIGMA : LAST_SIGMA);
        } else {
            take_character(&w, t->lower ? lower_of(t, c) : c);
        }
        after_letter = c == SIGMA ? true : last < 0x80 ? (last | 32) >= 'a' && (last | 32) <= 'z' : is_cased(last);
    }
    end_word(&w);
    return w.n;
}

/* ---- reading ---- */

struct reading {
    struct tokenizer *out;
    struct place place;
    struct problems *problems;
    size_t text_used, text_room;
    bool capitals, filtered,
        several; /* whether the words have capitals, Keras's filtered characters, more than one character */
};

static bool fail(const struct reading *r, const char *sentence, const char *what)
{
    problem_error(r->problems, r->place, sentence, what);
    return false;
}

/* Allocate memory for n words of so many bytes in all. */
static bool make_room(struct reading *r, size_t n, size_t bytes)
{
    struct tokenizer *t = r->out;
    for (t->room = 16; t->room < 2 * n; t->room *= 2)
        ;
    t->words = calloc(t->room, sizeof *t->words);
    r->text_room = bytes + n;
    t->text = malloc(r->text_room + 1);
    return (t->words && t->text) || fail(r, "out of memory%s", "");
}

static void look_at(struct reading *r, const char *word, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)word, *end = p + bytes;
    size_t characters = 0;
    for (; p < end; characters++) {
        uint32_t c = next_character(&p, end);
        r->capitals |= c < 0x80 ? c >= 'A' && c <= 'Z' : iswupper_l((wint_t)c, unicode) != 0;
        r->filtered |= c && c < 0x80 && strchr(keras_filters, (int)c);
    }
    r->several |= characters > 1;
}

static bool is_unknown_word(const char *word)
{
    static const char *const names[] = {"[UNK]", "<OOV>", "<oov>", "<UNK>", "<unk>", "UNK", "[OOV]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(word, names[i]))
            return true;
    return false;
}

static bool add_word(struct reading *r, const char *word, size_t bytes, json_int_t id)
{
    struct tokenizer *t = r->out;
    if (id < 0 || id >= TOKENIZER_MAX_ID)
        return fail(r, "the id of \"%.60s\" must be a whole number from 0 to 16777215", word);
    struct tokenizer_word *place = place_of(t, word, bytes);
    if (place->text)
        return fail(r, "the word \"%.60s\" is in the vocabulary twice", word);
    char *text = t->text + r->text_used;
    memcpy(text, word, bytes);
    text[bytes] = 0;
    r->text_used += bytes + 1;
    *place = (struct tokenizer_word){text, (uint32_t)bytes, (uint32_t)id};
    t->largest = (uint32_t)id > t->largest ? (uint32_t)id : t->largest;
    t->n++;
    if (is_unknown_word(text))
        t->unknown = id;
    else
        look_at(r, word, bytes);
    return true;
}

/* {"word": id, …} */
static bool read_words(struct reading *r, const json_t *words)
{
    size_t bytes = 0;
    const char *word;
    json_t *id;
    json_object_foreach((json_t *)(uintptr_t)words, word, id) {
        if (!json_is_integer(id))
            return fail(r, "expected a whole number as the id of \"%.60s\"", word);
        bytes += strlen(word);
    }
    if (!make_room(r, json_object_size(words), bytes))
        return false;
    json_object_foreach((json_t *)(uintptr_t)words, word, id)
        if (!add_word(r, word, strlen(word), json_integer_value(id)))
            return false;
    return true;
}

/* ["word", …] in the order of the ids; "" is not a word but padding. */
static bool read_list(struct reading *r, const json_t *list)
{
    size_t bytes = 0, n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_string(json_array_get(list, i)))
            return fail(r, "expected a list of texts%s", "");
        bytes += json_string_length(json_array_get(list, i));
    }
    if (!make_room(r, n, bytes))
        return false;
    r->out->empty_is_0 = n && !json_string_length(json_array_get(list, 0));
    for (size_t i = 0; i < n; i++) {
        const json_t *word = json_array_get(list, i);
        if (json_string_length(word) && !add_word(r, json_string_value(word), json_string_length(word), (json_int_t)i))
            return false;
    }
    return true;
}

static bool fill_by_id(struct reading *r)
{
    struct tokenizer *t = r->out;
    if (!t->n)
        return fail(r, "the vocabulary is empty%s", "");
    t->by_id = calloc((size_t)t->largest + 1, sizeof *t->by_id);
    for (size_t i = 0; t->by_id && i < t->room; i++)
        if (t->words[i].text)
            t->by_id[t->words[i].id] = &t->words[i];
    return t->by_id || fail(r, "out of memory%s", "");
}

/* Set the filtered characters to those of a text. */
static bool set_filters(struct reading *r, const char *text, size_t bytes)
{
    struct tokenizer *t = r->out;
    const unsigned char *p = (const unsigned char *)text, *end = p + bytes;
    for (t->n_filters = 0; p < end; t->n_filters++) {
        if (t->n_filters == TOKENIZER_MAX_FILTERS)
            return fail(r, "\"filters\" has more than 256 characters%s", "");
        t->filters[t->n_filters] = next_character(&p, end);
    }
    return true;
}

/* Read the given options, which have the names of Keras's Tokenizer. */
static bool read_options(struct reading *r, const json_t *options)
{
    struct tokenizer *t = r->out;
    const json_t *filters = json_object_get(options, "filters"), *split = json_object_get(options, "split");
    const json_t *lower = json_object_get(options, "lower"), *characters = json_object_get(options, "char_level");
    const json_t *oov = json_object_get(options, "oov_token"), *below = json_object_get(options, "num_words");
    t->whole = json_is_null(split);
    if (t->whole && !t->strip) {
        t->lower = false;
        t->n_filters = 0;
    }
    t->characters &= !t->whole;
    if (json_is_boolean(lower))
        t->lower = json_is_true(lower);
    if (json_is_boolean(characters) && !t->whole)
        t->characters = json_is_true(characters);
    if (json_is_string(filters) && !set_filters(r, json_string_value(filters), json_string_length(filters)))
        return false;
    if (json_is_string(split)) {
        const unsigned char *p = (const unsigned char *)json_string_value(split), *end = p + json_string_length(split);
        t->split = p < end ? next_character(&p, end) : 0;
        t->whitespace = false;
        if (p != end || !t->split)
            return fail(r, "\"split\" must be one character%s", "");
    }
    if (json_is_integer(below) && json_integer_value(below) > 0 && json_integer_value(below) <= TOKENIZER_MAX_ID)
        t->below = (uint32_t)json_integer_value(below);
    if (!json_is_string(oov))
        return true;
    const struct tokenizer_word *word = place_of(t, json_string_value(oov), json_string_length(oov));
    t->unknown = word->text ? (int64_t)word->id : -1;
    return word->text || fail(r, "its oov_token \"%.60s\" is not in its vocabulary", json_string_value(oov));
}

/* For a vocabulary without options: use the options of Keras's Tokenizer, except those that contradict the words. */
static bool guess_rules(struct reading *r)
{
    struct tokenizer *t = r->out;
    t->characters = !r->several;
    t->lower = !r->capitals && r->several;
    return set_filters(r, keras_filters, r->filtered ? 0 : strlen(keras_filters));
}

static bool is_vectorization(const json_t *list)
{
    const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
    return json_is_string(first) && !json_string_length(first) && json_is_string(second) &&
           !strcmp(json_string_value(second), "[UNK]");
}

static bool vectorization_rules(struct reading *r)
{
    struct tokenizer *t = r->out;
    t->lower = t->ascii = t->strip = t->whitespace = true;
    t->unknown = 1;
    return set_filters(r, vectorization_filters, strlen(vectorization_filters));
}

/* Keras's Tokenizer.to_json(): its word_index is a text that contains JSON. */
static bool read_keras(struct reading *r, const json_t *json)
{
    struct tokenizer *t = r->out;
    const json_t *config = json_object_get(json, "config"), *index = json_object_get(config, "word_index");
    json_t *words = json_is_string(index) ? json_file_parse(json_string_value(index), json_string_length(index),
                                                            "its word_index, ", r->place, r->problems)
                                          : json_incref((json_t *)(uintptr_t)index);
    bool good = json_is_object(words) ? read_words(r, words) : fail(r, "it has no \"word_index\"%s", "");
    json_decref(words);
    t->unknown = -1;
    t->lower = true;
    return good && read_options(r, config);
}

bool tokenizer_read(const json_t *json, struct place place, struct problems *problems, struct tokenizer *out)
{
    struct reading r = {.out = out, .place = place, .problems = problems};
    const json_t *vocabulary = json_object_get(json, "vocabulary");
    const char *class_name = json_string_value(json_object_get(json, "class_name"));
    *out = (struct tokenizer){.split = ' ', .unknown = -1};
    bool good;
    if (!make_unicode()) {
        good = fail(&r, "out of memory, or this system has no locale C.UTF-8%s", "");
    } else if (class_name && json_is_object(json_object_get(json, "config"))) {
        good = !strcmp(class_name, "Tokenizer")
                   ? read_keras(&r, json)
                   : fail(&r, "expected Keras's Tokenizer, or a vocabulary; found a %.60s", class_name);
    } else if (json_is_array(vocabulary) || json_is_array(json)) {
        const json_t *list = vocabulary ? vocabulary : json;
        good = read_list(&r, list) && (is_vectorization(list) ? vectorization_rules(&r) : guess_rules(&r)) &&
               read_options(&r, json);
    } else if (json_is_object(vocabulary) || json_is_object(json)) {
        const json_t *words = json_is_object(vocabulary) ? vocabulary : json;
        good = read_words(&r, words) && guess_rules(&r) && (words == json || read_options(&r, json));
    } else {
        good = fail(&r, "expected a Tokenizer of Keras, {\"word\": id} or {\"vocabulary\": [...]}; found %s",
                    json_type_name(json));
    }
    good = good && fill_by_id(&r);
    if (!good)
        tokenizer_close(out);
    return good;
}

bool tokenizer_file_read(const char *path, struct problems *problems, struct tokenizer *out)
{
    struct place place = {path, NULL};
    *out = (struct tokenizer){.n = 0};
    int fd = open_regular(path, max_bytes, problems);
    json_t *json = fd < 0 ? NULL : json_file_read_twice(fd, place, problems);
    bool good = json && tokenizer_read(json, place, problems, out);
    json_decref(json);
    if (fd >= 0)
        close(fd);
    return good;
}
