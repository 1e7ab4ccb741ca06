#!/usr/bin/env python3
"""models.py FOLDER: write M1, M2, M3 and the model of windows as ONNX files for the peers, and the bodies of requests
for the peers and for cellserve."""
import json, os, sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MODELS = {  # batch, timesteps, features, units, whole sequence of outputs
    "m1": (3, 5, 2, 128, False),
    "m2": (1, 100, 64, 128, True),
    "m3": (32, 100, 64, 256, True),
}


def build(name, features, units, whole, head=0):
    random, weights, nodes = np.random.default_rng(7), [], []

    def weight(label, *shape):
        weights.append(numpy_helper.from_array(random.uniform(-0.08, 0.08, shape).astype(np.float32), label))
        return label

    for label in ("0", "1"):
        weights.append(numpy_helper.from_array(np.array([int(label)], np.int64), "axis" + label))
    nodes.append(helper.make_node("Transpose", ["x"], ["time_first"], perm=[1, 0, 2]))
    below, width, states = "time_first", features, []
    for n in ("1", "2"):
        inputs = [below, weight("W" + n, 1, 4 * units, width), weight("R" + n, 1, 4 * units, units), weight("B" + n, 1, 8 * units)]
        nodes.append(helper.make_node("LSTM", inputs, ["Y" + n, "Yh" + n, "Yc" + n], hidden_size=units))
        nodes.append(helper.make_node("Squeeze", ["Y" + n, "axis1"], ["sequence" + n]))
        nodes.append(helper.make_node("Squeeze", ["Yh" + n, "axis0"], ["h" + n]))
        nodes.append(helper.make_node("Squeeze", ["Yc" + n, "axis0"], ["c" + n]))
        below, width = "sequence" + n, units
        states += ["h" + n, "c" + n]
    if whole:
        nodes.append(helper.make_node("Transpose", [below], ["y"], perm=[1, 0, 2]))
    elif head:
        nodes.append(helper.make_node("Gemm", ["h2", weight("D", units, head), weight("d", head)], ["y"]))
    else:
        nodes.append(helper.make_node("Identity", ["h2"], ["y"]))
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "T", units] if whole else ["N", head or units])]
    outputs += [helper.make_tensor_value_info(s, TensorProto.FLOAT, ["N", units]) for s in states]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", features])
    model = helper.make_model(helper.make_graph(nodes, name, [x], outputs, weights), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
onnx.save(build("w60", 5, 50, False, head=1), f"{folder}/w60.onnx")
random = np.random.default_rng(1)
for name, (batch, timesteps, features, units, whole) in MODELS.items():
    onnx.save(build(name, features, units, whole), f"{folder}/{name}.onnx")
    x = random.standard_normal((batch, timesteps, features))  # float64: Python writes up to 17 digits to JSON
    write(f"{folder}/{name}.peer.json", json.dumps({"model": name, "inputs": x.tolist()}).encode())
    write(f"{folder}/{name}.json", json.dumps({"model": name, "instances": x.tolist()}).encode())
    raw = x.astype("<f4").tobytes()
    tensor = {"shape": list(x.shape), "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    for file, label in ((f"{name}.triton", "x"), (f"{name}.v2", "inputs")):
        head = json.dumps({"inputs": [{"name": label, **tensor}], "parameters": {"binary_data_output": True}}).encode()
        write(f"{folder}/{file}", head + raw)
        write(f"{folder}/{file}.length", str(len(head)).encode())
