#!/usr/bin/env python3
"""Compare a cellserve binary with the golden cases of ONNX files (tests/fixtures/onnx).

  check.py BINARY [PART …] [--serve] [--cases DIR] [-q] [--far] [--list FILE] [--table]

PART is a part of a case's name (keras2_, hand_lstm …) or an operator of the graph, such as =Conv.
Each file is run by `BINARY predict FILE < request`; with --serve, and where the case has `config`, by a server of its own.
A line a file: ok, WRONG (the answer differs), refused (the model does not load, or the request is an error), CRASH. A case
that must be refused is ok when the sentence has the case's words.
`x1.3` is the root of the mean square of the error, as a multiple of onnxruntime's; both against float64. The divisor is at
least the error of numbers that are only rounded: 2^-24 of the largest number, over the square root of 12. More than 2 is
marked "far", a failure with --far. --list writes the names of the files that are ok: tests/onnx/served.txt, which
tests/e2e/test_graphs.c serves. --table prints counts and ratios by the first word of the names.
"""
import argparse, importlib.util, json, os, re, sys

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("graph_check", os.path.join(HERE, "..", "graph", "check.py"))
graph = importlib.util.module_from_spec(spec)
spec.loader.exec_module(graph)


def ratio(got, case):
    """The root mean square of the error, divided by that of onnxruntime."""
    want = case["outputs_f64"]
    squares = [(a - b) ** 2 for _, a, b in graph.pairs(graph.named(got, want), want, "outputs")]
    rms = (sum(squares) / max(1, len(squares))) ** 0.5
    return rms / max(case["error_vs_float64"]["rms"], case["largest"] * 2.0 ** -24 / 12 ** 0.5, 1e-30)


def run(a, case):
    """Run a case; returns (kind, text, ratio)."""
    path, request, entry = os.path.join(a.cases, case["model"]), json.dumps(case["request"]), case.get("config")
    try:
        kind, got = graph.serve(a.binary, path, request, entry) if a.serve or entry else graph.predict(a.binary, path, request)
    except (ValueError, OSError) as e:
        return "CRASH", f"{type(e).__name__}: {e}", None
    if "refused" in case:
        if kind == "refused" and case["refused"] in got:
            return "ok", got, None
        return ("WRONG" if kind == "ok" else kind), f"must be refused with {case['refused']!r}: {str(got)[:200]}", None
    if kind != "ok":
        return kind, got, None
    ok, text = graph.compare(got, case)
    if not ok:
        return "WRONG", text, None
    x = ratio(got, case)
    far = x > 2
    return "far" if far and a.far else "ok", f"x{x:.2f}{' far' * far}", x


def table(rows):
    families = {}
    for name, kind, x in rows:
        families.setdefault(name.split("_")[0], []).append((kind, x))
    print("| Cases | Served | Refused as they must be | Refused or wrong | Median ratio | Largest ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for family, results in sorted(families.items()):
        ratios = sorted(x for _, x in results if x is not None)
        good = sum(kind in ("ok", "far") for kind, _ in results)
        print(f"| {family} | {len(ratios)} | {good - len(ratios)} | {len(results) - good} | "
              + (f"{ratios[len(ratios) // 2]:.2f} | {ratios[-1]:.2f} |" if ratios else "| |"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--cases", default=os.path.join(HERE, "..", "fixtures", "onnx"))
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--far", action="store_true", help="more than 2 times onnxruntime's own error fails")
    parser.add_argument("-q", action="store_true", help="only the failures and the counts")
    parser.add_argument("--list", metavar="FILE")
    parser.add_argument("--table", action="store_true")
    a = parser.parse_intermixed_args()
    count, good, rows = {}, [], []
    for name, case in graph.cases(a.cases, a.parts):
        kind, text, x = run(a, case)
        count[kind] = count.get(kind, 0) + 1
        rows.append((name, kind, x))
        if kind == "ok" and x is not None:
            good.append(case["model"])
        if kind != "ok" or not a.q:
            print(f"{kind:8}{name}  {text}", flush=True)
    if a.list:
        with open(a.list, "w") as f:
            f.writelines(file + "\n" for file in good)
    if a.table:
        table(rows)
    print(", ".join(f"{n} {k}" for k, n in sorted(count.items())) or "no such case")
    return 0 if set(count) == {"ok"} else 1


if __name__ == "__main__":
    sys.exit(main())
