/* Transforms beside models, and the scaler files to which they refer. */
#include "config/companions.h"
#include "config/files/archive.h"
#include "config/model.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

static void run(const char *folder, const char *format)
{
    char command[2000];
    snprintf(command, sizeof command, "cd %s && S=%s/tests/fixtures && %s", folder, SOURCE_DIR, format);
    assert_int_equal(system(command), 0);
}

/* Whether the model at a path has the scaler of three columns. */
static bool is_scaled(const char *folder, const char *name)
{
    char path[200];
    struct model_entry entry = {.name = "m", .path = path, .where = ""};
    struct problems problems = {.n_errors = 0};
    struct model model;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!model_load(&entry, NULL, vec_select(NULL), &problems, &model))
        fail_msg("%s: %s", path, problems.n_errors ? problems.errors[0] : "");
    bool scaled = model.transform && model.transform->inputs[0].scaler.n == 3;
    model_close(&model);
    problems_close(&problems);
    return scaled;
}

static void models_find_their_transforms(void **state)
{
    const char *folder = *state;
    run(folder,
        "mkdir -p one/ver/7 two && cp $S/pipelines/lstm.keras one/model.keras && cp $S/scalers/three.npz one/x.npz && "
        "echo '{\"input_scaler\": \"x.npz\"}' > one/transform.json && cp one/model.keras one/x.npz one/transform.json "
        "one/ver/7 && "
        "cp one/model.keras two/a.keras && cp one/model.keras two/b.keras && cp one/x.npz two && "
        "cp one/transform.json two/a.transform.json && cp one/transform.json two/transform.json");
    assert_true(is_scaled(folder, "one/ver"));         /* the folder of the version */
    assert_true(is_scaled(folder, "one/model.keras")); /* the only model of its folder */
    run(folder, "rm two/transform.json");
    assert_true(is_scaled(folder, "two/a.keras"));
    assert_false(is_scaled(folder, "two/b.keras"));
    run(folder, "mv two/a.transform.json two/transform.json");
    assert_false(is_scaled(folder, "two/a.keras")); /* the folder has two models, and nothing assigns the transform to
                                                       one */
}

static void companions_are_no_models(void **state)
{
    char folder[200];
    snprintf(folder, sizeof folder, "%s/two", (const char *)*state);
    assert_true(companion_is(folder, "transform.json"));
    assert_true(companion_is(folder, "c.transform.json"));
    assert_true(companion_is(folder, "x.npz"));
    assert_false(companion_is(folder, "a.keras"));
    assert_false(companion_is(folder, "y.npz"));
    assert_false(companion_is("/nonexistent", "x.npz"));
}

static void stamps_change_with_companions(void **state)
{
    char folder[200];
    snprintf(folder, sizeof folder, "%s/two", (const char *)*state);
    uint64_t before = companions_stamp(folder);
    assert_true(before && before == companions_stamp(folder));
    run(folder, "touch -d '2 days ago' x.npz");
    uint64_t touched = companions_stamp(folder);
    assert_true(touched && touched != before);
    run(folder, "touch a.keras");
    assert_true(companions_stamp(folder) == touched);
    run(folder, "rm x.npz transform.json");
    assert_true(!companions_stamp(folder));
}

static int make_folder(void **state)
{
    static char folder[] = "/tmp/cellserve-companions-XXXXXX";
    *state = mkdtemp(folder);
    return !*state;
}

static int remove_folder(void **state)
{
    char command[200];
    snprintf(command, sizeof command, "rm -r %s", (const char *)*state);
    return system(command);
}

int main(void)
{
    archive_set_program(BINARY);
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_find_their_transforms),
                                       cmocka_unit_test(companions_are_no_models),
                                       cmocka_unit_test(stamps_change_with_companions)};
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
