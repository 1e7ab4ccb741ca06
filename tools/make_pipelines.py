#!/usr/bin/env python3
"""Whole pipelines of scikit-learn scalers around Keras models: tests/fixtures/pipelines/.

    python tools/make_pipelines.py      with TensorFlow 2.15, scikit-learn and joblib

Five small models; pipelines.json has 30 cases: a model, a transform (scalers inline or in files), raw inputs, the
answers of Python's pipeline in float32 (y_scaler.inverse_transform(model.predict(x_scaler.transform(raw)))), and those
of a float64 model. Seeded.
"""
import json
import os
import pickle
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import joblib
import numpy as np
import tensorflow as tf
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

warnings.simplefilter("ignore")
ROWS, TIMESTEPS, FEATURES, OUTPUTS = 6, 5, 3, 2
folder = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "pipelines")
layers = tf.keras.layers
models = {
    "lstm": lambda: [layers.LSTM(4), layers.Dense(OUTPUTS)],
    "gru": lambda: [layers.GRU(4, return_sequences=True), layers.GRU(3), layers.Dense(OUTPUTS)],
    "bidirectional": lambda: [layers.Bidirectional(layers.LSTM(3)), layers.Dense(OUTPUTS)],
    "sequence": lambda: [layers.SimpleRNN(4, return_sequences=True), layers.TimeDistributed(layers.Dense(OUTPUTS))],
    "stack": lambda: [layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)]), layers.Dense(OUTPUTS, activation="tanh")],
}
inputs = [
    StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False), MinMaxScaler(),
    MinMaxScaler(feature_range=(-1, 1)), MinMaxScaler(feature_range=(0.1, 0.9), clip=True), RobustScaler(),
    RobustScaler(with_centering=False), RobustScaler(with_scaling=False), RobustScaler(quantile_range=(10.0, 90.0)),
    MaxAbsScaler(), MaxAbsScaler(clip=True),
]
outputs = [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler(), MinMaxScaler(feature_range=(-1, 1)), None]


def build(name, dtype):
    tf.keras.backend.set_floatx(dtype)
    tf.keras.utils.set_random_seed(len(name))
    model = tf.keras.Sequential([layers.Input((TIMESTEPS, FEATURES))] + models[name]())
    tf.keras.backend.set_floatx("float32")
    return model


def attributes(scaler):
    known = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in vars(scaler).items() if not k.startswith("_")}
    return dict({k.rstrip("_"): v for k, v in known.items()}, class_name=type(scaler).__name__)


def save(scaler, name, form):
    """The scaler's entry in the transform: its attributes, or the name of a file."""
    if form == 0:
        return attributes(scaler)
    path = name + [None, ".pkl", ".joblib", ".json"][form]
    with open(os.path.join(folder, path), "wb") as file:
        if form == 1:
            pickle.dump(scaler, file)
        elif form == 2:
            joblib.dump(scaler, file, compress=3)
        else:
            file.write(json.dumps(attributes(scaler)).encode())
    return path


def apply(method, array):
    return method(array.reshape(-1, array.shape[-1])).reshape(array.shape)


def case(i, built):
    random = np.random.RandomState(i)
    name = list(models)[i % len(models)]
    x_scaler, y_scaler = inputs[i % len(inputs)], outputs[i % len(outputs)]
    data = random.normal(size=(60, FEATURES)) * [1.0, 41.3, 1e-2] + [0.3, -12.1, 5.0]
    if i % 4 == 1:
        data[:, 2] = 5.0  # a constant column
    if i % 4 == 2:
        data[::7, 0] = np.nan
    x_scaler.fit(data)
    transform = {"input_scaler": save(x_scaler, "x_%d" % i, i % 4)}
    if y_scaler is not None:
        y_scaler.fit(random.normal(size=(60, OUTPUTS)) * [3.0, 250.0] + [1.0, -70.0])
        transform["output_scaler"] = save(y_scaler, "y_%d" % i, (i + 1) % 4)
    raw = random.normal(size=(ROWS, TIMESTEPS, FEATURES)) * [1.3, 50.0, 1e-2] + [0.3, -12.1, 5.0]
    raw = raw.round(int(random.randint(2, 17)))
    scaled = apply(x_scaler.transform, raw)
    single = built[name][0].predict(scaled, verbose=0)
    double = built[name][1].predict(scaled, verbose=0)
    inverse = (lambda y: apply(y_scaler.inverse_transform, y)) if y_scaler is not None else lambda y: y
    return {"model": name, "transform": transform, "raw": raw.tolist(), "python": inverse(single).astype(float).tolist(),
            "exact": inverse(double).tolist()}


def main():
    os.makedirs(folder, exist_ok=True)
    built = {}
    for name in models:
        single, double = build(name, "float32"), build(name, "float64")
        double.set_weights([w.astype(np.float64) for w in single.get_weights()])
        built[name] = single, double
        single.save(os.path.join(folder, name + ".keras"))
    with open(os.path.join(folder, "pipelines.json"), "w") as file:
        json.dump([case(i, built) for i in range(30)], file)
        file.write("\n")


main()
