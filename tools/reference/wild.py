#!/usr/bin/env python3
"""Make models of published architectures with random weights, and Keras's answers, in the form of make.py.

  wild.py CONFIGURATIONS OUT [NUMBER …]

CONFIGURATIONS is a folder of NUMBER.json: written_by_keras, file (keras-h5, keras-zip, json+h5, json-only), config. Run
once with Keras 2.15, for the files of Keras 1 and 2, and once with Keras 3, for the others. Each model gives
wild_NUMBER.json, the .keras and .h5 of this Keras, and NUMBER_original: the same weights with the original
configuration. Models that Keras refuses are listed in refused2.txt and refused3.txt. tests/graph/check.py --cases OUT
checks.
"""
import glob, json, os, sys, zipfile
import h5py, numpy as np
import golden
from golden import MAJOR, keras
from cudnn import to_cudnn


def replaced(x, old, new):
    if isinstance(x, dict):
        return {k: replaced(v, old, new) for k, v in x.items()}
    if isinstance(x, list):
        return [replaced(v, old, new) for v in x]
    return new if isinstance(x, str) and x == old else x


def without_cudnn(config):
    """Replace CuDNN layers, which Keras 2.15 lacks, by the equivalent LSTM and GRU."""
    if isinstance(config, list):
        return [without_cudnn(x) for x in config]
    if not isinstance(config, dict):
        return config
    config = {k: without_cudnn(v) for k, v in config.items()}
    if str(config.get("class_name", "")).startswith("CuDNN"):
        config["class_name"] = config["class_name"][5:]
        config["config"].update({"reset_after": True} if config["class_name"] == "GRU" else {}, recurrent_activation="sigmoid")
    return config


def cudnn_weights(f, config):
    """Convert the weights of an .h5 to those of CuDNN layers."""
    for layer in config["config"]["layers"] if isinstance(config["config"], dict) else config["config"]:
        if layer["class_name"].startswith("CuDNN"):
            group = f["model_weights"][layer["config"]["name"]]
            names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
            values = to_cudnn([group[n][()] for n in names], layer["class_name"][5:])
            for n, v in zip(names, values):
                del group[n]
                group[n] = v


def build(config, dtype):
    golden.fresh_names()
    golden.policy(dtype)
    try:
        config = without_cudnn(config)
        config = replaced(config, "float32", dtype) if dtype != "float32" else config
        if MAJOR == 3 and "module" not in config:  # of an .h5
            from keras.src.legacy.saving import saving_utils
            return saving_utils.model_from_config(config)
        return keras.models.model_from_json(json.dumps(config))
    finally:
        golden.policy("float32")


def vocabulary(model, name):
    """The number of ids of an input that an Embedding reads, maybe inside a model or a wrapper; None for other
    inputs."""
    least = None
    for layer in golden.layers_of(model):
        if type(layer).__name__ != "Embedding":
            continue
        try:
            source = layer.input
            history = source._keras_history
            reads = (history.layer if MAJOR == 2 else history.operation).name
        except Exception:
            reads = name
        if reads == name or len(model.inputs) == 1:
            least = min(least or layer.input_dim, layer.input_dim)
    return least


def inputs_of(model, rng):
    inputs = {}
    for name, tensor in zip(golden.input_names(model), model.inputs):
        shape = [n if n else (2 if i == 0 else 7) for i, n in enumerate(tensor.shape)]
        shape[0] = shape[0] if tensor.shape[0] else 2
        ids = vocabulary(model, name)
        if ids:
            x = rng.integers(1, ids, size=shape).astype("int32")
            x[-1:, shape[1] // 2:] = 0
            inputs[name] = x
        else:
            inputs[name] = rng.normal(size=shape).astype("float32").round(3)
    return inputs


def weights_of(model, rng):
    """The weights of Keras's initializers. Noise is added to constant weights, so that every part of the model has an
    effect."""
    weights = []
    for v, w in zip(model.weights, model.get_weights()):
        if w.dtype not in golden.COUNTERS and w.size and np.all(w == w.ravel()[0]) or "bias" in v.name:
            w = w + (0.1 * np.abs(rng.normal(size=w.shape)) if "variance" in v.name else 0.1 * rng.normal(size=w.shape)).astype(w.dtype)
        weights.append(w)
    return weights


def original(found, config, stem, model):
    """Write a file of the same weights with the original configuration, in the form of the version of Keras that wrote
    it."""
    kind, version = found["file"], found["written_by_keras"]
    if kind == "keras-zip":
        path = stem + "_original.keras"
        with zipfile.ZipFile(stem + ".keras") as a, zipfile.ZipFile(path, "w") as b:
            b.writestr("metadata.json", json.dumps({"keras_version": version, "date_saved": ""}))
            b.writestr("config.json", json.dumps(config))
            b.writestr("model.weights.h5", a.read("model.weights.h5"))
        return path
    if kind == "keras-h5":
        path = stem + "_original.h5"
        with open(stem + ".h5", "rb") as a, open(path, "wb") as b:
            b.write(a.read())
        with h5py.File(path, "a") as f:
            del f.attrs["model_config"]
            f.attrs["model_config"] = json.dumps(config)
            cudnn_weights(f, config)
            for group in (f, f["model_weights"]):
                group.attrs["keras_version"] = version
        return path
    os.makedirs(stem + "_original", exist_ok=True)
    with open(os.path.join(stem + "_original", "model.json"), "w") as f:
        json.dump(dict(config, **({"keras_version": version, "backend": "tensorflow"} if version else {})), f)
    model.save_weights(os.path.join(stem + "_original", "weights.h5" if MAJOR == 2 else "model.weights.h5"))
    return stem + "_original"


def make(number, found, out, seed=0):
    config = found["config"]
    config = json.loads(config) if isinstance(config, str) else config
    rng = np.random.default_rng(int(number) + 1000 * seed)
    keras.utils.set_random_seed(int(number))
    stem = os.path.join(out, "wild_" + number)
    model = build(config, "float32")
    if not model.built or not model.inputs:
        raise ValueError("the configuration has no input shape")
    w = weights_of(model, rng)
    golden.set_weights(model, w)
    inputs = inputs_of(model, rng)
    files = [golden.save(model, stem, kind) for kind in (".h5", ".keras")]
    files.append(original(found, config, stem, model))
    outputs = golden.output_names(model)
    y32 = golden.answers(model, inputs, "float32", None)
    layers = sorted({type(x).__name__ for x in golden.layers_of(model)})
    try:
        y64 = golden.answers(golden.set_weights(build(config, "float64"), w), inputs, "float64", None)
    except Exception as e:  # an operation that works only in float32
        print(number, "has no answer in float64:", " ".join(str(e).split())[:200])
        y64 = [y.astype("float64") for y in y32]
    error = golden.measure(y32, y64)
    largest = error.pop("largest")
    if largest == 0 and seed < 9:  # a relu at the end makes all outputs 0
        return make(number, found, out, seed + 1)
    body = {n: golden.shortest(x) for n, x in inputs.items()}
    case = {"notes": f"{found['file']} of Keras {found['written_by_keras']}", "keras": keras.__version__, "served_today": found["served_today"],
            "layers": layers, "model": os.path.basename(files[0]), "also": [os.path.basename(f) for f in files[1:]], "error_vs_float64": error,
            "largest": largest, "tolerance": {"rtol": 0, "atol": max(1e-5 * largest, 1e-7)},
            "request": {"inputs": body} if len(body) > 1 else {"instances": next(iter(body.values()))},
            "outputs_f64": golden.shortest(y64[0]) if len(y64) == 1 else {n: golden.shortest(y) for n, y in zip(outputs, y64)}}
    with open(stem + ".json", "w") as f:
        json.dump(case, f)
    print(number, f"{error['max_abs']:.1e} of {largest:.3g}", model.count_params(), *layers, flush=True)


def keras_3(found):
    """Whether Keras 3 wrote the model. Without a version, the key of the input shape decides."""
    return found["written_by_keras"][:1] == "3" or (not found["written_by_keras"] and '"batch_shape"' in json.dumps(found["config"]).replace("\\", ""))


def main():
    source, out, only = sys.argv[1], sys.argv[2], sys.argv[3:]
    os.makedirs(out, exist_ok=True)
    list_path, refused = os.path.join(out, f"refused{MAJOR}.txt"), {}
    if only and os.path.exists(list_path):
        with open(list_path) as f:
            refused = dict(line.rstrip().split("  ", 1) for line in f)
    for path in sorted(glob.glob(os.path.join(source, "*.json"))):
        number = os.path.basename(path)[:-5]
        with open(path) as f:
            found = json.load(f)
        if keras_3(found) != (MAJOR == 3) or (only and number not in only):
            continue
        refused.pop(number, None)
        try:
            make(number, found, out)
        except Exception as e:
            refused[number] = f"Keras {keras.__version__}: {type(e).__name__}: {' '.join(str(e).split())[:300]}"
            print(number, "refused", refused[number], flush=True)
    with open(list_path, "w") as f:
        f.writelines(f"{n}  {text}\n" for n, text in sorted(refused.items()))


main()
