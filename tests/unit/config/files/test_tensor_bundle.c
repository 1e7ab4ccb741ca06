/* TensorFlow's checkpoints, read in this process without the helper: fixtures, and damaged copies of them. */
#include "config/files/tensor_bundle.h"
#include "config/object_names.h"
#include "tests/handover.h"
#include "tests/unit/unit.h"

static struct file_bytes read_fixture(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, SOURCE_DIR "/tests/fixtures/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    unsigned char *bytes = malloc(1 << 18);
    size_t n = fread(bytes, 1, 1 << 18, file);
    assert_true(n > 0 && n < 1 << 18);
    fclose(file);
    return (struct file_bytes){bytes, n};
}

static bool read_checkpoint(struct handover *out, struct file_bytes index, struct file_bytes shard)
{
    *out = (struct handover){.limit = 1 << 20};
    return tensor_bundle_read(out, index, BUNDLE_CHECKPOINT, (struct file_bytes){.n = 0}, &shard, 1);
}

static const struct handover_tensor *find(const struct handover *out, const char *name)
{
    for (size_t i = 0; i < out->n; i++)
        if (!strcmp(out->tensors[i].name, name))
            return &out->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void tensors_are_named_by_the_objects_of_the_model(void **state)
{
    (void)state;
    struct file_bytes index = read_fixture("checkpoint_stacked/ckpt.index"),
                      shard = read_fixture("checkpoint_stacked/ckpt.data-00000-of-00001");
    struct handover out;
    assert_true(read_checkpoint(&out, index, shard));
    assert_int_equal(out.n, 17);
    const struct handover_tensor *kernel = find(&out, "layer-0/cell/cells/1/cells/0/kernel");
    assert_int_equal(kernel->rank, 2);
    assert_int_equal(kernel->shape[0], 3); /* the previous cell has 3 units */
    assert_int_equal(kernel->shape[1], 6); /* 3 gates of a GRU with 2 units */
    assert_string_equal(kernel->type, "F32");
    find(&out, "layer-1/backward_layer/cell/bias");
    find(&out, "layer-2/kernel");
    assert_string_equal(json_string_value(json_object_get(out.metadata, "naming")), "object");
    handover_release(&out);
    free((void *)index.bytes);
    free((void *)shard.bytes);
}

static void keras_metadata_become_the_configuration(void **state)
{
    (void)state;
    struct file_bytes index = read_fixture("saved_2_15_stacked/model/variables/variables.index"),
                      shard = read_fixture("saved_2_15_stacked/model/variables/variables.data-00000-of-00001"),
                      metadata = read_fixture("saved_2_15_stacked/model/keras_metadata.pb");
    struct handover out = {.limit = 1 << 20};
    assert_true(tensor_bundle_read(&out, index, BUNDLE_KERAS, metadata, &shard, 1));
    assert_string_equal(json_string_value(json_object_get(out.metadata, "keras_version")), "2.15.0");
    json_t *config = json_loads(json_string_value(json_object_get(out.metadata, "config")), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(config, "class_name")), "Sequential");
    const json_t *input = json_array_get(json_object_get(json_object_get(config, "config"), "layers"), 0);
    const json_t *shape = json_object_get(json_object_get(input, "config"), "batch_input_shape");
    assert_true(json_is_array(shape)); /* a tuple in the file */
    assert_int_equal(json_integer_value(json_array_get(shape, 2)), 3);
    json_decref(config);
    handover_release(&out);
    /* saved_model.pb of the same folder has no Keras metadata. */
    struct file_bytes graph = read_fixture("saved_2_15_stacked/model/saved_model.pb");
    out.limit = 1 << 20;
    assert_false(tensor_bundle_read(&out, index, BUNDLE_SAVED, graph, &shard, 1));
    assert_non_null(strstr(out.error, "a SavedModel without Keras's metadata"));
    assert_non_null(strstr(out.error, "model.save(\"m.keras\")"));
    handover_release(&out);
    for (size_t n = 0; n < metadata.n; n += 7) { /* cut short */
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, metadata.bytes, n);
        out.limit = 1 << 20;
        if (!tensor_bundle_read(&out, index, BUNDLE_KERAS, (struct file_bytes){copy, n}, &shard, 1))
            assert_true(out.error[0] != 0);
        handover_release(&out);
        free(copy);
    }
    free((void *)index.bytes);
    free((void *)shard.bytes);
    free((void *)metadata.bytes);
    free((void *)graph.bytes);
}

/* An index that is cut short is refused with an error message. So is one with a changed byte, unless the byte is not
   used. */
static void a_damaged_index_is_refused(void **state)
{
    (void)state;
    struct file_bytes index = read_fixture("checkpoint_stacked/ckpt.index"),
                      shard = read_fixture("checkpoint_stacked/ckpt.data-00000-of-00001");
    struct handover out;
    size_t refused = 0;
    for (size_t n = 0; n < index.n; n++) {
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, index.bytes, n);
        assert_false(read_checkpoint(&out, (struct file_bytes){copy, n}, shard));
        assert_true(out.error[0] != 0);
        handover_release(&out);
        free(copy);
    }
    for (size_t i = 0; i < index.n; i++) {
        ((unsigned char *)index.bytes)[i] ^= 0x55;
        bool good = read_checkpoint(&out, index, shard);
        assert_true(good || out.error[0]);
        refused += !good;
        handover_release(&out);
        ((unsigned char *)index.bytes)[i] ^= 0x55;
    }
    assert_true(refused >= index.n - 60); /* the reader ignores the meta index block and the padding of the footer */
    free((void *)index.bytes);
    free((void *)shard.bytes);
}

static void damaged_numbers_are_refused(void **state)
{
    (void)state;
    struct file_bytes index = read_fixture("checkpoint_stacked/ckpt.index"),
                      shard = read_fixture("checkpoint_stacked/ckpt.data-00000-of-00001");
    struct handover out;
    assert_true(read_checkpoint(&out, index, shard));
    const unsigned char *kernel = find(&out, "layer-2/kernel")->data;
    handover_release(&out);
    ((unsigned char *)shard.bytes)[kernel - shard.bytes] ^= 1;
    assert_false(read_checkpoint(&out, index, shard));
    assert_non_null(strstr(out.error, "the checksum of tensor layer_with_weights-2/kernel"));
    handover_release(&out);
    ((unsigned char *)shard.bytes)[kernel - shard.bytes] ^= 1;
    for (size_t n = 0; n < shard.n; n += 5) {
        unsigned char *copy = malloc(n + 1);
        memcpy(copy, shard.bytes, n);
        assert_false(read_checkpoint(&out, index, (struct file_bytes){copy, n}));
        assert_true(out.error[0] != 0);
        handover_release(&out);
        free(copy);
    }
    out = (struct handover){.limit = 1 << 20};
    const struct file_bytes two[] = {shard, shard};
    assert_false(tensor_bundle_read(&out, index, BUNDLE_CHECKPOINT, (struct file_bytes){.n = 0}, two, 2));
    assert_string_equal(out.error, "its index names 1 data files, and there are 2");
    handover_release(&out);
    free((void *)index.bytes);
    free((void *)shard.bytes);
}

static void objects_become_paths(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"layer-0/kernel", "layers.0.kernel"},
        {"layer-2/cell/kernel", "layers.1.cells.0.kernel"},
        {"layer-2/cell/cells/1/bias", "layers.1.cells.1.bias"},
        {"layer-2/cell/cells/1/cells/0/bias", "layers.1.cells.1.cells.0.bias"},
        {"layer-2/cell/cells/1/cell/kernel", "layers.1.cells.1.kernel"}, /* a wrapper around a cell */
        {"layer-2/cell/cell/recurrent_kernel", "layers.1.cells.0.recurrent_kernel"},
        {"layer-2/cell/kernel_norm/gamma", "layers.1.cells.0.kernel_norm.gamma"},
        {"layer-3/forward_layer/cell/kernel", "layers.2.forward.cells.0.kernel"},
        {"layer-3/backward_layer/cell/cells/0/kernel", "layers.2.backward.cells.0.kernel"},
        {"layer-3/layer/bias", "layers.2.bias"},                         /* TimeDistributed */
        {"layer-4/layer-1/cell/bias", "layers.3.layers.0.cells.0.bias"}, /* a nested model */
        {"layer-5/layer-0/kernel", "layers.4.layers.0.kernel"},
        {"layer-", "layer-"},
        {"layer-3", "layer-3"},
        {"layer-x/kernel", "layer-x/kernel"},
        {"other", "other"},
    };
    json_t *model = unit_json(
        "{'class_name': 'Functional', 'config': {'layers': [{'class_name': 'Embedding'}, "
        "{'class_name': 'InputLayer'}, {'class_name': 'LSTM'}, {'class_name': 'GRU'}, {'class_name': 'Functional', "
        "'config': {'layers': [{'class_name': 'InputLayer'}, {'class_name': 'GRU'}]}}, "
        "{'class_name': 'Sequential', 'config': {'layers': [{'class_name': 'InputLayer'}, "
        "{'class_name': 'Dense'}]}}]}}");
    enum { N = sizeof names / sizeof *names };
    struct tensor_set set = {.n = N, .tensors = calloc(N, sizeof *set.tensors)};
    for (size_t i = 0; i < N; i++)
        set.tensors[i].name = strdup(names[i][0]);
    assert_true(object_names_replace(&set, model));
    for (size_t i = 0; i < N; i++)
        assert_string_equal(set.tensors[i].name, names[i][1]);
    tensor_set_close(&set);
    json_decref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_named_by_the_objects_of_the_model),
        cmocka_unit_test(keras_metadata_become_the_configuration),
        cmocka_unit_test(a_damaged_index_is_refused),
        cmocka_unit_test(damaged_numbers_are_refused),
        cmocka_unit_test(objects_become_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
