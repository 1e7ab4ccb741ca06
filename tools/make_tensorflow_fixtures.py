#!/usr/bin/env python3
"""Write golden cases of TensorFlow's own formats into tests/fixtures: SavedModels, and checkpoints beside a model.json.

Run with tensorflow-cpu==2.15.1 (cases saved_2_15_* and checkpoint_*), with 2.12.1 (saved_2_12_*) and with 2.4.4
(saved_2_4_*). Expected numbers are Keras's answers in float32 and in float64.

Only the parts of a SavedModel that the server reads are kept: keras_metadata.pb, variables/, and a stub of
saved_model.pb. TensorFlow 2.4 stores Keras's metadata in saved_model.pb, so its object graph is kept, without the
graphs of functions.
"""
import json, os, shutil, sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

keras = tf.keras
L = keras.layers
VERSION = ".".join(tf.__version__.split(".")[:2])
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
RNG = np.random.default_rng(20)


def compute(build, weights, x, kind):
    keras.backend.set_floatx(kind)
    model = build()
    model.set_weights([w.astype(kind) for w in weights])
    y = model(x if x.dtype.kind == "i" else x.astype(kind))
    return [t.numpy() for t in y] if isinstance(y, (list, tuple)) else [y.numpy()]


def case(name, build, x, save):
    keras.backend.clear_session()
    keras.backend.set_floatx("float32")
    model = build()
    weights = [RNG.normal(scale=0.5, size=w.shape).astype("float32") for w in model.get_weights()]
    for i, w in enumerate(model.weights):
        if "variance" in w.name:
            weights[i] = np.abs(weights[i]) + 0.5
    model.set_weights(weights)
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    file = save(model, folder)
    y32, y64 = compute(build, weights, x, "float32")[0], compute(build, weights, x, "float64")[0]
    error = float(np.max(np.abs(y32 - y64)))
    meta = {"kind": "modelfile", "format": "tensorflow " + tf.__version__, "model": file,
            "tf_error_vs_float64": {"max_abs": error}, "tolerance": {"rtol": 1e-5, "atol": max(1e-6, 6 * error)}}
    for file, content in (("meta.json", meta), ("request.json", {"instances": x.tolist()}),
                          ("expected.json", {"outputs": y32.tolist(), "outputs_f64": y64.tolist()})):
        with open(os.path.join(folder, file), "w") as f:
            json.dump(content, f)
            f.write("\n")


def saved_model(model, folder):
    path = os.path.join(folder, "model")
    model.save(path, save_format="tf")
    shutil.rmtree(os.path.join(path, "assets"), ignore_errors=True)
    full = saved_model_pb2.SavedModel()
    with open(os.path.join(path, "saved_model.pb"), "rb") as f:
        full.ParseFromString(f.read())
    small = saved_model_pb2.SavedModel(saved_model_schema_version=full.saved_model_schema_version)
    if not os.path.exists(os.path.join(path, "keras_metadata.pb")):
        objects = small.meta_graphs.add().object_graph_def
        objects.nodes.add().CopyFrom(full.meta_graphs[0].object_graph_def.nodes[0])
    with open(os.path.join(path, "saved_model.pb"), "wb") as f:
        f.write(small.SerializeToString())
    for extra in ("fingerprint.pb",):
        if os.path.exists(os.path.join(path, extra)):
            os.remove(os.path.join(path, extra))
    return "model"


def checkpoint(model, folder):
    model.save_weights(os.path.join(folder, "ckpt"), save_format="tf")
    os.remove(os.path.join(folder, "checkpoint"))
    with open(os.path.join(folder, "model.json"), "w") as f:
        f.write(model.to_json())
    return "model.json"


def shards(model, folder):
    """A checkpoint with three data files, as distributed training writes it."""
    checkpoint(model, folder)
    prefix = os.path.join(folder, "ckpt")
    reader = tf.train.load_checkpoint(prefix)
    names = sorted(reader.get_variable_to_shape_map())
    parts = []
    for i in range(3):
        parts.append("/tmp/part%d" % i)
        tf.raw_ops.SaveV2(prefix=parts[-1], tensor_names=names[i::3], shape_and_slices=[""] * len(names[i::3]),
                          tensors=[tf.constant(reader.get_tensor(n)) for n in names[i::3]])
    for file in os.listdir(folder):
        if file.startswith("ckpt"):
            os.remove(os.path.join(folder, file))
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=prefix, delete_old_dirs=False)
    return "model.json"


def stacked():
    return keras.Sequential([
        keras.Input((None, 3)),
        L.RNN(L.StackedRNNCells([L.LSTMCell(3), L.StackedRNNCells([L.GRUCell(2), L.SimpleRNNCell(2)])]),
              return_sequences=True),
        L.Bidirectional(L.GRU(2)), L.Dense(2)])


def masked():
    ids = keras.Input((None,))
    x = L.Embedding(9, 3, mask_zero=True)(ids)
    x = L.Bidirectional(L.LSTM(2, return_sequences=True), merge_mode="sum")(x)
    x = L.LSTM(3, recurrent_activation="hard_sigmoid")(x)
    return keras.Model(ids, L.Dense(2, activation="softmax")(x))


def normalized():
    return keras.Sequential([
        L.GRU(3, return_sequences=True, reset_after=False, input_shape=(4, 2)), L.TimeDistributed(L.Dense(3)),
        L.BatchNormalization(), L.LSTM(2, use_bias=False, return_sequences=True), L.LayerNormalization(), L.Flatten(),
        L.Dense(1)])


def main():
    x = RNG.normal(size=(3, 4, 3)).astype("float32").round(3)
    two = RNG.normal(size=(3, 4, 2)).astype("float32").round(3)
    ids = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]])
    tag = "saved_" + VERSION.replace(".", "_")
    case(tag + "_stacked", stacked, x, saved_model)
    if VERSION != "2.4":
        case(tag + "_masked", masked, ids, saved_model)
    if VERSION == "2.15":
        case(tag + "_normalized", normalized, two, saved_model)
        case("checkpoint_stacked", stacked, x, checkpoint)
        case("checkpoint_normalized", normalized, two, checkpoint)
        case("checkpoint_shards", masked, ids, shards)


main()
