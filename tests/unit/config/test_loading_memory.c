/* Loading where there is no memory: each allocation of the readers and of the conversion fails in turn, once and from
   there on. Whatever fails, the model is either the same as otherwise, or refused as out of memory, and nothing stays
   allocated. Linked with --wrap, which replaces calls from our objects (jansson allocates through them).

   FAULTS_STRIDE=n: every n-th allocation alone (1: all); FAULTS_SEED=n: the first of them. */
#include "config/files/archive.h"
#include "config/files/onnx_file.h"
#include "config/files/torch_file.h"
#include "config/files/zip_file.h"
#include "config/json_memory.h"
#include "config/model.h"
#include "server/run/trial.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t wrong; /* points that are not as they must be */

/* ---- allocations ---- */

static size_t calls, nth; /* nth: the call that fails, from 1 on; 0: none does */
static bool for_good;     /* every later one, too */
static long live;         /* blocks that are not freed */

static bool fails(void)
{
    calls++;
    return nth && (for_good ? calls >= nth : calls == nth);
}

static void *count(void *block)
{
    live += block != NULL;
    return block;
}

#define WRAP(type, name, parameters, arguments)                                                                        \
    type *__real_##name parameters;                                                                                    \
    type *__wrap_##name parameters;                                                                                    \
    type *__wrap_##name parameters                                                                                     \
    {                                                                                                                  \
        return fails() ? NULL : count(__real_##name arguments);                                                        \
    }
WRAP(void, malloc, (size_t size), (size))
WRAP(void, calloc, (size_t n, size_t size), (n, size))
WRAP(void, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP(char, strdup, (const char *text), (text))
WRAP(char, strndup, (const char *text, size_t n), (text, n))

void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    live += !block;
    return __real_realloc(block, size);
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block)
{
    live -= block != NULL;
    __real_free(block);
}

static void arm(size_t call, bool and_on)
{
    calls = 0;
    nth = call;
    for_good = and_on;
}

/* ---- what is loaded ---- */

static const struct loading {
    const char *path;                         /* below tests/ */
    const char *index, *metadata, *shards[3]; /* of a checkpoint, in that folder */
    const char *weights;                      /* beside its model.json */
    const char *states, *constants;           /* of the entry */
} loadings[] = {
    {.path = "fixtures/onnx/dynamo_lstm_last.onnx"},
    {.path = "fixtures/onnx/torch_lstm_both_sequences.onnx"},
    {.path = "fixtures/onnx/torch_attention.onnx"},
    {.path = "fixtures/onnx/dynamo_norms.onnx"},
    {.path = "fixtures/onnx/keras3tf_words.onnx"},
    {.path = "fixtures/onnx/keras3tf_lstm_relu.onnx"},
    {.path = "fixtures/onnx/keras2_convolution_2d.onnx"},
    {.path = "fixtures/onnx/torch_gru_state.onnx"},
    {.path = "fixtures/onnx/hand_states.onnx", .states = "{'state': 'stateN'}"},
    {.path = "fixtures/onnx/hand_if_by_constants.onnx", .constants = "{'sr': 16000}"},
    {.path = "fixtures/saved_2_15_stacked/model",
     .index = "variables/variables.index",
     .metadata = "keras_metadata.pb",
     .shards = {"variables/variables.data-00000-of-00001"}},
    {.path = "fixtures/checkpoint_shards",
     .index = "ckpt.index",
     .shards = {"ckpt.data-00000-of-00003", "ckpt.data-00001-of-00003", "ckpt.data-00002-of-00003"}},
    {.path = "torch/files/lone-new.pt"},
    {.path = "torch/files/sequential-1.13.pt"},
    {.path = "torch/models/conv", .weights = "state-new.pt"},
    {.path = "torch/models/lstm_both_last_timestep", .weights = "module-1.13.pt"},
    {.path = "torch/models/proj_layers_both", .weights = "state-1.13.pt"},
    {.path = "fixtures/tfjs_layers"},
    {.path = "fixtures/tfjs_uint8"},
};

/* Files of a loading; the helper's result for them. */
static struct file_bytes files[5], result;
static size_t n_files;

static struct file_bytes map_file(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/tests/%s%s%s", SOURCE_DIR, folder, *name ? "/" : "", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size_t n = (size_t)lseek(fd, 0, SEEK_END);
    void *bytes = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    close(fd);
    return (struct file_bytes){bytes, n};
}

/* A folder with model.json and one file of weights. */
static char folder[] = "/tmp/cellserve-loading-XXXXXX";

static void link_pair(const struct loading *loading)
{
    const char *const names[2][2] = {{"model.json", "model.json"}, {loading->weights, "model.pt"}};
    strcpy(folder + sizeof folder - 7, "XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < 2; i++) {
        char from[1024], to[1024];
        snprintf(from, sizeof from, "%s/tests/%s/%s", SOURCE_DIR, loading->path, names[i][0]);
        snprintf(to, sizeof to, "%s/%s", folder, names[i][1]);
        assert_int_equal(symlink(from, to), 0);
    }
}

static void unlink_pair(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/model.json", folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.pt", folder);
    unlink(path);
    rmdir(folder);
}

/* What the helper does, without its confinement. */
static bool read_as_helper(const struct loading *loading, struct handover *out, int fd)
{
    const struct file_bytes *file = &files[0], none = {NULL, 0};
    *out = (struct handover){.limit = 64 << 20};
    bool good = loading->index ? tensor_bundle_read(out, files[0], loading->metadata ? BUNDLE_KERAS : BUNDLE_CHECKPOINT,
                                                    loading->metadata ? files[1] : none,
                                                    files + 1 + !!loading->metadata, n_files - 1 - !!loading->metadata)
                : zip_is(file->bytes, file->n)  ? zip_read(out, file->bytes, file->n)
                : onnx_is(file->bytes, file->n) ? onnx_read(out, file->bytes, file->n)
                                                : torch_stream_read(out, file->bytes, file->n);
    return handover_end(out, good, fd);
}

bool __wrap_archive_open(struct tensor_set *set, int fd, const char *path, struct problems *problems);
bool __wrap_archive_open(struct tensor_set *set, int fd, const char *path, struct problems *problems)
{
    (void)fd;
    return safetensors_parse(set, result.bytes, result.n, path, problems);
}

bool __wrap_archive_open_bundle(struct tensor_set *set, enum bundle_metadata kind, const int *fds, size_t n,
                                const char *path, struct problems *problems);
bool __wrap_archive_open_bundle(struct tensor_set *set, enum bundle_metadata kind, const int *fds, size_t n,
                                const char *path, struct problems *problems)
{
    (void)kind, (void)fds, (void)n;
    return safetensors_parse(set, result.bytes, result.n, path, problems);
}

/* ---- the walk ---- */

/* What a run gives: the same each time that it succeeds. */
struct outcome {
    unsigned char *bytes;
    size_t n;
};

/* Of LeakSanitizer, where it is there. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* The helper's file. The helper does not free what it unpacks from an archive, since its process ends. */
static bool run_helper(const struct loading *loading, struct outcome *out, char *sentence, size_t size)
{
    struct handover handover;
    int fd = memfd_create("loading", MFD_CLOEXEC);
    size_t call = nth;
    if (__lsan_disable)
        __lsan_disable();
    json_memory_begin();
    bool good = read_as_helper(loading, &handover, fd);
    nth = 0;
    snprintf(sentence, size, "%s", handover.error);
    handover_release(&handover);
    json_memory_end();
    if (__lsan_enable)
        __lsan_enable();
    if (live && !zip_is(files[0].bytes, files[0].n))
        wrong++, print_error("%s, allocation %zu in the helper: %ld blocks are left\n", loading->path, call, live);
    if (good) {
        out->n = (size_t)lseek(fd, 0, SEEK_END);
        out->bytes = malloc(out->n + 1);
        assert_int_equal(pread(fd, out->bytes, out->n, 0), out->n);
    }
    close(fd);
    return good;
}

/* Outputs of the model, and its digest. */
static void run_model(struct model *model, struct outcome *out)
{
    struct trial trial;
    assert_true(trial_open(&trial, &model->graph, 1, 3, 1));
    trial_run(&trial, NULL);
    out->n = sizeof model->digest + trial.n_outputs * sizeof(float);
    out->bytes = malloc(out->n);
    memcpy(out->bytes, &model->digest, sizeof model->digest);
    memcpy(out->bytes + sizeof model->digest, trial.outputs, trial.n_outputs * sizeof(float));
    trial_close(&trial);
}

static bool run_load(const struct loading *loading, struct outcome *out, char *sentence, size_t size)
{
    char path[1024];
    struct problems problems = {.n_errors = 0};
    struct model model;
    size_t call = nth, made;
    bool pair = loading->weights != NULL;
    nth = 0;
    json_t *states = loading->states ? unit_json(loading->states) : NULL,
           *constants = loading->constants ? unit_json(loading->constants) : NULL;
    long before = live;
    snprintf(path, sizeof path, "%s%s", pair ? folder : SOURCE_DIR "/tests/", pair ? "" : loading->path);
    struct model_entry entry = {
        .path = path, .name = "m", .where = "/models/0", .states = states, .constants = constants};
    arm(call, for_good);
    bool good = model_load(&entry, "settings", vec_available(0), &problems, &model);
    made = calls;
    nth = 0;
    *sentence = 0;
    for (size_t i = 0; i < problems.n_errors; i++)
        snprintf(sentence + strlen(sentence), size - strlen(sentence), "%s; ", problems.errors[i]);
    if (!good && problems.all_errors && !problems.n_errors)
        snprintf(sentence, size, "out of memory for the sentence");
    problems_close(&problems);
    if (good) {
        long loaded = live;
        run_model(&model, out);
        assert_int_equal(live, loaded + 1);
        live--; /* the outcome is not the model's */
        model_close(&model);
    }
    if (live != before)
        wrong++, print_error("%s, allocation %zu: %ld blocks are left\n", loading->path, call, live - before);
    json_decref(states);
    json_decref(constants);
    calls = made;
    return good;
}

typedef bool run_function(const struct loading *loading, struct outcome *out, char *sentence, size_t size);

static size_t number_of(const char *variable, size_t otherwise)
{
    const char *text = getenv(variable);
    return text ? (size_t)strtoull(text, NULL, 10) : otherwise;
}

static void walk(const struct loading *loading, run_function *run, size_t stride, struct outcome *golden)
{
    static char sentence[40000];
    arm(0, false);
    live = 0;
    if (!run(loading, golden, sentence, sizeof sentence))
        fail_msg("%s: %s", loading->path, sentence);
    size_t all = calls, first = 1 + number_of("FAULTS_SEED", 0) % stride;
    if (getenv("FAULTS_STRIDE"))
        print_message("%s: %zu allocations\n", loading->path, all);
    for (size_t n = first; n <= all; n += stride)
        for (int and_on = 0; and_on < 2; and_on++) {
            struct outcome seen;
            live = 0;
            arm(n, and_on);
            bool good = run(loading, &seen, sentence, sizeof sentence);
            bool same = good && seen.n == golden->n && !memcmp(seen.bytes, golden->bytes, seen.n);
            if (good ? !same : !strstr(sentence, "out of memory") && !strstr(sentence, strerror(ENOMEM))) {
                wrong++;
                print_error("%s, allocation %zu of %zu%s: %s\n", loading->path, n, all, and_on ? " and on" : "",
                            good ? "a wrong model" : sentence);
            }
            if (good)
                free(seen.bytes);
        }
}

static void memory_that_ends_while_loading_is_said(void **state)
{
    (void)state;
    size_t stride = number_of("FAULTS_STRIDE", 50);
    for (size_t i = 0; i < sizeof loadings / sizeof *loadings; i++) {
        const struct loading *loading = &loadings[i];
        struct outcome helped = {NULL, 0}, loaded;
        n_files = 0;
        if (loading->index)
            files[n_files++] = map_file(loading->path, loading->index);
        if (loading->metadata)
            files[n_files++] = map_file(loading->path, loading->metadata);
        for (size_t k = 0; k < 3 && loading->shards[k]; k++)
            files[n_files++] = map_file(loading->path, loading->shards[k]);
        if (loading->weights)
            files[n_files++] = map_file(loading->path, loading->weights);
        else if (!loading->index && strncmp(loading->path, "fixtures/tfjs", 13) != 0)
            files[n_files++] = map_file(loading->path, "");
        if (loading->weights)
            link_pair(loading);
        if (n_files) {
            walk(loading, run_helper, stride, &helped);
            result = (struct file_bytes){helped.bytes, helped.n};
        }
        walk(loading, run_load, stride, &loaded);
        nth = 0;
        free(helped.bytes);
        free(loaded.bytes);
        while (n_files)
            n_files--, munmap((void *)(uintptr_t)files[n_files].bytes, files[n_files].n);
        if (loading->weights)
            unlink_pair();
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_that_ends_while_loading_is_said)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
