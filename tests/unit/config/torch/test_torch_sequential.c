/* Lists of PyTorch's modules: errors name the place, and drafts list their guesses. tests/e2e/test_torch.c compares
   outputs with PyTorch's. */
#include "config/json_memory.h"
#include "config/torch/torch_describe.h"
#include "config/torch/torch_model.h"
#include "config/torch/torch_sequential.h"
#include "tests/unit/unit.h"

static struct problems problems;

/* Tensors of an Embedding, a GRU with 2 units, a Linear and a BatchNorm1d. */
static void fill(struct tensor_set *set)
{
    unit_tensor(set, "emb.weight", 7, 3);
    unit_tensor(set, "gru.weight_ih_l0", 6, 3);
    unit_tensor(set, "gru.weight_hh_l0", 6, 2);
    unit_tensor(set, "gru.bias_ih_l0", 6, 0);
    unit_tensor(set, "gru.bias_hh_l0", 6, 0);
    unit_tensor(set, "fc.weight", 4, 2);
    unit_tensor(set, "fc.bias", 4, 0);
    unit_tensor(set, "bn.weight", 2, 0);
    unit_tensor(set, "bn.bias", 2, 0);
    unit_tensor(set, "bn.running_mean", 2, 0);
    unit_tensor(set, "bn.running_var", 2, 0);
}

#define MODULES(list) "{'class_name': 'torch.nn.Sequential', 'modules': [" list "]}"
#define EMB "{'name': 'emb', 'class_name': 'torch.nn.Embedding'}"
#define GRU(more) "{'name': 'gru', 'class_name': 'torch.nn.GRU'" more "}"
#define FC(more) "{'name': 'fc', 'class_name': 'torch.nn.Linear'" more "}"
#define BN(more) "{'name': 'bn', 'class_name': 'torch.nn.BatchNorm1d'" more "}"
#define PLAIN(name, more) "{'class_name': 'torch.nn." name "'" more "}"

static bool read_list(const char *text, struct keras_model *config, struct tensor_set *to)
{
    struct tensor_set set = {.n = 0};
    json_t *json = unit_json(text);
    fill(&set);
    bool good = torch_sequential_read(json, "model.json", &set, "w.pt", &problems, config, to);
    json_decref(json);
    tensor_set_close(&set);
    return good;
}

static void lists_become_layers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t layers;
        bool sequences;
    } rows[] = {
        {MODULES(EMB "," GRU("") ",'last_hidden'," FC("")), 3, false},
        {MODULES(GRU(", 'num_layers': 1, 'hidden_size': 2, 'bidirectional': false, 'bias': true")), 1, true},
        {MODULES(GRU("") "," PLAIN("Dropout", ", 'p': 0.5") ",'last_timestep'"), 1, false},
        {MODULES(GRU("") ",'mean_timesteps'," PLAIN("ReLU", "") "," FC("")), 4, true},
        {MODULES(PLAIN("Flatten", "") "," FC("") "," PLAIN("Sigmoid", "")), 2, false}, /* Flatten of vectors does
                                                                                          nothing */
        {MODULES(GRU("") ",'permute'," BN("") ",'permute'," FC("")), 3, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct keras_model config;
        struct tensor_set to;
        if (!read_list(rows[i].text, &config, &to))
            fail_msg("%s: %s", rows[i].text, problems.errors[0]);
        assert_int_equal(config.model.n_layers, rows[i].layers);
        assert_string_equal(config.class_name, "torch.nn.Sequential");
        keras_model_close(&config);
        tensor_set_close(&to);
        problems_close(&problems);
    }
}

static void errors_of_lists_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"{'class_name': 'torch.nn.Sequential'}", "/modules: expected a list of modules and joints"},
        {MODULES("'last_step'"), "no module's tensors are in the weights file"},
        {MODULES(GRU("") ",'last_timstep'"),
         "/modules/1: \"last_timstep\" is no joint; did you mean \"last_timestep\"?"},
        {MODULES(GRU("") ",{'class_name': 'torch.nn.Conv2d'}"), "/modules/1/class_name: expected a joint"},
        {MODULES(GRU("") ", 3"), "/modules/1: expected a joint"},
        {MODULES(GRU(", 'num_layer': 1")), "num_layer"},
        {MODULES(GRU(", 'num_layers': 2")), "/modules/0/num_layers: expected 1, as the tensors say, found 2"},
        {MODULES(GRU(", 'bidirectional': true")), "/modules/0/bidirectional: expected 0, as the tensors say"},
        {MODULES(EMB "," FC("")), "/modules/1: it takes 2 features, and 3 come to it"},
        {MODULES(GRU("") "," EMB), "an Embedding takes the ids of the request; put it first"},
        {MODULES(GRU("") "," BN("")), "BatchNorm1d over a sequence takes [batch, channels, timesteps]"},
        {MODULES(GRU("") ",'permute'," FC("")), "put \"permute\" before it"},
        {MODULES(GRU("") ",'permute'"), "the last output would be [batch, channels, timesteps]"},
        {MODULES(GRU("") ",'permute','last_timestep'"), "x[:, -1] of [batch, channels, timesteps] is a channel"},
        {MODULES(GRU("") ",'last_hidden','mean_timesteps'"), "\"mean_timesteps\" takes a sequence"},
        {MODULES(GRU("") "," PLAIN("ReLU", "") ",'last_hidden'"), "\"last_hidden\" is h_n of a recurrent module"},
        {MODULES(GRU("") "," PLAIN("Softmax", ", 'dim': 1")), "/modules/1/dim: expected the axis of the features"},
        {MODULES(GRU("") "," PLAIN("Softmax", "")), "/modules/1/dim: expected the axis of the features"},
        {MODULES(GRU("") "," PLAIN("GELU", ", 'approximate': 'erf'")), "/modules/1/approximate: expected \"none\" or"},
        {MODULES(GRU("") "," PLAIN("Flatten", "")), "say \"timesteps\": N beside \"modules\""},
        {MODULES(GRU("") "," PLAIN("Flatten", ", 'start_dim': 0")), "/modules/1/start_dim: expected 1"},
        {MODULES(GRU("") ",{'name': 'nl', 'class_name': 'torch.nn.LayerNorm'}"),
         "the weights file has no tensor nl.weight; a LayerNorm without one says \"elementwise_affine\": false"},
        {MODULES(GRU("") "," PLAIN("MaxPool1d", ", 'kernel_size': 2")), "MaxPool1d takes [batch, channels, timesteps]"},
        {MODULES(GRU("") ",'permute'," BN(", 'track_running_stats': false")),
         "/modules/2/track_running_stats: expected true"},
        {MODULES(GRU("") ",'last_timestep'," FC("") "," FC("")), "/modules/3: it takes 2 features, and 4 come to it"},
        {MODULES(GRU("") ",'last_timestep',{'name': 'gone', 'class_name': 'torch.nn.Linear'}"),
         "the weights file has no tensor gone.weight of 2 axes"},
        {MODULES(GRU("") ",{'name': 'emb', 'class_name': 'torch.nn.Linear'}"),
         "/modules/1: it takes 3 features, and 2 come"},
        {MODULES(EMB "," GRU("") "," GRU("")), "/modules/2: it takes 3 features, and 2 come to it"},
        {"{'class_name': 'torch.nn.Sequential', 'modules': [" GRU("") "], 'unchecked': ['x']}",
         "/unchecked: this is a draft of \"cellserve describe\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct keras_model config;
        struct tensor_set to;
        assert_false(read_list(rows[i].text, &config, &to));
        unit_has_error(&problems, rows[i].text, rows[i].line);
        assert_null(to.tensors);
        problems_close(&problems);
    }
}

static void a_module_is_not_used_twice(void **state)
{
    (void)state;
    struct tensor_set set = {.n = 0}, to;
    struct keras_model config;
    unit_tensor(&set, "fc.weight", 2, 2);
    json_t *json = unit_json(MODULES(FC("") "," FC("")));
    assert_false(torch_sequential_read(json, "model.json", &set, "w.pt", &problems, &config, &to));
    unit_has_error(&problems, "twice", "a module is named twice; one that is used twice is not served");
    problems_close(&problems);
    json_decref(json);
    tensor_set_close(&set);
}

static void adapters_are_refused(void **state)
{
    (void)state;
    struct tensor_set set = {.n = 0}, to;
    struct keras_model config;
    unit_tensor(&set, "fc.weight", 2, 2);
    unit_tensor(&set, "fc.lora_A.weight", 1, 2);
    json_t *json = unit_json(MODULES(FC("")));
    assert_false(torch_model_read(json, "model.json", &set, "w.pt", &problems, &config, &to));
    unit_has_error(&problems, "lora", "tensor \"fc.lora_A.weight\" is a LoRA adapter; merge the adapters");
    problems_close(&problems);
    json_decref(json);
    tensor_set_close(&set);
}

static void drafts_say_what_they_guess(void **state)
{
    (void)state;
    struct tensor_set set = {.n = 0};
    fill(&set);
    json_t *draft = torch_describe(&set), *modules = json_object_get(draft, "modules");
    json_t *want = unit_json("[" EMB "," GRU("") ",'last_timestep'," FC("") "," BN("") "]");
    assert_true(json_equal(modules, want));
    char *text = json_dumps(json_object_get(draft, "unchecked"), 0);
    assert_non_null(strstr(text, "activations, dropout and joints cannot be seen in a state dict"));
    assert_non_null(strstr(text, "an Embedding, or a Linear with"));
    assert_non_null(strstr(text, "arguments of \\\"bn\\\" that a state dict does not say: eps 1e-5"));
    json_memory_free(text);
    json_decref(want);
    json_decref(draft);
    tensor_set_close(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_become_layers), cmocka_unit_test(errors_of_lists_name_their_place),
        cmocka_unit_test(a_module_is_not_used_twice), cmocka_unit_test(adapters_are_refused),
        cmocka_unit_test(drafts_say_what_they_guess)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
