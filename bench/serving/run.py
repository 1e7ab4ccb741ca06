#!/usr/bin/env python3
"""run.py BINARY [SECTION...]: compare serving with other servers and with lower bounds, on the loopback address. Both
numbers of a ratio are from the same run.

Sections: peers, codec, http, batching, overload, slow, memory, sessions, windows, streams, scale, tls (default: all).
Peers are installed from PyPI into
build/serving; --no-triton leaves the larger one out. Tools: wrk, and load.c, floor.c, codec.c beside this file.
"""
import contextlib, http.client, json, os, platform, random, re, signal, statistics, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "serving")
MODELS = os.path.join(WORK, "models")
arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
BINARY = os.path.abspath(arguments[0])
SECTIONS = arguments[1:] or ["peers", "codec", "http", "batching", "overload", "slow", "memory", "sessions", "windows", "streams", "scale", "tls"]
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def lstm(units):
    return {"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": units}}] * 2}}


def sequence(timesteps, features):
    return [[random.uniform(-1, 1) for _ in range(features)] for _ in range(timesteps)]


def prepare():
    os.makedirs(MODELS, exist_ok=True)
    random.seed(1)
    whole = lambda units: {"class_name": "RNN", "config": {**lstm(units)["config"], "return_sequences": True}}
    config = {"log": {"level": "error"}, "limits": {"max_connections": 4096}, "models": [
        {"name": "m1", "input_size": 2, "layer": lstm(128)}, {"name": "m2", "input_size": 64, "layer": whole(128)},
        {"name": "m3", "input_size": 64, "layer": whole(256)}, {"name": "c4", "input_size": 64, "layer": lstm(256)},
        {"name": "w60", "input_size": 5, "window": 60, "layer": {"class_name": "Sequential", "config": {"layers": [
            {"class_name": "LSTM", "config": {"units": 50, "return_sequences": True}}, {"class_name": "LSTM", "config": {"units": 50}},
            {"class_name": "Dense", "config": {"units": 1}}]}}},
        {"name": "w60-small", "input_size": 5, "window": 60, "layer": {"class_name": "Sequential", "config": {"layers": [
            {"class_name": "LSTM", "config": {"units": 32}}, {"class_name": "Dense", "config": {"units": 1}}]}}},
        {"name": "one", "input_size": 1, "layer": {"class_name": "SimpleRNN", "config": {"units": 1}}}]}
    with open(f"{WORK}/config.json", "w") as file:
        json.dump(config, file)
    with open(f"{WORK}/mixed.tsv", "w") as file:  # model C4, requests of one row, 1 to 200 timesteps
        for _ in range(200):
            n = random.randint(1, 200)
            body = {"model": "c4", "return_state": False, "instances": [sequence(n, 64)]}
            file.write(f"{'short' if n <= 40 else 'long'}\t{json.dumps(body)}\n")
    with open(f"{WORK}/one.json", "w") as file:
        json.dump({"model": "one", "return_state": False, "instances": [[[0.5]]]}, file)
    run("cc", "-O2", "-D_GNU_SOURCE", "-o", f"{WORK}/load", f"{HERE}/load.c")
    run("cc", "-O2", "-o", f"{WORK}/floor", f"{HERE}/floor.c", "-lmicrohttpd", "-pthread")
    if not os.path.exists(f"{WORK}/tools/complete"):
        install("tools", "numpy", "onnx")
    run(f"{WORK}/tools/bin/python", f"{HERE}/peers/models.py", MODELS)


def install(name, *packages, python=sys.executable):
    run(python, "-m", "venv", f"{WORK}/{name}")
    run(f"{WORK}/{name}/bin/pip", "install", "-q", *packages)
    open(f"{WORK}/{name}/complete", "w").close()


def get(port, path, timeout=5):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@contextlib.contextmanager
def server(command, port, path, **environment):
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                if get(port, path)[0] == 200:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit(f"{command} does not become ready")
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cellserve(port, *flags):
    return server([BINARY, "serve", "--config", f"{WORK}/config.json", "--port", str(port), *flags], port, "/readyz")


def wrk(port, path, body, clients, headers="", seconds=SECONDS):
    return json.loads(run("wrk", "-t1", f"-c{clients}", f"-d{int(seconds)}s", "-s", f"{HERE}/post.lua", f"http://127.0.0.1:{port}{path}",
                          env={**os.environ, "BODY": body, "HEADERS": headers}).splitlines()[-1])


def load(port, path, *flags):
    return json.loads(run(f"{WORK}/load", str(port), path, *map(str, flags)))


def binary_headers(file):
    return "Content-Type: application/octet-stream\nInference-Header-Content-Length: " + open(f"{MODELS}/{file}.length").read()


# M1 to M3 by 1, 8 and 64 clients: requests a second and latencies.
CASES = [("m1", 1), ("m1", 8), ("m1", 64), ("m2", 1), ("m2", 8), ("m2", 64), ("m3", 1), ("m3", 8)]


def fastapi(port):
    if not os.path.exists(f"{WORK}/fastapi/complete"):
        install("fastapi", "fastapi", "uvicorn", "httptools", "uvloop", "orjson", "onnxruntime", "numpy")
    return server([f"{WORK}/fastapi/bin/python", "-m", "uvicorn", "fastapi_tuned:app", "--host", "127.0.0.1", "--port", str(port), "--loop",
                   "uvloop", "--http", "httptools", "--workers", "2", "--log-level", "warning", "--no-access-log"], port, "/health",
                  MODELS=MODELS, PYTHONPATH=f"{HERE}/peers")


def peers():
    results = {}

    def measure(name, port, path, body, headers=lambda case: "", cases=CASES):
        for case, clients in cases:
            results[name, case, clients] = wrk(port, path(case), f"{MODELS}/{body(case)}", clients, headers(case),
                                               seconds=SECONDS * (2 if case == "m3" else 1))

    with cellserve(9311):
        measure("cellserve", 9311, lambda c: "/predict", lambda c: f"{c}.json")
        measure("cellserve binary", 9311, lambda c: f"/v2/models/{c}/infer", lambda c: f"{c}.v2", lambda c: binary_headers(f"{c}.v2"),
                [("m3", 1), ("m3", 8)])
    environment = {"MODELS": MODELS, "PYTHONPATH": f"{HERE}/peers"}
    with fastapi(9312):
        measure("FastAPI, ONNX Runtime", 9312, lambda c: "/predict", lambda c: f"{c}.peer.json")
    if "--no-triton" not in sys.argv:
        if not os.path.exists(f"{WORK}/triton/complete"):  # its own interpreter wants Debian's
            install("triton", "nvidia-pytriton", "onnxruntime", "numpy", python="/usr/bin/python3")
        with server([f"{WORK}/triton/bin/python", f"{HERE}/peers/triton.py", "9313"], 9313, "/v2/models/m3/ready", **environment):
            measure("Triton front end, binary", 9313, lambda c: f"/v2/models/{c}/infer", lambda c: f"{c}.triton",
                    lambda c: binary_headers(f"{c}.triton"))
    names = sorted({name for name, _, _ in results})
    for case, clients in CASES:
        print(f"{case}, {clients} client{'s' if clients > 1 else ''}")
        json_peers = [r for (n, c, k), r in results.items() if (c, k) == (case, clients) and not n.startswith("cellserve") and
                      not (case == "m3" and "binary" in n)]  # most of the time is the text of numbers, so compare binary with binary
        own = results["cellserve", case, clients]
        for name in names:
            if r := results.get((name, case, clients)):
                print(f"  {name:26} {r['rps']:9.1f} /s  p50 {r['p50']:9.3f} ms  p99 {r['p99']:9.3f} ms  errors {r['errors']}")
        best = max(r["rps"] for r in json_peers)
        print(f"  cellserve / best peer: requests {own['rps'] / best:.2f}, p50 {own['p50'] / min(r['p50'] for r in json_peers):.2f}, "
              f"p99 {own['p99'] / min(r['p99'] for r in json_peers):.2f}")
        own, triton = results.get(("cellserve binary", case, clients)), results.get(("Triton front end, binary", case, clients))
        if own and triton:
            print(f"  binary, against Triton's: requests {own['rps'] / triton['rps']:.2f}, p50 {own['p50'] / triton['p50']:.2f}")


def codec():
    libraries = [f"{ROOT}/build/release/libcellserve_{x}.a" for x in ("server", "config", "core")]
    run("make", "-C", ROOT, *(os.path.relpath(x, ROOT) for x in libraries))
    run("cc", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}", "-c", f"{HERE}/codec.c", "-o", f"{WORK}/codec.o")
    run("c++", "-O3", "-std=c++17", "-c", f"{HERE}/codec_peers.cpp", "-o", f"{WORK}/codec_peers.o")
    flags = run("pkg-config", "--libs", "libmicrohttpd", "jansson", "openblas", "zlib", "hdf5", "libzip", "libseccomp").split()
    run("c++", "-o", f"{WORK}/codec", f"{WORK}/codec.o", f"{WORK}/codec_peers.o", "-Wl,--start-group", *libraries, "-Wl,--end-group",
        "-lsimdjson", "-lhdf5_hl", *flags, "-lm", "-pthread")
    print(run(f"{WORK}/codec", *(f"{MODELS}/{case}.json" for case in ("m1", "m2", "m3"))), end="")


# Compare with a bare libmicrohttpd program, in turn, several times; print the median ratio.
def against_floor(name, method, path, body):
    with cellserve(9321):
        size = len(get(9321, path)[1]) if method == "GET" else 60
        with server([f"{WORK}/floor", "9322", str(size)], 9322, "/"):
            for clients in (8, 64):
                ratios = []
                for _ in range(5):
                    rates = []
                    for port in (9321, 9322):
                        if method == "GET":
                            out = run("wrk", "-t1", f"-c{clients}", "-d1s", f"http://127.0.0.1:{port}{path}")
                            rates.append(float(re.search(r"Requests/sec: *([0-9.]+)", out)[1]))
                        else:
                            rates.append(wrk(port, path, body, clients, seconds=1)["rps"])
                    ratios.append((rates[0] / rates[1], *rates))
                ratio, own, floor = sorted(ratios)[2]
                print(f"  {name}, {clients} clients: {own:.0f} /s, bare libmicrohttpd {floor:.0f} /s, ratio {ratio:.2f}")


def http_overhead():
    against_floor("GET /livez", "GET", "/livez", None)
    against_floor("POST /predict, one SimpleRNN unit", "POST", "/predict", f"{WORK}/one.json")


def cpu_times(pid):
    """Seconds of CPU by kind of thread, which is the thread's name without its number."""
    kinds = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            kind = open(f"/proc/{pid}/task/{thread}/comm").read().strip().rstrip("0123456789").rstrip("-")
            kinds[kind] = kinds.get(kind, 0) + int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) * 1e-9
    return kinds


def show_functions(pid, seconds):
    """Print perf's samples by function, if perf is installed and allowed."""
    data = f"{WORK}/perf.data"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        run("perf", "record", "-q", "-o", data, "-F", "400", "-p", str(pid), "--", "sleep", str(seconds))
        report = run("perf", "report", "-i", data, "--no-children", "--sort", "comm,symbol", "--percent-limit", "1")
        rows = [line.split() for line in report.splitlines() if "%" in line and not line.startswith("#")]
        print("  functions: " + ", ".join(f"{row[1]} {row[3]} {row[0]}" for row in rows))


def engine_gain():
    """How many times as many rows the engine alone runs in a batch of 32, against single rows, on one thread."""
    with open(f"{WORK}/c4.json", "w") as file:
        json.dump(lstm(256), file)
    text = {rows: run(BINARY, "bench", f"{WORK}/c4.json", "--input-size", "64", "--batch", str(rows)) for rows in (1, 32)}
    rate = {rows: float(re.search(r"([\d.]+) timesteps/s of a sequence", out)[1]) for rows, out in text.items()}
    return rate[32] / rate[1]


def batching():
    flags = ("--lines", f"{WORK}/mixed.tsv", "--connections", 64, "--seconds", SECONDS)
    names, results = ("together", "one row at a time"), ([], [])
    for _ in range(5):
        for flag, rounds in zip(((), ("--batching-max-batch-rows", "1")), results):
            with cellserve(9331, *flag):
                rounds.append(load(9331, "/predict", *flags))
    for name, rounds in zip(names, results):
        goodput, short, long = (statistics.median(r[key] for r in rounds) for key in ("goodput", "p50_short", "p50_long"))
        print(f"  {name:18} {goodput:8.1f} /s  median of short ones {short:8.2f} ms, of long ones {long:8.2f} ms")
    ratios = [statistics.median(on[key] / off[key] for on, off in zip(*results)) for key in ("goodput", "p50_short")]
    print(f"  ratio of requests {ratios[0]:.2f}; of the medians of short ones {ratios[1]:.3f}; of the engine alone {engine_gain():.2f}")
    with cellserve(9331) as process:
        before, client = cpu_times(process.pid), os.times()
        load(9331, "/predict", *flags)
        after, client_after = cpu_times(process.pid), os.times()
        functions = threading.Timer(1, show_functions, (process.pid, max(1, SECONDS - 2)))
        functions.start()
        load(9331, "/predict", *flags)
        functions.join()
    used = {kind: after[kind] - before.get(kind, 0) for kind in after}
    used["client"] = sum(client_after[2:4]) - sum(client[2:4])
    print("  CPU: " + ", ".join(f"{kind} {share / sum(used.values()):.0%}" for kind, share in used.items()))


@contextlib.contextmanager
def on(cpus):
    """Processes that start in this context run only on these CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def overload():
    """Clients on CPUs of their own, like clients on other machines, and then on the same CPUs as the server."""
    cpus = sorted(os.sched_getaffinity(0))
    half = max(len(cpus) // 2, 1)
    if len(cpus) > 1:
        print(f"  server on CPUs {cpus[:half]}, clients on {cpus[half:]}, {7.5 * SECONDS:.0f} s each")
        overload_on(cpus[:half], cpus[half:], (2, 5, 10), 7.5 * SECONDS)
    print(f"  both on all CPUs, {3 * SECONDS:.0f} s each")
    overload_on(cpus, cpus, (2, 5), 3 * SECONDS)


def overload_on(server_cpus, client_cpus, factors, seconds):
    body = f"{MODELS}/m2.json"
    with contextlib.ExitStack() as stack:
        with on(server_cpus):
            stack.enter_context(cellserve(9341))
        stack.enter_context(on(client_cpus))
        peak = load(9341, "/predict", "--body", body, "--connections", 64, "--seconds", SECONDS)["goodput"]
        print(f"    peak {peak:.0f} /s (64 clients)")
        for times in factors:
            worst, stop = [0.0, 0], threading.Event()

            def probe():
                while not stop.wait(0.1):
                    began = time.monotonic()
                    status, _ = get(9341, "/readyz")
                    worst[0] = max(worst[0], time.monotonic() - began)
                    worst[1] += status != 200

            thread = threading.Thread(target=probe)
            thread.start()
            r = load(9341, "/predict", "--body", body, "--connections", 2000, "--rate", int(times * peak), "--seconds", seconds)
            stop.set()
            thread.join()
            sent = 1 - r["unsent"] / (times * peak * seconds)
            print(f"    {times} times that ({100 * sent:.0f} % could be sent): goodput {r['goodput'] / peak:.2f} of the peak; refused {r['refused']}, "
                  f"99 % of them within {r['refused_p99']:.0f} ms, without Retry-After {r['without_retry']}; resets {r['errors']}; "
                  f"worst probe {worst[0] * 1e3:.0f} ms, failed {worst[1]}")
            time.sleep(1)
            after = load(9341, "/predict", "--body", body, "--connections", 8, "--seconds", 1)
            print(f"      a second later, 8 clients: {after['goodput']:.0f} /s, refused {after['refused']}")


def slow():
    body, read_ms = f"{MODELS}/m1.json", 3000
    with cellserve(9351, "--limits-read-timeout-ms", str(read_ms)):
        quiet = load(9351, "/predict", "--body", body, "--connections", 8, "--seconds", SECONDS)
        print(f"  quiet: {quiet['goodput']:.0f} /s, p99 {quiet['p99']:.2f} ms")
        for attack in ("head", "body", "read"):
            attacked = f"{MODELS}/m2.json"
            process = subprocess.Popen([f"{WORK}/load", "9351", "/predict", "--attack", attack, "--connections", "1000", "--seconds", "20",
                                        "--body", attacked], stdout=subprocess.PIPE, text=True)
            time.sleep(0.5)
            beside = load(9351, "/predict", "--body", body, "--connections", 8, "--seconds", SECONDS)
            r = json.loads(process.communicate()[0])
            print(f"  1000 slow at the {attack}: p99 of others {beside['p99'] / quiet['p99']:.2f} times the quiet one; {r['cut']} cut, "
                  f"after {r['first_s']:.1f} to {r['last_s']:.1f} s (read_timeout_ms {read_ms})")


def resident(process):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{process.pid}/status").read())[1])


def memory():
    requests = int(os.environ.get("BENCH_REQUESTS", "200000"))
    with cellserve(9361) as process:
        for count in (requests // 10, requests):
            done = 0
            while done < count:
                done += wrk(9361, "/predict", f"{WORK}/one.json", 64, seconds=2)["rps"] * 2
            print(f"  resident {resident(process)} KiB after {done:.0f} requests more")
        for case in ("m2", "m3"):
            before = resident(process)
            peak = [before]
            stop = threading.Event()

            def watch():
                while not stop.wait(0.001):
                    peak[0] = max(peak[0], resident(process))

            thread = threading.Thread(target=watch)
            thread.start()
            connection = http.client.HTTPConnection("127.0.0.1", 9361)
            body = open(f"{MODELS}/{case}.json", "rb").read()
            for _ in range(3):
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                answer = connection.getresponse().read()
            stop.set()
            thread.join()
            limit = 8 * (len(body) + len(answer)) // 1024 + 64
            print(f"  {case}: {peak[0] - before} KiB more at most, {len(body) + len(answer)} bytes in and out (8 times and 64 KiB: {limit} KiB)")


def sessions():
    """10,000 live sessions in turn, one timestep of one sequence per request; compares the stores, and no batching."""
    inputs = [[round(random.uniform(-1, 1), 4) for _ in range(64)] for _ in range(50)]
    with open(f"{WORK}/sessions.tsv", "w") as file:
        for i in range(10000):
            body = {"model": "c4", "session": f"s{i}", "return_state": False, "instances": [[inputs[i % 50]]]}
            file.write(f"s\t{json.dumps(body)}\n")
    redis = subprocess.Popen(["redis-server", "--port", "9372", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    kinds = {"memory": (), "one row at a time": ("--batching-max-batch-rows", "1"), "Redis": ("--sessions-store", "redis://127.0.0.1:9372")}
    try:
        for connections in (16, 64):
            rates = {name: [] for name in kinds}
            for _ in range(3):
                for name, flags in kinds.items():
                    with cellserve(9371, *flags):
                        flags = ("--lines", f"{WORK}/sessions.tsv", "--connections", connections, "--seconds")
                        load(9371, "/predict", *flags, 1)  # creates all sessions
                        rates[name].append(load(9371, "/predict", *flags, SECONDS)["goodput"])
            rate = {name: statistics.median(values) for name, values in rates.items()}
            print(f"  {connections} connections: " + ", ".join(f"{name} {value:.0f} steps/s" for name, value in rate.items()))
            print(f"    memory {rate['memory'] / rate['one row at a time']:.2f} times one row at a time; Redis {rate['Redis'] / rate['memory']:.2f} of memory")
    finally:
        redis.terminate()
        redis.wait()


def group_seconds(process):
    """Seconds of CPU of a server and its children."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ProcessLookupError):
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12]) if int(fields[2]) == process.pid else 0
    return total / os.sysconf("SC_CLK_TCK")


def measured(process, port, *flags, seconds=SECONDS):
    """Requests per second, and per second of the server's CPU time."""
    before = group_seconds(process)
    r = load(port, "/predict", *flags, "--seconds", seconds)
    used = group_seconds(process) - before
    if r["refused"] or r["other"] or r["errors"]:
        raise SystemExit(f"some requests were not answered: {r}")
    return r["goodput"], r["goodput"] * seconds / max(used, 0.01)


def write_lines(name, bodies):
    with open(f"{WORK}/{name}.tsv", "w") as file:
        file.writelines(f"w\t{json.dumps(body)}\n" for body in bodies)
    return ("--lines", f"{WORK}/{name}.tsv", "--connections")


def windows():
    """Windows of 60 timesteps with 5 features; 2 x LSTM(50) and Dense(1)."""
    values = [[round(random.uniform(-1, 1), 4) for _ in range(5)] for _ in range(60000)]
    ask = {"model": "w60", "return_state": False}
    first = write_lines("first", ({**ask, "session": f"s{i}", "instances": [values[i:i + 60]]} for i in range(10000)))
    one = write_lines("one-sample", ({**ask, "session": f"s{i}", "instances": [[values[i + 60]]]} for i in range(10000)))
    whole = write_lines("whole", ({"model": "w60", "inputs": [values[i + 1:i + 61]]} for i in range(10000)))
    with cellserve(9391) as process:
        slide(process, "w60", "2 x LSTM(50)", values)
        slide(process, "w60-small", "LSTM(32)", values)
        load(9391, "/predict", *first, 64, "--seconds", 4 * SECONDS)
        own = measured(process, 9391, *one, 64, seconds=2 * SECONDS)
        answer = post(9391, {**ask, "session": "s9999", "instances": [[values[0]]]})
        assert answer["window"]["filled"] == [60], answer
    with fastapi(9392) as process:
        load(9392, "/predict", *whole, 64, "--seconds", 1)
        peer = measured(process, 9392, *whole, 64, seconds=2 * SECONDS)
    print(f"  10,000 sessions, one new sample a request, 64 connections: {own[0]:.0f} /s, {own[1]:.0f} a second of CPU")
    print(f"  FastAPI with ONNX Runtime, whole windows: {peer[0]:.0f} /s, {peer[1]:.0f} a second of CPU")
    print(f"    cellserve / FastAPI: requests {own[0] / peer[0]:.2f}, of CPU {own[1] / peer[1]:.2f}")


def post(port, body):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/predict", json.dumps(body))
    return json.loads(connection.getresponse().read())


def slide(process, model, layers, values):
    """Compare all windows of a long sequence in one request with windows one by one."""
    ask = {"model": model, "return_state": False}
    alone = write_lines("alone", ({**ask, "instances": [values[i:i + 60]]} for i in range(4000)))
    results = {n: measured(process, 9391, *alone, n) for n in (1, 64)}
    began, used = time.perf_counter(), group_seconds(process)
    n = len(post(9391, {**ask, "slide": True, "instances": [values]})["outputs"][0])
    rate, per_cpu = n / (time.perf_counter() - began), n / (group_seconds(process) - used)
    print(f"  {layers}, slide over 60000 timesteps: {rate:.0f} windows/s, {per_cpu:.0f} a second of CPU")
    for connections, (single, of_cpu) in results.items():
        print(f"    one by one, {connections} connection{'s' if connections > 1 else ''}: {single:.0f} /s, {of_cpu:.0f} a second of CPU; "
              f"slide {rate / single:.2f} times, of CPU {per_cpu / of_cpu:.2f} times")


def streams():
    """The time from the end of a request of 10,000 timesteps to its first event, and the memory of roll-outs."""
    config = {"log": {"level": "error"}, "models": [
        {"name": "f2", "input_size": 2, "layer": lstm(128)}, {"name": "f64", "input_size": 64, "layer": lstm(256)},
        {"name": "echo", "input_size": 64, "layer": lstm(64)}]}
    with open(f"{WORK}/streams.json", "w") as file:
        json.dump(config, file)
    with server([BINARY, "serve", "--config", f"{WORK}/streams.json", "--port", "9381"], 9381, "/readyz") as process:
        for name, features in (("f2", 2), ("f64", 64)):
            values = [[round(random.uniform(-1, 1), 4) for _ in range(features)] for _ in range(10000)]
            body = json.dumps({"model": name, "instances": [values]})
            firsts = []
            for _ in range(20):
                connection = http.client.HTTPConnection("127.0.0.1", 9381)
                connection.request("POST", "/predict", body, {"Accept": "application/x-ndjson"})
                began = time.perf_counter()
                answer = connection.getresponse()
                answer.readline()
                firsts.append((time.perf_counter() - began) * 1e3)
                answer.read()
            timing = f"{statistics.median(firsts):.2f} ms, at most {max(firsts):.2f} ms"
            print(f"  {name}, {features} features, {len(body)} bytes: first event after {timing}")
        for steps in (1000, 60000):
            body = json.dumps({"model": "echo", "instances": [[[0.5] * 64]], "rollout": {"steps": steps}})
            connection = http.client.HTTPConnection("127.0.0.1", 9381)
            connection.request("POST", "/predict", body, {"Accept": "text/event-stream"})
            answer, most, total = connection.getresponse(), 0, 0
            while piece := answer.read1(65536):
                total += len(piece)
                most = max(most, resident(process))
            print(f"  roll-out of {steps} steps: {total} bytes streamed, resident {most} KiB at most")


def scale():
    run("make", "-C", ROOT, "--no-print-directory", "VARIANT=locks", "build/locks/cellserve")
    print(run(f"{HERE}/scale.py", BINARY, f"{ROOT}/build/locks/cellserve"), end="")


def tls():
    print(run(f"{HERE}/tls.py", BINARY), end="")


prepare()
cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
isa = run(BINARY, "bench", os.path.join(ROOT, "demo", "seed"), "--seconds", "1").splitlines()[0]
print(f"{cpu}, {os.cpu_count()} CPUs, {platform.release()}; {isa}")
for section in SECTIONS:
    print(f"== {section}")
    {"peers": peers, "codec": codec, "http": http_overhead, "batching": batching, "overload": overload, "slow": slow,
     "memory": memory, "sessions": sessions, "windows": windows, "streams": streams, "scale": scale, "tls": tls}[section]()
    sys.stdout.flush()
