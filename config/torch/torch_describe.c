/* From names and shapes, or from a tree of modules, to a list of modules and joints. */
#include "torch_describe.h"

#include "config/json_memory.h"
#include "torch_kinds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 200, MAX_DEPTH = 64 };

/* The draft so far. */
struct draft {
    const struct tensor_set *set;
    json_t *modules, *unchecked;
    const struct torch_kind *last; /* with weights; NULL at the beginning */
    char last_name[NAME_BYTES];
    bool channels_first; /* [B, C, T] */
    bool steps;          /* the tensor still has timesteps */
    bool activation;     /* an activation was added after the last module with weights */
};

__attribute__((format(printf, 2, 3))) static void guess(struct draft *d, const char *format, ...)
{
    char text[700];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(d->unchecked, json_string(text));
}

static void add_joint(struct draft *d, const char *joint)
{
    json_array_append_new(d->modules, json_string(joint));
}

/* ---- tensors of a module ---- */

/* The tensor PREFIX.SUFFIX, or NULL. */
static const struct named_tensor *find(const struct draft *d, const char *prefix, const char *suffix)
{
    char name[NAME_BYTES + 40];
    snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", suffix);
    return tensor_set_find(d->set, name);
}

/* The kind of the module whose tensors have this prefix, from their names and shapes. NULL: unknown. */
static const struct torch_kind *kind_of_tensors(struct draft *d, const char *prefix)
{
    static const char *const layers[] = {"", "RNN", "", "GRU", "LSTM"}, *const cells[] = {"", "RNNCell", "", "GRUCell",
                                                                                          "LSTMCell"};
    const struct named_tensor *ih = find(d, prefix, "weight_ih_l0"), *hh = find(d, prefix, "weight_hh_l0");
    const struct named_tensor *weight = find(d, prefix, "weight"), *bias = find(d, prefix, "bias");
    bool cell = !ih && find(d, prefix, "weight_ih");
    if (cell) {
        ih = find(d, prefix, "weight_ih");
        hh = find(d, prefix, "weight_hh");
    }
    if (ih && hh && ih->rank == 2 && hh->rank == 2 && hh->shape[1]) {
        size_t gates = hh->shape[0] / hh->shape[1];
        bool projected = find(d, prefix, "weight_hr_l0") != NULL;
        return projected    ? torch_kind_find("LSTM")
               : gates <= 4 ? torch_kind_find((cell ? cells : layers)[gates])
                            : NULL;
    }
    if (find(d, prefix, "running_mean"))
        return torch_kind_find("BatchNorm1d");
    if (!weight)
        return NULL;
    if (weight->rank == 1 && bias)
        return torch_kind_find("LayerNorm");
    if (weight->rank == 3)
        return torch_kind_find("Conv1d");
    if (weight->rank != 2)
        return NULL;
    return torch_kind_find(!bias && (!d->last || strstr(prefix, "emb")) ? "Embedding" : "Linear");
}

/* ---- joints ---- */

/* Add the joint between the previous module and a module of this kind. */
static void join(struct draft *d, const struct torch_kind *kind, const char *name)
{
    bool recurrent = kind->role == TORCH_RECURRENT || kind->role == TORCH_CELL;
    bool channels = kind->role == TORCH_CONV || (kind->role == TORCH_BATCH_NORM && d->channels_first);
    if (kind->role == TORCH_CONV && !d->channels_first) {
        add_joint(d, "permute");
        d->channels_first = true;
        guess(d,
              "the \"permute\" before \"%s\": Conv1d takes [batch, channels, timesteps], requests have [batch, "
              "timesteps, channels]",
              name);
    } else if (d->channels_first && !channels && (recurrent || kind->role == TORCH_LINEAR)) {
        add_joint(d, "permute");
        d->channels_first = false;
        guess(d, "the \"permute\" before \"%s\": it turns [batch, channels, timesteps] back", name);
    }
    if (d->steps && (kind->role == TORCH_LINEAR || (kind->role == TORCH_BATCH_NORM && !d->channels_first))) {
        add_joint(d, "last_timestep");
        d->steps = false;
        guess(d,
              "\"last_timestep\" after \"%s\": or last_hidden, mean_timesteps, max_timesteps, {\"class_name\": "
              "\"torch.nn.Flatten\"}, or none of them, as forward() has it",
              d->last_name);
    }
    if (d->last && d->last->role == TORCH_LINEAR && kind->role == TORCH_LINEAR && !d->activation)
        guess(d,
              "between \"%s\" and \"%s\": an activation such as {\"class_name\": \"torch.nn.ReLU\"}, if forward() has "
              "one there",
              d->last_name, name);
}

/* Note a module that has been added. */
static void passed(struct draft *d, const struct torch_kind *kind, const char *name)
{
    if (kind->role == TORCH_RECURRENT || kind->role == TORCH_CELL || kind->role == TORCH_CONV)
        d->steps = true;
    if (kind->role == TORCH_FLATTEN) {
        d->steps = false;
        d->channels_first = false;
    }
    if (kind->role == TORCH_ACTIVATION || kind->role == TORCH_SOFTMAX) {
        d->activation = true;
    } else if (kind->role != TORCH_NOTHING) {
        d->activation = false;
        d->last = kind;
        snprintf(d->last_name, sizeof d->last_name, "%s", name);
    }
}

/* ---- modules ---- */

/* Arguments of a recurrent module that follow from its tensors. */
static void add_shape_arguments(struct draft *d, const char *name, const struct torch_kind *kind, json_t *module)
{
    char tensor[32];
    size_t layers = 0;
    if (kind->role != TORCH_RECURRENT)
        return;
    do
        snprintf(tensor, sizeof tensor, "weight_ih_l%zu", ++layers);
    while (find(d, name, tensor));
    if (layers > 1)
        json_object_set_new(module, "num_layers", json_integer((json_int_t)layers));
    if (find(d, name, "weight_ih_l0_reverse"))
        json_object_set_new(module, "bidirectional", json_true());
    const struct named_tensor *projection = find(d, name, "weight_hr_l0");
    if (projection)
        json_object_set_new(module, "proj_size", json_integer((json_int_t)projection->shape[0]));
}

/* Arguments that do not follow from the tensors: those of the tree, if they are not the defaults. */
static void add_arguments(const struct torch_kind *kind, const json_t *attributes, json_t *module)
{
    for (const struct torch_argument *a = kind->arguments; a < kind->arguments + TORCH_MAX_ARGUMENTS && a->name; a++) {
        json_t *own = a->value ? torch_argument_value(kind, attributes, a->name) : NULL;
        json_t *normal = own ? torch_argument_value(kind, NULL, a->name) : NULL;
        bool same = json_equal(own, normal) || (json_is_number(own) && json_is_number(normal) &&
                                                json_number_value(own) == json_number_value(normal));
        if (own && !same)
            json_object_set(module, a->name, own);
        json_decref(own);
        json_decref(normal);
    }
}

static void add_module(struct draft *d, const struct torch_kind *kind, const char *name, const json_t *attributes)
{
    char class_name[64];
    json_t *module = json_object();
    join(d, kind, name);
    snprintf(class_name, sizeof class_name, "torch.nn.%s", kind->name);
    if (kind->role != TORCH_ACTIVATION && kind->role != TORCH_SOFTMAX && kind->role != TORCH_NOTHING &&
        kind->role != TORCH_POOL && kind->role != TORCH_FLATTEN)
        json_object_set_new(module, "name", json_string(name));
    json_object_set_new(module, "class_name", json_string(class_name));
    add_shape_arguments(d, name, kind, module);
    add_arguments(kind, attributes, module);
    json_array_append_new(d->modules, module);
    passed(d, kind, name);
}

/* ---- of a state dict ---- */

/* List the arguments of a module that a state dict does not contain. */
static void guess_arguments(struct draft *d, const struct torch_kind *kind, const char *name)
{
    char text[200] = "";
    for (const struct torch_argument *a = kind->arguments; a < kind->arguments + TORCH_MAX_ARGUMENTS && a->name; a++)
        if (a->value && strcmp(a->value, "null") != 0) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "%s%s %s", n ? ", " : "", a->name, a->value);
        }
    if (*text)
        guess(d, "arguments of \"%s\" that a state dict does not say: %s", name, text);
}

/* The modules in the order of the file, which is the order of the constructor. */
static void read_names(struct draft *d)
{
    char before[NAME_BYTES] = "\n";
    guess(d, "activations, dropout and joints cannot be seen in a state dict, and forward() may call the modules in "
             "another order");
    for (size_t i = 0; i < d->set->n; i++) {
        const char *name = d->set->tensors[i].name, *dot = strrchr(name, '.');
        char prefix[NAME_BYTES];
        if (strlen(name) >= sizeof prefix)
            continue;
        snprintf(prefix, sizeof prefix, "%.*s", dot ? (int)(dot - name) : 0, name);
        if (!strcmp(prefix, before))
            continue;
        snprintf(before, sizeof before, "%s", prefix);
        const struct torch_kind *kind = kind_of_tensors(d, prefix);
        if (!kind) {
            guess(d, "tensor \"%.150s\" and others of its module belong to no module that is served", name);
            continue;
        }
        add_module(d, kind, prefix, NULL);
        if (kind->role == TORCH_EMBEDDING)
            guess(d, "\"%s\" has a weight and no bias: an Embedding, or a Linear with \"bias\": false", prefix);
        guess_arguments(d, kind, prefix);
    }
}

/* ---- of a tree ---- */

static bool is_class(const json_t *tree, const char *class_name)
{
    const char *own = json_string_value(json_object_get(tree, "class"));
    return own && !strcmp(own, class_name);
}

/* Add the modules in the order of the constructor. Returns false if forward() may use another order or do more. */
static bool read_tree(struct draft *d, const json_t *tree, const char *name, unsigned depth)
{
    const char *class_name = json_string_value(json_object_get(tree, "class")), *key;
    json_t *children = json_object_get(tree, "modules"), *child;
    const struct torch_kind *kind = torch_kind_of_class(class_name ? class_name : "");
    if (depth > MAX_DEPTH)
        return false;
    if (kind) {
        add_module(d, kind, name, json_object_get(tree, "attributes"));
        return true;
    }
    bool exact = is_class(tree, "torch.nn.modules.container.Sequential");
    if (!exact && !json_object_size(children))
        guess(d, "\"%s\" is a %.100s, which is not served", name, class_name ? class_name : "module without a class");
    json_object_foreach(children, key, child) {
        char inner[NAME_BYTES];
        if ((size_t)snprintf(inner, sizeof inner, "%s%s%s", name, *name ? "." : "", key) < sizeof inner)
            exact = read_tree(d, child, inner, depth + 1) && exact;
    }
    return exact;
}

json_t *torch_describe(const struct tensor_set *set)
{
    const char *text = tensor_set_text(set, "torch");
    json_t *about = text ? json_memory_load(text, strlen(text), 0, NULL) : NULL;
    const json_t *tree = json_object_get(about, "module");
    struct draft d = {.set = set, .modules = json_array(), .unchecked = json_array()};
    if (!tree)
        read_names(&d);
    else if (!read_tree(&d, tree, "", 0))
        guess(&d, "the modules stand in the order of the constructor; forward() may call them in another order, and "
                  "compute between them");
    if (d.channels_first) {
        add_joint(&d, "permute");
        guess(&d, "the last \"permute\": or a joint that takes the timesteps together, or Flatten");
    }
    json_decref(about);
    json_t *draft = json_pack("{s:s, s:o, s:o}", "class_name", "torch.nn.Sequential", "modules", d.modules, "unchecked",
                              d.unchecked);
    if (draft && !json_array_size(d.unchecked))
        json_object_del(draft, "unchecked");
    return draft;
}
