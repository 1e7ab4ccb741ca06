#!/usr/bin/env python3
"""scale.py BINARY [LOCKS_BINARY] [--check]: project the requests per second for more cores from the time that a request
uses of each resource.

On one core, the script measures the CPU time per request of each I/O thread, of the workers, of other threads and of
the client. With LOCKS_BINARY (make VARIANT=locks) it measures how long requests hold each shared lock. Other processes
on the same core do not change CPU times. The projection for n cores is the least of
  cores / all CPU time of a request,  I/O threads / their time,  1 / the time of each lock,  1 / the time of Redis's thread,
  1 / the time of the counters that every request changes.
On a machine with two CPUs, the same formula predicts the requests per second of server and client on two cores. If the
machine has no other work, this is compared with the measured number; otherwise with the formula for CPU times measured
on two cores. --check fails if the two differ by more than 10 %.
"""
import json, os, random, re, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request

PATHS = [a for a in sys.argv[1:] if not a.startswith("--")]
BINARY = os.path.abspath(PATHS[0])
LOCKS = os.path.abspath(PATHS[1]) if len(PATHS) > 1 else None
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS = 3  # one core and two cores in turn
CONNECTIONS = 8  # for each core, so that as many rows run side by side on two cores as on one
OTHERS = 0.05  # if other processes use a larger share of the CPUs, wall-clock times are not reliable
CORES = (1, 2, 4, 8, 16, 32, 64)
COUNTERS = 4  # the most changes that every request makes to one cache line (pool.queued, host.recall, backlog_ns)
TRANSFER_US = 0.1  # of a cache line between cores, for each change and each acquisition (not measured)
OWN = ("table->lock", "own->lock", "best->lock", "all->tables[t].lock", "stream->lock", "part->lock", "to->lock", "from->lock", "worker->lock", "reader->lock")
PARTS = {"shard->lock": 16}  # tables whose parts have separate locks, and the least number of parts


def model(units, whole):
    cell = {"class_name": "LSTMCell", "config": {"units": units}}
    return {"class_name": "RNN", "config": {"cell": [cell] * 2, "return_sequences": whole, "return_state": True}}


def tensor(rows, steps, features):
    return [[[round(random.uniform(-1, 1), 6) for _ in range(features)] for _ in range(steps)] for _ in range(rows)]


def prepare(folder):
    random.seed(1)
    cases = {"M1": {"model": "m1", "instances": tensor(3, 5, 2)}, "M2": {"model": "m2", "instances": tensor(1, 100, 64)},
             "M3": {"model": "m3", "instances": tensor(32, 100, 64)},
             "session step": {"model": "m1", "session": "SESSION", "instances": tensor(1, 1, 2)}}
    config = {"log": {"level": "error"}, "limits": {"drain_delay_ms": 0}, "models": [
        {"name": "m1", "input_size": 2, "layer": model(128, False)}, {"name": "m2", "input_size": 64, "layer": model(128, True)},
        {"name": "m3", "input_size": 64, "layer": model(256, True)}]}
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)
    for name, body in cases.items():
        with open(f"{folder}/{name}.lua", "w") as file:
            file.write('local body, i = [==[%s]==], 0\n'
                       'request = function() i = i + 1; return wrk.format("POST", "/predict", '
                       '{["Content-Type"] = "application/json"}, (body:gsub("SESSION", "s" .. i %% 500))) end\n' % json.dumps(body))
    return list(cases)


def times(pid):
    """CPU time in us by thread name; threads with the same name are added up."""
    sums = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            name = open(f"/proc/{pid}/task/{thread}/comm").read().strip()
            sums[name] = sums.get(name, 0) + int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) / 1e3
        except OSError:
            pass  # the thread has ended
    return sums


def busy_s(cpus):
    """Seconds during which these CPUs were not idle."""
    rows = [line.split() for line in open("/proc/stat") if line.startswith("cpu")]
    tick = os.sysconf("SC_CLK_TCK")
    return sum(sum(map(int, row[1:4] + row[6:9])) / tick for row in rows if row[0] in {f"cpu{cpu}" for cpu in cpus})


def measure(binary, folder, case, cpus, redis=None, seconds=SECONDS):
    """Returns requests per second, CPU time per request in us by thread name and for the client ("client"), the number
    of requests, and the share of the CPUs that other processes used."""
    connections = CONNECTIONS * len(cpus)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    on = lambda: os.sched_setaffinity(0, cpus)
    flags = ["--sessions-store", redis] if redis else []
    server = subprocess.Popen([binary, "serve", "--config", f"{folder}/config.json", "--port", str(port), "--io-threads", "1", *flags],
                              stderr=subprocess.DEVNULL, preexec_fn=on, env={**os.environ, "LOCK_COUNTS": f"{folder}/locks"})
    try:
        for _ in range(400):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5)
                break
            except OSError:
                time.sleep(0.05)
        client = lambda n: subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{n}s", "-s", f"{folder}/{case}.lua",
                                           f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, preexec_fn=on).stdout
        client(1)
        before, children, busy, began = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN), busy_s(cpus), time.time()
        out = client(seconds)
        after, grown = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        busy, took = busy_s(cpus) - busy, time.time() - began
        if "Non-2xx" in out:
            raise SystemExit(f"{case}: {out}")
        n = int(re.search(r"(\d+) requests in", out)[1])
        if not n:
            raise SystemExit(f"{case}: no request was answered within {seconds} s; set BENCH_SECONDS")
        cost = {name: (after[name] - before.get(name, 0)) / n for name in after}
        cost["client"] = (grown.ru_utime + grown.ru_stime - children.ru_utime - children.ru_stime) * 1e6 / n
        others = max(0, busy - sum(cost.values()) * n / 1e6) / took / len(cpus)
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), cost, n, others
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def lock_times(folder, case, cpus, redis):
    """The time in us for which a request holds each shared lock."""
    if not LOCKS:
        return {}
    n = measure(LOCKS, folder, case, cpus, redis)[2]
    n += n / SECONDS  # the warm-up of one second
    locks = {}
    for line in open(f"{folder}/locks"):
        name, taken, _, held, _ = line.rstrip("\n").split("\t")
        name = name.lstrip("&").replace("connection->", "")
        if name not in OWN and int(taken) > n / 20:
            us = int(held) / n / 1e3 + int(taken) / n * TRANSFER_US
            locks[name] = locks.get(name, 0) + us / PARTS.get(name, 1)
    return locks


def split(cost):
    io = cost.get("io-0", 0)
    store = sum(us for name, us in cost.items() if name.startswith("redis"))
    return io, store, sum(us for name, us in cost.items() if name != "client")


def project(io, store, total, locks, cores):
    threads = max(1, cores // 4)
    limits = {"CPUs": cores / total, f"{threads} I/O thread{'s' * (threads > 1)}": threads / io}
    limits.update({name: 1 / us for name, us in locks.items()})
    limits["counters"] = 1 / (COUNTERS * TRANSFER_US)
    if store:
        limits["Redis's thread"] = 1 / store
    name = min(limits, key=limits.get)
    return limits[name] * 1e6, name


def median_of(runs):
    """The median of each number of several runs (requests per second, cost, …)."""
    names = {name for run in runs for name in run[1]}
    cost = {name: statistics.median(run[1].get(name, 0) for run in runs) for name in names}
    return statistics.median(run[0] for run in runs), cost, max(run[3] for run in runs)


def two_cores(cost):
    """Requests per second of server and client on two cores, without other processes."""
    io, _, total = split(cost)
    return 1e6 * min(2 / (total + cost["client"]), 1 / cost["client"], 1 / io)


def show(name, folder, case, redis=None):
    cpus = sorted(os.sched_getaffinity(0))
    ones, twos = [], []
    for _ in range(ROUNDS):
        ones.append(measure(BINARY, folder, case, {cpus[0]}, redis))
        if len(cpus) > 1:
            twos.append(measure(BINARY, folder, case, set(cpus[:2]), redis))
    rps, cost, others = median_of(ones)
    io, store, total = split(cost)
    locks = lock_times(folder, case, {cpus[0]}, redis)
    print(f"{name}: a request needs {io:.1f} us of an I/O thread, {total - io - store:.1f} of workers and others, "
          + (f"{store:.1f} of Redis's thread, " if store else "") + f"{cost['client']:.1f} of the client; of locks "
          + (", ".join(f"{lock} {us:.2f}" for lock, us in sorted(locks.items(), key=lambda row: -row[1])) or
             ("none" if LOCKS else "not measured")))
    first = project(io, store, total, locks, 1)[0]
    for cores in CORES:
        projected, limit = project(io, store, total, locks, cores)
        print(f"  {cores:3} cores: {projected:9.0f} requests a second, {projected / first:5.1f} times, limited by {limit}")
    if not twos:
        return True
    measured, cost_two, others_two = median_of(twos)
    others, predicted = max(others, others_two), two_cores(cost)
    by_cpu = two_cores(cost_two)
    compared = by_cpu if others > OTHERS else measured
    print(f"  server and client on one core {rps:.0f}, on two {measured:.0f}, by the CPU times there {by_cpu:.0f}; predicted "
          f"{predicted:.0f}")
    if others > OTHERS:
        print(f"  other processes had up to {others:.0%} of the CPUs, so the CPU times are compared:", end="")
    print(f"  {predicted / compared - 1:+.1%}; load average {os.getloadavg()[0]:.1f}")
    return abs(predicted / compared - 1) <= 0.1


def main():
    good, redis = True, shutil.which("redis-server")
    with tempfile.TemporaryDirectory() as folder:
        cases = prepare(folder)
        for case in os.environ.get("BENCH_CASES", ",".join(cases)).split(","):
            good &= show(case, folder, case)
        if redis:
            path = f"{folder}/redis.sock"
            peer = subprocess.Popen([redis, "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
            time.sleep(0.5)
            try:
                good &= show("session step, Redis", folder, "session step", f"redis+unix://{path}")
            finally:
                peer.terminate()
                peer.wait()
    if "--check" in sys.argv and not good:
        raise SystemExit("the prediction for two cores is off by more than 10 %")


main()
