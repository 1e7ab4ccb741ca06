#!/usr/bin/env python3
"""Choose golden cases of graphs from the output of make.py with both versions of Keras. This keeps tests/fixtures
small.

  choose.py FROM [TO]     TO: tests/fixtures/graph

A hash of the name decides from which version a case is taken. Both versions are taken for operations, which they write
differently, and for cases with different answers. Every eighth case also has its .h5 or folder of weights.
"""
import glob, json, os, shutil, sys, zlib

source = sys.argv[1]
target = sys.argv[2] if len(sys.argv) > 2 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "fixtures", "graph")


def flat(x):
    return [v for y in (x.values() if isinstance(x, dict) else x) for v in flat(y)] if isinstance(x, (dict, list)) else [x]


def load(path):
    with open(path) as f:
        return json.load(f)


def differ(a, b):
    """Whether the two versions answer differently. Requests are the same; the versions pass some masks on
    differently."""
    x, y = flat(a["outputs_f64"]), flat(b["outputs_f64"])
    return len(x) != len(y) or max(abs(p - q) for p, q in zip(x, y)) > 1e-5 * max(1, a["largest"])


def copy(name):
    path, to = os.path.join(source, name), os.path.join(target, name)
    (shutil.copytree if os.path.isdir(path) else shutil.copy)(path, to)


shutil.rmtree(target, ignore_errors=True)
os.makedirs(target)
for path in sorted(glob.glob(os.path.join(source, "*.json"))):
    full = os.path.basename(path)[:-5]
    version, _, name = full.partition("_")
    other = os.path.join(source, ("keras3_" if version == "keras2" else "keras2_") + name + ".json")
    case = load(path)
    mine = not os.path.exists(other) or version == ("keras2", "keras3")[zlib.crc32(name.encode()) % 2]
    if not mine and not name.startswith("op_") and not differ(case, load(other)):
        continue
    if not mine or zlib.crc32(name.encode()) // 2 % 8:
        case["also"] = []
    for file in [case["model"], *case["also"]]:
        copy(file)
    with open(os.path.join(target, full + ".json"), "w") as f:
        json.dump(case, f, separators=(",", ":"))
        f.write("\n")
