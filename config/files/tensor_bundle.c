/* The index lists tensors by checkpoint keys; one of them is the graph of the model's objects, which leads from the model
   to its variables. Sources: tensorflow/core/protobuf's tensor_bundle.proto and trackable_object_graph.proto. */
#include "tensor_bundle.h"

#include "crc32c.h"
#include "keras_metadata.h"
#include "protobuf.h"
#include "sorted_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 1 << 20, MAX_DEPTH = 24, PATH_BYTES = 1000, MAX_LAYERS = 65536 };

enum { DT_STRING = 7 };
static const char graph_key[] = "_CHECKPOINTABLE_OBJECT_GRAPH";

/* BundleEntryProto. */
struct bundle_entry {
    char *key;
    uint64_t type, shard, offset, size, crc;
    size_t rank, shape[TENSOR_MAX_RANK];
    bool sliced, too_deep;
};

struct bundle {
    struct handover *out;
    struct bundle_entry *entries; /* sorted by key, as in the table */
    size_t n, room;
    const struct file_bytes *shards;
    size_t n_shards;
    uint64_t declared_shards;
    bool big_endian;
};

/* ---- the index ---- */

/* TensorShapeProto: dim = 2 { size = 1 }. */
static void read_shape(struct protobuf message, struct bundle_entry *entry)
{
    struct protobuf_field dim, field;
    while (protobuf_next(&message, &dim)) {
        uint64_t size = 0;
        if (!protobuf_is(&dim, 2, PROTOBUF_BYTES))
            continue;
        while (protobuf_next(&dim.bytes, &field))
            if (protobuf_is(&field, 1, PROTOBUF_VARINT))
                size = field.value;
        if (entry->rank < TENSOR_MAX_RANK)
            entry->shape[entry->rank++] = (size_t)size;
        else
            entry->too_deep = true;
    }
}

/* BundleEntryProto: dtype = 1, shape = 2, shard_id = 3, offset = 4, size = 5, crc32c = 6, slices = 7. */
static bool read_entry(struct protobuf value, struct bundle_entry *entry)
{
    struct protobuf_field field;
    while (protobuf_next(&value, &field)) {
        uint64_t *const numbers[] = {NULL, &entry->type, NULL, &entry->shard, &entry->offset, &entry->size};
        if (field.number < 6 && field.wire == PROTOBUF_VARINT && numbers[field.number])
            *numbers[field.number] = field.value;
        else if (protobuf_is(&field, 2, PROTOBUF_BYTES))
            read_shape(field.bytes, entry);
        else if (protobuf_is(&field, 6, PROTOBUF_FIXED32))
            entry->crc = field.value;
        else if (field.number == 7)
            entry->sliced = true;
    }
    return !value.damaged;
}

/* BundleHeaderProto: num_shards = 1, endianness = 2 (1 is big). Its key is empty. */
static bool read_header(struct bundle *bundle, struct protobuf value)
{
    struct protobuf_field field;
    while (protobuf_next(&value, &field))
        if (protobuf_is(&field, 1, PROTOBUF_VARINT))
            bundle->declared_shards = field.value;
        else if (protobuf_is(&field, 2, PROTOBUF_VARINT))
            bundle->big_endian = field.value == 1;
    return !value.damaged;
}

static const char *take_entry(void *context, const char *key, size_t key_bytes, struct protobuf value)
{
    struct bundle *bundle = context;
    struct bundle_entry entry = {.key = NULL};
    if (!key_bytes)
        return read_header(bundle, value) ? NULL : "its header is damaged";
    if (strlen(key) != key_bytes || !read_entry(value, &entry))
        return "the entry of a tensor is damaged";
    if (bundle->n && strcmp(bundle->entries[bundle->n - 1].key, key) >= 0)
        return "its keys are not in order";
    if (bundle->n == bundle->room) {
        size_t room = bundle->room ? 2 * bundle->room : 64;
        if (room > MAX_ENTRIES)
            return "it has too many tensors";
        struct bundle_entry *grown = realloc(bundle->entries, room * sizeof *bundle->entries);
        if (!grown)
            return "out of memory";
        bundle->entries = grown;
        bundle->room = room;
    }
    if (!(entry.key = strdup(key)))
        return "out of memory";
    bundle->entries[bundle->n++] = entry;
    return NULL;
}

static int by_key(const void *key, const void *entry)
{
    return strcmp(key, ((const struct bundle_entry *)entry)->key);
}

static const struct bundle_entry *find_entry(const struct bundle *bundle, const char *key)
{
    return bundle->n ? bsearch(key, bundle->entries, bundle->n, sizeof *bundle->entries, by_key) : NULL;
}

/* ---- the shards ---- */

/* The bytes of an entry. Returns NULL with the error set. */
static const unsigned char *entry_bytes(const struct bundle *bundle, const struct bundle_entry *entry)
{
    if (entry->shard >= bundle->n_shards) {
        handover_fail(bundle->out, "tensor %.200s lies in shard %llu, and there are %zu data files", entry->key,
                      (unsigned long long)entry->shard, bundle->n_shards);
        return NULL;
    }
    const struct file_bytes *shard = &bundle->shards[entry->shard];
    if (entry->offset > shard->n || entry->size > shard->n - entry->offset) {
        handover_fail(
            bundle->out,
            "tensor %.200s lies beyond the end of data file %llu, which is cut short or of another checkpoint",
            entry->key, (unsigned long long)entry->shard);
        return NULL;
    }
    return entry->size ? shard->bytes + entry->offset : shard->bytes;
}

/* Whether the checksum of the numbers is right. */
static bool check_sum(const struct bundle *bundle, const struct bundle_entry *entry, const unsigned char *data)
{
    return crc32c_masked(data, (size_t)entry->size) == entry->crc ||
           handover_fail(bundle->out,
                         "the checksum of tensor %.200s is wrong: a data file is damaged or of another checkpoint",
                         entry->key);
}

static bool read_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return true;
}

/* The name of TensorFlow's DataType. NULL: not a floating-point type. */
static const char *float_type(uint64_t type, size_t *width)
{
    static const struct {
        uint64_t type;
        const char *name;
        size_t width;
    } types[] = {{1, "F32", 4}, {2, "F64", 8}, {14, "BF16", 2}, {19, "F16", 2}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].type == type) {
            *width = types[i].width;
            return types[i].name;
        }
    return NULL;
}

/* Add a variable under its path. Counters and similar variables are not weights. */
static bool add_tensor(const struct bundle *bundle, const char *key, const char *path)
{
    const struct bundle_entry *entry = find_entry(bundle, key);
    size_t width = 0;
    const char *type = entry ? float_type(entry->type, &width) : NULL;
    if (!entry)
        return handover_fail(bundle->out, "variable %.200s is not in the index", path);
    if (!type)
        return true;
    if (entry->sliced || entry->too_deep)
        return handover_fail(bundle->out,
                             "variable %.200s is partitioned, or has more than %d dimensions; save the "
                             "model without a partitioner",
                             path, TENSOR_MAX_RANK);
    const unsigned char *data = entry_bytes(bundle, entry);
    struct handover_tensor *tensor =
        data ? handover_add(bundle->out, path, type, width, entry->rank, entry->shape) : NULL;
    if (!tensor)
        return false;
    if (tensor->bytes != entry->size)
        return handover_fail(bundle->out, "variable %.200s has %llu bytes, and its shape takes %zu", path,
                             (unsigned long long)entry->size, tensor->bytes);
    tensor->data = data;
    return check_sum(bundle, entry, data);
}

/* ---- the graph of objects ---- */

/* TrackableObjectGraph: nodes = 1 { children = 1 { node_id = 1, local_name = 2 }, attributes = 2 { name = 1,
   checkpoint_key = 3 } }. */
struct objects {
    const struct bundle *bundle;
    struct protobuf *nodes;
    bool *visited; /* a variable belongs to the first object that has it */
    size_t n;
};

struct child {
    struct protobuf name;
    uint64_t node;
};

/* The next child of an object. */
static bool next_child(struct protobuf *node, struct child *child)
{
    struct protobuf_field field, part;
    while (protobuf_next(node, &field)) {
        if (!protobuf_is(&field, 1, PROTOBUF_BYTES))
            continue;
        *child = (struct child){.name = protobuf_open(NULL, 0)};
        while (protobuf_next(&field.bytes, &part))
            if (protobuf_is(&part, 1, PROTOBUF_VARINT))
                child->node = part.value;
            else if (protobuf_is(&part, 2, PROTOBUF_BYTES))
                child->name = part.bytes;
        return true;
    }
    return false;
}

/* The child with this name. Returns false if there is none. */
static bool find_child(const struct objects *objects, uint64_t node, const char *name, uint64_t *found)
{
    struct protobuf rest = objects->nodes[node];
    struct child child;
    while (next_child(&rest, &child))
        if (protobuf_equals(&child.name, name) && child.node < objects->n) {
            *found = child.node;
            return true;
        }
    return false;
}

/* The key of a variable's value. Returns false if the object is not a variable. */
static bool variable_key(struct protobuf node, char *key, size_t size)
{
    struct protobuf_field field, part;
    while (protobuf_next(&node, &field)) {
        struct protobuf name = protobuf_open(NULL, 0), text = name;
        if (!protobuf_is(&field, 2, PROTOBUF_BYTES))
            continue;
        while (protobuf_next(&field.bytes, &part))
            if (protobuf_is(&part, 1, PROTOBUF_BYTES))
                name = part.bytes;
            else if (protobuf_is(&part, 3, PROTOBUF_BYTES))
                text = part.bytes;
        if (protobuf_equals(&name, "VARIABLE_VALUE") && protobuf_left(&text) < size) {
            snprintf(key, size, "%.*s", (int)protobuf_left(&text), (const char *)text.at);
            return true;
        }
    }
    return false;
}

/* Children to skip: they lead to variables a second time, or to values that are not weights (states, seeds, losses,
   functions). */
static bool is_beside(const struct protobuf *name)
{
    static const char *const names[] = {
        "variables",    "trainable_variables",   "non_trainable_variables", "keras_api",     "state_spec", "states",
        "signatures",   "_random_generator",     "regularization_losses",   "layer_metrics", "metrics",    "layers",
        "cell_wrapper", "_self_setattr_tracking"};
    static const char twice[] = "layer_with_weights-"; /* a layer that is also "layer-N" */
    bool beside = protobuf_left(name) >= sizeof twice - 1 && !memcmp(name->at, twice, sizeof twice - 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        beside |= protobuf_equals(name, names[i]);
    return beside;
}

/* Add the variables below an object with the given path. */
static bool add_variables(struct objects *objects, uint64_t node, const char *path, int depth)
{
    char key[PATH_BYTES], inner[PATH_BYTES];
    struct protobuf rest = objects->nodes[node];
    struct child child;
    if (objects->visited[node])
        return true;
    objects->visited[node] = true;
    if (variable_key(rest, key, sizeof key))
        return add_tensor(objects->bundle, key, path);
    while (next_child(&rest, &child)) {
        if (is_beside(&child.name))
            continue;
        int n = snprintf(inner, sizeof inner, "%s/%.*s", path, (int)protobuf_left(&child.name),
                         (const char *)child.name.at);
        if (child.node >= objects->n || n >= (int)sizeof inner || depth == MAX_DEPTH)
            return handover_fail(objects->bundle->out, "its graph of objects is damaged, or too deep, at %.100s", path);
        if (!add_variables(objects, child.node, inner, depth + 1))
            return false;
    }
    return true;
}

/* Layers are children "layer-0", "layer-1", … of the model, which is the root, or below "model" in tf.train.Checkpoint. */
static bool add_layers(struct objects *objects)
{
    static const char *const roots[] = {"model", "net", "root"};
    char name[32];
    uint64_t model = 0, layer;
    for (size_t i = 0; i < 3 && !find_child(objects, model, "layer-0", &layer); i++)
        if (!find_child(objects, 0, roots[i], &model))
            model = 0;
    for (size_t i = 0; i < MAX_LAYERS; i++) {
        snprintf(name, sizeof name, "layer-%zu", i);
        if (!find_child(objects, model, name, &layer))
            return i || handover_fail(objects->bundle->out,
                                      "its objects are no layers of a Sequential or Functional model; a model class "
                                      "of one's own is saved with model.save(\"m.keras\") once it is built from "
                                      "Keras's layers");
        if (!add_variables(objects, layer, name, 0))
            return false;
    }
    return handover_fail(objects->bundle->out, "it has more than %d layers", MAX_LAYERS);
}

/* A tensor of one string: its length as a varint, the checksum of the length, its bytes. */
static bool open_graph(const struct bundle *bundle, struct protobuf *graph)
{
    const struct bundle_entry *entry = find_entry(bundle, graph_key);
    const unsigned char *data = entry && entry->type == DT_STRING ? entry_bytes(bundle, entry) : NULL;
    uint64_t length;
    if (!data)
        return handover_fail(bundle->out,
                             "it has no graph of objects (%s): a checkpoint of TensorFlow 1, whose names "
                             "do not lead to layers; load it in Keras 2, then save it: "
                             "model.save(\"m.keras\")",
                             graph_key);
    *graph = protobuf_open(data, (size_t)entry->size);
    if (!protobuf_varint(graph, &length) || protobuf_left(graph) < 4 || length != protobuf_left(graph) - 4)
        return handover_fail(bundle->out, "its graph of objects is damaged");
    graph->at += 4;
    return true;
}

static bool read_objects(const struct bundle *bundle)
{
    struct protobuf graph, rest;
    struct protobuf_field field;
    struct objects objects = {.bundle = bundle};
    if (!open_graph(bundle, &graph))
        return false;
    for (rest = graph; protobuf_next(&rest, &field);)
        objects.n += protobuf_is(&field, 1, PROTOBUF_BYTES);
    if (rest.damaged || !objects.n)
        return handover_fail(bundle->out, "its graph of objects is damaged");
    objects.nodes = calloc(objects.n, sizeof *objects.nodes);
    objects.visited = calloc(objects.n, sizeof *objects.visited);
    bool good = objects.nodes && objects.visited;
    objects.n = 0;
    for (rest = graph; good && protobuf_next(&rest, &field);)
        if (protobuf_is(&field, 1, PROTOBUF_BYTES))
            objects.nodes[objects.n++] = field.bytes;
    good = good ? add_layers(&objects) : handover_fail(bundle->out, "out of memory");
    free(objects.nodes);
    free(objects.visited);
    return good;
}

/* ---- the whole ---- */

bool tensor_bundle_read(struct handover *out, struct file_bytes index, enum bundle_metadata kind,
                        struct file_bytes metadata, const struct file_bytes *shards, size_t n_shards)
{
    struct bundle bundle = {.out = out, .shards = shards, .n_shards = n_shards};
    out->read = read_data;
    if (kind != BUNDLE_CHECKPOINT && !keras_metadata_read(out, kind, metadata))
        return false;
    const char *wrong = sorted_table_read(index.bytes, index.n, take_entry, &bundle);
    bool good = false;
    if (wrong)
        handover_fail(out, "its index: %s", wrong);
    else if (bundle.big_endian)
        handover_fail(out, "its numbers are big-endian; save it on a little-endian machine");
    else if (bundle.declared_shards != n_shards)
        handover_fail(out, "its index names %llu data files, and there are %zu",
                      (unsigned long long)bundle.declared_shards, n_shards);
    else
        good = read_objects(&bundle) && handover_text(out, "naming", "object", 6);
    for (size_t i = 0; i < bundle.n; i++)
        free(bundle.entries[i].key);
    free(bundle.entries);
    return good;
}
