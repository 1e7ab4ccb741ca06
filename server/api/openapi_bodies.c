/* Schemas of the bodies of routes, for a model. Source: OpenAPI 3.0.3. */
#include "openapi_bodies.h"

#include "config/model.h"

#include <jansson.h>
#include <stdio.h>

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

/* A list of exactly n elements, or of at least one if n is 0. */
static json_t *list_of(json_t *items, size_t n)
{
    json_t *list = json_pack("{s:s, s:o, s:I}", "type", "array", "items", items, "minItems", (json_int_t)(n ? n : 1));
    if (n)
        json_object_set_new(list, "maxItems", json_integer((json_int_t)n));
    return list;
}

/* float32 has a larger range, but a sum of larger numbers may not be finite. */
static json_t *number(void)
{
    return json_pack("{s:s, s:s, s:f, s:f}", "type", "number", "format", "float", "minimum", -1e6, "maximum", 1e6);
}

/* One row of a tensor. */
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

/* A row of each input, or with lists a list of rows; several inputs are an object by their names. */
static json_t *inputs_schema(const struct graph *graph, bool lists)
{
    json_t *properties = json_object(), *names = json_array();
    for (size_t i = 0; i < graph->n_inputs; i++) {
        json_t *input = row_schema(&graph->inputs[i].shape, graph_vocabulary(graph, i));
        json_object_set_new(properties, graph->inputs[i].name, lists ? list_of(input, 0) : input);
        json_array_append_new(names, json_string(graph->inputs[i].name));
    }
    json_t *schema = graph->n_inputs == 1
                         ? json_incref(json_object_iter_value(json_object_iter(properties)))
                         : json_pack("{s:s, s:O, s:O}", "type", "object", "properties", properties, "required", names);
    json_decref(properties);
    json_decref(names);
    return schema;
}

static json_t *rows_schema(const struct graph *graph)
{
    return list_of(inputs_schema(graph, false), 0);
}

/* An object with these properties, of which it takes ownership. required is NULL or the name of one of them. */
static json_t *object(json_t *properties, const char *required)
{
    json_t *schema =
        json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (required)
        json_object_set_new(schema, "required", json_pack("[s]", required));
    return schema;
}

/* Lists that nest to any depth: states, and outputs that may be sequences. */
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

/* Add the properties that name a session. */
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

/* What GET shows is a valid body of PUT. A body needs "states" or "window". */
json_t *openapi_session_body(const struct graph *graph)
{
    (void)graph;
    json_t *window = object(json_pack("{s:o, s:{s:s, s:o}, s:o}", "size", count(), "filled", "type", "array", "items",
                                      count(), "timesteps", nested()),
                            "timesteps");
    return object(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "states", nested(), "window", window,
                            "model", typed("string"), "step", count(), "session", openapi_session_id(), "version",
                            typed("string"), "batch_size", count(), "age_s", typed("number"), "idle_s",
                            typed("number")),
                  NULL);
}

/* By rows ("instances") or by columns ("inputs"): a body has one of them. */
json_t *openapi_tf_body(const struct graph *graph)
{
    return object(json_pack("{s:o, s:o, s:{s:s, s:[s]}, s:o, s:o}", "instances", rows_schema(graph), "inputs",
                            graph->n_inputs == 1 ? rows_schema(graph) : inputs_schema(graph, true), "signature_name",
                            "type", "string", "enum", "serving_default", "raw", typed("boolean"), "parameters",
                            typed("object")),
                  NULL);
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
