#!/usr/bin/env python3
"""Mixed load on every endpoint for a long time: soak.py BINARY [--minutes M] [--rate R] [--clients N] [--rss]

Clients send valid and invalid requests of every protocol, use sessions, streams, roll-outs and gzip, and hang up.
Meanwhile all models are reloaded every 2 s, and the file of a watched model is replaced every 5 s. The script checks
the numbers of every valid answer and of every step of a session. At the end the server must exit without a sanitizer's
report, and hold no connection and no memory of requests.
--rss (for release builds): the resident memory at the end is within 1 % of that after five minutes. Both are measured
at rest: clients pause, sessions have expired, and a reload has returned freed memory. Settings of glibc stop it from
keeping free memory at the top of threads' arenas and in threads' caches of small blocks. malloc_trim does not release
the former, which may be as much as was ever in use, because glibc raises its threshold when a large block is freed. The
latter fill up in the first quarter of an hour.
"""
import argparse, collections, gzip, http.client, json, os, random, shutil, signal, socket, statistics, struct, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from served import MODELS, REPORT, ROOT, Server, tail

GIVE_BACK = {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072:glibc.malloc.mmap_threshold=33554432:glibc.malloc.tcache_count=0"}
RELOAD_S, REPLACE_S, TTL_S, SESSION_STEPS = 2, 5, 4, 12

options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("binary")
options.add_argument("--minutes", type=float, default=60)
options.add_argument("--rate", type=float, default=300, help="requests a second, of all clients together (300: a third of a core)")
options.add_argument("--clients", type=int, default=8)
options.add_argument("--rss", action="store_true")
options.add_argument("--seed", type=int, default=int(time.time()))
options = options.parse_args()

FOLDER = tempfile.mkdtemp(prefix="cellserve-soak-")
counts, wrong, lock = collections.Counter(), collections.Counter(), threading.Lock()
resting = threading.Event()
passed = failed = 0


def check(good, what, detail=""):
    global passed, failed
    with lock:
        passed, failed = passed + bool(good), failed + (not good)
        if not good:
            wrong[what] += 1
    if not good and wrong[what] <= 5:
        print(f"[  FAILED  ] {what}: {detail}", flush=True)
    return good


# ---- the server ----

def write(path, text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.rename(path + ".new", path)


def watched(seed):
    """A model without a weights file; its weights come from the seed."""
    cell = {"class_name": "LSTMCell", "config": {"units": 3, "kernel_initializer": {"class_name": "RandomUniform", "config": {"minval": -1, "maxval": 1, "seed": seed}}}}
    return json.dumps({"class_name": "RNN", "config": {"cell": cell, "return_sequences": True}})


def start():
    write(f"{FOLDER}/watched.json", watched(0))
    config = {"models": MODELS + [{"name": "watched", "path": "watched.json", "input_size": 2, "watch": True}], "workers": 2, "sessions": {"ttl_s": TTL_S},
              "limits": {"read_timeout_ms": 2000, "drain_delay_ms": 0}, "log": {"level": "warn"}}
    write(f"{FOLDER}/config.json", json.dumps(config))
    env = {"ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "halt_on_error=0:exitcode=66",
           **(GIVE_BACK if options.rss else {})}
    server = Server(os.path.abspath(options.binary), f"{FOLDER}/log", "serve", "--config", f"{FOLDER}/config.json", "--port", "0", env=env)
    if not server.wait_ready(120):
        sys.exit(f"the server does not start:\n{server.log()}")
    return server


# ---- requests and their answers ----

ROWS = [[[0.5, 1], [2, -3]], [[4, 5]]]
LONG = {"instances": [[[t * 0.01, k] for t in range(200)] for k in range(20)], "return_sequences": True}
ROLL = {"model": "m2", "instances": [[[0.1, 0.2]]], "rollout": {"steps": 300}}
INFER = {"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}], "outputs": [{"name": "outputs"}, {"name": "state.0.h"}]}
EVENTS, LINES, GZIP = {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"}, {"Content-Encoding": "gzip"}


def npy():
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<12f", *range(12))


def binary():
    head = json.dumps({"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "parameters": {"binary_data_size": 16}}],
                       "parameters": {"binary_data_output": True}}).encode()
    return head + struct.pack("<4f", 1, 2, 3, 4), {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def text(body):
    return json.dumps(body).encode()


# Requests whose answers are the same each time: path, body, headers.
VALID = [("/predict", text({"instances": ROWS, "mask": [[True, False], [True]]}), {}), ("/predict", gzip.compress(text({"instances": ROWS})), GZIP),
         ("/predict", npy(), {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}), ("/predict", text(LONG), {"Accept-Encoding": "gzip"}),
         ("/predict", text({"model": "both", "instances": ROWS}), {}), ("/predict", text({"model": "tokens", "instances": [[1, 2, 3], [4]]}), {}),
         ("/predict", text({"model": "keras", "instances": json.load(open(f"{ROOT}/tests/fixtures/file_keras3_keras_rnn_stacked/request.json"))["instances"]}), {}),
         ("/predict", text(ROLL), {}), ("/predict", text(ROLL), EVENTS), ("/predict", text(dict(LONG, instances=LONG["instances"][:3])), LINES),
         ("/predict", text({"model": "tokens", "instances": [[1, 2]], "rollout": {"steps": 20, "top_k": 3, "seed": 5}}), EVENTS),
         ("/v1/models/m:predict", text({"instances": ROWS}), {}), ("/v1/models/m:predict", text({"inputs": ROWS}), {}), ("/invocations", text({"instances": ROWS}), {}),
         ("/v1/models/m:step", text({"inputs": [[1, 2]]}), {}), ("/v1/models/m:initial_state", text({"batch_size": 3}), {}), ("/v2/models/m/infer", text(INFER), {}),
         ("/v2/models/m/infer", *binary()), ("/v2/repository/index", b"{}", {}), ("/v1/models/safe:predict", text({"instances": ROWS}), {})]
PAGES = ["/", "/livez", "/readyz", "/healthz?verbose", "/metrics", "/openapi.json", "/v1/models", "/v1/models/m", "/v1/models/m/metadata", "/v2", "/v2/health/live", "/v2/health/ready",
         "/v2/models/m", "/v2/models/m/ready", "/v2/models/stats", "/v2/models/m/stats", "/ping"]
STRANGE = ["/nope", "/v1/models/../../etc/passwd", "/v1/models/%2e%2e", "/v1/models/" + "a" * 300, "/sessions/none", "/v1/models/none", "/v2/models/none/ready"]
PIECES = [b"[", b"]", b"{", b"}", b",", b"1e99", b"-0", b"null", b"true", b'"', b"NaN", b"[[[[", b"\xff", b"9" * 40, b"\\u0000"]
STATUSES = {200, 400, 404, 405, 408, 409, 411, 413, 414, 415, 417, 429, 431, 500, 501, 503, 504, 505}


def damage(r, body):
    body = bytearray(body)
    for _ in range(r.randrange(1, 6)):
        kind, at = r.randrange(5), r.randrange(len(body) + 1)
        if kind == 0 and body:
            body[min(at, len(body) - 1)] = r.randrange(256)
        elif kind == 1:
            body[at:at] = r.choice(PIECES)
        elif kind == 2:
            del body[at:at + r.randrange(8)]
        elif kind == 3:
            body[at:at] = body[:r.randrange(60)]
        else:
            body = body[:r.randrange(len(body) + 1)]
    return bytes(body)


class Client(threading.Thread):
    def __init__(self, server, number, golden):
        super().__init__()
        self.server, self.number, self.golden = server, number, golden
        self.random = random.Random(options.seed * 1000 + number)
        self.connection, self.session, self.serial, self.resting = None, None, 0, False

    def run(self):
        due, share = time.monotonic(), options.rate / options.clients
        kinds = [(self.valid, 40), (self.page, 12), (self.step, 25), (self.show, 4), (self.watched, 4), (self.invalid, 25), (self.raw, 8), (self.leave_stream, 2), (self.late, 2), (self.odd, 3)]
        while time.monotonic() < stop_at and self.server.alive():
            if resting.is_set():
                self.rest()
            due = max(due + self.random.expovariate(share), time.monotonic() - 1)  # skip requests more than 1 s late
            time.sleep(max(0, min(due - time.monotonic(), stop_at - time.monotonic())))
            act = self.random.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]
            try:
                act()
            except (OSError, http.client.HTTPException, EOFError) as problem:
                self.drop()
                with lock:
                    counts[type(problem).__name__] += 1
                if act not in (self.invalid, self.odd):
                    check(False, f"{act.__name__}: no answer", repr(problem))
        self.drop()

    def rest(self):
        self.drop()
        self.session, self.resting = None, True
        while resting.is_set():
            time.sleep(0.05)
        self.resting = False

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def ask(self, method, path, body=None, headers=None):
        """Send a request on a kept connection, which is closed from time to time."""
        if self.connection and self.random.random() < 0.05:
            self.drop()
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        status, text = self.server.ask(method, path, body, headers, connection=self.connection)
        if self.connection.sock is None:
            self.drop()
        with lock:
            counts[status] += 1
        check(status in STATUSES, "status", f"{method} {path}: {status}")
        if status >= 500 and status not in (501, 503, 504, 505):
            check(b'"nonfinite_output"' in text, "server's fault", f"{method} {path}: {status} {text[:300]} for {str(body)[:300]}")
        return status, text

    def valid(self):
        i = self.random.randrange(len(VALID))
        path, body, headers = VALID[i]
        seen = self.ask("POST", path, body, headers)
        check(seen == self.golden[i], f"{path} answers otherwise", f"{seen[0]} {seen[1][:300]}, not {self.golden[i][1][:300]}")

    def page(self):
        path = self.random.choice(PAGES)
        check(self.ask("GET", path)[0] == 200, f"GET {path}")

    def watched(self):
        status, text = self.ask("POST", "/predict", {"model": "watched", "instances": [[[1, 2], [3, 4]]], "return_state": False})
        check(status == 200 and json.loads(text)["outputs"] in WATCHED, "watched model", f"{status} {text[:200]}")

    def step(self):
        """Send the next step of a session. The outputs are those of one long sequence; a repeated step gives the same
        answer."""
        name, n, last = self.session or (f"s{self.number}-{self.serial}", 0, time.monotonic())
        again, began = n and self.random.random() < 0.2, time.monotonic()
        n -= bool(again)
        inputs = [[[n * 0.1, 1]]]
        if n % 3 == 2 and not again:
            status, text = self.ask("POST", "/predict", {"session": name, "step": n, "instances": inputs}, EVENTS)
            outputs = [json.loads(line[6:])["outputs"] for line in text.decode().splitlines() if line.startswith("data: ") and '"timestep"' in line]
            outputs = outputs[0] if outputs and b'"error"' not in text else text
        else:
            status, text = self.ask("POST", "/predict", {"session": name, "step": n, "instances": inputs})
            outputs = json.loads(text).get("outputs")
        expired = time.monotonic() - last > TTL_S - 0.1  # since the last step was sent
        if status == 200:
            streamed = again and n % 3 == 2  # the stored answer is that of a stream, with timesteps
            check(outputs == ([[STEPS[n]]] if streamed else [STEPS[n]]), "a session's step", f"{name} {n}: {outputs}, not {STEPS[n]}")
            self.session = (name, n + 1, began)
        else:
            check(expired, "a session's step", f"{name} {n}: {status} {text[:300]}, {time.monotonic() - last:.2f} s after the last one was sent, {time.monotonic() - began:.2f} s after this one")
        if status != 200 or n + 1 == SESSION_STEPS or self.random.random() < 0.02:  # some are left to expire
            self.session, self.serial = None, self.serial + 1
            if n % 2:
                self.ask("DELETE", f"/sessions/{name}")

    def show(self):
        """GET of a session shows the states that PUT has set."""
        name, states = f"p{self.number}-{self.random.randrange(20)}", json.loads(self.golden[INITIAL][1])["states"]
        put = self.ask("PUT", f"/sessions/{name}", {"model": "m", "states": states, "step": 3})
        status, text = self.ask("GET", f"/sessions/{name}")
        check(put[0] == 200 and status == 200 and json.loads(text)["states"] == states and json.loads(text)["step"] == 3, "PUT and GET", f"{put} {status} {text[:200]}")
        text = self.ask("POST", "/v2/models/m/infer", dict(INFER, outputs=[], parameters={"sequence_id": f"q{name}", "sequence_start": True, "sequence_end": self.random.random() < 0.5}))[1]
        check(b'"outputs"' in text, "a sequence", text[:200])

    def invalid(self):
        path, body, headers = self.random.choice(VALID)
        headers, r = dict(headers), self.random
        body = damage(r, body)
        if r.random() < 0.2:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
        if r.random() < 0.1:
            headers["X-Request-Timeout-Ms"] = str(r.randrange(1, 50))
        if r.random() < 0.1:
            headers["Inference-Header-Content-Length"] = str(r.randrange(200))
        if r.random() < 0.1:
            headers["Content-Type"] = r.choice(["text/plain", "application/x-npy", "application/octet-stream"])
        status, text = self.ask("POST", r.choice([path, path, "/predict", "/v2/models/m2/infer", "/v1/models/m:step"]), body, headers)
        if status >= 400 and text[:1] == b"{":
            error = json.loads(text)
            check(error["error"] and error["code"], "an error without text or code", text[:300])

    def odd(self):
        self.ask(self.random.choice(["HEAD", "OPTIONS", "PATCH", "TRACE", "DELETE", "PUT", "get", "BREW", "GET", "GET"]), self.random.choice(PAGES + STRANGE))

    def late(self):
        """A request with a short deadline, which may be cancelled while it runs."""
        status, text = self.ask("POST", "/predict", LONG, {"X-Request-Timeout-Ms": str(self.random.randrange(1, 8))})
        check(status in (200, 503, 504), "short of time", f"{status} {text[:200]}")

    def leave_stream(self):
        body = text(dict(ROLL, rollout={"steps": 5000}))
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as s:
            s.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            check(s.recv(1000).startswith(b"HTTP/1.1 200"), "a stream begins")
        with lock:
            counts["left"] += 1

    def raw(self):
        """Clients that hang up, send slowly, pipeline, or send garbage. Other clients must not be disturbed."""
        r, (path, body, _) = self.random, self.random.choice(VALID)
        head, whole = b"POST %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n" % (path.encode(), r.choice([b"*/*", b"text/event-stream"])), b"Content-Length: %d\r\n\r\n" % len(body)
        kind = r.randrange(6)
        sent = [damage(r, head + whole + body), head + whole + body[:len(body) // 2],
                head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % x for x in body[:1000]) + b"0\r\n\r\n",
                b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * r.randrange(1, 60), head + whole + body, os.urandom(r.randrange(300))][kind]
        with lock:
            counts["raw"] += 1
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=2) as s:
                s.sendall(sent)
                if kind == 4:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif r.random() < 0.3:
                    s.recv(100)
        except OSError:
            pass


# ---- the run ----

def golden_of(server):
    answers = []
    for path, body, headers in VALID:
        status, text = server.ask("POST", path, body, headers)
        check(status == 200, f"{path} at the start", f"{status} {text[:300]}")
        answers.append((status, text))
    return answers


def wait_for_outputs(server, seen):
    """Wait until the watched model's outputs differ from those seen before, and return them."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        outputs = json.loads(server.ask("POST", "/predict", {"model": "watched", "instances": [[[1, 2], [3, 4]]]})[1])["outputs"]
        if outputs not in seen:
            return outputs
        time.sleep(0.1)
    sys.exit("the watched model is not loaded anew")


def probe(server, slowest):
    began = time.monotonic()
    status = server.ask("GET", "/livez")[0]
    slowest[0] = max(slowest[0], time.monotonic() - began)
    check(status == 200, "/livez", status)


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    check(time.monotonic() < end, "at rest", what)


def memory_at_rest(server, clients):
    """Memory at rest. Under load it depends on the machine: how long two versions of a model exist, and how many
    requests wait."""
    resting.set()
    wait_until(lambda: all(client.resting or not client.is_alive() for client in clients), 60, "clients go on")
    wait_until(lambda: server.metric("cellserve_sessions") == 0, TTL_S + 30, "sessions do not expire")
    before = server.metric("cellserve_model_reloads_total")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.metric("cellserve_model_reloads_total") >= before + len(MODELS) + 1, 60, "models are not loaded anew")
    kib = []
    for _ in range(8):  # the server returns memory after the load, and a second later
        time.sleep(0.5)
        kib.append(server.resident_kib())
    resting.clear()
    return min(kib)


def compare_memory(at_rest):
    first, last = at_rest[0][1], at_rest[-1][1]
    print("resident memory at rest: " + ", ".join(f"{minutes:.0f} min {kib} KiB" for minutes, kib in at_rest) + f" ({100 * (last / first - 1):+.2f} %)")
    check(abs(last - first) <= 0.01 * first, "resident memory", f"{first} KiB and {last} KiB")


def finish(server):
    """The server holds no connections and no memory when its clients are gone, and exits on a signal."""
    end = time.monotonic() + TTL_S + 10
    while server.alive() and time.monotonic() < end and (server.metric("cellserve_connections") > 1 or server.metric("cellserve_sessions") > 0):
        time.sleep(0.2)
    if server.alive():
        left = {name: server.metric(f"cellserve_{name}") for name in ("connections", "sessions", "queue_depth", "inflight_bytes")}
        page = len(server.ask("GET", "/metrics")[1])
        check(left["connections"] <= 1 and not left["sessions"] and not left["queue_depth"] and left["inflight_bytes"] <= 2 * page, "what is left", left)
    code, log = server.stop(signal.SIGTERM), server.log()
    check(code == 0, "the end", f"exit code {code}\n{tail(log)}")
    check(not REPORT.search(log), "a sanitizer's report", tail(log))
    return code, log


def main():
    global stop_at, STEPS, WATCHED, INITIAL
    server = start()
    golden = golden_of(server)
    INITIAL = [path for path, _, _ in VALID].index("/v1/models/m:initial_state")
    whole = {"instances": [[[n * 0.1, 1] for n in range(SESSION_STEPS)]], "return_sequences": True}
    STEPS = json.loads(server.ask("POST", "/predict", whole)[1])["outputs"][0]
    WATCHED = [wait_for_outputs(server, [])]
    write(f"{FOLDER}/watched.json", watched(1))
    WATCHED.append(wait_for_outputs(server, WATCHED))
    began, cpu = time.monotonic(), server.cpu_seconds()
    stop_at = began + 60 * options.minutes
    clients = [Client(server, n, golden) for n in range(options.clients)]
    for client in clients:
        client.start()
    samples, slowest, replaced, next_reload, next_replace, next_note = [], [0], 0, began, began, began + 60
    at_rest, next_rest = [], began + 300 if options.rss else stop_at
    while time.monotonic() < stop_at and server.alive():
        time.sleep(0.5)
        now = time.monotonic()
        samples.append((now - began, server.resident_kib()))
        probe(server, slowest)
        if now >= next_reload:
            server.process.send_signal(signal.SIGHUP)
            next_reload = now + RELOAD_S
        if now >= next_replace:
            replaced += 1
            write(f"{FOLDER}/watched.json", watched(replaced % 2))
            next_replace = now + REPLACE_S
        if now >= next_note:
            print(f"{(now - began) / 60:.0f} min: {sum(counts.values())} requests, {statistics.median(kib for at, kib in samples if at > now - began - 60):.0f} KiB, {failed} failed", flush=True)
            next_note += 60
        if now >= next_rest:
            at_rest.append(((now - began) / 60, memory_at_rest(server, clients)))
            print(f"at rest: {at_rest[-1][1]} KiB", flush=True)
            next_rest += 300
    for client in clients:
        client.join()
    used = (server.cpu_seconds() - cpu) if server.alive() else 0
    took = time.monotonic() - began
    reloads, refused = (server.metric(f"cellserve_model_reload{name}_total") for name in ("s", "_failures")) if server.alive() else (0, 0)
    check(refused == 0 and reloads > 0, "reloads", f"{reloads} models, {refused} failures")
    if at_rest and server.alive():
        at_rest.append((took / 60, memory_at_rest(server, clients)))
        compare_memory(at_rest)
    code, log = finish(server)
    print(f"{took / 60:.1f} minutes, {sum(counts.values())} requests, seed {options.seed}: {dict(sorted(counts.items(), key=str))}")
    print(f"{reloads:.0f} models loaded anew; the server took {used / took:.2f} of a core, the clients {time.process_time() / took:.2f}; the slowest probe took {slowest[0] * 1000:.0f} ms; exit code {code}")
    if failed:
        os.makedirs(f"{ROOT}/build", exist_ok=True)
        with open(f"{ROOT}/build/soak.log", "w") as file:
            file.write(log)
        print(f"what failed: {dict(wrong)}; the server's log is build/soak.log")
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
