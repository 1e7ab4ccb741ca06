#include "config/model.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

static struct problems problems;
static char folder[] = "/tmp/cellserve-model-XXXXXX";

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(bytes, 1, n, file);
    fclose(file);
}

static void write_tensors(const char *header, size_t floats)
{
    unsigned char bytes[8192] = {0};
    size_t h = strlen(header);
    bytes[0] = (unsigned char)h;
    bytes[1] = (unsigned char)(h >> 8);
    memcpy(bytes + 8, header, h);
    write_file("weights.safetensors", bytes, 8 + h + 4 * floats);
}

static const char layer[] = "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 2}}";

/* Load the folder; loading must fail with an error that contains `line`. */
static void refused(const char *line)
{
    struct model model;
    struct model_entry entry = {.name = (char *)"m", .path = folder, .where = (char *)""};
    assert_false(model_load(&entry, NULL, &vec_c, &problems, &model));
    bool found = false;
    for (size_t i = 0; i < problems.n_errors; i++)
        found |= strstr(problems.errors[i], line) != NULL;
    if (!found)
        fail_msg("no \"%s\" but \"%s\"", line, problems.n_errors ? problems.errors[0] : "");
    problems_close(&problems);
}

#define T(name, shape, from, to)                                                                                       \
    "\"" name "\": {\"dtype\": \"F32\", \"shape\": " shape ", \"data_offsets\": [" #from ", " #to "]}"

static void tensors_must_match_the_configuration(void **state)
{
    (void)state;
    struct model model;
    struct model_entry entry = {.name = (char *)"m", .path = folder, .where = (char *)""};
    write_file("model.json", layer, strlen(layer));
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T("cells.0.recurrent_kernel", "[2, 2]", 24,
                                                                 40) "," T("cells.0.bias", "[2]", 40, 48) "}",
                  12);
    if (!model_load(&entry, NULL, &vec_c, &problems, &model))
        fail_msg("%s", problems.errors[0]);
    assert_int_equal(model.graph.inputs[0].shape.width, 3);
    assert_true(model.has_weights_file);
    assert_string_equal(model.version, "1");
    model_close(&model);
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T("cells.0.recurrent_kernel", "[2, 2]", 24, 40) "}", 10);
    refused("tensor cells.0.bias is missing, expected with shape [2]");
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T("cells.0.recurrent_kernel", "[4]", 24,
                                                                 40) "," T("cells.0.bias", "[2]", 40, 48) "}",
                  12);
    refused("tensor cells.0.recurrent_kernel has shape [4], expected [2, 2]");
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T("cells.0.recurrent_kernel", "[2, 2]", 24, 40) "," T(
                      "cells.0.bias", "[2]", 40, 48) "," T("cells.1.bias", "[1]", 48, 52) "}",
                  13);
    refused("tensor \"cells.1.bias\" [1] belongs to no layer of the configuration");
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T(
                      "cells.0.recurrent_kernel", "[2, 2]", 24,
                      40) ", \"cells.0.bias\": {\"dtype\": \"I32\", \"shape\": [2], \"data_offsets\": [40, 48]}}",
                  12);
    refused("tensor cells.0.bias has dtype I32, expected F32, F64, F16 or BF16");
    write_file("second.safetensors", "", 0);
    refused("more than one model or weights file");
    char path[256];
    snprintf(path, sizeof path, "%s/second.safetensors", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    unlink(path);
    refused("the number of input features is not known");
    snprintf(path, sizeof path, "%s/model.json", folder);
    unlink(path);
    refused("no model.json and no model file in this folder");
}

/* If the list of problems is full, further errors still count: no model is built from tensors of wrong shapes. */
static void a_full_list_of_problems_hides_no_error(void **state)
{
    (void)state;
    struct model model;
    struct model_entry entry = {.name = (char *)"m", .path = folder, .where = (char *)""};
    const char *const configs[] = {
        layer,
        "{\"class_name\": \"torch.nn.RNN\", \"config\": {\"input_size\": 3, \"hidden_size\": 2}}",
        "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": -1}}",
        "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 2, \"activation\": \"tanhh\"}}",
        "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 2, \"kernel_initializer\": \"onez\"}}",
        "no JSON",
    };
    write_tensors("{" T("cells.0.kernel", "[3, 2]", 0, 24) "," T("cells.0.recurrent_kernel", "[4]", 24,
                                                                 40) "," T("cells.0.bias", "[2]", 40, 48) "}",
                  12);
    for (int i = 0; i < 150; i++)
        problem_error(&problems, (struct place){NULL, NULL}, "%d", i);
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        size_t before = problems.all_errors;
        write_file("model.json", configs[i], strlen(configs[i]));
        assert_false(model_load(&entry, NULL, &vec_c, &problems, &model));
        assert_true(problems.all_errors > before);
    }
    assert_int_equal(problems.n_errors, 100);
    problems_close(&problems);
    char path[256];
    snprintf(path, sizeof path, "%s/model.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    unlink(path);
}

static void arguments_of_pytorch_are_honoured_or_refused(void **state)
{
    (void)state;
#define TORCH(class, config, more)                                                                                     \
    "{\"class_name\": \"torch.nn." class "\", \"config\": {\"input_size\": 3, \"hidden_size\": 2" config "}" more "}"
    static const struct {
        const char *text, *line;
    } rows[] = {
        {TORCH("LSTM", ", \"nonlinearity\": \"relu\"", ""), "/config/nonlinearity: unknown key"},
        {TORCH("RNN", ", \"nonlinearity\": 1", ""), "/config/nonlinearity: expected \"tanh\" or \"relu\", found 1"},
        {TORCH("LSTM", ", \"proj_size\": \"2\"", ""), "/config/proj_size: expected 0"},
        {TORCH("GRU", ", \"bidirektional\": true", ""), "did you mean \"bidirectional\"? (torch.nn.GRU)"},
        {TORCH("GRU", "", ", \"haed\": {\"name\": \"fc\"}"), "/haed: unknown key"},
        {TORCH("GRU", "",
               ", \"head\": {\"class_name\": \"torch.nn.Linear\", \"name\": \"fc\", \"aply\": true, "
               "\"config\": {\"out_features\": 1}}"),
         "/head/aply: unknown key"},
        {TORCH("GRU", "",
               ", \"head\": {\"class_name\": \"torch.nn.Linear\", \"name\": \"fc\", "
               "\"config\": {\"out_features\": 1, \"activation\": \"relu\"}}"),
         "/head/config/activation: unknown key"},
    };
    char path[256];
    write_tensors("{" T("weight_ih_l0", "[2, 3]", 0, 24) "}", 6);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_file("model.json", rows[i].text, strlen(rows[i].text));
        refused(rows[i].line);
    }
    snprintf(path, sizeof path, "%s/model.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    unlink(path);
}

static void initializers_give_the_same_model_for_a_seed(void **state)
{
    (void)state;
    struct model a, b, c;
    json_t *json = json_loads(layer, 0, NULL);
    struct model_entry entry = {
        .name = (char *)"m", .layer = json, .where = (char *)"/models/0", .seed = 5, .input_size = 3};
    assert_true(model_load(&entry, "c.json", &vec_c, &problems, &a));
    assert_true(model_load(&entry, "c.json", &vec_c, &problems, &b));
    entry.seed = 6;
    assert_true(model_load(&entry, "c.json", &vec_c, &problems, &c));
    const struct packed *ka = &layer_part(&a.graph.layers[0], 0)->stack.cells[0].kernel,
                        *kb = &layer_part(&b.graph.layers[0], 0)->stack.cells[0].kernel,
                        *kc = &layer_part(&c.graph.layers[0], 0)->stack.cells[0].kernel;
    assert_memory_equal(ka->data, kb->data, packed_bytes(ka));
    assert_memory_not_equal(ka->data, kc->data, packed_bytes(ka));
    assert_false(a.has_weights_file);
    model_close(&a);
    model_close(&b);
    model_close(&c);
    json_decref(json);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors_must_match_the_configuration),
                                       cmocka_unit_test(a_full_list_of_problems_hides_no_error),
                                       cmocka_unit_test(arguments_of_pytorch_are_honoured_or_refused),
                                       cmocka_unit_test(initializers_give_the_same_model_for_a_seed)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
