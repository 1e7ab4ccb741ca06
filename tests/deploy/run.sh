#!/bin/sh
# Checks the files of docker/: Kubernetes' objects with the schemas of its API, the proxies' configurations with the
# proxies, and request smuggling through them. run.sh BINARY
set -u
cd "$(dirname "$0")/../.."
passed=0 failed=0
check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then
        echo "ok   $name"
        passed=$((passed + 1))
    else
        echo "$output"
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}
venv=build/deploy
if [ ! -e $venv/complete ]; then
    python3 -m venv $venv && $venv/bin/pip install -q kubernetes-validate && touch $venv/complete || exit 1
fi
for file in docker/kubernetes/[!k]*.yaml; do
    check "$file" $venv/bin/kubernetes-validate --strict -k 1.29 "$file"
done
# Files without a schema are parsed, and the names in them must exist.
check "kustomizations, KServe, Swarm, Compose" $venv/bin/python tests/deploy/names.py
check "docker/kubernetes/tls" $venv/bin/kubernetes-validate --strict -k 1.29 build/deploy/deployment-tls.yaml
# The certificates and keys that swarm-tls.yaml mounts.
secrets=$(mktemp -d)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$secrets/key" -out "$secrets/certificate" \
    -subj /CN=cellserve -addext subjectAltName=DNS:cellserve 2>/dev/null
cat "$secrets/certificate" "$secrets/key" >"$secrets/site"
sed "s|/run/secrets|$secrets|" docker/swarm-haproxy-tls.cfg >"$secrets/haproxy.cfg"
check docker/swarm-haproxy-tls.cfg haproxy -c -q -f "$secrets/haproxy.cfg"
check "HTTPS through HAProxy" python3 tests/deploy/through_tls.py "$1" "$secrets"
rm -rf "$secrets"
check docker/haproxy.cfg haproxy -c -q -f docker/haproxy.cfg
check docker/swarm-haproxy.cfg haproxy -c -q -f docker/swarm-haproxy.cfg
check docker/nginx.conf nginx -t -q -c "$PWD/docker/nginx.conf"
check "nothing is smuggled" python3 tests/deploy/smuggle.py "$1"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
