#!/bin/sh
# Test the binary with the protocols' own clients from PyPI: tritonclient, KServe's, openapi-python-client,
# schemathesis. The packages are installed in build/clients. The last line counts the tests.
set -eu
cd "$(dirname "$0")/../.."
venv=build/clients
if [ ! -f "$venv/complete" ] || [ tests/clients/run.sh -nt "$venv/complete" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet 'tritonclient[http]==2.*' 'kserve==0.*' 'schemathesis==4.*' 'openapi-python-client==0.*' 'numpy<3'
    touch "$venv/complete"
fi
binary=$(realpath "$1")
cd "$venv" # schemathesis writes files to the current folder
exec bin/python ../../tests/clients/test_clients.py "$binary"
