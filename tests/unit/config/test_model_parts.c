/* Typical folders of models: which of their files form the model. */
#include "config/model_parts.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cellserve-parts-XXXXXX";
static struct model_parts parts;

static const char architecture[] = "{\"class_name\": \"Sequential\", \"config\": {\"layers\": []}}";

static void shell(const char *command)
{
    char line[1000];
    snprintf(line, sizeof line, "cd %s && { %s; }", folder, command);
    assert_int_equal(system(line), 0);
}

static void write_file(const char *name, const char *bytes, size_t n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

#define WRITE(name, text) write_file(name, text, sizeof(text) - 1)
#define HDF5 "\x89HDF\r\n\x1a\n"
#define KERAS "PK\3\4\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0d\0\0\0metadata.json"

/* The folder is a model of these files ("" for none), or an error contains `error`. Then the folder is emptied. */
static void assert_parts(const char *json, const char *weights, const char *version, const char *error)
{
    struct problems problems = {.n_errors = 0};
    bool found = model_parts_find(folder, "", &parts, &problems);
    if (error) {
        assert_false(found);
        unit_has_error(&problems, error, error);
    } else {
        size_t n = strlen(folder) + 1;
        if (!found)
            fail_msg("%s beside %s: %s", json, weights, problems.n_errors ? problems.errors[0] : "");
        assert_string_equal(parts.json_path[0] ? parts.json_path + n : "", json);
        assert_string_equal(parts.weights_path[0] ? parts.weights_path + n : "", weights);
        assert_string_equal(parts.version, version);
    }
    problems_close(&problems);
    shell("rm -rf -- *");
}

static void names_do_not_matter(void **state)
{
    (void)state;
    WRITE("my arch.json", architecture);
    WRITE("best-epoch.bin", HDF5);
    WRITE("README.md", "a model\n");
    WRITE("notes.json", "{\"a\": 1}");
    WRITE("plot.png", "\x89PNG\r\n\x1a\n");
    assert_true(model_parts_in_folder(folder));
    assert_parts("my arch.json", "best-epoch.bin", "", NULL);
    WRITE("a.json", architecture);
    WRITE("w.dat", "\x02\0\0\0\0\0\0\0{}");
    assert_parts("a.json", "w.dat", "", NULL);
}

static void an_unzipped_keras_file_is_a_model(void **state)
{
    (void)state;
    WRITE("config.json", architecture);
    WRITE("metadata.json", "{\"keras_version\": \"2.15.0\", \"date_saved\": \"\"}");
    WRITE("model.weights.h5", HDF5);
    assert_true(model_parts_in_folder(folder));
    assert_parts("config.json", "model.weights.h5", "", NULL);
}

static void model_json_is_the_first_choice(void **state)
{
    (void)state;
    WRITE("model.json", architecture);
    WRITE("other.json", architecture);
    WRITE("w.h5", HDF5);
    assert_parts("model.json", "w.h5", "", NULL);
    WRITE("one.json", architecture);
    WRITE("other.json", architecture);
    WRITE("w.h5", HDF5);
    assert_false(model_parts_in_folder(folder));
    assert_parts(NULL, NULL, NULL, "2 JSON files describe a model; keep one of them, or name one model.json");
}

/* A file that contains its own configuration is not combined with a configuration beside it. */
static void whole_models_stand_alone(void **state)
{
    (void)state;
    WRITE("m.keras", KERAS);
    WRITE("tokenizer.json", "{\"class_name\": \"Tokenizer\", \"config\": {}}");
    assert_parts("", "m.keras", "", NULL);
    WRITE("m.keras", KERAS);
    WRITE("a.json", architecture);
    assert_false(model_parts_in_folder(folder));
    assert_parts("", "m.keras", "", NULL);
    WRITE("m.keras", KERAS);
    WRITE("n.h5", HDF5);
    assert_parts(NULL, NULL, NULL, "more than one model or weights file (");
}

static void versions_come_first(void **state)
{
    (void)state;
    shell("mkdir 1 00012 2.old");
    WRITE("model.json", architecture);
    WRITE("00012/model.json", architecture);
    WRITE("00012/w.safetensors", "\x02\0\0\0\0\0\0\0{}");
    assert_true(model_parts_in_folder(folder));
    assert_parts("00012/model.json", "00012/w.safetensors", "12", NULL);
}

static void saved_models_are_found(void **state)
{
    (void)state;
    shell("mkdir -p 3/variables 3/assets");
    WRITE("3/saved_model.pb", "\x08\x01");
    WRITE("3/keras_metadata.pb", "x");
    WRITE("3/variables/variables.index", "x");
    assert_parts("", "3/variables/variables.index", "3", NULL);
    assert_string_equal(strrchr(parts.metadata_path, '/'), "/keras_metadata.pb");
    shell("mkdir variables");
    WRITE("saved_model.pb", "\x08\x01");
    WRITE("variables/variables.index", "x");
    assert_true(model_parts_in_folder(folder));
    assert_parts("", "variables/variables.index", "", NULL);
    assert_string_equal(strrchr(parts.metadata_path, '/'), "/saved_model.pb"); /* TensorFlow before 2.5 */
    WRITE("saved_model.pb", "\x08\x01");
    assert_parts(NULL, NULL, NULL, "a SavedModel without variables/variables.index; copy the whole folder");
}

static void checkpoints_stand_beside_their_architecture(void **state)
{
    (void)state;
    char index[48] = "";
    memcpy(index + 40, "\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
    WRITE("model.json", architecture);
    write_file("ckpt.index", index, sizeof index);
    WRITE("ckpt.data-00000-of-00001", "....");
    WRITE("checkpoint", "model_checkpoint_path: \"ckpt\"\n");
    assert_parts("model.json", "ckpt.index", "", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_do_not_matter),
        cmocka_unit_test(an_unzipped_keras_file_is_a_model),
        cmocka_unit_test(model_json_is_the_first_choice),
        cmocka_unit_test(whole_models_stand_alone),
        cmocka_unit_test(versions_come_first),
        cmocka_unit_test(saved_models_are_found),
        cmocka_unit_test(checkpoints_stand_beside_their_architecture),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rmdir(folder) || failed;
}
