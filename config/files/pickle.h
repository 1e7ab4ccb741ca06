/* Python pickles as inert values. The reader never imports, calls or instantiates anything that a file names. */
#ifndef CONFIG_FILES_PICKLE_H
#define CONFIG_FILES_PICKLE_H

#include <stdbool.h>
#include <stddef.h>

/**
 * The kinds of values in a pickle.
 *
 * PICKLE_NAME is a class or a function that the pickle names: text is "module.name". Old names of modules are written
 * as their present ones: __builtin__ as builtins, copy_reg as copyreg, numpy._core as numpy.core.
 *
 * PICKLE_OBJECT is "class NAME with args and state": class is a PICKLE_NAME, args the tuple of arguments, state what
 * BUILD would hand to __setstate__ (usually the dict of its attributes), items its members if it is a list or dict of a
 * class of its own; each may be NULL. Two kinds of pickled things become objects. An instance of any class that is made
 * by __new__ (NEWOBJ): class is that class. And a call of a name on the closed list of pickle_names.c, which rebuilds
 * data: class is what would be called, for example torch._utils._rebuild_tensor_v2, numpy.core.multiarray._reconstruct
 * or numpy.dtype. A call of any other name is refused, and the error names it.
 *
 * OrderedDict, defaultdict and Counter are PICKLE_DICT; set and frozenset are PICKLE_SET; bytes, bytearray and
 * _codecs.encode(text, "latin1") are PICKLE_BYTES.
 */
enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_BIG_INT, /* one of more than 64 bits: bytes as the file has them, two's complement or digits */
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_BYTES,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_SET,
    PICKLE_DICT,
    PICKLE_NAME,
    PICKLE_OBJECT,
    PICKLE_PERSISTENT, /* a persistent id, which is in args: PyTorch's storages. In items: the one before it */
};

/* A value. Values may be shared and may form cycles, so code that walks through them must bound depth and number of
   steps. */
struct pickle_value {
    enum pickle_kind kind;
    union {
        long long integer; /* BOOL, INT */
        double real;       /* FLOAT */
        struct {           /* TEXT, NAME: a 0 follows it, and may be in a TEXT; BYTES, BIG_INT: no 0 follows */
            const char *text;
            size_t bytes;
        };
        struct { /* TUPLE, LIST, SET: the members; DICT: key, value, key, value, … (n counts both) */
            struct pickle_value **members;
            size_t n, room;
        };
    };
    struct pickle_value *class, *args, *state, *items; /* of an OBJECT; state may be a container's, too */
};

struct pickle_chunk;

/* The result of reading a pickle. */
struct pickle {
    struct pickle_value *value, *persistent; /* the last persistent id: the first of a list through items */
    size_t used;                             /* bytes of the pickle; other data may follow in the file */
    struct pickle_chunk *chunks;
    size_t memory, values, opcodes;
    char error[320]; /* a sentence about the file: "its pickle …" */
};

/**
 * Read one pickle of any protocol (0 to 5) at the beginning of some memory, which must outlive it.
 *
 * Bounds: 2^24 opcodes, 2^22 values, 2^20 values on the stack, 512 MiB of memory. Arrays of joblib files
 * (joblib.numpy_pickle.NumpyArrayWrapper) lie between the opcodes: their data is in args of that object, as
 * PICKLE_BYTES, or as the object array that stands there. Returns false with the error set. Call pickle_close in both
 * cases.
 */
bool pickle_read(struct pickle *pickle, const unsigned char *bytes, size_t n);
void pickle_close(struct pickle *pickle);

/* Whether a value is this TEXT or NAME. */
bool pickle_is(const struct pickle_value *value, const char *text);

/* Whether a value is an OBJECT of this class. */
bool pickle_is_object(const struct pickle_value *value, const char *class_name);

/* The value of a key of a DICT, or of an attribute of an OBJECT whose state is a dict; NULL without one. */
const struct pickle_value *pickle_get(const struct pickle_value *value, const char *key);

/* Member i of a TUPLE, LIST or SET; NULL past the end and for other kinds. */
const struct pickle_value *pickle_at(const struct pickle_value *value, size_t i);

/* A number: BOOL, INT, FLOAT, or a NumPy scalar or array of one element. */
bool pickle_number(const struct pickle_value *value, double *out);

/* A size: an INT of at least 0. */
bool pickle_size(const struct pickle_value *value, size_t *out);

/* ---- NumPy arrays ---- */

enum { PICKLE_MAX_RANK = 8 };

struct pickle_array {
    char type;    /* NumPy's dtype.kind: 'f' float, 'i' int, 'u' unsigned, 'b' bool, 'S' bytes, 'U' text, 'O' objects */
    size_t width; /* bytes of an element; a 'U' has 4 for each character (UTF-32) */
    bool big_endian, fortran;
    size_t rank, shape[PICKLE_MAX_RANK], elements;
    const unsigned char *data;        /* elements * width bytes, any alignment; NULL for type 'O' */
    const struct pickle_value *items; /* of type 'O': the list of its elements */
};

/* Whether a value is a NumPy array or scalar of any kind. */
bool pickle_is_array(const struct pickle_value *value);

/* Describe an array (_reconstruct, _frombuffer, NumpyArrayWrapper) or a scalar (rank 0). Returns NULL, or the error.
   The size of its data has been checked. */
const char *pickle_array_read(const struct pickle_value *value, struct pickle_array *out);

/* Element i in row-major order, for data of either order. The type is 'f' (2, 4 or 8 bytes), 'i', 'u' or 'b'; for other
   types the result is NaN. */
double pickle_array_number(const struct pickle_array *array, size_t i);

#endif
