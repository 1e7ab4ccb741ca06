#!/usr/bin/env python3
"""keys.py BINARY: measure the latencies of a key that uses 5 % of the capacity, alone and beside a key that sends ten
times its rate. The rate of the latter is a fifth of the capacity, so this key sends twice as much as the server can
compute.
"""
import json, os, random, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(sys.argv[1])
SECONDS = float(os.environ.get("BENCH_SECONDS", "10"))


def key(name, *flags):
    text, line = subprocess.run([BINARY, "key", name, "predict", *flags], check=True, capture_output=True, text=True).stdout.split("\n")[:2]
    return text, line


def load(port, folder, name, *flags):
    command = [f"{folder}/load", str(port), "/predict", "--body", f"{folder}/body", "--header", f"X-API-Key: {name}", *map(str, flags)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(process):
    return json.loads(process.communicate()[0])


with tempfile.TemporaryDirectory() as folder:
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", f"{folder}/load", f"{HERE}/load.c"], check=True)
    with open(f"{folder}/body", "w") as file:
        json.dump({"return_state": False, "instances": [[[round(random.uniform(-1, 1), 3) for _ in range(2)] for _ in range(60)]]}, file)
    lstm = {"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": 256}}] * 2}}
    with open(f"{folder}/config.json", "w") as file:
        json.dump({"log": {"level": "info"}, "models": [{"name": "m", "input_size": 2, "layer": lstm}], "auth": {"keys": f"{folder}/keys"}}, file)
    quiet, quiet_line = key("quiet")
    with open(f"{folder}/keys", "w") as file:
        file.write(quiet_line + "\n")

    def start():
        process = subprocess.Popen([BINARY, "serve", "--config", f"{folder}/config.json", "--port", "0"], stderr=subprocess.PIPE, text=True)
        return process, next(int(m[1]) for line in process.stderr if (m := re.search(r"is ready at http://127.0.0.1:(\d+)", line)))

    process, port = start()
    capacity = result(load(port, folder, quiet, "--connections", 16, "--seconds", 3))["goodput"]
    rate = max(round(capacity / 5), 1)
    process.terminate()
    process.communicate()
    loud, loud_line = key("loud", "--rate", f"{rate}/{max(rate // 10, 1)}")
    with open(f"{folder}/keys", "w") as file:
        file.write(quiet_line + "\n" + loud_line + "\n")
    process, port = start()
    few = ("--connections", 16, "--rate", round(capacity / 20), "--seconds", SECONDS)
    rounds = []
    for _ in range(3):
        alone = result(load(port, folder, quiet, *few))
        noise = load(port, folder, loud, "--connections", 64, "--rate", rate * 10, "--seconds", SECONDS + 1)
        beside = result(load(port, folder, quiet, *few))
        rounds.append((beside["p99"] / alone["p99"], alone, beside, result(noise)))
    process.terminate()
    process.communicate()
    ratio, alone, beside, noise = sorted(rounds, key=lambda r: r[0])[1]
    print(f"  capacity {capacity:.0f} /s; the loud key may send {rate} /s and sends {rate * 10}: {noise}")
    print(f"  the quiet key alone {alone}")
    print(f"  the quiet key beside it {beside}")
    print(f"  p99 beside / alone {ratio:.2f} (median of three: {', '.join(f'{r[0]:.2f}' for r in rounds)})")
