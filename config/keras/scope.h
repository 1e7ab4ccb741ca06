/* The state of reading a model of layers. declare.c reads the layers, wire.c converts their uses to nodes,
   tensor_value.c finds the values of tensors. */
#ifndef CONFIG_KERAS_SCOPE_H
#define CONFIG_KERAS_SCOPE_H

#include "call.h"
#include "model.h"

enum { MAX_PORTS = GRAPH_MAX_INPUTS };

/* One use of an entry. values are those of its outputs, once `done`. */
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
    size_t layer;        /* of a layer: the index in the graph */
    struct scope *model; /* of a nested model */
    struct use *uses;
    size_t n_uses;
    size_t first_use; /* the number by which the file calls uses[0] */
};

/* The state of reading one model. */
struct scope {
    struct keras_reader *reader;
    struct keras_model *out;
    const json_t *json, *layers;
    struct keras_path path; /* the JSON path of the list of layers */
    bool sequential;
    struct entry *entries;
    size_t n;
    int depth;
};

struct keras_path scope_entry_path(const struct scope *scope, const struct entry *entry);

/* Add the problem: layer "name", what, other (or NULL). Always returns false. */
bool scope_refuse(const struct scope *scope, const struct entry *entry, const char *what, const char *other);
bool scope_out_of_memory(const struct scope *scope);

/* ---- declare.c ---- */

/* Read all layers of scope->json, so that all problems are reported. Returns false with problems added. */
bool scope_declare(struct scope *scope, const struct keras_place *above);
void scope_close(struct scope *scope);

/* ---- tensor_value.c ---- */

struct entry *scope_entry(const struct scope *scope, const char *name);
struct use *scope_use(const struct scope *scope, const struct keras_tensor *tensor);

/* Set the values of a use, which is then done. */
bool scope_give(const struct scope *scope, struct use *use, const size_t *values, size_t n);

/* Add a layer that the file does not have, with a node: for a part of an output, for a mask, or to join states. Returns
   the value of its node. */
size_t scope_add(const struct scope *scope, const struct layer_class *class, const char *class_name,
                 const size_t *inputs, size_t n);

/* The position of state s among the states of a recurrent layer: the index of its first number, and the number of its
   numbers. s counts in Keras's order. Returns false if there are fewer states. */
bool scope_state(const struct layer *layer, size_t s, size_t *first, size_t *n);

/* The value of a tensor whose use is done. Returns GRAPH_NONE with a problem added. */
size_t scope_value(const struct scope *scope, const struct keras_tensor *tensor);

/* Whether a mask was made by a Masking or an Embedding, and this input has it anyway. */
bool scope_mask_comes_with(const struct scope *scope, const struct keras_tensor *mask,
                           const struct keras_tensor *input);

/* scope_add_mask: the value, with a mask from another tensor. scope_without_mask: the value without its mask. */
size_t scope_add_mask(const struct scope *scope, size_t value, const struct keras_tensor *mask);
size_t scope_without_mask(const struct scope *scope, size_t value);

/* ---- wire.c ---- */

/* The i-th tensor of input_layers or output_layers. Returns false past the last. */
bool scope_port(const struct scope *scope, const char *key, size_t i, struct keras_tensor *out);

/* The i-th input. If a file has no input_layers, all InputLayers are inputs. */
bool scope_input_port(const struct scope *scope, size_t i, struct keras_tensor *out);

/* Add nodes for all uses that the outputs need; outputs [MAX_PORTS]. Returns false with a problem added. */
bool scope_wire(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs, size_t *n_outputs);

#endif
