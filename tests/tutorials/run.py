#!/usr/bin/env python3
"""Run the commands and the Python of a page in their order.

    run.py CELLSERVE PAGE...    skips a page if this Python lacks modules that the page needs

The blocks that begin with ```sh or ```python run in a new folder, which has demo/, build/cellserve, and for README.md
the files of a user: model.keras, model.onnx, saved_model, pump/model.pt. `serve` starts a server on a free port, and
ends the previous server. http://127.0.0.1:8080 is replaced by the address of the server, and so is CELLSERVE_URL.
"""
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
USUAL = "http://127.0.0.1:8080"
MODULES = ("keras", "torch", "sklearn", "joblib", "numpy")


def blocks(page):
    with open(page) as file:
        return re.findall(r"^```(sh|python)\n(.*?)^```$", file.read(), re.M | re.S)


def missing_modules(found):
    needed = set(re.findall(r"\b(%s)\b" % "|".join(MODULES), "\n".join(
        line for kind, text in found if kind == "python" for line in text.splitlines() if re.match(r" *(import|from) ", line))))
    return sorted(name for name in needed if not importlib.util.find_spec(name))


class Page:
    def __init__(self, program, path):
        self.program, self.name = program, os.path.basename(path)
        self.server, self.url = None, USUAL
        self.names = {"__name__": "__main__"}
        self.folder = tempfile.mkdtemp(prefix="cellserve-tutorial-")
        os.chdir(self.folder)
        os.mkdir("build")
        os.symlink(program, "build/cellserve")
        os.symlink(os.path.join(ROOT, "demo"), "demo")
        if self.name == "README.md":
            self.user_files()

    def user_files(self):
        fixtures = os.path.join(ROOT, "tests", "fixtures")
        shutil.copy("demo/sunspots/sunspots.keras", "model.keras")
        shutil.copy(os.path.join(fixtures, "onnx", "dynamo_lstm_last.onnx"), "model.onnx")
        shutil.copytree(os.path.join(fixtures, "saved_2_15_masked", "model"), "saved_model")
        os.mkdir("pump")
        shutil.copy(os.path.join(ROOT, "tests", "torch", "files", "state-new.pt"), "pump/model.pt")
        self.serve(["serve", "--config", "demo/cellserve.json"])

    def close(self):
        if self.server:
            self.server.terminate()
            self.server.wait()
            self.server.stderr.close()
            self.server = None
        os.chdir(ROOT)
        shutil.rmtree(self.folder)

    def serve(self, arguments):
        if self.server:
            self.server.terminate()
            self.server.wait()
        environment = dict(os.environ, CELLSERVE_LIMITS_DRAIN_DELAY_MS="0")
        environment.pop("CELLSERVE_URL", None)
        self.server = subprocess.Popen([self.program, *arguments, "--port", "0"], stderr=subprocess.PIPE, text=True,
                                       env=environment)
        said = []
        for line in self.server.stderr:
            said.append(line)
            found = re.search(r"is ready at (http://[0-9.]+:\d+)", line)
            if found:
                self.url = os.environ["CELLSERVE_URL"] = found.group(1)
                return
        sys.exit("%s: the server did not start:\n%s" % (self.name, "".join(said)))

    def shell(self, text):
        script = []
        for line in text.splitlines():
            served = re.match(r"(?:build/)?cellserve (serve\b.*)", line)
            if served:
                self.script(script)
                script = []
                self.serve(served.group(1).split())
            else:
                script.append(line)
        self.script(script)

    def script(self, lines):
        text = "\n".join(lines).replace(USUAL, self.url)
        if not text.strip():
            return
        environment = {key: value for key, value in os.environ.items() if key != "CELLSERVE_URL"}
        environment["PATH"] = os.path.join(self.folder, "build") + ":" + environment["PATH"]
        ran = subprocess.run(["bash", "-euo", "pipefail", "-c", text], env=environment, capture_output=True, text=True,
                             timeout=60)
        if ran.returncode or '{"error"' in ran.stdout:
            sys.exit("%s: failed:\n%s\n%s%s" % (self.name, text, ran.stdout, ran.stderr))

    def run(self, kind, text, number):
        if kind == "sh":
            self.shell(text)
        else:
            exec(compile(text, "%s, block %d" % (self.name, number), "exec"), self.names)


def main():
    program, passed = os.path.abspath(sys.argv[1]), 0
    for path in [os.path.abspath(page) for page in sys.argv[2:]]:
        found = blocks(path)
        assert found, path + " has no block that is run"
        missing = missing_modules(found)
        if missing:
            print("skipped: %s, this Python has no %s" % (os.path.basename(path), ", ".join(missing)))
            continue
        page = Page(program, path)
        try:
            for i, (kind, text) in enumerate(found):
                page.run(kind, text, i + 1)
        finally:
            page.close()
        print("ran %d blocks of %s" % (len(found), os.path.basename(path)))
        passed += 1
    print("%d passed, 0 failed" % passed)


main()
