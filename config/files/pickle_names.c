/* The closed list of calls that only rebuild data, and their results. */
#include "pickle_machine.h"

#include <stdio.h>
#include <string.h>

/* The result of a call. */
enum result {
    OBJECT,      /* the name with its arguments */
    DICT,        /* an empty container, or one with the members of its argument */
    SET,         /* of its argument */
    BYTES,       /* _codecs.encode, bytes, bytearray */
    RECONSTRUCT, /* copyreg._reconstructor(class, base, state) */
    NEW,         /* copyreg.__newobj__(class, …) */
};

static const struct {
    const char *name;
    enum result result;
} calls[] = {
    {"collections.OrderedDict", DICT},
    {"collections.Counter", DICT},
    {"collections.defaultdict", DICT},
    {"builtins.dict", DICT},
    {"builtins.set", SET},
    {"builtins.frozenset", SET},
    {"_codecs.encode", BYTES},
    {"builtins.bytes", BYTES},
    {"builtins.bytearray", BYTES},
    {"copyreg._reconstructor", RECONSTRUCT},
    {"copyreg.__newobj__", NEW},
    {"builtins.complex", OBJECT},
    {"builtins.slice", OBJECT},
    {"builtins.range", OBJECT},
    {"builtins.xrange", OBJECT},
    {"collections.deque", OBJECT},
    {"datetime.date", OBJECT},
    {"datetime.datetime", OBJECT},
    {"datetime.time", OBJECT},
    {"datetime.timedelta", OBJECT},
    {"datetime.timezone", OBJECT},
    {"decimal.Decimal", OBJECT},
    {"fractions.Fraction", OBJECT},
    {"functools.partial", OBJECT},
    {"pathlib.Path", OBJECT},
    {"pathlib.PosixPath", OBJECT},
    {"pathlib.PurePosixPath", OBJECT},
    {"pathlib.WindowsPath", OBJECT},
    {"pathlib.PureWindowsPath", OBJECT},
    {"pathlib._local.Path", OBJECT},
    {"pathlib._local.PosixPath", OBJECT},
    {"pathlib._local.WindowsPath", OBJECT},
    {"numpy.core.multiarray._reconstruct", OBJECT},
    {"numpy.core.multiarray.scalar", OBJECT},
    {"numpy.core.numeric._frombuffer", OBJECT},
    {"numpy.core._ufunc_reconstruct", OBJECT},
    {"numpy.dtype", OBJECT},
    {"numpy.random.__RandomState_ctor", OBJECT},
    {"numpy.random._pickle.__randomstate_ctor", OBJECT},
    {"numpy.random._pickle.__bit_generator_ctor", OBJECT},
    {"numpy.random._pickle.__generator_ctor", OBJECT},
    {"torch.Size", OBJECT},
    {"torch.device", OBJECT},
    {"torch.serialization._get_layout", OBJECT},
    {"torch.storage._load_from_bytes", OBJECT},
    {"torch._utils._rebuild_tensor", OBJECT},
    {"torch._utils._rebuild_tensor_v2", OBJECT},
    {"torch._utils._rebuild_tensor_v3", OBJECT},
    {"torch._utils._rebuild_parameter", OBJECT},
    {"torch._utils._rebuild_parameter_with_state", OBJECT},
    {"torch._utils._rebuild_qtensor", OBJECT},
    {"torch._utils._rebuild_sparse_tensor", OBJECT},
    {"torch._utils._rebuild_meta_tensor_no_storage", OBJECT},
    {"torch._utils._rebuild_device_tensor_from_numpy", OBJECT},
    {"torch._utils._rebuild_device_tensor_from_cpu_tensor", OBJECT},
    {"torch._tensor._rebuild_from_type_v2", OBJECT},
};

/* Modules whose instances are not data: a pickle that makes one is malicious. */
static const char *const harmful[] = {
    "builtins", "codeop", "commands", "ctypes",     "imp",     "importlib",  "marshal",   "multiprocessing",
    "nt",       "os",     "pickle",   "pip",        "pkgutil", "popen2",     "posix",     "pty",
    "runpy",    "shutil", "socket",   "subprocess", "sys",     "webbrowser", "zipimport",
};

struct pickle_value *pickle_new_name(struct pickle *pickle, const char *module, size_t module_bytes, const char *name,
                                     size_t bytes)
{
    static const struct {
        const char *old, *now;
    } renamed[] = {{"__builtin__", "builtins"},
                   {"copy_reg", "copyreg"},
                   {"numpy._core", "numpy.core"},
                   {"sklearn.externals.joblib", "joblib"}};
    const char *now = "";
    size_t skip = 0;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed && !skip; i++) {
        size_t n = strlen(renamed[i].old);
        if (module_bytes >= n && !memcmp(module, renamed[i].old, n) && (module_bytes == n || module[n] == '.')) {
            skip = n;
            now = renamed[i].now;
        }
    }
    size_t total = strlen(now) + module_bytes - skip + 1 + bytes;
    char *text = pickle_alloc(pickle, total + 1);
    struct pickle_value *value = text ? pickle_new(pickle, PICKLE_NAME) : NULL;
    if (!value)
        return NULL;
    snprintf(text, total + 1, "%s", now);
    size_t at = strlen(now);
    memcpy(text + at, module + skip, module_bytes - skip);
    at += module_bytes - skip;
    text[at++] = '.';
    memcpy(text + at, name, bytes);
    text[at + bytes] = 0;
    value->text = text;
    value->bytes = total;
    return value;
}

static struct pickle_value *new_object(struct pickle *pickle, struct pickle_value *class, struct pickle_value *args)
{
    struct pickle_value *value = pickle_new(pickle, PICKLE_OBJECT);
    if (value) {
        value->class = class;
        value->args = args;
    }
    return value;
}

static struct pickle_value *refuse_call(struct pickle *pickle, const struct pickle_value *called)
{
    pickle_fail(pickle, "its pickle calls %.150s; cellserve reads data, and calls nothing that a file names",
                called->kind == PICKLE_NAME ? called->text : "what it has made itself");
    return NULL;
}

/* Copy the members of one container into a new one; pairs into a dict. */
static struct pickle_value *copy_members(struct pickle *pickle, enum pickle_kind kind, const struct pickle_value *from)
{
    struct pickle_value *value = pickle_new(pickle, kind);
    bool flat = from && (kind == PICKLE_SET) != (from->kind == PICKLE_DICT);
    if (!value || !from || (from->kind < PICKLE_TUPLE || from->kind > PICKLE_DICT))
        return value; /* defaultdict(list) names its factory */
    for (size_t i = 0; i < from->n; i++) {
        const struct pickle_value *pair = from->members[i];
        if (flat) {
            if (!pickle_append(pickle, value, from->members[i]))
                return NULL;
        } else if (!pickle_at(pair, 1)) {
            pickle_fail(pickle, "its pickle makes a dict of what are no pairs");
            return NULL;
        } else if (!pickle_append(pickle, value, pair->members[0]) || !pickle_append(pickle, value, pair->members[1])) {
            return NULL;
        }
    }
    return value;
}

/* Convert a text of Latin 1 characters, stored in UTF-8, to bytes. */
static struct pickle_value *bytes_of_text(struct pickle *pickle, const struct pickle_value *text)
{
    unsigned char *out = pickle_alloc(pickle, text->bytes);
    size_t n = 0;
    for (size_t i = 0; out && i < text->bytes; i++) {
        unsigned char c = (unsigned char)text->text[i];
        if (c >= 0x80) {
            if ((c & 0xfc) != 0xc0 || i + 1 == text->bytes || ((unsigned char)text->text[i + 1] & 0xc0) != 0x80) {
                pickle_fail(pickle, "its pickle encodes a text that is not in Latin 1");
                return NULL;
            }
            c = (unsigned char)(c << 6 | ((unsigned char)text->text[++i] & 63));
        }
        out[n++] = c;
    }
    return out ? pickle_new_text(pickle, PICKLE_BYTES, (const char *)out, n) : NULL;
}

static struct pickle_value *call_for_bytes(struct pickle *pickle, struct pickle_value *called,
                                           const struct pickle_value *args)
{
    const struct pickle_value *from = pickle_at(args, 0), *encoding = pickle_at(args, 1);
    if (!from)
        return pickle_new_text(pickle, PICKLE_BYTES, "", 0);
    if (from->kind == PICKLE_BYTES)
        return pickle_new_text(pickle, PICKLE_BYTES, from->text, from->bytes);
    if (from->kind == PICKLE_TEXT && (pickle_is(encoding, "latin1") || pickle_is(encoding, "latin-1")))
        return bytes_of_text(pickle, from);
    return refuse_call(pickle, called);
}

struct pickle_value *pickle_instance(struct pickle *pickle, struct pickle_value *class, struct pickle_value *args)
{
    if (class->kind != PICKLE_NAME)
        return refuse_call(pickle, class);
    for (size_t i = 0; i < sizeof harmful / sizeof *harmful; i++) {
        size_t n = strlen(harmful[i]);
        if (!strncmp(class->text, harmful[i], n) && class->text[n] == '.' &&
            strcmp(class->text, "builtins.object") != 0)
            return refuse_call(pickle, class);
    }
    if (pickle_is(class, "collections.OrderedDict") || pickle_is(class, "collections.defaultdict"))
        return pickle_new(pickle, PICKLE_DICT);
    return new_object(pickle, class, args);
}

struct pickle_value *pickle_call(struct pickle *pickle, struct pickle_value *called, struct pickle_value *args)
{
    struct pickle_value *class = args->n ? args->members[0] : NULL;
    size_t i = 0, n = sizeof calls / sizeof *calls;
    while (i < n && (called->kind != PICKLE_NAME || !pickle_is(called, calls[i].name)))
        i++;
    if (i == n)
        return refuse_call(pickle, called);
    switch (calls[i].result) {
    case DICT:
        return copy_members(pickle, PICKLE_DICT, class);
    case SET:
        return copy_members(pickle, PICKLE_SET, class);
    case BYTES:
        return call_for_bytes(pickle, called, args);
    case RECONSTRUCT:
    case NEW:
        return class ? pickle_instance(pickle, class, args) : refuse_call(pickle, called);
    case OBJECT:
        break;
    }
    return new_object(pickle, called, args);
}
