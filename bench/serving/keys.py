#!/usr/bin/env python3
"""keys.py BINARY: measure the latencies of a key that uses 5 % of the capacity, alone and beside a key that sends ten
times its rate, in turn. The rate of the latter is a fifth of the capacity, so this key sends twice as much as the
server can compute. BENCH_BURST sets its burst (default: a tenth of its rate). On a busy machine, run
chrt -f 10 python3 keys.py BINARY.
"""
import json, os, random, re, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(sys.argv[1])
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


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
        with open(f"{folder}/log", "w") as log:  # a file: a pipe would fill up
            process = subprocess.Popen([BINARY, "serve", "--config", f"{folder}/config.json", "--port", "0"], stderr=log)
        while not (ready := re.search(r"is ready at http://127.0.0.1:(\d+)", open(f"{folder}/log").read())):
            time.sleep(0.05)
        return process, int(ready[1])

    process, port = start()
    capacity = result(load(port, folder, quiet, "--connections", 16, "--seconds", 3))["goodput"]
    rate = max(round(capacity / 5), 1)
    process.terminate()
    process.communicate()
    burst = int(os.environ.get("BENCH_BURST", max(rate // 10, 1)))
    loud, loud_line = key("loud", "--rate", f"{rate}/{burst}")
    with open(f"{folder}/keys", "w") as file:
        file.write(quiet_line + "\n" + loud_line + "\n")
    process, port = start()
    print(f"  capacity {capacity:.0f} /s; the loud key may send {rate} /s, {burst} at once, and sends {rate * 10} /s")
    few = ("--connections", 16, "--rate", round(capacity / 20), "--seconds", SECONDS)
    ratios = []
    for _ in range(ROUNDS):
        alone = result(load(port, folder, quiet, *few))
        noise = load(port, folder, loud, "--connections", 64, "--rate", rate * 10, "--seconds", SECONDS + 1)
        beside = result(load(port, folder, quiet, *few))
        noise = result(noise)
        ratios.append(beside["p99"] / alone["p99"])
        print(f"  the quiet key: p99 {alone['p99']:.2f} ms alone, {beside['p99']:.2f} beside, {ratios[-1]:.2f} times; "
              f"the loud key: {noise['goodput']:.0f} /s answered, {noise['refused']} refused, p99 of refusals {noise['refused_p99']:.2f} ms")
    process.terminate()
    process.communicate()
    print(f"  p99 beside / alone, median: {statistics.median(ratios):.2f}")
