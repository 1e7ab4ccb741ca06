/* The steps before and after a trained model: scalers, names of features, labels, a vocabulary. A model with a
   transform takes raw values and gives meaningful ones. */
#ifndef CONFIG_TRANSFORM_TRANSFORM_H
#define CONFIG_TRANSFORM_TRANSFORM_H

#include "drift.h"
#include "scaler.h"
#include "tokenizer.h"

/* An input or output of the model that a transform is read for. */
struct transform_port {
    const char *name;
    size_t width;      /* numbers of a timestep */
    size_t vocabulary; /* of an input of ids; 0: it takes numbers */
    size_t timesteps;  /* the one length of an input's sequences; 0: any */
    bool sequence;
    bool probability, sigmoid; /* of an output: it comes out of softmax or sigmoid; of a sigmoid */
};

struct transform_ports {
    const struct transform_port *inputs, *outputs;
    size_t n_inputs, n_outputs;
};

/* The steps for an input. All zeros: none. */
struct transform_input {
    struct rnn_scaler scaler; /* n 0: none */
    char **features;          /* [n_features] their names, or NULL */
    size_t n_features;
    bool tokens;         /* texts go through the tokenizer */
    struct drift *drift; /* of raw values, where there is a scaler */
};

struct transform_output {
    struct rnn_scaler scaler;
    char **labels;
    size_t n_labels;
    bool probability;
};

enum transform_missing { MISSING_REFUSED, MISSING_LAST, MISSING_NUMBER };

/* As Keras's pad_sequences. */
struct transform_pad {
    size_t length;         /* 0: nothing is padded */
    bool after, cut_after; /* side and truncate are "post" */
    double value;
};

struct transform {
    struct transform_input *inputs;   /* in the model's order */
    struct transform_output *outputs; /* likewise */
    size_t n_inputs, n_outputs;
    enum transform_missing missing;
    double missing_value;
    struct tokenizer tokenizer;
    struct transform_pad pad;
    size_t *feedback; /* [width of the output] the feature that each output becomes; SIZE_MAX: none; or NULL */
    size_t n_feedback;
    char *shown; /* JSON for users: the options in force, scalers by their class */
};

/* Where a transform's own files are: no path leads out of this folder. */
struct transform_place {
    struct place place; /* of the JSON, for messages */
    const char *folder;
};

/**
 * Read a transform, and check that it fits the inputs and outputs of the model.
 *
 * Returns false with every problem added. A problem of sizes names both sizes. transform_close frees *out.
 */
bool transform_read(const json_t *json, const struct transform_place *place, const struct transform_ports *ports,
                    struct problems *problems, struct transform *out);
void transform_close(struct transform *transform);

/* The index of a feature's name; n_features if there is none. */
size_t transform_feature(const struct transform_input *input, const char *name, size_t bytes);

#endif
