#!/usr/bin/env python3
"""Write golden cases of ONNX files, for tests/fixtures/onnx.

  onnx_make.py FAMILY … [-k PART] [--out DIR]

FAMILY: torch (PyTorch, both exporters), keras (tf2onnx with the installed Keras, 2 or 3, or Keras 3's own export with
the PyTorch backend), operators (graphs made by hand), silero (the files of the package silero-vad, for another folder).
PART: a part of the names of cases. Run once with torch, onnx and onnxruntime
for torch, keras and operators, and once each with TensorFlow 2.15 and 2.18 and tf2onnx for keras.
"""
import argparse, importlib, os
import onnx_golden

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("families", nargs="+", choices=["torch", "keras", "operators", "silero"])
parser.add_argument("-k", dest="part")
parser.add_argument("--out", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "fixtures", "onnx"))
arguments = parser.parse_args()
onnx_golden.ONLY, onnx_golden.OUT = arguments.part, arguments.out
os.makedirs(arguments.out, exist_ok=True)
for family in arguments.families:
    importlib.import_module("onnx_" + family).cases()
print(f"{onnx_golden.report['made']} made, {len(onnx_golden.report['failed'])} failed: {' '.join(onnx_golden.report['failed'])}")
