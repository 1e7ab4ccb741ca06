/* Assigns the tensors of the file to layers, by name or by position. */
#include "weights.h"

#include "core/time_distributed.h"
#include "cudnn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 480 };
static const struct layer_shape no_shapes[GRAPH_MAX_INPUTS];
static const size_t max_model_bytes = (size_t)1 << 34;

/* The state while one model is built. */
struct build {
    struct keras_model *config;
    const struct tensor_set *set;
    enum tensor_naming naming;
    uint64_t seed;
    const struct vec_ops *vec;
    struct digest *digest;
    struct place place;
    struct problems *problems;
    size_t bytes;        /* of the tensors that have been read */
    size_t (*counts)[2]; /* [n_layers] tensors that are not frozen, and that are; of files with ordered tensors */
    bool failed;         /* the remaining layers are checked, but not built */
};

/* Add an error about this model's weights. */
__attribute__((format(printf, 2, 3))) static void refuse(struct build *b, const char *format, ...)
{
    char text[900];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    b->failed = true;
    problem_reason(b->problems, "its weights do not fit its configuration");
    problem_error(b->problems, b->place, "%s", text);
}

/* ---- names ---- */

enum tensor_naming tensor_naming_of(const struct tensor_set *set)
{
    const char *naming = tensor_set_text(set, "naming");
    if (naming && !strcmp(naming, "group"))
        return NAMED_BY_GROUP;
    return naming && !strcmp(naming, "position") ? NAMED_BY_POSITION : NAMED_BY_PATH;
}

/* The class for which a cell's group is named: that of the outermost wrapper around the cell. */
static void cell_group(const struct rnn_cell_spec *cell, char *out, size_t size)
{
    char class_name[96];
    snprintf(class_name, sizeof class_name, "%.*s", (int)strcspn(cell->wrappers, "/"), cell->wrappers);
    if (!cell->class && !*class_name)
        snprintf(class_name, sizeof class_name, "StackedRNNCells");
    keras_snake_case(*class_name ? class_name : cell->class->keras_name, out, size);
}

/* The path from a cell to its leaf number *leaf: "/cells/lstm_cell_1". If the cell has fewer leaves, subtracts their
   number from *leaf and returns false. */
static bool leaf_group(const struct rnn_cell_spec *cell, size_t *leaf, char *out, size_t size)
{
    for (const char *w = cell->wrappers; *w; w += strcspn(w, "/") + (w[strcspn(w, "/")] == '/')) {
        size_t n = strlen(out);
        snprintf(out + n, size - n, "/wrapped_cell");
    }
    if (cell->class)
        return (*leaf)-- == 0;
    size_t length = strlen(out);
    for (size_t i = 0; i < cell->n_cells; i++) {
        char own[64], other[64];
        size_t same = 0;
        cell_group(cell->cells[i], own, sizeof own);
        for (size_t k = 0; k < i; k++) {
            cell_group(cell->cells[k], other, sizeof other);
            same += !strcmp(own, other);
        }
        size_t n = length + (size_t)snprintf(out + length, size - length, "/cells/%s", own);
        if (same && n < size)
            snprintf(out + n, size - n, "_%zu", same);
        if (n < size && leaf_group(cell->cells[i], leaf, out, size))
            return true;
    }
    return false;
}

static void group_path(const struct layer *layer, int keras_major, const struct layer_tensor *t, size_t i, char *out,
                       size_t size);

/* The name of tensor i of a TimeDistributed layer, below the group of the inner layer. */
static void inner_path(const struct time_distributed *own, int keras_major, size_t i, char *out, size_t size)
{
    struct layer_tensor t;
    size_t layer, tensor;
    if (!time_distributed_find(own, i, &layer, &tensor))
        return;
    int n = snprintf(out, size, "%s/", own->names[layer].group);
    layer_tensor_at(&own->graph.layers[layer], no_shapes, tensor, &t);
    if (n > 0 && (size_t)n < size)
        group_path(&own->graph.layers[layer], keras_major, &t, tensor, out + n, size - (size_t)n);
}

/* The name of a tensor's variable below its layer's group: "cell/cells/lstm_cell/vars/1". */
static void group_path(const struct layer *layer, int keras_major, const struct layer_tensor *t, size_t i, char *out,
                       size_t size)
{
    if (layer->class == &layer_time_distributed) {
        inner_path(layer->own, keras_major, i, out, size);
        return;
    }
    const char *inner = strchr(t->name, '.'); /* "query_dense.kernel": a layer inside the layer */
    if (!t->cell && inner && !t->below) {
        snprintf(out, size, "%s%.*s/vars/%d", keras_major < 3 ? "_" : "", (int)(inner - t->name), t->name,
                 !strcmp(inner, ".bias"));
        return;
    }
    if (!t->cell) {
        snprintf(out, size, "%s%svars/%zu", layer->only_sequences ? "layer/" : "", t->below ? t->below : "",
                 i - t->below_first);
        return;
    }
    char way[NAME_BYTES / 2] = "";
    size_t leaf = t->leaf, slot = t->of_cell.slot;
    leaf_group(t->root, &leaf, way, sizeof way);
    char side[32] = "";
    if (*t->direction)
        snprintf(side, sizeof side, "%s_layer/", t->direction);
    const char *dot = strchr(t->of_cell.name, '.'); /* "kernel_norm.gamma": a layer inside the cell */
    if (dot)
        snprintf(out, size, "%scell%s/%.*s/vars/%d", side, way, (int)(dot - t->of_cell.name), t->of_cell.name,
                 !strcmp(dot, ".beta"));
    else
        snprintf(out, size, "%scell%s/vars/%zu", side, way, slot > CELL_BIAS && !t->cell->use_bias ? slot - 1 : slot);
}

static void full_name(const struct build *b, size_t layer, const struct layer_tensor *t, size_t i, char *out,
                      size_t size)
{
    const struct keras_place *place = &b->config->places[layer];
    if (b->naming == NAMED_BY_GROUP) {
        char below[NAME_BYTES / 2 + 16];
        group_path(&b->config->model.layers[layer], b->config->keras_major, t, i, below, sizeof below);
        snprintf(out, size, "%s/%.200s", place->group, below);
    } else {
        snprintf(out, size, "%s%s", place->tensors, t->name);
    }
}

/* Tensors of files that no layer uses for computing. */
static bool is_beside(const char *name)
{
    return strstr(name, "seed_generator/") || strstr(name, "/seed_generator_state");
}

/* ---- positions ---- */

static bool is_frozen(const struct build *b, size_t layer, const struct layer_tensor *t)
{
    return t->frozen || b->config->places[layer].frozen;
}

/* Every layer is counted once, as every tensor asks for the counts of all layers before. */
static bool open_counts(struct build *b)
{
    struct layer_tensor t;
    size_t n = b->config->model.n_layers;
    if (!b->set || b->naming != NAMED_BY_POSITION)
        return true;
    b->counts = calloc(n + 1, sizeof *b->counts);
    for (size_t layer = 0; b->counts && layer < n; layer++)
        for (size_t i = 0; layer_tensor_at(&b->config->model.layers[layer], no_shapes, i, &t); i++)
            b->counts[layer][is_frozen(b, layer, &t)]++;
    return b->counts != NULL;
}

/* The number of frozen (or not frozen) tensors of the layers first to end - 1. */
static size_t count_tensors(const struct build *b, size_t first, size_t end, bool frozen)
{
    size_t count = 0;
    for (size_t layer = first; layer < end; layer++)
        count += b->counts[layer][frozen];
    return count;
}

/* The position of tensor i of a layer in a file with ordered tensors. Layers follow each other. But a model inside the
   model first has all its trainable tensors. Source: keras/saving/legacy/hdf5_format.py, _legacy_weights. */
static size_t position_of(const struct build *b, size_t layer, size_t i)
{
    const struct keras_place *places = b->config->places;
    struct layer_tensor t;
    size_t first = layer, end = layer + 1, position = 0;
    if (!places[layer].nested)
        return count_tensors(b, 0, layer, false) + count_tensors(b, 0, layer, true) + i;
    while (first && places[first - 1].nested && places[first - 1].top == places[layer].top)
        first--;
    while (end < b->config->model.n_layers && places[end].nested && places[end].top == places[layer].top)
        end++;
    layer_tensor_at(&b->config->model.layers[layer], no_shapes, i, &t);
    bool frozen = is_frozen(b, layer, &t);
    position = count_tensors(b, 0, first, false) + count_tensors(b, 0, first, true);
    position += (frozen ? count_tensors(b, first, end, false) : 0) + count_tensors(b, first, layer, frozen);
    for (size_t k = 0; k < i; k++) {
        layer_tensor_at(&b->config->model.layers[layer], no_shapes, k, &t);
        position += is_frozen(b, layer, &t) == frozen;
    }
    return position;
}

static struct named_tensor *find_tensor(struct build *b, size_t layer, const struct layer_tensor *t, size_t i,
                                        char *name, size_t size)
{
    full_name(b, layer, t, i, name, size);
    if (!b->set || b->naming != NAMED_BY_POSITION)
        return b->set ? tensor_set_find(b->set, name) : NULL;
    size_t position = position_of(b, layer, i);
    return position < b->set->n ? &b->set->tensors[position] : NULL;
}

/* ---- tensors ---- */

static bool same_shape(const struct named_tensor *found, const struct layer_tensor *expected)
{
    if (cudnn_is_stored(expected, found))
        return true;
    bool same = found->rank == expected->rank;
    for (size_t i = 0; same && i < expected->rank; i++)
        same = found->shape[i] == expected->shape[i];
    return same;
}

/* Check a tensor, and add every problem. */
static void check_tensor(struct build *b, const struct named_tensor *found, const struct layer_tensor *t,
                         const char *name)
{
    char want[64], have[200];
    size_t elements, bytes;
    shape_text(t->shape, t->rank, want, sizeof want);
    if (!layer_tensor_elements(t, &elements) || !rnn_size_mul(elements, sizeof(float), &bytes) ||
        !rnn_size_add(b->bytes, bytes, &b->bytes) || b->bytes > max_model_bytes) {
        refuse(b, "its weights would take more than 16 GiB (tensor %s %s)", name, want);
        return;
    }
    if (b->set && !found) {
        if (!t->optional)
            refuse(b, "tensor %s is missing, expected with shape %s", name, want);
        return;
    }
    if (found && !tensor_is_float(found)) {
        refuse(b, "tensor %s has dtype %s, expected F32, F64, F16 or BF16", found->name, found->type_name);
        return;
    }
    if (found && !same_shape(found, t)) {
        shape_text(found->shape, found->rank, have, sizeof have);
        refuse(b, "tensor %.200s has shape %s, expected %s%s%s", found->name, have, want,
               b->naming == NAMED_BY_POSITION ? " of " : "", b->naming == NAMED_BY_POSITION ? name : "");
    }
}

static const float *convert_cudnn(struct build *b, const struct named_tensor *found, const struct layer_tensor *t,
                                  const char *name, float **owned)
{
    size_t elements = 0;
    layer_tensor_elements(t, &elements);
    float *from = rnn_alloc(found->elements, sizeof *from);
    *owned = rnn_alloc(elements, sizeof **owned);
    if (from && *owned) {
        tensor_to_floats(found, from);
        cudnn_convert(t, from, *owned);
    } else {
        refuse(b, "out of memory for tensor %s", name);
    }
    free(from);
    return *owned;
}

/* The numbers of a tensor as float32: in the file's memory if possible, otherwise converted into *owned. */
static const float *tensor_numbers(struct build *b, const struct named_tensor *found, const struct layer_tensor *t,
                                   const char *name, float **owned)
{
    struct rnn_error error = {{0}};
    size_t elements = 0;
    if (found && cudnn_is_stored(t, found))
        return convert_cudnn(b, found, t, name, owned);
    const float *in_place = found ? tensor_floats_in_place(found) : NULL;
    if (in_place)
        return in_place;
    layer_tensor_elements(t, &elements);
    *owned = rnn_alloc(elements, sizeof **owned);
    if (!*owned)
        refuse(b, "out of memory for tensor %s", name);
    else if (found)
        tensor_to_floats(found, *owned);
    else if (layer_tensor_initialize(t, b->seed, name, *owned, &error))
        refuse(b, "%s", error.text);
    return *owned;
}

/* A layer that no output needs is not built. Its tensors do not count as unused. */
static bool skip_layer(struct build *b, size_t index)
{
    const struct layer *layer = &b->config->model.layers[index];
    struct layer_tensor t;
    char name[NAME_BYTES];
    for (size_t i = 0; layer_tensor_at(layer, no_shapes, i, &t); i++) {
        struct named_tensor *found = find_tensor(b, index, &t, i, name, sizeof name);
        if (found)
            found->used = true;
    }
    return true;
}

/* Returns false if the layer cannot take its input. Then later layers have no shapes. */
static bool build_layer(struct build *b, size_t index)
{
    struct graph *model = &b->config->model;
    struct layer *layer = &model->layers[index];
    struct layer_shape in[GRAPH_MAX_INPUTS], out;
    struct layer_tensor t;
    struct rnn_error error = {{0}};
    size_t n = 0;
    size_t node = graph_node_of(model, index);
    if (node == model->n_nodes)
        return skip_layer(b, index);
    if (graph_node_shapes(model, node, NULL, in, &out, &error)) {
        refuse(b, "%s", error.text);
        return false;
    }
    while (layer_tensor_at(layer, in, n, &t))
        n++;
    if (n && !in->width) {
        refuse(b,
               "layer \"%s\": the number of its features depends on the number of timesteps, which is not "
               "known; give the input layer a shape with timesteps",
               layer->name);
        return true;
    }
    const float **tensors = calloc(n + 1, sizeof *tensors);
    float **owned = calloc(n + 1, sizeof *owned);
    struct named_tensor **found = calloc(n + 1, sizeof *found);
    char name[NAME_BYTES];
    if (!tensors || !owned || !found)
        refuse(b, "out of memory");
    for (size_t i = 0; found && i < n && layer_tensor_at(layer, in, i, &t); i++) {
        found[i] = find_tensor(b, index, &t, i, name, sizeof name);
        if (found[i])
            found[i]->used = true;
        check_tensor(b, found[i], &t, name);
    }
    for (size_t i = 0; i < n && !b->failed; i++) { /* all checks come before the first allocation */
        layer_tensor_at(layer, in, i, &t);
        full_name(b, index, &t, i, name, sizeof name);
        tensors[i] = tensor_numbers(b, found[i], &t, name, &owned[i]);
        size_t elements;
        if (tensors[i] && layer_tensor_elements(&t, &elements))
            digest_add(b->digest, tensors[i], elements * sizeof *tensors[i]);
    }
    enum rnn_status status = b->failed ? RNN_OK : layer_build(layer, in, tensors, b->vec, &error);
    if (status)
        refuse(b, "%s", error.text);
    for (size_t i = 0; owned && i < n; i++)
        free(owned[i]);
    free(tensors);
    free(owned);
    free(found);
    return !status;
}

/* ---- the whole ---- */

/* The number of features. The configuration, the first weights and the entry may give it, and must agree. */
static void find_input_size(struct build *b, size_t input_size)
{
    struct graph *model = &b->config->model;
    struct layer_shape *input = &model->inputs[0].shape;
    struct layer_tensor t;
    for (size_t i = 0; !input->width && b->set && i < model->n_layers; i++) {
        char name[NAME_BYTES];
        if (!layer_tensor_at(&model->layers[i], input, 0, &t))
            continue;
        const struct named_tensor *first = find_tensor(b, i, &t, 0, name, sizeof name);
        input->width = first && first->rank ? first->shape[0] : 1; /* 1: missing tensors are reported */
    }
    if (!input->width)
        input->width = input_size;
    if (!input->width)
        refuse(b, "the number of input features is not known; set \"input_size\" in the model's entry "
                  "(--input-size), or batch_input_shape in the configuration");
    else if (input_size && input->width != input_size && !input->ids)
        refuse(b, "the model has %zu input features, the entry's input_size is %zu", input->width, input_size);
}

static bool build_layers(struct build *b)
{
    bool whole = true;
    for (size_t i = 0; whole && i < b->config->model.n_layers; i++)
        whole = build_layer(b, i);
    return whole;
}

bool weights_build(struct keras_model *config, const struct tensor_set *set, enum tensor_naming naming, uint64_t seed,
                   size_t input_size, const struct vec_ops *vec, struct digest *digest, struct place place,
                   struct problems *problems)
{
    struct build b = {.config = config,
                      .set = set,
                      .naming = naming,
                      .seed = seed,
                      .vec = vec,
                      .digest = digest,
                      .place = place,
                      .problems = problems};
    struct rnn_error error = {{0}};
    if (!open_counts(&b))
        refuse(&b, "out of memory");
    else
        find_input_size(&b, input_size);
    bool whole = !b.failed && build_layers(&b);
    free(b.counts);
    if (!whole)
        return false;
    for (size_t k = 0; set && k < set->n; k++) {
        const struct named_tensor *left = &set->tensors[k];
        char have[200];
        shape_text(left->shape, left->rank, have, sizeof have);
        if (!left->used && !is_beside(left->name))
            refuse(&b, "tensor \"%.200s\" %s belongs to no layer of the configuration", left->name, have);
    }
    if (!b.failed && graph_finish(&config->model, &error))
        refuse(&b, "%s", error.text);
    return !b.failed;
}
