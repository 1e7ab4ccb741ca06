/* The supported modules of PyTorch, with their arguments. */
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

/* An argument. value is its default as JSON, or NULL if the tensors determine it or if it has no default. */
struct torch_argument {
    const char *name, *value;
};

enum { TORCH_MAX_ARGUMENTS = 12 };

struct torch_kind {
    const char *name; /* "LSTM" of torch.nn.LSTM */
    enum torch_role role;
    struct torch_argument arguments[TORCH_MAX_ARGUMENTS]; /* ends with a NULL name */
};

/* The kind with a name such as "LSTM", or NULL. torch_kinds ends with a NULL name. */
extern const struct torch_kind torch_kinds[];
const struct torch_kind *torch_kind_find(const char *name);

/* The kind of a class: "torch.nn.LSTM", or "torch.nn.modules.rnn.LSTM" as pickles name it. */
const struct torch_kind *torch_kind_of_class(const char *class_name);

/* The joints: operations of forward() between modules. The list ends with NULL. */
extern const char *const torch_joints[];

/* An argument of a module's JSON, or its default; NULL without either. A list of one number counts as this number. The
   caller releases the reference. */
json_t *torch_argument_value(const struct torch_kind *kind, const json_t *module, const char *name);

#endif
