"""through_tls.py BINARY FOLDER: a replica with TLS and a key behind the HAProxy of swarm-tls.yaml, with a fixed address
for the replica. FOLDER has the certificate, key and site that tests/deploy/run.sh makes."""
import contextlib, http.client, os, re, socket, ssl, subprocess, sys, time

binary, folder = sys.argv[1:3]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


made = subprocess.run([binary, "key", "site", "predict"], check=True, capture_output=True, text=True).stdout.split("\n")
with open(f"{folder}/keys", "w") as file:
    file.write(made[1] + "\n")
replica = subprocess.Popen([binary, "serve", "demo/seed", "--port", "0", "--hosts", "*"], stderr=subprocess.PIPE, text=True,
                           env={**os.environ, "CELLSERVE_TLS_CERTIFICATE": f"{folder}/certificate", "CELLSERVE_TLS_KEY": f"{folder}/key",
                                "CELLSERVE_AUTH_KEYS": f"{folder}/keys"})
address = next(m[1] for line in replica.stderr if (m := re.search(r"is ready at https://(\S+)", line)))
port = free_port()
with open("docker/swarm-haproxy-tls.cfg") as file:
    text = file.read().replace("/run/secrets", folder).replace("bind :8080", f"bind 127.0.0.1:{port}")
text, n = re.subn(r"server-template replica 20 \S+ (.*) resolvers docker init-addr none", rf"server replica {address} \1", text)
assert n == 1
with open(f"{folder}/fixed.cfg", "w") as file:
    file.write(text)
proxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", f"{folder}/fixed.cfg"])


def ask(path, headers):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("GET", path, headers=headers)
    status = connection.getresponse().status
    connection.close()
    return status


try:
    context = ssl.create_default_context(cafile=f"{folder}/certificate")
    context.check_hostname = False
    status, end = 0, time.monotonic() + 30
    while status != 200 and time.monotonic() < end:  # until HAProxy's check of the replica succeeds
        with contextlib.suppress(OSError):
            status = ask("/readyz", {})
        time.sleep(0.1)
    assert status == 200, status
    assert ask("/v1/models", {}) == 401
    assert ask("/v1/models", {"Authorization": "Bearer " + made[0]}) == 200
finally:
    proxy.kill()
    replica.kill()
