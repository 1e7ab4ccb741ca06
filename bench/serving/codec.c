/* Measures reading and writing of numbers as text, against simdjson, C++17's from_chars and to_chars, and jansson, on
   bodies of requests and answers. codec BODY...: each {"model": …, "instances": …}. */
#include "server/base/clock.h"
#include "server/cli/limits.h"
#include "server/codec/buffer.h"
#include "server/codec/json_reader.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In codec_peers.cpp. The text must be followed by 64 readable bytes. Each returns the count of numbers or bytes
   written. */
size_t peer_simdjson(const char *text, size_t bytes, float *out);
size_t peer_from_chars(const char *text, size_t bytes, float *out);
size_t peer_to_chars(const float *values, size_t n, size_t row, char *out);

enum { ROUNDS = 9, ROW = 128, MOST_NUMBERS = 1 << 20, ROUND_NS = 60000000 };

static struct memory memory = {.limit = (size_t)1 << 32};
static char *text;
static size_t bytes, n_values;
static float *values, *read_back;
static char *out;

static size_t own_read(void)
{
    struct memory_share share = {&memory, 0};
    struct json_tensor tensor = {.n_values = 0};
    struct failure failure = {.status = 0};
    char model[BODY_TEXT_BYTES];
    const struct body_key keys[] = {
        {"instances", BODY_NUMBERS, &tensor}, {"model", BODY_TEXT, model}, {NULL, BODY_TEXT, NULL}};
    struct json_body body = {.text = text, .bytes = bytes, .share = &share};
    if (!json_body_read(&body, keys, &failure))
        exit(1);
    size_t n = tensor.n_values;
    memcpy(read_back, tensor.values, n * sizeof *read_back);
    json_tensor_close(&tensor, &share);
    return n;
}

static size_t walk(const json_t *json, size_t n)
{
    size_t i;
    const json_t *element;
    if (!json_is_array(json)) {
        read_back[n] = (float)json_number_value(json);
        return n + 1;
    }
    json_array_foreach(json, i, element)
        n = walk(element, n);
    return n;
}

static size_t jansson_read(void)
{
    json_t *json = json_loadb(text, bytes, 0, NULL);
    size_t n = walk(json_object_get(json, "instances"), 0);
    json_decref(json);
    return n;
}

static size_t simdjson_read(void)
{
    return peer_simdjson(text, bytes, read_back);
}

static size_t from_chars_read(void)
{
    return peer_from_chars(text, bytes, read_back);
}

static size_t own_write(void)
{
    struct memory_share share = {&memory, 0};
    struct buffer buffer = {.limit = (size_t)1 << 30, .share = &share};
    bool finite = true;
    for (size_t i = 0; i < n_values; i += ROW)
        buffer_floats(&buffer, values + i, n_values - i < ROW ? n_values - i : ROW, &finite);
    size_t used = buffer.used;
    buffer_close(&buffer);
    return used;
}

static size_t to_chars_write(void)
{
    return peer_to_chars(values, n_values, ROW, out);
}

static size_t jansson_write(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n_values; i++)
        json_array_append_new(list, json_real((double)values[i]));
    char *dumped = json_dumps(list, JSON_REAL_PRECISION(9));
    size_t used = strlen(dumped);
    free(dumped);
    json_decref(list);
    return used;
}

/* Nanoseconds of a call: the shortest time of several rounds. */
static double time_of(size_t (*call)(void))
{
    double best = 1e30;
    for (int round = 0; round < ROUNDS; round++) {
        size_t calls = 0;
        int64_t begin = clock_ns(), now = begin;
        for (; now - begin < ROUND_NS / ROUNDS; now = clock_ns(), calls++)
            call();
        double ns = (double)(now - begin) / (double)calls;
        best = ns < best ? ns : best;
    }
    return best;
}

static void compare(const char *what, size_t n, const char *const *names, size_t (*const *calls)(void), size_t n_calls)
{
    double own = 0;
    for (size_t i = 0; i < n_calls; i++) {
        double ns = time_of(calls[i]);
        own = i ? own : ns;
        printf("  %-7s %-22s %6.1f ns a number  %7.1f MB/s  cellserve's speed %5.2f times\n", what, names[i],
               ns / (double)n, (double)bytes / ns * 1e3, ns / own);
    }
}

int main(int argc, char **argv)
{
    static const char *const readers[] = {"cellserve", "simdjson on demand", "from_chars, no JSON", "jansson"};
    static const char *const writers[] = {"cellserve", "to_chars", "jansson"};
    static size_t (*const reads[])(void) = {own_read, simdjson_read, from_chars_read, jansson_read};
    static size_t (*const writes[])(void) = {own_write, to_chars_write, jansson_write};
    char cpu[128];
    limits_cpu(cpu, sizeof cpu);
    printf("%s\n", cpu);
    values = calloc(MOST_NUMBERS, sizeof *values);
    read_back = calloc(MOST_NUMBERS, sizeof *read_back);
    out = malloc((size_t)MOST_NUMBERS * 32);
    for (int file = 1; file < argc; file++) {
        FILE *stream = fopen(argv[file], "rb");
        if (!stream)
            return 1;
        fseek(stream, 0, SEEK_END);
        bytes = (size_t)ftell(stream);
        rewind(stream);
        text = calloc(bytes + 64, 1);
        if (fread(text, 1, bytes, stream) != bytes)
            return 1;
        fclose(stream);
        n_values = own_read();
        memcpy(values, read_back, n_values * sizeof *values);
        for (size_t i = 1; i < 4; i++)
            if (reads[i]() != n_values || memcmp(values, read_back, n_values * sizeof *values))
                printf("  %s reads different numbers\n", readers[i]);
        printf("%s: %zu bytes, %zu numbers\n", argv[file], bytes, n_values);
        compare("reading", n_values, readers, reads, 4);
        for (size_t i = 0; i < n_values; i++) /* numbers like those of answers: outputs of an LSTM are in -1..1 */
            values[i] = tanhf(values[i]);
        bytes = own_write();
        compare("writing", n_values, writers, writes, 3);
        free(text);
    }
    return 0;
}
