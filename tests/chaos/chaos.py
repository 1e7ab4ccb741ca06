#!/usr/bin/env python3
"""Failures of two replicas behind HAProxy with sessions in Redis: chaos.py BINARY [SCENARIO ...]

kill        replicas are killed at random while sessions step: no session is lost, every final state is that of an
undisturbed run
duplicates  every step is sent to both replicas at the same time: each step is applied once
redis       Redis is killed, frozen and full in turn: no wrong state, recovery within 2 s, other requests untouched

CHAOS_SESSIONS, CHAOS_STEPS, CHAOS_KILLS set the amount (200, 500, 100). Redis keeps acknowledged writes (appendfsync
always).
"""
import http.client, json, os, random, shutil, signal, socket, subprocess, sys, tempfile, threading, time

BINARY = os.path.abspath(sys.argv[1])
SCENARIOS = sys.argv[2:] or ["kill", "duplicates", "redis"]
SESSIONS, STEPS, KILLS = (int(os.environ.get("CHAOS_" + name, value)) for name, value in (("SESSIONS", 200), ("STEPS", 500), ("KILLS", 100)))
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FOLDER = tempfile.mkdtemp(prefix="cellserve-chaos-")
THREADS = 16
MODEL = {"models": [{"name": "m", "input_size": 2, "layer": {"class_name": "RNN", "config": {"cell": {"class_name": "StackedRNNCells", "config": {
    "cells": [{"class_name": "LSTMCell", "config": {"units": 16}}, {"class_name": "GRUCell", "config": {"units": 16}}]}}}}}],
    "limits": {"drain_delay_ms": 0}, "log": {"level": "error"}}
counts = {}
passed = failed = 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(*command, log="log"):
    with open(f"{FOLDER}/{log}", "ab") as out:
        return subprocess.Popen(command, stdout=out, stderr=out)


def end(process, sig=signal.SIGKILL):
    process.send_signal(sig)
    process.wait()


class Client:
    """A client with one connection, which it opens again if it breaks."""

    def __init__(self, port):
        self.port, self.connection = port, None

    def ask(self, method, path, body=None):
        try:
            if not self.connection:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.connection.request(method, path, body)
            answer = self.connection.getresponse()
            text = answer.read()
            if answer.will_close:
                self.close()
            counts[answer.status] = counts.get(answer.status, 0) + 1
            return answer.status, text
        except (OSError, http.client.HTTPException):
            self.close()
            counts["broken"] = counts.get("broken", 0) + 1
            return 0, b""

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


class Redis:
    def __init__(self):
        self.port = free_port()
        self.run()

    def run(self):
        self.process = start("redis-server", "--port", str(self.port), "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir",
                             FOLDER, "--maxmemory-policy", "noeviction", log="redis.log")
        while subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True).stdout != b"PONG\n":
            time.sleep(0.02)

    def command(self, *words):
        subprocess.run(["redis-cli", "-p", str(self.port), *words], check=True, stdout=subprocess.DEVNULL)


class Replica:
    def __init__(self, redis):
        self.port, self.redis = free_port(), redis
        with open(f"{FOLDER}/model.json", "w") as file:
            json.dump(MODEL, file)
        self.run()

    def run(self):
        self.process = start(BINARY, "serve", "--config", f"{FOLDER}/model.json", "--port", str(self.port), "--sessions-store",
                             f"redis://127.0.0.1:{self.redis.port}", log="replica.log")
        client = Client(self.port)
        while client.ask("GET", "/readyz")[0] != 200:
            time.sleep(0.01)


def haproxy(replicas):
    """Start HAProxy with docker/haproxy.cfg and the ports of these replicas."""
    port = free_port()
    text = open(f"{ROOT}/docker/haproxy.cfg").read().replace("bind :8080", f"bind 127.0.0.1:{port}")
    for old, replica in zip((8081, 8082), replicas):
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{replica.port}")
    with open(f"{FOLDER}/haproxy.cfg", "w") as file:
        file.write(text)
    process = start("haproxy", "-db", "-f", f"{FOLDER}/haproxy.cfg", log="haproxy.log")
    client = Client(port)
    while client.ask("GET", "/readyz")[0] != 200:
        if process.poll() is not None:
            raise SystemExit(open(f"{FOLDER}/haproxy.log").read())
        time.sleep(0.02)
    return process, port


def inputs_of(name):
    generator = random.Random(name)
    return [[round(generator.uniform(-1, 1), 4), round(generator.uniform(-1, 1), 4)] for _ in range(STEPS)]


def step(client, name, n, value):
    """Send the same step until it is applied, as a client should. Returns the number of repeats."""
    body = json.dumps({"session": name, "step": n, "return_state": False, "instances": [[value]]})
    for attempt in range(2000):
        status, text = client.ask("POST", "/predict", body)
        if status == 200:
            if json.loads(text)["step"] != n + 1:
                raise SystemExit(f"{name}: step {n} answered by {text[:200]}")
            return attempt
        if status not in (0, 502, 503, 504):
            raise SystemExit(f"{name}, step {n}: {status} {text[:300]}")
        time.sleep(0.01)
    raise SystemExit(f"{name}, step {n}: no answer at all")


def in_threads(work, items):
    left, errors = list(items), []

    def run():
        while left and not errors:
            try:
                work(left.pop())
            except (Exception, SystemExit) as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise SystemExit(errors[0])


def check_states(port, names):
    """The number of sessions whose states differ from those of their whole sequence in one request."""
    client, wrong = Client(port), 0
    for name in names:
        status, text = client.ask("GET", f"/sessions/{name}")
        stored = json.loads(text)
        whole = json.loads(client.ask("POST", "/predict", json.dumps({"instances": [inputs_of(name)]}))[1])
        good = status == 200 and stored["step"] == STEPS and stored["states"] == whole["states"]
        if not good and not wrong:
            print(f"     {name}: {status} {text[:150]}")
        wrong += not good
    return wrong


def report(name, good, text):
    global passed, failed
    print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)
    passed, failed = passed + good, failed + (not good)


def kill(redis, replicas, proxy_port):
    names = [f"kill-{i}" for i in range(SESSIONS)]
    progress, over = [0], threading.Event()

    def walk(name):
        client = Client(proxy_port)
        for n, value in enumerate(inputs_of(name)):
            step(client, name, n, value)
            progress[0] += 1
        client.close()

    killed = [0]

    def kill_some():
        generator, total = random.Random(1), SESSIONS * STEPS
        while killed[0] < KILLS and not over.is_set():
            if progress[0] >= total * killed[0] / (KILLS + 1):  # spread over the whole run
                replica = generator.choice(replicas)
                end(replica.process)
                killed[0] += 1
                replica.run()
            time.sleep(generator.uniform(0, 0.05))

    killer = threading.Thread(target=kill_some)
    began = time.time()
    killer.start()
    try:
        in_threads(walk, names)
    finally:
        over.set()
        killer.join()
    wrong = check_states(proxy_port, names)
    report("kill", wrong == 0 and killed[0] == KILLS, f"{SESSIONS} sessions of {STEPS} steps in {time.time() - began:.0f} s, {killed[0]} replicas killed, "
           f"{wrong} sessions lost or wrong; answers {counts}")


def duplicates(redis, replicas, proxy_port):
    names = [f"twice-{i}" for i in range(SESSIONS // 2)]

    def walk(name):
        clients = [Client(replica.port) for replica in replicas]
        for n, value in enumerate(inputs_of(name)):
            both = [threading.Thread(target=step, args=(client, name, n, value)) for client in clients]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        for client in clients:
            client.close()

    in_threads(walk, names)
    wrong = check_states(replicas[0].port, names)
    report("duplicates", wrong == 0, f"{2 * len(names) * STEPS} requests for {len(names) * STEPS} steps, {wrong} sessions lost or wrong; answers {counts}")


def redis_trouble(redis, replicas, proxy_port):
    names = [f"redis-{i}" for i in range(SESSIONS // 4)]
    stateless = {"sent": 0, "bad": 0, "slowest": 0.0}
    over, recoveries, probe_step = threading.Event(), [], [0]

    def without_state():
        client, body = Client(replicas[0].port), json.dumps({"instances": [[[1, 2]]], "return_state": False})
        while not over.is_set():
            began = time.time()
            stateless["bad"] += client.ask("POST", "/predict", body)[0] != 200
            stateless["slowest"] = max(stateless["slowest"], time.time() - began)
            stateless["sent"] += 1
            time.sleep(0.005)

    def walk(name):
        client = Client(replicas[hash(name) % 2].port)
        for n, value in enumerate(inputs_of(name)):
            step_full(client, name, n, value)
        client.close()

    def step_full(client, name, n, value):  # if Redis is full, the answer is 429
        body = json.dumps({"session": name, "step": n, "return_state": False, "instances": [[value]]})
        while True:
            status, text = client.ask("POST", "/predict", body)
            if status == 200:
                return
            if status not in (429, 503):
                raise SystemExit(f"{name}, step {n}: {status} {text[:300]}")
            time.sleep(0.01)

    def recovered(client):
        began = time.time()
        step_full(client, "probe", probe_step[0], [0, 0])
        probe_step[0] += 1
        recoveries.append(time.time() - began)

    def disturb():
        client = Client(replicas[1].port)
        for _ in range(3):
            time.sleep(0.3)
            end(redis.process)
            time.sleep(0.5)
            redis.run()
            recovered(client)
            time.sleep(0.3)
            redis.process.send_signal(signal.SIGSTOP)
            time.sleep(5 if not recoveries[1:] else 1)
            redis.process.send_signal(signal.SIGCONT)
            recovered(client)
            time.sleep(0.3)
            redis.command("config", "set", "maxmemory", "1")
            time.sleep(0.5)
            redis.command("config", "set", "maxmemory", "0")
            recovered(client)

    threads = [threading.Thread(target=without_state), threading.Thread(target=disturb)]
    for thread in threads:
        thread.start()
    in_threads(walk, names)
    threads[1].join()
    over.set()
    threads[0].join()
    wrong = check_states(proxy_port, names)
    report("redis", wrong == 0 and stateless["bad"] == 0 and max(recoveries) < 2,
           f"killed, frozen and full three times: {wrong} of {len(names)} sessions lost or wrong; recovered within {max(recoveries):.2f} s; "
           f"{stateless['sent']} requests without a session, {stateless['bad']} failed, the slowest took {1e3 * stateless['slowest']:.0f} ms; answers {counts}")


redis = Redis()
replicas = [Replica(redis), Replica(redis)]
proxy, proxy_port = haproxy(replicas)
try:
    for scenario in SCENARIOS:
        counts.clear()
        {"kill": kill, "duplicates": duplicates, "redis": redis_trouble}[scenario](redis, replicas, proxy_port)
finally:
    for process in (proxy, redis.process, *(replica.process for replica in replicas)):
        process.kill()
    shutil.rmtree(FOLDER, ignore_errors=True)
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
