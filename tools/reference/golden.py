"""Common code of the golden cases of graphs. A case is a model of real Keras with random weights, its files, a request,
and Keras's answers in float64 and in float32. make.py runs the families of cases (conv1d.py, merging.py, …).

A case has files keras2_NAME or keras3_NAME: .json (description, request, Keras's answer in float64, and the error of
Keras's float32 answer), and the models: .keras, .h5, or a folder with model.json and the weights. `model` in the .json
names the file to load, `also` lists further files of the same model. The zip archives are deflated, because their HDF5
is mostly zeros.
"""
import json, os, warnings, zipfile, zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
warnings.filterwarnings("ignore")
import numpy as np
import keras

MAJOR = int(keras.__version__.split(".")[0])
if MAJOR == 2:
    import tensorflow as tf
    from absl import logging
    logging.set_verbosity("error")
L = keras.layers
OUT = None  # the folder of the cases
ONLY = None  # a part of the names of cases to make
MISSING = False  # make only missing cases
RELOAD = False  # check that Keras loads each file and gives the same answer
report = {"made": 0, "refused": []}
COUNTERS = (np.dtype("int64"), np.dtype("int32"), np.dtype("uint32"), np.dtype("uint64"))


def policy(name):
    keras.backend.set_floatx(name)
    (keras.mixed_precision.set_global_policy if MAJOR == 2 else keras.config.set_dtype_policy)(name)


def floatx():
    return keras.backend.floatx()


class Numbers:
    """Random numbers of a case. They depend only on its name, so they are the same for both versions of Keras."""
    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))

    def __call__(self, *shape):
        return self.rng.normal(size=shape).astype("float32").round(3)

    def ids(self, *shape, most=9, pad="right"):
        """Row b has b zeros, at its end or beginning."""
        x = self.rng.integers(1, most, size=shape)
        for b in range(1, len(x)):
            x[b][slice(-b, None) if pad == "right" else slice(0, b)] = 0
        return x

    def masked(self, *shape, value=0.0, pad="right"):
        """Row b has b timesteps of `value`, at its end or beginning, or with pad "holes" at every second timestep."""
        x = self(*shape)
        x[x == value] = 0.5
        for b in range(1, len(x)):
            x[b, slice(-b, None) if pad == "right" else slice(0, b) if pad == "left" else slice(b - 1, 2 * b + 1, 2)] = value
        return x


def fresh_names():
    if MAJOR == 2:
        keras.backend.clear_session()
    else:
        keras.utils.clear_session(free_memory=False)


def build_as(build, dtype):
    fresh_names()
    policy(dtype)
    try:
        return build()
    finally:
        policy("float32")


def layers_of(layer):
    """All layers below a model or wrapper."""
    yield layer
    inner = list(getattr(layer, "layers", []) or [])
    for name in ("layer", "forward_layer", "backward_layer"):
        if isinstance(getattr(layer, name, None), keras.layers.Layer):
            inner.append(getattr(layer, name))
    for one in inner:
        yield from layers_of(one)


def set_weights(model, weights):
    """get_weights() has the order of the layers, so the weights fit the same model in another precision."""
    model.set_weights([w if w.dtype in COUNTERS else w.astype(v.dtype) for w, v in zip(weights, model.get_weights())])
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


def random_weights(model, numbers, scale=0.4):
    weights = []
    for v, w in zip(model.weights, model.get_weights()):
        name = getattr(v, "path", v.name)
        if w.dtype in COUNTERS:
            weights.append(w)
        elif "variance" in name:
            weights.append((np.abs(numbers(*w.shape)) * np.float32(scale) + np.float32(0.5)).astype("float32"))
        elif "gamma" in name:
            weights.append((1 + numbers(*w.shape) * np.float32(scale)).astype("float32"))
        else:
            weights.append((numbers(*w.shape) * np.float32(scale)).astype("float32"))
    return weights


def input_names(model):
    return list(model.input_names) if MAJOR == 2 else [t.name for t in model.inputs]


def output_names(model):
    """Keras 2 appends _1, _2, … to repeated names; Keras 3 allows repeated names, so this function appends them too."""
    names = []
    for one in getattr(model, "output_names", None) or [model.layers[-1].name]:
        name, k = one, 0
        while name in names:
            k += 1
            name = f"{one}_{k}"
        names.append(name)
    return names


def flat(y):
    if isinstance(y, dict):
        y = list(y.values())
    if isinstance(y, (list, tuple)):
        return [t for u in y for t in flat(u)]
    return [np.asarray(y) if MAJOR == 2 else keras.ops.convert_to_numpy(y)]


def call(model, inputs, dtype, **kwargs):
    values = [inputs[n] for n in input_names(model)]
    values = [v if v.dtype.kind in "ib" else v.astype(dtype) for v in values]
    return flat(model(values[0] if len(values) == 1 else values, training=False, **kwargs))


def answers(model, inputs, dtype, mask):
    """The outputs in this precision; rows of different lengths are computed one by one."""
    kwargs = {}
    if mask is not None:
        kwargs["mask"] = np.asarray(mask) if not isinstance(mask, dict) else [np.asarray(mask[n]) for n in input_names(model)]
    policy(dtype)
    try:
        if all(isinstance(v, np.ndarray) for v in inputs.values()):
            return call(model, inputs, dtype, **kwargs)
        rows = len(next(iter(inputs.values())))
        each = [call(model, {n: v[b][None] for n, v in inputs.items()}, dtype) for b in range(rows)]
        return [[one[k][0] for one in each] for k in range(len(each[0]))]
    finally:
        policy("float32")


def shortest(x):
    """Nested lists of the shortest decimals that read back to the same numbers."""
    if isinstance(x, list):
        return [shortest(y) for y in x]
    return x.astype("U32").astype("float64").tolist() if x.dtype == np.float32 else x.tolist()


def deflate(path):
    with zipfile.ZipFile(path) as a:
        entries = [(n, a.read(n)) for n in a.namelist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as b:
        for name, data in entries:
            if name == "metadata.json":
                data = json.dumps({k: v for k, v in json.loads(data).items() if k != "date_saved"}).encode()
            b.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, compresslevel=9)


def save(model, stem, kind):
    """kind: .keras, .h5, or a weights-only file beside model.json: .weights.h5, legacy.h5 and checkpoint (Keras 2), npz."""
    if kind in (".keras", ".h5"):
        model.save(stem + kind)
        if kind == ".keras":
            deflate(stem + kind)
        return stem + kind
    folder = stem + {".weights.h5": ".weights", "legacy.h5": ".legacy", "npz": ".npz", "checkpoint": ".checkpoint"}[kind]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.json"), "w") as f:
        f.write(model.to_json())
    if kind == "checkpoint":
        model.save_weights(os.path.join(folder, "ckpt"))
    elif kind == "npz":
        np.savez_compressed(os.path.join(folder, "weights.npz"), *model.get_weights())
    else:
        model.save_weights(os.path.join(folder, "model.weights.h5" if kind == ".weights.h5" else "weights_legacy.h5"))
    return folder


def reload_problem(path, inputs, y32, mask):
    """None if Keras loads the file and gives the same answer; else the problem."""
    if not path.endswith((".keras", ".h5")) or mask is not None or not all(isinstance(v, np.ndarray) for v in inputs.values()):
        return None
    try:
        loaded = keras.models.load_model(path, compile=False)  # it may rename the inputs of a Sequential model
        got = call(loaded, dict(zip(input_names(loaded), inputs.values())), "float32")
    except Exception as e:
        return f"Keras does not load {os.path.basename(path)}: {type(e).__name__}: {str(e).strip()[:160]}"
    far = max(float(np.max(np.abs(a.astype("float64") - b))) if a.shape == b.shape else np.inf for a, b in zip(got, y32))
    return None if far <= 1e-5 else f"{os.path.basename(path)} as Keras loads it differs by {far:.3g}"


def as_float32_where_rounded(y32, y64):
    """If all timesteps are masked, Keras adds -1e9 to all scores, and in float32 rounding removes the scores. For such
    numbers Keras's float32 answer is the reference. Also returns their count."""
    if any(isinstance(y, list) or y.dtype.kind in "ib" for y in y64):
        return y64, 0
    far = [np.abs(a - b) > 1e-5 * max(1.0, float(np.max(np.abs(b)))) for a, b in zip(y32, y64)]
    return [np.where(f, a.astype("float64"), b) for f, a, b in zip(far, y32, y64)], int(sum(f.sum() for f in far))


def measure(y32, y64):
    """The error of Keras's float32 answer, and the largest number."""
    pairs = [(np.asarray(a, "float64").ravel(), np.asarray(b, "float64").ravel()) for s, t in zip(y32, y64)
             for a, b in (zip(s, t) if isinstance(s, list) else [(s, t)])]
    difference = np.concatenate([a - b for a, b in pairs])
    truth = np.concatenate([b for _, b in pairs])
    if not np.all(np.isfinite(truth)):
        raise ValueError("numbers that are not finite")
    squares = float(np.sum(truth ** 2))
    return {"max_abs": float(np.max(np.abs(difference), initial=0)), "largest": float(np.max(np.abs(truth), initial=0)),
            "rel_rms": float(np.sqrt(np.sum(difference ** 2) / squares)) if squares else 0.0, "values": int(truth.size)}


def case(name, build, inputs, files=(".keras",), mask=None, only=None, notes="", weights=None, scale=0.4):
    """build() returns the model. inputs: an array, a list of rows of different lengths, a dict of these by input name,
    or a function of Numbers that returns one of them. only: 2 or 3, if only this version of Keras has the layer."""
    full = f"keras{MAJOR}_{name}"
    if only not in (None, MAJOR) or (ONLY and ONLY not in full):
        return
    numbers = Numbers(name)
    stem = os.path.join(OUT, full)
    if MISSING and os.path.exists(stem + ".json"):
        return
    try:
        inputs = inputs(numbers) if callable(inputs) else inputs
        model = build_as(build, "float32")
        names, outputs = input_names(model), output_names(model)
        inputs = inputs if isinstance(inputs, dict) else {names[0]: inputs}
        w = weights(model, numbers) if weights else random_weights(model, numbers, scale)
        set_weights(model, w)
        saved = [(f(model, stem) if callable(f) else save(model, stem, f)) for f in files]
        y32 = answers(model, inputs, "float32", mask)
        layers = sorted({type(x).__name__ for x in layers_of(model)})
        y64 = answers(set_weights(build_as(build, "float64"), w), inputs, "float64", mask)
        y64, rounded = as_float32_where_rounded(y32, y64)
        error = measure(y32, y64)
        problems = [p for p in (reload_problem(f, inputs, y32, mask) for f in saved[1:] or saved) if p] if RELOAD else []
    except Exception as e:
        report["refused"].append((full, f"{type(e).__name__}: {str(e).strip()[:300]}"))
        print(f"refused {full}: {type(e).__name__}: {str(e).strip()[:300]}", flush=True)
        if os.environ.get("GOLDEN_TRACE"):
            raise
        return
    body = {"instances": shortest(inputs[names[0]])} if len(inputs) == 1 else {"inputs": {n: shortest(inputs[n]) for n in names}}
    if mask is not None:
        body["mask"] = mask
    largest = error.pop("largest")
    files = [os.path.basename(f) for f in saved]
    meta = {"notes": notes or name.replace("_", " "), "keras": keras.__version__, "layers": layers, "model": files[0], "also": files[1:],
            "error_vs_float64": error, "largest": largest, "tolerance": {"rtol": 1e-5, "atol": max(1e-6, 6 * error["max_abs"])},
            "request": body, "outputs_f64": shortest(y64[0]) if len(y64) == 1 else {n: shortest(t) for n, t in zip(outputs, y64)}}
    if problems:
        meta["reload"] = problems
    if rounded:
        meta["float32_numbers"] = rounded
    with open(stem + ".json", "w") as f:
        json.dump(meta, f, separators=(",", ":"))
        f.write("\n")
    report["made"] += 1
    print(full, f"{error['max_abs']:.1e} of {largest:.3g}", *problems, flush=True)


def chain(shape, *layers, dtype=None, name="x"):
    """A builder of a Functional model that is a chain; each of `layers` is a function that makes a layer."""
    def build():
        x = inputs = keras.Input(shape, name=name, **({"dtype": dtype} if dtype else {}))
        for make in layers:
            x = make()(x)
        return keras.Model(inputs, x)
    return build


def sequential(shape, *layers, dtype=None):
    def build():
        return keras.Sequential([keras.Input(shape, **({"dtype": dtype} if dtype else {}))] + [make() for make in layers])
    return build


def graph(function, **shapes):
    """A builder of a Functional model: `function` takes the inputs by name and returns the output or a list of outputs.
    A shape is a tuple, or (tuple, dtype)."""
    def build():
        inputs = {}
        for n, s in shapes.items():
            shape, dtype = s if s and isinstance(s[0], tuple) else (s, None)
            inputs[n] = keras.Input(shape, name=n, **({"dtype": dtype} if dtype else {}))
        return keras.Model(list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values())), function(**inputs))
    return build
