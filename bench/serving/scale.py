#!/usr/bin/env python3
"""scale.py BINARY [LOCKS_BINARY] [--check]: project the requests per second for more cores from the time that a request
uses of each resource.

On one core, the script measures the CPU time per request of each I/O thread, of the workers, of other threads, of the
client and of Redis. With LOCKS_BINARY (make VARIANT=locks) it measures how long requests hold each shared lock. Other
processes on the same core do not change CPU times. The projection for n cores is the least of
  cores / all CPU time of the server,  I/O threads / their time,  1 / the time of each lock,  1 / the time of Redis, and of
  the thread that talks to it,  1 / the time of the counters that every request changes.
On a machine with two CPUs, the same formula predicts the requests per second of server, client and Redis together on two
cores. If the machine has no other work, this is compared with the measured number; otherwise with the formula for CPU
times measured on two cores. --check fails if the median of the pairs differs by more than 10 %.
"""
import collections, json, os, random, re, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time, urllib.request

PATHS = [a for a in sys.argv[1:] if not a.startswith("--")]
BINARY = os.path.abspath(PATHS[0])
LOCKS = os.path.abspath(PATHS[1]) if len(PATHS) > 1 else None
SECONDS = int(os.environ.get("BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))  # one core and two cores in turn
CONNECTIONS = {"M3": 8}  # for each core, otherwise 64: batches (64 rows) are full on one core and on two
OTHERS = 0.05  # if other processes use a larger share of the CPUs, wall-clock times are not reliable
CORES = (1, 2, 4, 8, 16, 32, 64)
COUNTERS = 4  # the most changes that every request makes to one cache line (pool.queued, host.recall, backlog_ns)
TRANSFER_US = 0.1  # of a cache line between cores, for each change and each acquisition (not measured)
OWN = ("table->lock", "own->lock", "best->lock", "all->tables[t].lock", "stream->lock", "part->lock", "to->lock", "from->lock", "worker->lock", "reader->lock")
PARTS = {"shard->lock": 16}  # tables whose parts have separate locks, and the least number of parts


Store = collections.namedtuple("Store", "url pid")


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
            file.write('wrk.method, wrk.path, wrk.body = "POST", "/predict", [==[%s]==]\n'
                       'wrk.headers["Content-Type"] = "application/json"\n' % json.dumps(body))
            if "session" in body:
                file.write('local body, i = wrk.body, 0\n'
                           'request = function() i = i + 1; return wrk.format(nil, nil, nil, (body:gsub("SESSION", "s" .. i % 500))) end\n')
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


def measure(binary, folder, case, cpus, store=None, seconds=SECONDS):
    """Returns requests per second, CPU time per request in us by thread name, for the client ("client") and for Redis
    ("store"), the number of requests, and the share of the CPUs that other processes used."""
    connections = CONNECTIONS.get(case, 64) * len(cpus)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    on = lambda: os.sched_setaffinity(0, cpus)
    flags = ["--sessions-store", store.url] if store else []
    if store:
        for thread in os.listdir(f"/proc/{store.pid}/task"):
            os.sched_setaffinity(int(thread), cpus)
    stored = lambda: sum(times(store.pid).values()) if store else 0
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
        before, children, kept = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN), stored()
        busy, began = busy_s(cpus), time.time()
        out = client(seconds)
        after, grown, kept = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN), stored() - kept
        busy, took = busy_s(cpus) - busy, time.time() - began
        if "Non-2xx" in out:
            raise SystemExit(f"{case}: {out}")
        n = int(re.search(r"(\d+) requests in", out)[1])
        if not n:
            raise SystemExit(f"{case}: no request was answered within {seconds} s; set BENCH_SECONDS")
        cost = {name: (after[name] - before.get(name, 0)) / n for name in after}
        cost["store"] = kept / n
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
    """CPU time of the I/O thread, of the thread that talks to Redis, and of the whole server."""
    link = sum(us for name, us in cost.items() if name.startswith("redis"))
    return cost.get("io-0", 0), link, sum(us for name, us in cost.items() if name not in ("client", "store"))


def project(cost, locks, cores):
    """Requests per second of a server with this number of cores for itself, and the resource that limits them."""
    io, link, total = split(cost)
    threads = max(1, cores // 4)
    limits = {"CPUs": cores / total, f"{threads} I/O thread{'s' * (threads > 1)}": threads / io}
    limits.update({name: 1 / us for name, us in locks.items()})
    limits["counters"] = 1 / (COUNTERS * TRANSFER_US)
    if link:
        limits["the thread that talks to Redis"] = 1 / link
        limits["Redis"] = 1 / cost["store"]
    name = min(limits, key=limits.get)
    return limits[name] * 1e6, name


def best_of(runs):
    """The run that other work on the machine has disturbed least."""
    return max(runs, key=lambda run: run[0])


def two_cores(cost):
    """Requests per second of server, client and store on two cores, without other processes."""
    return 1e6 * min(2 / sum(cost.values()), 1 / max(cost["client"], cost["store"], cost.get("io-0", 0)))


def compare(ones, twos):
    """The prediction for two cores, from each run on one core, against the run on two cores that followed."""
    others = max(run[3] for run in ones + twos)
    by_cpu = others > OTHERS
    measured = [two_cores(run[1]) if by_cpu else run[0] for run in twos]
    ratios = [two_cores(one[1]) / two for one, two in zip(ones, measured)]
    if by_cpu:
        print(f"  other processes had up to {others:.0%} of the CPUs, so CPU times are compared, not requests a second")
    print(f"  server, store and client on one core {best_of(ones)[0]:.0f}, on two {best_of(twos)[0]:.0f} requests a second; predicted against "
          f"measured, median of {len(ratios)} pairs: {statistics.median(ratios) - 1:+.1%} ({min(ratios) - 1:+.1%} to {max(ratios) - 1:+.1%}); "
          f"load average {os.getloadavg()[0]:.1f}")
    return abs(statistics.median(ratios) - 1) <= 0.1


def show(name, folder, case, redis=None):
    cpus = sorted(os.sched_getaffinity(0))
    ones, twos = [], []
    for _ in range(ROUNDS):
        ones.append(measure(BINARY, folder, case, {cpus[0]}, redis))
        if len(cpus) > 1:
            twos.append(measure(BINARY, folder, case, set(cpus[:2]), redis))
    cost = best_of(ones)[1]
    io, link, total = split(cost)
    locks = lock_times(folder, case, {cpus[0]}, redis)
    print(f"{name}: a request needs {io:.1f} us of an I/O thread, {total - io - link:.1f} of workers and others, "
          + (f"{link:.1f} of the thread that talks to Redis, {cost['store']:.1f} of Redis, " if link else "")
          + f"{cost['client']:.1f} of the client; of locks "
          + (", ".join(f"{lock} {us:.2f}" for lock, us in sorted(locks.items(), key=lambda row: -row[1])) or
             ("none" if LOCKS else "not measured")))
    first = project(cost, locks, 1)[0]
    for cores in CORES:
        projected, limit = project(cost, locks, cores)
        print(f"  {cores:3} cores: {projected:9.0f} requests a second, {projected / first:5.1f} times, limited by {limit}")
    return compare(ones, twos) if twos else True


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
                good &= show("session step, Redis", folder, "session step", Store(f"redis+unix://{path}", peer.pid))
            finally:
                peer.terminate()
                peer.wait()
    if "--check" in sys.argv and not good:
        raise SystemExit("the prediction for two cores is off by more than 10 %")


main()
