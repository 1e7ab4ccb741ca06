/* Schemas of what routes take, by the model that is asked for. Source: OpenAPI 3.0.3. */
#include "openapi_bodies.h"

#include "config/model.h"

#include <jansson.h>
#include <stdio.h>

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

/* A list of at least one element, of exactly n where n is not 0. */
static json_t *list_of(json_t *items, size_t n)
{
    json_t *list = json_pack("{s:s, s:o, s:I}", "type", "array", "items", items, "minItems", (json_int_t)(n ? n : 1));
    if (n)
        json_object_set_new(list, "maxItems", json_integer((json_int_t)n));
    return list;
}

/* float32 goes further, but a sum of such numbers does not. */
static json_t *number(void)
{
    return json_pack("{s:s, s:s, s:f, s:f}", "type", "number", "format", "float", "minimum", -1e6, "maximum", 1e6);
}

/* What one row of a tensor is. */
static json_t *row_schema(const struct layer_shape *shape, size_t vocabulary)
{
    if (shape->ids)
        return list_of(
            json_pack("{s:s, s:i, s:I}", "type", "integer", "minimum", 0, "maximum", (json_int_t)vocabulary - 1), 0);
    size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
    json_t *schema = number();
    for (size_t i = n; i-- > 0;)
        schema = list_of(schema, shape->sequence && !i ? 0 : axes[i]);
    return schema;
}

/* A row of several inputs is an object by their names. */
static json_t *rows_schema(const struct graph *graph)
{
    json_t *properties = json_object(), *names = json_array();
    for (size_t i = 0; i < graph->n_inputs; i++) {
        json_t *input = row_schema(&graph->inputs[i].shape, graph_vocabulary(graph, i));
        json_object_set_new(properties, graph->inputs[i].name, input);
        json_array_append_new(names, json_string(graph->inputs[i].name));
    }
    json_t *row = graph->n_inputs == 1
                      ? json_incref(json_object_iter_value(json_object_iter(properties)))
                      : json_pack("{s:s, s:O, s:O}", "type", "object", "properties", properties, "required", names);
    json_decref(properties);
    json_decref(names);
    return list_of(row, 0);
}

/* An object with these properties (taken), those named required. */
static json_t *object(json_t *properties, const char *required)
{
    json_t *schema =
        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (required)
        json_object_set_new(schema, "required", json_pack("[s]", required));
    return schema;
}

/* Lists nest to any depth: states, and outputs that may be sequences. */
static json_t *nested(void)
{
    return json_pack("{s:s, s:{}}", "type", "array", "items");
}

json_t *openapi_session_id(void)
{
    return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[A-Za-z0-9._~:-]{1,255}$");
}

static json_t *count(void)
{
    return json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
}

/* A body's properties and those that name a session. */
static json_t *in_session(json_t *properties)
{
    json_object_set_new(properties, "session", openapi_session_id());
    json_object_set_new(properties, "reset", typed("boolean"));
    json_object_set_new(properties, "step", count());
    return properties;
}

static json_t *rollout(void)
{
    return object(json_pack("{s:o, s:{s:s, s:i, s:i}, s:o, s:o}", "steps", count(), "temperature", "type", "number",
                            "minimum", 0, "maximum", 1000, "top_k", count(), "seed", count()),
                  "steps");
}

json_t *openapi_predict_body(const struct graph *graph)
{
    json_t *properties = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "instances", rows_schema(graph), "initial_state",
                                   nested(), "mask", nested(), "return_sequences", typed("boolean"), "return_state",
                                   typed("boolean"), "rollout", rollout());
    return object(in_session(properties), "instances");
}

json_t *openapi_session_body(const struct graph *graph)
{
    (void)graph;
    return object(json_pack("{s:o, s:o, s:o}", "states", nested(), "model", typed("string"), "step", count()),
                  "states");
}

json_t *openapi_tf_body(const struct graph *graph)
{
    return object(json_pack("{s:o, s:{s:s, s:[s]}}", "instances", rows_schema(graph), "signature_name", "type",
                            "string", "enum", "serving_default"),
                  "instances");
}

json_t *openapi_step_body(const struct graph *graph)
{
    return object(
        in_session(json_pack("{s:o, s:o}", "inputs", list_of(list_of(number(), graph->inputs[0].shape.width), 0),
                             "states", nested())),
        "inputs");
}

json_t *openapi_initial_state_body(const struct graph *graph)
{
    (void)graph;
    return object(json_pack("{s:{s:s, s:i, s:i}}", "batch_size", "type", "integer", "minimum", 1, "maximum", 64),
                  "batch_size");
}

json_t *openapi_infer_body(const struct graph *graph)
{
    (void)graph;
    json_t *input = json_pack(
        "{s:s, s:{s:{s:s}, s:{s:s, s:{s:s, s:i}}, s:{s:s, s:[s, s, s, s, s, s, s]}, s:{s:s, s:{}}}, s:[s, s, s, s]}",
        "type", "object", "properties", "name", "type", "string", "shape", "type", "array", "items", "type", "integer",
        "minimum", 1, "datatype", "type", "string", "enum", "FP32", "FP64", "FP16", "INT32", "INT64", "UINT8", "BOOL",
        "data", "type", "array", "items", "required", "name", "shape", "datatype", "data");
    json_t *output = json_pack("{s:s, s:{s:{s:s}}, s:[s]}", "type", "object", "properties", "name", "type", "string",
                               "required", "name");
    return object(json_pack("{s:{s:s}, s:{s:s}, s:o, s:{s:s, s:o}}", "id", "type", "string", "parameters", "type",
                            "object", "inputs", list_of(input, 0), "outputs", "type", "array", "items", output),
                  "inputs");
}
