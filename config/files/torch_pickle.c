/* Finds tensors and modules in inert values. Source: torch/_utils.py (_rebuild_tensor_v2), torch/serialization.py,
   torch/nn/modules/module.py (__setstate__). */
#include "torch_pickle.h"

#include "config/json_memory.h"
#include "core/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_MODULES = 4096, MAX_ATTRIBUTES = 64, NAME_BYTES = 1024, MAX_TEXT_BYTES = 256 };

struct taking {
    struct handover *out;
    const struct torch_storages *storages;
    size_t modules;
    char name[NAME_BYTES]; /* the full name of the tensor or module that is being read */
};

/* ---- tensors ---- */

size_t torch_storage_width(const struct pickle_value *class, const char **type)
{
    static const struct {
        const char *class, *dtype, *type;
        size_t width;
    } types[] = {
        {"torch.FloatStorage", "torch.float32", "F32", 4},
        {"torch.DoubleStorage", "torch.float64", "F64", 8},
        {"torch.HalfStorage", "torch.float16", "F16", 2},
        {"torch.BFloat16Storage", "torch.bfloat16", "BF16", 2},
        {"torch.LongStorage", "torch.int64", "I64", 8},
        {"torch.IntStorage", "torch.int32", "I32", 4},
        {"torch.ShortStorage", "torch.int16", "I16", 2},
        {"torch.CharStorage", "torch.int8", "I8", 1},
        {"torch.ByteStorage", "torch.uint8", "U8", 1},
        {"torch.BoolStorage", "torch.bool", "BOOL", 1},
        {"torch.storage.UntypedStorage", "torch.uint8", "U8", 1},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (pickle_is(class, types[i].class) || pickle_is(class, types[i].dtype)) {
            *type = types[i].type;
            return types[i].width;
        }
    return 0;
}

/* The call that rebuilds a tensor, and its arguments. Parameters and tensors of subclasses are unwrapped. */
static bool unwrap(const struct pickle_value *value, const struct pickle_value **rebuild,
                   const struct pickle_value **args)
{
    if (!value || value->kind != PICKLE_OBJECT)
        return false;
    *rebuild = value->class;
    *args = value->args;
    for (int i = 0; i < 4; i++)
        if (pickle_is(*rebuild, "torch._tensor._rebuild_from_type_v2")) {
            *rebuild = pickle_at(*args, 0);
            *args = pickle_at(*args, 2);
        } else if (pickle_is(*rebuild, "torch._utils._rebuild_parameter") ||
                   pickle_is(*rebuild, "torch._utils._rebuild_parameter_with_state")) {
            value = pickle_at(*args, 0);
            if (!value || value->kind != PICKLE_OBJECT)
                return false;
            *rebuild = value->class;
            *args = value->args;
        }
    return *rebuild && (*rebuild)->kind == PICKLE_NAME && *args &&
           !strncmp((*rebuild)->text, "torch._utils._rebuild_", sizeof "torch._utils._rebuild_" - 1);
}

static bool is_tensor(const struct pickle_value *value)
{
    const struct pickle_value *rebuild, *args;
    return unwrap(value, &rebuild, &args);
}

/* Sizes and strides, in elements. */
static bool read_layout(const struct pickle_value *sizes, const struct pickle_value *strides, size_t *rank,
                        size_t *shape, size_t *stride)
{
    if (pickle_is_object(sizes, "torch.Size"))
        sizes = pickle_at(sizes->args, 0);
    for (*rank = 0; pickle_at(sizes, *rank); ++*rank)
        if (*rank == TENSOR_MAX_RANK || !pickle_size(pickle_at(sizes, *rank), &shape[*rank]) ||
            !pickle_size(pickle_at(strides, *rank), &stride[*rank]))
            return false;
    return sizes && strides && !pickle_at(strides, *rank);
}

/* The number of elements of the storage that a view reaches, from its offset on. Returns false if this number is too
   large for any storage. */
static bool reach(size_t rank, const size_t *shape, const size_t *stride, size_t *out)
{
    size_t step;
    *out = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!shape[i]) {
            *out = 0;
            return true;
        }
        if (!rnn_size_mul(shape[i] - 1, stride[i], &step) || __builtin_add_overflow(*out, step, out))
            return false;
    }
    return true;
}

static bool is_row_major(size_t rank, const size_t *shape, const size_t *stride)
{
    size_t step = 1;
    for (size_t i = rank; i-- > 0; step *= shape[i])
        if (shape[i] > 1 && stride[i] != step)
            return false;
    return true;
}

/* Copy the elements of a view into contiguous memory, in row-major order. */
static unsigned char *gather(const struct handover_tensor *tensor, const unsigned char *from, size_t width,
                             const size_t *stride)
{
    size_t index[TENSOR_MAX_RANK] = {0}, at = 0, n = tensor->bytes / width;
    unsigned char *out = malloc(tensor->bytes + 1);
    for (size_t i = 0; out && i < n; i++) {
        memcpy(out + i * width, from + at * width, width);
        for (size_t d = tensor->rank; d-- > 0;) {
            at += stride[d];
            if (++index[d] < tensor->shape[d])
                break;
            at -= stride[d] * index[d];
            index[d] = 0;
        }
    }
    return out;
}

/* The beginning of a tensor's numbers in its storage, which must be large enough. Returns NULL with the error set. */
static const unsigned char *find_data(struct taking *t, const struct pickle_value *storage, size_t width, size_t offset,
                                      size_t reached)
{
    const struct pickle_value *id = storage && storage->kind == PICKLE_PERSISTENT ? storage->args : NULL;
    const struct pickle_value *key = pickle_at(id, 2), *view = pickle_at(id, 5);
    size_t bytes = 0, end, view_offset = 0;
    if (!pickle_is(pickle_at(id, 0), "storage") || !key || key->kind != PICKLE_TEXT ||
        (view && view->kind != PICKLE_NONE && !pickle_size(pickle_at(view, 1), &view_offset))) {
        handover_fail(t->out, "its tensor %.100s has no storage in the file", t->name);
        return NULL;
    }
    const unsigned char *data = t->storages->find(t->out, t->storages->from, key->text, &bytes);
    if (!data)
        return NULL;
    if (__builtin_add_overflow(offset, view_offset, &offset) || __builtin_add_overflow(offset, reached, &end) ||
        !rnn_size_mul(end, width, &end) || end > bytes) {
        handover_fail(t->out, "its tensor %.100s reaches beyond its storage %.40s, which has %zu bytes", t->name,
                      key->text, bytes);
        return NULL;
    }
    return data + offset * width;
}

/* Report tensors that are not plain arrays of numbers. */
static bool refuse_tensor(struct taking *t, const struct pickle_value *rebuild)
{
    return handover_fail(t->out,
                         "its tensor %.100s is %s (%.60s); save model.float().cpu().state_dict() of the model as it "
                         "was trained",
                         t->name,
                         pickle_is(rebuild, "torch._utils._rebuild_qtensor")         ? "quantized"
                         : pickle_is(rebuild, "torch._utils._rebuild_sparse_tensor") ? "sparse"
                                                                                     : "not in the file as numbers",
                         rebuild->text);
}

static bool add_tensor(struct taking *t, const struct pickle_value *value)
{
    const struct pickle_value *rebuild, *args;
    size_t rank, shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK], offset, reached;
    const char *type = "";
    if (!unwrap(value, &rebuild, &args))
        return false;
    bool third = pickle_is(rebuild, "torch._utils._rebuild_tensor_v3");
    if (!third && !pickle_is(rebuild, "torch._utils._rebuild_tensor_v2") &&
        !pickle_is(rebuild, "torch._utils._rebuild_tensor"))
        return refuse_tensor(t, rebuild);
    const struct pickle_value *storage = pickle_at(args, 0);
    const struct pickle_value *class = third                                           ? pickle_at(args, 6)
                                       : storage && storage->kind == PICKLE_PERSISTENT ? pickle_at(storage->args, 1)
                                                                                       : NULL;
    size_t width = torch_storage_width(class, &type);
    if (!width)
        return handover_fail(t->out, "its tensor %.100s is of %.60s, which is not read", t->name,
                             class && class->kind == PICKLE_NAME ? class->text : "no type");
    if (!pickle_size(pickle_at(args, 1), &offset) ||
        !read_layout(pickle_at(args, 2), pickle_at(args, 3), &rank, shape, stride) ||
        !reach(rank, shape, stride, &reached))
        return handover_fail(t->out, "its tensor %.100s has no sizes and strides that are read", t->name);
    const unsigned char *data = find_data(t, storage, width, offset, reached);
    struct handover_tensor *tensor = data ? handover_add(t->out, t->name, type, width, rank, shape) : NULL;
    if (!tensor)
        return false;
    tensor->data = data;
    if (!reached || is_row_major(rank, shape, stride))
        return true;
    tensor->data = tensor->owned = gather(tensor, data, width, stride);
    return tensor->data || handover_fail(t->out, "out of memory");
}

/* ---- names ---- */

/* Append a key to the name. *length is the old length, to remove the key again. */
static bool enter(struct taking *t, const struct pickle_value *key, bool dot, size_t *length)
{
    *length = strlen(t->name);
    size_t room = sizeof t->name - *length;
    if (!key || key->kind != PICKLE_TEXT || strlen(key->text) != key->bytes)
        return handover_fail(t->out, "behind \"%.100s\" it has a name that is no text", t->name);
    if ((size_t)snprintf(t->name + *length, room, "%s%s", key->text, dot ? "." : "") >= room)
        return handover_fail(t->out, "it has names of more than %d bytes", NAME_BYTES);
    return true;
}

/* Add the tensors of a dict. Other values are skipped. */
static bool add_dict(struct taking *t, const struct pickle_value *dict, const struct pickle_value *without)
{
    size_t length;
    for (size_t i = 0; dict && dict->kind == PICKLE_DICT && i < dict->n; i += 2) {
        bool left_out = false;
        for (size_t k = 0; dict->members[i]->kind == PICKLE_TEXT && pickle_at(without, k); k++)
            left_out |= pickle_is(pickle_at(without, k), dict->members[i]->text);
        if (dict->members[i + 1]->kind == PICKLE_NAME && !strncmp(dict->members[i + 1]->text, "torch.q", 7))
            return handover_fail(t->out,
                                 "it is quantized (%.60s); save model.state_dict() of the model as it was trained",
                                 dict->members[i + 1]->text);
        if (left_out || !is_tensor(dict->members[i + 1]))
            continue;
        if (!enter(t, dict->members[i], false, &length) || !add_tensor(t, dict->members[i + 1]))
            return false;
        t->name[length] = 0;
    }
    return true;
}

/* ---- modules ---- */

static bool is_module(const struct pickle_value *value)
{
    const struct pickle_value *parameters = pickle_get(value, "_parameters"), *modules = pickle_get(value, "_modules");
    return value && value->kind == PICKLE_OBJECT && parameters && parameters->kind == PICKLE_DICT && modules &&
           modules->kind == PICKLE_DICT;
}

/* An attribute that JSON can represent, or NULL. */
static json_t *attribute(const struct pickle_value *value)
{
    json_t *json;
    switch (value->kind) {
    case PICKLE_NONE:
        return json_null();
    case PICKLE_BOOL:
        return json_boolean(value->integer);
    case PICKLE_INT:
        return json_integer(value->integer);
    case PICKLE_FLOAT:
        return json_real(value->real);
    case PICKLE_TEXT:
        return value->bytes <= MAX_TEXT_BYTES ? json_stringn(value->text, value->bytes) : NULL;
    case PICKLE_TUPLE:
    case PICKLE_LIST:
        json = json_array();
        for (size_t i = 0; i < value->n; i++)
            if (value->n > TENSOR_MAX_RANK || value->members[i]->kind != PICKLE_INT ||
                json_array_append_new(json, json_integer(value->members[i]->integer))) {
                json_decref(json);
                return NULL;
            }
        return json;
    default:
        return NULL;
    }
}

static json_t *attributes_of(const struct pickle_value *module)
{
    const struct pickle_value *state = module->state;
    json_t *json = json_object();
    for (size_t i = 0; i < state->n && json_object_size(json) < MAX_ATTRIBUTES; i += 2) {
        const struct pickle_value *key = state->members[i];
        json_t *value = key->kind == PICKLE_TEXT && *key->text != '_' && key->bytes <= MAX_TEXT_BYTES
                            ? attribute(state->members[i + 1])
                            : NULL;
        if (value)
            json_object_setn_new(json, key->text, strlen(key->text), value);
    }
    return json;
}

/* Add the tensors of a module and of its submodules, and describe the module in the tree. */
static bool add_module(struct taking *t, const struct pickle_value *module, unsigned depth, json_t *tree)
{
    const struct pickle_value *modules = pickle_get(module, "_modules");
    json_t *children = json_object();
    size_t length;
    json_object_set_new(tree, "class", json_string(module->class->text));
    json_object_set_new(tree, "attributes", attributes_of(module));
    json_object_set_new(tree, "modules", children);
    if (depth == MAX_DEPTH || t->modules++ == MAX_MODULES)
        return handover_fail(t->out, "it has more than %d modules, or modules too deep in each other", MAX_MODULES);
    if (!add_dict(t, pickle_get(module, "_parameters"), NULL) ||
        !add_dict(t, pickle_get(module, "_buffers"), pickle_get(module, "_non_persistent_buffers_set")))
        return false;
    for (size_t i = 0; i < modules->n; i += 2) {
        const struct pickle_value *child = modules->members[i + 1];
        if (child->kind == PICKLE_NONE)
            continue;
        json_t *branch = is_module(child) ? json_object() : NULL;
        const char *key = modules->members[i]->kind == PICKLE_TEXT ? modules->members[i]->text : "";
        if (!branch || json_object_set_new(children, key, branch))
            return handover_fail(t->out, "behind \"%.100s\" it has what is no module", t->name);
        if (!enter(t, modules->members[i], true, &length) || !add_module(t, child, depth + 1, branch))
            return false;
        t->name[length] = 0;
    }
    return true;
}

/* ---- what a file holds ---- */

/* Whether a value is a dict of tensors. It may have other values, but no dict of tensors. */
static bool is_state_dict(const struct pickle_value *value)
{
    bool tensors = false;
    for (size_t i = 0; value && value->kind == PICKLE_DICT && i < value->n; i += 2)
        tensors |= is_tensor(value->members[i + 1]);
    for (size_t i = 0; tensors && i < value->n; i += 2) {
        const struct pickle_value *inner = value->members[i + 1];
        for (size_t k = 0; inner->kind == PICKLE_DICT && k < inner->n; k += 2)
            tensors &= !is_tensor(inner->members[k + 1]);
        tensors &= !is_module(inner);
    }
    return tensors;
}

static bool holds_model(const struct pickle_value *value)
{
    return is_state_dict(value) || is_module(value);
}

/* Whether a key of a checkpoint is the key of its model. */
static bool is_model_key(const struct pickle_value *key)
{
    static const char *const keys[] = {"state_dict",    "model_state_dict", "model_state",        "model",     "net",
                                       "network",       "net_state_dict",   "network_state_dict", "weights",   "module",
                                       "model_weights", "params",           "model_dict",         "best_model"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (pickle_is(key, keys[i]))
            return true;
    return false;
}

/* States of optimizers and averages of weights also have tensors, but are not the model. */
static bool is_other_key(const struct pickle_value *key)
{
    static const char *const parts[] = {"optim", "sched", "ema", "scaler", "loss", "rng"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (key->kind == PICKLE_TEXT && strstr(key->text, parts[i]))
            return true;
    return false;
}

static bool add_model(struct taking *t, const struct pickle_value *value, json_t *about)
{
    bool module = is_module(value);
    json_object_set_new(about, "kind", json_string(module ? "module" : "state dict"));
    if (!module)
        return add_dict(t, value, NULL);
    json_t *tree = json_object();
    json_object_set_new(about, "module", tree);
    return add_module(t, value, 0, tree);
}

/* The model of a checkpoint. If there are several (an encoder, a decoder), their keys become prefixes of their tensors'
   names. */
static bool add_checkpoint(struct taking *t, const struct pickle_value *value, json_t *about)
{
    const struct pickle_value *found = NULL, *key = NULL;
    size_t n = 0, length;
    for (size_t i = 0; i < value->n; i += 2) {
        bool better = is_model_key(value->members[i]), had = key && is_model_key(key);
        if (!holds_model(value->members[i + 1]) || is_other_key(value->members[i]) || (had && !better))
            continue;
        if (had)
            return handover_fail(t->out, "it holds two models, \"%.60s\" and \"%.60s\"; save one of them", key->text,
                                 value->members[i]->text);
        n = better ? 1 : n + 1;
        key = value->members[i];
        found = value->members[i + 1];
    }
    if (n == 1) {
        json_object_set_new(about, "key", json_string(key->kind == PICKLE_TEXT ? key->text : ""));
        return add_model(t, found, about);
    }
    for (size_t i = 0; n > 1 && i < value->n; i += 2)
        if (holds_model(value->members[i + 1]) && !is_other_key(value->members[i])) {
            if (!enter(t, value->members[i], true, &length) || !add_model(t, value->members[i + 1], about))
                return false;
            t->name[length] = 0;
        }
    if (n > 1)
        json_object_del(about, "module"); /* only the tree of the last one */
    return n || handover_fail(t->out, "it holds no state dict and no module; save model.state_dict() with torch.save");
}

/* DataParallel and torch.compile add a prefix to all names. */
static void cut_wrappers(struct handover *out)
{
    static const char *const wrappers[] = {"module.", "_orig_mod."};
    for (size_t w = 0; w < 2; w++) {
        size_t n = strlen(wrappers[w]);
        bool all = out->n > 0;
        for (size_t i = 0; i < out->n; i++)
            all &= !strncmp(out->tensors[i].name, wrappers[w], n);
        for (size_t i = 0; all && i < out->n; i++)
            memmove(out->tensors[i].name, out->tensors[i].name + n, strlen(out->tensors[i].name + n) + 1);
    }
}

static bool read_data(const struct handover_tensor *tensor, void *out)
{
    if (tensor->bytes)
        memcpy(out, tensor->data, tensor->bytes);
    return true;
}

bool torch_pickle_take(struct handover *out, const struct pickle_value *value, const struct torch_storages *storages)
{
    struct taking t = {.out = out, .storages = storages};
    json_t *about = json_object();
    out->read = read_data;
    bool good = about && value;
    if (good && value->kind == PICKLE_DICT && !is_state_dict(value))
        good = add_checkpoint(&t, value, about);
    else if (good && (is_state_dict(value) || is_module(value)))
        good = add_model(&t, value, about);
    else
        good =
            handover_fail(out, "it holds %.100s, no state dict and no module; save model.state_dict() with torch.save",
                          value && value->kind == PICKLE_OBJECT ? value->class->text : "a value");
    if (good && !out->n)
        good = handover_fail(out, "its model has no tensors");
    if (good)
        cut_wrappers(out);
    char *text = good ? json_dumps(about, JSON_COMPACT) : NULL;
    good = text && handover_text(out, "torch", text, strlen(text)) && handover_text(out, "naming", "names", 5);
    json_memory_free(text);
    json_decref(about);
    return good || handover_fail(out, "out of memory");
}
