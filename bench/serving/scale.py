#!/usr/bin/env python3
"""scale.py BINARY [LOCKS_BINARY] [--check]: how requests a second grow with cores, from what each serial resource takes.

On one core it is measured what a request takes of each I/O thread, of the workers, of other threads and of the client, and
with LOCKS_BINARY (make VARIANT=locks) how long each shared lock is held. The projection for n cores is the least of
  cores / all CPU time of a request,  I/O threads / their time,  1 / the time of each lock,  1 / the time of Redis's thread.
Where there are two CPUs, the same arithmetic predicts two cores with the client on them, and that is measured; --check
fails where the two differ by more than 10 %, which a busy machine does. The load average is printed.
"""
import json, os, random, re, resource, shutil, signal, socket, subprocess, sys, tempfile, time, urllib.request

PATHS = [a for a in sys.argv[1:] if not a.startswith("--")]
BINARY = os.path.abspath(PATHS[0])
LOCKS = os.path.abspath(PATHS[1]) if len(PATHS) > 1 else None
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
CORES = (1, 2, 4, 8, 16, 32, 64)
TRANSFER_US = 0.1  # a line of cache from one core to another, for each acquisition: what one core cannot measure
OWN = ("table->lock", "own->lock", "best->lock", "all->tables[t].lock", "stream->lock", "part->lock", "to->lock", "from->lock", "worker->lock", "reader->lock")


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
    """CPU time of each thread in us, by name; threads of one name are added up."""
    sums = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            name = open(f"/proc/{pid}/task/{thread}/comm").read().strip()
            sums[name] = sums.get(name, 0) + int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) / 1e3
        except OSError:
            pass  # it has ended
    return sums


def measure(binary, folder, case, cpus, redis=None, connections=8, seconds=SECONDS):
    """Requests a second, and what a request takes in us: of threads by name, and of the client ("client")."""
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
        before, children = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        out = client(seconds)
        after, grown = times(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        if "Non-2xx" in out:
            raise SystemExit(f"{case}: {out}")
        n = int(re.search(r"(\d+) requests in", out)[1])
        if not n:
            raise SystemExit(f"{case}: no request was answered within {seconds} s; set BENCH_SECONDS")
        cost = {name: (after[name] - before.get(name, 0)) / n for name in after}
        cost["client"] = (grown.ru_utime + grown.ru_stime - children.ru_utime - children.ru_stime) * 1e6 / n
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), cost, n
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def lock_times(folder, case, cpus, redis):
    """What a request takes of each lock that all share, in us."""
    if not LOCKS:
        return {}
    _, _, n = measure(LOCKS, folder, case, cpus, redis)
    n += n / SECONDS  # the second before
    locks = {}
    for line in open(f"{folder}/locks"):
        name, taken, _, held, _ = line.rstrip("\n").split("\t")
        name = name.lstrip("&").replace("connection->", "")
        if name not in OWN and int(taken) > n / 20:
            locks[name] = locks.get(name, 0) + int(held) / n / 1e3 + int(taken) / n * TRANSFER_US
    return locks


def split(cost):
    io = cost.get("io-0", 0)
    store = sum(us for name, us in cost.items() if name.startswith("redis"))
    return io, store, sum(us for name, us in cost.items() if name != "client")


def project(io, store, total, locks, cores):
    threads = max(1, cores // 4)
    limits = {"CPUs": cores / total, f"{threads} I/O thread{'s' * (threads > 1)}": threads / io}
    limits.update({name: 1 / us for name, us in locks.items()})
    if store:
        limits["Redis's thread"] = 1 / store
    name = min(limits, key=limits.get)
    return limits[name] * 1e6, name


def show(name, folder, case, redis=None):
    cpus = sorted(os.sched_getaffinity(0))
    rps, cost, _ = measure(BINARY, folder, case, {cpus[0]}, redis)
    io, store, total = split(cost)
    locks = lock_times(folder, case, {cpus[0]}, redis)
    print(f"{name}: a request takes {io:.1f} us of an I/O thread, {total - io - store:.1f} of workers and others, "
          + (f"{store:.1f} of Redis's thread, " if store else "") + f"{cost['client']:.1f} of the client; of locks "
          + (", ".join(f"{lock} {us:.2f}" for lock, us in sorted(locks.items(), key=lambda row: -row[1])) or "not measured"))
    first = project(io, store, total, locks, 1)[0]
    for cores in CORES:
        projected, limit = project(io, store, total, locks, cores)
        print(f"  {cores:3} cores: {projected:9.0f} requests a second, {projected / first:5.1f} times, limited by {limit}")
    if len(cpus) < 2:
        return True
    busy = min(1, rps * (total + cost["client"]) / 1e6)  # of one core, while it was measured
    predicted = busy * min(2e6 / (total + cost["client"]), 1e6 / cost["client"], 1e6 / io)
    measured = measure(BINARY, folder, case, set(cpus[:2]), redis)[0]
    print(f"  server and client on one core {rps:.0f}, on two {measured:.0f}, predicted {predicted:.0f} ({predicted / measured - 1:+.1%}); "
          f"load average {os.getloadavg()[0]:.1f}")
    return abs(predicted / measured - 1) <= 0.1


def main():
    good, redis = True, shutil.which("redis-server")
    with tempfile.TemporaryDirectory() as folder:
        for case in prepare(folder):
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
