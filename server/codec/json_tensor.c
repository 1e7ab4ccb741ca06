/* Reads tensors: one array gets the numbers, another one the lengths of the lists. */
#include "json_tensor.h"

#include "core/arena.h"
#include "json_lists.h"
#include "number_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- memory ---- */

static bool grow(struct json_reader *r, void **block, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 256;
    void *grown = memory_realloc(r->body->share, *block, *room * size, more * size);
    if (!grown)
        return failure_overloaded(r->failure);
    *block = grown;
    *room = more;
    return true;
}

bool json_add_value(struct json_reader *r, struct json_tensor *tensor, double value)
{
    if (tensor->n_values == tensor->values_room) {
        void *block = tensor->raw ? (void *)tensor->raw_values : (void *)tensor->values;
        if (!grow(r, &block, &tensor->values_room, tensor->raw ? sizeof(double) : sizeof(float)))
            return false;
        if (tensor->raw)
            tensor->raw_values = block;
        else
            tensor->values = block;
    }
    if (tensor->raw)
        tensor->raw_values[tensor->n_values++] = value;
    else
        tensor->values[tensor->n_values++] = (float)value;
    return true;
}

bool json_add_list(struct json_reader *r, struct json_tensor *tensor)
{
    if (tensor->n_lists == tensor->lists_room) {
        void *block = tensor->lists;
        if (!grow(r, &block, &tensor->lists_room, sizeof *tensor->lists))
            return false;
        tensor->lists = block;
    }
    tensor->lists[tensor->n_lists++] = (struct json_list){0, LIST_EMPTY};
    return true;
}

void json_tensor_close(struct json_tensor *tensor, struct memory_share *share)
{
    size_t value_bytes = tensor->raw_values ? sizeof *tensor->raw_values : sizeof *tensor->values;
    free(tensor->raw_values ? (void *)tensor->raw_values : (void *)tensor->values); /* values may be in this memory */
    free(tensor->lists);
    memory_give(share, tensor->values_room * value_bytes + tensor->lists_room * sizeof *tensor->lists);
    *tensor = (struct json_tensor){0};
}

void json_tensor_forget(struct json_tensor *tensor, struct memory_share *share)
{
    const struct json_tensor kept = {.unwrap = tensor->unwrap, .raw = tensor->raw};
    json_tensor_close(tensor, share);
    *tensor = kept;
}

bool json_tensor_reserve(struct json_tensor *tensor, size_t n, struct memory_share *share)
{
    size_t bytes;
    size_t size = tensor->raw ? sizeof *tensor->raw_values : sizeof *tensor->values;
    void *block = rnn_size_mul(n ? n : 1, size, &bytes) ? memory_realloc(share, NULL, 0, bytes) : NULL;
    if (tensor->raw)
        tensor->raw_values = block;
    else
        tensor->values = block;
    tensor->values_room = block ? n ? n : 1 : 0;
    tensor->n_values = 0;
    return block != NULL;
}

bool json_tensor_reshape(struct json_tensor *tensor, const size_t *shape, size_t rank, struct memory_share *share)
{
    size_t n = 1, total = 1, bytes, at[TENSOR_MAX_DEPTH] = {0};
    for (size_t d = 0; d + 1 < rank; d++)
        if (!rnn_size_mul(n, shape[d], &n) || !rnn_size_add(total, n, &total))
            return false;
    struct json_list *lists = NULL;
    if (rank && rank <= TENSOR_MAX_DEPTH && rnn_size_mul(total, sizeof *lists, &bytes))
        lists = memory_realloc(share, tensor->lists, tensor->lists_room * sizeof *lists, bytes);
    if (!lists)
        return false;
    tensor->lists = lists;
    tensor->lists_room = tensor->n_lists = total;
    tensor->present = true;
    /* preorder: the next list is one level below the innermost list that is not full */
    for (size_t i = 0, depth = 0; i < total; i++) {
        lists[i] = (struct json_list){(uint32_t)shape[depth], depth + 1 < rank ? LIST_OF_LISTS : LIST_OF_NUMBERS};
        if (depth + 1 < rank) {
            at[depth++] = 0;
            continue;
        }
        while (depth && ++at[depth - 1] == shape[depth - 1])
            depth--;
    }
    return true;
}

/* ---- reading ---- */

/* "/instances/0/3": the path of the current value. */
static void tensor_path(const struct json_tensor *tensor, const struct open_lists *open, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s/%s", open->prefix, open->key);
    for (size_t i = 0; i < open->depth && n < size; i++) /* all lists except the innermost one have counted their
                                                            current element */
        n += (size_t)snprintf(out + n, size - n, "/%u", tensor->lists[open->at[i]].length - (i + 1 < open->depth));
}

bool json_tensor_failure(struct json_reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                         const char *code, const char *text, const char *found)
{
    char path[160];
    tensor_path(tensor, open, path, sizeof path);
    return failure_set(r->failure, 400, code, path, text, found);
}

bool json_count_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open,
                        enum list_holds kind)
{
    struct json_list *list = &tensor->lists[open->at[open->depth - 1]];
    if (list->holds != LIST_EMPTY && list->holds != kind)
        return json_tensor_failure(r, tensor, open, "wrong_shape", "Expected %s, like the elements before it.",
                                   kind == LIST_OF_NUMBERS ? "a list" : "a number");
    list->holds = kind;
    list->length++;
    return true;
}

/* Read the next number, and append it to the values. Returns NULL if there is none, or if it is too large. */
__attribute__((always_inline)) static inline const char *take_number(const char *next, const char *end,
                                                                     struct json_tensor *tensor, bool raw)
{
    const char *wrong;
    double wide = 0;
    float value = 0;
    next = raw ? number_read_double(next, end, &wide, &wrong) : number_read(next, end, &value, &wrong);
    if (!next || (raw ? isinf(wide) : isinf(value)))
        return NULL;
    if (raw)
        tensor->raw_values[tensor->n_values++] = wide;
    else
        tensor->values[tensor->n_values++] = value;
    return next;
}

/* Read consecutive numbers of a list. This is the main loop of reading bodies; it exists once for floats and once for
   raw numbers. It stops at anything other than a comma and a number, or when there is no room; the caller then reports
   the error or makes room. Returns false if it has read nothing. */
__attribute__((always_inline)) static inline bool take_numbers(struct json_reader *r, struct json_tensor *tensor,
                                                               struct json_list *list, bool raw)
{
    const char *next = r->at;
    size_t before = tensor->n_values;
    while (tensor->n_values < tensor->values_room) {
        next = take_number(next, r->end, tensor, raw);
        if (!next)
            break;
        r->at = next;
        if (*next != ',')
            break;
        next += 1 + (next[1] == ' ');
    }
    size_t taken = tensor->n_values - before;
    list->length += (uint32_t)taken;
    return taken > 0;
}

static bool read_numbers(struct json_reader *r, struct json_tensor *tensor, struct json_list *list)
{
    return tensor->raw ? take_numbers(r, tensor, list, true) : take_numbers(r, tensor, list, false);
}

/* Read one number. */
static bool read_number(struct json_reader *r, const struct json_tensor *tensor, double *out)
{
    float value = 0;
    if (tensor->raw)
        return json_read_double(r, out);
    bool good = json_read_number(r, &value);
    *out = (double)value;
    return good;
}

static bool read_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    struct json_list *list = &tensor->lists[open->at[open->depth - 1]];
    bool booleans = open->type->type == BODY_BOOLEANS || open->type->type == BODY_BOOLEAN_ROW, taken = false;
    float nonfinite;
    double value;
    const char *what;
    if (!booleans && list->holds != LIST_OF_LISTS && read_numbers(r, tensor, list)) {
        list->holds = LIST_OF_NUMBERS;
        return true;
    }
    if (tensor->raw && (!json_raw_element(r, tensor, open, &taken) || taken))
        return taken;
    if (open->type->type != BODY_NUMBERS && open->type->type != BODY_INPUTS && (*r->at == 't' || *r->at == 'f')) {
        tensor->booleans = true;
        value = *r->at == 't';
        if (!json_read_word(r, "true") && !json_read_word(r, "false"))
            return json_syntax_error(r, r->at, "true or false");
    } else if (*r->at != '-' && (*r->at < '0' || *r->at > '9') && *r->at != 'N' && *r->at != 'I') {
        what = "an object";
        return (*r->at == '{' || json_read_scalar(r, &what)) &&
               json_tensor_failure(
                   r, tensor, open, "wrong_type",
                   booleans ? "Expected true, false, 1 or 0, found %s." : "Expected a number, found %s.", what);
    } else if (json_read_nonfinite(r, &nonfinite)) {
        value = (double)nonfinite;
    } else {
        if (!read_number(r, tensor, &value))
            return false;
        if (isinf(value))
            return json_tensor_failure(r, tensor, open, "number_out_of_range", "This number is beyond the range of %s.",
                                       tensor->raw ? "double" : "float32");
    }
    if (booleans && value != 0 && value != 1)
        return json_tensor_failure(r, tensor, open, "wrong_type", "Expected true, false, 1 or 0, found %s.",
                                   "a number");
    return json_count_element(r, tensor, open, LIST_OF_NUMBERS) && json_add_value(r, tensor, value);
}

/* Open lists until the first element that is not a list. The reader is at a '['. */
static bool open_list(struct json_reader *r, struct json_tensor *tensor, struct open_lists *open)
{
    if (open->depth == TENSOR_MAX_DEPTH)
        return json_tensor_failure(r, tensor, open, "wrong_shape", "Lists are nested deeper than any tensor%s.", "");
    if (open->depth && !json_count_element(r, tensor, open, LIST_OF_LISTS))
        return false;
    if (!json_add_list(r, tensor))
        return false;
    open->at[open->depth++] = tensor->n_lists - 1;
    r->at++;
    return true;
}

/* Read {"inputs": before a value, if it is there. */
static bool unwrap(struct json_reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                   bool *wrapped)
{
    char name[BODY_TEXT_BYTES];
    struct json_copy copy = {.out = name, .size = sizeof name};
    *wrapped = false;
    if (!tensor->unwrap || *r->at != '{' || json_raw_names_feature(r, tensor))
        return true;
    r->at++;
    if (!json_read_key(r, &copy))
        return false;
    name[copy.used] = 0;
    if (copy.cut || strcmp(name, tensor->unwrap))
        return json_tensor_failure(r, tensor, open, "unknown_key", "Expected an object with the one key \"%s\".",
                                   tensor->unwrap);
    json_skip_space(r);
    *wrapped = true;
    return true;
}

static bool end_wrapped(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    json_skip_space(r);
    if (*r->at == ',' && open->depth)
        tensor->lists[open->at[0]].length--; /* the wrong element has been counted */
    if (*r->at == ',')
        return json_tensor_failure(r, tensor, open, "unknown_key", "Expected an object with the one key \"%s\".",
                                   tensor->unwrap);
    if (*r->at != '}')
        return json_syntax_error(r, r->at, "'}'");
    r->at++;
    return true;
}

/* Returns false on a syntax error, and on any other error; then the reader is within the value. */
static bool read_lists(struct json_reader *r, struct json_tensor *tensor, struct open_lists *open)
{
    size_t floor = open->depth;
    do {
        json_skip_space(r);
        if (open->depth == 1 && !unwrap(r, tensor, open, &open->wrapped))
            return false;
        if (*r->at == '[') {
            if (!open_list(r, tensor, open))
                return false;
            json_skip_space(r);
            if (*r->at != ']')
                continue;
        } else if (!read_element(r, tensor, open)) {
            return false;
        }
        for (;;) {
            if (open->wrapped && open->depth == 1) {
                open->wrapped = false;
                if (!end_wrapped(r, tensor, open))
                    return false;
            }
            json_skip_space(r);
            if (*r->at == ']') {
                r->at++;
                if (--open->depth == floor)
                    return true;
            } else if (*r->at == ',') {
                r->at++;
                break;
            } else {
                return json_syntax_error(r, r->at, "',' or ']'");
            }
        }
    } while (open->depth > floor);
    return true;
}

static bool read_tensor(struct json_reader *r, const struct body_key *key)
{
    struct json_tensor *tensor = key->target;
    struct open_lists open = {.prefix = r->prefix, .key = key->name, .type = key};
    const char *start = r->at, *what = "an object";
    bool wrapped;
    if (!unwrap(r, tensor, &open, &wrapped)) {
        r->at = start;
        return !r->wrong && !r->exhausted && json_skip_value(r);
    }
    if (*r->at != '[') {
        if (wrapped)
            r->at = start;
        if (*r->at == '{' ? !json_skip_value(r) : !json_read_scalar(r, &what))
            return false;
        if (strcmp(what, "null"))
            json_tensor_failure(r, tensor, &open, "wrong_type", "Expected a list, found %s.", what);
        return true;
    }
    tensor->present = true;
    if (read_lists(r, tensor, &open) && (!wrapped || end_wrapped(r, tensor, &open)))
        return true;
    r->at = start; /* a wrong value: the rest of it is still checked to be JSON */
    return !r->wrong && !r->exhausted && json_skip_value(r);
}

bool json_read_tensor(struct json_reader *r, const struct body_key *key)
{
    struct json_tensor *tensor = key->target;
    const char *start = r->at;
    bool good = true;
    if (tensor->skipped && tensor->text == start)
        r->at += tensor->bytes;
    else
        good = tensor->skipped ? json_skip_value(r) : read_tensor(r, key);
    tensor->text = start;
    tensor->bytes = (size_t)(r->at - start);
    return good;
}

bool json_read_row(struct json_reader *r, const struct body_key *key)
{
    struct json_tensor *tensor = key->target;
    struct open_lists open = {.prefix = r->prefix, .key = key->name, .type = key, .depth = 1};
    const char *start = r->at;
    if (!tensor->n_lists && !json_add_list(r, tensor))
        return false;
    tensor->present = true;
    if (*r->at == '[' ? read_lists(r, tensor, &open) : read_element(r, tensor, &open))
        return true;
    r->at = start;
    return !r->wrong && !r->exhausted && json_skip_value(r);
}
