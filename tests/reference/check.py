#!/usr/bin/env python3
"""Compare the settings, metrics and error codes in documents, dashboard and alert rules with the program and its
sources.
check.py BINARY: test. check.py BINARY --write: write docs/reference/."""
import http.client, json, os, re, shutil, ssl, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, ".."))
from served import Server

NOTE = "<!-- Made by `make reference`. Edit the tables in the sources. -->\n\n"
TITLES = {
    "settings": "# Settings\n\nEvery setting has three spellings: `limits.max_rows` in the configuration file,\n"
                "`CELLSERVE_LIMITS_MAX_ROWS` in the environment, `--limits-max-rows` on the command line. The environment\n"
                "overrides the file, and a flag overrides both. In the file, a dot stands for a section:\n"
                "`{\"limits\": {\"max_rows\": 1024}}`.\n",
    "errors": "# Error codes\n\nThe body of an error is `{\"error\": sentence, \"code\": code, \"path\": place in the body}`.\n",
    "metrics": "# Metrics\n\n`GET /metrics` in Prometheus's text format. A histogram has `_bucket`, `_sum` and `_count`.\n",
}


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def printed(binary, document):
    return subprocess.run([binary, "print", document], capture_output=True, text=True, check=True).stdout


def secrets(binary, folder):
    """Make a certificate and a key; returns the flags for them, and the key."""
    certificate, key, keys = (os.path.join(folder, name) for name in ("tls.crt", "tls.key", "keys.txt"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    made = subprocess.run([binary, "key", "reference", "predict,sessions,metrics"], capture_output=True, text=True, check=True)
    secret, line = made.stdout.splitlines()
    with open(keys, "w") as file:
        file.write(line + "\n")
    return ("--tls-certificate", certificate, "--tls-key", key, "--auth-keys", keys), secret


def scrape(binary, *arguments, secure=False):
    """The text of /metrics after a prediction in a session and an error."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(os.path.join(ROOT, "demo"), os.path.join(folder, "demo"))
        flags, key = secrets(binary, folder) if secure else ((), "")
        server = Server(binary, os.path.join(folder, "log"), "serve", os.path.join(folder, "demo"), "--port", "0", *arguments, *flags)
        try:
            assert server.wait_ready(), server.log()
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            if secure:
                connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=30, context=ssl._create_unverified_context())
            headers = {"X-API-Key": key} if secure else {}
            server.ask("POST", "/predict", {"model": "seed", "instances": [[[1, 2]]], "session": "reference"}, headers, connection=connection)
            server.ask("POST", "/predict", "{", headers, connection=connection)
            text = server.ask("GET", "/metrics", None, headers, connection=connection)[1].decode()
            connection.close()
            return text
        finally:
            server.stop()


def metrics(binary):
    """name → (type, labels, help) from three servers: with sessions in memory, with a Redis that does not answer, and
    with HTTPS and keys."""
    found = {}
    for arguments, secure in (((), False), (("--sessions-store", "redis://127.0.0.1:1"), False), ((), True)):
        text = scrape(binary, *arguments, secure=secure)
        for name, words in re.findall(r"^# HELP (\S+) (.*)$", text, re.M):
            kind = re.search(rf"^# TYPE {name} (\S+)$", text, re.M)[1]
            suffix = "(?:_bucket|_sum|_count)" if kind == "histogram" else ""
            labels = set(re.findall(r'(\w+)="', " ".join(re.findall(rf"^{name}{suffix}\{{(.*?)\}} ", text, re.M)))) - {"le"}
            before = found.get(name, (kind, set(), words))
            found[name] = (kind, before[1] | labels, words)
    return found


def metrics_table(found):
    rows = [f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in sorted(labels))} | {words} |" for name, (kind, labels, words) in sorted(found.items())]
    return "| name | type | labels | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"


def codes_of_sources():
    """(status, code) of every call in server/ that refuses a request."""
    pairs = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "server")):
        for file in files:
            if file.endswith((".c", ".h")):
                with open(os.path.join(folder, file)) as source:
                    pairs |= set(re.findall(r'\b([45]\d\d),\s*"([a-z][a-z0-9_]+)"', source.read()))
    return {(int(status), code) for status, code in pairs}


def table_of_codes():
    return {(int(status), code) for status, code in re.findall(r'^    \{(\d+), "(\w+)"', read("server/base/error_codes.c"), re.M)}


def model_keys():
    return set(re.findall(r'"(\w+)"', re.search(r"model_keys\[\] = \{(.*?)\};", read("config/settings_models.c"), re.S)[1]))


def named_metrics(text):
    """Names of metrics in PromQL expressions."""
    return set(re.findall(r"\b((?:cellserve|process)_[a-z0-9_]+)", text))


def metrics_of_sources():
    """Names of metrics that server/ writes: cellserve_… in texts, and the names given to functions that add the prefix."""
    names = set()
    for folder, _, files in os.walk(os.path.join(ROOT, "server")):
        for file in files:
            if file.endswith(".c"):
                with open(os.path.join(folder, file)) as source:
                    text = source.read()
                    names |= set(re.findall(r'"cellserve_([a-z0-9_]+)(?:\{| )', text))
                    names |= set(re.findall(r'(?:metrics_text_\w+|gauge)\(out, "([a-z0-9_]+)"', text))
    return {f"cellserve_{name}" for name in names}


def known_names(found):
    names = set(found)
    for name, (kind, _, _) in found.items():
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def expressions(board):
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def main():
    binary, write = os.path.abspath(sys.argv[1]), "--write" in sys.argv
    found = metrics(binary)
    pages = {"settings": printed(binary, "settings"), "errors": printed(binary, "errors"), "metrics": metrics_table(found)}
    failed = 0

    def check(name, wrong):
        nonlocal failed
        print(f"[ RUN      ] {name}")
        failed += bool(wrong)
        print(f"{wrong}\n[  FAILED  ] {name}" if wrong else f"[       OK ] {name}")

    for name, table in pages.items():
        path, text = f"docs/reference/{name}.md", NOTE + TITLES[name] + "\n" + table
        if write:
            with open(os.path.join(ROOT, path), "w") as file:
                file.write(text)
        else:
            check(f"{name}_are_those_of_the_program", "" if read(path) == text else f"{path} differs: run `make reference`")
    if write:
        return 0
    table, sources = table_of_codes(), codes_of_sources()
    # Two codes are set where the status comes from a variable.
    check("every_error_code_is_in_the_table", sorted(sources - table))
    everything = "".join(read(os.path.join(folder, file)) for folder, _, files in os.walk(os.path.join(ROOT, "server")) for file in files
                         if file.endswith(".c") and file != "error_codes.c")
    check("every_code_of_the_table_is_in_a_source", sorted(code for _, code in table if f'"{code}"' not in everything))
    for page in ("docs/api.md", "docs/troubleshooting.md"):
        check(f"{os.path.basename(page)[:-3]}_has_every_error_code", sorted({code for _, code in table if f"`{code}`" not in read(page)}))
    written = metrics_of_sources()
    check("every_metric_of_the_sources_is_in_the_table", sorted(written - known_names(found)) or ("" if len(written) > 20 else f"only {len(written)} metrics"))
    helped = set(re.findall(r"^\| `(\w+)` \| [^|]*\|$", pages["settings"].split("| key of a model |")[1], re.M))
    check("every_key_of_a_model_is_explained", sorted(model_keys() ^ helped))
    lines = re.findall(r"^  cellserve ([a-z]+) (.*)$", subprocess.run([binary, "--help"], capture_output=True, text=True).stdout, re.M)
    missing = [(name, flag) for name, usage in lines for flag in re.findall(r"--[a-z-]+", usage)
               if f"  {flag} " not in subprocess.run([binary, "help", name], capture_output=True, text=True).stdout]
    check("help_lists_every_flag_of_the_usage", missing or ("" if len(lines) > 8 else f"only {len(lines)} commands"))
    board = json.loads(read("docker/grafana.json"))
    used = set().union(*(named_metrics(expression) for expression in expressions(board)))
    check("the_dashboard_shows_metrics_that_exist", sorted(used - known_names(found)) or ("" if len(used) > 15 else f"only {len(used)} metrics"))
    alerts = read("docker/alerts.yaml")
    used = named_metrics("\n".join(re.findall(r"expr: (.*(?:\n {12,}.*)*)", alerts)))
    check("the_alerts_look_at_metrics_that_exist", sorted(used - known_names(found)) or ("" if len(used) > 5 else f"only {len(used)} metrics"))
    promtool = shutil.which("promtool")
    if promtool:
        run = subprocess.run([promtool, "check", "rules", os.path.join(ROOT, "docker", "alerts.yaml")], capture_output=True, text=True)
        check("promtool_takes_the_rules", run.returncode and run.stdout + run.stderr)
        run = subprocess.run([promtool, "check", "metrics"], input=scrape(binary), capture_output=True, text=True)
        check("promtool_takes_the_metrics", run.returncode and run.stdout + run.stderr)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
