#!/usr/bin/env python3
"""Write golden cases of whole models into tests/fixtures: files of real Keras, requests, and Keras's answers; and
bidirectional PyTorch modules, computed by the formulas of PyTorch's documentation.

Run once with Keras 2 (tensorflow-cpu==2.15.1, tensorflow-addons==0.23.0) and once with Keras 3 (keras, jax), which write
the cases named model2_* and model3_*. Expected numbers are Keras's answers in float32 and in float64.
"""
import json, os, sys, zipfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")
import numpy as np

try:
    import tensorflow as tf
    import tensorflow_addons as tfa
    keras = tf.keras
    MAJOR = 2
except ImportError:
    import keras
    MAJOR = 3
import h5py

L = keras.layers
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures")
RNG = np.random.default_rng(7)


def policy(name):
    keras.backend.set_floatx(name)
    (keras.mixed_precision.set_global_policy if MAJOR == 2 else keras.config.set_dtype_policy)(name)


def numbers(*shape):
    return RNG.normal(size=shape).astype("float32").round(3)


def ids(rows, steps, most):
    x = RNG.integers(1, most, size=(rows, steps))
    for b in range(rows):
        x[b, steps - b:] = 0
    return x


def masked(x, value):
    for b in range(len(x)):
        x[b, x.shape[1] - b:] = value
    return x


def lists(y):
    return np.asarray(y).tolist()


def compute(build, weights, x, name):
    policy(name)
    model = build()
    model.set_weights([w.astype(name) for w in weights])
    y = model(x if x.dtype.kind == "i" else x.astype(name))
    policy("float32")
    return [np.asarray(t) for t in (y if isinstance(y, (list, tuple)) else [y])]


def case(name, build, x, save, split=None):
    """split: a function that divides the model's list of outputs into outputs and states."""
    policy("float32")
    model = build()
    weights = [(RNG.normal(size=w.shape) * 0.4).astype("float32") for w in model.get_weights()]
    for i, v in enumerate(model.weights):
        if "variance" in v.name:
            weights[i] = np.abs(weights[i]) + 0.5
    model.set_weights(weights)
    folder = os.path.join(OUT, f"model{MAJOR}_{name}")
    os.makedirs(folder, exist_ok=True)
    file = save(model, folder)
    y32, y64 = (compute(build, weights, x, f) for f in ("float32", "float64"))
    split = split or (lambda y: (y[0], None))
    outputs, states = split(y32)
    outputs64, states64 = split(y64)
    as_lists = lambda t: [as_lists(u) for u in t] if isinstance(t, (list, tuple)) else lists(t)
    expected = {"outputs": as_lists(outputs), "outputs_f64": as_lists(outputs64)}
    if states:
        expected.update(states=as_lists(states), states_f64=as_lists(states64))
    error = max(float(np.max(np.abs(a - b))) for a, b in zip(y32, y64))
    meta = {"kind": "modelfile", "model": file, "requests": 1, "notes": name,
            "versions": {"keras": tf.__version__ if MAJOR == 2 else keras.__version__}, "error_vs_float64": {"max_abs": error},
            "tolerance": {"rtol": 1e-5, "atol": max(1e-6, 6 * error)}}
    for part, value in (("request", {"instances": lists(x)}), ("expected", expected), ("meta", meta)):
        with open(os.path.join(folder, part + ".json"), "w") as f:
            json.dump(value, f)
            f.write("\n")
    print(name, file, error)


def whole(suffix):
    def save(model, folder):
        model.save(os.path.join(folder, "model" + suffix))
        return "model" + suffix
    return save


def npz(model, folder):
    with open(os.path.join(folder, "model.json"), "w") as f:
        f.write(model.to_json())
    np.savez_compressed(os.path.join(folder, "weights.npz"), *model.get_weights())
    return "model.json"


def rewritten(**storage):
    """An .h5 as other tools write it: with chunks, compression, half precision, and strings of fixed length."""
    def save(model, folder):
        model.save("/tmp/plain.h5")
        with h5py.File("/tmp/plain.h5") as a, h5py.File(os.path.join(folder, "model.h5"), "w") as b:
            def visit(path, o):
                to = b.create_dataset(path, data=o[()], **storage) if isinstance(o, h5py.Dataset) else b.require_group(path)
                for k, v in o.attrs.items():
                    fixed = np.asarray(v).dtype.kind == "O"
                    to.attrs[k] = np.asarray([str(s).encode() for s in np.ravel(v)]) if fixed else v
            a.visititems(visit)
            for k, v in a.attrs.items():
                b.attrs[k] = np.bytes_(v) if isinstance(v, str) else v
        return "model.h5"
    return save


def keras_2_13(model, folder):
    """A .keras file as Keras 2.12 to 2.14 wrote it: the group of layers has another name. The archive is deflated, as
    if it was zipped again."""
    model.save("/tmp/plain.keras")
    with zipfile.ZipFile("/tmp/plain.keras") as a, zipfile.ZipFile(os.path.join(folder, "model.keras"), "w") as b:
        a.extract("model.weights.h5", "/tmp")
        with h5py.File("/tmp/model.weights.h5", "a") as f:
            f.move("layers", "_layer_checkpoint_dependencies")
        for name in ("metadata.json", "config.json"):
            b.writestr(name, a.read(name), zipfile.ZIP_DEFLATED)
        b.write("/tmp/model.weights.h5", "model.weights.h5", zipfile.ZIP_DEFLATED)
    return "model.keras"


def sequential(*layers):
    return lambda: keras.Sequential([make() for make in layers])


def chain(shape, *layers, dtype=None):
    def build():
        x = inputs = keras.Input(shape, **({"dtype": dtype} if dtype else {}))
        for make in layers:
            x = make()(x)
        return keras.Model(inputs, x)
    return build


def torch_case(name, kind, layers, hidden, features, apply):
    """Bidirectional nn.GRU or nn.LSTM in float64, optionally with a Linear on the last timestep."""
    from safetensors.numpy import save_file
    gates = {"LSTM": 4, "GRU": 3}[kind]
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    tensors, states = {}, []
    x = numbers(2, 6, features)
    y = x.astype("float64")
    for k in range(layers):
        outputs = []
        for suffix in ("", "_reverse"):
            w, u, b, d = (numbers(gates * hidden, n) * np.float32(0.4) if n else numbers(gates * hidden)
                          for n in (y.shape[2], hidden, 0, 0))
            for key, value in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), (w, u, b, d)):
                tensors[f"rnn.{key}_l{k}{suffix}"] = value
            w, u, b, d = (t.astype("float64") for t in (w, u, b, d))
            h = c = np.zeros((len(y), hidden))
            steps = [None] * y.shape[1]
            for t in (range(y.shape[1]) if not suffix else reversed(range(y.shape[1]))):
                a, q = y[:, t] @ w.T + b, h @ u.T + d
                if kind == "LSTM":
                    i, f, g, o = np.split(a + q, 4, axis=1)
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                else:
                    (ar, az, an), (qr, qz, qn) = np.split(a, 3, axis=1), np.split(q, 3, axis=1)
                    z = sigmoid(az + qz)
                    h = (1 - z) * np.tanh(an + sigmoid(ar + qr) * qn) + z * h
                steps[t] = h
            outputs.append(np.stack(steps, axis=1))
            states.append([h, c] if kind == "LSTM" else [h])
        y = np.concatenate(outputs, axis=2)
    config = {"class_name": f"torch.nn.{kind}", "config": {"input_size": features, "hidden_size": hidden,
              "num_layers": layers, "batch_first": True, "bidirectional": True}}
    if apply:
        tensors["fc.weight"], tensors["fc.bias"] = numbers(3, 2 * hidden), numbers(3)
        config["head"] = {"class_name": "torch.nn.Linear", "name": "fc", "apply": True,
                          "config": {"in_features": 2 * hidden, "out_features": 3}}
        y = y[:, -1] @ tensors["fc.weight"].T.astype("float64") + tensors["fc.bias"]
    folder = os.path.join(OUT, "torch_" + name)
    os.makedirs(folder, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, os.path.join(folder, "model.safetensors"))
    nested = [[lists(t) for t in s] for s in states]
    parts = {"model": config, "request": {"instances": lists(x)},
             "expected": {"outputs": lists(y), "outputs_f64": lists(y), "states": nested, "states_f64": nested},
             "meta": {"kind": "torch", "model": "model.json", "requests": 1, "notes": "by PyTorch's formulas, in float64",
                      "tolerance": {"rtol": 1e-5, "atol": 2e-6}}}
    for part, value in parts.items():
        with open(os.path.join(folder, part + ".json"), "w") as f:
            json.dump(value, f)
            f.write("\n")


plain = L.SimpleRNN if MAJOR == 2 else L.GRU  # with JAX a SimpleRNN does not run in float64


def two_keras():
    """Cases that both versions write."""
    bidirectional = lambda merge, **k: lambda: L.Bidirectional(L.LSTM(4, return_sequences=True, **k), merge_mode=merge)
    for merge in ("sum", "mul", "ave"):
        case("bidirectional_" + merge, sequential(lambda: keras.Input((6, 3)), lambda: L.Masking(), bidirectional(merge),
             lambda: L.GRU(3)), masked(numbers(4, 6, 3), 0), whole(".keras"))
    case("functional_masked", chain((6, 3), lambda: L.Masking(-1.0), lambda: L.LSTM(5, return_sequences=True),
         lambda: L.BatchNormalization(), lambda: L.Dropout(0.3), lambda: L.LSTM(4, dropout=0.2), lambda: L.LayerNormalization(),
         lambda: L.Dense(3, activation="softmax")), masked(numbers(4, 6, 3), -1), whole(".keras"))
    case("functional_embedding_pooling", chain((7,), lambda: L.Embedding(12, 5, mask_zero=True),
         lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)), lambda: L.GlobalAveragePooling1D(),
         lambda: L.Dense(2, activation="sigmoid"), dtype="int32"), ids(4, 7, 12), whole(".keras"))
    case("encoder_decoder", sequential(lambda: keras.Input((5, 3)), lambda: L.LSTM(6), lambda: L.RepeatVector(4),
         lambda: L.GRU(5, return_sequences=True), lambda: L.TimeDistributed(L.Dense(2))), numbers(3, 5, 3), whole(".h5"))
    case("flatten_reshape", sequential(lambda: keras.Input((5, 3)), lambda: plain(4, return_sequences=True),
         lambda: L.Flatten(), lambda: L.Dense(6, activation="relu"), lambda: L.Reshape((2, 3)), lambda: L.GRU(3)),
         numbers(3, 5, 3), whole(".keras"))
    case("activation_layers", sequential(lambda: keras.Input((5, 3)), lambda: plain(4, return_sequences=True),
         lambda: L.LeakyReLU(), lambda: L.ELU(), lambda: L.ReLU(max_value=6), lambda: L.Activation("hard_sigmoid"),
         lambda: L.Softmax(), lambda: L.GlobalMaxPooling1D()), numbers(3, 5, 3), whole(".keras"))
    case("vectors_in", sequential(lambda: keras.Input((4,)), lambda: L.Dense(8, activation="tanh"),
         lambda: L.Reshape((-1, 2)), lambda: L.LSTM(3, return_sequences=True)), numbers(3, 4), whole(".keras"))
    case("backward_layer", sequential(lambda: keras.Input((5, 3)), lambda: L.Bidirectional(
         L.LSTM(4), backward_layer=L.GRU(3, go_backwards=True))), numbers(3, 5, 3), whole(".keras"))
    case("npz", sequential(lambda: keras.Input((5, 3)), lambda: L.LSTM(4, return_sequences=True), lambda: L.GRU(3)),
         numbers(3, 5, 3), npz)

    def bidirectional_states(merge):
        def build():
            inputs = keras.Input((5, 3))
            y = L.Bidirectional(L.LSTM(4, return_sequences=True, return_state=True), merge_mode=merge)(inputs)
            return keras.Model(inputs, y)
        return build
    case("bidirectional_states", bidirectional_states("concat"), numbers(3, 5, 3), whole(".h5"),
         lambda y: (y[0], [[y[1], y[2]], [y[3], y[4]]]))
    case("bidirectional_two_outputs", bidirectional_states(None), numbers(3, 5, 3), whole(".keras"),
         lambda y: ([y[0], y[1]], [[y[2], y[3]], [y[4], y[5]]]))


def axes():
    """Positive numbers of the last axis, for a sequence, a vector, and a single timestep."""
    case("axes", sequential(lambda: keras.Input((5, 3)), lambda: L.LSTM(5, return_sequences=True),
         lambda: L.LayerNormalization(axis=2), lambda: L.TimeDistributed(L.LayerNormalization(axis=1)),
         lambda: L.BatchNormalization(axis=2), lambda: L.Softmax(axis=2), lambda: L.GRU(4), lambda: L.BatchNormalization(axis=1),
         lambda: L.LayerNormalization(axis=[1]), lambda: L.Softmax(axis=1)), numbers(3, 5, 3), whole(".keras"))


if MAJOR == 2:
    two_keras()
    rnn = lambda *cells, **k: lambda: L.RNN(L.StackedRNNCells([c() for c in cells]), **k)
    from keras.src.layers.rnn import cell_wrappers as wrappers  # those of tf.nn can be saved to .keras
    for suffix in (".h5", ".keras"):
        case("wrapped_cells" + suffix.replace(".", "_"), sequential(lambda: keras.Input((5, 4)), rnn(
            lambda: wrappers.ResidualWrapper(L.LSTMCell(4)), lambda: wrappers.DropoutWrapper(L.GRUCell(4)),
            lambda: wrappers.DeviceWrapper(L.SimpleRNNCell(3), "cpu:0"), lambda: wrappers.ResidualWrapper(L.SimpleRNNCell(3)),
            return_sequences=True)), numbers(3, 5, 4), whole(suffix))
    for suffix in (".h5", ".keras"):
        case("peephole" + suffix.replace(".", "_"), sequential(lambda: keras.Input((5, 3)), rnn(
            lambda: tfa.rnn.PeepholeLSTMCell(4), lambda: L.GRUCell(3))), numbers(3, 5, 3), whole(suffix))
        case("layer_norm_lstm" + suffix.replace(".", "_"), sequential(lambda: keras.Input((5, 3)), rnn(
            lambda: tfa.rnn.LayerNormLSTMCell(4), lambda: tfa.rnn.LayerNormLSTMCell(3, use_bias=False),
            return_sequences=True)), numbers(3, 5, 3), whole(suffix))
    small = sequential(lambda: keras.Input((5, 3)), lambda: L.LSTM(16, return_sequences=True), lambda: L.GRU(3), lambda: L.Dense(1))
    case("keras_2_13", small, numbers(3, 5, 3), keras_2_13)
    case("h5_compressed", small, numbers(3, 5, 3), rewritten(chunks=True, compression="gzip", shuffle=True, fletcher32=True))
else:
    two_keras()
    torch_case("gru_bidirectional_2_layers", "GRU", 2, 5, 3, False)
    torch_case("lstm_bidirectional_head", "LSTM", 1, 4, 3, True)
axes()
