"""ONNX Runtime sessions of the peers, with one thread each, because the servers run several processes."""
import os

import onnxruntime

FOLDER = os.environ["MODELS"]


def session(name):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(f"{FOLDER}/{name}.onnx", options, providers=["CPUExecutionProvider"])


def infer(session, x):
    return session.run(["y", "h1", "c1", "h2", "c2"], {"x": x})
