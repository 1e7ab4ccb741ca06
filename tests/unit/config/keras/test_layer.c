/* Every supported layer: its options are copied to the layer of core/, and errors name the place in the file. */
#include "config/keras/layer.h"
#include "core/layers/dense.h"
#include "core/layers/embedding.h"
#include "core/layers/masking.h"
#include "core/layers/normalization.h"
#include "core/layers/pooling.h"
#include "core/layers/reshape.h"
#include "tests/unit/unit.h"

static struct problems problems;

static bool read_layer(const char *text, struct layer *out)
{
    bool failed = false;
    struct keras_reader reader = {.file = "m.json", .keras_major = 2, .problems = &problems, .failed = &failed};
    json_t *json = unit_json(text);
    *out = (struct layer){.built = false};
    bool good = keras_layer_read(&reader, json, "/l", out);
    assert_int_equal(good, !failed);
    json_decref(json);
    return good;
}

static void *own_of(const char *text, const struct layer_class *class, struct layer *out)
{
    if (!read_layer(text, out))
        fail_msg("%s: %s", text, problems.errors[0]);
    assert_ptr_equal(out->class, class);
    return out->own;
}

static void refused(const char *text, const char *line)
{
    struct layer layer;
    if (read_layer(text, &layer))
        fail_msg("%s is taken", text);
    unit_has_error(&problems, text, line);
    problems_close(&problems);
    layer_close(&layer);
}

#define LAYER(class, config) "{'class_name': '" class "', 'config': {'name': 'x'" config "}}"

static void options_are_read(void **state)
{
    (void)state;
    struct layer layer;
    const struct dense *dense =
        own_of(LAYER("Dense", ",'units': 7, 'activation': 'relu', 'use_bias': false, 'kernel_initializer': 'ones'"),
               &layer_dense, &layer);
    assert_int_equal(dense->units, 7);
    assert_int_equal(dense->activation.kind, ACT_RELU);
    assert_false(dense->use_bias);
    assert_int_equal(dense->kernel_initializer.kind, INIT_ONES);
    assert_string_equal(layer.name, "x");
    assert_string_equal(layer.class_name, "Dense");
    layer_close(&layer);
    const struct embedding *embedding =
        own_of(LAYER("Embedding", ",'input_dim': 9, 'output_dim': 4, 'mask_zero': true"), &layer_embedding, &layer);
    assert_int_equal(embedding->input_dim, 9);
    assert_int_equal(embedding->output_dim, 4);
    assert_true(embedding->mask_zero);
    layer_close(&layer);
    const struct masking *masking = own_of(LAYER("Masking", ",'mask_value': -1.5"), &layer_masking, &layer);
    assert_true(masking->mask_value == -1.5f);
    layer_close(&layer);
    const struct normalization *norm =
        own_of(LAYER("BatchNormalization", ",'axis': [2], 'epsilon': 0.25, 'center': false, 'scale': false"),
               &layer_batch_norm, &layer);
    assert_true(norm->epsilon == 0.25 && !norm->center && !norm->scale);
    assert_true(norm->axes.n == 1 && norm->axes.at[0] == 2);
    layer_close(&layer);
    norm = own_of(LAYER("LayerNormalization", ",'axis': [1, -1]"), &layer_layer_norm, &layer);
    assert_true(norm->axes.n == 2 && norm->axes.at[0] == 1 && norm->axes.at[1] == -1);
    layer_close(&layer);
    const struct repeat_vector *repeat = own_of(LAYER("RepeatVector", ",'n': 6"), &layer_repeat_vector, &layer);
    assert_int_equal(repeat->n, 6);
    layer_close(&layer);
    const struct pooling *pooling =
        own_of(LAYER("GlobalMaxPooling1D", ",'keepdims': true, 'data_format': null"), &layer_max_pooling, &layer);
    assert_true(pooling->keepdims);
    layer_close(&layer);
    own_of(LAYER("GlobalAveragePooling1D", ",'data_format': 'channels_last'"), &layer_average_pooling, &layer);
    layer_close(&layer);
    assert_int_equal(problems.all_warnings, 0);
}

static void shapes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t rank, first, second;
    } rows[] = {
        {LAYER("Flatten", ""), 1, SIZE_MAX, 0},
        {LAYER("Reshape", ",'target_shape': [12]"), 1, 12, 0},
        {LAYER("Reshape", ",'target_shape': [3, 4]"), 2, 3, 4},
        {LAYER("Reshape", ",'target_shape': [-1, 4]"), 2, SIZE_MAX, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer;
        const struct reshape *own = own_of(rows[i].text, &layer_reshape, &layer);
        assert_int_equal(own->rank, rows[i].rank);
        assert_int_equal(own->target[0], rows[i].first);
        assert_int_equal(own->target[1], rows[i].second);
        layer_close(&layer);
    }
}

static void activations_are_layers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum activation_kind kind;
        double alpha;
    } rows[] = {
        {LAYER("Activation", ",'activation': 'tanh'"), ACT_TANH, -1}, {LAYER("ReLU", ",'max_value': 6"), ACT_RELU, -1},
        {LAYER("LeakyReLU", ",'alpha': 0.25"), ACT_LEAKY_RELU, 0.25}, {LAYER("ELU", ",'alpha': 0.5"), ACT_ELU, 0.5},
        {LAYER("ThresholdedReLU", ",'theta': 1"), ACT_THRESHOLD, -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer;
        const struct activation *own = own_of(rows[i].text, &layer_activation, &layer);
        assert_int_equal(own->kind, rows[i].kind);
        if (rows[i].alpha >= 0)
            assert_true((double)own->alpha == rows[i].alpha);
        layer_close(&layer);
    }
}

static void a_softmax_has_axes(void **state)
{
    (void)state;
    struct layer layer;
    const struct softmax *own = own_of(LAYER("Softmax", ",'axis': [1, 2]"), &layer_softmax, &layer);
    assert_true(own->axes.n == 2 && own->axes.at[0] == 1 && own->axes.at[1] == 2);
    assert_int_equal(layer_activation_of(&layer)->kind, ACT_SOFTMAX);
    layer_close(&layer);
}

static void dropout_layers_become_identities(void **state)
{
    (void)state;
    static const char *const texts[] = {LAYER("Dropout", ",'rate': 0.5"),
                                        LAYER("SpatialDropout1D", ",'rate': 0.5"),
                                        LAYER("GaussianDropout", ",'rate': 0.5"),
                                        LAYER("GaussianNoise", ",'stddev': 1"),
                                        LAYER("AlphaDropout", ",'rate': 0.5"),
                                        LAYER("ActivityRegularization", ",'l1': 1, 'l2': 1"),
                                        LAYER("Identity", "")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct layer layer;
        assert_null(own_of(texts[i], &layer_identity, &layer));
        layer_close(&layer);
    }
}

static void recurrent_layers_have_parts(void **state)
{
    (void)state;
    struct layer layer;
    const struct recurrent *own =
        own_of(LAYER("GRU", ",'units': 3, 'go_backwards': true, 'stateful': true"), &layer_recurrent, &layer);
    assert_int_equal(own->n_parts, 1);
    assert_true(own->parts[0].go_backwards && own->parts[0].stateful && !own->parts[0].return_sequences);
    assert_ptr_equal(own->cells[0]->class, &cell_gru);
    layer_close(&layer);
    own = own_of("{'class_name': 'SimpleRNNCell', 'config': {'units': 5}}", &layer_recurrent, &layer); /* a bare cell */
    assert_int_equal(own->cells[0]->units, 5);
    layer_close(&layer);
    own = own_of(
        LAYER("Bidirectional", ",'merge_mode': 'sum', 'layer': " LAYER("LSTM", ",'units': 3, 'return_sequences': "
                                                                               "true")),
        &layer_recurrent, &layer);
    assert_int_equal(own->n_parts, 2);
    assert_int_equal(own->merge, MERGE_SUM);
    assert_false(own->parts[0].go_backwards);
    assert_true(own->parts[1].go_backwards && own->parts[1].return_sequences);
    assert_int_equal(own->cells[1]->units, 3);
    layer_close(&layer);
    own = own_of(LAYER("Bidirectional", ",'merge_mode': null, 'layer': " LAYER("LSTM", ",'units': 3") //
                       ", 'backward_layer': " LAYER("GRU", ",'units': 4, 'go_backwards': true")),
                 &layer_recurrent, &layer);
    assert_int_equal(own->merge, MERGE_NONE);
    assert_ptr_equal(own->cells[1]->class, &cell_gru);
    layer_close(&layer);
    static const char *const modes[] = {"concat", "sum", "mul", "ave"};
    for (size_t i = 0; i < 4; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 LAYER("Bidirectional", ",'merge_mode': '%s', 'layer': " LAYER("GRU", ",'units': 1")), modes[i]);
        own = own_of(text, &layer_recurrent, &layer);
        assert_int_equal(own->merge, i);
        layer_close(&layer);
    }
}

static void wrapped_layers_keep_their_class(void **state)
{
    (void)state;
    struct layer layer;
    const struct dense *dense =
        own_of(LAYER("TimeDistributed", ",'layer': " LAYER("Dense", ",'units': 2")), &layer_dense, &layer);
    assert_int_equal(dense->units, 2);
    assert_true(layer.only_sequences);
    assert_string_equal(layer.class_name, "TimeDistributed");
    layer_close(&layer);
    static const char line[] = "/l/config/layer: expected an object with class_name and config, found ";
    refused(LAYER("TimeDistributed", ",'layer': 3"), line);
    refused(LAYER("TimeDistributed", ""), line);
}

static void errors_of_layers_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"3", "/l: expected an object with class_name and config, found 3"},
        {"{'class_name': 'Whatever'}", "/l/class_name: a layer \"Whatever\" is not served (those that are: RNN,"},
        {"{'class_name': 'Danse'}", "a layer \"Danse\" is not served; did you mean \"Dense\"?"},
        {"{'class_name': 'Dense'}", "/l/config: expected an object, found nothing"},
        {"{'class_name': 'Dense', 'config': 1}", "/l/config: expected an object, found 1"},
        {"{'class_name': 'LSTM'}", "/l/config: expected an object, found nothing"},
        {"{'class_name': 'Lambda', 'config': {}}", "a Lambda layer contains Python code, which cellserve does not run"},
        {"{'class_name': 'TensorFlowOpLayer', 'config': {'node_def': {'name': 'FFT_2', 'op': 'FFT'}}}",
         "the operation \"FFT\" of TensorFlow (a TensorFlowOpLayer) is not supported"},
        {"{'class_name': 'ConvLSTM3D', 'config': {}}", "a layer \"ConvLSTM3D\" is not served"},
        {LAYER("Dense", ""), "/l/config/units: expected a whole number from 1 to 1048576, found nothing (Dense \"x\")"},
        {LAYER("Dense", ",'units': 1048577"), "found 1048577"},
        {LAYER("Dense", ",'units': 2.5"), "/l/config/units: expected a whole number from 1 to 1048576, found 2.5"},
        {LAYER("Embedding", ",'input_dim': 0, 'output_dim': 1"), "/l/config/input_dim: expected a whole number"},
        {LAYER("Masking", ",'mask_value': '0'"), "/l/config/mask_value: expected a number, found \"0\""},
        {LAYER("Reshape", ",'target_shape': [1, 2, 3, 4, 5, 6]"), "/target_shape: expected one to five sizes"},
        {LAYER("Reshape", ",'target_shape': [-1, -1]"), "one of them may be -1, found [-1,-1]"},
        {LAYER("Reshape", ",'target_shape': [0]"), "/target_shape: expected one to five sizes"},
        {LAYER("Reshape", ",'target_shape': 4"), "/target_shape: expected one to five sizes"},
        {LAYER("RepeatVector", ",'n': -1"), "/l/config/n: expected a whole number"},
        {LAYER("Flatten", ",'data_format': 1"), "/data_format: expected \"channels_last\", found 1"},
        {LAYER("BatchNormalization", ",'axis': 6"), "/axis: expected an axis from -5 to 5"},
        {LAYER("BatchNormalization", ",'epsilon': 'a'"), "/epsilon: expected a number"},
        {LAYER("LayerNormalization", ",'rms_scaling': true"), "/rms_scaling: expected false, found true"},
        {LAYER("Bidirectional", ",'merge_mode': 'max', 'layer': " LAYER("GRU", ",'units': 1")),
         "/merge_mode: expected concat, sum, mul, ave or null, found \"max\""},
        {LAYER("Bidirectional", ",'layer': " LAYER("Dense", ",'units': 1")),
         "/l/config/layer: expected an RNN, LSTM, GRU or SimpleRNN layer"},
        {LAYER("Bidirectional",
               ",'layer': " LAYER("GRU", ",'units': 1") ", 'backward_layer': " LAYER("GRU", ",'units': 1")),
         "expected layer and backward_layer with different go_backwards"},
        {LAYER("Bidirectional", ",'layer': " LAYER("GRU", ",'units': 1, 'stateful': true") ", 'backward_layer': " LAYER(
                                    "GRU", ",'units': 1, 'go_backwards': true")),
         "expected layer and backward_layer with the same stateful"},
        {LAYER("Bidirectional", ",'layer': " LAYER("GRU", ",'units': 1, 'time_major': true")),
         "time_major is supported only in a model of one RNN layer; transpose the data"},
        {LAYER("Bidirectional", ",'layer': {'class_name': 'GRU'}"), "/l/config/layer/config: expected an object"},
        {LAYER("RNN", ",'num_constants': 2, 'cell': {'class_name': 'GRUCell', 'config': {'units': 1}}"),
         "/num_constants: expected no constants (none of the cells takes any), found 2"},
        {LAYER("Dense", ",'units': 1, 'dtype': 'int8'"), "/dtype: the layer is quantized (int8)"},
        {LAYER("Dense", ",'units': 1, 'dtype': 3"), "/dtype: expected a floating-point type"},
        {LAYER("Dense", ",'units': 1, 'kernel_initializer': 3"), "/kernel_initializer"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].text, rows[i].line);
}

static void other_float_types_are_warned_about(void **state)
{
    (void)state;
    static const char *const types[] = {"'float64'", "{'class_name': 'DTypePolicy', 'config': {'name': 'float64'}}"};
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        struct layer layer;
        snprintf(text, sizeof text, LAYER("Dense", ",'units': 1, 'dtype': %s"), types[i]);
        assert_true(read_layer(text, &layer));
        unit_has_warning(&problems, text, "/l/config/dtype: \"float64\" is computed in float32");
        problems_close(&problems);
        layer_close(&layer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(options_are_read),
                                       cmocka_unit_test(shapes_are_read),
                                       cmocka_unit_test(activations_are_layers),
                                       cmocka_unit_test(a_softmax_has_axes),
                                       cmocka_unit_test(dropout_layers_become_identities),
                                       cmocka_unit_test(recurrent_layers_have_parts),
                                       cmocka_unit_test(wrapped_layers_keep_their_class),
                                       cmocka_unit_test(errors_of_layers_name_their_place),
                                       cmocka_unit_test(other_float_types_are_warned_about)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
