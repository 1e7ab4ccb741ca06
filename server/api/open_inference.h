/* Inference of the Open Inference Protocol: a request as it is read, and its parts in files of their own. */
#ifndef SERVER_API_OPEN_INFERENCE_H
#define SERVER_API_OPEN_INFERENCE_H

#include "server/run/prediction.h"

/* A tensor in a request. */
struct inference_input {
    struct inference_input *next;
    size_t index;
    char name[BODY_TEXT_BYTES], datatype[BODY_TEXT_BYTES];
    size_t port; /* the index of the model's input; GRAPH_NONE: another tensor, such as a mask or a state */
    struct body_counts shape;
    struct json_tensor data;
    int64_t binary_bytes; /* -1: its values are in the JSON */
    struct body_key parameters[3], keys[6];
};

struct inference_output {
    struct inference_output *next;
    char name[BODY_TEXT_BYTES];
    int binary; /* -1: as the request says */
    struct body_key parameters[3], keys[3];
};

/* A request: prediction->own. */
struct inference {
    struct memory_share *memory;
    const struct raw_reading *reading; /* its transform is NULL where values are not raw */
    struct inference_input *inputs, **last_input;
    struct inference_output *outputs, **last_output;
    char id[BODY_TEXT_BYTES];
    char key[40]; /* the places of the model's inputs in the body */
    int binary_outputs;
};

/* p->failure, of an input or of a key of it ("/data"); %s in format is detail. Returns false. */
bool inference_fail(struct prediction *p, const struct inference_input *input, const char *code, const char *key,
                    const char *format, const char *detail);

/* The input of the request that is this input of a model, under its own name or, of a model of one input, "inputs"; NULL:
   there is none. */
struct inference_input *inference_port(const struct inference *inference, const struct graph *graph, size_t port);

/* Check an input, whose values may be in the JSON or at *binary (which is moved). Afterwards its data are a full array
   of its shape. */
bool inference_check_input(struct prediction *p, struct inference_input *input, const char **binary, const char *end);

/* The output or state of a model with this name. A single output may also be called by its own name. Returns false if
   there is none. */
bool inference_find_tensor(const struct graph *graph, const char *name, struct batch_tensor *out);

void inference_encode(struct prediction *p);

#endif
