/* PyTorch's modules that are served, with their arguments. */
#ifndef CONFIG_TORCH_TORCH_KINDS_H
#define CONFIG_TORCH_TORCH_KINDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum torch_role {
    TORCH_RECURRENT, /* LSTM, GRU, RNN */
    TORCH_CELL,      /* LSTMCell, GRUCell, RNNCell, run over the timesteps */
    TORCH_LINEAR,
    TORCH_EMBEDDING,
    TORCH_ACTIVATION,
    TORCH_SOFTMAX,
    TORCH_NOTHING, /* Dropout, Identity */
    TORCH_BATCH_NORM,
    TORCH_LAYER_NORM,
    TORCH_CONV,
    TORCH_POOL,
    TORCH_FLATTEN,
};

/* An argument; value is its default as JSON, or NULL where the tensors or nothing says it. */
struct torch_argument {
    const char *name, *value;
};

enum { TORCH_MAX_ARGUMENTS = 12 };

struct torch_kind {
    const char *name; /* "LSTM" of torch.nn.LSTM */
    enum torch_role role;
    struct torch_argument arguments[TORCH_MAX_ARGUMENTS]; /* ends with a NULL name */
};

/* The kind of a name such as "LSTM", or NULL. torch_kinds ends with a NULL name. */
extern const struct torch_kind torch_kinds[];
const struct torch_kind *torch_kind_find(const char *name);

/* The kind of a class: "torch.nn.LSTM", or "torch.nn.modules.rnn.LSTM" as pickles name it. */
const struct torch_kind *torch_kind_of_class(const char *class_name);

/* The joints: what forward() does between modules. Ends with NULL. */
extern const char *const torch_joints[];

/* An argument as a module's JSON has it, or its default; NULL without either. [n] of one number is that number. The caller
   gives the reference back. */
json_t *torch_argument_value(const struct torch_kind *kind, const json_t *module, const char *name);

#endif
