"""A server process and its models, for the Python tests of faults, load and pages."""
import gzip, http.client, json, os, re, signal, subprocess, time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
REPORT = re.compile(r"ERROR: \w+Sanitizer|Sanitizer: CHECK failed|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed")


def lstm(units, **more):
    return {"class_name": "LSTM", "config": {"units": units, **more}}


CELLS = [{"class_name": "LSTMCell", "config": {"units": 4}}, {"class_name": "GRUCell", "config": {"units": 3}}]
LAYERS = [{"class_name": "Embedding", "config": {"input_dim": 6, "output_dim": 3}}, lstm(4), {"class_name": "Dense", "config": {"units": 6, "activation": "softmax"}}]
MODELS = [{"name": "m", "input_size": 2, "seed": 7, "layer": {"class_name": "RNN", "config": {"cell": {"class_name": "StackedRNNCells", "config": {"cells": CELLS}}}}},
          {"name": "m2", "input_size": 2, "seed": 7, "layer": lstm(2)},
          {"name": "both", "input_size": 2, "seed": 7, "layer": {"class_name": "Bidirectional", "config": {"layer": lstm(3, return_sequences=True)}}},
          {"name": "tokens", "seed": 7, "layer": {"class_name": "Sequential", "config": {"layers": LAYERS}}},
          {"name": "keras", "path": f"{ROOT}/tests/fixtures/file_keras3_keras_rnn_stacked/model.keras"},
          {"name": "h5", "path": f"{ROOT}/tests/fixtures/file_keras2_h5_embedding_lstm_dense/model.h5"},
          {"name": "safe", "path": f"{ROOT}/demo/seed"}]


def tail(log):
    """The sanitizer's report, or the end of the log."""
    report = REPORT.search(log)
    return log[max(0, report.start() - 100):][:5000] if report else log[-1500:]


class Server:
    def __init__(self, binary, log_path, *arguments, env=None):
        self.log_path, self.port = log_path, None
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def wait_ready(self, seconds=60):
        """Wait until the server is ready; False if it has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(r"is ready at https?://\S+?:(\d+) ", self.log())
            if found:
                self.port = int(found[1])
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.005)
        raise TimeoutError("neither ready nor ended")

    def alive(self):
        return self.process.poll() is None

    def wait(self, seconds=30):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "hangs"

    def stop(self, sig=signal.SIGINT):
        if self.alive():
            self.process.send_signal(sig)
        return self.wait()

    def ask(self, method, path, body=None, headers=None, timeout=30, connection=None):
        """Send a request on a new connection, or on the given one. Returns status and text."""
        used = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = headers or {}
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
            used.request(method, path, body, {**({"Content-Type": "application/json"} if body else {}), **headers}, encode_chunked="Transfer-Encoding" in headers)
            answer = used.getresponse()
            text = answer.read()
            return answer.status, gzip.decompress(text) if answer.getheader("Content-Encoding") == "gzip" else text
        finally:
            if not connection:
                used.close()

    def metric(self, name):
        """The sum of a metric over all labels."""
        text = self.ask("GET", "/metrics")[1].decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
