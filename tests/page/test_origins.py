#!/usr/bin/env python3
"""Pages of other origins in headless Chromium: test_origins.py BINARY. Checks that a page cannot use a server on its
visitor's machine, unless cors.origins permits its origin, nor by a host name of its own that resolves to 127.0.0.1. The
last line is "N passed, N failed"."""
import contextlib, http.server, json, os, sys, tempfile, threading, traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..")]
from browser import Browser
from served import Server

MODELS = [{"name": "m", "layer": {"class_name": "LSTM", "config": {"units": 3}}, "input_size": 2}]

# A request of a page and its result: the status, or "blocked" if the page could not read the answer.
ACT = """
const [url, method, body, type] = arguments;
const options = {method, headers: type ? {"Content-Type": type} : {}};
if (body) options.body = body;
return fetch(url, options).then(answer => answer.text().then(text => [answer.status, text])).catch(() => ["blocked", ""]);
"""
SESSION = json.dumps({"session": "s", "instances": [[[0.5, 1]]]})


@contextlib.contextmanager
def served(binary, **config):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cellserve.json")
        with open(path, "w") as file:
            json.dump({"models": MODELS, **config}, file)
        server = Server(binary, os.path.join(folder, "log"), "serve", "--config", path, "--port", "0")
        assert server.wait_ready(), server.log()
        try:
            yield server, f"http://127.0.0.1:{server.port}"
        finally:
            assert server.stop() == 0


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title>")

    def log_message(self, *args):
        pass


def acts(browser, url):
    """A prediction with a session as a simple request, and with a preflight; then the session is read and deleted; then
    the list of models."""
    return [browser.js(ACT, url + path, method, body, kind) for method, path, body, kind in (
        ("POST", "/predict", SESSION, "application/x-www-form-urlencoded"), ("POST", "/predict", SESSION, "application/json"),
        ("GET", "/sessions/s", None, None), ("DELETE", "/sessions/s", None, None), ("GET", "/v1/models", None, None))]


def foreign_pages_can_do_nothing(browser, binary, page):
    with served(binary) as (server, url):
        browser.open(page)
        assert [status for status, _ in acts(browser, url)] == ["blocked"] * 5
        status, _ = server.ask("GET", "/sessions/s")
        assert status == 404, status  # the simple request, which has no preflight, made no session


def permitted_pages_can_do_all(browser, binary, page):
    with served(binary, cors={"origins": [page]}) as (_, url):
        browser.open(page)
        found = acts(browser, url)
        assert [status for status, _ in found] == [200] * 5, found
        assert json.loads(found[1][1])["step"] == 2, found[1]


def names_of_others_can_do_nothing(browser, binary, page):
    with served(binary) as (server, url):
        browser.open(url.replace("127.0.0.1", "rebound.example") + "/v1/models")
        text = browser.js("return document.body.innerText")
        assert "unknown_host" in text, text
        found = acts(browser, "")  # same origin for the browser
        assert [status for status, _ in found] == [403] * 5, found
        assert server.ask("GET", "/sessions/s")[0] == 404


def main():
    binary = os.path.abspath(sys.argv[1])
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    page = f"http://127.0.0.1:{pages.server_address[1]}"
    passed = failed = 0
    browser = Browser(more=["--host-resolver-rules=MAP rebound.example 127.0.0.1"])
    try:
        for test in (foreign_pages_can_do_nothing, permitted_pages_can_do_all, names_of_others_can_do_nothing):
            try:
                test(browser, binary, page)
                passed += 1
                print("ok  ", test.__name__)
            except Exception:
                failed += 1
                print("FAIL", test.__name__)
                traceback.print_exc()
    finally:
        browser.close()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
