#!/usr/bin/env python3
"""Make the 1st, 2nd, 3rd … allocation or system call of a server fail, alone and with all later ones: faults.py BINARY
FAULT_SO [OPERATION ...]

Covers start, predictions of every protocol, sessions in memory and in Redis, streams, roll-outs, reload and shutdown.
After every failed request the same request must work, with the same numbers; no crash, no sanitizer's report, no hang,
no leak.
FAULTS_STRIDE=n: only every n-th point, from a random start (1: all). FAULTS_SEED=n: the random start is the same each
time.
FAULTS_SECONDS=s: the time for all parts; the number of parts that did not finish is printed.
"""
import collections, errno, gzip, http.client, json, mmap, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import served
from served import MODELS, REPORT, tail

BINARY, LIBRARY = (os.path.abspath(path) for path in sys.argv[1:3])
WANTED = sys.argv[3:]
STRIDE = int(os.environ.get("FAULTS_STRIDE", "1"))
SECONDS = float(os.environ.get("FAULTS_SECONDS", "1e9"))
random.seed(os.environ.get("FAULTS_SEED"))
FOLDER = tempfile.mkdtemp(prefix="cellserve-faults-")
DRY = 2 if STRIDE == 1 else 1  # a walk ends after this number of points that were not reached
SLOW_S = 6  # a request or a reload that takes longer counts as hanging

# In the order of fault.c's enum, with errors from the manual pages that occur in practice.
KINDS = {"alloc": ["ENOMEM"], "read": ["EIO", "EINTR"], "write": ["ENOSPC", "EINTR"], "recv": ["ENOMEM", "EINTR"], "send": ["ENOBUFS", "EPIPE"],
         "accept": ["EMFILE", "ECONNABORTED"], "epoll_ctl": ["ENOMEM"], "epoll_wait": ["EINTR"], "pthread_create": ["EAGAIN"], "mmap": ["ENOMEM"],
         "memfd_create": ["EMFILE"], "posix_spawn": ["EAGAIN"], "open": ["EMFILE"], "stat": ["EIO"], "socket": ["EMFILE"], "connect": ["ECONNREFUSED"],
         "setsockopt": ["ENOMEM"], "fcntl": ["EMFILE"], "eventfd": ["EMFILE"], "getrandom": ["EINTR"]}
ORDER = list(KINDS)
# Errors that do not persist, and calls whose persistent failure makes a client wait.
ONCE, WAITS = {"EINTR", "ECONNABORTED"}, {"accept", "epoll_wait", "epoll_ctl"}
PLAN = [(kind, for_good, error) for kind in ORDER for error in KINDS[kind] for for_good in (0, 1) if not (for_good and error in ONCE)]

def first_and_stride(kind):
    stride = STRIDE if kind == "alloc" else -(-STRIDE // 10)  # there are far fewer system calls
    return 1 + random.randrange(stride), stride


passed = failed = 0
points = collections.Counter()


def note(good, what, detail=""):
    global passed, failed
    good = bool(good)
    passed, failed = passed + good, failed + (not good)
    if not good:
        print(f"[  FAILED  ] {what}: {detail}", flush=True)
    return good


class Faults:
    """The shared page of fault.c: kinds, nth, for_good, error, calls, failed."""

    def __init__(self):
        self.path = f"{FOLDER}/page{time.monotonic_ns()}"
        with open(self.path, "wb") as file:
            file.write(b"\0" * 4096)
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)
        options = "verify_asan_link_order=0:allocator_may_return_null=1:detect_leaks=1"
        self.env = {"FAULT_PAGE": self.path, "LD_PRELOAD": LIBRARY, "ASAN_OPTIONS": options}

    def arm(self, kind, nth, for_good, error):
        self.disarm()
        self.page[8:48] = struct.pack("<5q", nth, for_good, error, 0, 0)
        self.page[0:8] = struct.pack("<q", 1 << ORDER.index(kind))

    def disarm(self):
        self.page[0:8] = bytes(8)

    def hits(self):
        return struct.unpack("<q", self.page[40:48])[0]


class Server(served.Server):
    def __init__(self, faults, config, command="serve"):
        self.faults = faults
        flags = ["--port", "0", "--limits-drain-delay-ms", "0", "--log-level", "info"] if command == "serve" else []
        super().__init__(BINARY, f"{FOLDER}/log{time.monotonic_ns()}", command, "--config", config, *flags, env={"UBSAN_OPTIONS": "print_stacktrace=1", **faults.env})

    def ask(self, *request):
        return super().ask(*request, timeout=SLOW_S)


# ---- requests ----

COUNT = iter(range(10**9))
ROWS = [[[0.5, 1], [2, -3]], [[4, 5]]]
LONG = {"instances": [[[t * 0.01, 1] for t in range(60)]] * 40, "return_sequences": True}


def npy():
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<12f", *range(12))


def infer_binary():
    head = json.dumps({"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "parameters": {"binary_data_size": 16}}],
                       "outputs": [{"name": "outputs", "parameters": {"binary_data": True}}, {"name": "state.0.h"}]}).encode()
    return head + struct.pack("<4f", 1, 2, 3, 4), {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}


def named(body, name):
    """An answer with the session's name, which differs each time, replaced."""
    return body.replace(name.encode(), b"NAME")


def post(path, body, headers=None):
    return lambda server: server.ask("POST", path, body, headers)


def step(server):
    name = f"s{next(COUNT)}"
    status, body = server.ask("POST", "/predict", {"session": name, "step": 0, "instances": [[[1, 2]]]})
    if status != 200:
        return status, body
    status, again = server.ask("POST", "/v1/models/m:step", {"session": name, "inputs": [[3, 4]]})
    return status, named(body + again, name)


def repeat(server):
    """Repeat a step, which gives the same answer; the age of the session may change."""
    name = f"r{next(COUNT)}"
    request = ("POST", "/predict", {"session": name, "step": 0, "instances": [[[1, 2]]]})
    status, body = server.ask(*request)
    if status != 200:
        return status, body
    status, again = server.ask(*request)
    return status, named(body + again, name)


def session(server):
    name = f"p{next(COUNT)}"
    status, states = server.ask("POST", "/v1/models/m:initial_state", {"batch_size": 1})
    if status != 200:
        return status, states
    put = server.ask("PUT", f"/sessions/{name}", {"model": "m", "states": json.loads(states)["states"]})
    shown, dropped = server.ask("GET", f"/sessions/{name}"), server.ask("DELETE", f"/sessions/{name}")
    for status, body in (put, shown, dropped):
        if status != 200 and not (status == 404 and put[0] != 200):  # 404, if PUT has failed
            return status, body
    return put[0], named(dropped[1], name) + re.sub(rb'"(age|idle)_s": [0-9.]+', b"", named(shown[1], name)) if put[0] == 200 else put[1]


def pages(server):
    for path in ("/", "/healthz?verbose", "/v1/models", "/v1/models/m", "/v1/models/m/metadata", "/v2", "/v2/models/m", "/v2/models/m/ready", "/openapi.json", "/nothing"):
        status, body = server.ask("GET", path)
        if status != (404 if path == "/nothing" else 200):
            return status, body
    for path in ("/metrics", "/v2/models/stats"):  # their numbers change
        status, _ = server.ask("GET", path)
        if status != 200:
            return status, b""
    return status, body


def reloads(server):
    """The number of reloads, and of failed reloads."""
    return server.metric("cellserve_model_reloads_total") + server.metric("cellserve_model_reload_failures_total")


def reload(server):
    """Reload every model. If this fails, the old models keep serving."""
    faults, kinds = server.faults, server.faults.page[0:8]
    faults.page[0:8] = bytes(8)  # the reload may fail, but not this request
    before, end = reloads(server), time.monotonic() + 2 * SLOW_S
    faults.page[0:8] = kinds
    server.process.send_signal(signal.SIGHUP)
    while True:
        time.sleep(0.1)
        kinds, faults.page[0:8] = faults.page[0:8], bytes(8)
        if reloads(server) >= before + len(MODELS):
            return 200, b"reloaded"
        if time.monotonic() > end:
            raise TimeoutError("the reload does not end")
        faults.page[0:8] = kinds


ROLL = {"model": "m2", "instances": [[[0.1, 0.2]]], "rollout": {"steps": 20}, "return_state": False}
TOKENS = {"model": "tokens", "instances": [[1, 2, 3]], "rollout": {"steps": 8, "temperature": 0.7, "top_k": 3, "seed": 5}}
EVENTS, LINES = {"Accept": "text/event-stream"}, {"Accept": "application/x-ndjson"}
INFER = {"inputs": [{"name": "inputs", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}], "outputs": [{"name": "outputs"}, {"name": "state.0.h"}]}
OPERATIONS = {
    "predict": post("/predict", {"instances": ROWS, "mask": [[True, False], [True]], "initial_state": None}),
    "large": post("/predict", LONG, {"Accept-Encoding": "gzip"}),
    "gzip": post("/predict", gzip.compress(json.dumps({"instances": ROWS}).encode()), {"Content-Encoding": "gzip"}),
    "chunked": lambda server: server.ask("POST", "/predict", iter([b'{"instances": [[[0.5', b", 1]]]}"]), {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}),
    "npy": post("/predict", npy(), {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}),
    "rows": post("/v1/models/m:predict", {"instances": ROWS}),
    "columns": post("/v1/models/m:predict", {"inputs": ROWS}),
    "infer": post("/v2/models/m/infer", INFER),
    "infer-binary": lambda server: server.ask("POST", "/v2/models/m/infer", *infer_binary()),
    "whole": post("/predict", {"model": "both", "instances": ROWS, "return_sequences": True}),
    "step": step,
    "repeat": repeat,
    "session": session,
    "stream": post("/predict", dict(LONG, instances=LONG["instances"][:2]), EVENTS),
    "rollout": post("/predict", ROLL),
    "rollout-stream": post("/predict", ROLL, LINES),
    "tokens": post("/predict", TOKENS),
    "refused": post("/predict", '{"instances": [[[1, 2, 3]]]}'),
    "nested": post("/predict", '{"nothing": ' + "[" * 3000 + "]" * 3000 + ', "instances": [[[1, 2]]]}'),
    "pages": pages,
    "reload": reload,
}
EXPECTED = {"refused": 400, "nested": 400, "pages": 200}
# Kinds of calls that only some operations make.
LOADS = {"memfd_create", "posix_spawn", "open", "stat", "mmap", "getrandom", "pthread_create", "socket", "connect", "eventfd"}


def write_config(name, **more):
    path = f"{FOLDER}/{name}.json"
    with open(path, "w") as file:
        json.dump({"models": MODELS, "workers": 2, **more}, file)
    return path


# ---- the walk over a running server ----

class Walk:
    """Operations on a server, which is started again if it ends or hangs."""

    def __init__(self, name, config, operations, seconds):
        self.name, self.config, self.seconds = name, config, seconds
        self.golden, self.server = {}, None
        self.start()
        for operation in operations:
            status, body = OPERATIONS[operation](self.server)
            if note(status == EXPECTED.get(operation, 200), f"{name} {operation}", f"without a fault: {status} {body[:200]}"):
                self.golden[operation] = (status, body)
        self.quiet = self.server.descriptors()

    def start(self):
        self.faults = Faults()
        self.server = Server(self.faults, self.config)
        if not self.server.wait_ready():
            sys.exit(f"the server does not start: {self.server.log()}")

    def replace(self):
        self.server.process.kill()
        self.server.wait()
        self.start()

    def try_one(self, operation, kind, nth, for_good, error):
        """Test one point. Returns whether a call has failed."""
        where = f"{self.name} {operation}, {kind} {nth}{' and on' if for_good else ''} ({error})"
        began, seen = time.monotonic(), None
        self.faults.arm(kind, nth, for_good, getattr(errno, error))
        try:
            seen = OPERATIONS[operation](self.server)
        except (OSError, http.client.HTTPException) as problem:
            seen = problem
        self.faults.disarm()
        hit = self.faults.hits() > 0
        points[self.name] += hit
        golden = self.golden[operation]
        if for_good and kind in WAITS and isinstance(seen, TimeoutError):
            note(True, where)
        elif isinstance(seen, TimeoutError) or time.monotonic() - began > SLOW_S:
            note(False, where, f"hangs: {seen!r}")
        elif isinstance(seen, tuple) and (seen[0] not in (golden[0], 503, 429, 200) or (seen[0] == 200 and seen != golden and b'"overloaded"' not in seen[1] and not self.cut(operation, seen, golden))):
            note(False, where, f"{seen[0]} {seen[1][:300]}")
        else:
            note(True, where)
        if not self.look(where) or not self.afterwards(operation, where):
            self.replace()
        return hit

    @staticmethod
    def cut(operation, seen, golden):
        """A stream that has begun may end early, with an error event or with a closed connection."""
        return "stream" in operation and (b"error" in seen[1] or golden[1].startswith(seen[1]))

    def look(self, where):
        if self.server.alive():
            return True
        return note(False, where, f"the server ended: {self.server.process.returncode}\n{tail(self.server.log())}")

    def afterwards(self, operation, where):
        """Check that the same operation works, and a prediction."""
        for again in (operation, "predict"):
            end = time.monotonic() + 2
            while True:
                try:
                    seen = OPERATIONS[again](self.server)
                except (OSError, http.client.HTTPException) as problem:
                    seen = problem
                if seen == self.golden[again]:
                    break
                if isinstance(seen, tuple) and b"session_store_unavailable" in seen[1] and time.monotonic() < end:
                    time.sleep(0.02)  # the server connects to Redis again after a pause
                    continue
                time.sleep(1)  # a crash may become visible late
                return self.look(where) and note(False, where, f"afterwards {again}: {str(seen)[:300]}")
        return True

    def walk(self, operation, kind, for_good, error, end):
        (nth, stride), dry = first_and_stride(kind), 0
        while dry < DRY and time.monotonic() < end:
            dry = 0 if self.try_one(operation, kind, nth, for_good, error) else dry + 1
            nth += stride
        return dry >= DRY

    def run(self):
        plan = [(operation, *row) for operation in self.golden for row in PLAN if operation == "reload" or row[0] not in LOADS]
        random.shuffle(plan)
        if STRIDE == 1:
            plan.sort(key=lambda row: list(self.golden).index(row[0]))
        began, left_out = time.monotonic(), []
        for i, row in enumerate(plan):
            now = time.monotonic()
            end = now + (self.seconds - (now - began)) / (len(plan) - i) * (20 if row[1] == "alloc" else 3)
            if not self.walk(*row, min(end, began + self.seconds)):
                left_out.append(row[:3])
        self.finish(left_out)

    def finish(self, left_out):
        end = time.monotonic() + 5
        while self.server.descriptors() > self.quiet + 1 and time.monotonic() < end:
            time.sleep(0.05)
        note(self.server.descriptors() <= self.quiet + 1, self.name, f"{self.server.descriptors()} descriptors are open, {self.quiet} before")
        held, page = self.server.metric("cellserve_inflight_bytes"), len(self.server.ask("GET", "/metrics")[1])
        note(held <= 2 * page, self.name, f"{held} bytes are held by requests, /metrics itself takes {page}")
        rc = self.server.stop()
        report = REPORT.search(self.server.log())
        note(rc == 0 and not report, f"{self.name} ends", f"{rc}\n{tail(self.server.log())}")
        print(f"[       OK ] {self.name}: {points[self.name]} points" + (f", {len(left_out)} walks did not finish" if left_out else ""), flush=True)


# ---- start and shutdown ----

def starts(name, command, config, seconds):
    """The server starts with the fault and works, or logs the reason and exits with 1."""
    faults, began, rows = Faults(), time.monotonic(), [row for row in PLAN if row[0] != "write"]  # the log reports readiness
    random.shuffle(rows)
    for i, (kind, for_good, error) in enumerate(rows):
        (nth, stride), dry = first_and_stride(kind), 0
        now = time.monotonic()
        end = now + (seconds - (now - began)) / (len(rows) - i) * (20 if kind == "alloc" else 3)
        while dry < DRY and time.monotonic() < min(end, began + seconds):
            hit = start_once(name, command, config, faults, kind, nth, for_good, error)
            dry = 0 if hit else dry + 1
            nth += stride
    print(f"[       OK ] {name}: {points[name]} points", flush=True)


def start_once(name, command, config, faults, kind, nth, for_good, error):
    where = f"{name}, {kind} {nth}{' and on' if for_good else ''} ({error})"
    faults.arm(kind, nth, for_good, getattr(errno, error))
    server = Server(faults, config, command=command)
    try:
        ready = command == "serve" and server.wait_ready(20)
    except TimeoutError:
        ready = False
        server.process.kill()
        note(False, where, f"neither ready nor ended\n{tail(server.log())}")
    if command == "check":
        server.wait()
    hit = faults.hits() > 0
    points[name] += hit
    faults.disarm()
    if ready:
        try:
            seen = OPERATIONS["predict"](server)
        except (OSError, http.client.HTTPException) as problem:
            seen = (0, repr(problem).encode())
        note(seen[0] == 200, where, f"ready, but {seen[0]} {seen[1][:200]}")
        server.process.send_signal(signal.SIGINT)
    rc, log = server.wait(), server.log()
    allowed = (0,) if ready else (0, 1) if command == "check" else (1,)
    note(rc in allowed and not REPORT.search(log) and (rc == 0 or log.strip()), where, f"ended with {rc}\n{tail(log)}")
    os.unlink(server.log_path)
    return hit


def shutdowns(name, config, seconds):
    """The server exits with 0 even if a call fails during the drain or shutdown."""
    began, rows = time.monotonic(), [row for row in PLAN if row[0] not in LOADS]
    random.shuffle(rows)
    for i, (kind, for_good, error) in enumerate(rows):
        (nth, stride), dry = first_and_stride(kind), 0
        now = time.monotonic()
        end = now + (seconds - (now - began)) / (len(rows) - i) * 3
        while dry < DRY and time.monotonic() < min(end, began + seconds):
            faults = Faults()
            server = Server(faults, config)
            server.wait_ready()
            OPERATIONS["predict"](server)
            with socket.create_connection(("127.0.0.1", server.port)) as idle:
                faults.arm(kind, nth, for_good, getattr(errno, error))
                server.process.send_signal(signal.SIGINT)
                rc, hit = server.wait(15), faults.hits() > 0
            points[name] += hit
            note(rc == 0 and not REPORT.search(server.log()), f"{name}, {kind} {nth}{' and on' if for_good else ''} ({error})", f"ended with {rc}\n{tail(server.log())}")
            dry = 0 if hit else dry + 1
            nth += stride
    print(f"[       OK ] {name}: {points[name]} points", flush=True)


def with_redis(config_of, run):
    if not shutil.which("redis-server"):
        print("[  SKIPPED ] redis: redis-server is not installed", flush=True)
        return
    path = f"{FOLDER}/redis.sock"
    redis = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", FOLDER], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.02)
    try:
        run(config_of(f"redis+unix://{path}"))
    finally:
        redis.kill()
        redis.wait()


def main():
    config = write_config("memory")
    small = f"{FOLDER}/small.json"
    with open(small, "w") as file:
        json.dump({"models": [MODELS[0], MODELS[4], MODELS[6]], "workers": 1}, file)
    share = {"operations": 0.6, "redis": 0.1, "start": 0.15, "check": 0.1, "shutdown": 0.05}
    names = [name for name in OPERATIONS if not WANTED or name in WANTED]
    begun = time.monotonic()
    if names:
        Walk("operations", config, ["predict"] + [name for name in names if name != "predict"], SECONDS * share["operations"]).run()
    if not WANTED or "redis" in WANTED:
        with_redis(lambda url: write_config("redis", sessions={"store": url}), lambda path: Walk("redis", path, ["predict", "step", "repeat", "session"], SECONDS * share["redis"]).run())
    if not WANTED or "start" in WANTED:
        starts("start", "serve", small, SECONDS * share["start"])
    if not WANTED or "check" in WANTED:
        starts("check", "check", small, SECONDS * share["check"])
    if not WANTED or "shutdown" in WANTED:
        shutdowns("shutdown", small, SECONDS * share["shutdown"])
    print(f"{sum(points.values())} points in {time.monotonic() - begun:.0f} s")
    shutil.rmtree(FOLDER, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


sys.exit(main())
