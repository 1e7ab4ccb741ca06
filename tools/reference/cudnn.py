"""CuDNNLSTM and CuDNNGRU as in old Keras files: this script rewrites an .h5 of an LSTM or GRU."""
import json
import h5py, numpy as np
from golden import L, MAJOR, case, keras, sequential


def kernels(w, gates):
    """The kernel of each gate in the layout of cuDNN: the transposed matrix in C order, reshaped to the original
    shape."""
    return np.hstack([k.T.reshape(k.shape) for k in np.hsplit(w, gates)])


def to_cudnn(weights, kind):
    """Convert kernel, recurrent kernel and bias of an LSTM, or of a GRU with reset_after, to those of CuDNNLSTM or
    CuDNNGRU."""
    kernel, recurrent, bias = weights
    gates = 4 if kind == "LSTM" else 3
    recurrent = np.hstack([k.T for k in np.hsplit(recurrent, gates)])
    bias = np.concatenate([bias * np.float32(0.25), bias * np.float32(0.75)]) if kind == "LSTM" else bias.reshape(-1)
    return [kernels(kernel, gates), recurrent, bias]


KEYS = ("name", "trainable", "return_sequences", "return_state", "go_backwards", "stateful", "units", "kernel_initializer",
        "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
        "activity_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint", "batch_input_shape")


def old_layer(layer):
    """Change the configuration of an LSTM or GRU to that of a CuDNN layer, also within wrappers."""
    kind, config = layer["class_name"], layer["config"]
    if kind in ("LSTM", "GRU"):
        layer.update(class_name="CuDNN" + kind, config={k: config[k] for k in KEYS if k in config})
        if kind == "GRU":
            layer["config"].pop("unit_forget_bias", None)
    for inner in [config.get("layer")] + list(config.get("layers", []) if isinstance(config.get("layers"), list) else []):
        if inner:
            old_layer(inner)
    for key in ("module", "registered_name", "build_config"):
        layer.pop(key, None)


def old_h5(model, stem):
    """Write the .h5 of standalone Keras 2.2 for the model with CuDNN layers instead of LSTM and GRU."""
    config = json.loads(model.to_json())
    old_layer(config)
    path = stem + ".h5"
    with h5py.File(path, "w") as f:
        f.attrs["model_config"] = np.bytes_(json.dumps(config))
        f.attrs["keras_version"], f.attrs["backend"] = np.bytes_("2.2.4"), np.bytes_("tensorflow")
        root = f.create_group("model_weights")
        root.attrs["keras_version"], root.attrs["backend"] = np.bytes_("2.2.4"), np.bytes_("tensorflow")
        root.attrs["layer_names"] = [np.bytes_(layer.name) for layer in model.layers]
        for layer in model.layers:
            group, names, values = root.create_group(layer.name), [w.name for w in layer.weights], layer.get_weights()
            kind = type(getattr(layer, "forward_layer", layer)).__name__
            if kind in ("LSTM", "GRU"):
                values = [v for i in range(0, len(values), 3) for v in to_cudnn(values[i:i + 3], kind)]
                names = [n.replace(f"/{kind.lower()}_cell", "") for n in names]
            group.attrs["weight_names"] = [np.bytes_(n) for n in names]
            for name, value in zip(names, values):
                group.create_dataset(name, data=value)
    check(path, model, config)
    return path


def check(path, model, config):
    """Check that Keras 2.15, which converts such weights for LSTM and GRU layers, reads the original weights."""
    other = keras.models.clone_model(model)
    from keras.src.saving.legacy import hdf5_format
    with h5py.File(path) as f:
        hdf5_format.load_weights_from_hdf5_group(f["model_weights"], other)
    for a, b in zip(model.get_weights(), other.get_weights()):
        assert np.max(np.abs(a - b)) < 1e-6, "Keras reads other weights from the file"


def cases():
    if MAJOR == 3:
        return
    lstm = lambda units=4, **k: lambda: L.LSTM(units, **k)
    gru = lambda units=4, **k: lambda: L.GRU(units, reset_after=True, **k)
    on = lambda name, *layers, shape=(5, 3), x=lambda n: n(2, 5, 3): case("cudnn_" + name, sequential(shape, *layers), x, (old_h5,))
    on("lstm", lstm(), lambda: L.Dense(2))
    on("gru", gru(), lambda: L.Dense(2))
    on("lstm_sequences", lstm(4, return_sequences=True), lstm(3), lambda: L.Dense(1))
    on("gru_sequences", gru(4, return_sequences=True), gru(3, go_backwards=True))
    on("lstm_square", lstm(3))
    on("bidirectional_lstm", lambda: L.Bidirectional(L.LSTM(3, return_sequences=True)), lambda: L.Bidirectional(L.LSTM(2)))
    on("bidirectional_gru", lambda: L.Bidirectional(L.GRU(3, reset_after=True)), lambda: L.Dense(2))
    on("embedding_lstm", lambda: L.Embedding(9, 5), lstm(4), lambda: L.Dense(2, activation="softmax"), shape=(6,), x=lambda n: n.ids(2, 6))
