#!/usr/bin/env python3
"""graphs.py BINARY [CASES] [ROUNDS] [SECONDS]: measure BINARY, ONNX Runtime and OpenVINO in turn on models of several
layers, with one thread each. Prints microseconds of CPU time per run (medians of the rounds) and ratios (medians of the
ratios of each round). CPU time is measured because the machine may be shared.

C9   a CNN-LSTM: Conv1D 64 x 3 relu, MaxPooling1D 2, LSTM 50, Dense 1; input 60 x 5
C10  Bidirectional LSTM 64, Attention of it with itself, Concatenate of both, GlobalAveragePooling1D, Dense 1; input 30 x 64

c9.json and c10.json are their configurations. All engines get the same weights, and their answers are compared before
the measurement.
"""
import json, os, re, shutil, subprocess, sys, tempfile, time

for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[k] = "1"
import numpy as np
import onnx
import onnxruntime as rt
import openvino as ov
from onnx import helper as hp, numpy_helper as nh

BATCHES = (1, 32)
rng = np.random.default_rng(7)


def u(*shape, scale=0.2):
    return ((rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(scale)).astype(np.float32)


def lstm(features, units):  # in Keras's layout
    return {"kernel": u(features, 4 * units), "recurrent_kernel": u(units, 4 * units), "bias": u(4 * units)}


def onnx_gates(m):  # Keras i f c o, ONNX i o f c
    i, f, c, o = np.split(m, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def onnx_lstm(*directions):
    bias = [onnx_gates(d["bias"]) for d in directions]
    return {"w": np.stack([onnx_gates(d["kernel"]).T for d in directions]),
            "r": np.stack([onnx_gates(d["recurrent_kernel"]).T for d in directions]),
            "b": np.stack([np.concatenate([b, np.zeros_like(b)]) for b in bias])}


def onnx_model(shape, nodes, constants):
    inits = [nh.from_array(np.ascontiguousarray(v), k) for k, v in constants.items()]
    value = lambda name, dims: hp.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)
    model = hp.make_model(hp.make_graph(nodes, "g", [value("x", shape)], [value("y", [shape[0], 1])], inits),
                          opset_imports=[hp.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


conv = {"kernel": u(3, 5, 64), "bias": u(64)}
c9_lstm, c9_dense = lstm(64, 50), {"kernel": u(50, 1), "bias": u(1)}
forward, backward, c10_dense = lstm(64, 64), lstm(64, 64), {"kernel": u(256, 1), "bias": u(1)}


def c9(batch):
    n = hp.make_node
    nodes = [n("Transpose", ["x"], ["xt"], perm=[0, 2, 1]), n("Conv", ["xt", "k", "kb"], ["c"], kernel_shape=[3]),
             n("Relu", ["c"], ["a"]), n("MaxPool", ["a"], ["p"], kernel_shape=[2], strides=[2]),
             n("Transpose", ["p"], ["t"], perm=[2, 0, 1]),
             n("LSTM", ["t", "w", "r", "b"], ["", "h"], hidden_size=50), n("Squeeze", ["h", "zero"], ["s"]),
             n("Gemm", ["s", "d", "db"], ["y"])]
    return onnx_model([batch, 60, 5], nodes, {
        "k": conv["kernel"].transpose(2, 1, 0), "kb": conv["bias"], **onnx_lstm(c9_lstm), "d": c9_dense["kernel"],
        "db": c9_dense["bias"], "zero": np.array([0], np.int64)})


def c10(batch):
    n = hp.make_node
    nodes = [n("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
             n("LSTM", ["xt", "w", "r", "b"], ["l"], hidden_size=64, direction="bidirectional"),
             n("Transpose", ["l"], ["lt"], perm=[2, 0, 1, 3]), n("Reshape", ["lt", "shape"], ["q"]),
             n("Transpose", ["q"], ["qt"], perm=[0, 2, 1]), n("MatMul", ["q", "qt"], ["scores"]),
             n("Softmax", ["scores"], ["weights"], axis=-1), n("MatMul", ["weights", "q"], ["a"]),
             n("Concat", ["q", "a"], ["c"], axis=2), n("ReduceMean", ["c"], ["m"], axes=[1], keepdims=0),
             n("Gemm", ["m", "d", "db"], ["y"])]
    return onnx_model([batch, 30, 64], nodes, {
        **onnx_lstm(forward, backward), "shape": np.array([batch, 30, 128], np.int64), "d": c10_dense["kernel"],
        "db": c10_dense["bias"]})


CASES = {  # timesteps, features, weights under cellserve's names, the ONNX model
    "C9": (60, 5, {"0": conv, "2.cells.0": c9_lstm, "3": c9_dense}, c9),
    "C10": (30, 64, {"0.forward.cells.0": forward, "0.backward.cells.0": backward, "4": c10_dense}, c10),
}


def onnxruntime(model, x):
    options = rt.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = rt.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    io, given = session.io_binding(), rt.OrtValue.ortvalue_from_numpy(x)
    out = rt.OrtValue.ortvalue_from_shape_and_type([len(x), 1], np.float32)
    io.bind_ortvalue_input("x", given)
    io.bind_ortvalue_output("y", out)
    return (lambda: session.run_with_iobinding(io)), out.numpy


def openvino(model, x):
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    request = compiled.create_infer_request()
    request.set_tensor("x", ov.Tensor(x, shared_memory=False))
    return request.infer, lambda: request.get_tensor("y").data.copy()


def peer_us(call, seconds):
    call()
    runs, blocks, end = 1, [], time.perf_counter() + seconds
    while len(blocks) < 3 or time.perf_counter() < end:
        begun = time.process_time_ns()
        for _ in range(runs):
            call()
        spent = (time.process_time_ns() - begun) / 1e3
        blocks.append(spent / runs)
        if spent < 5000:
            runs *= 2
            blocks.clear()
    return float(np.median(blocks))


def own_us(binary, folder, batch, steps, seconds):
    text = subprocess.run([binary, "bench", folder, "--batch", str(batch), "--timesteps", str(steps), "--seconds",
                           str(max(1, round(seconds)))], capture_output=True, text=True, check=True).stdout
    return text.splitlines()[0], float(re.search(r"CPU time +([0-9.]+) us", text)[1])


def write_model(folder, case, weights):
    shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), case.lower() + ".json"),
                os.path.join(folder, "model.json"))
    np.savez(os.path.join(folder, "weights.npz"),
             **{f"layers.{at}.{name}": w for at, tensors in weights.items() for name, w in tensors.items()})


def own_answer(binary, folder, x):
    run = subprocess.run([binary, "predict", folder], input=json.dumps({"instances": x.tolist()}), capture_output=True,
                         text=True, check=True)
    return np.array(json.loads(run.stdout)["outputs"])


binary, cases = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else "C9,C10").split(",")
rounds, seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 5, float(sys.argv[4]) if len(sys.argv) > 4 else 1
print("case batch | cellserve us | ONNX Runtime | OpenVINO | ONNX Runtime / cellserve | OpenVINO / cellserve")
for case in cases:
    steps, features, weights, build = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder, case, weights)
        for batch in BATCHES:
            x = u(batch, steps, features, scale=1)
            model, mine = build(batch), own_answer(binary, folder, x)
            peers = [onnxruntime(model, x), openvino(model, x)]
            for call, fetch in peers:
                call()
                assert np.abs(fetch() - mine).max() < 1e-5, (case, fetch(), mine)
            times = []
            for _ in range(rounds):
                name, own = own_us(binary, folder, batch, steps, seconds)
                times.append([own] + [peer_us(call, seconds) for call, _ in peers])
            times = np.array(times)
            us, ratios = np.median(times, axis=0), np.median(times[:, 1:] / times[:, :1], axis=0)
            print(f"{case} {batch} | " + " | ".join(f"{t:.1f}" for t in us) + " | " +
                  " | ".join(f"{r:.2f}" for r in ratios), flush=True)
print(name)
