#!/usr/bin/env python3
"""Compare a cellserve binary with the golden cases of graphs (tests/fixtures/graph), which real Keras wrote.

  check.py BINARY [PART …] [--serve] [--far] [--cases DIR] [-q] [--unpack DIR] [--list FILE]

PART is a part of a case's name (conv1d, keras3_, masks_…) or the class name of a layer in the model, such as =Attention.
`BINARY predict FILE < request` runs each file of a case; with --serve, a server for each file and POST /predict.
--unpack writes request.json and expected.json of each case to DIR, for `cellserve verify` and curl.
--list writes the names of the files that are ok: tests/graph/served.txt, which tests/e2e/test_graphs.c serves.
A line a file: ok, WRONG (the answer differs), refused (the model does not load, or the request is an error), CRASH.
`x1.3` is the largest error as a multiple of the larger of Keras's own float32 error and half a unit of the largest
number's last place; both errors are against float64. More than 2 is marked "far" (a failure with --far).
A case passes when every number is within its tolerance. Only Python's standard library is used. Exit 0 when all pass.
"""
import argparse, glob, json, math, os, re, struct, subprocess, sys, tempfile, time, urllib.error, urllib.request

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def shape(x):
    """The shape along the first elements, for messages."""
    lengths = []
    while isinstance(x, list):
        lengths.append(len(x))
        x = x[0] if x else None
    return lengths


def pairs(got, want, where):
    """Yield (place, number, expected number) for all numbers; ValueError if the lists differ."""
    if isinstance(want, dict):
        if not isinstance(got, dict) or list(got) != list(want):
            raise ValueError(f"{where}: {list(got) if isinstance(got, dict) else shape(got)}, expected an object of {list(want)}")
        for name in want:
            yield from pairs(got[name], want[name], f"{where}.{name}")
    elif isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            raise ValueError(f"{where}: the shape {shape(got)}, expected {shape(want)}")
        for i, (g, w) in enumerate(zip(got, want)):
            yield from pairs(g, w, f"{where}[{i}]")
    elif isinstance(want, bool) or isinstance(got, bool):
        if got != want:
            raise ValueError(f"{where}: {got}, expected {want}")
    elif not isinstance(got, (int, float)):
        raise ValueError(f"{where}: {got!r} is no number")
    else:
        yield where, single(got), want


def tensors(states):
    """The tensors of nested states, in order: a tensor is a list of rows of numbers."""
    if isinstance(states[0][0], list):
        return [t for s in states for t in tensors(s)]
    return [states]


def named(got, want):
    """The outputs as an object. If the model's outputs are those of a recurrent layer and its states, the states come
    from the answer's `states`."""
    if isinstance(want, dict) and isinstance(got["outputs"], list) and got.get("states"):
        states = tensors(got["states"])[1 - len(want):]
        if len(states) == len(want) - 1:
            return dict(zip(want, [got["outputs"], *states]))
    return got["outputs"]


def compare(got, case):
    """Compare an answer with Keras's in float64; returns (ok, text)."""
    if "outputs" not in got:
        return False, f"no outputs in the answer: {list(got)}"
    outputs = named(got, case["outputs_f64"])
    worst, far, first = 0.0, 0.0, None
    rtol, atol = case["tolerance"]["rtol"], case["tolerance"]["atol"]
    try:
        for where, a, b in pairs(outputs, case["outputs_f64"], "outputs"):
            d = abs(a - b) if math.isfinite(a) else math.inf
            worst = max(worst, d)
            if d > atol + rtol * abs(b) and d > far:
                far, first = d, f"{where} is {a:.9g}, expected {b:.9g}"
    except ValueError as e:
        return False, str(e)
    floor = case["largest"] * 2.0 ** -24
    ratio = worst / max(case["error_vs_float64"]["max_abs"], floor, 1e-30)
    if first:
        return False, f"error {worst:.2e}, tolerance {atol:.1e}: {first}"
    return True, f"x{ratio:.1f}"


def answer_json(text):
    def no(token):
        raise ValueError(f"{token} is not JSON")
    return json.loads(text, parse_constant=no)


def predict(binary, path, request):
    """Run `BINARY predict`; returns (kind, answer or text)."""
    try:
        p = subprocess.run([binary, "predict", path], input=request, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "CRASH", "no answer within 60 s"
    if p.returncode == 0:
        return "ok", answer_json(p.stdout)
    if p.returncode not in (1, 2):
        return "CRASH", f"exit {p.returncode} {p.stderr.strip()[-300:]}"
    text = (p.stderr.strip() + " " + p.stdout.strip()).strip()
    return "refused", re.sub(re.escape(path), os.path.basename(path), text)[:240].replace("\n", " | ")


class Server:
    """A server with a file as its model, for requests over HTTP. `entry` has further keys of the model's entry in a
    configuration."""
    def __init__(self, binary, path, entry=None):
        self.log = tempfile.TemporaryFile("w+")
        arguments = [path, "--name", "m"]
        if entry:
            self.config = tempfile.NamedTemporaryFile("w", suffix=".json")
            json.dump({"models": [{"name": "m", "path": os.path.abspath(path), **entry}]}, self.config)
            self.config.flush()
            arguments = ["--config", self.config.name]
        self.p = subprocess.Popen([binary, "serve", *arguments, "--port", "0"], stdout=subprocess.DEVNULL, stderr=self.log)
        self.url, end = None, time.time() + 60
        while not self.url and time.time() < end and self.p.poll() is None:
            time.sleep(0.01)
            found = re.search(r"https?://[\w.\[\]:-]+:\d+", self.text())
            self.url = found and found.group(0)

    def text(self):
        self.log.seek(0)
        return self.log.read()

    def post(self, body):
        request = urllib.request.Request(self.url + "/predict", body.encode(), {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.time() + 30
        while True:
            try:
                with opener.open(request, timeout=30) as r:
                    return "ok", answer_json(r.read())
            except urllib.error.HTTPError as e:
                text = e.read().decode("utf-8", "replace")
                if e.code != 503 or time.time() > end:  # 503: not ready yet
                    return "refused", f"{e.code} {text[:300]}"
                time.sleep(0.02)

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(2)
        return self.p.wait(30)


def serve(binary, path, request, entry=None):
    server = Server(binary, path, entry)
    try:
        if not server.url:
            return "refused" if server.p.poll() in (1, 2) else "CRASH", server.text().strip()[-400:].replace("\n", " | ")
        return server.post(request)
    finally:
        if server.stop() not in (0, 1):
            print(f"CRASH at the end of {path}: exit {server.p.returncode}")


def cases(folder, parts):
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        with open(path) as f:
            case = json.load(f)
        name, layers = os.path.basename(path)[:-5], {f"={layer}" for layer in case["layers"]}
        if not parts or any(p in layers if p[0] == "=" else p in name for p in parts):
            yield name, case


def run(a, name, case, file):
    """Run one file of a case; returns (kind, text)."""
    try:
        kind, got = (serve if a.serve else predict)(a.binary, os.path.join(a.cases, file), json.dumps(case["request"]))
    except (ValueError, OSError) as e:
        return "CRASH", f"{type(e).__name__}: {e}"
    if kind != "ok":
        return kind, got
    ok, text = compare(got, case)
    if not ok:
        return "WRONG", text
    far = float(text[1:]) > 2
    return "far" if far and a.far else "ok", text + " far" * far


def unpack(folder, name, case):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    for part, value in ("request", case["request"]), ("expected", {"outputs": case["outputs_f64"]}):
        with open(os.path.join(folder, name, part + ".json"), "w") as f:
            json.dump(value, f)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--cases", default=os.path.join(ROOT, "tests", "fixtures", "graph"))
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--far", action="store_true", help="more than 2 times Keras's own error fails")
    parser.add_argument("-q", action="store_true", help="only the failures and the counts")
    parser.add_argument("--unpack", metavar="DIR")
    parser.add_argument("--list", metavar="FILE")
    a = parser.parse_intermixed_args()
    count, good = {}, []
    for name, case in cases(a.cases, a.parts):
        if a.unpack:
            unpack(a.unpack, name, case)
        for file in [case["model"], *case["also"]]:
            kind, text = run(a, name, case, file)
            count[kind] = count.get(kind, 0) + 1
            if kind == "ok":
                good.append(file)
            if kind != "ok" or not a.q:
                print(f"{kind:8}{file}  {text}", flush=True)
    if a.list:
        with open(a.list, "w") as f:
            f.writelines(file + "\n" for file in good)
    print(", ".join(f"{n} {k}" for k, n in sorted(count.items())) or "no such case")
    return 0 if set(count) == {"ok"} else 1


if __name__ == "__main__":
    sys.exit(main())
