#!/usr/bin/env python3
"""Write the golden cases of tests/fixtures/graph with the Keras that this Python has (2.15 or 3).

  make.py [FAMILY …] [-k PART]     FAMILY: a file beside this one (conv1d, pooling, …); PART: of the names of cases

Run once with tensorflow-cpu==2.15.1 and once with keras 3 and jax. A case that Keras refuses is printed, not written.
"""
import argparse, importlib, shutil
import golden

FAMILIES = ["conv1d", "pooling", "merging", "attention", "normalizing", "images", "nested", "states", "operations", "masks", "cudnn"]

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("families", nargs="*", default=FAMILIES)
parser.add_argument("-k", dest="part")
arguments = parser.parse_args()
golden.ONLY = arguments.part
for family in arguments.families:
    importlib.import_module(family).cases()
print(f"{golden.report['made']} made, {len(golden.report['refused'])} refused by Keras {golden.keras.__version__}")
shutil.rmtree(golden.TMP, ignore_errors=True)
