/* reload.c, and the switch of versions in models.c */
#include "server/base/clock.h"
#include "server/run/models.h"
#include "server/run/reload.h"
#include "server/run/trial.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <time.h>

struct served {
    char folder[64];
    struct settings settings;
    struct models models;
};

/* Write version v to a folder of its own. Its output is v times the last input. */
static void publish(const struct served *s, int v, bool broken)
{
    static const char config[] =
        "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 1, \"activation\": \"linear\", \"use_bias\": false}}";
    static const char header[] =
        "{\"cells.0.kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], \"data_offsets\": [0, 4]}, "
        "\"cells.0.recurrent_kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], \"data_offsets\": [4, 8]}}";
    unsigned char bytes[512] = {sizeof header - 1};
    const float kernel = (float)v;
    char path[128];
    memcpy(bytes + 8, header, sizeof header - 1);
    memcpy(bytes + 8 + sizeof header - 1, &kernel, sizeof kernel);
    snprintf(path, sizeof path, "%s/%d", s->folder, v);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/%d/model.json", s->folder, v);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(config, 1, sizeof config - 1, file), sizeof config - 1);
    fclose(file);
    size_t n = 8 + sizeof header - 1 + (broken ? 3 : 8);
    snprintf(path, sizeof path, "%s/%d/weights.safetensors", s->folder, v);
    file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    fclose(file);
}

/* Serve version 1. */
static void open_served(struct served *s)
{
    struct problems problems = {.n_errors = 0};
    size_t scratch_bytes = 0;
    memset(s, 0, sizeof *s);
    strcpy(s->folder, "/tmp/cellserve-unit-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    publish(s, 1, false);
    settings_init(&s->settings);
    s->settings.models = calloc(1, sizeof *s->settings.models);
    s->settings.n_models = 1;
    s->settings.models[0] =
        (struct model_entry){.name = strdup("m"), .path = strdup(s->folder), .where = strdup(""), .input_size = 1};
    s->models = (struct models){.settings = &s->settings, .vec = &vec_c};
    if (!models_load(&s->models, &problems, &scratch_bytes))
        fail_msg("%s", problems.errors[0]);
    assert_true(scratch_bytes > 0);
    problems_close(&problems);
}

static void close_served(struct served *s)
{
    char command[128];
    models_close(&s->models);
    settings_close(&s->settings);
    snprintf(command, sizeof command, "rm -r %s", s->folder);
    assert_int_equal(system(command), 0);
}

static bool reload(struct served *s, const char *version)
{
    struct problems problems = {.n_errors = 0};
    bool good = models_reload(&s->models, &s->models.slots[0], version, &problems);
    assert_int_equal(good, !problems.all_errors);
    problems_close(&problems);
    return good;
}

/* The model has version v and multiplies its input by v. */
static void assert_is_version(const struct model *model, int v)
{
    struct trial trial;
    char version[16];
    snprintf(version, sizeof version, "%d", v);
    assert_string_equal(model->version, version);
    assert_true(trial_open(&trial, &model->graph, 1, 1, 1));
    trial_run(&trial, NULL);
    assert_true(trial.outputs[0] == (float)v * trial.inputs[0]);
    trial_close(&trial);
}

static void assert_serves(struct served *s, int v)
{
    struct model *model = models_acquire(&s->models, "m");
    assert_is_version(model, v);
    model_release(model);
}

static void a_new_version_takes_the_place_of_the_old(void **state)
{
    (void)state;
    struct served s;
    open_served(&s);
    struct model *old = models_acquire(&s.models, "");
    assert_int_equal(old->users, 2); /* the slot and this test */
    assert_null(models_acquire(&s.models, "none"));
    publish(&s, 2, false);
    assert_true(reload(&s, ""));
    assert_serves(&s, 2);
    assert_is_version(old, 1); /* unchanged while it is used */
    assert_int_equal(old->users, 1);
    assert_int_equal(s.models.slots[0].current->users, 1);
    assert_int_equal(s.models.slots[0].reloads, 1);
    assert_int_equal(s.models.changes, 1);
    assert_null(s.models.slots[0].failure);
    model_release(old);
    close_served(&s);
}

static void a_failure_keeps_the_old_version(void **state)
{
    (void)state;
    struct served s;
    open_served(&s);
    const struct slot *slot = &s.models.slots[0];
    const struct model *before = slot->current;
    publish(&s, 2, true);
    assert_false(reload(&s, ""));
    assert_ptr_equal(slot->current, before);
    assert_serves(&s, 1);
    assert_int_equal(slot->reloads, 0);
    assert_int_equal(slot->failures, 1);
    assert_non_null(slot->failure);
    assert_null(strchr(slot->failure, '/')); /* clients may see it, so it has no path */
    assert_string_equal(slot->failed_version, "2");
    assert_int_equal(s.models.changes, 0);
    assert_false(reload(&s, "7"));
    assert_string_equal(slot->failed_version, "7");
    /* to load a given version does not clear the failure; to load a newer version does */
    assert_true(reload(&s, "1"));
    assert_non_null(slot->failure);
    publish(&s, 3, false);
    assert_true(reload(&s, ""));
    assert_null(slot->failure);
    assert_int_equal(slot->failures, 2);
    assert_serves(&s, 3);
    close_served(&s);
}

static void the_thread_loads_when_asked(void **state)
{
    (void)state;
    struct served s;
    open_served(&s);
    struct reload *reload = reload_start(&s.models, NULL, NULL);
    assert_non_null(reload);
    publish(&s, 2, false);
    reload_all(reload);
    for (int64_t end = clock_ns() + 30 * INT64_C(1000000000); !s.models.changes && clock_ns() < end;)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_int_equal(s.models.changes, 1);
    assert_true(reload_stop(reload, 30000));
    assert_serves(&s, 2);
    assert_true(reload_stop(NULL, 0));
    close_served(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_version_takes_the_place_of_the_old),
        cmocka_unit_test(a_failure_keeps_the_old_version),
        cmocka_unit_test(the_thread_loads_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
