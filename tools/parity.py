#!/usr/bin/env python3
"""Write docs/parity.md: the errors of cellserve and of the framework against float64, for every golden case of
tests/fixtures.

  tools/parity.py [build/cellserve] > parity.md; mv parity.md docs/

The section on options is written by hand; this script keeps it.
"""
import json, math, os, struct, subprocess, sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
BINARY = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build", "cellserve")


INTRODUCTION = """# Parity

This page compares cellserve's rounding errors with those of the training framework. `tools/parity.py` writes the
table.

Each row is a golden case of `tests/fixtures`. The framework computed each case twice: in float64 and in float32. The
columns *cellserve* are the error of cellserve's answer, and the columns *framework* the error of the framework's
float32 answer, both against float64. *Largest* is the largest absolute error of all numbers, *RMS* the relative root
mean square.

Over the {n} cases that have both RMS values, cellserve's RMS error is {mean:.2f} times the framework's (geometric mean).

| case | written by | cellserve, largest | framework, largest | cellserve, RMS | framework, RMS |
| --- | --- | --- | --- | --- | --- |"""


def load(*path):
    with open(os.path.join(*path)) as f:
        return json.load(f)


def flat(x, out):
    if isinstance(x, list):
        for y in x:
            flat(y, out)
    else:
        out.append(x)
    return out


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def measure(folder, meta):
    """Largest and relative root-mean-square error over all numbers of a case."""
    file = meta.get("model", "model.json")
    model = folder if file.endswith(".json") else os.path.join(folder, file)
    worst, squares, truth, states = 0.0, 0.0, 0.0, None
    n = meta.get("requests", 1)
    for k in range(1, n + 1):
        suffix = "" if n == 1 else f"-{k}"
        request, expected = load(folder, f"request{suffix}.json"), load(folder, f"expected{suffix}.json")
        if states is not None:
            request["initial_state"] = states
        answer = subprocess.run([BINARY, "predict", model], input=json.dumps(request), capture_output=True, text=True)
        got = json.loads(answer.stdout)
        states = got.get("states")
        for key in ("outputs", "states"):
            if key not in expected:
                continue
            for a, b in zip(flat(got[key], []), flat(expected.get(key + "_f64", expected[key]), [])):
                d = abs(single(a) - b)
                worst, squares, truth = max(worst, d), squares + d * d, truth + b * b
    return worst, math.sqrt(squares / truth) if truth else 0.0


def main():
    rows, ratios = [], []
    fixtures = os.path.join(ROOT, "tests", "fixtures")
    for name in sorted(os.listdir(fixtures)):
        if not os.path.exists(os.path.join(fixtures, name, "meta.json")):  # a folder of another test
            continue
        meta = load(fixtures, name, "meta.json")
        worst, rms = measure(os.path.join(fixtures, name), meta)
        theirs = next((meta[k] for k in meta if k.endswith("error_vs_float64")), {})
        version = meta.get("versions", {})
        framework = next((f"{k} {version[k]}" for k in ("keras", "tensorflow", "onnxruntime") if k in version), "")
        if theirs.get("rel_rms") and rms:
            ratios.append(rms / theirs["rel_rms"])
        show = lambda x: f"{x:.1e}" if x is not None else ""
        rows.append(f"| {name} | {framework} | {show(worst)} | {show(theirs.get('max_abs'))} | {show(rms)} | "
                    f"{show(theirs.get('rel_rms'))} |")
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(INTRODUCTION.format(n=len(ratios), mean=mean))
    print("\n".join(rows))
    with open(os.path.join(ROOT, "docs", "parity.md")) as f:
        print("\n## Options" + f.read().partition("\n## Options")[2], end="")


main()
