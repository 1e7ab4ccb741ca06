#!/usr/bin/env python3
"""The Python of a tutorial, as it stands on its page, against a server that is started where the page says so.

    run.py CELLSERVE PAGE       with a Python that has Keras and scikit-learn; without them the test is skipped

Blocks up to the first that names CELLSERVE_URL are run before the server starts.
"""
import importlib.util
import os
import re
import subprocess
import sys
import tempfile


def blocks(page):
    with open(page) as file:
        return re.findall(r"^```python\n(.*?)^```$", file.read(), re.M | re.S)


def start(program):
    server = subprocess.Popen([program, "serve", "--config", "cellserve.json", "--port", "0"], stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        found = re.search(r"is ready at (http://[0-9.]+:\d+)", line)
        if found:
            return server, found.group(1)
    sys.exit("the server did not start")


def main():
    program, page = (os.path.abspath(path) for path in sys.argv[1:3])
    missing = [name for name in ("keras", "sklearn", "joblib") if not importlib.util.find_spec(name)]
    if missing:
        print("skipped: this Python has no " + ", ".join(missing))
        print("0 passed, 0 failed")
        return
    names, server = {}, None
    os.chdir(tempfile.mkdtemp(prefix="cellserve-tutorial-"))
    try:
        for i, block in enumerate(blocks(page)):
            if "CELLSERVE_URL" in block and not server:
                server, os.environ["CELLSERVE_URL"] = start(program)
            exec(compile(block, "%s, block %d" % (os.path.basename(page), i + 1), "exec"), names)
        assert server, "no block of the page names CELLSERVE_URL"
    finally:
        if server:
            server.terminate()
            server.wait()
    print("1 passed, 0 failed")


main()
