"""Keras's exports: keras2_… by from_keras of tf2onnx; keras3tf_… by the export of Keras 3 with the TensorFlow backend,
which calls tf2onnx; keras3torch_… with the PyTorch backend, which calls the old exporter, torch.onnx.export."""
import contextlib, importlib.util, io, os, sys, tempfile, zlib

TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
os.environ["KERAS_BACKEND"] = "tensorflow" if TENSORFLOW else "torch"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
import keras
import numpy as np
import onnx

import onnx_golden
from onnx_golden import Numbers, case

L = keras.layers
MAJOR = int(keras.__version__.split(".")[0])
WAY = "keras2" if MAJOR == 2 else "keras3tf" if TENSORFLOW else "keras3torch"


def chain(shape, *makers, dtype="float32"):
    def build():
        y = x = keras.Input(shape, name="x", dtype=dtype)
        for make in makers:
            y = make(y)
        return keras.Model(x, y)
    return build


def sequential(shape, *makers):
    return lambda: keras.Sequential([keras.Input(shape, name="x"), *[make() for make in makers]])


def window(steps):
    """The last timesteps, as a Lambda layer or an operation of Keras 3."""
    return (lambda y: L.Lambda(lambda t: t[:, -steps:, :], name="window")(y)) if MAJOR == 2 else lambda y: y[:, -steps:, :]


def attended(x):
    y = L.GRU(4, return_sequences=True)(L.GRU(3, return_sequences=True)(x))
    joined = L.Concatenate()([y, L.Attention()([y, y])])
    return L.TimeDistributed(L.Dense(2))(L.GRU(4, return_sequences=True)(window(3)(joined)))


def two_inputs():
    x, s = keras.Input((5, 3), name="x"), keras.Input((2,), name="s")
    return keras.Model([x, s], L.Dense(1, activation="sigmoid")(L.Concatenate()([L.LSTM(4)(x), L.Dense(3, activation="relu")(s)])))


def states():
    x = keras.Input((5, 3), name="x")
    y, h, c = L.LSTM(4, return_sequences=True, return_state=True)(x)
    return keras.Model(x, [L.Dense(2)(y), h, c])


def encoder_decoder():
    x, y = keras.Input((5, 3), name="x"), keras.Input((4, 2), name="y")
    _, h, c = L.LSTM(4, return_state=True)(x)
    return keras.Model([x, y], L.Dense(2, activation="softmax")(L.LSTM(4, return_sequences=True)(y, initial_state=[h, c])))


def heads():
    x = keras.Input((5, 3), name="x")
    y = L.GRU(4)(x)
    return keras.Model(x, [L.Dense(2, activation="softmax", name="kind")(y), L.Dense(1, name="size")(y)])


def pooled(x):
    y = L.LSTM(4, return_sequences=True)(x)
    return L.Dense(2)(L.Concatenate()([L.GlobalAveragePooling1D()(y), L.GlobalMaxPooling1D()(y)]))


S = (5, 3)
OPEN = (None, 3)
# name: (builder, shapes of the inputs or a function of Numbers, opset for tf2onnx)
MODELS = {
    "lstm_dense": (sequential(S, lambda: L.LSTM(4), lambda: L.Dense(2)), None, 15),
    "lstm_open": (sequential(OPEN, lambda: L.LSTM(4), lambda: L.Dense(2)), None, 13),
    "lstm_stack": (sequential(S, lambda: L.LSTM(5, return_sequences=True), lambda: L.Dropout(0.2), lambda: L.LSTM(4, return_sequences=True), lambda: L.LSTM(3),
                              lambda: L.Dense(4, activation="relu"), lambda: L.Dense(1, activation="sigmoid")), None, 15),
    "lstm_sequences": (chain(S, lambda y: L.LSTM(4, return_sequences=True)(y), lambda y: L.TimeDistributed(L.Dense(2))(y)), None, 12),
    "lstm_relu": (sequential(S, lambda: L.LSTM(4, activation="relu"), lambda: L.Dense(1)), None, 11),
    "lstm_hard_sigmoid": (sequential(S, lambda: L.LSTM(4, recurrent_activation="hard_sigmoid"), lambda: L.Dense(1)), None, 14),
    "lstm_no_bias": (sequential(S, lambda: L.LSTM(4, use_bias=False)), None, 9),
    "gru_dense": (sequential(S, lambda: L.GRU(4), lambda: L.Dense(2, activation="softmax")), None, 10),
    "gru_reset_before": (sequential(S, lambda: L.GRU(4, reset_after=False), lambda: L.Dense(2)), None, 13),
    "gru_stack": (sequential(OPEN, lambda: L.GRU(4, return_sequences=True), lambda: L.GRU(3, return_sequences=True)), None, 16),
    "simple_rnn": (sequential(S, lambda: L.SimpleRNN(4), lambda: L.Dense(2)), None, 13),
    "bidirectional_lstm": (chain(S, lambda y: L.Bidirectional(L.LSTM(4))(y), lambda y: L.Dense(2)(y)), None, 13),
    "bidirectional_gru": (chain(S, lambda y: L.Bidirectional(L.GRU(4, return_sequences=True))(y), lambda y: L.Dense(2)(y)), None, 15),
    "backwards": (chain(S, lambda y: L.LSTM(4, go_backwards=True)(y), lambda y: L.Dense(2)(y)), None, 13),
    "words": (chain((6,), lambda y: L.Embedding(9, 3)(y), lambda y: L.LSTM(4)(y), lambda y: L.Dense(1, activation="sigmoid")(y), dtype="int32"),
              lambda n: {"x": n.ids(6, 6).astype("int32")}, 13),
    "words_masked": (chain((6,), lambda y: L.Embedding(9, 3, mask_zero=True)(y), lambda y: L.LSTM(4)(y), lambda y: L.Dense(1, activation="sigmoid")(y), dtype="int32"),
                     lambda n: {"x": np.sort(n.ids(6, 6), 1)[:, ::-1].astype("int32")}, 13),
    "masked": (chain(S, lambda y: L.Masking(0.0)(y), lambda y: L.LSTM(4)(y), lambda y: L.Dense(2)(y)), None, 13),
    "convolution": (chain((8, 3), lambda y: L.Conv1D(6, 3, activation="relu", padding="same")(y), lambda y: L.MaxPooling1D(2)(y), lambda y: L.LSTM(4)(y), lambda y: L.Dense(2)(y)),
                    lambda n: {"x": n(6, 8, 3)}, 13),
    "convolution_causal": (chain((8, 3), lambda y: L.Conv1D(4, 3, padding="causal", dilation_rate=2)(y), lambda y: L.GRU(4)(y)), lambda n: {"x": n(6, 8, 3)}, 15),
    "convolution_2d": (chain((4, 6, 1), lambda y: L.Conv2D(3, 3, activation="relu")(y), lambda y: L.AveragePooling2D((1, 2))(y), lambda y: L.Reshape((2, 6))(y), lambda y: L.LSTM(4)(y)),
                       lambda n: {"x": n(4, 4, 6, 1)}, 13),
    "norms": (chain(S, lambda y: L.BatchNormalization()(y), lambda y: L.LSTM(4, return_sequences=True)(y), lambda y: L.LayerNormalization()(y), lambda y: L.Flatten()(y), lambda y: L.Dense(2)(y)), None, 13),
    "pooled": (chain(S, pooled), None, 13),
    "repeat": (chain(S, lambda y: L.LSTM(4)(y), lambda y: L.RepeatVector(3)(y), lambda y: L.LSTM(4, return_sequences=True)(y), lambda y: L.TimeDistributed(L.Dense(2))(y)), None, 13),
    "attention_window": (chain(S, attended), None, 13),
    "window": (chain(S, lambda y: L.LSTM(4, return_sequences=True)(y), lambda y: L.LSTM(3, return_sequences=True)(y), lambda y: window(3)(y), lambda y: L.TimeDistributed(L.Dense(2))(y)), None, 13),
    "activations": (chain(S, lambda y: L.Dense(4, activation="elu")(y), lambda y: L.LeakyReLU()(y), lambda y: L.GRU(4)(y), lambda y: L.Dense(3, activation="swish")(y),
                          lambda y: L.Dense(3, activation="softplus")(y), lambda y: L.Dense(2, activation="tanh")(y)), None, 13),
    "two_inputs": (two_inputs, lambda n: {"x": n(6, 5, 3), "s": n(6, 2)}, 15),
    "states": (states, None, 15),
    "encoder_decoder": (encoder_decoder, lambda n: {"x": n(6, 5, 3), "y": n(6, 4, 2)}, 17),
    "heads": (heads, None, 18),
}

# With the PyTorch backend, Keras's export unrolls each recurrent layer: every operation of every timestep is a node.
# These files are large, and have no operators that other files lack.
LARGE = ["attention_window", "lstm_stack", "window", "words_masked", "repeat", "masked", "bidirectional_gru", "encoder_decoder", "convolution_causal"]


def set_weights(model, numbers):
    weights = []
    for variable, w in zip(model.weights, model.get_weights()):
        name = getattr(variable, "path", variable.name)
        if w.dtype.kind != "f":
            weights.append(w)
        elif "variance" in name:
            weights.append((np.abs(numbers(*w.shape)) + np.float32(0.5)).astype("float32"))
        else:
            weights.append((numbers(*w.shape) * np.float32(0.4) + np.float32("gamma" in name)).astype("float32"))
    model.set_weights(weights)


def export(model, inputs, opset):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "m.onnx")
        if MAJOR == 2:
            import tensorflow as tf
            import tf2onnx
            signature = [tf.TensorSpec(t.shape, t.dtype, name=t.name) for t in model.inputs]
            return tf2onnx.convert.from_keras(model, signature, opset=opset)[0]
        model(list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values())))  # the export needs a call
        model.export(path, format="onnx", verbose=False)
        return onnx.load(path)


def cases():
    for name, (build, make, opset) in MODELS.items():
        full = f"{WAY}_{name}"
        if onnx_golden.ONLY and onnx_golden.ONLY not in full or WAY == "keras3torch" and name in LARGE:
            continue
        numbers = Numbers(name)
        inputs = (make or (lambda n: {"x": n(6, 5, 3)}))(numbers)
        keras.backend.clear_session()
        try:
            model = build()
            set_weights(model, numbers)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                proto = export(model, inputs, opset)
            names = [t.name for t in proto.graph.input]
            inputs = dict(zip(names, [inputs[n] if n in inputs else v for n, v in zip(names, inputs.values())]))
            kinds = {t.name: t.type.tensor_type.elem_type for t in proto.graph.input}
            inputs = {n: v.astype("float32") if kinds[n] == onnx.TensorProto.FLOAT else v for n, v in inputs.items()}
        except Exception as e:
            print(f"not exported {full}: {type(e).__name__}: {str(e).strip()[:300]}", flush=True)
            continue
        case(full, proto, inputs)
