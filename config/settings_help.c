/* The meaning of the keys of a model's entry, for documents. tests/reference/check.py compares the names with the keys
   that config/settings_models.c reads. */
#include "settings.h"

const struct setting_of_model settings_of_models[] = {
    {"name", "name of the model in requests, paths and metrics: letters, digits, '.', '_', '-'"},
    {"path", "the model's file or folder, relative to the configuration file"},
    {"layer", "a layer configuration, in place of a path"},
    {"seed", "seed of the initializers, if no file has weights"},
    {"input_size", "number of features, if the model's file does not say it"},
    {"constants", "values of inputs of an ONNX model: {\"sr\": 16000}; they are no inputs of requests any more"},
    {"states", "inputs of an ONNX model, each with the output that is its next value: {\"state\": \"stateN\"}"},
    {"default", "true: requests that name no model go to this model"},
    {"precision", "number format of matrices in memory: float32, bf16 or int8"},
    {"allow_nonfinite", "true: NaN and Infinity are allowed in requests, answers and weights"},
    {"watch", "true: a new version is loaded when the files change"},
    {"transform", "scalers, feature names, labels and tokenizer of raw values"},
    {"window", "true or a number of timesteps: sessions keep their last timesteps instead of states"},
    {NULL, NULL},
};
