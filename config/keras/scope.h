/* A model of layers while it is read: declare.c reads its layers, wire.c makes nodes of their uses, tensor_value.c finds
   the values of tensors. */
#ifndef CONFIG_KERAS_SCOPE_H
#define CONFIG_KERAS_SCOPE_H

#include "call.h"
#include "model.h"

enum { MAX_PORTS = GRAPH_MAX_INPUTS };

/* One use of an entry: the value of its output, or of a model's outputs. */
struct use {
    const json_t *json;
    size_t *values, n_values;
    bool needed, done;
};

enum entry_kind { ENTRY_INPUT, ENTRY_LAYER, ENTRY_MODEL, ENTRY_OPERATION };

struct scope;

/* An element of a model's list of layers. */
struct entry {
    const json_t *json;
    const char *name, *class_name;
    enum entry_kind kind;
    size_t layer;        /* of a layer: its index in the graph */
    struct scope *model; /* of a model within this one */
    struct use *uses;
    size_t n_uses;
    size_t first_use; /* the number of uses[0] */
};

/* A model while it is read. */
struct scope {
    struct keras_reader *reader;
    struct keras_model *out;
    const json_t *json, *layers;
    struct keras_path path; /* of the list of layers */
    bool sequential;
    struct entry *entries;
    size_t n;
    int depth;
};

struct keras_path scope_entry_path(const struct scope *scope, const struct entry *entry);

/* Add a problem: layer "name", what, other (or NULL). False. */
bool scope_refuse(const struct scope *scope, const struct entry *entry, const char *what, const char *other);
bool scope_out_of_memory(const struct scope *scope);

/* ---- declare.c ---- */

/* Read all layers of scope->json, so that all problems are told. False with problems. */
bool scope_declare(struct scope *scope, const struct keras_place *above);
void scope_close(struct scope *scope);

/* ---- tensor_value.c ---- */

struct entry *scope_entry(const struct scope *scope, const char *name);
struct use *scope_use(const struct scope *scope, const struct keras_tensor *tensor);

/* A use gives these values. */
bool scope_give(const struct scope *scope, struct use *use, const size_t *values, size_t n);

/* A layer that the file does not have, for what a tensor says beside its layer; the value of its node. */
size_t scope_add(const struct scope *scope, const struct layer_class *class, const char *class_name,
                 const size_t *inputs, size_t n);

/* State s of a recurrent layer, counted as Keras gives them; its place among the states of the layer. False when there
   are fewer. */
bool scope_state(const struct layer *layer, size_t s, size_t *first, size_t *n);

/* The value of a tensor, whose use is done; GRAPH_NONE with a problem. */
size_t scope_value(const struct scope *scope, const struct keras_tensor *tensor);

/* Whether a mask is that of a Masking or an Embedding, and comes with this input by itself. */
bool scope_mask_comes_with(const struct scope *scope, const struct keras_tensor *mask,
                           const struct keras_tensor *input);

/* A value with a mask that comes from another; and a value without its mask. */
size_t scope_add_mask(const struct scope *scope, size_t value, const struct keras_tensor *mask);
size_t scope_without_mask(const struct scope *scope, size_t value);

/* ---- wire.c ---- */

/* The i-th tensor of input_layers or output_layers; false past the last. */
bool scope_port(const struct scope *scope, const char *key, size_t i, struct keras_tensor *out);

/* The i-th input; files without input_layers mean all InputLayers. */
bool scope_input_port(const struct scope *scope, size_t i, struct keras_tensor *out);

/* Nodes for all uses that the outputs need; outputs [MAX_PORTS]. False with a problem. */
bool scope_wire(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs, size_t *n_outputs);

#endif
