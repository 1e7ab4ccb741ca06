#!/usr/bin/env python3
"""Write golden cases of TensorFlow.js layers models into tests/fixtures: tfjs_layers (several shards) and tfjs_uint8
(quantized weights), written by the converter's own writer.

Run with tensorflow-cpu==2.15.1; tensorflowjs==4.22.0 is needed without its dependencies: pip install --no-deps --target DIR
tensorflowjs, and PYTHONPATH=DIR. Expected numbers are Keras's; for tfjs_uint8, Keras uses the dequantized weights of
TensorFlow.js.
"""
import json, os, shutil, sys, types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Stub(types.ModuleType):
    """Stubs of modules that the converter imports but does not use to write layers models."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub(name)

    def __call__(self, *a, **k):
        return None


for name in ("tensorflow_hub", "tensorflow_decision_forests", "jax", "jax.experimental", "jax.experimental.jax2tf",
             "flax", "flax.core", "importlib_resources", "PyInquirer", "packaging", "packaging.version"):
    sys.modules.setdefault(name, Stub(name))
import numpy as np

for name, kind in (("object", object), ("bool", bool)):
    if name not in vars(np):
        setattr(np, name, kind)
import tensorflow as tf

keras = sys.modules["tf_keras"] = tf.keras
L = keras.layers
from tensorflowjs.converters import keras_h5_conversion

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
RNG = np.random.default_rng(5)


def build():
    """The layers are not in alphabetical order, but the converter's groups are."""
    return keras.Sequential([keras.Input((None, 3)), L.Bidirectional(L.GRU(2, return_sequences=True), name="zeta"),
                             L.LSTM(3, name="alpha"), L.Dense(2, name="mid", activation="softmax")])


def stored_weights(folder):
    """The weights that TensorFlow.js reads from the files, by name."""
    manifest = json.load(open(os.path.join(folder, "model.json")))["weightsManifest"]
    found = {}
    for group in manifest:
        data = b"".join(open(os.path.join(folder, p), "rb").read() for p in group["paths"])
        for w in group["weights"]:
            q = w.get("quantization")
            kind = np.dtype(q["dtype"] if q else w["dtype"])
            n = int(np.prod(w["shape"])) * kind.itemsize
            x = np.frombuffer(data[:n], kind).astype("float64")
            data = data[n:]
            found[w["name"]] = ((x * q["scale"] + q["min"]) if q else x).astype("float32").reshape(w["shape"])
    return found


def compute(weights, x, kind):
    keras.backend.set_floatx(kind)
    model = build()
    model.set_weights([w.astype(kind) for w in weights])
    return model(x.astype(kind)).numpy()


def case(name, **options):
    keras.backend.clear_session()
    keras.backend.set_floatx("float32")
    model = build()
    model.set_weights([RNG.normal(scale=.5, size=w.shape).astype("float32") for w in model.get_weights()])
    x = RNG.normal(size=(3, 4, 3)).astype("float32").round(3)
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    keras_h5_conversion.save_keras_model(model, folder, **options)
    found = stored_weights(folder)
    weights = [found[w.name.split(":")[0]] for w in model.weights]
    y32, y64 = compute(weights, x, "float32"), compute(weights, x, "float64")
    error = float(np.max(np.abs(y32 - y64)))
    meta = {"kind": "modelfile", "format": "tensorflowjs", "model": "model.json",
            "tf_error_vs_float64": {"max_abs": error}, "tolerance": {"rtol": 1e-5, "atol": max(1e-6, 6 * error)}}
    for file, content in (("meta.json", meta), ("request.json", {"instances": x.tolist()}),
                          ("expected.json", {"outputs": y32.tolist(), "outputs_f64": y64.tolist()})):
        with open(os.path.join(folder, file), "w") as f:
            json.dump(content, f)
            f.write("\n")


case("tfjs_layers", weight_shard_size_bytes=300)
case("tfjs_uint8", quantization_dtype_map={"uint8": "*"})
