/* Reads raw values that are not numbers: timesteps as objects of named features, texts, and null for missing values. */
#include "config/problems.h"
#include "json_lists.h"
#include "raw_values.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- timesteps as objects ---- */

/* Marks a feature that the object has not named yet: a NaN whose bits differ from those of a missing value. */
static double not_given(void)
{
    const uint64_t bits = UINT64_C(0x7ff8000000000ca6);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool is_given(double value)
{
    const double none = not_given();
    return memcmp(&value, &none, sizeof value) != 0;
}

static bool unknown_feature(struct json_reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                            const char *name)
{
    enum { MOST_NAMES = 64 };
    const struct transform_input *input = tensor->raw->input;
    const char *names[MOST_NAMES + 1];
    char hint[100], text[300];
    size_t n = 0;
    for (; n < input->n_features && n < MOST_NAMES; n++)
        names[n] = input->features[n];
    names[n] = NULL;
    snprintf(text, sizeof text, "\"%.100s\"%s", name, *nearest_hint(name, names, hint, sizeof hint) ? hint : ".");
    return json_tensor_failure(r, tensor, open, "unknown_feature", "The model has no feature %s", text);
}

static bool missing_value(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    if (tensor->raw->transform->missing == MISSING_REFUSED)
        return json_tensor_failure(r, tensor, open, "missing_value",
                                   "A value is missing (null), and the model's transform has no key \"missing\"%s.",
                                   "");
    tensor->missing = true;
    return true;
}

static bool read_feature_value(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open,
                               double *out)
{
    float nonfinite;
    const char *what = "an object or a list";
    if (json_read_word(r, "null")) {
        *out = raw_missing();
        return missing_value(r, tensor, open);
    }
    if (json_read_nonfinite(r, &nonfinite)) {
        *out = (double)nonfinite;
        return true;
    }
    if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
        return json_read_double(r, out);
    return (*r->at == '{' || *r->at == '[' || json_read_scalar(r, &what)) &&
           json_tensor_failure(r, tensor, open, "wrong_type", "Expected a number for each feature, found %s.", what);
}

/* Read the next pair. guess is the next feature in the model's order. */
static bool read_feature(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open, size_t first,
                         size_t *guess)
{
    const struct transform_input *input = tensor->raw->input;
    char name[BODY_TEXT_BYTES];
    struct json_copy copy = {.out = name, .size = sizeof name};
    double value;
    if (!json_read_key(r, &copy))
        return false;
    name[copy.used] = 0;
    size_t i = *guess;
    if (i >= input->n_features || strcmp(input->features[i], name))
        i = transform_feature(input, name, copy.used);
    if (copy.cut || i == input->n_features)
        return unknown_feature(r, tensor, open, name);
    *guess = i + 1;
    if (is_given(tensor->raw_values[first + i]))
        return json_tensor_failure(r, tensor, open, "duplicate_key", "The feature \"%.100s\" is here twice.", name);
    json_skip_space(r);
    if (!read_feature_value(r, tensor, open, &value))
        return false;
    tensor->raw_values[first + i] = value;
    return true;
}

static bool read_features(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    const struct transform_input *input = tensor->raw->input;
    size_t first = tensor->n_values, guess = 0;
    for (size_t i = 0; i < input->n_features; i++)
        if (!json_add_value(r, tensor, not_given()))
            return false;
    r->at++;
    json_skip_space(r);
    for (bool more = *r->at != '}'; more;) {
        json_skip_space(r);
        if (!read_feature(r, tensor, open, first, &guess))
            return false;
        json_skip_space(r);
        more = *r->at == ',';
        if (!more && *r->at != '}')
            return json_syntax_error(r, r->at, "',' or '}'");
        r->at += more;
    }
    r->at++;
    for (size_t i = 0; i < input->n_features; i++)
        if (!is_given(tensor->raw_values[first + i]))
            return json_tensor_failure(r, tensor, open, "missing_feature", "The feature \"%.100s\" is missing here.",
                                       input->features[i]);
    if (!json_count_element(r, tensor, open, LIST_OF_LISTS) || !json_add_list(r, tensor))
        return false;
    tensor->lists[tensor->n_lists - 1] = (struct json_list){(uint32_t)input->n_features, LIST_OF_NUMBERS};
    return true;
}

bool json_raw_names_feature(struct json_reader *r, const struct json_tensor *tensor)
{
    const struct transform_input *input = tensor->raw ? tensor->raw->input : NULL;
    const char *at = r->at + 1;
    if (!input || !input->n_features)
        return false;
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
        at++;
    size_t n = *at == '"' ? strcspn(at + 1, "\"\\") : 0;
    return n && at[1 + n] == '"' && transform_feature(input, at + 1, n) < input->n_features;
}

/* ---- texts ---- */

/* Make room for one more element of `size` bytes. */
static bool grow(void **block, size_t n, size_t *room, size_t size, struct memory_share *share, struct failure *failure)
{
    size_t more = *room ? *room * 2 : 64;
    void *grown = n < *room ? *block : memory_realloc(share, *block, *room * size, more * size);
    if (!grown)
        return failure_overloaded(failure);
    *room = n < *room ? *room : more;
    *block = grown;
    return true;
}

static bool add_list(struct json_tensor *tensor, struct json_list list, struct memory_share *share,
                     struct failure *failure)
{
    void *block = tensor->lists;
    bool good = grow(&block, tensor->n_lists, &tensor->lists_room, sizeof *tensor->lists, share, failure);
    tensor->lists = block;
    if (good)
        tensor->lists[tensor->n_lists++] = list;
    return good;
}

bool json_raw_begin_texts(struct json_tensor *tensor, struct memory_share *share, struct failure *failure)
{
    const struct raw_reading *raw = tensor->raw;
    json_tensor_close(tensor, share);
    tensor->raw = raw;
    tensor->present = true;
    return add_list(tensor, (struct json_list){0, LIST_OF_LISTS}, share, failure);
}

bool json_raw_add_text(struct json_tensor *tensor, const char *text, size_t bytes, struct memory_share *share,
                       struct failure *failure)
{
    const struct tokenizer *tokenizer = &tensor->raw->transform->tokenizer;
    size_t n = tokenizer_ids(tokenizer, text, bytes, NULL, 0);
    for (size_t i = 0; i < n; i++) {
        void *block = tensor->raw_values;
        if (!grow(&block, tensor->n_values, &tensor->values_room, sizeof(double), share, failure))
            return false;
        tensor->raw_values = block;
        tensor->raw_values[tensor->n_values++] = 0;
    }
    if (n)
        tokenizer_ids(tokenizer, text, bytes, tensor->raw_values + tensor->n_values - n, n);
    tensor->lists[0].length++;
    return add_list(tensor, (struct json_list){(uint32_t)n, n ? LIST_OF_NUMBERS : LIST_EMPTY}, share, failure);
}

/* The same as json_raw_add_text, for an element that has been counted already. */
static bool take_text(struct json_reader *r, struct json_tensor *tensor, const char *text, size_t bytes)
{
    tensor->lists[0].length--;
    return json_raw_add_text(tensor, text, bytes, r->body->share, r->failure);
}

static bool read_words(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    const char *start = r->at;
    if (!json_read_string(r, NULL))
        return false;
    size_t room = (size_t)(r->at - start); /* a text without its escapes is shorter */
    char *text = memory_realloc(r->body->share, NULL, 0, room);
    if (!text)
        return failure_overloaded(r->failure);
    struct json_copy copy = {.out = text, .size = room};
    r->at = start;
    bool good = json_read_string(r, &copy) && json_count_element(r, tensor, open, LIST_OF_LISTS) &&
                take_text(r, tensor, text, copy.used);
    free(text);
    memory_give(r->body->share, room);
    return good;
}

/* A text in a list of texts; it is one id of a sequence. */
static bool read_word(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    const struct tokenizer *tokenizer = &tensor->raw->transform->tokenizer;
    char text[TOKENIZER_WORD_BYTES];
    struct json_copy copy = {.out = text, .size = sizeof text};
    double id;
    const char *start = r->at;
    if (!json_read_string(r, &copy))
        return false;
    /* a text that does not fit is not in the vocabulary; a byte that no text has is appended, so that its beginning is
       not found either */
    if (copy.cut)
        text[0] = (char)0xff;
    if (!tokenizer_ids(tokenizer, text, copy.cut ? 1 : copy.used, &id, 1)) {
        r->at = start;
        return json_tensor_failure(r, tensor, open, "wrong_value", "This word is not in the vocabulary of the model%s.",
                                   "");
    }
    return json_count_element(r, tensor, open, LIST_OF_NUMBERS) && json_add_value(r, tensor, id);
}

bool json_raw_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open, bool *taken)
{
    const struct transform_input *input = tensor->raw->input;
    bool good = true;
    *taken = true;
    if (*r->at == '{' && input->n_features)
        good = read_features(r, tensor, open);
    else if (*r->at == '"' && input->tokens && open->depth == 2 && tensor->raw->transform->tokenizer.whole)
        good = read_word(r, tensor, open);
    else if (*r->at == '"' && input->tokens && open->depth == 1)
        good = read_words(r, tensor, open);
    else if (json_read_word(r, "null"))
        good = missing_value(r, tensor, open) && json_count_element(r, tensor, open, LIST_OF_NUMBERS) &&
               json_add_value(r, tensor, raw_missing());
    else
        *taken = false;
    *taken &= good;
    return good;
}
