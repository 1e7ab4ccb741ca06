#!/usr/bin/env python3
"""Write the pickles of tests/fuzz/corpus/pickle, which the unit test of the pickle reader checks value by value.

    tools/make_pickles.py

Needs numpy, joblib, scikit-learn and torch. Python 2's own opcodes are written by hand.
"""
import argparse
import collections
import io
import os
import pickle
import sys
import zipfile

import joblib
import numpy as np
import sklearn.preprocessing
import torch

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fuzz", "corpus", "pickle")


class Inner:
    """A class that no reader has."""


class Call:
    def __init__(self, called, *args):
        self.call = called, args

    def __reduce__(self):
        return self.call


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data)


def plain():
    inner = Inner()
    inner.size = 3
    inner.names = ["a", "b"]
    return collections.OrderedDict(
        none=None, yes=True, no=False, small=7, negative=-2, wide=1 << 40, below=-(1 << 40), big=1 << 70, real=-0.5,
        text="grün €", line="a\\b\n'\"", bytes=b"\0\xff\x80", tuple=(1, (2, 3), ()), list=[1, [2]], set={5},
        dict={"k": {"deep": 1}}, inner=inner, function=len, counter=collections.Counter("aab"),
        default=collections.defaultdict(list, {"x": [1]}), space=argparse.Namespace(lr=0.25), float=float("inf"))


def scaler():
    return sklearn.preprocessing.StandardScaler().fit(np.array([[1.0, 10], [2, 30], [6, 20]]))


def arrays():
    return {
        "f8": np.array([[1.5, -2], [3, 4]]), "f4": np.arange(3, dtype="f4"), "f2": np.array([0.5, -1], dtype="f2"),
        "i8": np.array([-1, 2]), "u1": np.array([255], "u1"), "b": np.array([True, False]),
        "big": np.array([1.0, 2], ">f4"), "order": np.asfortranarray([[1.0, 2, 3], [4, 5, 6]]),
        "scalar": np.float64(2.5), "object": np.array(["a", "b"], dtype=object), "text": np.array(["ab", "c"]),
        "empty": np.zeros((0, 2)), "rank0": np.array(3.0),
    }


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for protocol in range(6):
        write(f"plain_{protocol}", pickle.dumps(plain(), protocol))
    for protocol in (0, 2, 5):
        write(f"arrays_{protocol}", pickle.dumps(arrays(), protocol))
    write("scaler_4", pickle.dumps(scaler(), 4))
    for name, value in (("joblib_scaler", scaler()), ("joblib_arrays", arrays())):
        out = io.BytesIO()
        joblib.dump(value, out)
        write(name, out.getvalue())
    torch.manual_seed(1)
    out = io.BytesIO()
    torch.save({"epoch": 3, "model": torch.nn.Linear(2, 1).state_dict()}, out)
    with zipfile.ZipFile(out) as archive:
        write("torch_state_dict", archive.read("archive/data.pkl"))
    out = io.BytesIO()
    torch.save(torch.nn.Sequential(torch.nn.LSTM(2, 3, bidirectional=True), torch.nn.ReLU()), out)
    with zipfile.ZipFile(out) as archive:
        write("torch_module", archive.read("archive/data.pkl"))
    write("calls_system_0", pickle.dumps(Call(os.system, "true"), 0))
    write("calls_system_4", pickle.dumps([1, Call(os.system, "true")], 4))
    write("calls_eval", pickle.dumps({"a": Call(eval, "1")}, 2))
    write("calls_getattr", pickle.dumps(Call(getattr, Inner(), "size"), 4))
    write("names_system", pickle.dumps({"function": os.system}, 4))
    write("makes_popen", b"\x80\x02csubprocess\nPopen\n)\x81.")
    write("inst_system", b"(S'true'\nios\nsystem\n.")
    write("obj_system", b"(cos\nsystem\nS'true'\no.")
    write("builds_name", b"ctorch.nn.modules.rnn\nLSTM\n}b.")
    write("calls_result", b"ccollections\nOrderedDict\n)R)R.")
    write("extension", b"\x80\x02\x82\x01.")
    write("python2_string", b"(dp0\nU\x01aU\x03x\0ysS'q\\x80\\n'\nI01\ns.")
    write("cycle", b"]q\0h\0a.")


if __name__ == "__main__":
    Inner.__module__ = "nets"
    sys.modules["nets"] = sys.modules["__main__"]
    main()
