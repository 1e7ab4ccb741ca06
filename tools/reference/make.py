#!/usr/bin/env python3
"""Write golden cases of graphs with the installed Keras (2.15 or 3).

  make.py [FAMILY …] [-k PART] [--out DIR] [--missing] [--reload]

FAMILY: a file beside this one (conv1d, pooling, …). PART: a part of the names of cases. --missing: make only missing
cases. --reload: Keras loads each file and must give the same answer. A case that Keras refuses is printed, not written.
Run once with tensorflow-cpu==2.15.1 and once with keras 3 and jax; Then choose.py chooses cases for
tests/fixtures/graph.
"""
import argparse, importlib, os
import golden

FAMILIES = ["conv1d", "pooling", "merging", "attention", "normalizing", "images", "nested", "states", "operations", "masks", "cudnn"]

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("families", nargs="*", default=FAMILIES)
parser.add_argument("-k", dest="part")
parser.add_argument("--out", default="golden")
parser.add_argument("--missing", action="store_true")
parser.add_argument("--reload", action="store_true")
arguments = parser.parse_args()
golden.ONLY, golden.OUT, golden.MISSING, golden.RELOAD = arguments.part, arguments.out, arguments.missing, arguments.reload
os.makedirs(arguments.out, exist_ok=True)
for family in arguments.families:
    importlib.import_module(family).cases()
print(f"{golden.report['made']} made, {len(golden.report['refused'])} refused by Keras {golden.keras.__version__}")
