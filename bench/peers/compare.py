#!/usr/bin/env python3
"""compare.py BINARY CASES SECONDS: print the medians of every engine and of BINARY, and the ratios.

The binary is measured before and after the peers of a case. The lowest median of an engine is its time, because the
machine may be shared.
"""
import json, os, re, subprocess, sys, tempfile

CASES = {  # cell, batch, timesteps, features, units, layers
    "C1": ("LSTM", 3, 5, 2, 128, 2),
    "C2": ("LSTM", 1, 1, 64, 256, 2),
    "C3": ("LSTM", 1, 100, 64, 128, 2),
    "C4": ("LSTM", 32, 100, 64, 256, 2),
    "C5": ("LSTM", 64, 50, 512, 1024, 2),
    "C6": ("GRU", 32, 100, 64, 256, 3),
    "C7": ("SimpleRNN", 16, 200, 32, 128, 2),
    "C8": ("LSTM", 1, 100, 512, 1024, 2),
}
PEERS = ("ort", "openvino", "onednn", "onednn-split")
binary, cases, seconds = sys.argv[1], sys.argv[2].split(","), sys.argv[3]
here = os.path.dirname(os.path.abspath(__file__))


def own(case, threads, folder):
    cell, batch, steps, features, units, layers = CASES[case]
    path = os.path.join(folder, case + ".json")
    cells = [{"class_name": cell + "Cell", "config": {"units": units}}] * layers
    with open(path, "w") as f:
        json.dump({"class_name": "RNN", "config": {"return_sequences": True, "return_state": True, "cell": cells}}, f)
    text = subprocess.run([binary, "bench", path, "--input-size", str(features), "--batch", str(batch), "--timesteps",
                           str(steps), "--threads", str(threads)], capture_output=True, text=True, check=True).stdout
    return text.split(",")[0] + "," + text.split(",")[1], float(re.search(r"median ([0-9.]+) us", text)[1])


def peer(engine, case, threads):
    run = subprocess.run([sys.executable, os.path.join(here, "peers.py"), "--case", case, "--engine", engine, "--threads",
                          str(threads), "--seconds", seconds], capture_output=True, text=True)
    for line in run.stdout.splitlines():
        if line.startswith("{"):
            return json.loads(line)["us_med"]
    print(f"{engine} {case}: {run.stderr[-300:]}", file=sys.stderr)
    return float("inf")


with tempfile.TemporaryDirectory() as folder:
    print("case threads | cellserve us | " + " | ".join(PEERS) + " | best peer / cellserve")
    for case in cases:
        for threads in (1, 2):
            name, first = own(case, threads, folder)
            times = [peer(e, case, threads) for e in PEERS]
            mine = min(first, own(case, threads, folder)[1])
            print(f"{case} {threads} | {mine:.1f} | " + " | ".join(f"{t:.1f}" for t in times) + f" | {min(times) / mine:.2f}",
                  flush=True)
    print(name)
