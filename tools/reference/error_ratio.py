#!/usr/bin/env python3
"""Measure rounding errors over many inputs: cellserve and Keras in float32, against Keras in float64.

  error_ratio.py BINARY[,BINARY…] MODEL.keras … [--rows N]

A golden case with two numbers is too small to measure rounding: the larger of two errors varies by a factor of three
from one input to the next. This script draws N inputs (normal; ids within the vocabulary). For each binary it prints
the ratio of the root mean squares and that of the largest errors. Run with the Keras that wrote the model.
"""
import argparse, json, os, subprocess, sys, tempfile
import golden
from golden import MAJOR, answers, flat, input_names, keras, np, policy, shortest

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("binaries")
parser.add_argument("models", nargs="+")
parser.add_argument("--rows", type=int, default=48)
arguments = parser.parse_args()


def in_float64(model):
    """The same model in double precision."""
    text = json.loads(model.to_json())
    policy("float64")
    try:
        again = keras.models.model_from_json(json.dumps(text).replace('"float32"', '"float64"'))
        return golden.set_weights(again, model.get_weights())
    finally:
        policy("float32")


def draw(model, rng, rows):
    inputs = {}
    vocabulary = [layer.input_dim for layer in golden.layers_of(model) if type(layer).__name__ == "Embedding"]
    for name, tensor in zip(input_names(model), model.inputs):
        shape = (rows, *(s or 12 for s in tensor.shape[1:]))
        inputs[name] = rng.integers(1, min(vocabulary), size=shape) if vocabulary else rng.normal(size=shape).astype("float32")
    return inputs


def served(binary, path, inputs):
    names = list(inputs)
    body = {"instances": shortest(inputs[names[0]])} if len(names) == 1 else {"inputs": {n: shortest(inputs[n]) for n in names}}
    out = subprocess.run([binary, "predict", path], input=json.dumps(body), capture_output=True, text=True, check=True)
    return flat(json.loads(out.stdout)["outputs"])


def numbers(y):
    return np.concatenate([np.asarray(a, "float64").ravel() for a in y])


def errors(y, truth):
    d = numbers(y).astype("float32").astype("float64") - numbers(truth)
    return float(np.sqrt(np.mean(d ** 2))), float(np.max(np.abs(d)))


for path in arguments.models:
    model = keras.models.load_model(path, compile=False)
    inputs = draw(model, np.random.default_rng(1), arguments.rows)
    own = errors(answers(model, inputs, "float32", None), truth := answers(in_float64(model), inputs, "float64", None))
    line = f"{os.path.basename(path):24s} Keras rms {own[0]:.2e} max {own[1]:.2e}"
    for binary in arguments.binaries.split(","):
        ours = errors(served(binary, path, inputs), truth)
        line += f" | {os.path.basename(binary)} rms x{ours[0] / own[0]:.2f} max x{ours[1] / own[1]:.2f}"
    print(line, flush=True)
