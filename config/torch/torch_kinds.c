/* The table of PyTorch's modules. Source: the documentation of torch.nn 1.13 and 2.x; their __init__ signatures agree. */
#include "torch_kinds.h"

#include "config/json_memory.h"

#include <string.h>

const struct torch_kind torch_kinds[] = {
    {"LSTM",
     TORCH_RECURRENT,
     {{"input_size", NULL},
      {"hidden_size", NULL},
      {"num_layers", NULL},
      {"bias", NULL},
      {"bidirectional", NULL},
      {"proj_size", NULL},
      {"batch_first", NULL},
      {"dropout", NULL}}},
    {"GRU",
     TORCH_RECURRENT,
     {{"input_size", NULL},
      {"hidden_size", NULL},
      {"num_layers", NULL},
      {"bias", NULL},
      {"bidirectional", NULL},
      {"batch_first", NULL},
      {"dropout", NULL}}},
    {"RNN",
     TORCH_RECURRENT,
     {{"input_size", NULL},
      {"hidden_size", NULL},
      {"num_layers", NULL},
      {"bias", NULL},
      {"bidirectional", NULL},
      {"batch_first", NULL},
      {"dropout", NULL},
      {"nonlinearity", "\"tanh\""}}},
    {"LSTMCell", TORCH_CELL, {{"input_size", NULL}, {"hidden_size", NULL}, {"bias", NULL}}},
    {"GRUCell", TORCH_CELL, {{"input_size", NULL}, {"hidden_size", NULL}, {"bias", NULL}}},
    {"RNNCell",
     TORCH_CELL,
     {{"input_size", NULL}, {"hidden_size", NULL}, {"bias", NULL}, {"nonlinearity", "\"tanh\""}}},
    {"Linear", TORCH_LINEAR, {{"in_features", NULL}, {"out_features", NULL}, {"bias", NULL}}},
    {"Embedding",
     TORCH_EMBEDDING,
     {{"num_embeddings", NULL}, {"embedding_dim", NULL}, {"padding_idx", NULL}, {"max_norm", "null"}}},
    {"ReLU", TORCH_ACTIVATION, {{"inplace", NULL}}},
    {"Tanh", TORCH_ACTIVATION, {{NULL, NULL}}},
    {"Sigmoid", TORCH_ACTIVATION, {{NULL, NULL}}},
    {"GELU", TORCH_ACTIVATION, {{"approximate", "\"none\""}}},
    {"LeakyReLU", TORCH_ACTIVATION, {{"negative_slope", "0.01"}, {"inplace", NULL}}},
    {"ELU", TORCH_ACTIVATION, {{"alpha", "1.0"}, {"inplace", NULL}}},
    {"Softmax", TORCH_SOFTMAX, {{"dim", "null"}}},
    {"LogSoftmax", TORCH_SOFTMAX, {{"dim", "null"}}},
    {"Dropout", TORCH_NOTHING, {{"p", NULL}, {"inplace", NULL}}},
    {"Identity", TORCH_NOTHING, {{NULL, NULL}}},
    {"BatchNorm1d",
     TORCH_BATCH_NORM,
     {{"num_features", NULL}, {"eps", "1e-5"}, {"momentum", NULL}, {"affine", NULL}, {"track_running_stats", "true"}}},
    {"LayerNorm",
     TORCH_LAYER_NORM,
     {{"normalized_shape", NULL}, {"eps", "1e-5"}, {"elementwise_affine", "true"}, {"bias", NULL}}},
    {"Conv1d",
     TORCH_CONV,
     {{"in_channels", NULL},
      {"out_channels", NULL},
      {"kernel_size", NULL},
      {"bias", NULL},
      {"stride", "1"},
      {"padding", "0"},
      {"dilation", "1"},
      {"groups", "1"},
      {"padding_mode", "\"zeros\""}}},
    {"MaxPool1d",
     TORCH_POOL,
     {{"kernel_size", "null"},
      {"stride", "null"},
      {"padding", "0"},
      {"dilation", "1"},
      {"return_indices", "false"},
      {"ceil_mode", "false"}}},
    {"AvgPool1d",
     TORCH_POOL,
     {{"kernel_size", "null"},
      {"stride", "null"},
      {"padding", "0"},
      {"ceil_mode", "false"},
      {"count_include_pad", "true"}}},
    {"Flatten", TORCH_FLATTEN, {{"start_dim", "1"}, {"end_dim", "-1"}}},
    {NULL, TORCH_NOTHING, {{NULL, NULL}}},
};

const char *const torch_joints[] = {"last_timestep", "last_hidden", "mean_timesteps", "max_timesteps", "permute", NULL};

const struct torch_kind *torch_kind_find(const char *name)
{
    for (const struct torch_kind *kind = torch_kinds; kind->name; kind++)
        if (!strcmp(kind->name, name))
            return kind;
    return NULL;
}

const struct torch_kind *torch_kind_of_class(const char *class_name)
{
    static const char pickled[] = "torch.nn.modules.", plain[] = "torch.nn.";
    const char *dot = strrchr(class_name, '.');
    if (!dot || strncmp(class_name, plain, sizeof plain - 1) != 0 ||
        (strncmp(class_name, pickled, sizeof pickled - 1) != 0 && dot != class_name + sizeof plain - 2))
        return NULL;
    return torch_kind_find(dot + 1);
}

json_t *torch_argument_value(const struct torch_kind *kind, const json_t *module, const char *name)
{
    json_t *value = json_object_get(module, name);
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    if (value)
        return json_incref(value);
    for (const struct torch_argument *a = kind->arguments; a < kind->arguments + TORCH_MAX_ARGUMENTS && a->name; a++)
        if (!strcmp(a->name, name) && a->value)
            return json_memory_load(a->value, strlen(a->value), JSON_DECODE_ANY, NULL);
    return NULL;
}
