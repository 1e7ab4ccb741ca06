/* Finds Keras's JSON of the model: that of the root of a SavedModel's objects. */
#include "keras_metadata.h"

#include "config/json_memory.h"
#include "json_file.h"
#include "protobuf.h"

#include <string.h>

enum { MAX_DEPTH = 64 };

#define ADVICE "; load it in Keras, then save it: model.save(\"m.keras\")"

/* The first field with this number that is a message or a text. Returns false if there is none. */
static bool find_bytes(struct protobuf message, uint32_t number, struct protobuf *found)
{
    struct protobuf_field field;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, number, PROTOBUF_BYTES)) {
            *found = field.bytes;
            return true;
        }
    return false;
}

/* SavedMetadata: nodes = 1 { node_path = 3, metadata = 5 }. */
static bool find_in_metadata(struct protobuf message, struct protobuf *json)
{
    struct protobuf_field field;
    struct protobuf path;
    while (protobuf_next(&message, &field))
        if (protobuf_is(&field, 1, PROTOBUF_BYTES) && find_bytes(field.bytes, 3, &path) &&
            protobuf_equals(&path, "root"))
            return find_bytes(field.bytes, 5, json);
    return false;
}

/* SavedModel: meta_graphs = 2 { object_graph_def = 7 { nodes = 1 { user_object = 4 { metadata = 3 } } } }, the root first. */
static bool find_in_saved_model(struct protobuf message, struct protobuf *json)
{
    struct protobuf graph, objects, root, user_object;
    return find_bytes(message, 2, &graph) && find_bytes(graph, 7, &objects) && find_bytes(objects, 1, &root) &&
           find_bytes(root, 4, &user_object) && find_bytes(user_object, 3, json) && protobuf_left(json) > 0;
}

static bool is_wrapped_list(const json_t *json)
{
    const char *class_name = json_string_value(json_object_get(json, "class_name"));
    return class_name && (!strcmp(class_name, "__tuple__") || !strcmp(class_name, "TensorShape")) &&
           json_is_array(json_object_get(json, "items"));
}

/* Unwrap tuples and shapes, which Keras wraps only here, to the lists of its other files. */
static bool unwrap_lists(json_t *json, int depth)
{
    const char *key;
    json_t *value;
    size_t i;
    if (depth > MAX_DEPTH)
        return false;
    if (json_is_object(json)) {
        json_object_foreach(json, key, value) {
            if (is_wrapped_list(value) && json_object_set(json, key, json_object_get(value, "items")))
                return false;
            if (!unwrap_lists(json_object_get(json, key), depth + 1))
                return false;
        }
    }
    for (i = 0; i < json_array_size(json); i++) {
        value = json_array_get(json, i);
        if (is_wrapped_list(value) && json_array_set(json, i, json_object_get(value, "items")))
            return false;
        if (!unwrap_lists(json_array_get(json, i), depth + 1))
            return false;
    }
    return true;
}

/* The configuration that model.to_json() would give. NULL: the model has none, because its class is the author's
   own. */
static json_t *config_of(const json_t *root)
{
    json_t *config = json_object_get(root, "model_config"); /* only models that Keras itself can rebuild have it */
    if (json_is_object(config))
        return json_incref(config);
    if (!json_is_true(json_object_get(root, "is_graph_network")))
        return NULL;
    return json_pack("{s:O, s:O}", "class_name", json_object_get(root, "class_name"), "config",
                     json_object_get(root, "config"));
}

static bool take_config(struct handover *out, json_t *root)
{
    const char *class_name = json_string_value(json_object_get(root, "class_name"));
    const char *version = json_string_value(json_object_get(root, "keras_version"));
    json_t *config = config_of(root);
    if (!config)
        return handover_fail(out,
                             "its model (%.60s) is a class of its author's, whose code is not in the file; build it "
                             "from Keras's own layers as a Functional model, copy the weights, and save that",
                             class_name ? class_name : "without a name");
    if (!unwrap_lists(config, 0)) {
        json_decref(config);
        return handover_fail(out, "its configuration is nested too deep");
    }
    char *text = json_dumps(config, JSON_COMPACT);
    bool good = text && handover_text(out, "config", text, strlen(text)) &&
                (!version || handover_text(out, "keras_version", version, strlen(version)));
    json_decref(config);
    json_memory_free(text);
    return good || handover_fail(out, "out of memory for its configuration");
}

bool keras_metadata_read(struct handover *out, enum bundle_metadata kind, struct file_bytes file)
{
    struct protobuf json = protobuf_open(NULL, 0), message = protobuf_open(file.bytes, file.n);
    struct problems problems = {.n_errors = 0};
    if (!(kind == BUNDLE_KERAS ? find_in_metadata : find_in_saved_model)(message, &json))
        return handover_fail(out,
                             kind == BUNDLE_KERAS
                                 ? "its keras_metadata.pb is damaged or cut short: it has no model"
                                 : "a SavedModel without Keras's metadata (keras_metadata.pb), as Keras 3's export "
                                   "and tf.saved_model.save write: it holds a graph, not layers" ADVICE);
    json_t *root = json_file_parse((const char *)json.at, protobuf_left(&json), "its Keras metadata, ",
                                   (struct place){NULL, NULL}, &problems);
    bool good = root ? take_config(out, root)
                     : handover_fail(out, "%.300s", problems.n_errors ? problems.errors[0] : "out of memory");
    json_decref(root);
    problems_close(&problems);
    return good;
}
