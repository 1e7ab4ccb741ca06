#!/usr/bin/env python3
"""Try to smuggle requests to cellserve through HAProxy and nginx: smuggle.py BINARY [ROUNDS]

Each try is a request with another request hidden in its head or body. The server's log shows whether the server has
answered the hidden request. HAProxy runs with its defaults, and with the option that passes malformed requests on.
docs/http.md has the results. Each proxy is started again for each round, because HAProxy 2.6 handles trailers
differently in different processes."""
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 4
BODY = b'{"instances": [[[1, 2]]]}'


def hidden(n):
    return b"GET /smuggled?: HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: %d\r\n\r\n" % n


def head(*fields, line=b"POST /predict HTTP/1.1"):
    return b"\r\n".join((line, b"Host: localhost") + fields) + b"\r\n\r\n"


def chunk(data, size_line=b"%x", end=b"\r\n"):
    return (size_line % len(data) if b"%" in size_line else size_line) + b"\r\n" + data + end


CODINGS = [b"Transfer-Encoding: chunked" + tail for tail in (b"", b"\0x", b"\0", b" \0", b"\r\n ", b",", b", identity", b"\x0b", b";q=1", b" ")]
CODINGS += [b"Transfer-Encoding:" + text for text in (b" \0chunked", b"\x0bchunked", b"\r\n chunked", b" xchunked", b" \"chunked\"", b" identity, chunked", b"")]
CODINGS += [b"Transfer-Encoding" + text + b": chunked" for text in (b" ", b"\t", b"\0", b"\0x", b"\x0b")]
CODINGS += [b"\0Transfer-Encoding: chunked", b"X: y\nTransfer-Encoding: chunked", b"X: y\rTransfer-Encoding: chunked", b"X: y\0\r\nTransfer-Encoding: chunked",
            b"Transfer_Encoding: chunked", b": x\r\nTransfer-Encoding: chunked", b"X: y\r\n Transfer-Encoding: chunked"]
LENGTHS = [b"Content-Length: %s" + tail for tail in (b"", b"\0", b"\0001", b" \0", b"\r\n 0", b", %s", b" ", b"\x0b")]
LENGTHS += [b"Content-Length: " + text + b"%s" for text in (b"+", b"0\0", b"\0", b"0x", b"\x0b", b"\r\n ")]
LENGTHS += [b"Content-Length" + text + b": %s" for text in (b" ", b"\0", b"\0x", b"\t", b"\x0b")]
LENGTHS += [b"\0Content-Length: %s", b"X: y\nContent-Length: %s", b"X: y\rContent-Length: %s", b"Content-Length: 0\r\nContent-Length: %s",
            b"Content-Length: %s\r\nContent-Length: 0", b"Content_Length: %s", b": x\r\nContent-Length: %s", b"X: y\r\n Content-Length: %s"]
BREAKS = [b"\0\r\n", b"\0x\r\n", b"\n", b"\r\n\n", b"\n\n", b"\r\r\n", b"\r", b"\0\n", b"X: y\0\r\n\0\r\n", b":\r\n", b" \r\n", b"\x0b\r\n", b"\0: x\r\n", b"\0X: y\r\n"]
SIZES = [b"%x;a\nb", b"%x;a\rb", b"%x;a\0b", b"%x\0", b"%x ", b" %x", b"0x%x", b"+%x", b"-%x", b"%x;" + b"a" * 3000, b"%x;" + b"a" * 12000, b"0;\n%x", b"0\n%x", b"0\r%x",
         b"0\0%x", b"%x;\0\n\n", b"1000000000000000%x", b"0;a\n\r\n", b"%x\n", b"%xz", b"0000000000000000000000000000000000%x"]


def tries():
    """Yield (number, name, bytes); each hides the request with its number."""
    number = itertools.count(1)
    end = b"0\r\n\r\n"
    for coding in CODINGS:  # the proxy uses the length, the server the chunks; then the opposite
        n = next(number)
        body = end + hidden(n)
        yield n, "length and coding " + repr(coding), head(coding, b"Content-Length: %d" % len(body)) + body
        n = next(number)
        yield n, "coding alone " + repr(coding), head(coding) + end + hidden(n)
        n = next(number)
        body = chunk(hidden(n)) + end
        yield n, "in a chunk " + repr(coding), head(coding) + body
        n = next(number)
        yield n, "in a chunk, beside a length of 0 " + repr(coding), head(b"Content-Length: 0", coding) + chunk(hidden(n)) + end
    for length in LENGTHS:
        n = next(number)
        text = hidden(n)
        yield n, "in a body " + repr(length), head(length.replace(b"%s", b"%d" % len(text))) + text
        n = next(number)
        text = BODY + hidden(n)
        yield n, "behind a body " + repr(length), head(length.replace(b"%s", b"%d" % len(text)), b"Content-Length: 25") + text
        n = next(number)
        body = chunk(BODY + hidden(n)) + end
        yield n, "in a chunk beside " + repr(length), head(length.replace(b"%s", b"0"), b"Transfer-Encoding: chunked") + body
    for end_of_head in BREAKS:
        n = next(number)
        yield n, "in a head " + repr(end_of_head), b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + end_of_head + hidden(n)
        n = next(number)
        yield n, "in a head, after a value " + repr(end_of_head), b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: y" + end_of_head + hidden(n)
        n = next(number)
        trailer = b"0\r\n" + end_of_head + hidden(n)
        yield n, "in trailers " + repr(end_of_head), head(b"Transfer-Encoding: chunked") + chunk(BODY) + trailer
        n = next(number)
        trailer = b"0\r\nX: y\r\n" + end_of_head + hidden(n)
        yield n, "in trailers, after one " + repr(end_of_head), head(b"Transfer-Encoding: chunked") + chunk(BODY) + trailer
        n = next(number)
        yield n, "behind chunk data " + repr(end_of_head), head(b"Transfer-Encoding: chunked") + chunk(BODY, end=end_of_head) + end + hidden(n)
    for size in SIZES:
        n = next(number)
        yield n, "in a chunk of size " + repr(size[:20]), head(b"Transfer-Encoding: chunked") + chunk(hidden(n), size) + end
        n = next(number)
        yield n, "behind chunks, one of size " + repr(size[:20]), head(b"Transfer-Encoding: chunked") + chunk(BODY + end + hidden(n), size) + end


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit(f"nothing listens on port {port}")


def send(port, data):
    """Send all bytes and read the first part of the answer. Then a second client sends a request, which may get bytes
    that were left in the connection to the server."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.settimeout(0.15)
        try:
            client.sendall(data)
            client.recv(65536)
        except OSError:
            pass
        with socket.create_connection(("127.0.0.1", port), 5) as other:
            other.settimeout(2)
            try:
                other.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while other.recv(65536):
                    pass
            except OSError:
                pass


HAPROXY = """
defaults
    mode http
    timeout connect 1s
    timeout client 2s
    timeout server 2s
    http-reuse always
    {option}
frontend f
    http-request set-header X-Request-Id seen
    bind 127.0.0.1:{port}
    default_backend b
backend b
    server s 127.0.0.1:{server}
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {option}
    upstream u {{ server 127.0.0.1:{server}; keepalive 1; }}
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Request-Id seen; proxy_read_timeout 2s; }} }}
}}
"""
LENIENT = "option accept-invalid-http-request"
PROXIES = [("HAProxy", ["haproxy", "-q", "-f"], HAPROXY, ""), ("HAProxy, " + LENIENT, ["haproxy", "-q", "-f"], HAPROXY, LENIENT),
           ("nginx", ["nginx", "-c"], NGINX, ""), ("nginx, ignore_invalid_headers off", ["nginx", "-c"], NGINX, "ignore_invalid_headers off; underscores_in_headers on;")]


def run(folder, log, server, name, command, text, option):
    """The names of the tries whose hidden request was answered. The proxy marks the requests that it has seen."""
    port = free_port()
    path = os.path.join(folder, "proxy.conf")
    with open(path, "w") as file:
        file.write(text.format(port=port, server=server, folder=folder, option=option))
    proxy = subprocess.Popen([*command, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(port)
    began = os.path.getsize(log)
    names = {}
    for n, what, data in tries():
        names[n] = what
        send(port, data)
    proxy.terminate()
    proxy.wait()
    lines = []
    while not any(line.get("path") == "/last" for line in lines):
        send(server, b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with open(log, encoding="utf-8") as file:
            file.seek(began)
            lines = [json.loads(line) for line in file if line.startswith("{") and line.endswith("}\n")]
    through = {int(line["id"]) for line in lines if line.get("path") == "/smuggled" and line["id"] != "seen"}
    return {names[n] for n in through}


def main():
    binary = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        log = os.path.join(folder, "log")
        config = {"port": 0, "log": {"format": "json"}, "models": [{"name": "m", "input_size": 2, "layer": {"class_name": "GRU", "config": {"units": 2}}}]}
        with open(os.path.join(folder, "c.json"), "w") as file:
            json.dump(config, file)
        with open(log, "w") as file:
            server = subprocess.Popen([binary, "serve", "--config", os.path.join(folder, "c.json")], stderr=file)
        for _ in range(1000):
            ready = re.search(r"http://127.0.0.1:(\d+)", open(log).read())
            if ready:
                break
            time.sleep(0.01)
        good = True
        for proxy in PROXIES:
            through = set()
            for _ in range(ROUNDS):
                through |= run(folder, log, int(ready[1]), *proxy)
            print(f"{proxy[0]}: {len(through)} of {len(list(tries()))}")
            for what in sorted(through):
                print("   ", what)
            good &= not through
        server.terminate()
        server.wait()
        return 0 if good else 1


sys.exit(main())
