/* The steps before and after a trained model: scalers, names of features, labels, a vocabulary. A model with a
   transform takes raw values, and its answers have raw values, labels or texts. */
#ifndef CONFIG_TRANSFORM_TRANSFORM_H
#define CONFIG_TRANSFORM_TRANSFORM_H

#include "drift.h"
#include "scaler.h"
#include "tokenizer.h"

/* An input or output of the transform's model. */
struct transform_port {
    const char *name;
    size_t width;      /* the number of features */
    size_t vocabulary; /* the size of the vocabulary, if an input takes ids; 0 if it takes numbers */
    size_t timesteps;  /* the fixed length of an input's sequences; 0 if any length is allowed */
    bool sequence;
    bool probability, sigmoid; /* of an output: probability means that its activation is softmax or sigmoid */
};

struct transform_ports {
    const struct transform_port *inputs, *outputs;
    size_t n_inputs, n_outputs;
};

/* The steps for an input. A struct of zeros means "no steps". */
struct transform_input {
    struct rnn_scaler scaler; /* n is 0 if there is none */
    char **features;          /* [n_features]: the names of the features, or NULL */
    size_t n_features;
    bool tokens;         /* the tokenizer converts texts */
    struct drift *drift; /* counts raw values if there is a scaler, else NULL */
};

struct transform_output {
    struct rnn_scaler scaler;
    char **labels;
    size_t n_labels;
    bool probability;
};

enum transform_missing { MISSING_REFUSED, MISSING_LAST, MISSING_NUMBER };

/* The arguments of Keras's pad_sequences. */
struct transform_pad {
    size_t length;         /* 0: no padding */
    bool after, cut_after; /* side and truncate are "post" */
    double value;
};

struct transform {
    struct transform_input *inputs;   /* in the model's order */
    struct transform_output *outputs; /* in the model's order */
    size_t n_inputs, n_outputs;
    enum transform_missing missing;
    double missing_value;
    struct tokenizer tokenizer;
    struct transform_pad pad;
    size_t *feedback; /* [width of the output]: the feature that each output becomes, or SIZE_MAX; or NULL */
    size_t n_feedback;
    char *shown; /* JSON for users: the options in use, with the classes of the scalers */
};

/* The folder of a transform's files. Paths must stay inside this folder. */
struct transform_place {
    struct place place; /* the place of the JSON, for messages */
    const char *folder;
};

/**
 * Read a transform, and check that it fits the inputs and outputs of the model.
 *
 * Returns false with all problems added. If sizes differ, the message names both. transform_close frees *out.
 */
bool transform_read(const json_t *json, const struct transform_place *place, const struct transform_ports *ports,
                    struct problems *problems, struct transform *out);
void transform_close(struct transform *transform);

/* The index of a feature's name; n_features if there is none. */
size_t transform_feature(const struct transform_input *input, const char *name, size_t bytes);

#endif
