#!/usr/bin/env python3
"""Measure the locks that requests share: how often each is taken for a request, and how long it is held.

usage: tests/locks/locks.py BINARY [--check]      BINARY of `make VARIANT=locks`

Locks of one I/O thread, worker, connection or stream are not shared by all requests; OWN has their names.
A table that is split by the hash of a session has a lock for each part: SHARDED. --check fails if a request of M1 or a
session step in memory takes other locks more often than MOST on average.
"""
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

OWN = ("connection->table->lock", "table->lock", "own->lock", "best->lock", "all->tables[t].lock", "stream->lock",
       "part->lock", "to->lock", "from->lock", "worker->lock", "reader->lock")
SHARDED = ("shard->lock",)
MOST = 0.3  # for idle workers and threads, which take locks from time to time
HEADERS = {"Content-Type": "application/json"}


def model(units):
    cell = {"class_name": "LSTMCell", "config": {"units": units}}
    return {"class_name": "RNN", "config": {"cell": [cell] * 2, "return_sequences": False, "return_state": True}}


def tensor(rows, steps, features):
    return [[[round(random.random(), 6) for _ in range(features)] for _ in range(steps)] for _ in range(rows)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    for _ in range(400):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit("the server does not become ready")


def measure(binary, folder, body, headers, requests, store):
    """Rows of (name, acquisitions per request, share of acquisitions that had to wait, mean and longest hold in us)."""
    port, counts = free_port(), os.path.join(folder, "counts")
    config = {"models": [{"name": "m1", "layer": model(128), "input_size": 2, "seed": 1}], "workers": 2,
              "sessions": {"store": store}, "limits": {"drain_delay_ms": 0}, "log": {"level": "error"}}
    path = os.path.join(folder, "config.json")
    with open(path, "w") as f:
        json.dump(config, f)
    server = subprocess.Popen([binary, "serve", "--config", path, "--port", str(port)],
                              env=dict(os.environ, LOCK_COUNTS=counts))
    connection = connect(port)
    for _ in range(requests):
        connection.request("POST", "/predict", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{answer.status}: {text[:200]}")
    connection.close()
    server.send_signal(signal.SIGTERM)
    server.wait()
    rows = []
    with open(counts) as f:
        for line in f:
            name, taken, contended, held, longest = line.rstrip("\n").split("\t")
            if int(taken):
                rows.append((name.lstrip("&"), int(taken) / requests, int(contended) / int(taken),
                             int(held) / int(taken) / 1e3, int(longest) / 1e3))
    return sorted(rows, key=lambda row: -row[1])


def main():
    binary, check = sys.argv[1], "--check" in sys.argv
    random.seed(1)
    step = {"session": "s", "instances": tensor(1, 1, 2)}
    cases = [("M1", {"instances": tensor(3, 5, 2)}, HEADERS, 3000, "memory"),
             ("a session step, memory", step, HEADERS, 3000, "memory"),
             ("a stream of 40 timesteps", {"instances": tensor(1, 40, 2)},
              dict(HEADERS, Accept="application/x-ndjson"), 500, "memory")]
    redis = shutil.which("redis-server")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        if redis:
            port = free_port()
            peer = subprocess.Popen([redis, "--port", str(port), "--save", "", "--dir", folder],
                                    stdout=subprocess.DEVNULL)
            cases.append(("a session step, Redis", step, HEADERS, 1000, f"redis://127.0.0.1:{port}"))
        for name, body, headers, requests, store in cases:
            rows = measure(binary, folder, json.dumps(body), headers, requests, store)
            shared = sum(row[1] for row in rows if row[0] not in OWN + SHARDED)
            sharded = sum(row[1] for row in rows if row[0] in SHARDED)
            print(f"{name}: {shared:.2f} acquisitions of locks that all requests share, {sharded:.2f} of parts of tables")
            for row in rows:
                if row[1] >= 0.005:
                    own = "  (own)" if row[0] in OWN else "  (a part)" if row[0] in SHARDED else ""
                    print(f"    {row[0]:28} {row[1]:6.2f}   taken already {row[2]:6.1%}   "
                          f"held {row[3]:6.2f} us, longest {row[4]:8.1f} us{own}")
            failed |= name in ("M1", "a session step, memory") and shared > MOST
        if redis:
            peer.terminate()
            peer.wait()
    if check and failed:
        raise SystemExit(f"a request takes shared locks more than {MOST} times")


main()
