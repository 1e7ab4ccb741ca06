#!/usr/bin/env python3
"""Print a table for docs/parity.md: published architectures, and whether a binary serves them.

  wild_table.py BINARY CONFIGURATIONS CASES     CONFIGURATIONS and CASES: the input and output of wild.py
"""
import glob, json, os, re, subprocess, sys

binary, configurations, cases = sys.argv[1:]
check = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "graph", "check.py")
lines = subprocess.run([sys.executable, check, binary, "--cases", cases], capture_output=True, text=True).stdout.splitlines()
found = {}
for line in lines:
    m = re.match(r"(\w+) +wild_(\d+)\S*  (.*)", line)
    if m:
        found.setdefault(m[2], []).append((m[1], m[3]))
refusals = {}
for path in glob.glob(os.path.join(cases, "refused?.txt")):
    with open(path) as f:
        refusals.update(line.rstrip().split("  ", 1) for line in f)
count = {"served": 0, "refused": 0, "wrong": 0, "refused by Keras": 0}
rows = []
for path in sorted(glob.glob(os.path.join(configurations, "*.json"))):
    number = os.path.basename(path)[:-5]
    with open(path) as f:
        source = json.load(f)
    if number not in found:
        count["refused by Keras"] += 1
        state, layers = "refused by Keras: " + re.sub(r"Keras [\d.]+: ", "", refusals.get(number, ""))[:110], ""
    else:
        with open(os.path.join(cases, f"wild_{number}.json")) as f:
            layers = " ".join(x for x in json.load(f)["layers"] if x not in ("Functional", "Sequential", "InputLayer"))
        kinds = [kind for kind, _ in found[number]]
        if set(kinds) == {"ok"}:
            state = f"served, {max((text.split()[0] for _, text in found[number]), key=lambda x: float(x[1:]))}"
            count["served"] += 1
        else:
            bad = next((kind, text) for kind, text in found[number] if kind != "ok")
            count["refused" if bad[0] == "refused" else "wrong"] += 1
            state = f"{bad[0]}: {re.sub('^[^ ]*: ', '', bad[1])[:110]}"
    rows.append(f"| {number} | {source['written_by_keras'] or '2'} | {layers} | {state.replace('|', ' ')} |")
print(", ".join(f"{n} {k}" for k, n in count.items() if n) + ".\n\n| number | Keras | layers | state |\n| --- | --- | --- | --- |")
print("\n".join(rows))
