/* Schemas of answers, written as JSON with single quotes. Source: OpenAPI 3.0.3. */
#include "openapi_schemas.h"

#include "config/json_memory.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
static const char schemas[] =
"{'Object': {'type': 'object'},"
" 'List': {'type': 'array', 'items': {'type': 'object'}},"
" 'Error': {'type': 'object', 'required': ['error', 'code'],"
"   'example': {'error': 'Expected 2 features, found 1.', 'code': 'wrong_shape', 'path': '/instances/0/0'},"
"   'properties': {'error': {'type': 'string', 'description': 'What is wrong, and what to do.'},"
"     'code': {'type': 'string'}, 'path': {'type': 'string', 'description': 'Where in the body: a JSON pointer.'}}},"
" 'Tensor': {'type': 'array', 'items': {}, 'description': 'Nested lists of numbers.'},"
" 'Outputs': {'oneOf': [{'$ref': '#/components/schemas/Tensor'}, {'type': 'object', 'additionalProperties': {'$ref': '#/components/schemas/Tensor'}}],"
"   'description': '[B][U], or [B][T][U] with return_sequences; of a model with several outputs an object by their names.'},"
" 'Prediction': {'type': 'object', 'required': ['model', 'version', 'outputs'],"
"   'properties': {'model': {'type': 'string'}, 'version': {'type': 'string'}, 'outputs': {'$ref': '#/components/schemas/Outputs'},"
"     'states': {'type': 'array', 'items': {}, 'description': 'An entry for each cell: [h, c] or [h], each [B][U].'},"
"     'state_layers': {'type': 'array', 'items': {'type': 'string'}}, 'session': {'type': 'string'}, 'step': {'type': 'integer'},"
"     'window': {'type': 'object', 'properties': {'size': {'type': 'integer'}, 'filled': {'type': 'array', 'items': {'type': 'integer'}}}}}},"
" 'StreamEvent': {'type': 'object', 'description': 'One line of a stream: outputs of a row, or the end (done), or an error.',"
"   'properties': {'row': {'type': 'integer'}, 'timestep': {'type': 'integer'}, 'outputs': {'$ref': '#/components/schemas/Tensor'},"
"     'done': {'type': 'boolean'}, 'model': {'type': 'string'}, 'version': {'type': 'string'},"
"     'states': {'$ref': '#/components/schemas/Tensor'}, 'error': {'type': 'string'}, 'code': {'type': 'string'}}},"
" 'Predictions': {'type': 'object', 'description': 'predictions for a request with instances, outputs for one with inputs.',"
"   'properties': {'predictions': {'type': 'array', 'items': {}}, 'outputs': {}}},"
" 'States': {'type': 'object', 'required': ['states'], 'properties': {'states': {'$ref': '#/components/schemas/Tensor'}}},"
" 'Step': {'type': 'object', 'required': ['outputs', 'states'],"
"   'properties': {'outputs': {'$ref': '#/components/schemas/Outputs'}, 'states': {'$ref': '#/components/schemas/Tensor'},"
"     'session': {'type': 'string'}, 'step': {'type': 'integer'}}},"
" 'Session': {'type': 'object', 'required': ['session'],"
"   'properties': {'session': {'type': 'string'}, 'step': {'type': 'integer'}, 'model': {'type': 'string'}, 'version': {'type': 'string'},"
"     'batch_size': {'type': 'integer'}, 'age_s': {'type': 'number'}, 'idle_s': {'type': 'number'},"
"     'states': {'$ref': '#/components/schemas/Tensor'}, 'deleted': {'type': 'boolean'}}},"
" 'Index': {'type': 'object', 'required': ['name', 'version', 'status', 'links'],"
"   'properties': {'name': {'type': 'string'}, 'version': {'type': 'string'}, 'status': {'type': 'string'},"
"     'links': {'type': 'object', 'additionalProperties': {'type': 'string'}}}},"
" 'ModelList': {'type': 'object', 'required': ['models'], 'properties': {'models': {'type': 'array', 'items': {'type': 'string'}}}},"
" 'ModelStatus': {'type': 'object', 'required': ['model_version_status'],"
"   'properties': {'name': {'type': 'string'}, 'ready': {'type': 'boolean'},"
"     'model_version_status': {'type': 'array', 'items': {'type': 'object',"
"       'properties': {'version': {'type': 'string'}, 'state': {'type': 'string'}, 'status': {'type': 'object'}}}}}},"
" 'ModelMetadata': {'type': 'object', 'required': ['model_spec', 'metadata', 'input_size', 'output_size', 'layers'],"
"   'properties': {'model_spec': {'type': 'object'}, 'metadata': {'type': 'object'}, 'class_name': {'type': 'string'},"
"     'input_size': {'type': 'integer'}, 'output_size': {'type': 'integer'}, 'state_size': {'type': 'array', 'items': {}},"
"     'parameters': {'type': 'integer'}, 'weights': {'type': 'string', 'enum': ['file', 'initializers']},"
"     'inputs': {'type': 'array', 'items': {'$ref': '#/components/schemas/Port'}},"
"     'outputs': {'type': 'array', 'items': {'$ref': '#/components/schemas/Port'}},"
"     'layers': {'type': 'array', 'items': {'type': 'object'}}}},"
" 'Port': {'type': 'object', 'required': ['name', 'shape', 'dtype'], 'description': 'An input or an output; -1 is any size.',"
"   'properties': {'name': {'type': 'string'}, 'shape': {'type': 'array', 'items': {'type': 'integer'}},"
"     'dtype': {'type': 'string'}, 'vocabulary': {'type': 'integer'}}},"
" 'Inference': {'type': 'object', 'required': ['model_name', 'model_version', 'outputs'],"
"   'properties': {'model_name': {'type': 'string'}, 'model_version': {'type': 'string'}, 'id': {'type': 'string'},"
"     'outputs': {'type': 'array', 'items': {'type': 'object', 'required': ['name', 'shape', 'datatype'],"
"       'properties': {'name': {'type': 'string'}, 'datatype': {'type': 'string'},"
"         'shape': {'type': 'array', 'items': {'type': 'integer'}}, 'data': {'type': 'array', 'items': {}}}}}}}}";
/* clang-format on */

json_t *openapi_schemas(void)
{
    char text[sizeof schemas];
    json_error_t error;
    memcpy(text, schemas, sizeof schemas);
    for (char *quote = text; (quote = strchr(quote, '\''));)
        *quote = '"';
    return json_memory_load(text, sizeof schemas - 1, 0, &error);
}

json_t *openapi_reference(const char *name)
{
    char text[160];
    snprintf(text, sizeof text, "#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", text);
}
