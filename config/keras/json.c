/* Keys of Keras's serialized objects. */
#include "json.h"

#include "config/json_memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Keys of Keras that change nothing at inference. */
static const char *const ignored_keys[] = {
    "name",
    "trainable",
    "dtype",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
    "implementation",
    "seed",
    "ragged",
    "input_length",
    "input_shape",
    "batch_size",
    "use_cudnn",
    "batch_input_shape",
    "build_input_shape",
    "batch_shape",
    "dynamic",
    "autocast",
    "lora_rank",
    "lora_alpha",
    "quantization_config",
    NULL,
};

struct keras_path keras_path(const char *path, const char *more)
{
    struct keras_path out;
    snprintf(out.text, sizeof out.text, "%.*s/%.64s", KERAS_PATH_BYTES, path, more);
    return out;
}

const char *keras_class_name(const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "class_name"));
    const char *package = name ? strrchr(name, '>') : NULL;
    return package ? package + 1 : name;
}

void keras_expected(const struct keras_reader *reader, const char *path, const char *key, const char *expected,
                    const json_t *found)
{
    struct keras_path where = keras_path(path, key ? key : "");
    char *text = found ? json_dumps(found, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    keras_error(reader, key ? where.text : path, "expected %s, found %.80s", expected, text ? text : "nothing");
    json_memory_free(text);
}

void keras_error(const struct keras_reader *reader, const char *path, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t n = strlen(text);
    if (reader->class_name && reader->name && *reader->name)
        snprintf(text + n, sizeof text - n, " (%.40s \"%.60s\")", reader->class_name, reader->name);
    else if (reader->class_name)
        snprintf(text + n, sizeof text - n, " (%.40s)", reader->class_name);
    *reader->failed = true;
    problem_reason(reader->problems, "its configuration has errors");
    problem_error(reader->problems, (struct place){reader->file, path}, "%s", text);
}

void keras_warning(const struct keras_reader *reader, const char *path, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    problem_warning(reader->problems, (struct place){reader->file, path}, "%s", text);
}

void keras_bool(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, bool *out)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (value && !json_is_null(value))
        keras_expected(reader, path, key, "true or false", value);
}

void keras_number(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                  double *out)
{
    const json_t *value = json_object_get(config, key);
    if (json_is_number(value))
        *out = json_number_value(value);
    else if (value && !json_is_null(value))
        keras_expected(reader, path, key, "a number", value);
}

void keras_size(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, size_t most,
                size_t *out)
{
    const json_t *value = json_object_get(config, key);
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %zu", most);
    if (json_is_integer(value) && json_integer_value(value) >= 1 && (size_t)json_integer_value(value) <= most)
        *out = (size_t)json_integer_value(value);
    else
        keras_expected(reader, path, key, expected, value);
}

void keras_name(const json_t *config, char *out, size_t size)
{
    const char *name = json_string_value(json_object_get(config, "name"));
    size_t n = name ? strlen(name) : 0;
    if (n >= size) /* cut between characters, not inside a UTF-8 sequence */
        for (n = size - 1; n && ((unsigned char)name[n] & 0xc0) == 0x80;)
            n--;
    snprintf(out, size, "%.*s", (int)n, name ? name : "");
}

/* Keras 3 merges the matrices of LoRA into the kernel when it saves a layer. */
static void tell_lora(const struct keras_reader *reader, const json_t *config, const char *path)
{
    const json_t *rank = json_object_get(config, "lora_rank");
    if (json_is_integer(rank))
        keras_warning(reader, keras_path(path, "lora_rank").text,
                      "the layer was trained with LoRA of rank %lld; the kernel in the file includes the LoRA weights",
                      (long long)json_integer_value(rank));
}

/* A type's name, or a policy object: Keras 3's DTypePolicy, Keras 2's Policy, and policies with integer weights. */
void keras_dtype(const struct keras_reader *reader, const json_t *config, const char *path)
{
    const json_t *dtype = json_object_get(config, "dtype");
    const char *name = json_string_value(dtype), *class_name = keras_class_name(dtype);
    if (!name)
        name = json_string_value(json_object_get(json_object_get(dtype, "config"), "name"));
    bool quantized = (class_name && strstr(class_name, "Quantized")) ||
                     (name && (!strncmp(name, "int", 3) || strstr(name, "_from_")));
    tell_lora(reader, config, path);
    const json_t *quantization = json_object_get(config, "quantization_config");
    if (quantized || (quantization && !json_is_null(quantization))) {
        keras_error(reader, keras_path(path, quantized ? "dtype" : "quantization_config").text,
                    "the layer is quantized (%.60s); quantized weights are not supported: save the model before "
                    "model.quantize()",
                    name         ? name
                    : class_name ? class_name
                                 : "quantization_config");
        return;
    }
    if (dtype && !json_is_null(dtype) && !name)
        keras_expected(reader, path, "dtype", "a floating-point type, such as \"float32\"", dtype);
    else if (name && strcmp(name, "float32"))
        keras_warning(reader, keras_path(path, "dtype").text, "\"%.40s\" is computed in float32", name);
}

static bool in_list(const char *word, const char *const *list)
{
    for (; list && *list; list++)
        if (!strcmp(*list, word))
            return true;
    return false;
}

void keras_check_keys(const struct keras_reader *reader, const json_t *config, const char *path,
                      const char *const *first, const char *const *second)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value) {
        if (in_list(key, ignored_keys) || in_list(key, first) || in_list(key, second))
            continue;
        char hint[100];
        nearest_hint(key, first ? first : ignored_keys, hint, sizeof hint);
        if (json_is_null(value))
            continue;
        if (json_is_false(value))
            keras_warning(reader, keras_path(path, key).text, "unknown key ignored%s", hint);
        else
            keras_error(reader, keras_path(path, key).text, "unknown key, which would have no effect here; remove it%s",
                        hint);
    }
}
