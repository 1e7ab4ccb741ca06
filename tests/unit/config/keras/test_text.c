/* Text layers: an option without support is refused with an error that names the layer and the option. */
#include "config/keras/text.h"
#include "config/model.h"
#include "tests/unit/unit.h"

static struct problems problems;

#define INPUT "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, 1], \"dtype\": \"string\"}}"
#define MODEL(class, config)                                                                                           \
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [" INPUT                                                \
    ", {\"class_name\": \"" class "\", \"config\": {\"name\": \"words\"" config                                        \
                                  "}}, {\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 9, "                \
                                  "\"output_dim\": 2}}, {\"class_name\": \"GRU\", \"config\": {\"units\": 2}}]}}"

static const char *no_words(const void *context, const char *layer)
{
    (void)layer;
    return context;
}

static bool take(const char *text, const char *words, json_t **model, json_t **transform)
{
    json_error_t error;
    *model = json_loads(text, 0, &error);
    if (!*model)
        fail_msg("%s: %s", text, error.text);
    return keras_text_take(*model, (struct place){"f", ""}, no_words, words, &problems, transform);
}

static void refused(const char *text, const char *line)
{
    json_t *model, *transform;
    if (take(text, NULL, &model, &transform))
        fail_msg("taken: %s", text);
    assert_null(transform);
    if (!strstr(problems.errors[0], line))
        fail_msg("no \"%s\" but \"%s\"", line, problems.errors[0]);
    problems_close(&problems);
    json_decref(model);
}

static void what_is_not_served_is_refused(void **state)
{
    (void)state;
    refused(MODEL("TextVectorization", ", \"ngrams\": 2"), "/config/layers/1/config/ngrams: \"words\": n-grams");
    refused(MODEL("TextVectorization", ", \"output_mode\": \"multi_hot\""), "expected \"int\"");
    refused(MODEL("TextVectorization", ", \"standardize\": {\"class_name\": \"function\"}"),
            "a Python function is not supported");
    refused(MODEL("TextVectorization", ", \"split\": {\"class_name\": \"function\"}"),
            "a Python function is not supported");
    refused(MODEL("TextVectorization", ", \"vocabulary\": \"words.txt\""), "save the model as .keras");
    refused(MODEL("StringLookup", ", \"invert\": true"), "a layer that converts ids to texts");
    refused(MODEL("StringLookup", ", \"num_oov_indices\": 3"), "expected 0 or 1");
    refused("{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"class_name\": \"StringLookup\", \"config\": "
            "{\"name\": \"words\"}, \"inbound_nodes\": [[[\"other\", 0, 0, {}]]]}]}}",
            "put an InputLayer before it");
}

/* An equivalent transform replaces the text layers. */
static void text_layers_become_a_transform(void **state)
{
    (void)state;
    json_t *model, *transform;
    assert_true(take(MODEL("TextVectorization", ", \"output_sequence_length\": 7, \"standardize\": \"lower\""),
                     "\n[UNK]\nthe\na", &model, &transform));
    json_t *want = json_loads("{\"tokenizer\": {\"vocabulary\": [\"\", \"[UNK]\", \"the\", \"a\"], \"lower\": true, "
                              "\"char_level\": false, \"filters\": \"\"}, \"pad\": {\"length\": 7, \"side\": \"post\", "
                              "\"truncate\": \"post\"}}",
                              0, NULL);
    assert_true(json_equal(want, transform));
    const json_t *layers = json_object_get(json_object_get(model, "config"), "layers");
    assert_string_equal(json_string_value(json_object_get(json_array_get(layers, 1), "class_name")), "Identity");
    const json_t *shape = json_object_get(json_object_get(json_array_get(layers, 0), "config"), "batch_input_shape");
    assert_int_equal(json_integer_value(json_array_get(shape, 1)), 7);
    json_decref(want);
    json_decref(transform);
    json_decref(model);
    assert_true(take(MODEL("StringLookup", ", \"vocabulary\": [\"b\", \"c\"], \"mask_token\": \"-\""), NULL, &model,
                     &transform));
    want = json_loads("{\"tokenizer\": {\"vocabulary\": [\"-\", \"[UNK]\", \"b\", \"c\"], \"split\": null, \"lower\": "
                      "false, \"filters\": \"\", \"oov_token\": \"[UNK]\"}}",
                      0, NULL);
    assert_true(json_equal(want, transform));
    json_decref(want);
    json_decref(transform);
    json_decref(model);
    assert_true(take(MODEL("GRU", ", \"units\": 2"), NULL, &model, &transform));
    assert_null(transform);
    json_decref(model);
}

/* The vocabulary may come from a transform. Without a vocabulary, the error says how to give one. */
static void a_vocabulary_may_come_from_a_transform(void **state)
{
    (void)state;
    struct model model;
    json_error_t error;
    struct model_entry entry = {.name = (char *)"m", .where = (char *)"/models/0"};
    entry.layer = json_loads(MODEL("TextVectorization", ""), 0, &error);
    for (int i = 0; i < 2; i++) { /* twice, because a load must not change the entry */
        assert_false(model_load(&entry, "c.json", &vec_c, &problems, &model));
        assert_non_null(strstr(problems.errors[0], "give the vocabulary (get_vocabulary() of the layer)"));
        problems_close(&problems);
    }
    entry.transform = json_loads("{\"tokenizer\": {\"vocabulary\": [\"\", \"[UNK]\", \"the\"]}}", 0, &error);
    if (!model_load(&entry, "c.json", &vec_c, &problems, &model))
        fail_msg("%s", problems.errors[0]);
    assert_int_equal(model.transform->tokenizer.n, 2);
    model_close(&model);
    problems_close(&problems);
    json_decref(entry.layer);
    json_decref(entry.transform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_not_served_is_refused),
                                       cmocka_unit_test(text_layers_become_a_transform),
                                       cmocka_unit_test(a_vocabulary_may_come_from_a_transform)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
