#!/usr/bin/env python3
"""Write scaler files of scikit-learn, and the numbers that they give: tests/fixtures/scalers/VERSION/.

    python tools/make_scalers.py            with each version of scikit-learn for which a folder is wanted

Each folder has four fitted scalers (pickle or joblib, plain or zlib) and expected.json: raw rows, transform in float64
rounded to float32, and inverse_transform of some rows in float64; null means NaN. Seeded; needs only numpy, joblib and
scikit-learn.
"""
import json
import os
import pickle
import warnings

import joblib
import numpy as np
import sklearn
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

warnings.simplefilter("ignore")
COLUMNS = 4


def data(seed, rows):
    random = np.random.RandomState(seed)
    x = random.normal(size=(rows, COLUMNS)) * [1.0, 37.5, 1e-3, 1.0] + [0.0, 21.7, 4.0, 0.0]
    x[:, 3] = 7.0  # a constant column
    x[3, 1] = np.nan
    return x


def none_for_nan(array):
    return [[None if np.isnan(v) else float(v) for v in row] for row in array]


def main():
    version = sklearn.__version__
    folder = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "scalers", version)
    os.makedirs(folder, exist_ok=True)
    clip = {"clip": True} if tuple(map(int, version.split(".")[:2])) >= (0, 24) else {}
    scalers = {
        "standard.pkl": StandardScaler(),
        "minmax.joblib": MinMaxScaler(feature_range=(-1, 1), **clip),
        "robust.zlib.joblib": RobustScaler(quantile_range=(10.0, 90.0)),
        "maxabs.pkl": MaxAbsScaler(),
    }
    raw, cases = data(2, 9) * 1.3, []
    for name, scaler in scalers.items():
        scaler.fit(data(1, 40))
        path = os.path.join(folder, name)
        if name.endswith(".pkl"):
            with open(path, "wb") as file:
                pickle.dump(scaler, file, protocol=2 if name == "maxabs.pkl" else pickle.HIGHEST_PROTOCOL)
        else:
            joblib.dump(scaler, path, compress=("zlib", 3) if "zlib" in name else 0)
        outputs = data(3, 5)
        cases.append({"file": name, "class_name": type(scaler).__name__, "raw": none_for_nan(raw),
                      "scaled": none_for_nan(scaler.transform(raw).astype(np.float32)),
                      "outputs": none_for_nan(outputs.astype(np.float32)),
                      "inverse": none_for_nan(scaler.inverse_transform(outputs.astype(np.float32).astype(np.float64)))})
    with open(os.path.join(folder, "expected.json"), "w") as file:
        json.dump(cases, file)
        file.write("\n")
    np.savez(os.path.join(folder, "..", "minmax.npz"), scale=[0.25, 0.5], min=[0.0, -1.5], data_min=[0.0, 3.0],
             data_max=[4.0, 5.0])  # arrays named after the attributes
    np.savez(os.path.join(folder, "..", "three.npz"), mean=[1.0, 2.0, 3.0], scale=[2.0, 4.0, 8.0])
    print(version, {name: os.path.getsize(os.path.join(folder, name)) for name in scalers})


main()
