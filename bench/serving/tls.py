#!/usr/bin/env python3
"""tls.py BINARY: measure the cost of TLS for a request of M1 (3 x 5 x 2 through 2 x LSTM(128), an answer of 25 KB) on
kept connections, and the cost of a handshake. Measures only the server's CPU time, not the client's; plain and TLS
alternate. Tools: wrk, openssl.
"""
import contextlib, http.client, json, os, random, re, ssl, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
BINARY = os.path.abspath(sys.argv[1])
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))


def cpu_us(pid):
    tasks = f"/proc/{pid}/task"
    return sum(int(open(f"{tasks}/{task}/schedstat").read().split()[0]) for task in os.listdir(tasks)) / 1e3


def requests_of(url):
    kind = http.client.HTTPSConnection if url.startswith("https") else http.client.HTTPConnection
    more = {"context": ssl._create_unverified_context()} if url.startswith("https") else {}
    connection = kind(url.split("//")[1], timeout=20, **more)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(value) for value in re.findall(r'^cellserve_requests_total\{route="/predict".*\} (\S+)$', text, re.M))


@contextlib.contextmanager
def cellserve(folder, name, section):
    lstm = {"class_name": "RNN", "config": {"cell": [{"class_name": "LSTMCell", "config": {"units": 128}}] * 2}}
    with open(f"{folder}/{name}.json", "w") as file:
        json.dump({"log": {"level": "info"}, "models": [{"name": "m1", "input_size": 2, "layer": lstm}], **section}, file)
    command = [BINARY, "serve", "--config", f"{folder}/{name}.json", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process.pid, next(m[1] for line in process.stderr if (m := re.search(r"is ready at (\S+)", line)))
    finally:
        process.terminate()
        process.communicate()


def measure(pid, url, folder, clients):
    """Microseconds of CPU per request, and requests per second, after the handshakes."""
    with subprocess.Popen(["wrk", "-t1", f"-c{clients}", "-d3s", "-s", f"{HERE}/post.lua", f"{url}/predict"], stdout=subprocess.DEVNULL,
                          env={**os.environ, "BODY": f"{folder}/m1.body"}):
        time.sleep(1)
        before, used, began = requests_of(url), cpu_us(pid), time.monotonic()
        time.sleep(1.5)
        used, n, took = cpu_us(pid) - used, requests_of(url) - before, time.monotonic() - began
    return used / n, n / took


def handshake_us(pid, url, version):
    used = cpu_us(pid)
    text = subprocess.run(["openssl", "s_time", "-connect", url.split("//")[1], "-new", "-time", "2", version], capture_output=True, text=True).stdout
    return (cpu_us(pid) - used) / int(re.search(r"^(\d+) connections in \d+ real", text, re.M)[1])


with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{folder}/key",
                    "-out", f"{folder}/crt", "-subj", "/CN=localhost"], check=True, capture_output=True)
    random.seed(1)
    with open(f"{folder}/m1.body", "w") as file:
        json.dump({"instances": [[[random.gauss(0, 1) for _ in range(2)] for _ in range(5)] for _ in range(3)]}, file)
    servers = {"plain": stack.enter_context(cellserve(folder, "plain", {})),
               "TLS": stack.enter_context(cellserve(folder, "tls", {"tls": {"certificate": f"{folder}/crt", "key": f"{folder}/key"}}))}
    for clients in (1, 8, 64):
        rounds = {name: [] for name in servers}
        for _ in range(ROUNDS):
            for name, (pid, url) in servers.items():
                rounds[name].append(measure(pid, url, folder, clients))
        cpu = {name: min(r[0] for r in values) for name, values in rounds.items()}  # least disturbed by other load
        rate = {name: statistics.median(r[1] for r in values) for name, values in rounds.items()}
        print(f"  {clients} connections: CPU of a request {cpu['plain']:.1f} us plain, {cpu['TLS']:.1f} us TLS, plain / TLS {cpu['plain'] / cpu['TLS']:.2f}; "
              f"requests a second {rate['plain']:.0f}, {rate['TLS']:.0f}, TLS / plain {rate['TLS'] / rate['plain']:.2f} (the client on the same CPUs)")
    for version in ("-tls1_2", "-tls1_3"):
        print(f"  a handshake with an ECDSA key, {version[1:]}: {handshake_us(*servers['TLS'], version):.0f} us of CPU")
