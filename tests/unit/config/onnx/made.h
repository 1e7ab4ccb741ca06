/* Helpers of the unit tests of ONNX graphs: a graph as the reader gives it, its conversion, and checks of the
   result. */
#ifndef TESTS_UNIT_CONFIG_ONNX_MADE_H
#define TESTS_UNIT_CONFIG_ONNX_MADE_H

#include "config/onnx/onnx_model.h"
#include "config/weights.h"
#include "tests/unit/unit.h"

static struct problems problems;

/* The inputs and the result of a conversion. */
struct made {
    struct tensor_set set, tensors;
    struct keras_model config;
    struct onnx_memory memory;
    json_t *constants, *states;
    size_t input_size;
};

#define IN(name, shape) "{'name': '" name "', 'type': 1, 'shape': [" shape "]}"
#define NODE(op, in, out, attributes)                                                                                  \
    "{'op': '" op "', 'in': [" in "], 'out': [" out "], 'attributes': {" attributes "}}"
#define GRAPH(inputs, outputs, tensors, nodes)                                                                         \
    "{'onnx': {'opset': {'': 12}, 'graph': {'inputs': [" inputs "], 'outputs': [" outputs "], 'tensors': {" tensors    \
    "}, 'nodes': [" nodes "]}}}"

static inline bool read_graph(const char *text, struct made *m)
{
    json_t *json = unit_json(text);
    const struct onnx_options options = {
        .constants = m->constants, .states = m->states, .input_size = m->input_size, .where = ""};
    struct digest digest = {{0}};
    bool good = onnx_model_read(json, "m.onnx", &m->set, &options, &problems, &m->config, &m->tensors, &m->memory);
    good = good && weights_build(&m->config, &m->tensors, NAMED_BY_PATH, 0, 0, &vec_c, &digest,
                                 (struct place){"m.onnx", NULL}, &problems);
    json_decref(json);
    return good;
}

static inline void close_made(struct made *m)
{
    keras_model_close(&m->config);
    tensor_set_close(&m->set);
    tensor_set_close(&m->tensors);
    onnx_memory_free(&m->memory);
    json_decref(m->constants);
    json_decref(m->states);
}

static inline void taken(const char *text, struct made *m)
{
    if (!read_graph(text, m))
        fail_msg("%s: %s", text, problems.errors[0]);
}

static inline void refused(const char *text, struct made *m, const char *line)
{
    if (read_graph(text, m))
        fail_msg("%s is taken", text);
    unit_has_error(&problems, text, line);
    for (size_t i = 0; i < problems.n_errors; i++)
        if (strstr(problems.errors[i], "node \"") && !strchr(problems.errors[i], ';'))
            fail_msg("%s: does not say what to do", problems.errors[i]);
    problems_close(&problems);
    close_made(m);
}

/* The axes of an output, without the batch, are those of `expected`. */
static inline void gives(const struct made *m, size_t output, const char *expected)
{
    char text[64];
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&m->config.model.outputs[output].shape, axes);
    shape_text(axes, n, text, sizeof text);
    assert_string_equal(text, expected);
}

/* The classes of the layers, each followed by a space. */
static inline void layers_are(const struct made *m, const char *expected)
{
    char text[400] = "";
    for (size_t i = 0; i < m->config.model.n_layers; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s ", m->config.model.layers[i].class_name);
    }
    assert_string_equal(text, expected);
}

#endif
